#include "hextools/builder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK = 64 * 1024 };
#define NOTHING_OPEN UINT64_MAX
#define HUGE_PAGE ((uintptr_t)2 << 20)

struct builder_block {
	struct builder_block *before;
	uint8_t bytes[BLOCK];
};

void builder_init(struct builder *builder)
{
	*builder = (struct builder){.next = NOTHING_OPEN, .sorted = true};
}

static void free_blocks(struct builder *builder)
{
	while (builder->blocks != NULL) {
		struct builder_block *before = builder->blocks->before;
		free(builder->blocks);
		builder->blocks = before;
	}
}

void builder_abandon(struct builder *builder)
{
	for (size_t i = 0; i < builder->count; i++)
		if (builder->pieces[i].room > 0)
			free(builder->pieces[i].bytes);
	if (builder->open.room > 0)
		free(builder->open.bytes);
	free(builder->pieces);
	free_blocks(builder);
	builder_init(builder);
}

static int out_of_memory(struct pogo_error *err)
{
	return pogo_fail(err, POGO_SYSTEM, "out of memory for the image");
}

static uint64_t end_of(const struct hex_segment *piece)
{
	return (uint64_t)piece->addr + piece->len;
}

/* Files the open piece among the others. */
static int close_open(struct builder *builder, struct pogo_error *err)
{
	struct hex_segment *open = &builder->open;
	if (builder->next == NOTHING_OPEN)
		return 0;
	open->len = (size_t)(builder->put - open->bytes);
	if (builder->count == builder->room) {
		size_t room = builder->room == 0 ? 16 : builder->room * 2;
		struct hex_segment *grown = realloc(builder->pieces, room * sizeof *grown);
		if (grown == NULL)
			return out_of_memory(err);
		builder->pieces = grown;
		builder->room = room;
	}
	if (builder->count > 0 && end_of(&builder->pieces[builder->count - 1]) >= open->addr)
		builder->sorted = false;
	builder->pieces[builder->count++] = *open;
	if (open->room > 0) /* its block has nothing behind it: the next piece starts a new one */
		builder->put = builder->limit = NULL;
	*open = (struct hex_segment){.len = 0};
	builder->next = NOTHING_OPEN;
	return 0;
}

static int new_block(struct builder *builder, struct pogo_error *err)
{
	struct builder_block *block = malloc(sizeof *block);
	if (block == NULL)
		return out_of_memory(err);
	block->before = builder->blocks;
	builder->blocks = block;
	builder->put = block->bytes;
	builder->limit = block->bytes + BLOCK;
	return 0;
}

/* A page fault for every 4 KiB costs more than decoding what goes there. */
static void advise_huge(uint8_t *bytes, size_t room)
{
	uintptr_t from = ((uintptr_t)bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	uintptr_t to = ((uintptr_t)bytes + room) & ~(HUGE_PAGE - 1);
	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* Gives the open piece memory of its own with space for `len` more bytes. A piece that has become big
 * gets address space for all that may come: it is not moved again, and untouched pages cost nothing. */
static int grow_owned(struct builder *builder, size_t len, struct pogo_error *err)
{
	struct hex_segment *open = &builder->open;
	size_t used = (size_t)(builder->put - open->bytes), room = 2 * (used + len);
	uint64_t all = used + builder->expected;
	uint8_t *bytes = NULL;
	if (used >= BLOCK && all > room && all <= SIZE_MAX / 2)
		bytes = realloc(open->room > 0 ? open->bytes : NULL, (size_t)all);
	if (bytes != NULL)
		room = (size_t)all;
	else
		bytes = realloc(open->room > 0 ? open->bytes : NULL, room);
	if (bytes == NULL)
		return out_of_memory(err);
	if (open->room == 0)
		memcpy(bytes, open->bytes, used);
	advise_huge(bytes, room);
	open->bytes = bytes;
	open->room = room;
	builder->put = bytes + used;
	builder->limit = bytes + room;
	return 0;
}

static int make_space(struct builder *builder, size_t len, struct pogo_error *err)
{
	struct hex_segment *open = &builder->open;
	size_t used = (size_t)(builder->put - open->bytes);
	if (open->room > 0 || used + len > BLOCK / 4)
		return grow_owned(builder, len, err);
	const uint8_t *old = open->bytes;
	if (new_block(builder, err) != 0)
		return -1;
	open->bytes = builder->put;
	if (used > 0)
		memcpy(builder->put, old, used);
	builder->put += used;
	return 0;
}

int builder_add(struct builder *builder, uint32_t addr, const void *bytes, size_t len,
		struct pogo_error *err)
{
	if (len == 0)
		return 0;
	if (builder->next != addr) {
		if (close_open(builder, err) != 0)
			return -1;
		if (builder->put == NULL && new_block(builder, err) != 0)
			return -1;
		builder->open = (struct hex_segment){.addr = addr, .bytes = builder->put};
		builder->next = addr;
	}
	if ((size_t)(builder->limit - builder->put) < len && make_space(builder, len, err) != 0)
		return -1;
	memcpy(builder->put, bytes, len);
	builder_advance(builder, len);
	return 0;
}

bool builder_empty(const struct builder *builder)
{
	return builder->count == 0 && builder->next == NOTHING_OPEN;
}

/* Stable, by address, in linear time: three passes of 11 bits. */
static int sort_pieces(struct builder *builder, struct pogo_error *err)
{
	size_t n = builder->count;
	struct hex_segment *from = builder->pieces, *to = malloc(n * sizeof *to);
	if (to == NULL)
		return out_of_memory(err);
	for (unsigned shift = 0; shift < 33; shift += 11) {
		size_t start[2048] = {0}, sum = 0;
		for (size_t i = 0; i < n; i++)
			start[from[i].addr >> shift & 2047]++;
		for (size_t d = 0; d < 2048; d++) {
			size_t here = start[d];
			start[d] = sum;
			sum += here;
		}
		for (size_t i = 0; i < n; i++)
			to[start[from[i].addr >> shift & 2047]++] = from[i];
		struct hex_segment *swap = from;
		from = to;
		to = swap;
	}
	builder->pieces = from;
	builder->room = n;
	free(to);
	return 0;
}

/* Piece `later` lies over bytes that are there already: tells whether one differs. */
static int compare_shared(const struct hex_segment *whole, const struct hex_segment *later,
			  struct hex_conflict *conflict, struct pogo_error *err)
{
	uint64_t end = end_of(later) < end_of(whole) ? end_of(later) : end_of(whole);
	if (end <= later->addr)
		return 0;
	size_t len = (size_t)(end - later->addr);
	const uint8_t *there = whole->bytes + (later->addr - whole->addr);
	if (memcmp(there, later->bytes, len) == 0)
		return 0;
	struct hex_conflict run = {.addr = later->addr, .len = len};
	for (size_t i = 0; i < len; i++) {
		if (there[i] == later->bytes[i] || run.differing++ > 0)
			continue;
		run.first_differing = later->addr + (uint32_t)i;
		run.old_byte = there[i];
		run.new_byte = later->bytes[i];
	}
	if (conflict != NULL)
		*conflict = run;
	return pogo_fail(err, POGO_NO, "address 0x%05" PRIX32 " has two values, %02X and %02X",
			 run.first_differing, run.old_byte, run.new_byte);
}

/* Joins pieces[first .. last - 1], which touch or overlap, into *whole, whose bytes are its own. */
static int join_group(struct builder *builder, size_t first, size_t last, uint64_t end,
		      struct hex_segment *whole, struct hex_conflict *conflict, struct pogo_error *err)
{
	struct hex_segment *head = &builder->pieces[first];
	size_t total = (size_t)(end - head->addr);
	uint8_t *bytes = head->room == total ? head->bytes
					     : realloc(head->room > 0 ? head->bytes : NULL, total);
	if (bytes == NULL)
		return out_of_memory(err);
	if (head->room == 0)
		memcpy(bytes, head->bytes, head->len);
	head->room = 0; /* now *whole owns them */
	*whole = (struct hex_segment){
		.addr = head->addr, .len = head->len, .room = total, .bytes = bytes};
	for (size_t i = first + 1; i < last; i++) {
		struct hex_segment *piece = &builder->pieces[i];
		if (compare_shared(whole, piece, conflict, err) != 0)
			return -1;
		if (end_of(piece) > end_of(whole)) {
			size_t known = (size_t)(end_of(whole) - piece->addr);
			memcpy(bytes + whole->len, piece->bytes + known, piece->len - known);
			whole->len += piece->len - known;
		}
		if (piece->room > 0)
			free(piece->bytes);
		piece->room = 0;
	}
	return 0;
}

static size_t count_groups(const struct builder *builder)
{
	size_t groups = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < builder->count; i++) {
		const struct hex_segment *piece = &builder->pieces[i];
		groups += i == 0 || piece->addr > end;
		if (end_of(piece) > end)
			end = end_of(piece);
	}
	return groups;
}

static int build(struct builder *builder, struct hex_image *image, struct hex_conflict *conflict,
		 struct pogo_error *err)
{
	if (close_open(builder, err) != 0 || (!builder->sorted && sort_pieces(builder, err) != 0))
		return -1;
	size_t groups = count_groups(builder);
	image->segments = malloc((groups > 0 ? groups : 1) * sizeof *image->segments);
	if (image->segments == NULL)
		return out_of_memory(err);
	image->room = groups;
	for (size_t first = 0, last; first < builder->count; first = last) {
		uint64_t end = end_of(&builder->pieces[first]);
		for (last = first + 1; last < builder->count && builder->pieces[last].addr <= end; last++)
			if (end_of(&builder->pieces[last]) > end)
				end = end_of(&builder->pieces[last]);
		struct hex_segment *whole = &image->segments[image->count];
		*whole = (struct hex_segment){.len = 0};
		image->count++; /* also when it fails: finish frees what is there */
		if (join_group(builder, first, last, end, whole, conflict, err) != 0)
			return -1;
	}
	return 0;
}

int builder_finish(struct builder *builder, struct hex_image *image, struct hex_conflict *conflict,
		   struct pogo_error *err)
{
	int rc = build(builder, image, conflict, err);
	if (rc != 0)
		hex_image_finish(image);
	builder_abandon(builder);
	return rc;
}
