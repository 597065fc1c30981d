#ifndef POGO_HEXTOOLS_FUSE_WORDS_H
#define POGO_HEXTOOLS_FUSE_WORDS_H

#include "hextools/bootloader.h"
#include "hextools/part.h"

/* What a set of fuse bytes means, in words: each field, and what is worth saying of the whole. */

enum { FUSE_REMARKS = 20 };

enum fuse_weight {
	FUSE_NOTE,
	FUSE_WARNING, /* works, but seldom as meant */
	FUSE_DANGER,  /* the chip could not be reached again, or not without parts that are not there */
};

struct fuse_word {
	const struct part_fuse_bit *bit; /* borrowed from the part */
	unsigned value;
	char text[120];
};

struct fuse_remark {
	enum fuse_weight weight;
	char text[640];
};

struct fuse_report {
	const struct part *part;
	uint8_t fuses[PART_FUSES];
	struct fuse_word words[PART_FUSE_BITS];
	size_t word_count;
	char clock[80], startup[48]; /* "low-power crystal oscillator, 8 to 16 MHz", "258 CK + 65 ms"; empty: unknown */
	uint32_t cpu_hz, sck_hz;     /* 0: no clock would run */
	bool has_boot, boot_reset, eeprom_kept;
	uint32_t boot_start, boot_bytes;
	struct fuse_remark remarks[FUSE_REMARKS];
	size_t remark_count;
	bool dangerous;
};

/* crystal_hz: what the board has; external_clock: a clock signal is fed to XTAL1. */
void fuse_report_make(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz,
		      bool external_clock, struct fuse_report *report);

/* Adds what these fuses are for this bootloader: wrong boot start, wrong BOOTRST, the guide's slips. */
void fuse_report_bootloader(struct fuse_report *report, const struct bootloader *family,
			    const struct bootloader_part *entry);

/* "NAME=VALUE" into the bytes. VALUE: decimal, 0x…, 0b…, and for one bit programmed or unprogrammed. An
 * unknown name or a value that does not fit is POGO_INPUT, and names what would. */
int fuse_set(const struct part *part, const char *assignment, uint8_t fuses[PART_FUSES],
	     struct pogo_error *err);

const char *fuse_weight_name(enum fuse_weight weight); /* "note", "warning", "danger" */

#endif
