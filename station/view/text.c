#include "station/view/text.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* Decodes one character. Returns its bytes; malformed (overlong, surrogate, cut short): 1 byte, 0xFFFD. */
static size_t decode(const char *text, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 0;

	if (s[0] >= 0xf0 && s[0] < 0xf5)
		length = 4;
	*code = 0xfffd;
	if (length <= 1) {
		if (length == 1)
			*code = s[0];
		return 1;
	}
	uint32_t value = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (s[i] & 0x3f);
	}
	bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
	if (overlong || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff)
		return 1;
	*code = value;
	return length;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfffd;
}

void text_clean(char *out, size_t room, const char *text)
{
	size_t used = 0;

	while (*text) {
		uint32_t code;
		size_t length = decode(text, &code);

		if (used + length + 1 > room)
			break;
		if (is_control(code))
			out[used++] = '?';
		else
			memcpy(out + used, text, length), used += length;
		text += length;
	}
	out[used] = '\0';
}

/* The plain cousin of a character, for terminals that have only ASCII. */
static char plain_cousin(uint32_t code)
{
	switch (code) {
	case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2014: case 0x2212:
		return '-';
	case 0x2018: case 0x2019:
		return '\'';
	case 0x201c: case 0x201d: case 0x201e:
		return '"';
	case 0x2026:
		return '~';
	case 0x00a0: case 0x202f:
		return ' ';
	case 0x00b7:
		return '.';
	case 0x00d7:
		return 'x';
	default:
		return code < 0x80 ? (char)code : '?';
	}
}

/* One character as it will be shown: bytes into `shown` (at least 5), returns its columns. */
static int show(char shown[5], const char *text, size_t length, uint32_t code, bool utf8)
{
	int width = is_control(code) || !utf8 ? 1 : wcwidth((wchar_t)code);

	if (is_control(code) || !utf8 || width < 0) {
		shown[0] = is_control(code) || width < 0 ? '?' : plain_cousin(code);
		shown[1] = '\0';
		return 1;
	}
	memcpy(shown, text, length);
	shown[length] = '\0';
	return width;
}

int text_fit(char *out, size_t room, const char *text, int columns, bool utf8)
{
	const char *mark = utf8 ? "…" : "~";
	size_t used = 0, cut = 0; /* cut: the last place where the mark still fits */
	int width = 0, cut_width = 0;

	if (room == 0)
		return 0;
	while (*text) {
		char shown[5];
		uint32_t code;
		size_t length = decode(text, &code);
		int wide = show(shown, text, length, code, utf8);

		if (width + wide > columns || used + strlen(shown) + strlen(mark) + 1 > room) {
			if (columns < 1 || room < strlen(mark) + 1) {
				out[0] = '\0';
				return 0;
			}
			memcpy(out + cut, mark, strlen(mark) + 1);
			return cut_width + 1;
		}
		memcpy(out + used, shown, strlen(shown));
		used += strlen(shown);
		width += wide;
		if (width + 1 <= columns) {
			cut = used;
			cut_width = width;
		}
		text += length;
	}
	out[used] = '\0';
	return width;
}

void text_ratio(char *out, size_t room, uint64_t part, uint64_t whole)
{
	if (whole == 0)
		snprintf(out, room, "-");
	else if (part == whole)
		snprintf(out, room, "100 %%");
	else /* rounded down: 99.96 % is not yet a hundred */
		snprintf(out, room, "%llu.%llu %%", (unsigned long long)(part * 100 / whole),
			 (unsigned long long)(part * 1000 / whole % 10));
}

void text_span(char *out, size_t room, int64_t ms)
{
	long long seconds = ms > 0 ? ms / 1000 : 0;

	if (seconds < 3600)
		snprintf(out, room, "%lld:%02lld", seconds / 60, seconds % 60);
	else
		snprintf(out, room, "%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

void text_seconds(char *out, size_t room, int64_t ms)
{
	long long tenths = ms > 0 ? (ms + 50) / 100 : 0;

	snprintf(out, room, "%lld.%lld s", tenths / 10, tenths % 10);
}
