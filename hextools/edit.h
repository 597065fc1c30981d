#ifndef POGO_HEXTOOLS_EDIT_H
#define POGO_HEXTOOLS_EDIT_H

#include "hextools/image.h"
#include "hextools/part.h"

/* Ranges of addresses and what can be done to an image with them. Every call is all or nothing: on
 * failure the image is as it was. The cost is linear in the data, whatever the ranges are. */

struct hex_range {
	uint32_t first, last; /* both inside; so the whole 4 GiB is 0 .. 0xFFFFFFFF */
};

/* What the words flash, eeprom, boot and app mean; a zeroed one knows no word. */
struct range_words {
	const struct part *part;
	bool has_boot; /* the fuses are known and select a boot section */
	uint32_t boot_start, boot_bytes;
};

/* "0x7000-0x7FFF" (last byte inside), "0x7000+4096" (first byte and length), "0x7000" (one byte), or
 * one of the words. POGO_INPUT if it is none of these. */
int range_parse(const char *text, const struct range_words *words, struct hex_range *range,
		struct pogo_error *err);

uint64_t range_len(const struct hex_range *range);
bool range_has(const struct hex_range *range, uint32_t addr);

/* From the lowest to the highest data byte; false: the image is empty. */
bool range_of_image(const struct hex_image *image, struct hex_range *range);

/* Data bytes of the image inside the range; *hole (may be NULL) gets the first byte without data,
 * and is left alone when there is none. */
uint64_t range_count(const struct hex_image *image, const struct hex_range *range, uint32_t *hole);

/* Adds what `from` has inside the range to *to, which must not have data there or above it. */
int edit_copy(struct hex_image *to, const struct hex_image *from, const struct hex_range *range,
	      struct pogo_error *err);

/* Drops the bytes 0xFF at the image's end, where erased memory reads the same. */
int edit_trim_end(struct hex_image *image, struct pogo_error *err);

/* Keeps (crop) or drops (exclude) the bytes of the ranges, which may overlap and come in any order.
 * The start record stays. If no byte would be left: POGO_NO. */
int edit_crop(struct hex_image *image, const struct hex_range *ranges, size_t count,
	      struct pogo_error *err);
int edit_exclude(struct hex_image *image, const struct hex_range *ranges, size_t count,
		 struct pogo_error *err);

/* Moves the bytes of the range (NULL: all) by `offset`. Landing on bytes that stay is POGO_NO. */
int edit_move(struct hex_image *image, const struct hex_range *range, int64_t offset,
	      struct pogo_error *err);

/* What a fill writes: a pattern that begins at the range's first byte, or, if `len` is 0, noise in
 * which each byte follows from the seed and its own address only. */
struct edit_filler {
	const uint8_t *pattern;
	size_t len;
	uint64_t seed;
};

/* Writes every byte of the range that has no data, with `over` also those that have. No chip here has
 * a memory above 64 MiB: a longer range is POGO_INPUT. *filled (may be NULL): how many bytes. */
int edit_fill(struct hex_image *image, const struct hex_range *range, const struct edit_filler *filler,
	      bool over, uint64_t *filled, struct pogo_error *err);

/* Replaces len bytes at addr, data or not. */
int edit_put(struct hex_image *image, uint32_t addr, const void *bytes, size_t len,
	     struct pogo_error *err);

/* Are all these bytes absent or 0xFF, as erased memory is? If not, *at is the first that is not. */
bool edit_blank(const struct hex_image *image, const struct hex_range *range, uint32_t *at);

#endif
