#include "hextools/edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILL_MAX (UINT64_C(64) << 20)
#define TOP      UINT32_C(0xFFFFFFFF)

static uint32_t last_of(const struct hex_segment *segment)
{
	return (uint32_t)(segment->addr + (segment->len - 1));
}

uint64_t range_len(const struct hex_range *range)
{
	return (uint64_t)range->last - range->first + 1;
}

bool range_has(const struct hex_range *range, uint32_t addr)
{
	return addr >= range->first && addr <= range->last;
}

bool range_of_image(const struct hex_image *image, struct hex_range *range)
{
	if (image->count == 0)
		return false;
	range->first = image->segments[0].addr;
	range->last = last_of(&image->segments[image->count - 1]);
	return true;
}

/* ---- the words of a command line ---------------------------------------------------------------------- */

static int word_of_part(const char *text, const struct range_words *words, struct hex_range *range,
			struct pogo_error *err)
{
	const struct part *part = words->part;
	bool boot = strcmp(text, "boot") == 0;
	if (part == NULL)
		return pogo_fail(err, POGO_INPUT, "range \"%s\" needs --part, which says where it is", text);
	if (strcmp(text, "eeprom") == 0) {
		if (part->eeprom_bytes == 0)
			return pogo_fail(err, POGO_INPUT, "the %s has no EEPROM", part->title);
		*range = (struct hex_range){AVR_EEPROM_BASE, AVR_EEPROM_BASE + part->eeprom_bytes - 1};
		return 0;
	}
	*range = (struct hex_range){part->flash_start, part->flash_start + (part->flash_bytes - 1)};
	if (strcmp(text, "flash") == 0)
		return 0;
	if (!part_is_avr(part))
		return pogo_fail(err, POGO_INPUT, "range \"%s\" is a word for AVRs, whose fuses say where it is; give the "
				 "addresses", text);
	if (!words->has_boot)
		return pogo_fail(err, POGO_INPUT,
				 "range \"%s\" needs --fuses: BOOTSZ says where the %s's boot section begins",
				 text, part->title);
	if (boot)
		*range = (struct hex_range){words->boot_start, words->boot_start + words->boot_bytes - 1};
	else
		range->last = words->boot_start - 1;
	return 0;
}

static bool is_word(const char *text)
{
	return strcmp(text, "flash") == 0 || strcmp(text, "eeprom") == 0 || strcmp(text, "boot") == 0 ||
	       strcmp(text, "app") == 0;
}

/* Decimal or 0x… at *text; moves *text behind it. What is above 2^33 becomes that, which two can be added to. */
static bool take_number(const char **text, uint64_t *out)
{
	bool hex = (*text)[0] == '0' && ((*text)[1] == 'x' || (*text)[1] == 'X');
	const char *digits = *text + (hex ? 2 : 0);
	size_t len = strspn(digits, hex ? "0123456789ABCDEFabcdef" : "0123456789");
	const uint64_t most = UINT64_C(1) << 33;
	uint64_t value = strtoull(digits, NULL, hex ? 16 : 10); /* UINT64_MAX if it holds no such number */
	*out = value < most ? value : most;
	*text = digits + len;
	return len > 0;
}

int range_parse(const char *text, const struct range_words *words, struct hex_range *range,
		struct pogo_error *err)
{
	if (is_word(text))
		return word_of_part(text, words, range, err);
	const char *at = text;
	uint64_t first = 0, second = 0, last;
	bool good = take_number(&at, &first);
	last = first;
	if (good && (*at == '-' || *at == '+')) {
		bool length = *at++ == '+';
		good = take_number(&at, &second);
		if (good && *at == '\0' && (length ? second == 0 : second < first))
			return pogo_fail(err, POGO_INPUT, "range \"%.60s\" is empty: %s", text,
					 length ? "its length is 0" : "it ends below its begin");
		last = length ? first + second - 1 : second;
	}
	if (!good || *at != '\0')
		return pogo_fail(err, POGO_INPUT,
				 "\"%.60s\" is no range: write 0x7000-0x7FFF (last byte inside), "
				 "0x7000+4096, 0x7000, or flash, eeprom, boot, app", text);
	if (last > TOP)
		return pogo_fail(err, POGO_INPUT, "range \"%.60s\" runs past 0xFFFFFFFF, the last 32-bit address",
				 text);
	*range = (struct hex_range){(uint32_t)first, (uint32_t)last};
	return 0;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

uint64_t range_count(const struct hex_image *image, const struct hex_range *range, uint32_t *hole)
{
	uint64_t sum = 0, next = range->first;
	bool whole = true;
	const struct hex_segment *end = image->segments + image->count;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t from = s->addr > range->first ? s->addr : range->first;
		uint32_t to = last_of(s) < range->last ? last_of(s) : range->last;
		if (whole && from > next) {
			whole = false;
			if (hole != NULL)
				*hole = (uint32_t)next;
		}
		next = (uint64_t)to + 1;
		sum += next - from;
	}
	if (whole && next <= range->last && hole != NULL)
		*hole = (uint32_t)next;
	return sum;
}

bool edit_blank(const struct hex_image *image, const struct hex_range *range, uint32_t *at)
{
	const struct hex_segment *end = image->segments + image->count;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t from = s->addr > range->first ? s->addr : range->first;
		uint32_t to = last_of(s) < range->last ? last_of(s) : range->last;
		for (uint64_t a = from; a <= to; a++) {
			if (s->bytes[a - s->addr] == 0xFF)
				continue;
			*at = (uint32_t)a;
			return false;
		}
	}
	return true;
}

/* ---- editing ---------------------------------------------------------------------------------------- */

int edit_copy(struct hex_image *to, const struct hex_image *from, const struct hex_range *range,
	      struct pogo_error *err)
{
	const struct hex_segment *end = from->segments + from->count;
	for (const struct hex_segment *s = hex_image_from(from, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t first = s->addr > range->first ? s->addr : range->first;
		uint32_t last = last_of(s) < range->last ? last_of(s) : range->last;
		if (hex_image_add(to, first, s->bytes + (first - s->addr), (size_t)(last - first) + 1,
				  HEX_OVERLAP_ERROR, NULL, err) != 0)
			return -1;
	}
	return 0;
}

/* The image becomes *made, with its old start record; or, on failure, stays as it is. */
static int replace(struct hex_image *image, struct hex_image *made, int rc)
{
	if (rc != 0) {
		hex_image_finish(made);
		return -1;
	}
	made->start_kind = image->start_kind;
	made->start = image->start;
	hex_image_finish(image);
	*image = *made;
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct hex_range *x = a, *y = b;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorted, and overlapping or touching ones joined: *sorted is the caller's to free. */
static int sort_ranges(const struct hex_range *ranges, size_t count, struct hex_range **sorted,
		       size_t *joined, struct pogo_error *err)
{
	struct hex_range *list = malloc((count + 1) * sizeof *list);
	if (list == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	if (count > 0)
		memcpy(list, ranges, count * sizeof *list);
	qsort(list, count, sizeof *list, by_first);
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		if (n > 0 && list[i].first <= (uint64_t)list[n - 1].last + 1) {
			if (list[i].last > list[n - 1].last)
				list[n - 1].last = list[i].last;
		} else {
			list[n++] = list[i];
		}
	}
	*sorted = list;
	*joined = n;
	return 0;
}

/* What lies between the sorted ranges; there is room for one more than there were. */
static size_t complement(struct hex_range *list, size_t count)
{
	uint64_t next = 0;
	size_t n = 0;
	for (size_t i = 0; i < count; i++) {
		struct hex_range range = list[i];
		if (range.first > next)
			list[n++] = (struct hex_range){(uint32_t)next, range.first - 1};
		next = (uint64_t)range.last + 1;
	}
	if (next <= TOP)
		list[n++] = (struct hex_range){(uint32_t)next, TOP};
	return n;
}

static int keep(struct hex_image *image, const struct hex_range *ranges, size_t count, bool inside,
		struct pogo_error *err)
{
	struct hex_image made;
	struct hex_range *list = NULL;
	size_t n = 0;
	if (sort_ranges(ranges, count, &list, &n, err) != 0)
		return -1;
	if (!inside)
		n = complement(list, n);
	hex_image_init(&made);
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = edit_copy(&made, image, &list[i], err);
	free(list);
	if (rc == 0 && made.count == 0)
		rc = pogo_fail(err, POGO_NO, inside ? "no byte of the image lies in the range"
						    : "no byte of the image lies outside the range");
	return replace(image, &made, rc);
}

int edit_crop(struct hex_image *image, const struct hex_range *ranges, size_t count,
	      struct pogo_error *err)
{
	return keep(image, ranges, count, true, err);
}

int edit_exclude(struct hex_image *image, const struct hex_range *ranges, size_t count,
		 struct pogo_error *err)
{
	return keep(image, ranges, count, false, err);
}

int edit_trim_end(struct hex_image *image, struct pogo_error *err)
{
	for (size_t i = image->count; i > 0; i--) {
		const struct hex_segment *segment = &image->segments[i - 1];
		size_t used = segment->len;
		while (used > 0 && segment->bytes[used - 1] == 0xFF)
			used--;
		const struct hex_range blank = {(uint32_t)(segment->addr + used), last_of(&image->segments[image->count - 1])};
		if (used > 0)
			return used == segment->len && i == image->count ? 0 : edit_exclude(image, &blank, 1, err);
	}
	return 0;
}

/* Both are sorted, so adding always the lower one adds always at the end. */
static int join(struct hex_image *to, const struct hex_image *stays, const struct hex_image *moved,
		struct pogo_error *err)
{
	size_t s = 0, m = 0;
	while (s < stays->count || m < moved->count) {
		bool old = m == moved->count ||
			   (s < stays->count && stays->segments[s].addr < moved->segments[m].addr);
		const struct hex_segment *next = old ? &stays->segments[s++] : &moved->segments[m++];
		struct hex_conflict run = {.len = 0};
		if (hex_image_add(to, next->addr, next->bytes, next->len, HEX_OVERLAP_ERROR, &run, err) == 0)
			continue;
		if (run.len == 0)
			return -1;
		return pogo_fail(err, POGO_NO,
				 "moved bytes would land on %" PRIu64 " bytes that stay, from 0x%05" PRIX32,
				 run.len, run.addr);
	}
	return 0;
}

int edit_move(struct hex_image *image, const struct hex_range *range, int64_t offset,
	      struct pogo_error *err)
{
	const struct hex_range all = {0, TOP};
	struct hex_image stays, moved, made;
	hex_image_init(&stays);
	hex_image_init(&moved);
	hex_image_init(&made);
	if (range == NULL)
		range = &all;
	int rc = edit_copy(&moved, image, range, err);
	if (rc == 0 && moved.count == 0)
		rc = pogo_fail(err, POGO_NO, "no byte of the image lies in the range");
	if (rc == 0 && range->first > 0)
		rc = edit_copy(&stays, image, &(struct hex_range){0, range->first - 1}, err);
	if (rc == 0 && range->last < TOP)
		rc = edit_copy(&stays, image, &(struct hex_range){range->last + 1, TOP}, err);
	if (rc == 0)
		rc = hex_image_shift(&moved, offset, err);
	if (rc == 0)
		rc = join(&made, &stays, &moved, err);
	hex_image_finish(&stays);
	hex_image_finish(&moved);
	return replace(image, &made, rc);
}

/* One step of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t noise(uint64_t seed, uint64_t n)
{
	uint64_t z = seed + (n + 1) * UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static void make_filling(uint8_t *out, const struct hex_range *range, const struct edit_filler *filler)
{
	size_t len = (size_t)range_len(range);
	for (size_t i = 0; i < len; i++) {
		uint32_t addr = range->first + (uint32_t)i;
		out[i] = filler->len > 0 ? filler->pattern[i % filler->len]
					 : (uint8_t)(noise(filler->seed, addr / 8) >> addr % 8 * 8);
	}
}

/* What the image has inside the range, over the buffer that stands for the range. */
static void lay_data_over(uint8_t *out, const struct hex_image *image, const struct hex_range *range)
{
	const struct hex_segment *end = image->segments + image->count;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t first = s->addr > range->first ? s->addr : range->first;
		uint32_t last = last_of(s) < range->last ? last_of(s) : range->last;
		memcpy(out + (first - range->first), s->bytes + (first - s->addr),
		       (size_t)(last - first) + 1);
	}
}

int edit_put(struct hex_image *image, uint32_t addr, const void *bytes, size_t len,
	     struct pogo_error *err)
{
	return hex_image_add(image, addr, bytes, len, HEX_OVERLAP_LAST, NULL, err);
}

int edit_fill(struct hex_image *image, const struct hex_range *range, const struct edit_filler *filler,
	      bool over, uint64_t *filled, struct pogo_error *err)
{
	uint64_t len = range_len(range);
	if (len > FILL_MAX)
		return pogo_fail(err, POGO_INPUT,
				 "a fill of %" PRIu64 " bytes is more than 64 MiB, which no chip here has", len);
	uint8_t *bytes = malloc((size_t)len);
	if (bytes == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the fill");
	make_filling(bytes, range, filler);
	if (!over)
		lay_data_over(bytes, image, range);
	if (filled != NULL)
		*filled = over ? len : len - range_count(image, range, NULL);
	/* Built anew in ascending order: a million holes cost no more than one. */
	struct hex_image made;
	hex_image_init(&made);
	int rc = 0;
	if (range->first > 0)
		rc = edit_copy(&made, image, &(struct hex_range){0, range->first - 1}, err);
	if (rc == 0)
		rc = hex_image_add(&made, range->first, bytes, (size_t)len, HEX_OVERLAP_ERROR, NULL, err);
	if (rc == 0 && range->last < TOP)
		rc = edit_copy(&made, image, &(struct hex_range){range->last + 1, TOP}, err);
	free(bytes);
	return replace(image, &made, rc);
}
