#include "station/view/layout.h"

enum {
	TILE_COLS_MIN = 9, /* name, shape and a four-letter word */
	TILE_ROWS_MIN = 2, /* and a bar or the last result under it */
	LIST_COLS = 10,
	TALL = 20, /* rows from which header and footer may have two rows each */
};

static int least(int a, int b)
{
	return a < b ? a : b;
}

static int body_rows(const struct tui_layout *layout)
{
	int rows = layout->rows - layout->header_rows - layout->footer_rows - layout->too_small;

	return rows > 0 ? rows : 0;
}

/* The grid whose tiles come nearest to a square (a character is twice as high as wide) and are largest;
 * between equals the one with fewer empty places. */
static void choose_grid(struct tui_layout *layout)
{
	int slots = (int)layout->slots, body = body_rows(layout), best = -1, best_empty = 0;

	for (int cols = 1; cols <= slots; cols++) {
		int rows = (slots + cols - 1) / cols;
		int tile_cols = layout->cols / cols, tile_rows = body / rows;
		int size = least(tile_cols, 2 * tile_rows), empty = rows * cols - slots;

		if (tile_cols < TILE_COLS_MIN || tile_rows < TILE_ROWS_MIN)
			continue;
		if (size > best || (size == best && empty <= best_empty)) {
			best = size;
			best_empty = empty;
			layout->grid_cols = cols;
			layout->grid_rows = rows;
		}
	}
	layout->too_small = best < 0;
}

/* A line per slot, in as many columns as fit; the header gives way first. */
static void choose_list(struct tui_layout *layout)
{
	layout->header_rows = layout->rows >= 6;
	layout->footer_rows = layout->rows >= 4;
	layout->grid_rows = body_rows(layout);
	layout->grid_cols = layout->cols >= LIST_COLS ? layout->cols / LIST_COLS : layout->cols > 0;
	size_t places = (size_t)layout->grid_rows * (size_t)layout->grid_cols;
	layout->shown = layout->slots < places ? layout->slots : places;
}

struct tui_layout tui_layout(int rows, int cols, size_t slots)
{
	struct tui_layout layout = { .rows = rows, .cols = cols, .slots = slots, .shown = slots };

	layout.header_rows = layout.footer_rows = rows >= TALL ? 2 : 1;
	if (slots == 0)
		return layout;
	choose_grid(&layout);
	if (layout.too_small)
		choose_list(&layout);
	return layout;
}

/* Splits `length` into `parts` that differ by at most one and fill it: start of part i. */
static int part_start(int length, int parts, int i)
{
	return (int)((long)length * i / parts);
}

struct tui_rect tui_layout_tile(const struct tui_layout *layout, size_t slot)
{
	struct tui_rect rect = { 0, 0, 0, 0 };
	int top = layout->header_rows + layout->too_small;

	if (slot >= layout->shown)
		return rect;
	int row = (int)slot / layout->grid_cols, col = (int)slot % layout->grid_cols;
	int body = body_rows(layout);
	rect.y = top + part_start(body, layout->grid_rows, row);
	rect.rows = top + part_start(body, layout->grid_rows, row + 1) - rect.y;
	rect.x = part_start(layout->cols, layout->grid_cols, col);
	rect.cols = part_start(layout->cols, layout->grid_cols, col + 1) - rect.x;
	return rect;
}
