#ifndef POGO_HEXTOOLS_LINES_H
#define POGO_HEXTOOLS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/instream.h"
#include "hextools/notes.h"

/* The lines of a text format: where a reader is, how a defect is named, and the harmless oddities that
 * a lenient reader accepts. A line may be longer than what is in view. */

enum { LINES_AHEAD = 1024 }; /* in view at a record's start; the longest record has 523 characters */

enum lines_oddity {
	ODD_BYTE_ORDER_MARK,
	ODD_LEADING_BLANKS,
	ODD_COMMENT_LINE,
	ODD_TEXT_AFTER_RECORD,
	ODD_NULS_AT_END,
	ODD_SECOND_END,
	ODD_END_ADDRESS,
	ODD_TWO_STARTS,
	ODDITIES
};

struct lines {
	struct instream *in;
	size_t line;         /* counts from 1 */
	uint64_t line_start; /* offset of its first character */
	bool lenient;
	bool refused; /* what is here would have been accepted by a lenient reader */
	struct {
		size_t count, line;
		uint64_t column;
	} odd[ODDITIES];
};

struct lines lines_of(struct instream *in, bool lenient);

/* Offset of a character in view. */
static inline uint64_t lines_offset(const struct lines *lines, const uint8_t *at)
{
	return instream_offset(lines->in) + (uint64_t)(at - lines->in->at);
}

static inline bool lines_is_end(const struct lines *lines, const uint8_t *at)
{
	return at == lines->in->end || *at == '\n' || *at == '\r';
}

/* "NAME:LINE:COLUMN: …" of the character at this offset of the current line, and whether a lenient reader would
 * accept it. Returns -1. */
int lines_defect(const struct lines *lines, uint64_t offset, struct pogo_error *err, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

/* Steps over blanks, however many; over everything up to the line's end; over the line's end. */
int lines_skip_blanks(struct lines *lines, struct pogo_error *err);
int lines_skip_rest(struct lines *lines, struct pogo_error *err);
int lines_next(struct lines *lines, struct pogo_error *err);

/* Finds what comes next behind empty lines: a record, which begins with `mark` (never once the file has ended, when
 * a CP/M Ctrl-Z may follow), the end of the text, or something else. *begin is where that line's blanks begin. */
enum lines_found { LINES_FAILED = -1, LINES_END, LINES_RECORD, LINES_OTHER };
enum lines_found lines_find(struct lines *lines, uint8_t mark, bool ended, uint64_t *begin, struct pogo_error *err);

/* Steps over something else that every text format has and a lenient reader accepts: 1, or 0 if it is none of that. */
int lines_step_over(struct lines *lines, uint8_t mark, bool ended, uint64_t begin, struct pogo_error *err);

/* Takes note of an oddity if the reader is lenient; else false, and it is a defect. */
bool lines_accept(struct lines *lines, enum lines_oddity oddity, uint64_t offset);

/* One sentence for each kind of oddity, with its first place and how often it was there. */
void lines_report(const struct lines *lines, struct notes *notes);

/* A character in a message: itself in quotes, or its value. */
const char *lines_show(uint8_t c, char out[12]);

#endif
