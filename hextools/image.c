#include "hextools/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hextools/digest.h"

#define ADDRESS_SPACE (UINT64_C(1) << 32)

static uint64_t segment_end(const struct hex_segment *segment)
{
	return (uint64_t)segment->addr + segment->len;
}

void hex_image_init(struct hex_image *image)
{
	*image = (struct hex_image){0};
}

void hex_image_finish(struct hex_image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->segments[i].bytes);
	free(image->segments);
	hex_image_init(image);
}

/* Index of the first segment whose end is at or above addr (so it covers or touches it). */
static size_t first_touching(const struct hex_image *image, uint64_t addr)
{
	size_t low = 0, high = image->count;
	/* Readers mostly append: look at the end before searching. */
	if (high > 0 && segment_end(&image->segments[high - 1]) < addr)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (segment_end(&image->segments[middle]) < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *hex_segment_memory(const struct hex_segment *segment)
{
	static const char *const names[] = {"EEPROM", "fuses", "lock bits", "signature", "user signatures"};
	uint64_t offset = (uint64_t)segment->addr - AVR_EEPROM_BASE, page = offset / AVR_PAGE;
	if (segment->addr < AVR_EEPROM_BASE || page >= sizeof names / sizeof names[0] ||
	    (offset + segment->len - 1) / AVR_PAGE != page)
		return NULL;
	return names[page];
}

const struct hex_segment *hex_image_from(const struct hex_image *image, uint32_t addr)
{
	size_t i = first_touching(image, (uint64_t)addr + 1);
	return i < image->count ? &image->segments[i] : NULL;
}

/* The bytes that a segment and [addr, addr + len) share; len 0 if none. */
static struct hex_conflict shared_run(const struct hex_segment *segment, uint32_t addr,
				      const uint8_t *bytes, size_t len)
{
	uint64_t from = segment->addr > addr ? segment->addr : addr;
	uint64_t end = segment_end(segment), new_end = (uint64_t)addr + len;
	if (new_end < end)
		end = new_end;
	struct hex_conflict run = {.addr = (uint32_t)from};
	if (from >= end)
		return run;
	run.len = end - from;
	const uint8_t *old_bytes = segment->bytes + (from - segment->addr);
	const uint8_t *new_bytes = bytes + (from - addr);
	for (uint64_t i = 0; i < run.len; i++) {
		if (old_bytes[i] == new_bytes[i])
			continue;
		if (run.differing++ == 0) {
			run.first_differing = (uint32_t)(from + i);
			run.old_byte = old_bytes[i];
			run.new_byte = new_bytes[i];
		}
	}
	return run;
}

static int refuse_conflicts(const struct hex_image *image, size_t first, size_t last, uint32_t addr,
			    const uint8_t *bytes, size_t len, enum hex_overlap rule,
			    struct hex_conflict *conflict, struct pogo_error *err)
{
	if (rule == HEX_OVERLAP_FIRST || rule == HEX_OVERLAP_LAST)
		return 0;
	for (size_t i = first; i < last; i++) {
		struct hex_conflict run = shared_run(&image->segments[i], addr, bytes, len);
		if (run.len == 0 || (rule == HEX_OVERLAP_SAME && run.differing == 0))
			continue;
		if (conflict != NULL)
			*conflict = run;
		if (run.differing == 0)
			return pogo_fail(err, POGO_NO,
					 "%" PRIu64 " bytes at 0x%05" PRIX32
					 " are already there (with the same values)",
					 run.len, run.addr);
		return pogo_fail(err, POGO_NO,
				 "%" PRIu64 " bytes at 0x%05" PRIX32
				 " are already there and %" PRIu64
				 " differ, first at 0x%05" PRIX32 ": %02X against %02X",
				 run.len, run.addr, run.differing, run.first_differing, run.old_byte,
				 run.new_byte);
	}
	return 0;
}

static int out_of_memory(struct pogo_error *err)
{
	return pogo_fail(err, POGO_SYSTEM, "out of memory for the image");
}

/* Puts a segment at index `at`; its bytes are the image's from now on. */
static int insert_owned(struct hex_image *image, size_t at, const struct hex_segment *segment,
			struct pogo_error *err)
{
	if (image->count == image->room) {
		size_t room = image->room == 0 ? 8 : image->room * 2;
		struct hex_segment *grown = realloc(image->segments, room * sizeof *grown);
		if (grown == NULL)
			return out_of_memory(err);
		image->segments = grown;
		image->room = room;
	}
	memmove(image->segments + at + 1, image->segments + at,
		(image->count - at) * sizeof *image->segments);
	image->segments[at] = *segment;
	image->count++;
	return 0;
}

static int insert_segment(struct hex_image *image, size_t at, uint32_t addr, const void *bytes,
			  size_t len, struct pogo_error *err)
{
	struct hex_segment copy = {.addr = addr, .len = len, .room = len, .bytes = malloc(len)};
	if (copy.bytes == NULL)
		return out_of_memory(err);
	memcpy(copy.bytes, bytes, len);
	if (insert_owned(image, at, &copy, err) == 0)
		return 0;
	free(copy.bytes);
	return -1;
}

/* Makes segment i reach from `base` (at or below its start) to `end`, its bytes at their new place. */
static int stretch(struct hex_segment *segment, uint32_t base, uint64_t end, struct pogo_error *err)
{
	size_t len = (size_t)(end - base), shift = segment->addr - base;
	if (shift == 0 && len <= segment->room) {
		segment->len = len;
		return 0;
	}
	size_t room = segment->room * 2 > len ? segment->room * 2 : len;
	uint8_t *bytes = shift == 0 ? realloc(segment->bytes, room) : malloc(room);
	if (bytes == NULL)
		return out_of_memory(err);
	if (shift != 0) {
		memcpy(bytes + shift, segment->bytes, segment->len);
		free(segment->bytes);
	}
	*segment = (struct hex_segment){.addr = base, .len = len, .room = room, .bytes = bytes};
	return 0;
}

/* Writes the new bytes into the gaps between the old pieces only. */
static void fill_gaps(uint8_t *to, uint32_t base, const struct hex_segment *old, size_t old_count,
		      uint32_t addr, const uint8_t *bytes, size_t len)
{
	uint64_t at = addr, end = (uint64_t)addr + len;
	for (size_t i = 0; i <= old_count && at < end; i++) {
		uint64_t stop = i < old_count && old[i].addr < end ? old[i].addr : end;
		if (stop > at)
			memcpy(to + (at - base), bytes + (at - addr), (size_t)(stop - at));
		if (i < old_count && segment_end(&old[i]) > at)
			at = segment_end(&old[i]);
	}
}

/* Joins segments first..last-1 and the new bytes into segment `first`. */
static int join(struct hex_image *image, size_t first, size_t last, uint32_t addr,
		const uint8_t *bytes, size_t len, enum hex_overlap rule, struct pogo_error *err)
{
	struct hex_segment *target = &image->segments[first];
	struct hex_segment old = *target; /* where it lay; its bytes move with stretch */
	uint32_t base = addr < target->addr ? addr : target->addr;
	uint64_t end = segment_end(&image->segments[last - 1]);
	if ((uint64_t)addr + len > end)
		end = (uint64_t)addr + len;
	if (stretch(target, base, end, err) != 0)
		return -1;
	for (size_t i = first + 1; i < last; i++)
		memcpy(target->bytes + (image->segments[i].addr - base), image->segments[i].bytes,
		       image->segments[i].len);
	if (rule == HEX_OVERLAP_FIRST) {
		struct hex_segment now = *target;
		*target = old; /* the walk needs the old bounds, never the old bytes */
		fill_gaps(now.bytes, base, target, last - first, addr, bytes, len);
		*target = now;
	} else {
		memcpy(target->bytes + (addr - base), bytes, len);
	}
	for (size_t i = first + 1; i < last; i++)
		free(image->segments[i].bytes);
	memmove(image->segments + first + 1, image->segments + last,
		(image->count - last) * sizeof *image->segments);
	image->count -= last - first - 1;
	return 0;
}

int hex_image_add(struct hex_image *image, uint32_t addr, const void *bytes, size_t len,
		  enum hex_overlap rule, struct hex_conflict *conflict, struct pogo_error *err)
{
	if (len == 0)
		return 0;
	if (len > ADDRESS_SPACE - addr)
		return pogo_fail(err, POGO_INPUT,
				 "%zu bytes at 0x%08" PRIX32 " run past the end of the 4 GiB address space",
				 len, addr);
	size_t first = first_touching(image, addr), last = first;
	while (last < image->count && image->segments[last].addr <= (uint64_t)addr + len)
		last++;
	if (refuse_conflicts(image, first, last, addr, bytes, len, rule, conflict, err) != 0)
		return -1;
	if (first == last)
		return insert_segment(image, first, addr, bytes, len, err);
	return join(image, first, last, addr, bytes, len, rule, err);
}

/* Bytes that were copied out of a long segment are memory to give back before the rest is copied. */
static void give_back(uint8_t *bytes, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	size_t skip = (page - (uintptr_t)bytes % page) % page; /* to the first whole page */
	if (skip < len && len - skip >= page)
		madvise(bytes + skip, (len - skip) & ~(page - 1), MADV_DONTNEED);
}

static int absorb_segment(struct hex_image *to, struct hex_segment *segment, enum hex_overlap rule,
			  struct hex_conflict *conflict, struct pogo_error *err)
{
	const size_t part = (size_t)1 << 20;
	uint64_t end = segment_end(segment);
	size_t first = first_touching(to, segment->addr), last = first;
	while (last < to->count && to->segments[last].addr <= end)
		last++;
	if (refuse_conflicts(to, first, last, segment->addr, segment->bytes, segment->len, rule, conflict, err) != 0)
		return -1;
	if (first == last) {
		if (insert_owned(to, first, segment, err) != 0)
			return -1;
		segment->bytes = NULL;
		return 0;
	}
	for (size_t done = 0; done < segment->len; done += part) {
		size_t len = segment->len - done < part ? segment->len - done : part;
		if (hex_image_add(to, segment->addr + (uint32_t)done, segment->bytes + done, len, rule, conflict,
				  err) != 0)
			return -1;
		if (segment->len > part)
			give_back(segment->bytes + done, len);
	}
	return 0;
}

int hex_image_absorb(struct hex_image *to, struct hex_image *from, enum hex_overlap rule,
		     struct hex_conflict *conflict, struct pogo_error *err)
{
	int rc = 0;
	for (size_t i = 0; i < from->count; i++) {
		struct hex_segment *segment = &from->segments[i];
		if (rc == 0)
			rc = absorb_segment(to, segment, rule, conflict, err);
		free(segment->bytes);
	}
	free(from->segments);
	from->segments = NULL;
	from->count = from->room = 0;
	return rc;
}

int hex_image_copy(struct hex_image *to, const struct hex_image *from, struct pogo_error *err)
{
	struct hex_image copy;
	hex_image_init(&copy);
	for (size_t i = 0; i < from->count; i++) {
		const struct hex_segment *segment = &from->segments[i];
		if (insert_segment(&copy, i, segment->addr, segment->bytes, segment->len, err) != 0) {
			hex_image_finish(&copy);
			return -1;
		}
	}
	copy.start_kind = from->start_kind;
	copy.start = from->start;
	hex_image_finish(to);
	*to = copy;
	return 0;
}

size_t hex_image_read(const struct hex_image *image, uint32_t addr, uint8_t *out, size_t len,
		      uint8_t fill)
{
	uint64_t end = (uint64_t)addr + len;
	size_t found = 0;
	memset(out, fill, len);
	for (size_t i = first_touching(image, (uint64_t)addr + 1); i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		uint64_t from = segment->addr > addr ? segment->addr : addr;
		uint64_t stop = segment_end(segment) < end ? segment_end(segment) : end;
		if (from >= stop)
			break;
		memcpy(out + (from - addr), segment->bytes + (from - segment->addr), (size_t)(stop - from));
		found += (size_t)(stop - from);
	}
	return found;
}

int hex_image_shift(struct hex_image *image, int64_t offset, struct pogo_error *err)
{
	if (image->count == 0)
		return 0;
	int64_t low = image->segments[0].addr;
	int64_t end = (int64_t)segment_end(&image->segments[image->count - 1]);
	int64_t space = (int64_t)ADDRESS_SPACE;
	if (offset < -low || offset > space - end)
		return pogo_fail(err, POGO_INPUT,
				 "moved by %" PRId64 " the data of 0x%" PRIX64 " to 0x%" PRIX64
				 " would leave the 32-bit addresses", offset, (uint64_t)low,
				 (uint64_t)(end - 1));
	for (size_t i = 0; i < image->count; i++)
		image->segments[i].addr = (uint32_t)(image->segments[i].addr + offset);
	return 0;
}

bool hex_image_crc32(const struct hex_image *image, uint32_t *crc)
{
	const uint64_t most = UINT64_C(64) << 20;
	if (image->count == 0)
		return false;
	uint64_t at = image->segments[0].addr;
	if (segment_end(&image->segments[image->count - 1]) - at > most)
		return false;
	uint8_t blank[1024];
	memset(blank, 0xFF, sizeof blank);
	*crc = 0;
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		while (at < segment->addr) {
			size_t hole = (size_t)(segment->addr - at);
			size_t part = hole < sizeof blank ? hole : sizeof blank;
			*crc = crc32_update(*crc, blank, part);
			at += part;
		}
		*crc = crc32_update(*crc, segment->bytes, segment->len);
		at = segment_end(segment);
	}
	return true;
}

uint64_t hex_image_bytes(const struct hex_image *image)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < image->count; i++)
		sum += image->segments[i].len;
	return sum;
}

bool hex_image_equal(const struct hex_image *a, const struct hex_image *b)
{
	if (a->count != b->count || a->start_kind != b->start_kind ||
	    (a->start_kind != HEX_START_NONE && a->start != b->start))
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct hex_segment *x = &a->segments[i], *y = &b->segments[i];
		if (x->addr != y->addr || x->len != y->len || memcmp(x->bytes, y->bytes, x->len) != 0)
			return false;
	}
	return true;
}
