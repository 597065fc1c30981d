#ifndef POGO_STATION_VIEW_TEXT_H
#define POGO_STATION_VIEW_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text on its way to a person. What came from a chip or a file may hold anything: control characters
 * never reach the terminal. */

/* Copies with control characters (C0, DEL, C1) and bytes that are not UTF-8 turned into '?'. */
void text_clean(char *out, size_t room, const char *text);

/* Cleans and fits into `columns` of a terminal; what is too long ends in "…" (or "~"). Without utf8 the
 * result is ASCII: dashes and dots get their plain cousins, the rest '?'. With utf8 the character widths
 * are those of the process' locale. Returns the columns used. */
int text_fit(char *out, size_t room, const char *text, int columns, bool utf8);

void text_ratio(char *out, size_t room, uint64_t part, uint64_t whole); /* "97.5 %", "-" of nothing */
void text_span(char *out, size_t room, int64_t ms);			/* "0:42", "1:02:03" */
void text_seconds(char *out, size_t room, int64_t ms);			/* "6.2 s" */

#endif
