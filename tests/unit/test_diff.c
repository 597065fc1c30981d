#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/diff.h"

static struct hex_image a, b;

static int setup(void **state)
{
	(void)state;
	hex_image_init(&a);
	hex_image_init(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&a);
	hex_image_finish(&b);
	return 0;
}

static void put(struct hex_image *image, uint32_t addr, const char *text)
{
	assert_int_equal(hex_image_add(image, addr, text, strlen(text), HEX_OVERLAP_LAST, NULL, NULL), 0);
}

struct list {
	struct diff_range at[16];
	size_t count;
};

static int collect(void *context, const struct diff_range *range)
{
	struct list *list = context;
	list->at[list->count++] = *range;
	return list->count == 16;
}

static void assert_range(const struct diff_range *range, enum diff_kind kind, uint32_t first, uint64_t len,
			 uint64_t differing)
{
	assert_int_equal(range->kind, kind);
	assert_int_equal(range->first, first);
	assert_int_equal(range->len, len);
	assert_int_equal(range->differing, differing);
}

static void kinds(void **state)
{
	(void)state;
	put(&a, 0x10, "abcdefgh");
	put(&b, 0x14, "eXgYijkl");
	put(&b, 0x40, "zz");
	struct list list = {.count = 0};
	struct diff_total total;
	assert_int_equal(diff_walk(&a, &b, 0, collect, &list, &total), 0);
	assert_int_equal(list.count, 5);
	assert_range(&list.at[0], DIFF_ONLY_A, 0x10, 4, 4);
	assert_range(&list.at[1], DIFF_BYTES, 0x15, 1, 1);
	assert_range(&list.at[2], DIFF_BYTES, 0x17, 1, 1);
	assert_range(&list.at[3], DIFF_ONLY_B, 0x18, 4, 4);
	assert_range(&list.at[4], DIFF_ONLY_B, 0x40, 2, 2);
	assert_int_equal(total.only_a, 4);
	assert_int_equal(total.only_b, 6);
	assert_int_equal(total.differing, 2);
	assert_int_equal(total.equal, 2);
	assert_int_equal(total.ranges, 5);
	list.count = 0;
	assert_int_equal(diff_walk(&a, &b, 1, collect, &list, &total), 0);
	assert_range(&list.at[1], DIFF_BYTES, 0x15, 3, 2);
	assert_int_equal(list.count, 4);
}

static void same_and_start(void **state)
{
	(void)state;
	struct diff_total total;
	put(&a, 0xFFFFFFFC, "last");
	put(&b, 0xFFFFFFFC, "last");
	diff_walk(&a, &b, 0, NULL, NULL, &total);
	assert_true(diff_same(&total));
	assert_int_equal(total.equal, 4);
	a.start_kind = HEX_START_LINEAR;
	diff_walk(&a, &b, 0, NULL, NULL, &total);
	assert_false(diff_same(&total));
	b.start_kind = HEX_START_SEGMENT;
	diff_walk(&a, &b, 0, NULL, NULL, &total);
	assert_true(total.start_differs);
}

static void long_runs_and_early_end(void **state)
{
	(void)state;
	uint8_t *bytes = malloc(5000);
	assert_non_null(bytes);
	for (size_t i = 0; i < 5000; i++)
		bytes[i] = (uint8_t)(i * 7);
	hex_image_add(&a, 3, bytes, 5000, HEX_OVERLAP_LAST, NULL, NULL);
	for (size_t i = 511; i < 5000; i += 128)
		bytes[i] ^= 1;
	hex_image_add(&b, 3, bytes, 5000, HEX_OVERLAP_LAST, NULL, NULL);
	free(bytes);
	struct list list = {.count = 0};
	struct diff_total total;
	assert_int_equal(diff_walk(&a, &b, 0, collect, &list, &total), 1);
	assert_int_equal(list.count, 16);
	assert_range(&list.at[15], DIFF_BYTES, 3 + 511 + 15 * 128, 1, 1);
	diff_walk(&a, &b, 0, NULL, NULL, &total);
	assert_int_equal(total.differing, 36);
	assert_int_equal(total.equal, 5000 - 36);
}

static void pages(void **state)
{
	(void)state;
	const struct hex_range flash = {0, 0x7FFF};
	struct diff_pages pages;
	put(&a, 0x00, "same");
	put(&b, 0x00, "same");
	put(&a, 0x7E, "\xFF\xFF\xFF\xFF"); /* page 0 and 1, as erased memory */
	put(&a, 0x100, "x");             /* page 2, only in A */
	put(&a, 0x180, "abc");           /* page 3, three differences */
	put(&b, 0x180, "xyz");
	put(&b, 0x1FF, "ee");            /* pages 3 and 4 */
	put(&a, 0x810000, "eeprom");
	diff_count_pages(&a, &b, 128, &flash, &pages);
	assert_int_equal(pages.used, 5);
	assert_int_equal(pages.differing, 3);
	diff_count_pages(&a, &a, 128, &flash, &pages);
	assert_int_equal(pages.used, 4);
	assert_int_equal(pages.differing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(same_and_start, setup, teardown),
		cmocka_unit_test_setup_teardown(long_runs_and_early_end, setup, teardown),
		cmocka_unit_test_setup_teardown(pages, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
