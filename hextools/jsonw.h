#ifndef POGO_HEXTOOLS_JSONW_H
#define POGO_HEXTOOLS_JSONW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes JSON into a growing buffer: commas, quotes and escapes are its job, nesting the caller's.
 * A key is NULL inside an array and at the top. Strings that are not UTF-8 get U+FFFD. One line; with
 * `indent` > 0 at init a line per member. Out of memory is remembered and told by jsonw_ok. */

struct jsonw {
	char *text; /* NUL-terminated, owned; free with jsonw_finish */
	size_t len, room;
	unsigned indent, depth;
	bool first, failed;
};

void jsonw_init(struct jsonw *json, unsigned indent);
void jsonw_finish(struct jsonw *json);
bool jsonw_ok(const struct jsonw *json);

void jsonw_open(struct jsonw *json, const char *key, char bracket /* '{' or '[' */);
void jsonw_close(struct jsonw *json, char bracket /* '}' or ']' */);
void jsonw_str(struct jsonw *json, const char *key, const char *value /* NULL writes null */);
void jsonw_int(struct jsonw *json, const char *key, int64_t value);
void jsonw_double(struct jsonw *json, const char *key, double value); /* not finite writes null */
void jsonw_bool(struct jsonw *json, const char *key, bool value);
void jsonw_null(struct jsonw *json, const char *key);
void jsonw_newline(struct jsonw *json); /* ends a text that stands alone */
void jsonw_hex(struct jsonw *json, const char *key, const void *bytes, size_t len); /* "00FF…" */

#endif
