#ifndef POGO_HEXTOOLS_DIFF_H
#define POGO_HEXTOOLS_DIFF_H

#include "hextools/edit.h"
#include "hextools/image.h"

/* How two images differ, walked in ascending order with no memory of its own. */

enum diff_kind { DIFF_ONLY_A, DIFF_ONLY_B, DIFF_BYTES };

struct diff_range {
	enum diff_kind kind;
	uint32_t first;
	uint64_t len;
	uint64_t differing; /* of DIFF_BYTES: how many of the bytes; else len */
};

struct diff_total {
	uint64_t only_a, only_b, differing, equal; /* bytes */
	uint64_t ranges;
	bool start_differs;
};

/* Calls visit (may be NULL) for each range. Runs of differing bytes with at most `gap` equal bytes
 * between them are one range. A visit that returns non-zero ends the walk, which returns the same. */
int diff_walk(const struct hex_image *a, const struct hex_image *b, size_t gap,
	      int (*visit)(void *context, const struct diff_range *range), void *context,
	      struct diff_total *total);

bool diff_same(const struct diff_total *total);

/* Flash pages of `page` bytes in `flash`, which begins with one: how many hold data in either image, and how many of
 * those read differently when erased memory (0xFF) stands where an image has no data: those a
 * programmer must write again to turn one into the other. */
struct diff_pages {
	uint64_t used, differing;
};

void diff_count_pages(const struct hex_image *a, const struct hex_image *b, uint32_t page,
		      const struct hex_range *flash, struct diff_pages *pages);

#endif
