#include "hextools/builder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	BLOCK = 64 * 1024,       /* the first; each is twice as long as the one before, */
	MOST_BLOCK = 4096 * 1024, /* up to this */
	AHEAD = 8,
	OWN = 16 * 1024,         /* a longer piece has memory of its own */
};
#define NOTHING_OPEN UINT64_MAX
#define HUGE_PAGE ((size_t)2 << 20)

struct builder_block {
	struct builder_block *before;
	size_t size;
	uint8_t bytes[];
};

/* A run of bytes in the order of the file. Short, because a shuffled file has one for every record. */
struct builder_piece {
	uint32_t addr;
	uint32_t len_minus_1;
	uint8_t *bytes; /* malloc'ed if longer than OWN, else in a block; NULL: given away */
};

void builder_init(struct builder *builder)
{
	*builder = (struct builder){.next = NOTHING_OPEN, .sorted = true};
}

static bool owns(const struct builder_piece *piece)
{
	return piece->bytes != NULL && piece->len_minus_1 >= OWN;
}

void builder_abandon(struct builder *builder)
{
	for (size_t i = 0; i < builder->count; i++)
		if (owns(&builder->pieces[i]))
			free(builder->pieces[i].bytes);
	if (builder->open_room > 0)
		free(builder->open_bytes);
	free(builder->pieces);
	while (builder->blocks != NULL) {
		struct builder_block *before = builder->blocks->before;
		free(builder->blocks);
		builder->blocks = before;
	}
	builder_init(builder);
}

static int out_of_memory(struct pogo_error *err)
{
	return pogo_fail(err, POGO_SYSTEM, "out of memory for the image");
}

static size_t len_of(const struct builder_piece *piece)
{
	return (size_t)piece->len_minus_1 + 1;
}

static uint64_t end_of(const struct builder_piece *piece)
{
	return (uint64_t)piece->addr + len_of(piece);
}

/* A page fault for every 4 KiB costs more than decoding what goes there. All of the mapping is advised,
 * from malloc's head on: one with two kinds of pages could not be grown in place. */
static void advise_huge(void *bytes, size_t room)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t head = (uintptr_t)bytes & (page - 1);
	size_t len = (head + room + page - 1) & ~(page - 1);
	if (room >= HUGE_PAGE)
		madvise((uint8_t *)bytes - head, len, MADV_HUGEPAGE);
}

static int more_pieces(struct builder *builder, struct pogo_error *err)
{
	size_t room = builder->room == 0 ? 64 : builder->room * 2;
	struct builder_piece *grown = realloc(builder->pieces, room * sizeof *grown);
	if (grown == NULL)
		return out_of_memory(err);
	advise_huge(grown, room * sizeof *grown);
	builder->pieces = grown;
	builder->room = room;
	return 0;
}

/* Files the open piece among the others. */
static int close_open(struct builder *builder, struct pogo_error *err)
{
	if (builder->next == NOTHING_OPEN)
		return 0;
	if (builder->count == builder->room && more_pieces(builder, err) != 0)
		return -1;
	uint8_t *bytes = builder->open_bytes;
	if (builder->count > 0 && end_of(&builder->pieces[builder->count - 1]) >= builder->open_addr)
		builder->sorted = false;
	builder->pieces[builder->count++] = (struct builder_piece){
		builder->open_addr, (uint32_t)(builder->put - bytes - 1), bytes};
	if (builder->open_room == 0) {
		builder->block_put = builder->put;
	} else {
		builder->last_own = bytes;
		builder->last_room = builder->open_room;
	}
	builder->put = builder->limit = builder->open_bytes = NULL;
	builder->open_room = 0;
	builder->next = NOTHING_OPEN;
	return 0;
}

static int new_block(struct builder *builder, struct pogo_error *err)
{
	size_t size = BLOCK;
	if (builder->blocks != NULL)
		size = 2 * (builder->blocks->size + sizeof *builder->blocks);
	if (size > MOST_BLOCK)
		size = MOST_BLOCK;
	/* Aligned, so that huge pages can hold all of it. */
	struct builder_block *block =
		size < MOST_BLOCK ? malloc(size) : aligned_alloc(HUGE_PAGE, size);
	if (block == NULL)
		return out_of_memory(err);
	advise_huge(block, size);
	block->before = builder->blocks;
	block->size = size - sizeof *block;
	builder->blocks = block;
	builder->block_put = block->bytes;
	return 0;
}

/* Places the open piece, so far `used` bytes, at the block's next free byte. */
static void open_in_block(struct builder *builder, size_t used)
{
	size_t left = (size_t)(builder->blocks->bytes + builder->blocks->size - builder->block_put);
	builder->open_bytes = builder->block_put;
	builder->put = builder->open_bytes + used;
	builder->limit = builder->open_bytes + (left < OWN ? left : OWN);
}

/* Address space for all that may come, so that a piece that has become big is not moved again: untouched pages cost
 * nothing. Aligned, so that huge pages can hold all of it. NULL: that much is not to be had, or it is too little. */
static uint8_t *reserve(uint8_t *old, size_t used, uint64_t all, size_t *room)
{
	uint64_t size = (all + HUGE_PAGE - 1) & ~(uint64_t)(HUGE_PAGE - 1);
	if (all < HUGE_PAGE || size > SIZE_MAX / 2)
		return NULL;
	uint8_t *bytes = aligned_alloc(HUGE_PAGE, (size_t)size);
	if (bytes == NULL)
		return NULL;
	advise_huge(bytes, (size_t)size);
	memcpy(bytes, old, used);
	*room = (size_t)size;
	return bytes;
}

/* Gives the open piece memory of its own with space for `len` more bytes. */
static int grow_owned(struct builder *builder, size_t used, size_t len, struct pogo_error *err)
{
	uint8_t *old = builder->open_room > 0 ? builder->open_bytes : NULL, *bytes = NULL;
	size_t room = 2 * (used + len);
	uint64_t all = used + len + builder->expected;
	if (used >= BLOCK && all > room)
		bytes = reserve(builder->open_bytes, used, all, &room);
	if (bytes != NULL) {
		free(old);
	} else {
		/* open_room > 0 only for bytes that this function allocated */
		bytes = realloc(old, room); /* NOLINT(clang-analyzer-unix.Malloc) */
		if (bytes == NULL)
			return out_of_memory(err);
		if (old == NULL && builder->open_bytes != NULL)
			memcpy(bytes, builder->open_bytes, used);
		advise_huge(bytes, room);
	}
	builder->open_bytes = bytes;
	builder->open_room = room;
	builder->put = bytes + used;
	builder->limit = bytes + room;
	return 0;
}

static int make_space(struct builder *builder, size_t len, struct pogo_error *err)
{
	size_t used = (size_t)(builder->put - builder->open_bytes);
	if (used + len > OWN)
		return grow_owned(builder, used, len, err);
	const uint8_t *old = builder->open_bytes;
	if (new_block(builder, err) != 0)
		return -1;
	if (used > 0)
		memcpy(builder->block_put, old, used);
	open_in_block(builder, used);
	return 0;
}

int builder_add(struct builder *builder, uint32_t addr, const void *bytes, size_t len,
		struct pogo_error *err)
{
	if (len == 0)
		return 0;
	if (builder->next != addr) {
		if (close_open(builder, err) != 0 ||
		    (builder->blocks == NULL && new_block(builder, err) != 0))
			return -1;
		open_in_block(builder, 0);
		builder->open_addr = addr;
	}
	if ((size_t)(builder->limit - builder->put) < len && make_space(builder, len, err) != 0)
		return -1;
	memcpy(builder->put, bytes, len);
	builder->next = addr;
	builder_advance(builder, len);
	return 0;
}

bool builder_empty(const struct builder *builder)
{
	return builder->count == 0 && builder->next == NOTHING_OPEN;
}

/* The one other order that programs write. */
static bool reverse_descending(struct builder *builder)
{
	struct builder_piece *pieces = builder->pieces;
	for (size_t i = 1; i < builder->count; i++)
		if (pieces[i].addr >= pieces[i - 1].addr)
			return false;
	for (size_t i = 0, j = builder->count; i + 1 < j; i++) {
		struct builder_piece swap = pieces[i];
		pieces[i] = pieces[--j];
		pieces[j] = swap;
	}
	return true;
}

/* Stable, by address, in linear time: three passes of 11 bits. */
static int sort_pieces(struct builder *builder, struct pogo_error *err)
{
	if (reverse_descending(builder))
		return 0;
	size_t n = builder->count;
	struct builder_piece *from = builder->pieces, *to = malloc(n * sizeof *to);
	if (to == NULL)
		return out_of_memory(err);
	advise_huge(to, n * sizeof *to);
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
		struct builder_piece *swap = from;
		from = to;
		to = swap;
	}
	builder->pieces = from;
	builder->room = n;
	free(to);
	return 0;
}

/* Piece `later` lies over bytes that are there already: tells whether one differs. */
static int compare_shared(const struct hex_segment *whole, const struct builder_piece *later,
			  struct hex_conflict *conflict, struct pogo_error *err)
{
	uint64_t whole_end = (uint64_t)whole->addr + whole->len;
	uint64_t end = end_of(later) < whole_end ? end_of(later) : whole_end;
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

/* Begins *whole with its first piece, in memory for all of it. */
static int take_head(const struct builder *builder, struct builder_piece *head, size_t total,
		     struct hex_segment *whole, struct pogo_error *err)
{
	bool own = owns(head);
	uint8_t *bytes = head->bytes;
	size_t room = total;
	/* What was reserved behind the last piece serves the file that is merged behind this one. */
	if (own && bytes == builder->last_own && total <= builder->last_room)
		room = builder->last_room;
	else
		bytes = realloc(own ? bytes : NULL, total);
	if (bytes == NULL)
		return out_of_memory(err);
	if (!own) {
		advise_huge(bytes, total);
		memcpy(bytes, head->bytes, len_of(head));
	}
	head->bytes = NULL;
	*whole = (struct hex_segment){
		.addr = head->addr, .len = len_of(head), .room = room, .bytes = bytes};
	return 0;
}

/* Joins pieces[first .. last - 1], which touch or overlap, into *whole. */
static int join_group(struct builder *builder, size_t first, size_t last, uint64_t end,
		      struct hex_segment *whole, struct hex_conflict *conflict, struct pogo_error *err)
{
	struct builder_piece *pieces = builder->pieces;
	if (take_head(builder, &pieces[first], (size_t)(end - pieces[first].addr), whole, err) != 0)
		return -1;
	for (size_t i = first + 1; i < last; i++) {
		struct builder_piece *piece = &pieces[i];
		if (i + AHEAD < last) /* shuffled records lie anywhere: fetch some early */
			__builtin_prefetch(pieces[i + AHEAD].bytes);
		uint64_t whole_end = (uint64_t)whole->addr + whole->len;
		if (piece->addr < whole_end && compare_shared(whole, piece, conflict, err) != 0)
			return -1;
		if (end_of(piece) > whole_end) {
			size_t known = (size_t)(whole_end - piece->addr);
			memcpy(whole->bytes + whole->len, piece->bytes + known, len_of(piece) - known);
			whole->len += len_of(piece) - known;
		}
		if (owns(piece))
			free(piece->bytes);
		piece->bytes = NULL;
	}
	return 0;
}

static size_t count_groups(const struct builder *builder)
{
	size_t groups = 0;
	uint64_t end = 0;
	for (size_t i = 0; i < builder->count; i++) {
		const struct builder_piece *piece = &builder->pieces[i];
		groups += i == 0 || piece->addr > end;
		if (end_of(piece) > end)
			end = end_of(piece);
	}
	return groups;
}

static int build(struct builder *builder, struct hex_image *image, struct hex_conflict *conflict,
		 struct pogo_error *err)
{
	if (close_open(builder, err) != 0)
		return -1;
	image->ascending = builder->sorted;
	if (!builder->sorted && sort_pieces(builder, err) != 0)
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
