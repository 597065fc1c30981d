#include "hextools/format_list.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/builder.h"
#include "hextools/hexdigits.h"
#include "hextools/lines.h"

/* Motorola S-records (M68000 Family Programmer's Reference Manual, appendix C): S, a type digit, the count
 * of the bytes that follow, an address of 2, 3 or 4 bytes, data, and the ones' complement of the sum of
 * count, address and data. S0 is a header, S1 to S3 are data, S5 and S6 count the data records, S7 to S9
 * end the file and carry a start address. */

enum {
	MAX_BYTES = 1 + 255, /* the count and what it counts */
	LONGEST = 2 + 2 * MAX_BYTES + 1,
};

struct record {
	unsigned type;
	uint32_t addr;
	size_t len; /* of the data */
	const uint8_t *data;
	uint64_t mark; /* offset of its S */
	uint8_t byte[MAX_BYTES];
};

struct reader {
	struct lines lines;
	struct instream *in;
	uint64_t data_records;
	bool counted, ended;
	unsigned ended_by;
	enum hex_start_kind start_kind;
	uint32_t start;
};

/* Bytes of the address in each type; 0: there is no such type (S4 is reserved). */
static unsigned address_bytes(unsigned type)
{
	static const uint8_t bytes[10] = {2, 2, 3, 4, 0, 2, 3, 4, 3, 2};
	return type < 10 ? bytes[type] : 0;
}

/* Why the line at reader->in->at, which begins with S, is no record; called only when it is none. */
static int bad_record(struct reader *reader, struct pogo_error *err)
{
	struct instream *in = reader->in;
	const struct lines *lines = &reader->lines;
	const uint8_t *begin = in->at, *at = begin + 1;
	uint64_t mark = lines_offset(lines, begin);
	char shown[12];
	while (at < in->end && at - begin < LONGEST && hex_digit(*at) < 16)
		at++;
	size_t count = (size_t)(at - begin) - 1;
	const char *cut = at == in->end ? " (the file may be cut off)" : "";
	if (begin + 1 < in->end && !lines_is_end(lines, begin + 1) && address_bytes(begin[1] - (unsigned)'0') == 0)
		return lines_defect(lines, mark + 1, err, "%s, record types are S0 to S3 and S5 to S9",
				    lines_show(begin[1], shown));
	if (count < 3)
		return lines_defect(lines, mark + 1 + count, err, "%zu digits, the shortest record has 9%s", count,
				    cut);
	unsigned counted = hex_pair(begin + 2), least = address_bytes(begin[1] - (unsigned)'0') + 1;
	if (counted < least)
		return lines_defect(lines, mark + 2, err, "count %02X, an S%c record has at least %02X", counted,
				    begin[1], least);
	if (count == 3 + 2 * (size_t)counted && !lines_is_end(lines, at))
		return lines_defect(lines, mark + 1 + count, err,
				    "%s, nothing may follow the checksum of a record", lines_show(*at, shown));
	if (!lines_is_end(lines, at) && hex_digit(*at) > 15 && count < 3 + 2 * (size_t)counted)
		return lines_defect(lines, mark + 1 + count, err, "%s, a record has hexadecimal digits only",
				    lines_show(*at, shown));
	if (count % 2 == 0)
		return lines_defect(lines, mark + 1 + count, err,
				    "%zu digits behind the type, a record has an even number of them%s", count - 1,
				    cut);
	return lines_defect(lines, mark + 2, err, "count %02X says %u bytes, the line has %zu%s", counted,
			    counted, (count - 3) / 2, cut);
}

/* What may stand between a record and its line's end. */
static int after_record(struct reader *reader, struct pogo_error *err)
{
	const struct instream *in = reader->in;
	char shown[12];
	if (lines_is_end(&reader->lines, in->at))
		return 0;
	if (lines_skip_blanks(&reader->lines, err) != 0)
		return -1;
	if (lines_is_end(&reader->lines, in->at))
		return 0;
	uint64_t offset = instream_offset(in);
	if (lines_accept(&reader->lines, ODD_TEXT_AFTER_RECORD, offset))
		return lines_skip_rest(&reader->lines, err);
	return lines_defect(&reader->lines, offset, err, "%s, nothing may follow the checksum of a record",
			    lines_show(*in->at, shown));
}

static int decode(struct reader *reader, struct record *record, struct pogo_error *err)
{
	struct instream *in = reader->in;
	if (instream_ahead(in, LINES_AHEAD, err) != 0)
		return -1;
	const uint8_t *at = in->at;
	size_t left = (size_t)(in->end - at);
	record->mark = lines_offset(&reader->lines, at);
	record->type = left > 1 ? at[1] - (unsigned)'0' : 10;
	unsigned width = address_bytes(record->type), count = left > 3 ? hex_pair(at + 2) : 256, sum = 0;
	if (width == 0 || count > 255 || count < width + 1 || left < 4 + 2 * (size_t)count ||
	    !hex_decode(at + 2, record->byte, count + 1, &sum))
		return bad_record(reader, err);
	const uint8_t *rest = at + 4 + 2 * (size_t)count;
	if (rest < in->end && hex_digit(*rest) < 16)
		return bad_record(reader, err);
	in->at = rest;
	if (after_record(reader, err) != 0)
		return -1;
	if ((sum & 0xFF) != 0xFF)
		return lines_defect(&reader->lines, record->mark + 2 + 2 * (uint64_t)count, err,
				    "checksum %02X, the record's bytes need %02X", record->byte[count],
				    (record->byte[count] + 0xFF - sum) & 0xFF);
	record->addr = 0;
	for (unsigned i = 1; i <= width; i++)
		record->addr = record->addr << 8 | record->byte[i];
	record->data = record->byte + 1 + width;
	record->len = count - width - 1;
	return 0;
}

/* What is neither a record nor an empty line: 0 if a lenient reader may step over it. */
static int odd_line(struct reader *reader, uint64_t begin, struct pogo_error *err)
{
	const struct instream *in = reader->in;
	struct lines *lines = &reader->lines;
	char shown[12];
	int stepped = lines_step_over(lines, 'S', reader->ended, begin, err);
	if (stepped != 0)
		return stepped > 0 ? 0 : -1;
	uint64_t offset = instream_offset(in);
	if (reader->ended)
		return lines_defect(lines, offset, err, "%s after the end record (S%u)%s",
				    lines_show(*in->at, shown), reader->ended_by,
				    *in->at == 'S' ? ": two files joined without merging?" : "");
	return lines_defect(lines, begin, err, "%s, a record begins with \"S\" at the start of its line",
			    offset > begin ? "a space" : lines_show(*in->at, shown));
}

/* Finds the next record: 1 = found, 0 = end of the text, -1 = defect. */
static int next_record(struct reader *reader, struct record *record, struct pogo_error *err)
{
	uint64_t begin = 0;
	enum lines_found found;
	while ((found = lines_find(&reader->lines, 'S', reader->ended, &begin, err)) == LINES_OTHER)
		if (odd_line(reader, begin, err) != 0)
			return -1;
	if (found == LINES_RECORD)
		return decode(reader, record, err) == 0 ? 1 : -1;
	return found == LINES_END ? 0 : -1;
}

static int take_count(struct reader *reader, const struct record *record, struct pogo_error *err)
{
	uint64_t limit = record->type == 5 ? 0x10000 : 0x1000000;
	if (record->len > 0)
		return lines_defect(&reader->lines, record->mark + 2, err, "an S%u record with %zu data bytes, it "
				    "has none", record->type, record->len);
	if (record->addr != reader->data_records % limit || reader->data_records >= limit)
		return lines_defect(&reader->lines, record->mark + 4, err,
				    "S%u counts %" PRIu32 " data records, the file has %" PRIu64
				    " before it: lines are missing or doubled",
				    record->type, record->addr, reader->data_records);
	reader->counted = true;
	return 0;
}

static int take_end(struct reader *reader, const struct record *record, struct pogo_error *err)
{
	if (record->len > 0)
		return lines_defect(&reader->lines, record->mark + 2, err,
				    "an end record (S%u) with %zu data bytes, it has none", record->type,
				    record->len);
	reader->ended = true;
	reader->ended_by = record->type;
	/* Every S-record file has a start address; 0 is what those write that mean none. */
	if (record->addr != 0) {
		reader->start_kind = HEX_START_LINEAR;
		reader->start = record->addr;
	}
	return 0;
}

/* 1 = a data record with bytes, 0 = something else, -1 = defect. */
static int take_record(struct reader *reader, const struct record *record, struct pogo_error *err)
{
	if (record->type == 0)
		return 0;
	if (record->type >= 7)
		return take_end(reader, record, err);
	if (record->type >= 5)
		return take_count(reader, record, err);
	if (reader->counted)
		return lines_defect(&reader->lines, record->mark, err, "data after the count record (S5 or S6)");
	reader->data_records++;
	static const uint64_t space[4] = {0, UINT64_C(1) << 16, UINT64_C(1) << 24, UINT64_C(1) << 32};
	if (record->addr + record->len > space[record->type])
		return lines_defect(&reader->lines, record->mark + 4, err,
				    "%zu bytes at %" PRIX32 ", an S%u record runs past its addresses",
				    record->len, record->addr, record->type);
	return record->len > 0 ? 1 : 0;
}

static int read_records(struct reader *reader, struct builder *builder, struct pogo_error *err)
{
	struct record record = {.mark = 0};
	int got;
	while ((got = next_record(reader, &record, err)) > 0) {
		int data = take_record(reader, &record, err);
		if (data < 0)
			return -1;
		if (data > 0 && builder_add(builder, record.addr, record.data, record.len, err) != 0)
			return -1;
	}
	if (got < 0)
		return -1;
	uint64_t end = instream_offset(reader->in);
	if (end == 0)
		return pogo_fail(err, POGO_INPUT, "%.150s:1:1: the file is empty", reader->in->name);
	/* SRecord leaves out the end record of a file without a start address; its count proves as much. */
	if (!reader->ended && !reader->counted)
		return lines_defect(&reader->lines, end, err,
				    "end of the file, neither an end record (S7, S8, S9) nor a count (S5, S6): "
				    "the file may be cut off");
	if (builder_empty(builder))
		return lines_defect(&reader->lines, end, err, "end of the file, no data in it");
	return 0;
}

/* Two records give one byte two values: walks the text again to name both lines. */
static int name_conflict(struct instream *in, bool lenient, uint32_t wanted, struct pogo_error *err)
{
	struct reader reader = {.lines = lines_of(in, lenient), .in = in};
	struct record record = {.mark = 0};
	size_t first_line = 0;
	uint8_t first_value = 0;
	if (instream_rewind(in, err) != 0)
		return -1;
	while (next_record(&reader, &record, err) > 0) {
		if (take_record(&reader, &record, err) <= 0 || wanted < record.addr ||
		    wanted - record.addr >= record.len)
			continue;
		size_t index = wanted - record.addr;
		if (first_line == 0) {
			first_line = reader.lines.line;
			first_value = record.data[index];
		} else if (record.data[index] != first_value) {
			uint64_t column = 2 + 2 * (uint64_t)(record.data - record.byte) + 2 * index;
			return lines_defect(&reader.lines, record.mark + column, err,
					    "%02X for address 0x%05" PRIX32 ", which line %zu set to %02X",
					    record.data[index], wanted, first_line, first_value);
		}
	}
	return pogo_fail(err, POGO_INPUT, "%.150s: address 0x%05" PRIX32 " has two values", in->name, wanted);
}

static int read_srec(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		     struct format_origin *origin, struct pogo_error *err)
{
	struct reader reader = {.lines = lines_of(in, reading->lenient), .in = in};
	struct hex_conflict conflict = {.len = 0};
	struct builder builder;
	builder_init(&builder);
	builder.watch = reading->watch;
	builder.expected = instream_length(in) != UINT64_MAX ? instream_length(in) / 2 : 0;
	if (read_records(&reader, &builder, err) != 0) {
		builder_abandon(&builder);
		return -1;
	}
	if (builder_finish(&builder, image, &conflict, err) != 0)
		return conflict.len > 0 ? name_conflict(in, reading->lenient, conflict.first_differing, err) : -1;
	lines_report(&reader.lines, &origin->notes);
	image->start_kind = reader.start_kind;
	image->start = reader.start;
	return 0;
}

static bool detect_srec(const uint8_t *head, size_t len)
{
	size_t i = len >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
	while (i < len && head[i] != '\0' && strchr(" \t\r\n", head[i]) != NULL)
		i++;
	return i + 3 < len && head[i] == 'S' && isdigit(head[i + 1]) && isxdigit(head[i + 2]) &&
	       isxdigit(head[i + 3]);
}

static void put_record(struct sink *sink, unsigned type, uint32_t addr, const uint8_t *data, size_t len)
{
	unsigned width = address_bytes(type), sum = 0;
	uint8_t head[5] = {(uint8_t)(len + width + 1)};
	for (unsigned i = 0; i < width; i++)
		head[1 + i] = (uint8_t)(addr >> 8 * (width - 1 - i));
	uint8_t *to = sink_room(sink, LONGEST);
	*to++ = 'S';
	*to++ = (uint8_t)('0' + type);
	to = hex_encode(to, head, 1 + width, &sum);
	to = hex_encode(to, data, len, &sum);
	to = hex_encode_byte(to, ~sum);
	*to++ = '\n';
	sink->at = to;
}

/* The fewest address bytes that hold every byte and the start address; 0 with a message if the wish is
 * for fewer. */
static unsigned choose_width(const struct hex_image *image, unsigned wish, struct pogo_error *err)
{
	const struct hex_segment *last = &image->segments[image->count - 1];
	uint64_t top = (uint64_t)last->addr + last->len - 1;
	if (image->start_kind == HEX_START_LINEAR && image->start > top)
		top = image->start;
	unsigned width = top > 0xFFFFFF ? 4 : top > 0xFFFF ? 3 : 2;
	if (wish == 0 || (wish >= width && wish <= 4))
		return wish != 0 ? wish : width;
	pogo_fail(err, POGO_INPUT, "%u address bytes in an S-record: allowed are %u to 4 for 0x%" PRIX64, wish,
		  width, top);
	return 0;
}

static int write_srec(const struct hex_image *image, const struct format_writing *writing,
		      struct sink *sink, struct pogo_error *err)
{
	if (image->count == 0)
		return pogo_fail(err, POGO_INPUT, "no data for an S-record file");
	unsigned width = choose_width(image, writing->address_bytes, err);
	unsigned step = writing->width != 0 ? writing->width : 16;
	if (width == 0)
		return -1;
	if (step > 254 - width)
		return pogo_fail(err, POGO_INPUT, "%u data bytes a record, allowed are 1 to %u with %u address bytes",
				 step, 254 - width, width);
	uint64_t records = 0;
	put_record(sink, 0, 0, NULL, 0);
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		for (size_t done = 0; done < segment->len && sink->error == 0; done += step, records++)
			put_record(sink, width - 1, segment->addr + (uint32_t)done, segment->bytes + done,
				   segment->len - done < step ? segment->len - done : step);
	}
	if (records <= 0xFFFFFF)
		put_record(sink, records <= 0xFFFF ? 5 : 6, (uint32_t)records, NULL, 0);
	put_record(sink, 11 - width, image->start_kind == HEX_START_LINEAR ? image->start : 0, NULL, 0);
	return 0;
}

const struct format format_srec = {
	.name = "srec",
	.title = "Motorola S-record",
	.extensions = " srec s19 s28 s37 mot s s1 s2 s3 sx ",
	.text = true,
	.keeps_linear = true,
	.detect = detect_srec,
	.read = read_srec,
	.write = write_srec,
};
