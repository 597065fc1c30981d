#ifndef POGO_STATION_VIEW_LAYOUT_H
#define POGO_STATION_VIEW_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/* Where the terminal view puts what. Pure: numbers in, numbers out. */

struct tui_rect {
	int y, x, rows, cols; /* rows 0: not shown */
};

struct tui_layout {
	int rows, cols;
	int header_rows, footer_rows; /* at the top, at the bottom */
	bool too_small;		      /* one line says so under the header; tiles are a list */
	int grid_rows, grid_cols;
	size_t slots, shown;	      /* shown < slots only in a list that has no room for all */
};

struct tui_layout tui_layout(int rows, int cols, size_t slots);
struct tui_rect tui_layout_tile(const struct tui_layout *layout, size_t slot);

#endif
