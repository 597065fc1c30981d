#include "hextools/lines.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef pogo_fail

struct lines lines_of(struct instream *in, bool lenient)
{
	return (struct lines){.in = in, .line = 1, .lenient = lenient};
}

int lines_defect(const struct lines *lines, uint64_t offset, struct pogo_error *err, const char *format,
		 ...)
{
	char text[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	return pogo_fail(err, POGO_INPUT, "%.150s:%zu:%" PRIu64 ": %s%s", lines->in->name, lines->line,
			 offset - lines->line_start + 1, text, lines->refused ? " (--lenient accepts it)" : "");
}

int lines_skip_blanks(struct lines *lines, struct pogo_error *err)
{
	struct instream *in = lines->in;
	do {
		while (in->at < in->end && (*in->at == ' ' || *in->at == '\t'))
			in->at++;
		if (in->at < in->end || in->last)
			return 0;
	} while (instream_ahead(in, 1, err) == 0);
	return -1;
}

int lines_skip_rest(struct lines *lines, struct pogo_error *err)
{
	struct instream *in = lines->in;
	do {
		while (in->at < in->end && *in->at != '\n' && *in->at != '\r')
			in->at++;
		if (in->at < in->end || in->last)
			return 0;
	} while (instream_ahead(in, 1, err) == 0);
	return -1;
}

int lines_next(struct lines *lines, struct pogo_error *err)
{
	struct instream *in = lines->in;
	if (instream_ahead(in, 2, err) != 0)
		return -1;
	if (in->at == in->end)
		return 0;
	if (in->at[0] == '\r' && in->end - in->at > 1 && in->at[1] == '\n')
		in->at++;
	in->at++;
	lines->line++;
	lines->line_start = instream_offset(in);
	return 0;
}

enum lines_found lines_find(struct lines *lines, uint8_t mark, bool ended, uint64_t *begin, struct pogo_error *err)
{
	struct instream *in = lines->in;
	for (;;) {
		if (instream_ahead(in, 1, err) != 0)
			return LINES_FAILED;
		if (in->at == in->end)
			return LINES_END;
		if (*in->at == mark && !ended)
			return LINES_RECORD;
		*begin = instream_offset(in);
		if (lines_skip_blanks(lines, err) != 0)
			return LINES_FAILED;
		while (ended && in->at < in->end && *in->at == 0x1A)
			in->at++;
		if (!lines_is_end(lines, in->at))
			return instream_ahead(in, LINES_AHEAD, err) == 0 ? LINES_OTHER : LINES_FAILED;
		if (lines_next(lines, err) != 0)
			return LINES_FAILED;
	}
}

int lines_step_over(struct lines *lines, uint8_t mark, bool ended, uint64_t begin, struct pogo_error *err)
{
	struct instream *in = lines->in;
	uint64_t offset = instream_offset(in);
	if (ended && *in->at == '\0' && lines_accept(lines, ODD_NULS_AT_END, offset)) {
		while (in->at < in->end && *in->at == '\0')
			in->at++;
		return 1;
	}
	if (ended)
		return 0;
	if (offset == 0 && in->end - in->at >= 3 && memcmp(in->at, "\xEF\xBB\xBF", 3) == 0 &&
	    lines_accept(lines, ODD_BYTE_ORDER_MARK, 0)) {
		in->at += 3;
		return 1;
	}
	if (*in->at == '#' && lines_accept(lines, ODD_COMMENT_LINE, offset))
		return lines_skip_rest(lines, err) == 0 ? 1 : -1;
	return *in->at == mark && offset > begin && lines_accept(lines, ODD_LEADING_BLANKS, begin);
}

bool lines_accept(struct lines *lines, enum lines_oddity oddity, uint64_t offset)
{
	lines->refused = !lines->lenient;
	if (lines->refused)
		return false;
	if (lines->odd[oddity].count++ == 0) {
		lines->odd[oddity].line = lines->line;
		lines->odd[oddity].column = offset - lines->line_start + 1;
	}
	return true;
}

void lines_report(const struct lines *lines, struct notes *notes)
{
	static const char *const what[ODDITIES] = {
		[ODD_BYTE_ORDER_MARK] = "a UTF-8 byte order mark was skipped",
		[ODD_LEADING_BLANKS] = "blanks before a record were skipped",
		[ODD_COMMENT_LINE] = "a comment line was skipped",
		[ODD_TEXT_AFTER_RECORD] = "text after a record's checksum was skipped",
		[ODD_NULS_AT_END] = "NUL bytes after the end record were skipped",
		[ODD_SECOND_END] = "a second end record was skipped",
		[ODD_END_ADDRESS] = "the address in the end record was not used",
		[ODD_TWO_STARTS] = "start records 03 and 05 are both there, 05 was kept",
	};
	for (size_t i = 0; i < ODDITIES; i++) {
		char often[48] = "";
		if (lines->odd[i].count == 0)
			continue;
		if (lines->odd[i].count > 1)
			snprintf(often, sizeof often, ", %zu times in all", lines->odd[i].count);
		notes_add(notes, "%.150s:%zu:%" PRIu64 ": %s%s", lines->in->name, lines->odd[i].line,
			  lines->odd[i].column, what[i], often);
	}
}

const char *lines_show(uint8_t c, char out[12])
{
	if (c > ' ' && c < 0x7F)
		snprintf(out, 12, "\"%c\"", c);
	else
		snprintf(out, 12, "byte 0x%02X", c);
	return out;
}
