/* speed MIB ROUNDS: the Intel HEX reader and writer alone, from memory to memory, beside what they are measured
 * against. Prints "NAME BYTES_PER_SECOND" of text for each: read, the usual table-driven loop (table), write, memcpy
 * of the text, digest (write and SHA-256). In turn, ROUNDS times, medians. Exit: 0, or 1 when one of them is wrong. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hextools/digest.h"
#include "hextools/ihex.h"

enum { MOST_ROUNDS = 99 };

struct subject {
	struct hex_image image; /* random bytes from 0 on */
	char *text;             /* the same as Intel HEX */
	size_t text_len;
	uint8_t *scratch;       /* as long as the text */
	bool wrong;
};

static void make_subject(struct subject *subject, size_t bytes)
{
	uint8_t *data = malloc(bytes);
	uint64_t state = 0x9E3779B97F4A7C15;
	if (data == NULL)
		exit(1);
	for (size_t i = 0; i < bytes; i++) { /* xorshift64, Marsaglia 2003 */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		data[i] = (uint8_t)(state >> 32);
	}
	hex_image_init(&subject->image);
	if (hex_image_add(&subject->image, 0, data, bytes, HEX_OVERLAP_ERROR, NULL, NULL) != 0 ||
	    ihex_format(&subject->image, 16, &subject->text, &subject->text_len, NULL) != 0)
		exit(1);
	free(data);
	subject->scratch = malloc(subject->text_len);
	if (subject->scratch == NULL)
		exit(1);
	memset(subject->scratch, 1, subject->text_len);
	subject->wrong = false;
}

/* CPU seconds: work in memory that waits for nobody, on a machine that others use as well. */
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double read_text(struct subject *subject)
{
	struct hex_image image;
	hex_image_init(&image);
	double begin = now();
	int rc = ihex_parse(subject->text, subject->text_len, "text", &image, NULL);
	double took = now() - begin;
	subject->wrong |= rc != 0 || !hex_image_equal(&image, &subject->image);
	hex_image_finish(&image);
	return took;
}

/* What one writes in an afternoon: a table of digits, a byte at a time, every checksum looked at. It takes the text
 * to be well formed, so a real reader has more to do. Returns the bytes that it found, 0 for a defect. */
static size_t table_loop(const uint8_t *at, const uint8_t *end, uint8_t *memory)
{
	static const uint8_t value[256] = {
		['0'] = 0,  ['1'] = 1,	['2'] = 2,  ['3'] = 3,	['4'] = 4,  ['5'] = 5,	['6'] = 6,  ['7'] = 7,
		['8'] = 8,  ['9'] = 9,	['A'] = 10, ['B'] = 11, ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15,
		['a'] = 10, ['b'] = 11, ['c'] = 12, ['d'] = 13, ['e'] = 14, ['f'] = 15};
#define BYTE(p) ((unsigned)(value[(p)[0]] << 4 | value[(p)[1]]))
	uint32_t base = 0;
	size_t total = 0;
	while (at < end && *at == ':') {
		unsigned len = BYTE(at + 1), high = BYTE(at + 3), low = BYTE(at + 5), type = BYTE(at + 7);
		unsigned sum = len + high + low + type;
		uint8_t *to = memory + base + (high << 8 | low);
		at += 9;
		if (type == 0) {
			for (unsigned i = 0; i < len; i++, at += 2) {
				unsigned byte = BYTE(at);
				sum += byte;
				to[i] = (uint8_t)byte;
			}
			total += len;
		} else {
			if (type == 4)
				base = BYTE(at) << 24 | BYTE(at + 2) << 16;
			for (unsigned i = 0; i < len; i++, at += 2)
				sum += BYTE(at);
		}
		if ((sum + BYTE(at)) % 256 != 0)
			return 0;
		at += 3;
	}
#undef BYTE
	return total;
}

static double read_by_table(struct subject *subject)
{
	const struct hex_segment *wanted = &subject->image.segments[0];
	const uint8_t *text = (const uint8_t *)subject->text;
	double begin = now();
	size_t found = table_loop(text, text + subject->text_len, subject->scratch);
	double took = now() - begin;
	subject->wrong |= found != wanted->len || memcmp(subject->scratch, wanted->bytes, found) != 0;
	return took;
}

static int count_text(void *context, const void *data, size_t len)
{
	(void)data;
	*(size_t *)context += len;
	return 0;
}

static double write_text(struct subject *subject)
{
	struct sink sink;
	size_t len = 0;
	double begin = now();
	bool good = sink_init(&sink, count_text, &len, NULL) == 0 && ihex_write(&subject->image, 16, &sink, NULL) == 0;
	good = sink_finish(&sink) == 0 && good;
	double took = now() - begin;
	subject->wrong |= !good || len != subject->text_len;
	return took;
}

static double copy_text(struct subject *subject)
{
	double begin = now();
	memcpy(subject->scratch, subject->text, subject->text_len);
	double took = now() - begin;
	subject->wrong |= memcmp(subject->scratch, subject->text, subject->text_len) != 0;
	return took;
}

static double digest_text(struct subject *subject)
{
	char digest[65];
	double begin = now();
	subject->wrong |= ihex_digest(&subject->image, digest, NULL) != 0;
	return now() - begin;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		double (*run)(struct subject *subject);
	} rows[] = {{"read", read_text},   {"table", read_by_table},  {"write", write_text},
		    {"memcpy", copy_text}, {"digest", digest_text}};
	enum { ROWS = sizeof rows / sizeof rows[0] };
	double took[ROWS][MOST_ROUNDS];
	struct subject subject;
	int mib = argc > 1 ? atoi(argv[1]) : 16, rounds = argc > 2 ? atoi(argv[2]) : 7;
	if (mib < 1 || mib > 256 || rounds < 1 || rounds > MOST_ROUNDS)
		return 2;
	make_subject(&subject, (size_t)mib << 20);
	for (int i = -1; i < rounds; i++) /* the first round only warms up */
		for (int r = 0; r < ROWS; r++)
			took[r][i < 0 ? 0 : i] = rows[r].run(&subject);
	for (int r = 0; r < ROWS; r++) {
		qsort(took[r], (size_t)rounds, sizeof took[r][0], by_value);
		printf("%s %.0f\n", rows[r].name, (double)subject.text_len / took[r][rounds / 2]);
	}
	hex_image_finish(&subject.image);
	free(subject.text);
	free(subject.scratch);
	return subject.wrong;
}
