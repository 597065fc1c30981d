#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hextools/cmd_digest.h"
#include "hextools/format.h"
#include "hextools/ihex.h"

/* The digest that is begun while a file is read is the image's, whatever the file's format, order and line ends. */

enum { BYTES = 5100 * 1024 + 5, FIRST = 0x1234 }; /* more than all slots hold, and no multiple of anything */

static uint8_t *data;
static struct hex_image image;
static char wanted[65];

static int setup(void **state)
{
	(void)state;
	data = malloc(BYTES);
	if (data == NULL)
		return -1;
	for (size_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 11);
	hex_image_init(&image);
	return hex_image_add(&image, FIRST, data, BYTES, HEX_OVERLAP_ERROR, NULL, NULL) != 0 ||
	       ihex_digest(&image, wanted, NULL) != 0;
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	free(data);
	return 0;
}

/* As info does. */
static void assert_read_as(const void *file, size_t len, const char *word, const struct hex_image *as, const char *digest)
{
	char hex[65];
	struct hex_image again;
	struct pogo_error err;
	struct early_digest *early = early_digest_begin();
	const struct format_reading reading = {.watch = early_digest_watch(early)};
	hex_image_init(&again);
	if (format_read_memory(file, len, word, &reading, &again, NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(hex_image_equal(&again, as));
	assert_int_equal(early_digest_end(early, &again, hex, NULL), 0);
	assert_string_equal(hex, digest);
	hex_image_finish(&again);
}

static void assert_format(const struct format_writing *writing, const char *word)
{
	uint8_t *file;
	size_t len;
	assert_int_equal(format_write_memory(NULL, &image, writing, &file, &len, NULL), 0);
	assert_read_as(file, len, word, &image, wanted);
	free(file);
}

static void every_format(void **state)
{
	(void)state;
	assert_format(&(struct format_writing){.format = "ihex"}, "x");
	assert_format(&(struct format_writing){.format = "ihex", .width = 33}, "x");
	assert_format(&(struct format_writing){.format = "srec"}, "x");
	assert_format(&(struct format_writing){.format = "binary"}, "x@0x1234"); /* read at 0 and moved */
}

static void a_binary_at_0(void **state)
{
	(void)state;
	char digest[65];
	struct hex_image low;
	hex_image_init(&low);
	assert_int_equal(hex_image_add(&low, 0, data, BYTES, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_digest(&low, digest, NULL), 0);
	assert_read_as(data, BYTES, "x@0", &low, digest);
	hex_image_finish(&low);
}

static void other_line_ends(void **state)
{
	(void)state;
	char *text, *crlf, *to;
	size_t len;
	assert_int_equal(ihex_format(&image, 16, &text, &len, NULL), 0);
	crlf = to = malloc(2 * len);
	assert_non_null(crlf);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			*to++ = '\r';
		*to++ = text[i];
	}
	assert_read_as(crlf, (size_t)(to - crlf), "x", &image, wanted);
	free(crlf);
	free(text);
}

/* The image in two parts, the upper one first in the file; `gap` bytes between them are missing. */
static void upper_part_first(size_t at, size_t gap)
{
	char *low, *high, *both, digest[65];
	size_t low_len, high_len;
	struct hex_image part, whole;
	hex_image_init(&whole);
	hex_image_init(&part);
	assert_int_equal(hex_image_add(&part, FIRST, data, at, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&whole, FIRST, data, at, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_format(&part, 16, &low, &low_len, NULL), 0);
	hex_image_finish(&part);
	uint32_t upper = FIRST + (uint32_t)(at + gap);
	assert_int_equal(hex_image_add(&part, upper, data + at + gap, BYTES - at - gap, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&whole, upper, data + at + gap, BYTES - at - gap, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_format(&part, 16, &high, &high_len, NULL), 0);
	hex_image_finish(&part);
	assert_int_equal(ihex_digest(&whole, digest, NULL), 0);
	static const char end[] = ":00000001FF\n", base[] = ":020000040000FA\n";
	high_len -= sizeof end - 1;
	both = malloc(high_len + sizeof base + low_len);
	assert_non_null(both);
	memcpy(both, high, high_len);
	memcpy(both + high_len, base, sizeof base - 1);
	memcpy(both + high_len + sizeof base - 1, low, low_len);
	assert_read_as(both, high_len + sizeof base - 1 + low_len, "x", &whole, digest);
	hex_image_finish(&whole);
	free(low);
	free(high);
	free(both);
}

static void something_in_front_comes_last(void **state)
{
	(void)state;
	upper_part_first(4096, 0);
	upper_part_first(4096, 16);
	upper_part_first(1000 * 1024 + 1, 0);
	upper_part_first(1000 * 1024 + 1, 70000);
}

static void lengths_around_the_edges(void **state)
{
	(void)state;
	static const size_t edge[] = {256 * 1024, 5 * 65536 - FIRST, 6 * 65536};
	for (size_t i = 0; i < sizeof edge / sizeof edge[0]; i++)
		for (size_t len = edge[i] - 17; len <= edge[i] + 17; len += 17) {
			char *text, digest[65];
			size_t text_len;
			struct hex_image part;
			hex_image_init(&part);
			assert_int_equal(hex_image_add(&part, FIRST, data, len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
			assert_int_equal(ihex_format(&part, 16, &text, &text_len, NULL), 0);
			assert_int_equal(ihex_digest(&part, digest, NULL), 0);
			assert_read_as(text, text_len, "x", &part, digest);
			hex_image_finish(&part);
			free(text);
		}
}

static void up_to_the_last_address(void **state)
{
	(void)state;
	char *text, digest[65];
	size_t len;
	struct hex_image top;
	hex_image_init(&top);
	assert_int_equal(hex_image_add(&top, 0u - BYTES, data, BYTES, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_format(&top, 16, &text, &len, NULL), 0);
	assert_int_equal(ihex_digest(&top, digest, NULL), 0);
	assert_read_as(text, len, "x", &top, digest);
	hex_image_finish(&top);
	free(text);
}

static void a_file_that_breaks_off(void **state)
{
	(void)state;
	char *text;
	size_t len;
	struct hex_image none;
	assert_int_equal(ihex_format(&image, 16, &text, &len, NULL), 0);
	struct early_digest *early = early_digest_begin();
	const struct format_reading reading = {.watch = early_digest_watch(early)};
	hex_image_init(&none);
	assert_int_equal(format_read_memory(text, len - 20, "x", &reading, &none, NULL, NULL), -1);
	early_digest_abandon(early);
	early_digest_abandon(early_digest_begin()); /* nothing was ever read */
	early_digest_abandon(NULL);
	free(text);
}

/* One processor: there is no early digest, and the late one is right. */
static void without(void **state)
{
	(void)state;
	char hex[65];
	assert_null(early_digest_watch(NULL));
	assert_int_equal(early_digest_end(NULL, &image, hex, NULL), 0);
	assert_string_equal(hex, wanted);
}

/* The text, and the digest of it as it is written: with the processor's instructions and without. */
static void assert_digest_is_of_text(const struct hex_image *of)
{
	char *text, wanted_hex[65], hex[65];
	size_t len;
	assert_int_equal(ihex_format(of, IHEX_CANONICAL_WIDTH, &text, &len, NULL), 0);
	sha256_hex(text, len, wanted_hex);
	free(text);
	assert_int_equal(ihex_digest(of, hex, NULL), 0);
	assert_string_equal(hex, wanted_hex);
	struct ihex_running_digest plain;
	assert_int_equal(ihex_digest_begin(&plain, NULL), 0);
	plain.sha.instructions = false;
	ihex_digest_end(&plain, of, 0, hex);
	assert_string_equal(hex, wanted_hex);
}

static void of_the_text(void **state)
{
	(void)state;
	uint32_t seed = 7;
	for (int round = 0; round < 400; round++) {
		struct hex_image some;
		hex_image_init(&some);
		uint32_t addr = 0;
		for (int i = 0; i < 1 + round % 4; i++) {
			seed = seed * 1664525 + 1013904223;
			uint32_t len = 1 + (seed >> 8) % (round % 10 == 0 ? 40000 : 300);
			addr += (seed >> 24) * (round % 3 == 0 ? 1000 : 1);
			assert_int_equal(hex_image_add(&some, addr, data + (seed >> 20), len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
			addr += len + 1;
		}
		assert_digest_is_of_text(&some);
		hex_image_finish(&some);
	}
	assert_digest_is_of_text(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format),
		cmocka_unit_test(a_binary_at_0),
		cmocka_unit_test(other_line_ends),
		cmocka_unit_test(something_in_front_comes_last),
		cmocka_unit_test(lengths_around_the_edges),
		cmocka_unit_test(up_to_the_last_address),
		cmocka_unit_test(a_file_that_breaks_off),
		cmocka_unit_test(without),
		cmocka_unit_test(of_the_text),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
