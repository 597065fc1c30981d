#ifndef POGO_HEXTOOLS_JSON_H
#define POGO_HEXTOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes JSON into a growing buffer: commas, quotes and escapes are its job, nesting the caller's.
 * A key is NULL inside an array and at the top. Strings that are not UTF-8 get U+FFFD. One line; with
 * `indent` > 0 at init a line per member. Out of memory is remembered and told by json_ok. */

struct json {
	char *text; /* NUL-terminated, owned; free with json_finish */
	size_t len, room;
	unsigned indent, depth;
	bool first, failed;
};

void json_init(struct json *json, unsigned indent);
void json_finish(struct json *json);
bool json_ok(const struct json *json);

void json_open(struct json *json, const char *key, char bracket /* '{' or '[' */);
void json_close(struct json *json, char bracket /* '}' or ']' */);
void json_str(struct json *json, const char *key, const char *value /* NULL writes null */);
void json_int(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value); /* not finite writes null */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_newline(struct json *json); /* ends a text that stands alone */
void json_hex(struct json *json, const char *key, const void *bytes, size_t len); /* "00FF…" */

#endif
