#ifndef POGO_HEXTOOLS_RELEASE_H
#define POGO_HEXTOOLS_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/bootloader.h"
#include "hextools/format.h"
#include "hextools/image.h"
#include "hextools/part.h"

/* A release: bootloader and application (and EEPROM) joined into one image, proved against part, boot
 * section, fuses and lock. Nothing is written here. */

enum { RELEASE_INPUTS = 3, RELEASE_NOTES = 20 };

/* What is asked for. */
struct release_order {
	const char *configs, *part;
	const char *bootloader, *application, *eeprom; /* FILE[@OFFSET]; eeprom may be NULL */
	const char *fuses, *lock;                      /* as on a command line; may be NULL */
	const char *family;   /* the bootloader that the board has, a family's name; may be NULL */
	uint32_t boot_bytes;  /* its size where the family leaves it open; 0: the family's */
	bool boot_only;       /* take the bootloader's file from the boot section on, drop what lies below */
	uint32_t crystal_hz;
	bool external_clock;
	bool clock_given; /* the command line says one of the two */
	struct format_reading reading; /* zeroed: formats by content, strict */
};

struct release_input {
	const char *role, *path; /* borrowed from the order */
	char sha256[65];         /* of the file's bytes */
	struct hex_image image;  /* where it stands in the release */
};

struct release_settings { /* what an input itself asks for */
	const char *path; /* of that input, borrowed */
	bool has_fuses, has_lock;
	uint8_t fuses[PART_FUSES], lock;
};

struct release {
	struct part *part;
	struct bootloader_set known;
	struct release_input inputs[RELEASE_INPUTS];
	size_t input_count;
	struct hex_image image;
	char digest[65]; /* ihex_digest */
	uint32_t crc32;

	const struct bootloader *family;      /* asked for or recognised, else NULL */
	const struct bootloader_file *file;   /* recognised, else NULL */
	uint32_t boot_start, boot_bytes;
	uint32_t app_start; /* where the chip or the bootloader starts it; 0 on an AVR */
	struct release_settings asked;
	bool has_fuses, has_lock;
	uint8_t fuses[PART_FUSES], lock; /* bits that do not exist are 1 */
	uint32_t crystal_hz;
	bool external_clock;

	char notes[RELEASE_NOTES][320]; /* worth knowing, wrong with nothing */
	size_t note_count;
};

/* Refusals are POGO_NO; unreadable words and files POGO_INPUT. On failure *release is finished. */
int release_make(const struct release_order *order, struct release *release, struct pogo_error *err);
void release_note(struct release *release, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void release_finish(struct release *release); /* safe when zeroed */

/* The manifest: JSON, the same text for the same input (no times, base names only). image_path is
 * the file that will hold the image. *text is malloc'ed, the caller frees it. */
int release_manifest(const struct release *release, const char *image_path, char **text, size_t *len,
		     struct pogo_error *err);

/* A recipe for the station to start from; needs fuses. Both paths are of files yet to be written; the
 * image is named relative to the recipe. product NULL: the application's name. */
int release_recipe(const struct release *release, const char *image_path, const char *recipe_path,
		   const char *product, char **text, size_t *len, struct pogo_error *err);

#endif
