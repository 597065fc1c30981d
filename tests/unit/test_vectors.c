#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/vectors.h"

static struct hex_image image;
static struct part *part;
static struct vector list[VECTORS_MAX];

static int load(const char *name)
{
	hex_image_init(&image);
	return part_load("configs", name, &part, NULL);
}

static int setup(void **state)
{
	(void)state;
	return load("atmega32u4");
}

static int setup_small(void **state)
{
	(void)state;
	return load("attiny85");
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	free(part);
	return 0;
}

static void put(uint32_t addr, const void *bytes, size_t len)
{
	assert_int_equal(hex_image_add(&image, addr, bytes, len, HEX_OVERLAP_LAST, NULL, NULL), 0);
}

static void assert_vector(const struct vector *v, enum vector_kind kind, uint32_t target,
			  enum vector_place place)
{
	if (v->kind != kind || v->place != place || (place != PLACE_NONE && v->target != target))
		fail_msg("vector %u: %s 0x%X %s", v->number, vector_kind_name(v->kind), v->target,
			 vector_place_name(v->place));
}

static void jumps_and_places(void **state)
{
	(void)state;
	static const uint8_t table[] = {
		0x0C, 0x94, 0x80, 0x00, /* jmp 0x100 */
		0x0C, 0x94, 0x00, 0x38, /* jmp 0x7000 */
		0x0C, 0x94, 0x04, 0x00, /* jmp 8: itself */
		0x0C, 0x94, 0x00, 0x00, /* jmp 0: the table */
		0x0C, 0x94, 0x00, 0x10, /* jmp 0x2000: blank */
		0x0C, 0x94, 0x00, 0x40, /* jmp 0x8000: outside */
		0x73, 0xC0, 0x00, 0x00, /* rjmp +0xE6: 0x18 + 2 + 0xE6 = 0x100 */
		0xFF, 0xFF, 0xFF, 0xFF,
		0x01, 0x02, 0x03, 0x04,
	};
	struct vector_view view = {.part = part, .has_boot = true, .boot_start = 0x7000, .count = 10};
	put(0, table, sizeof table);
	put(0x100, "\x08\x95", 2);
	put(0x7000, "\x08\x95", 2);
	assert_int_equal(vectors_bytes(part), 4);
	assert_int_equal(vectors_avr(&image, &view, list), 10);
	assert_string_equal(list[0].name, "reset");
	assert_vector(&list[0], VECTOR_JMP, 0x100, PLACE_APPLICATION);
	assert_vector(&list[1], VECTOR_JMP, 0x7000, PLACE_BOOT);
	assert_vector(&list[2], VECTOR_JMP, 8, PLACE_SELF);
	assert_vector(&list[3], VECTOR_JMP, 0, PLACE_TABLE);
	assert_vector(&list[4], VECTOR_JMP, 0x2000, PLACE_BLANK);
	assert_vector(&list[5], VECTOR_JMP, 0x8000, PLACE_OUTSIDE);
	assert_vector(&list[6], VECTOR_RJMP, 0x100, PLACE_APPLICATION);
	assert_vector(&list[7], VECTOR_BLANK, 0, PLACE_NONE);
	assert_vector(&list[8], VECTOR_OTHER, 0, PLACE_NONE);
	assert_vector(&list[9], VECTOR_MISSING, 0, PLACE_NONE);
	view.has_boot = false;
	view.count = 1;
	vectors_avr(&image, &view, list);
	assert_vector(&list[0], VECTOR_JMP, 0x100, PLACE_FLASH);
}

static void long_jump_reaches_high_flash(void **state)
{
	(void)state;
	/* jmp 0x1F000 is word 0xF800; jmp 0x3FFFFE * 2 has every bit of k but the lowest. */
	struct vector_view view = {.part = part, .count = 2};
	put(0, "\x0C\x94\x00\xF8\xFD\x95\xFE\xFF", 8);
	vectors_avr(&image, &view, list);
	assert_int_equal(list[0].target, 0x1F000);
	assert_int_equal(list[1].target, 0x3FFFFE * 2);
}

static void table_ends_at_its_lowest_target(void **state)
{
	(void)state;
	uint8_t table[16] = {0};
	struct vector_view view = {.part = part};
	part->vector_count = 0;
	for (size_t i = 0; i < sizeof table; i += 4)
		memcpy(table + i, "\x0C\x94\x08\x00", 4); /* jmp 0x10 */
	put(0, table, sizeof table);
	put(0x10, "\x0C\x94\x08\x00", 4); /* code that looks like a vector */
	assert_int_equal(vectors_avr(&image, &view, list), 4);
}

static void small_parts_have_short_vectors_that_wrap(void **state)
{
	(void)state;
	struct vector_view view = {.part = part, .count = 3};
	assert_int_equal(vectors_bytes(part), 2);
	put(0, "\x0E\xC0\xFE\xCF\xFF\xCF", 6); /* rjmp 0x1E; rjmp -4: 0; rjmp itself */
	put(0x1E, "\x08\x95", 2);
	vectors_avr(&image, &view, list);
	assert_vector(&list[0], VECTOR_RJMP, 0x1E, PLACE_FLASH);
	assert_vector(&list[1], VECTOR_RJMP, 0, PLACE_TABLE);
	assert_vector(&list[2], VECTOR_RJMP, 4, PLACE_SELF);
	put(0, "\xFE\xCF", 2); /* rjmp -4 from 0: the end of an 8 KiB flash */
	vectors_avr(&image, &view, list);
	assert_vector(&list[0], VECTOR_RJMP, 0x1FFE, PLACE_BLANK);
}

static void cortex_m(void **state)
{
	(void)state;
	static const uint32_t words[] = {0x20005000, 0x08000101, 0x08000100, 0x08000201, 0x09000001, 0, 0, 0,
					 0, 0, 0, 0x08000101, 0, 0, 0x08000101, 0x08000101, 0x08000101, 0x1234567};
	uint8_t table[sizeof words];
	struct vector_view view = {.base = 0x08000000};
	for (size_t i = 0; i < sizeof table; i++)
		table[i] = (uint8_t)(words[i / 4] >> i % 4 * 8);
	put(0x08000000, table, sizeof table);
	put(0x08000100, "\x70\x47", 2);
	put(0x08000200, "\xFF\xFF", 2);
	assert_int_equal(vectors_cortex_m(&image, &view, list), 17);
	assert_vector(&list[0], VECTOR_STACK, 0x20005000, PLACE_RAM);
	assert_string_equal(list[1].name, "reset");
	assert_vector(&list[1], VECTOR_ADDRESS, 0x08000100, PLACE_FLASH);
	assert_vector(&list[2], VECTOR_ADDRESS, 0x08000100, PLACE_NO_THUMB);
	assert_vector(&list[3], VECTOR_ADDRESS, 0x08000200, PLACE_BLANK);
	assert_vector(&list[4], VECTOR_ADDRESS, 0x09000000, PLACE_OUTSIDE);
	assert_vector(&list[5], VECTOR_OTHER, 0, PLACE_NONE);
	put(0x08000000, "\x02\x50\x00\x20", 4);
	vectors_cortex_m(&image, &view, list);
	assert_vector(&list[0], VECTOR_STACK, 0x20005002, PLACE_BAD_STACK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(jumps_and_places, setup, teardown),
		cmocka_unit_test_setup_teardown(long_jump_reaches_high_flash, setup, teardown),
		cmocka_unit_test_setup_teardown(table_ends_at_its_lowest_target, setup, teardown),
		cmocka_unit_test_setup_teardown(small_parts_have_short_vectors_that_wrap, setup_small, teardown),
		cmocka_unit_test_setup_teardown(cortex_m, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
