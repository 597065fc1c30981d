#include "db/report_json.h"

#include <inttypes.h>
#include <math.h>

static void string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c == '\t')
			fputs("\\t", out);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void new_line(struct report_json *json)
{
	fprintf(json->out, "\n%*s", json->depth * 2, "");
}

static void member(struct report_json *json, const char *key)
{
	if (json->begun)
		fputc(',', json->out);
	if (json->depth)
		new_line(json);
	json->begun = 1;
	if (key) {
		string(json->out, key);
		fputs(": ", json->out);
	}
}

void report_json_open(struct report_json *json, const char *key, char bracket)
{
	member(json, key);
	fputc(bracket, json->out);
	json->depth++;
	json->begun = 0;
}

void report_json_close(struct report_json *json, char bracket)
{
	json->depth--;
	if (json->begun)
		new_line(json);
	fputc(bracket, json->out);
	json->begun = 1;
	if (json->depth == 0)
		fputc('\n', json->out);
}

void report_json_text(struct report_json *json, const char *key, const char *value)
{
	if (!value) {
		report_json_null(json, key);
		return;
	}
	member(json, key);
	string(json->out, value);
}

void report_json_int(struct report_json *json, const char *key, int64_t value)
{
	member(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void report_json_number(struct report_json *json, const char *key, double value)
{
	if (!isfinite(value)) {
		report_json_null(json, key);
		return;
	}
	member(json, key);
	fprintf(json->out, "%.6f", value);
}

void report_json_bool(struct report_json *json, const char *key, int value)
{
	member(json, key);
	fputs(value ? "true" : "false", json->out);
}

void report_json_null(struct report_json *json, const char *key)
{
	member(json, key);
	fputs("null", json->out);
}
