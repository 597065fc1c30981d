#ifndef POGO_STATION_VIEW_GLYPH_H
#define POGO_STATION_VIEW_GLYPH_H

#include <stdbool.h>

/* Letters large enough for two metres: 3 x 5 points each, drawn in whole character cells or, where there
 * is little height, two points per cell. */

enum { GLYPH_COLS = 3, GLYPH_ROWS = 5 };

struct glyph_size {
	int x, y;    /* cells per point; y 0 = half a cell (needs half-block characters); x 0 = does not fit */
	int rows, cols; /* of the whole word */
};

bool glyph_known(const char *word); /* every character has a picture (A-Z a-z 0-9 - space) */
/* The largest size at which the word fits into rows x cols. */
struct glyph_size glyph_fit(const char *word, int rows, int cols, bool half_blocks);
/* Is the point set? In points of the word: column 0 .. 4 * letters - 2, row 0 .. 4; outside: no. */
bool glyph_point(const char *word, int row, int col);

#endif
