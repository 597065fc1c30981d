#ifndef POGO_STATION_RECIPE_H
#define POGO_STATION_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/image.h"
#include "hextools/part.h"

/* A recipe: everything that one product needs, proved before any device is opened. Immutable after load
 * and shared by all slots. Paths in the file are relative to the file. */

struct serial_rule {
	bool wanted;
	char prefix[24];
	unsigned width;       /* digits, 1..18, zero-padded */
	uint64_t first;       /* the number of the first unit ever */
	uint32_t address;     /* image address: flash from part->flash_start, or AVR_EEPROM_BASE + x */
	unsigned length;      /* prefix + width: ASCII characters written, no terminator */
};

/* What stands in the option bytes afterwards, complements not counted (STM32F1, PM0075 2.5). */
struct option_bytes {
	bool wanted; /* false: they are left alone */
	uint8_t user, data[2], wrp[4];
};

struct recipe {
	char path[512], product[64];
	char digest[65];       /* SHA-256 of the recipe file's bytes */
	char *text;            /* the file, owned: goes into the log */
	struct part *part;     /* owned */
	struct hex_image image; /* owned: the release, without any serial */
	char image_path[512];
	char image_digest[65]; /* ihex_digest of the image; proved equal to the recipe's */
	uint32_t image_crc32;  /* hex_image_crc32, as in the release manifest */
	uint8_t fuses[PART_FUSES];
	bool write_lock;
	uint8_t lock;
	uint32_t crystal_hz;   /* on the board; 0 none */
	bool external_clock;   /* CKSEL external is meant */
	/* Final fuses that keep CKDIV8 make a slow chip. The owner of the product allows that the fast phase runs
	 * with fast_fuses, the final ones but for CKDIV8; the final ones follow before the lock bits. */
	bool fast_clock;
	uint8_t fast_fuses[PART_FUSES]; /* of use only with fast_clock: see recipe_fast_fuses */
	/* stm32f1 */
	bool allow_unlock;  /* a read-protected board may be unprotected, which erases it */
	bool full_readback; /* verify compares every byte read over SWD; false: a CRC that the chip computes */
	bool protect;       /* read-out protection on, as the last step */
	struct option_bytes options;
	struct serial_rule serial;
	char note[200];        /* nothing wrong, but worth a line when the recipe is checked; "" = nothing */
};

/* Loads and proves: keys, part, image digest, image against part and boot section, fuses safe, serial
 * field free in the image. Errors name file, line and key: POGO_INPUT when something cannot be read or
 * understood, POGO_NO when it is clear but must not be flashed (digest, image, fuses, lock, serial).
 * `configs` is the option's folder; NULL: where conf_dir finds one. */
int recipe_load(const char *configs, const char *path, struct recipe **out, struct pogo_error *err);
/* The fuses of the fast phase: the final ones where the recipe allows no others. */
const uint8_t *recipe_fast_fuses(const struct recipe *recipe);
void recipe_free(struct recipe *recipe); /* NULL is fine */

/* The image for one board: a copy of the release with the serial's characters at their place.
 * *image must be initialised and is the caller's. serial may be NULL when none is wanted. */
int recipe_unit_image(const struct recipe *recipe, const char *serial, struct hex_image *image, struct pogo_error *err);

#endif
