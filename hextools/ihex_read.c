#include "hextools/ihex.h"

#include <inttypes.h>
#include <string.h>

#include "hextools/builder.h"
#include "hextools/cpu.h"
#include "hextools/hexdigits.h"
#if CPU_X86
#include "hextools/hexdigits_avx2.h"
#endif
#include "hextools/lines.h"

/* The strict reader. Records are decoded straight to where they stay; what does not continue the record
 * before it is sorted and joined at the end. So any order of records costs linear time, and an overlap
 * is found wherever it hides. What two programs could read in two ways is refused, not guessed at. */

enum {
	MAX_RECORD_BYTES = 5 + 255, /* RECLEN, LOAD OFFSET, RECTYP, data, checksum */
	MAX_DIGITS = 2 * MAX_RECORD_BYTES,
	USUAL = 16,      /* data bytes of a record, as nearly every program writes them */
	USUAL_LINE = 43, /* characters of such a record in front of its line end */
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
	uint64_t mark;                  /* offset of its ':' */
};

struct reader {
	struct lines lines;
	struct instream *in;

	enum { BASE_NONE, BASE_SEGMENT, BASE_LINEAR } base_kind; /* of the latest base record */
	uint32_t segment_base, linear_base;                      /* byte addresses */
	bool ended;
	enum hex_start_kind start_kind;
	uint32_t start;
};

static uint64_t offset_here(const struct reader *reader)
{
	return instream_offset(reader->in);
}

/* A line that does not begin with the record mark: says what the file may be instead. */
static int no_mark(const struct reader *reader, struct pogo_error *err)
{
	const uint8_t *at = reader->in->at;
	uint64_t offset = offset_here(reader);
	size_t left = (size_t)(reader->in->end - at);
	bool first = offset == 0;
	const char *why = NULL;
	char shown[12];
	if (first && left >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
		why = "a UTF-8 byte order mark, save the file as plain ASCII";
	else if (first && left >= 2 && (memcmp(at, "\xFF\xFE", 2) == 0 || memcmp(at, "\xFE\xFF", 2) == 0))
		why = "UTF-16 text, save the file as plain ASCII";
	else if (first && left >= 4 && memcmp(at, "\x7F" "ELF", 4) == 0)
		why = "an ELF file, make Intel HEX of it with pogo-hex convert";
	else if (first && left >= 2 && at[0] == 'S' && at[1] >= '0' && at[1] <= '9')
		why = "a Motorola S-record and not Intel HEX";
	if (why != NULL)
		return lines_defect(&reader->lines, offset, err, "%s", why);
	if (first && (*at == '\0' || *at >= 0x7F || *at < ' '))
		return lines_defect(&reader->lines, offset, err,
				    "%s, so this is a binary file and not Intel HEX", lines_show(*at, shown));
	return lines_defect(&reader->lines, offset, err,
			    "%s, a record begins with \":\" at the start of its line", lines_show(*at, shown));
}

/* What stands behind `count` digits instead of the line's end. `at` is behind the digits. */
static int bad_rest(struct reader *reader, uint64_t digits_end, size_t count, size_t wanted, uint8_t c,
		    struct pogo_error *err)
{
	char shown[12];
	const struct instream *in = reader->in;
	if (lines_skip_blanks(&reader->lines, err) != 0)
		return -1;
	if (count != wanted || in->at == in->end)
		return lines_defect(&reader->lines, digits_end, err, "%s, a record has hexadecimal digits only",
				    lines_show(c, shown));
	if (*in->at == ':')
		return lines_defect(&reader->lines, offset_here(reader), err,
				    "\":\", a second record on one line");
	return lines_defect(&reader->lines, offset_here(reader), err,
			    "%s, nothing may follow the checksum of a record", lines_show(*in->at, shown));
}

/* Why the line at reader->in->at, which begins with a mark, is no record; called only when it is none. */
static int bad_record(struct reader *reader, struct pogo_error *err)
{
	struct instream *in = reader->in;
	const struct lines *lines = &reader->lines;
	const uint8_t *digits = in->at + 1, *at = digits;
	while (at < in->end && at - digits <= MAX_DIGITS && hex_digit(*at) < 16)
		at++;
	size_t count = (size_t)(at - digits);
	uint64_t first = lines_offset(lines, digits);
	if (count > MAX_DIGITS)
		return lines_defect(lines, first + MAX_DIGITS, err,
				    "more than %d digits, the longest record has %d", MAX_DIGITS, MAX_DIGITS);
	const char *cut = at == in->end ? " (the file may be cut off)" : "";
	unsigned length = count >= 2 ? hex_pair(digits) : 0;
	size_t wanted = 2 * (size_t)(length + 5);
	uint8_t c = at < in->end ? *at : 0;
	bool ends = lines_is_end(lines, at);
	in->at = at;
	if (!ends && lines_skip_blanks(&reader->lines, err) != 0)
		return -1;
	if (!ends && !lines_is_end(lines, in->at))
		return bad_rest(reader, first + count, count, wanted, c, err);
	if (count % 2 != 0)
		return lines_defect(lines, first + count, err,
				    "%zu digits, a record has an even number of them%s", count, cut);
	if (count < 10)
		return lines_defect(lines, first + count, err, "%zu digits, the shortest record has 10%s", count,
				    cut);
	return lines_defect(lines, first, err,
			    "length %02X says %u data bytes, the line has room for %zu%s", length, length,
			    (count - 10) / 2, cut);
}

/* What may stand between a record and its line's end. */
static int after_record(struct reader *reader, struct record *record, size_t digits, struct pogo_error *err)
{
	struct instream *in = reader->in;
	if (lines_is_end(&reader->lines, in->at))
		return 0;
	uint8_t c = *in->at;
	if (lines_skip_blanks(&reader->lines, err) != 0)
		return -1;
	if (lines_is_end(&reader->lines, in->at))
		return 0;
	if (*in->at != ':' && lines_accept(&reader->lines, ODD_TEXT_AFTER_RECORD, offset_here(reader)))
		return lines_skip_rest(&reader->lines, err);
	return bad_rest(reader, record->mark + 1 + digits, digits, digits, c, err);
}

/* Decodes the record at reader->in->at, whose ':' was seen, and steps to its line's end. */
static int decode(struct reader *reader, struct record *record, struct pogo_error *err)
{
	struct instream *in = reader->in;
	if (instream_ahead(in, LINES_AHEAD, err) != 0)
		return -1;
	const uint8_t *digits = in->at + 1;
	size_t left = (size_t)(in->end - digits);
	unsigned sum = 0, length = left >= 2 ? hex_pair(digits) : 256;
	size_t bytes = (size_t)length + 5;
	record->mark = lines_offset(&reader->lines, in->at);
	if (length > 255 || left < 2 * bytes || !hex_decode(digits, record->byte, bytes, &sum))
		return bad_record(reader, err);
	if (left > 2 * bytes && hex_digit(digits[2 * bytes]) < 16)
		return bad_record(reader, err);
	in->at = digits + 2 * bytes;
	if (after_record(reader, record, 2 * bytes, err) != 0)
		return -1;
	unsigned stored = record->byte[bytes - 1];
	if ((sum & 0xFF) != 0)
		return lines_defect(&reader->lines, record->mark + 1 + 2 * (bytes - 1), err,
				    "checksum %02X, the record's bytes need %02X", stored, (stored - sum) & 0xFF);
	return 0;
}

/* Behind the end record only line ends and a CP/M Ctrl-Z may follow. */
static int after_end(struct reader *reader, struct pogo_error *err)
{
	struct instream *in = reader->in;
	uint64_t offset = offset_here(reader);
	char shown[12];
	if (*in->at != ':')
		return lines_defect(&reader->lines, offset, err, "%s after the end record",
				    lines_show(*in->at, shown));
	bool end = in->end - in->at >= 11 && memcmp(in->at, ":00000001", 9) == 0 && hex_pair(in->at + 9) == 0xFF &&
		   lines_is_end(&reader->lines, in->at + 11);
	if (end && lines_accept(&reader->lines, ODD_SECOND_END, offset)) {
		in->at += 11;
		return 0;
	}
	return lines_defect(&reader->lines, offset, err, "%s",
			    end ? "a second end record"
				: "data after the end record (two files joined without merging?)");
}

/* A line that is neither empty nor a record: 0 if a lenient reader may step over what is here. */
static int odd_line(struct reader *reader, uint64_t begin, struct pogo_error *err)
{
	int stepped = lines_step_over(&reader->lines, ':', reader->ended, begin, err);
	if (stepped != 0)
		return stepped > 0 ? 0 : -1;
	if (reader->ended)
		return after_end(reader, err);
	if (offset_here(reader) == begin)
		return no_mark(reader, err);
	return lines_defect(&reader->lines, begin, err,
			    "a space, a record begins with \":\" at the start of its line");
}

/* Finds the next record: 1 = found, 0 = end of the text, -1 = defect. */
static int next_record(struct reader *reader, struct record *record, struct pogo_error *err)
{
	uint64_t begin = 0;
	enum lines_found found;
	while ((found = lines_find(&reader->lines, ':', reader->ended, &begin, err)) == LINES_OTHER)
		if (odd_line(reader, begin, err) != 0)
			return -1;
	if (found == LINES_RECORD)
		return decode(reader, record, err) == 0 ? 1 : -1;
	return found == LINES_END ? 0 : -1;
}

static int check_fixed_fields(struct reader *reader, const struct record *record, struct pogo_error *err)
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
		return lines_defect(&reader->lines, record->mark + 7, err,
				    "record type %02X, known are 00 to 05", type);
	if (type == REC_DATA)
		return 0;
	if (record->byte[0] != rule[type].length)
		return lines_defect(&reader->lines, record->mark + 1, err, "length %02X, %s has length %02X",
				    record->byte[0], rule[type].what, rule[type].length);
	/* An old 8-bit file has its start address there. */
	if (offset != 0 && !(type == REC_EOF &&
			     lines_accept(&reader->lines, ODD_END_ADDRESS, record->mark + 3)))
		return lines_defect(&reader->lines, record->mark + 3, err, "address %04X, %s has address 0000",
				    offset, rule[type].what);
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
		return lines_defect(&reader->lines, record->mark + 7, err,
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
	bool linear = record->byte[3] == REC_LINEAR_START, other = reader->start_kind != HEX_START_NONE;
	if (other && linear != (reader->start_kind == HEX_START_LINEAR) &&
	    lines_accept(&reader->lines, ODD_TWO_STARTS, record->mark + 7)) {
		if (!linear)
			return 0;
	} else if (other) {
		return lines_defect(&reader->lines, record->mark + 7, err,
				    "a second start record (%08" PRIX32 " after %08" PRIX32
				    "), a file has one at most",
				    value, reader->start);
	}
	reader->start_kind = linear ? HEX_START_LINEAR : HEX_START_SEGMENT;
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
		return lines_defect(&reader->lines, record->mark + 3, err,
			      "%" PRIu32 " bytes at %04" PRIX32 ", a record crosses 64 KiB without a base",
			      length, offset);
	if (reader->base_kind == BASE_SEGMENT)
		return lines_defect(&reader->lines, record->mark + 3, err,
			      "%" PRIu32 " bytes at %04" PRIX32 ", a record wraps within its 64 KiB segment",
			      length, offset);
	if ((uint64_t)*addr + length > UINT64_C(1) << 32)
		return lines_defect(&reader->lines, record->mark + 3, err,
			      "%" PRIu32 " bytes at %08" PRIX32 ", a record runs past 4 GiB", length, *addr);
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

static struct reader reader_of(struct instream *in, bool lenient)
{
	return (struct reader){.lines = lines_of(in, lenient), .in = in};
}

#if CPU_X86
/* Records of the usual length that continue the one before: 21 bytes, taken as bytes 0 to 15 and 5 to 20. */
__attribute__((target("avx2"))) static void read_usual(struct reader *reader, struct builder *builder)
{
	struct instream *in = reader->in;
	const uint8_t *at = in->at;
	uint32_t base = reader->linear_base + reader->segment_base;
	while (in->end - at >= LINES_AHEAD && *at == ':') {
		__m128i front, back;
		bool front_good = hex_decode16(at + 1, &front), back_good = hex_decode16(at + 11, &back);
		__m128i tail = _mm_srli_si128(back, 11); /* the last four data bytes and the checksum */
		uint32_t head = (uint32_t)_mm_cvtsi128_si32(front); /* length, offset, type: the first byte lowest */
		uint32_t offset = (head & 0xFF00) | (head >> 16 & 0xFF);
		if (!front_good || !back_good || (head & 0xFF0000FF) != USUAL || offset + USUAL > 0x10000 ||
		    hex_sum16(_mm_add_epi8(front, tail)) % 256 != 0 ||
		    !builder_continues(builder, base + offset, USUAL))
			break;
		const uint8_t *rest = at + USUAL_LINE;
		rest += *rest == '\r';
		if (*rest != '\n')
			break;
		_mm_storeu_si128((__m128i *)(void *)builder->put, _mm_alignr_epi8(tail, front, 4));
		builder_advance(builder, USUAL);
		at = rest + 1;
		reader->lines.line++;
	}
	in->at = at;
}
#endif

/* Data records as nearly every file has them, one line after the other, with nothing odd about them;
 * stops in front of the first that needs a closer look. */
static int read_plain(struct reader *reader, struct builder *builder, struct pogo_error *err)
{
	struct instream *in = reader->in;
	uint32_t base = reader->linear_base + reader->segment_base;
	uint8_t data[256] = {0};
	int rc = 0;
	const uint8_t *begin = in->at, *at = begin;
	bool fast = cpu_has_avx2();
	while (in->end - at >= LINES_AHEAD && *at == ':') {
		/* The four bytes in front of the data and the next four, which it mostly has: one step. */
		uint8_t head[8];
		hex_u8x8 ignored = {0};
		if (!hex_decode8(at + 1, head, &ignored) || head[3] != REC_DATA || head[0] < sizeof head - 4)
			break;
		unsigned sum = head[0] + head[1] + head[2];
		uint32_t offset = (uint32_t)head[1] << 8 | head[2];
		size_t len = head[0];
		bool in_place = builder_continues(builder, base + offset, len);
		uint8_t *to = in_place ? builder->put : data;
		if (offset + len > 0x10000 || !hex_decode(at + 9, to, len, &sum))
			break;
		const uint8_t *rest = at + 9 + 2 * len;
		unsigned stored = hex_pair(rest);
		if ((sum + stored) % 256 != 0 || stored > 255)
			break;
		rest += 2;
		rest += *rest == '\r';
		if (*rest != '\n')
			break;
		if (in_place)
			builder_advance(builder, len);
		else if ((rc = builder_add(builder, base + offset, data, len, err)) != 0)
			break;
		at = rest + 1;
		reader->lines.line++;
#if CPU_X86
		if (fast && len == USUAL) {
			in->at = at;
			read_usual(reader, builder);
			at = in->at;
		}
#endif
	}
	if (at != begin) {
		in->at = at;
		reader->lines.line_start = offset_here(reader);
	}
	return rc;
}

/* Two digits make a byte, so half the text holds what is still to come. */
static uint64_t data_to_come(const struct instream *in)
{
	uint64_t length = instream_length(in);
	return length == UINT64_MAX ? 0 : (length - instream_offset(in)) / 2;
}

static int read_records(struct reader *reader, struct builder *builder, struct pogo_error *err)
{
	struct record record = {.mark = 0};
	struct instream *in = reader->in;
	uint32_t addr = 0;
	for (;;) {
		if (instream_ahead(in, LINES_AHEAD, err) != 0)
			return -1;
		if (in->at < in->end && lines_is_end(&reader->lines, in->at)) {
			if (lines_next(&reader->lines, err) != 0)
				return -1;
			continue;
		}
		builder->expected = data_to_come(in);
		if (!reader->ended && read_plain(reader, builder, err) != 0)
			return -1;
		builder_show(builder);
		int got = next_record(reader, &record, err);
		if (got <= 0)
			return got;
		int data = take_record(reader, &record, &addr, err);
		if (data < 0)
			return -1;
		if (data > 0 && builder_add(builder, addr, record.byte + 4, record.byte[0], err) != 0)
			return -1;
	}
}

static int read_all(struct reader *reader, struct builder *builder, struct pogo_error *err)
{
	if (read_records(reader, builder, err) != 0)
		return -1;
	uint64_t end = offset_here(reader);
	if (end == 0)
		return pogo_fail(err, POGO_INPUT, "%.150s:1:1: the file is empty", reader->in->name);
	if (!reader->ended)
		return lines_defect(&reader->lines, end, err,
				    "end of the file, no end record (01): the file may be cut off");
	if (builder_empty(builder))
		return lines_defect(&reader->lines, end, err, "end of the file, no data in it");
	return 0;
}

/* Two records give one byte two values: walks the text again to name both lines. */
static int name_conflict(struct instream *in, bool lenient, uint32_t wanted, struct pogo_error *err)
{
	struct reader reader = reader_of(in, lenient);
	struct record record = {.mark = 0};
	uint32_t addr = 0;
	size_t first_line = 0;
	uint8_t first_value = 0;
	if (instream_rewind(in, err) != 0)
		return -1;
	while (next_record(&reader, &record, err) > 0) {
		if (take_record(&reader, &record, &addr, err) <= 0 || wanted < addr ||
		    wanted - addr >= record.byte[0])
			continue;
		size_t index = wanted - addr;
		uint8_t value = record.byte[4 + index];
		if (first_line == 0) {
			first_line = reader.lines.line;
			first_value = value;
		} else if (value != first_value) {
			return lines_defect(&reader.lines, record.mark + 9 + 2 * index, err,
					    "%02X for address 0x%05" PRIX32 ", which line %zu set to %02X", value,
					    wanted, first_line, first_value);
		}
	}
	return pogo_fail(err, POGO_INPUT, "%.150s: address 0x%05" PRIX32 " has two values", in->name, wanted);
}

int ihex_read_stream(struct instream *in, bool lenient, const struct builder_watch *watch,
		     struct hex_image *image, struct notes *notes, struct pogo_error *err)
{
	struct reader reader = reader_of(in, lenient);
	struct hex_conflict conflict = {.len = 0};
	struct builder builder;
	struct hex_image built;
	builder_init(&builder);
	builder.watch = watch;
	hex_image_init(&built);
	if (read_all(&reader, &builder, err) != 0) {
		builder_abandon(&builder);
		return -1;
	}
	if (builder_finish(&builder, &built, &conflict, err) != 0)
		return conflict.len > 0 ? name_conflict(in, lenient, conflict.first_differing, err) : -1;
	lines_report(&reader.lines, notes);
	built.start_kind = reader.start_kind;
	built.start = reader.start;
	hex_image_finish(image);
	*image = built;
	return 0;
}

int ihex_parse(const char *text, size_t len, const char *name, struct hex_image *image,
	       struct pogo_error *err)
{
	struct instream in;
	instream_memory(&in, text, len, name);
	return ihex_read_stream(&in, false, NULL, image, NULL, err);
}

int ihex_read_file(const char *path, struct hex_image *image, struct pogo_error *err)
{
	struct instream in;
	int rc = instream_open(&in, path, err);
	if (rc == 0)
		rc = ihex_read_stream(&in, false, NULL, image, NULL, err);
	instream_close(&in);
	return rc;
}
