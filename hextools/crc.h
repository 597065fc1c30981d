#ifndef POGO_HEXTOOLS_CRC_H
#define POGO_HEXTOOLS_CRC_H

#include "hextools/edit.h"

/* Checksums of image ranges: the 8, 16 and 32 bit algorithms of the "Catalogue of parametrised CRC
 * algorithms" (reveng.sourceforge.io) by their names there, byte sums, XOR and SHA-256. */

enum crc_kind {
	CRC_POLYNOMIAL,
	CRC_SUM,  /* of the bytes, modulo 2^width */
	CRC_TWOS, /* what must be added to the sum to make it 0 */
	CRC_XOR,
	CRC_SHA256,
};

enum { CRC_MAX_BYTES = 32 };

struct crc_algorithm {
	const char *name;
	/* The catalogue's parameters; those of CRC_POLYNOMIAL only. */
	uint32_t poly, init, xorout;
	uint32_t check; /* over the nine characters 123456789 */
	enum crc_kind kind;
	uint8_t width; /* bits; SHA-256: 0 */
	bool refin, refout;
};

const struct crc_algorithm *crc_algorithms(size_t *count);

/* By name or a common other name ("CRC-32", "CRC-16/CCITT-FALSE"), in any case; NULL: unknown. */
const struct crc_algorithm *crc_find(const char *name);

unsigned crc_bytes(const struct crc_algorithm *algorithm);

struct crc_run;
/* NULL: out of memory. Ended by crc_end. */
struct crc_run *crc_begin(const struct crc_algorithm *algorithm);
void crc_add(struct crc_run *run, const void *data, size_t len);
/* The value, most significant byte first, crc_bytes() of them; frees the run. */
void crc_end(struct crc_run *run, uint8_t value[CRC_MAX_BYTES]);

/* What bytes of a range count as that have no data, and those where the value itself will stand. */
struct crc_holes {
	int fill;             /* 0 .. 255; -1: a hole is refused (POGO_NO) */
	bool has_self;
	struct hex_range self; /* the bytes of the value … */
	int self_byte;         /* … count as this, or are left out (-1) */
};

int crc_image(const struct crc_algorithm *algorithm, const struct hex_image *image,
	      const struct hex_range *range, const struct crc_holes *holes,
	      uint8_t value[CRC_MAX_BYTES], struct pogo_error *err);

#endif
