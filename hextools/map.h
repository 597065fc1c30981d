#ifndef POGO_HEXTOOLS_MAP_H
#define POGO_HEXTOOLS_MAP_H

#include <stdio.h>

#include "hextools/image.h"
#include "hextools/part.h"

/* A drawing of a part's memories and of what images put there, 64 cells a line; a cell is a flash page,
 * or several in large parts, so that there are 16 lines at most. */

struct map_view {
	const struct part *part;
	bool has_boot; /* the boot section is known */
	uint32_t boot_start, boot_bytes;
	const struct hex_image *const *images;
	size_t count;
	bool utf8, colour;
};

enum map_cell { MAP_FREE, MAP_FREE_BOOT, MAP_APPLICATION, MAP_BOOT, MAP_CONFLICT };

struct map_bytes {
	uint64_t application, boot, eeprom;
	uint64_t conflict; /* bytes that more than one image has */
	uint64_t outside;  /* in no memory of the part */
};

/* What `len` bytes at addr are, and adds them up in *bytes. */
enum map_cell map_look(const struct map_view *view, uint32_t addr, uint32_t len, struct map_bytes *bytes);

uint32_t map_cell_bytes(uint32_t memory_bytes, uint32_t page);

void map_draw(FILE *out, const struct map_view *view);

#endif
