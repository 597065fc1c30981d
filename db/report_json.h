#ifndef POGO_DB_REPORT_JSON_H
#define POGO_DB_REPORT_JSON_H

#include <stdint.h>
#include <stdio.h>

/* Writes JSON as it goes, one member a line. key NULL = inside an array. */
struct report_json {
	FILE *out;
	int depth;
	int begun; /* the open object or array has a member already */
};

void report_json_open(struct report_json *json, const char *key, char bracket);
void report_json_close(struct report_json *json, char bracket);
void report_json_text(struct report_json *json, const char *key, const char *value); /* NULL writes null */
void report_json_int(struct report_json *json, const char *key, int64_t value);
void report_json_number(struct report_json *json, const char *key, double value); /* not finite writes null */
void report_json_bool(struct report_json *json, const char *key, int value);
void report_json_null(struct report_json *json, const char *key);

#endif
