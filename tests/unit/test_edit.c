#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/edit.h"

static struct hex_image image;

static int setup(void **state)
{
	(void)state;
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, 0x100, "abcdefgh", 8, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0x200, "ABCDEFGH", 8, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	image.start_kind = HEX_START_LINEAR;
	image.start = 0x100;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	return 0;
}

static void assert_bytes(uint32_t addr, const char *text)
{
	uint8_t got[64];
	size_t len = strlen(text);
	assert_int_equal(hex_image_read(&image, addr, got, len, 0), len);
	assert_memory_equal(got, text, len);
}

static void ranges(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t first, last;
	} good[] = {
		{"0x7000-0x7FFF", 0x7000, 0x7FFF}, {"0x7000+4096", 0x7000, 0x7FFF}, {"28672", 0x7000, 0x7000},
		{"0-0xFFFFFFFF", 0, 0xFFFFFFFF},   {"0+4294967296", 0, 0xFFFFFFFF}, {"0x10-16", 16, 16},
		{"0XFFFFFFFF+1", 0xFFFFFFFF, 0xFFFFFFFF},
	};
	static const char *const bad[] = {
		"", "-", "x", "7000h", "0x", "0x7000-", "0x7000+", "5-4", "5+0", "0xFFFFFFFF+2", "0x100000000",
		"1-2-3", "1--2", "1+-2", "-1", "flash", "boot", "0x7000 -0x7FFF", "99999999999999999999", "0x1..0x2",
	};
	struct range_words words = {.part = NULL};
	struct hex_range range;
	struct pogo_error err;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(range_parse(good[i].text, &words, &range, &err), 0);
		assert_int_equal(range.first, good[i].first);
		assert_int_equal(range.last, good[i].last);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (range_parse(bad[i], &words, &range, &err) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(err.kind, POGO_INPUT);
	}
}

static void words_of_a_part(void **state)
{
	(void)state;
	struct part *part;
	struct hex_range range;
	struct pogo_error err;
	assert_int_equal(part_load("configs", "atmega32u4", &part, NULL), 0);
	struct range_words words = {.part = part};
	assert_int_equal(range_parse("flash", &words, &range, &err), 0);
	assert_int_equal(range.last, 0x7FFF);
	assert_int_equal(range_parse("eeprom", &words, &range, &err), 0);
	assert_int_equal(range.first, 0x810000);
	assert_int_equal(range.last, 0x8103FF);
	assert_int_equal(range_parse("boot", &words, &range, &err), -1);
	assert_non_null(strstr(err.text, "--fuses"));
	words = (struct range_words){part, true, 0x7000, 0x1000};
	assert_int_equal(range_parse("boot", &words, &range, &err), 0);
	assert_int_equal(range.first, 0x7000);
	assert_int_equal(range.last, 0x7FFF);
	assert_int_equal(range_parse("app", &words, &range, &err), 0);
	assert_int_equal(range.first, 0);
	assert_int_equal(range.last, 0x6FFF);
	free(part);
}

static void crop_and_exclude(void **state)
{
	(void)state;
	/* Out of order and overlapping. */
	const struct hex_range list[] = {{0x204, 0xFFFFFFFF}, {0x102, 0x104}, {0x103, 0x105}};
	assert_int_equal(edit_crop(&image, list, 3, NULL), 0);
	assert_int_equal(image.count, 2);
	assert_int_equal(hex_image_bytes(&image), 8);
	assert_bytes(0x102, "cdef");
	assert_bytes(0x204, "EFGH");
	assert_int_equal(image.start, 0x100);
	assert_int_equal(edit_exclude(&image, &(struct hex_range){0x103, 0x204}, 1, NULL), 0);
	assert_int_equal(image.segments[0].len, 1);
	assert_bytes(0x205, "FGH");
	struct pogo_error err;
	assert_int_equal(edit_crop(&image, &(struct hex_range){0, 0x50}, 1, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_int_equal(edit_exclude(&image, &(struct hex_range){0, 0xFFFFFFFF}, 1, &err), -1);
	assert_int_equal(hex_image_bytes(&image), 4);
}

static void move(void **state)
{
	(void)state;
	struct pogo_error err;
	assert_int_equal(edit_move(&image, NULL, 0x1000, NULL), 0);
	assert_bytes(0x1100, "abcdefgh");
	assert_int_equal(edit_move(&image, &(struct hex_range){0x1100, 0x1103}, 0xFC, NULL), 0);
	assert_bytes(0x1104, "efgh");
	assert_bytes(0x11FC, "abcdABCDEFGH");
	assert_int_equal(edit_move(&image, &(struct hex_range){0x1104, 0x1107}, 0xF9, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_non_null(strstr(err.text, "0x011FD"));
	assert_int_equal(edit_move(&image, NULL, -0x2000, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_int_equal(edit_move(&image, &(struct hex_range){0, 1}, 1, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_bytes(0x11FC, "abcdABCDEFGH");
	/* Onto its own old place. */
	assert_int_equal(edit_move(&image, &(struct hex_range){0x1104, 0x1107}, -2, NULL), 0);
	assert_bytes(0x1102, "efgh");
}

static void fill(void **state)
{
	(void)state;
	const struct edit_filler pattern = {.pattern = (const uint8_t *)"12", .len = 2};
	uint64_t filled;
	assert_int_equal(edit_fill(&image, &(struct hex_range){0xFF, 0x10A}, &pattern, false, &filled, NULL), 0);
	assert_int_equal(filled, 4);
	assert_bytes(0xFF, "1abcdefgh212");
	assert_int_equal(edit_fill(&image, &(struct hex_range){0xFF, 0x102}, &pattern, true, &filled, NULL), 0);
	assert_int_equal(filled, 4);
	assert_bytes(0xFF, "1212defgh");
	struct pogo_error err;
	assert_int_equal(edit_fill(&image, &(struct hex_range){0, 0xFFFFFFFF}, &pattern, true, NULL, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	/* Noise follows from seed and address: two fills make what one makes. */
	const struct edit_filler noise = {.seed = 7};
	uint8_t once[64], twice[64];
	assert_int_equal(edit_fill(&image, &(struct hex_range){0x1003, 0x1042}, &noise, true, NULL, NULL), 0);
	hex_image_read(&image, 0x1003, once, 64, 0);
	assert_int_equal(edit_fill(&image, &(struct hex_range){0x1003, 0x1010}, &noise, true, NULL, NULL), 0);
	assert_int_equal(edit_fill(&image, &(struct hex_range){0x1011, 0x1042}, &noise, true, NULL, NULL), 0);
	hex_image_read(&image, 0x1003, twice, 64, 0);
	assert_memory_equal(once, twice, 64);
	assert_int_equal(edit_fill(&image, &(struct hex_range){0xFFFFFFFE, 0xFFFFFFFF}, &pattern, false, NULL,
				   NULL), 0);
	assert_bytes(0xFFFFFFFE, "12");
	assert_int_equal(image.start_kind, HEX_START_LINEAR);
}

static void count_and_blank(void **state)
{
	(void)state;
	uint32_t hole = 1, at;
	assert_int_equal(range_count(&image, &(struct hex_range){0x102, 0x105}, &hole), 4);
	assert_int_equal(hole, 1);
	assert_int_equal(range_count(&image, &(struct hex_range){0x106, 0x203}, &hole), 6);
	assert_int_equal(hole, 0x108);
	assert_int_equal(range_count(&image, &(struct hex_range){0xF0, 0x203}, &hole), 12);
	assert_int_equal(hole, 0xF0);
	assert_int_equal(range_count(&image, &(struct hex_range){0x300, 0xFFFFFFFF}, &hole), 0);
	assert_true(edit_blank(&image, &(struct hex_range){0x108, 0x1FF}, &at));
	assert_false(edit_blank(&image, &(struct hex_range){0x108, 0x200}, &at));
	assert_int_equal(at, 0x200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(words_of_a_part, setup, teardown),
		cmocka_unit_test_setup_teardown(crop_and_exclude, setup, teardown),
		cmocka_unit_test_setup_teardown(move, setup, teardown),
		cmocka_unit_test_setup_teardown(fill, setup, teardown),
		cmocka_unit_test_setup_teardown(count_and_blank, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
