#ifndef POGO_HEXTOOLS_IMAGE_H
#define POGO_HEXTOOLS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"

/* A memory image: a sorted map of non-overlapping, non-touching segments over 32-bit addresses.
 * Memory follows the data, never the span. Addresses are byte addresses; AVR memories other than
 * flash stand where avr-gcc puts them (avr-libc, section names of <avr/eeprom.h>, <avr/fuse.h>, <avr/lock.h>,
 * <avr/signature.h>). Visible so that readers can walk it;
 * only image.c and builder.c write it. Owner: whoever called init; finish frees the bytes (safe when zeroed). */

#define AVR_EEPROM_BASE 0x810000u
#define AVR_FUSE_BASE 0x820000u
#define AVR_LOCK_BASE 0x830000u
#define AVR_SIGNATURE_BASE 0x840000u
#define AVR_USER_SIGNATURE_BASE 0x850000u
#define AVR_PAGE 0x10000u /* so much room each of them has */

/* How many digits an address has in a message: 0x07000, 0x810000, 0x08002000. */
static inline int hex_digits(uint64_t address)
{
	return address > 0xFFFFFF ? 8 : 5;
}

struct hex_segment {
	uint32_t addr;  /* first byte; addr + len <= 2^32 */
	size_t len;     /* 1 .. 2^32 */
	size_t room;    /* private to image.c */
	uint8_t *bytes; /* owned by the image */
};

enum hex_start_kind { HEX_START_NONE, HEX_START_SEGMENT /* type 03, CS:IP */, HEX_START_LINEAR /* 05 */ };

struct hex_image {
	struct hex_segment *segments; /* ascending by addr */
	size_t count, room;
	enum hex_start_kind start_kind;
	uint32_t start; /* CS << 16 | IP, or EIP */
	bool ascending; /* as read: every record of the text lay above the one before it */
};

/* What to do with a byte that is already there. ERROR refuses any, SAME refuses a differing one. */
enum hex_overlap { HEX_OVERLAP_ERROR, HEX_OVERLAP_SAME, HEX_OVERLAP_FIRST, HEX_OVERLAP_LAST };

/* One run of bytes present on both sides: where, how many, how many differ, the first two that do. */
struct hex_conflict {
	uint32_t addr;
	uint64_t len, differing;
	uint32_t first_differing;
	uint8_t old_byte, new_byte;
};

void hex_image_init(struct hex_image *image);
void hex_image_finish(struct hex_image *image);
int hex_image_copy(struct hex_image *to, const struct hex_image *from, struct pogo_error *err);

/* Adds len bytes at addr. On refusal the image is unchanged, *conflict (may be NULL) tells the first
 * run in the way, class POGO_NO. Running past 4 GiB: POGO_INPUT. Amortised O(1) for ascending adds. */
int hex_image_add(struct hex_image *image, uint32_t addr, const void *bytes, size_t len,
		  enum hex_overlap rule, struct hex_conflict *conflict, struct pogo_error *err);

/* Moves all data of *from into *to and leaves *from without data, also on refusal (then *to may have some
 * of it). As hex_image_add, but copies nothing that need not be, and gives memory back as it goes. */
int hex_image_absorb(struct hex_image *to, struct hex_image *from, enum hex_overlap rule,
		     struct hex_conflict *conflict, struct pogo_error *err);

/* Copies [addr, addr + len) out, holes filled with `fill`; returns how many bytes were data. */
size_t hex_image_read(const struct hex_image *image, uint32_t addr, uint8_t *out, size_t len, uint8_t fill);

/* The AVR memory in which all of a segment lies, as a word ("EEPROM", "fuses", "lock bits", "signature",
 * "user signatures"); NULL: flash, or no AVR. */
const char *hex_segment_memory(const struct hex_segment *segment);

/* First segment that ends above addr, or NULL: the start of every walk over a range. */
const struct hex_segment *hex_image_from(const struct hex_image *image, uint32_t addr);

/* Moves all data by offset; leaving the 32-bit addresses is POGO_INPUT. The start record stays. */
int hex_image_shift(struct hex_image *image, int64_t offset, struct pogo_error *err);

/* CRC-32 of everything from the lowest to the highest data byte, holes as 0xFF: what names a known
 * file whatever its records look like. False: no data, or a span above 64 MiB, which no chip here has. */
bool hex_image_crc32(const struct hex_image *image, uint32_t *crc);

uint64_t hex_image_bytes(const struct hex_image *image); /* data bytes, holes not counted */
bool hex_image_equal(const struct hex_image *a, const struct hex_image *b); /* data and start */

#endif
