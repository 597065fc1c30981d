#include "hextools/ihex.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/outfile.h"

/* The strict reader. A file is walked record by record; data goes into one buffer and is remembered
 * as runs of consecutive addresses, which are sorted (if need be) and joined to the image at the end.
 * So any order of records costs n log n at most, and an overlap is found wherever it hides. What two
 * programs could read in two ways is refused, not guessed at. */

enum {
	MAX_RECORD_BYTES = 5 + 255,           /* RECLEN, LOAD OFFSET, RECTYP, data, checksum */
	MAX_DIGITS = 2 * MAX_RECORD_BYTES,
};

enum record_type {
	REC_DATA,
	REC_EOF,
	REC_SEGMENT_BASE,
	REC_SEGMENT_START,
	REC_LINEAR_BASE,
	REC_LINEAR_START,
};

struct record {
	uint8_t byte[MAX_RECORD_BYTES]; /* as in the file: length, offset, type, data, checksum */
	const char *mark;               /* its ':' in the text */
	size_t line;
};

struct reader {
	const char *name;
	const char *text, *at, *end; /* the whole, the next character, behind the last */
	const char *line_start;
	size_t line; /* of `at`, from 1 */

	enum { BASE_NONE, BASE_SEGMENT, BASE_LINEAR } base_kind; /* of the latest base record */
	uint32_t segment_base, linear_base;                      /* byte addresses */
	bool ended;
	enum hex_start_kind start_kind;
	uint32_t start;
};

/* Consecutive addresses in consecutive records. */
struct run {
	uint32_t addr;
	size_t at, len; /* in the data buffer */
};

struct run_list {
	struct run *runs;
	size_t count, room;
	uint8_t *data;
	size_t used;
	bool sorted;
};

/* Value of a hexadecimal digit plus one; 0 = none. */
static const uint8_t digit_plus_1[256] = {
	['0'] = 1,  ['1'] = 2,	['2'] = 3,  ['3'] = 4,	['4'] = 5,  ['5'] = 6,	['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static bool is_hex(char c)
{
	return digit_plus_1[(unsigned char)c] != 0;
}

/* "NAME:LINE:COLUMN: " in front of a sentence about the character at `where`. */
static int defect(const struct reader *reader, const char *where, struct pogo_error *err,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

static int defect(const struct reader *reader, const char *where, struct pogo_error *err,
		  const char *format, ...)
{
	char sentence[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(sentence, sizeof sentence, format, ap);
	va_end(ap);
	pogo_fail(err, POGO_INPUT, "%.150s:%zu:%zu: %s", reader->name, reader->line,
		  (size_t)(where - reader->line_start) + 1, sentence);
	return -1;
}

/* What a message calls a character. */
static const char *show(char c, char out[12])
{
	if (c >= 0x21 && c < 0x7F)
		snprintf(out, 12, "\"%c\"", c);
	else if (c == ' ')
		snprintf(out, 12, "a space");
	else
		snprintf(out, 12, "byte 0x%02X", (unsigned char)c);
	return out;
}

static bool is_line_end(const struct reader *reader, const char *at)
{
	return at == reader->end || *at == '\n' || *at == '\r';
}

static const char *skip_blanks(const struct reader *reader, const char *at)
{
	while (at < reader->end && (*at == ' ' || *at == '\t'))
		at++;
	return at;
}

/* Steps over LF, CR LF or CR. */
static void next_line(struct reader *reader)
{
	if (reader->at[0] == '\r' && reader->at + 1 < reader->end && reader->at[1] == '\n')
		reader->at++;
	reader->at++;
	reader->line++;
	reader->line_start = reader->at;
}

/* A line that does not begin with the record mark: says what the file may be instead. */
static int no_mark(const struct reader *reader, struct pogo_error *err)
{
	const char *at = reader->at;
	size_t left = (size_t)(reader->end - at);
	bool first = at == reader->text;
	char shown[12];
	if (first && left >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
		return defect(reader, at, err, "a UTF-8 byte order mark, save the file as plain ASCII");
	if (first && left >= 2 && (memcmp(at, "\xFF\xFE", 2) == 0 || memcmp(at, "\xFE\xFF", 2) == 0))
		return defect(reader, at, err, "UTF-16 text, save the file as plain ASCII");
	if (first && left >= 4 && memcmp(at, "\x7F" "ELF", 4) == 0)
		return defect(reader, at, err,
			      "an ELF file, make Intel HEX of it with avr-objcopy -O ihex");
	if (first && left >= 2 && at[0] == 'S' && at[1] >= '0' && at[1] <= '9')
		return defect(reader, at, err, "a Motorola S-record, only Intel HEX is read");
	if (first && (*at == '\0' || (unsigned char)*at >= 0x7F || *at < ' '))
		return defect(reader, at, err, "%s, so this is a binary file and not Intel HEX",
			      show(*at, shown));
	return defect(reader, at, err, "%s, a record begins with \":\" at the start of its line",
		      show(*at, shown));
}

/* Why the line at `mark` is no record; called only when it is none. */
static int bad_record(const struct reader *reader, const char *mark, struct pogo_error *err)
{
	const char *digits = mark + 1, *at = digits;
	char shown[12];
	while (at < reader->end && at - digits <= MAX_DIGITS && is_hex(*at))
		at++;
	size_t count = (size_t)(at - digits);
	if (count > MAX_DIGITS)
		return defect(reader, digits + MAX_DIGITS, err, "more than %d digits, the longest record has %d",
			      MAX_DIGITS, MAX_DIGITS);
	const char *cut = at == reader->end ? " (the file may be cut off)" : "";
	const char *rest = skip_blanks(reader, at);
	unsigned length = count >= 2 ? (digit_plus_1[(unsigned char)digits[0]] - 1u) * 16 +
					       digit_plus_1[(unsigned char)digits[1]] - 1u
				     : 0;
	size_t wanted = 2 * (size_t)(length + 5);
	if (!is_line_end(reader, rest) && count == wanted)
		return *rest == ':' ? defect(reader, rest, err, "\":\", a second record on one line")
				    : defect(reader, rest, err,
					     "%s, nothing may follow the checksum of a record",
					     show(*rest, shown));
	if (!is_line_end(reader, rest))
		return defect(reader, at, err, "%s, a record has hexadecimal digits only",
			      show(*at, shown));
	if (count % 2 != 0)
		return defect(reader, at, err, "%zu digits, a record has an even number of them%s",
			      count, cut);
	if (count < 10)
		return defect(reader, at, err, "%zu digits, the shortest record has 10%s", count, cut);
	return defect(reader, digits, err,
		      "length %02X says %u data bytes, the line has room for %zu%s", length, length,
		      (count - 10) / 2, cut);
}

/* Decodes the record at reader->at, whose ':' was seen, and steps behind it. */
static int decode(struct reader *reader, struct record *record, struct pogo_error *err)
{
	const char *mark = reader->at, *digits = mark + 1;
	size_t left = (size_t)(reader->end - digits), count = 0, wanted = 5;
	unsigned sum = 0;
	record->mark = mark;
	record->line = reader->line;
	for (; count < wanted; count++, digits += 2, left -= 2) {
		if (left < 2)
			return bad_record(reader, mark, err);
		unsigned high = digit_plus_1[(unsigned char)digits[0]];
		unsigned low = digit_plus_1[(unsigned char)digits[1]];
		if (high == 0 || low == 0)
			return bad_record(reader, mark, err);
		record->byte[count] = (uint8_t)((high - 1) << 4 | (low - 1));
		sum += record->byte[count];
		if (count == 0)
			wanted += record->byte[0];
	}
	const char *rest = skip_blanks(reader, digits);
	if (!is_line_end(reader, rest))
		return bad_record(reader, mark, err);
	if ((sum & 0xFF) != 0) {
		unsigned stored = record->byte[wanted - 1];
		return defect(reader, digits - 2, err, "checksum %02X, the record's bytes need %02X",
			      stored, (stored - sum) & 0xFF);
	}
	reader->at = rest;
	return 0;
}

/* Behind the end record only line ends and a CP/M Ctrl-Z may follow. */
static int after_end(const struct reader *reader, struct pogo_error *err)
{
	const char *at = reader->at;
	char shown[12];
	if (*at == ':') {
		struct reader ahead = *reader;
		struct record record = {.line = 0};
		if (decode(&ahead, &record, NULL) == 0 && record.byte[3] == REC_EOF)
			return defect(reader, at, err, "a second end record");
		return defect(reader, at, err,
			      "data after the end record (two files joined without merging?)");
	}
	return defect(reader, at, err, "%s after the end record", show(*at, shown));
}

/* Finds the next record: 1 = found, 0 = end of the text, -1 = defect. */
static int next_record(struct reader *reader, struct record *record, struct pogo_error *err)
{
	while (reader->at < reader->end) {
		if (*reader->at == ':' && !reader->ended) {
			return decode(reader, record, err) == 0 ? 1 : -1;
		}
		const char *rest = skip_blanks(reader, reader->at);
		/* A Ctrl-Z ends a CP/M text. */
		while (reader->ended && rest < reader->end && *rest == 0x1A)
			rest++;
		if (!is_line_end(reader, rest)) {
			if (!reader->ended)
				return no_mark(reader, err);
			reader->at = rest;
			return after_end(reader, err);
		}
		reader->at = rest;
		if (reader->at < reader->end)
			next_line(reader);
	}
	return 0;
}

static int check_fixed_fields(const struct reader *reader, const struct record *record,
			      struct pogo_error *err)
{
	static const struct {
		const char *what;
		uint8_t length;
	} rule[] = {
		[REC_EOF] = {"an end record (01)", 0},
		[REC_SEGMENT_BASE] = {"a segment base record (02)", 2},
		[REC_SEGMENT_START] = {"a start record (03)", 4},
		[REC_LINEAR_BASE] = {"a linear base record (04)", 2},
		[REC_LINEAR_START] = {"a start record (05)", 4},
	};
	unsigned type = record->byte[3];
	unsigned offset = (unsigned)record->byte[1] << 8 | record->byte[2];
	if (type > REC_LINEAR_START)
		return defect(reader, record->mark + 7, err, "record type %02X, known are 00 to 05", type);
	if (type == REC_DATA)
		return 0;
	if (record->byte[0] != rule[type].length)
		return defect(reader, record->mark + 1, err, "length %02X, %s has length %02X",
			      record->byte[0], rule[type].what, rule[type].length);
	if (offset != 0)
		return defect(reader, record->mark + 3, err, "address %04X, %s has address 0000", offset,
			      rule[type].what);
	return 0;
}

static int take_base(struct reader *reader, const struct record *record, struct pogo_error *err)
{
	bool linear = record->byte[3] == REC_LINEAR_BASE;
	uint32_t value = (uint32_t)record->byte[4] << 8 | record->byte[5];
	uint32_t other = linear ? reader->segment_base : reader->linear_base;
	/* Some programs add the two bases, some let the latest win. While the other one is 0 they agree,
	 * which is why GNU objcopy sets it back to 0 before it changes over. */
	if (other != 0)
		return defect(reader, record->mark + 7, err,
			      "record type %02X while a base of type %02X is 0x%" PRIX32
			      ", segment and linear bases may not be mixed",
			      record->byte[3], linear ? REC_SEGMENT_BASE : REC_LINEAR_BASE, other);
	if (linear)
		reader->linear_base = value << 16;
	else
		reader->segment_base = value << 4;
	reader->base_kind = linear ? BASE_LINEAR : BASE_SEGMENT;
	return 0;
}

static int take_start(struct reader *reader, const struct record *record, struct pogo_error *err)
{
	const uint8_t *data = record->byte + 4;
	uint32_t value = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
	if (reader->start_kind != HEX_START_NONE)
		return defect(reader, record->mark + 7, err,
			      "a second start record (%08" PRIX32 " after %08" PRIX32
			      "), a file has one at most",
			      value, reader->start);
	reader->start_kind =
		record->byte[3] == REC_LINEAR_START ? HEX_START_LINEAR : HEX_START_SEGMENT;
	reader->start = value;
	return 0;
}

/* Where a data record's bytes belong. */
static int place(const struct reader *reader, const struct record *record, uint32_t *addr,
		 struct pogo_error *err)
{
	uint32_t offset = (uint32_t)record->byte[1] << 8 | record->byte[2];
	uint32_t length = record->byte[0];
	*addr = reader->linear_base + reader->segment_base + offset; /* one of the bases is 0 */
	if (offset + length <= 0x10000)
		return 0;
	if (reader->base_kind == BASE_NONE)
		return defect(reader, record->mark + 3, err,
			      "%" PRIu32 " bytes at %04" PRIX32 ", a record crosses 64 KiB without a base",
			      length, offset);
	if (reader->base_kind == BASE_SEGMENT)
		return defect(reader, record->mark + 3, err,
			      "%" PRIu32 " bytes at %04" PRIX32 ", a record wraps within its 64 KiB segment",
			      length, offset);
	if ((uint64_t)*addr + length > UINT64_C(1) << 32)
		return defect(reader, record->mark + 3, err,
			      "%" PRIu32 " bytes at %08" PRIX32 ", a record runs past 4 GiB", length, *addr);
	return 0;
}

static int append(struct run_list *list, uint32_t addr, const uint8_t *bytes, size_t len,
		  struct pogo_error *err)
{
	struct run *last = list->count > 0 ? &list->runs[list->count - 1] : NULL;
	memcpy(list->data + list->used, bytes, len);
	list->used += len;
	if (last != NULL && (uint64_t)last->addr + last->len == addr) {
		last->len += len;
		return 0;
	}
	if (last != NULL && last->addr > addr)
		list->sorted = false;
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 64 : list->room * 2;
		struct run *grown = realloc(list->runs, room * sizeof *grown);
		if (grown == NULL)
			return pogo_fail(err, POGO_SYSTEM, "out of memory for the image");
		list->runs = grown;
		list->room = room;
	}
	list->runs[list->count] = (struct run){.addr = addr, .at = list->used - len, .len = len};
	list->count++;
	return 0;
}

/* Everything about one record but keeping its data: 1 = a data record with bytes, at *addr. */
static int take_record(struct reader *reader, const struct record *record, uint32_t *addr,
		       struct pogo_error *err)
{
	if (check_fixed_fields(reader, record, err) != 0)
		return -1;
	switch (record->byte[3]) {
	case REC_DATA:
		if (place(reader, record, addr, err) != 0)
			return -1;
		return record->byte[0] > 0 ? 1 : 0;
	case REC_EOF:
		reader->ended = true;
		return 0;
	case REC_SEGMENT_BASE:
	case REC_LINEAR_BASE:
		return take_base(reader, record, err);
	default:
		return take_start(reader, record, err);
	}
}

static struct reader reader_of(const char *text, size_t len, const char *name)
{
	return (struct reader){.name = name,
			       .text = text,
			       .at = text,
			       .end = text + len,
			       .line_start = text,
			       .line = 1};
}

static int read_records(struct reader *reader, struct run_list *list, struct pogo_error *err)
{
	struct record record = {.line = 0};
	uint32_t addr = 0;
	int got;
	while ((got = next_record(reader, &record, err)) > 0) {
		int data = take_record(reader, &record, &addr, err);
		if (data < 0)
			return -1;
		if (data > 0 && append(list, addr, record.byte + 4, record.byte[0], err) != 0)
			return -1;
	}
	if (got < 0)
		return -1;
	if (reader->text == reader->end)
		return pogo_fail(err, POGO_INPUT, "%.150s:1:1: the file is empty", reader->name);
	if (!reader->ended)
		return defect(reader, reader->at, err,
			      "end of the file, no end record (01): the file may be cut off");
	if (list->used == 0)
		return defect(reader, reader->at, err, "end of the file, no data in it");
	return 0;
}

/* Two records give one byte two values: walks the text again to name both lines. */
static int name_conflict(const char *text, size_t len, const char *name,
			 const struct hex_conflict *conflict, struct pogo_error *err)
{
	struct reader reader = reader_of(text, len, name);
	struct record record = {.line = 0};
	uint32_t addr = 0, wanted = conflict->first_differing;
	size_t first_line = 0;
	uint8_t first_value = 0;
	while (next_record(&reader, &record, NULL) > 0) {
		if (take_record(&reader, &record, &addr, NULL) <= 0 || wanted < addr ||
		    wanted - addr >= record.byte[0])
			continue;
		size_t index = wanted - addr;
		uint8_t value = record.byte[4 + index];
		if (first_line == 0) {
			first_line = record.line;
			first_value = value;
		} else if (value != first_value) {
			return defect(&reader, record.mark + 9 + 2 * index, err,
				      "%02X for address 0x%05" PRIX32 ", which line %zu set to %02X", value,
				      wanted, first_line, first_value);
		}
	}
	return pogo_fail(err, POGO_INPUT, "%.150s: address 0x%05" PRIX32 " has two values", name, wanted);
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static int build(struct run_list *list, const char *text, size_t len, const char *name,
		 struct hex_image *image, struct pogo_error *err)
{
	if (!list->sorted)
		qsort(list->runs, list->count, sizeof *list->runs, compare_runs);
	for (size_t i = 0; i < list->count; i++) {
		const struct run *run = &list->runs[i];
		struct hex_conflict conflict = {.len = 0};
		if (hex_image_add(image, run->addr, list->data + run->at, run->len, HEX_OVERLAP_SAME,
				  &conflict, err) == 0)
			continue;
		return conflict.len > 0 ? name_conflict(text, len, name, &conflict, err) : -1;
	}
	return 0;
}

int ihex_parse(const char *text, size_t len, const char *name, struct hex_image *image,
	       struct pogo_error *err)
{
	struct reader reader = reader_of(text, len, name);
	/* Two digits make a byte, so half the text always holds the data. */
	struct run_list list = {.sorted = true, .data = malloc(len / 2 + 1)};
	struct hex_image built;
	hex_image_init(&built);
	int rc = list.data == NULL ? pogo_fail(err, POGO_SYSTEM, "out of memory for \"%.150s\"", name)
				   : read_records(&reader, &list, err);
	if (rc == 0)
		rc = build(&list, text, len, name, &built, err);
	free(list.runs);
	free(list.data);
	if (rc != 0) {
		hex_image_finish(&built);
		return -1;
	}
	built.start_kind = reader.start_kind;
	built.start = reader.start;
	hex_image_finish(image);
	*image = built;
	return 0;
}

int ihex_read_file(const char *path, struct hex_image *image, struct pogo_error *err)
{
	char *text;
	size_t len;
	if (infile_read(path, &text, &len, err) != 0)
		return -1;
	int rc = ihex_parse(text, len, strcmp(path, "-") == 0 ? "standard input" : path, image, err);
	free(text);
	return rc;
}
