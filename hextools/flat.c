#include "hextools/flat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20) /* what MADV_HUGEPAGE is about on x86-64 and 64-bit ARM */
#define NOT_FOUND UINT64_MAX

bool flat_open(struct flat *flat, uint64_t base, uint64_t end)
{
	uint64_t size = (end - base + HUGE_PAGE - 1) & ~(uint64_t)(HUGE_PAGE - 1);
	*flat = (struct flat){.base = base, .end = end, .unused = end - base};
	if (size > SIZE_MAX / 2)
		return false;
	flat->bytes = aligned_alloc(HUGE_PAGE, (size_t)size);
	flat->there = calloc((size_t)(size / 64), sizeof *flat->there);
	if (flat->bytes == NULL || flat->there == NULL) {
		flat_close(flat);
		return false;
	}
	madvise(flat->bytes, (size_t)size, MADV_HUGEPAGE);
	return true;
}

void flat_close(struct flat *flat)
{
	free(flat->bytes);
	free(flat->there);
	*flat = (struct flat){.bytes = NULL};
}

/* Of bytes that are there already, and come again. */
static void compare(struct flat *flat, uint64_t index, uint8_t new_byte)
{
	uint32_t addr = (uint32_t)(flat->base + index);
	uint8_t old_byte = flat->bytes[index];
	if (old_byte == new_byte)
		return;
	if (flat->conflict.len == 0 || addr < flat->conflict.addr)
		flat->conflict = (struct hex_conflict){.addr = addr,
						       .len = 1,
						       .differing = 1,
						       .first_differing = addr,
						       .old_byte = old_byte,
						       .new_byte = new_byte};
}

/* `len` bits from `bit` on; together they end at 64. */
static uint64_t mask_of(unsigned bit, size_t len)
{
	return (len < 64 ? (UINT64_C(1) << len) - 1 : UINT64_MAX) << bit;
}

void flat_put(struct flat *flat, uint64_t addr, const uint8_t *bytes, size_t len)
{
	uint64_t index = addr - flat->base;
	if (index < flat->unused)
		flat->unused = index;
	if (index + len > flat->used)
		flat->used = index + len;
	while (len > 0) {
		unsigned bit = (unsigned)(index % 64);
		size_t part = len < 64 - bit ? len : 64 - bit;
		uint64_t mask = mask_of(bit, part), *there = &flat->there[index / 64];
		if ((*there & mask) == 0) {
			memcpy(flat->bytes + index, bytes, part);
		} else {
			for (size_t i = 0; i < part; i++)
				if ((*there >> (bit + i) & 1) != 0)
					compare(flat, index + i, bytes[i]);
				else
					flat->bytes[index + i] = bytes[i];
		}
		*there |= mask;
		index += part;
		bytes += part;
		len -= part;
	}
}

/* Index of the first bit from `from` on that is set (or, flipped, is not set). */
static uint64_t find_bit(const struct flat *flat, uint64_t from, uint64_t flip)
{
	for (uint64_t word = from / 64; word * 64 < flat->used; word++) {
		uint64_t bits = flat->there[word] ^ flip;
		if (word == from / 64)
			bits &= UINT64_MAX << from % 64;
		if (bits != 0)
			return word * 64 + (unsigned)__builtin_ctzll(bits);
	}
	return NOT_FOUND;
}

bool flat_next_run(const struct flat *flat, uint64_t *addr, uint64_t *len)
{
	if (flat->there == NULL)
		return false;
	uint64_t from = *addr > flat->base ? *addr - flat->base : 0;
	uint64_t first = find_bit(flat, from > flat->unused ? from : flat->unused, 0);
	if (first == NOT_FOUND)
		return false;
	uint64_t stop = find_bit(flat, first, UINT64_MAX);
	if (stop > flat->used)
		stop = flat->used;
	*addr = flat->base + first;
	*len = stop - first;
	return true;
}

void flat_forget_runs(struct flat *flat)
{
	free(flat->there);
	flat->there = NULL;
}

/* Gives back the whole pages in it; its ends may share theirs with what is still needed. */
static void give_back(uint8_t *bytes, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t skip = (page - (uintptr_t)bytes % page) % page;
	if (skip < len && len - skip >= page)
		madvise(bytes + skip, (len - skip) & ~(page - 1), MADV_DONTNEED);
}

/* In parts that end where huge pages do, so that none is broken up on the way. */
void flat_move_out(uint8_t *to, uint8_t *from, size_t len)
{
	while (len > 0) {
		size_t part = HUGE_PAGE - (uintptr_t)from % HUGE_PAGE;
		if (part > len)
			part = len;
		memcpy(to, from, part);
		give_back(from, part);
		to += part;
		from += part;
		len -= part;
	}
}
