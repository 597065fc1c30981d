#include "hextools/check_private.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "hextools/hexdigits.h"

/* The records of one text, as they follow each other. */
struct scan {
	struct check *check;
	uint64_t line, eof_line, base_line;
	uint32_t base, next_offset; /* next_offset: behind the last data record since the base */
	bool after_eof_said, leftover_said, restarted;
};

/* One record's bytes without the mark; false if it is not sound. */
static bool decode(const char *text, size_t len, uint8_t bytes[260])
{
	size_t count = len / 2;
	unsigned sum = 0;
	bytes[0] = 0;
	if (len < 11 || text[0] != ':' || len % 2 == 0 || len > 521 ||
	    !hex_decode((const uint8_t *)text + 1, bytes, count, &sum))
		return false;
	return (sum & 0xFF) == 0 && bytes[0] + (size_t)5 == count;
}

static void say_after_eof(struct scan *scan)
{
	if (scan->after_eof_said)
		return;
	scan->after_eof_said = true;
	check_find(scan->check, "eof-inside", CHECK_ERROR, CHECK_NOWHERE,
		   "join the files with pogo-hex merge or release, not with an editor",
		   "line %" PRIu64 " has the end record, and data follows in line %" PRIu64
		   ": most programmers stop reading at the end record and leave the rest out",
		   scan->eof_line, scan->line);
}

/* A file that was pasted behind another one counts from 0 again, but the other one's base holds on. */
static void say_leftover(struct scan *scan, uint32_t offset)
{
	if (scan->leftover_said)
		return;
	scan->leftover_said = true;
	check_find(scan->check, "base-leftover", CHECK_ERROR, scan->base + offset,
		   "join the files with pogo-hex merge or release, which resolves each file for itself",
		   "line %" PRIu64 " begins anew at offset 0x%04" PRIX32 ", but the address record of line %" PRIu64
		   " is still in force: the data lands at 0x%05" PRIX32,
		   scan->line, offset, scan->base_line, scan->base + offset);
}

static void take_data(struct scan *scan, const uint8_t *bytes)
{
	uint32_t offset = (uint32_t)(bytes[1] << 8 | bytes[2]);
	if (scan->eof_line != 0)
		say_after_eof(scan);
	if (scan->base != 0 && offset < scan->next_offset && (scan->restarted || offset == 0))
		say_leftover(scan, offset);
	scan->next_offset = offset + bytes[0];
}

static void take_record(struct scan *scan, const uint8_t *bytes)
{
	uint32_t value = (uint32_t)(bytes[4] << 8 | bytes[5]);
	switch (bytes[3]) {
	case 0:
		take_data(scan, bytes);
		break;
	case 1:
		scan->restarted = true;
		if (scan->eof_line == 0)
			scan->eof_line = scan->line;
		break;
	case 2:
	case 4:
		if (bytes[0] != 2)
			break;
		scan->base = bytes[3] == 2 ? value << 4 : value << 16;
		scan->base_line = scan->line;
		scan->next_offset = 0;
		scan->restarted = false;
		break;
	default: /* a start record ends a file's data as most linkers write it */
		scan->restarted = true;
		break;
	}
}

bool check_text(struct check *check, const char *text, size_t len, bool *ihex, bool *has_data)
{
	struct scan scan = {.check = check};
	const char *at = text, *end = text + len;
	while (at < end && isspace((unsigned char)*at))
		at++;
	*ihex = at < end && *at == ':';
	if (!*ihex)
		return true;
	for (at = text; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const char *next = stop != NULL ? stop + 1 : end;
		size_t size = (size_t)((stop != NULL ? stop : end) - at);
		uint8_t bytes[260];
		scan.line++;
		while (size > 0 && isspace((unsigned char)at[size - 1]))
			size--;
		if (size > 0 && !decode(at, size, bytes))
			return false;
		if (size > 0)
			take_record(&scan, bytes);
		*has_data = *has_data || (size > 0 && bytes[3] == 0 && bytes[0] > 0);
		at = next;
	}
	if (scan.eof_line == 0)
		check_find(check, "eof-missing", CHECK_ERROR, CHECK_NOWHERE, "get the file again, whole",
			   "the last line (%" PRIu64 ") is no end record: the file is cut, or its end was edited away",
			   scan.line);
	return true;
}
