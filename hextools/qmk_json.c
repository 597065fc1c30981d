#include "hextools/qmk_json.h"

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/outfile.h"

struct strict {
	const char *at, *end;
	char *out;
	size_t used;
	bool comma;     /* one is held back until a value follows it */
	bool value_end; /* the last token ended a value */
};

static void put(struct strict *s, char c)
{
	s->out[s->used++] = c;
}

/* Before a key or value: the comma that was there, or one that is missing. */
static void before_value(struct strict *s)
{
	if (s->comma || s->value_end)
		put(s, ',');
	s->comma = s->value_end = false;
}

/* Comments become nothing; their line breaks stay, so that line numbers hold. */
static bool skip_comment(struct strict *s)
{
	bool slash = s->at[0] == '/' && s->at + 1 < s->end;
	if (slash && s->at[1] == '*') {
		const char *body = s->at + 2;
		const char *close = memmem(body, (size_t)(s->end - body), "*/", 2);
		for (const char *stop = close != NULL ? close + 2 : s->end; s->at < stop; s->at++)
			if (*s->at == '\n')
				put(s, '\n');
		return true;
	}
	if (s->at[0] != '#' && !(slash && s->at[1] == '/'))
		return false;
	while (s->at < s->end && *s->at != '\n')
		s->at++;
	return true;
}

static void copy_string(struct strict *s)
{
	before_value(s);
	put(s, *s->at++);
	while (s->at < s->end && *s->at != '"' && *s->at != '\n') {
		if (*s->at == '\\' && s->at + 1 < s->end)
			put(s, *s->at++);
		put(s, *s->at++);
	}
	if (s->at < s->end && *s->at == '"')
		put(s, *s->at++);
	s->value_end = true;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '+' || c == '.';
}

/* A number, true, false, null, or a key without quotes. */
static void copy_word(struct strict *s)
{
	const char *start = s->at;
	while (s->at < s->end && is_word(*s->at))
		s->at++;
	const char *next = s->at;
	while (next < s->end && (*next == ' ' || *next == '\t'))
		next++;
	bool key = next < s->end && *next == ':';
	before_value(s);
	if (key)
		put(s, '"');
	memcpy(s->out + s->used, start, (size_t)(s->at - start));
	s->used += (size_t)(s->at - start);
	if (key)
		put(s, '"');
	s->value_end = true;
}

static void copy_mark(struct strict *s)
{
	char c = *s->at++;
	switch (c) {
	case ',':
		s->comma = true;
		s->value_end = false;
		return;
	case ':':
		s->value_end = false;
		break;
	case '{':
	case '[':
		before_value(s);
		break;
	case '}':
	case ']':
		s->comma = false;
		s->value_end = true;
		break;
	default:
		break;
	}
	put(s, c);
}

char *qmk_json_strict(const char *text, size_t len)
{
	/* At worst every character grows a comma and two quotes. */
	struct strict s = {.at = text, .end = text + len, .out = malloc(len * 4 + 4)};
	if (s.out == NULL)
		return NULL;
	while (s.at < s.end) {
		if (isspace((unsigned char)*s.at))
			put(&s, *s.at++);
		else if (*s.at == '"')
			copy_string(&s);
		else if (!skip_comment(&s)) {
			if (is_word(*s.at))
				copy_word(&s);
			else
				copy_mark(&s);
		}
	}
	s.out[s.used] = '\0';
	return s.out;
}

json_t *qmk_json_load(const char *path, struct pogo_error *err)
{
	char *text;
	size_t len;
	json_error_t why;
	if (infile_read(path, &text, &len, err) != 0)
		return NULL;
	if (memchr(text, '\0', len) != NULL) {
		free(text);
		pogo_fail(err, POGO_INPUT, "%.300s: byte 0x00 is in it, this is no text", path);
		return NULL;
	}
	char *strict = qmk_json_strict(text, len);
	free(text);
	if (strict == NULL) {
		pogo_fail(err, POGO_SYSTEM, "out of memory");
		return NULL;
	}
	json_t *root = json_loads(strict, 0, &why);
	free(strict);
	if (root == NULL)
		pogo_fail(err, POGO_INPUT, "%.300s:%d: %.150s", path, why.line, why.text);
	else if (!json_is_object(root)) {
		pogo_fail(err, POGO_INPUT, "%.300s: not a JSON object", path);
		json_decref(root);
		root = NULL;
	}
	return root;
}
