#include "hextools/diff.h"

#include <string.h>

/* Both images cut at the same places: a piece is data of A, of B or of both. */
struct piece {
	uint64_t first, len;
	const uint8_t *a, *b; /* NULL: no data on that side */
};

struct cursor {
	const struct hex_segment *at, *end;
};

static struct cursor cursor_of(const struct hex_image *image)
{
	return (struct cursor){image->segments, image->segments + image->count};
}

static uint64_t end_of(const struct hex_segment *segment)
{
	return (uint64_t)segment->addr + segment->len;
}

/* Where the side next changes between data and none, at or above addr; *bytes: its data at addr. */
static uint64_t next_edge(struct cursor *cursor, uint64_t addr, const uint8_t **bytes)
{
	*bytes = NULL;
	while (cursor->at < cursor->end && end_of(cursor->at) <= addr)
		cursor->at++;
	if (cursor->at == cursor->end)
		return UINT64_MAX;
	if (cursor->at->addr > addr)
		return cursor->at->addr;
	*bytes = cursor->at->bytes + (addr - cursor->at->addr);
	return end_of(cursor->at);
}

/* The next piece that has data on some side. */
static bool next_piece(struct cursor *a, struct cursor *b, uint64_t addr, struct piece *piece)
{
	for (;;) {
		uint64_t edge_a = next_edge(a, addr, &piece->a);
		uint64_t edge_b = next_edge(b, addr, &piece->b);
		uint64_t edge = edge_a < edge_b ? edge_a : edge_b;
		if (edge == UINT64_MAX)
			return false;
		piece->first = addr;
		piece->len = edge - addr;
		if (piece->a != NULL || piece->b != NULL)
			return true;
		addr = edge;
	}
}

struct walk {
	struct diff_total *total;
	int (*visit)(void *context, const struct diff_range *range);
	void *context;
	size_t gap;
	struct diff_range open; /* the range that may still grow; len 0: none */
};

static int flush(struct walk *walk)
{
	struct diff_range range = walk->open;
	walk->open.len = 0;
	if (range.len == 0)
		return 0;
	walk->total->ranges++;
	return walk->visit != NULL ? walk->visit(walk->context, &range) : 0;
}

static int grow(struct walk *walk, enum diff_kind kind, uint64_t first, uint64_t len)
{
	struct diff_range *open = &walk->open;
	uint64_t reach = (uint64_t)open->first + open->len + (kind == DIFF_BYTES ? walk->gap : 0);
	if (open->len > 0 && open->kind == kind && first <= reach) {
		open->len = first + len - open->first;
		open->differing += len;
		return 0;
	}
	int rc = flush(walk);
	*open = (struct diff_range){kind, (uint32_t)first, len, len};
	return rc;
}

/* Equal bytes before the first difference. Words first: most of two builds is equal. */
static uint64_t equal_run(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t i = 0;
	while (len - i >= 256 && memcmp(a + i, b + i, 256) == 0)
		i += 256;
	while (i < len && a[i] == b[i])
		i++;
	return i;
}

static int compare_bytes(struct walk *walk, const struct piece *piece)
{
	for (uint64_t i = 0; i < piece->len;) {
		uint64_t same = equal_run(piece->a + i, piece->b + i, piece->len - i);
		walk->total->equal += same;
		i += same;
		uint64_t from = i;
		while (i < piece->len && piece->a[i] != piece->b[i])
			i++;
		walk->total->differing += i - from;
		int rc = i > from ? grow(walk, DIFF_BYTES, piece->first + from, i - from) : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int visit_piece(struct walk *walk, const struct piece *piece)
{
	if (piece->a != NULL && piece->b != NULL)
		return compare_bytes(walk, piece);
	if (piece->a != NULL)
		walk->total->only_a += piece->len;
	else
		walk->total->only_b += piece->len;
	return grow(walk, piece->a != NULL ? DIFF_ONLY_A : DIFF_ONLY_B, piece->first, piece->len);
}

int diff_walk(const struct hex_image *a, const struct hex_image *b, size_t gap,
	      int (*visit)(void *context, const struct diff_range *range), void *context,
	      struct diff_total *total)
{
	struct walk walk = {.total = total, .visit = visit, .context = context, .gap = gap};
	struct cursor in_a = cursor_of(a), in_b = cursor_of(b);
	struct piece piece = {0};
	*total = (struct diff_total){0};
	total->start_differs = a->start_kind != b->start_kind ||
			       (a->start_kind != HEX_START_NONE && a->start != b->start);
	for (uint64_t addr = 0; next_piece(&in_a, &in_b, addr, &piece); addr = piece.first + piece.len) {
		int rc = visit_piece(&walk, &piece);
		if (rc != 0)
			return rc;
	}
	return flush(&walk);
}

bool diff_same(const struct diff_total *total)
{
	return total->ranges == 0 && !total->start_differs;
}

/* First byte of the piece, from `skip` on, that reads differently; len if none. */
static uint64_t first_unlike(const struct piece *piece, uint64_t skip)
{
	uint64_t i = skip;
	if (piece->a != NULL && piece->b != NULL)
		return i + equal_run(piece->a + i, piece->b + i, piece->len - i);
	const uint8_t *only = piece->a != NULL ? piece->a : piece->b;
	while (i < piece->len && only[i] == 0xFF)
		i++;
	return i;
}

void diff_count_pages(const struct hex_image *a, const struct hex_image *b, uint32_t page,
		      const struct hex_range *flash, struct diff_pages *pages)
{
	struct cursor in_a = cursor_of(a), in_b = cursor_of(b);
	struct piece piece;
	uint64_t used_to = 0, unlike_to = 0; /* pages below are counted: first address above them */
	*pages = (struct diff_pages){0};
	for (uint64_t addr = flash->first; next_piece(&in_a, &in_b, addr, &piece) && piece.first <= flash->last;
	     addr = piece.first + piece.len) {
		if (piece.len > flash->last - piece.first + 1)
			piece.len = flash->last - piece.first + 1;
		uint64_t end = piece.first + piece.len;
		uint64_t from = piece.first > used_to ? piece.first / page * page : used_to;
		if (end > from) {
			used_to = (end + page - 1) / page * page;
			pages->used += (used_to - from) / page;
		}
		uint64_t at = unlike_to > piece.first ? unlike_to - piece.first : 0;
		while (at < piece.len && (at = first_unlike(&piece, at)) < piece.len) {
			unlike_to = (piece.first + at) / page * page + page;
			pages->differing++;
			at = unlike_to - piece.first;
		}
	}
}
