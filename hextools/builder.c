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
	MANY = 4096,             /* pieces out of order: a shuffled file */
};
#define NOTHING_OPEN UINT64_MAX
#define ADDRESS_SPACE (UINT64_C(1) << 32)
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
	uint8_t *bytes; /* malloc'ed if longer than OWN, else in a block, or flat; NULL: given away */
};

void builder_init(struct builder *builder)
{
	*builder = (struct builder){.next = NOTHING_OPEN, .sorted = true, .flat_at = MANY};
}

static bool owns(const struct builder *builder, const struct builder_piece *piece)
{
	return piece->bytes != NULL && piece->len_minus_1 >= OWN && !flat_owns(&builder->flat, piece->bytes);
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
		if (owns(builder, &builder->pieces[i]))
			free(builder->pieces[i].bytes);
	if (builder->open_room > 0)
		free(builder->open_bytes);
	free(builder->pieces);
	free_blocks(builder);
	flat_close(&builder->flat);
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

/* A piece's bytes are in the flat stretch from now on. */
static void put_flat(struct builder *builder, const struct builder_piece *piece)
{
	flat_put(&builder->flat, piece->addr, piece->bytes, len_of(piece));
	if (owns(builder, piece))
		free(piece->bytes);
}

/* Many pieces out of order: do they and what is still to come lie dense? Then all that lies there goes into one flat
 * stretch, as far around them as the rest of the file can reach. So memory follows the file's length in any case. */
static void try_flat(struct builder *builder)
{
	uint64_t low = UINT64_MAX, high = 0, bytes = builder->expected;
	builder->flat_at = 2 * builder->count;
	for (size_t i = 0; i < builder->count; i++) {
		const struct builder_piece *piece = &builder->pieces[i];
		low = piece->addr < low ? piece->addr : low;
		high = end_of(piece) > high ? end_of(piece) : high;
		bytes += len_of(piece);
	}
	if (high - low > 2 * bytes)
		return;
	low = low > builder->expected ? low - builder->expected : 0;
	high += builder->expected;
	if (high > ADDRESS_SPACE)
		high = ADDRESS_SPACE;
	if (!flat_open(&builder->flat, low & ~UINT64_C(63), high))
		return;
	for (size_t i = 0; i < builder->count; i++)
		put_flat(builder, &builder->pieces[i]);
	builder->count = 0;
	free_blocks(builder);
}

/* Files the open piece among the others. */
static int close_open(struct builder *builder, struct pogo_error *err)
{
	if (builder->next == NOTHING_OPEN)
		return 0;
	uint8_t *bytes = builder->open_bytes;
	const struct builder_piece piece = {builder->open_addr, (uint32_t)(builder->put - bytes - 1), bytes};
	bool flat = flat_holds(&builder->flat, piece.addr, len_of(&piece));
	if (!flat && builder->count == builder->room && more_pieces(builder, err) != 0)
		return -1;
	if (flat) {
		put_flat(builder, &piece); /* its place in the block is free again */
	} else {
		if (builder->count > 0 && end_of(&builder->pieces[builder->count - 1]) >= piece.addr)
			builder->sorted = false;
		builder->pieces[builder->count++] = piece;
		if (builder->open_room == 0)
			builder->block_put = builder->put;
	}
	if (builder->open_room > 0) {
		builder->last_own = flat ? NULL : bytes;
		builder->last_room = builder->open_room;
	}
	builder->put = builder->limit = builder->open_bytes = NULL;
	builder->open_room = 0;
	builder->next = NOTHING_OPEN;
	if (!builder->sorted && builder->count == builder->flat_at && builder->flat.bytes == NULL)
		try_flat(builder);
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

/* Memory that huge pages can hold all of, if it is much; else from malloc. Never less than asked for. */
static uint8_t *allocate(size_t *room)
{
	if (*room < HUGE_PAGE || *room > SIZE_MAX - HUGE_PAGE)
		return malloc(*room);
	*room = (*room + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	uint8_t *bytes = aligned_alloc(HUGE_PAGE, *room);
	if (bytes != NULL)
		advise_huge(bytes, *room);
	return bytes;
}

/* Address space for all that may come, so that a piece that has become big is not moved again: untouched pages cost
 * nothing. NULL: that much is not to be had. */
static uint8_t *reserve(const uint8_t *old, size_t used, uint64_t all, size_t *room)
{
	if (all > SIZE_MAX / 2)
		return NULL;
	size_t size = (size_t)all;
	uint8_t *bytes = allocate(&size);
	if (bytes == NULL)
		return NULL;
	memcpy(bytes, old, used);
	*room = size;
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
	/* What is flat soon need not become long first. */
	bool full = builder->flat.bytes != NULL && (size_t)(builder->limit - builder->put) < len;
	if (builder->next != addr || full) {
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
	builder_show(builder);
	return 0;
}

void builder_show(const struct builder *builder)
{
	const struct builder_watch *watch = builder->watch;
	bool first = builder->count == 0 && builder->flat.bytes == NULL;
	if (watch != NULL && first && builder->next != NOTHING_OPEN)
		watch->grown(watch->context, builder->open_addr, builder->open_bytes,
			     (size_t)(builder->put - builder->open_bytes));
}

bool builder_empty(const struct builder *builder)
{
	return builder->count == 0 && builder->next == NOTHING_OPEN && builder->flat.bytes == NULL;
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

static int two_values(const struct hex_conflict *run, struct hex_conflict *conflict, struct pogo_error *err)
{
	if (conflict != NULL)
		*conflict = *run;
	return pogo_fail(err, POGO_NO, "address 0x%05" PRIX32 " has two values, %02X and %02X", run->first_differing,
			 run->old_byte, run->new_byte);
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
	return two_values(&run, conflict, err);
}

/* Copies a piece's bytes behind the first `known`. Nobody needs the flat ones afterwards. */
static void take_bytes(const struct builder *builder, uint8_t *to, const struct builder_piece *piece, size_t known)
{
	if (flat_owns(&builder->flat, piece->bytes))
		flat_move_out(to, piece->bytes + known, len_of(piece) - known);
	else
		memcpy(to, piece->bytes + known, len_of(piece) - known);
}

/* Begins *whole with its first piece, in memory for all of it. */
static int take_head(const struct builder *builder, struct builder_piece *head, size_t total,
		     struct hex_segment *whole, struct pogo_error *err)
{
	bool own = owns(builder, head);
	uint8_t *bytes = head->bytes;
	size_t room = total;
	/* What was reserved behind the last piece serves the file that is merged behind this one. */
	if (own && bytes == builder->last_own && total <= builder->last_room)
		room = builder->last_room;
	else
		bytes = own ? realloc(bytes, total) : allocate(&room);
	if (bytes == NULL)
		return out_of_memory(err);
	if (!own)
		take_bytes(builder, bytes, head, 0);
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
			take_bytes(builder, whole->bytes + whole->len, piece, known);
			whole->len += len_of(piece) - known;
		}
		if (owns(builder, piece))
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

/* What is flat is listed among the pieces at last: few, and long. */
static int add_flat_runs(struct builder *builder, struct pogo_error *err)
{
	struct flat *flat = &builder->flat;
	uint64_t addr = flat->base, len;
	for (; flat_next_run(flat, &addr, &len); addr += len) {
		if (builder->count == builder->room && more_pieces(builder, err) != 0)
			return -1;
		builder->pieces[builder->count++] = (struct builder_piece){
			(uint32_t)addr, (uint32_t)(len - 1), flat->bytes + (addr - flat->base)};
	}
	flat_forget_runs(flat);
	return 0;
}

static bool in_order(const struct builder *builder)
{
	for (size_t i = 1; i < builder->count; i++)
		if (builder->pieces[i].addr < builder->pieces[i - 1].addr)
			return false;
	return true;
}

static int build(struct builder *builder, struct hex_image *image, struct hex_conflict *conflict,
		 struct pogo_error *err)
{
	if (close_open(builder, err) != 0)
		return -1;
	image->ascending = builder->sorted;
	if (add_flat_runs(builder, err) != 0 || (!in_order(builder) && sort_pieces(builder, err) != 0))
		return -1;
	if (builder->flat.conflict.len > 0)
		return two_values(&builder->flat.conflict, conflict, err);
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
