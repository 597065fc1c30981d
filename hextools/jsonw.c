#include "hextools/jsonw.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jsonw_init(struct jsonw *json, unsigned indent)
{
	*json = (struct jsonw){.indent = indent, .first = true};
}

void jsonw_finish(struct jsonw *json)
{
	free(json->text);
	jsonw_init(json, json->indent);
}

bool jsonw_ok(const struct jsonw *json)
{
	return !json->failed;
}

static void put(struct jsonw *json, const char *text, size_t len)
{
	if (json->failed)
		return;
	if (json->room - json->len <= len) {
		size_t room = (json->len + len + 1) * 2;
		char *grown = realloc(json->text, room);
		if (grown == NULL) {
			json->failed = true;
			return;
		}
		json->text = grown;
		json->room = room;
	}
	memcpy(json->text + json->len, text, len);
	json->len += len;
	json->text[json->len] = '\0';
}

static void put_text(struct jsonw *json, const char *text)
{
	put(json, text, strlen(text));
}

static void new_line(struct jsonw *json)
{
	if (json->indent == 0)
		return;
	put(json, "\n", 1);
	for (unsigned i = 0; i < json->depth * json->indent; i++)
		put(json, " ", 1);
}

/* Length of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), 0 if there is none. */
static size_t utf8_length(const unsigned char *at)
{
	if (at[0] < 0x80)
		return 1;
	size_t len = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
	if (at[0] < 0xC2 || at[0] > 0xF4)
		return 0;
	unsigned char low = 0x80, high = 0xBF;
	if (at[0] == 0xE0)
		low = 0xA0;
	else if (at[0] == 0xED)
		high = 0x9F;
	else if (at[0] == 0xF0)
		low = 0x90;
	else if (at[0] == 0xF4)
		high = 0x8F;
	for (size_t i = 1; i < len; i++) {
		if (at[i] < low || at[i] > high)
			return 0;
		low = 0x80;
		high = 0xBF;
	}
	return len;
}

static void put_control(struct jsonw *json, unsigned char c)
{
	static const char names[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
	const char *name = strchr(names, c);
	char escape[8];
	if (c != '\0' && name != NULL)
		snprintf(escape, sizeof escape, "\\%c", letters[name - names]);
	else
		snprintf(escape, sizeof escape, "\\u%04x", c);
	put_text(json, escape);
}

static void put_string(struct jsonw *json, const char *value)
{
	const unsigned char *at = (const unsigned char *)value;
	put(json, "\"", 1);
	while (*at != '\0') {
		size_t plain = 0, len = 1;
		while (at[plain] >= 0x20 && at[plain] < 0x7F && at[plain] != '"' && at[plain] != '\\')
			plain++;
		put(json, (const char *)at, plain);
		at += plain;
		if (*at == '\0')
			break;
		if (*at < 0x80) {
			put_control(json, *at);
		} else {
			len = utf8_length(at);
			put(json, len > 0 ? (const char *)at : "\xEF\xBF\xBD", len > 0 ? len : 3);
		}
		at += len > 0 ? len : 1;
	}
	put(json, "\"", 1);
}

/* The comma, the line and the key in front of a value. */
static void begin_value(struct jsonw *json, const char *key)
{
	if (!json->first)
		put(json, ",", 1);
	if (json->depth > 0)
		new_line(json);
	json->first = false;
	if (key == NULL)
		return;
	put_string(json, key);
	put_text(json, json->indent > 0 ? ": " : ":");
}

void jsonw_open(struct jsonw *json, const char *key, char bracket)
{
	begin_value(json, key);
	put(json, &bracket, 1);
	json->depth++;
	json->first = true;
}

void jsonw_close(struct jsonw *json, char bracket)
{
	json->depth--;
	if (!json->first)
		new_line(json);
	put(json, &bracket, 1);
	json->first = false;
}

void jsonw_str(struct jsonw *json, const char *key, const char *value)
{
	begin_value(json, key);
	if (value == NULL)
		put_text(json, "null");
	else
		put_string(json, value);
}

void jsonw_int(struct jsonw *json, const char *key, int64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, value);
	begin_value(json, key);
	put_text(json, text);
}

void jsonw_double(struct jsonw *json, const char *key, double value)
{
	char text[40];
	begin_value(json, key);
	if (!isfinite(value)) {
		put_text(json, "null");
		return;
	}
	/* 15 digits are the most that every double survives as text; 17 tell any two doubles apart. */
	snprintf(text, sizeof text, "%.15g", value);
	if (strtod(text, NULL) != value)
		snprintf(text, sizeof text, "%.17g", value);
	/* A locale may have another decimal mark. */
	char *mark = text + strcspn(text, ",");
	if (*mark == ',')
		*mark = '.';
	put_text(json, text);
}

void jsonw_bool(struct jsonw *json, const char *key, bool value)
{
	begin_value(json, key);
	put_text(json, value ? "true" : "false");
}

void jsonw_null(struct jsonw *json, const char *key)
{
	begin_value(json, key);
	put_text(json, "null");
}

void jsonw_newline(struct jsonw *json)
{
	put(json, "\n", 1);
}

void jsonw_hex(struct jsonw *json, const char *key, const void *bytes, size_t len)
{
	const unsigned char *byte = bytes;
	begin_value(json, key);
	put(json, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		char text[4];
		snprintf(text, sizeof text, "%02X", byte[i]);
		put(json, text, 2);
	}
	put(json, "\"", 1);
}
