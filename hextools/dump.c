#include "hextools/dump.h"

#include <inttypes.h>
#include <string.h>

enum { WIDTH = 16 };

static bool printable(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7F;
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

/* What has been written last, for runs of equal lines. */
struct dump_state {
	FILE *out;
	bool all, has_last;
	uint8_t last[WIDTH];
	uint64_t repeated;
};

static void flush_repeated(struct dump_state *state)
{
	if (state->repeated > 0)
		fprintf(state->out, "*         %" PRIu64 " more line%s like that\n", state->repeated,
			state->repeated == 1 ? "" : "s");
	state->repeated = 0;
}

/* `count` bytes, of which the first stands at addr; the line begins at a multiple of WIDTH. */
static void put_line(struct dump_state *state, uint32_t addr, const uint8_t *bytes, size_t count)
{
	bool whole = count == WIDTH;
	if (whole && !state->all && state->has_last && memcmp(state->last, bytes, WIDTH) == 0) {
		state->repeated++;
		return;
	}
	flush_repeated(state);
	state->has_last = whole;
	if (whole)
		memcpy(state->last, bytes, WIDTH);
	/* By hand: fprintf would take most of the time of a large dump. */
	enum { ADDRESS = 10, HEX = WIDTH * 3 + 2, LINE = ADDRESS + HEX + 1 + WIDTH + 2 };
	static const char digits[] = "0123456789ABCDEF";
	uint32_t skip = addr % WIDTH, first = addr - skip;
	char line[LINE];
	memset(line, ' ', sizeof line);
	for (int i = 0; i < 8; i++)
		line[i] = digits[first >> (28 - 4 * i) & 15];
	line[ADDRESS + HEX] = line[LINE - 2] = '|';
	line[LINE - 1] = '\n';
	for (size_t i = 0; i < count; i++) {
		size_t cell = i + skip;
		char *to = line + ADDRESS + cell * 3 + (cell >= WIDTH / 2 ? 1 : 0);
		to[0] = digits[bytes[i] >> 4];
		to[1] = digits[bytes[i] & 15];
		line[ADDRESS + HEX + 1 + cell] = printable(bytes[i]) ? (char)bytes[i] : '.';
	}
	fwrite(line, 1, sizeof line, state->out);
}

void dump_bytes(FILE *out, const struct hex_image *image, const struct hex_range *range, bool all)
{
	struct dump_state state = {.out = out, .all = all};
	const struct hex_segment *end = image->segments + image->count;
	uint64_t next = range->first;
	bool any = false;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint64_t at = s->addr > range->first ? s->addr : range->first;
		uint64_t stop = (uint64_t)s->addr + s->len;
		if (stop > (uint64_t)range->last + 1)
			stop = (uint64_t)range->last + 1;
		flush_repeated(&state);
		state.has_last = false;
		if (any)
			fprintf(out, "          hole of %" PRIu64 " byte%s\n", at - next,
				at - next == 1 ? "" : "s");
		any = true;
		for (; at < stop;) {
			uint64_t line = (at / WIDTH + 1) * WIDTH;
			size_t count = (size_t)((line < stop ? line : stop) - at);
			put_line(&state, (uint32_t)at, s->bytes + (at - s->addr), count);
			at += count;
		}
		next = stop;
	}
	flush_repeated(&state);
}

/* ---- strings ---------------------------------------------------------------------------------------- */

static size_t ascii_run(const uint8_t *at, size_t len)
{
	size_t n = 0;
	while (n < len && printable(at[n]))
		n++;
	return n;
}

static size_t utf16_run(const uint8_t *at, size_t len)
{
	size_t n = 0;
	while (n * 2 + 1 < len && printable(at[n * 2]) && at[n * 2 + 1] == 0)
		n++;
	return n;
}

/* Looks at one run of data: `before` bytes of it stand in front of the range. */
static int strings_of(const uint8_t *at, size_t before, size_t len, uint32_t addr, size_t least,
		      int (*visit)(void *context, const struct dump_string *string), void *context)
{
	for (size_t i = 0; i < len;) {
		size_t wide = utf16_run(at + i, len - i), narrow = ascii_run(at + i, len - i);
		struct dump_string found = {.addr = addr + (uint32_t)i, .bytes = at + i};
		/* "a\0b\0" is no ASCII string of one letter: the longer reading wins. */
		if (wide >= least && wide >= narrow) {
			found.encoding = DUMP_UTF16LE;
			found.characters = wide;
			found.usb = i + before >= 2 && at[i - 1] == 0x03 && at[i - 2] == wide * 2 + 2;
		} else if (narrow >= least) {
			found.characters = narrow;
			/* Its last letter may begin a UTF-16 string: that one is looked at on its own. */
			if (utf16_run(at + i + narrow - 1, len - i - narrow + 1) >= least && narrow > least)
				found.characters--;
		} else {
			i += narrow > 1 ? narrow - 1 : 1;
			continue;
		}
		int rc = visit(context, &found);
		if (rc != 0)
			return rc;
		i += found.characters * (found.encoding == DUMP_UTF16LE ? 2 : 1);
	}
	return 0;
}

int dump_strings(const struct hex_image *image, const struct hex_range *range, size_t least,
		 int (*visit)(void *context, const struct dump_string *string), void *context)
{
	const struct hex_segment *end = image->segments + image->count;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t from = s->addr > range->first ? s->addr : range->first;
		uint64_t stop = (uint64_t)s->addr + s->len;
		if (stop > (uint64_t)range->last + 1)
			stop = (uint64_t)range->last + 1;
		int rc = strings_of(s->bytes + (from - s->addr), from - s->addr, (size_t)(stop - from), from,
				    least, visit, context);
		if (rc != 0)
			return rc;
	}
	return 0;
}
