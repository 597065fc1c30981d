#ifndef POGO_HEXTOOLS_BOOTLOADER_H
#define POGO_HEXTOOLS_BOOTLOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"
#include "hextools/image.h"
#include "hextools/part.h"

/* A bootloader family as data: configs/bootloaders/NAME.cfg. A known file is told by the CRC-32 of
 * its image (hex_image_crc32), which neither line ends nor record layout change. */

enum { BOOTLOADER_PARTS = 16, BOOTLOADER_FILES = 40, BOOTLOADER_FAMILIES = 16 };

/* Where a reset must lead. */
enum bootloader_reset {
	BOOTLOADER_RESET_BOOT,        /* into the boot section: BOOTRST programmed */
	BOOTLOADER_RESET_APPLICATION, /* to address 0; HWB pin or a jump enters: BOOTRST unprogrammed */
	BOOTLOADER_RESET_UNKNOWN,     /* closed source, not published */
};

struct bootloader_part {
	char part[24];
	uint32_t section_bytes; /* what its boot section must be */
	uint32_t section_start; /* at the end of an AVR's flash, at the start of an STM32's */
	uint32_t reserved_bytes; /* end (start) of the flash that no application may use: the section or more */
	bool has_fuses, has_guide;
	uint8_t fuses[PART_FUSES];
	uint8_t guide[PART_FUSES]; /* what the guide prints, where the fuses differ from it */
	char remark[320];          /* a sentence on the fuses, or empty */
	char usb[12]; /* "03EB:2FF4" while the bootloader runs, or empty */
};

struct bootloader_file {
	char name[64], title[64], part[24], usb[12];
	char also[64]; /* the part's twins that it fits too (at90usb647 for 646), with spaces between them; or empty */
	uint32_t crc32;
	bool sketch; /* not the bootloader alone: an example program lies below it */
	bool has_fuses;
	uint8_t fuses[PART_FUSES]; /* where they differ from the part's */
};

struct bootloader {
	char name[24], title[64];
	enum bootloader_reset reset;
	bool has_lock;
	uint8_t lock; /* recommended for production */
	struct bootloader_part parts[BOOTLOADER_PARTS];
	size_t part_count;
	struct bootloader_file files[BOOTLOADER_FILES];
	size_t file_count;
};

struct bootloader_set {
	struct bootloader *family; /* ascending by name */
	size_t count;
};

/* Every file of CONFIGS/bootloaders, proved against the parts that it names. */
int bootloader_load_all(const char *configs, struct bootloader_set *set, struct pogo_error *err);
void bootloader_set_finish(struct bootloader_set *set); /* safe when zeroed */

/* NULL if there is no such family, part in the family, or file with this image. */
const struct bootloader *bootloader_find(const struct bootloader_set *set, const char *name);
const struct bootloader_part *bootloader_part(const struct bootloader *family, const char *part);
bool bootloader_fits(const struct bootloader_file *file, const char *part);
const struct bootloader_file *bootloader_file(const struct bootloader *family, uint32_t crc32);

/* The first known file that the image is: *family and *file, or false. */
bool bootloader_recognise(const struct bootloader_set *set, const struct hex_image *image,
			  const struct bootloader **family, const struct bootloader_file **file);

/* The same for an image whose boot section holds a known file, whatever lies below it. */
bool bootloader_inside(const struct bootloader_set *set, const struct hex_image *image,
		       const struct bootloader **family, const struct bootloader_file **file);

/* The published fuses of a file, or of its family on this part; NULL if there are none. */
const uint8_t *bootloader_fuses(const struct bootloader *family, const struct bootloader_file *file,
				const char *part);

#endif
