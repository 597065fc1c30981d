#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/builder.h"

/* Records in any order against a plain array of bytes. */

enum { SPACE = 1 << 20 };

struct model {
	uint64_t base;
	uint8_t byte[SPACE];
	bool there[SPACE];
};

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
	*state ^= *state << 13; /* xorshift64, Marsaglia 2003 */
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)((*state >> 32) % limit);
}

static int setup(void **state)
{
	struct model *model = calloc(1, sizeof *model);
	*state = model;
	return model == NULL;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* The value that every record gives to a place: so records may lie over each other. */
static uint8_t value_at(uint32_t at)
{
	return (uint8_t)(at * 37 + (at >> 8) * 11 + (at >> 16));
}

static void add(struct builder *builder, struct model *model, uint32_t at, uint32_t len)
{
	static uint8_t bytes[70000];
	for (uint32_t i = 0; i < len; i++) {
		bytes[i] = value_at(at + i);
		model->byte[at + i] = bytes[i];
		model->there[at + i] = true;
	}
	assert_int_equal(builder_add(builder, (uint32_t)(model->base + at), bytes, len, NULL), 0);
}

/* Finishes, and everything is where the model has it; segments neither touch nor overlap. */
static void assert_built(struct builder *builder, const struct model *model)
{
	struct hex_image image;
	hex_image_init(&image);
	assert_int_equal(builder_finish(builder, &image, NULL, NULL), 0);
	uint64_t bytes = 0, before = 0;
	for (size_t i = 0; i < image.count; i++) {
		const struct hex_segment *segment = &image.segments[i];
		assert_true(i == 0 || segment->addr > before);
		before = (uint64_t)segment->addr + segment->len;
		assert_true(segment->len <= segment->room);
		uint64_t at = segment->addr - model->base;
		assert_true(at + segment->len <= SPACE);
		assert_memory_equal(segment->bytes, model->byte + at, segment->len);
		for (size_t k = 0; k < segment->len; k++)
			assert_true(model->there[at + k]);
		bytes += segment->len;
	}
	for (size_t k = 0; k < SPACE; k++)
		bytes -= model->there[k];
	assert_int_equal(bytes, 0);
	hex_image_finish(&image);
}

static void in_any_order_at(struct model *model, uint64_t base, uint64_t expected)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		uint64_t random = seed * 0x9E3779B97F4A7C15;
		struct builder builder;
		memset(model, 0, sizeof *model);
		model->base = base;
		builder_init(&builder);
		builder.expected = expected;
		for (int i = 0; i < 30000; i++) {
			uint32_t len = 1 + random_below(&random, seed < 4 ? 16u * (uint32_t)seed : 255);
			add(&builder, model, random_below(&random, SPACE - len), len);
		}
		assert_non_null(builder.flat.bytes);
		assert_int_equal(builder.count, 0);
		add(&builder, model, 7, 70000); /* far more than a record */
		assert_built(&builder, model);
	}
}

static void in_any_order(void **state)
{
	in_any_order_at(*state, 0, SPACE);
	in_any_order_at(*state, 0x08000000, SPACE / 2);
	in_any_order_at(*state, UINT64_C(0x100000000) - SPACE, 2 * SPACE);
}

static void descending(void **state)
{
	struct model *model = *state;
	struct builder builder;
	builder_init(&builder);
	builder.expected = SPACE;
	for (uint32_t at = SPACE; at > 0; at -= 16)
		add(&builder, model, at - 16, at % 1024 != 0 ? 16 : 15);
	assert_non_null(builder.flat.bytes);
	assert_built(&builder, model);
}

/* What lies outside of the flat stretch, or across its edge, finds its place too. */
static void beside_the_flat_stretch(void **state)
{
	struct model *model = *state;
	struct builder builder;
	builder_init(&builder);
	for (uint32_t at = SPACE / 2; at > SPACE / 4; at -= 32)
		add(&builder, model, at - 32, 32);
	assert_non_null(builder.flat.bytes);
	uint32_t base = (uint32_t)builder.flat.base, end = (uint32_t)builder.flat.end;
	assert_true(base > 100 && end < SPACE - 40000);
	add(&builder, model, base - 10, 20);
	add(&builder, model, end - 10, 20);
	add(&builder, model, end + 10, 20000);
	add(&builder, model, 0, 5);
	add(&builder, model, end + 30000, 200);
	add(&builder, model, base - 20, 10);
	assert_built(&builder, model);
}

/* A byte here and there over 4 GiB: memory follows the bytes. */
static void sparse_files_stay_a_list(void **state)
{
	(void)state;
	uint64_t random = 4711;
	struct builder builder;
	struct hex_image image;
	const uint8_t byte = 0x55;
	builder_init(&builder);
	builder.expected = 200000;
	for (int i = 0; i < 20000; i++)
		assert_int_equal(builder_add(&builder, random_below(&random, UINT32_MAX), &byte, 1, NULL), 0);
	assert_null(builder.flat.bytes);
	hex_image_init(&image);
	assert_int_equal(builder_finish(&builder, &image, NULL, NULL), 0);
	assert_false(image.ascending);
	assert_true(image.count > 19000);
	hex_image_finish(&image);
}

static void two_values_for_one_address(void **state)
{
	struct model *model = *state;
	for (int flat = 0; flat < 2; flat++) {
		struct builder builder;
		struct hex_image image;
		struct hex_conflict conflict = {.len = 0};
		struct pogo_error err;
		builder_init(&builder);
		for (uint32_t at = flat ? SPACE / 2 : 200 * 32; at > 0; at -= 32)
			add(&builder, model, at - 32, 32);
		assert_true((builder.flat.bytes != NULL) == flat);
		const uint8_t wrong[2] = {value_at(1000), (uint8_t)(value_at(1001) + 1)};
		add(&builder, model, 100, 50); /* the same again */
		assert_int_equal(builder_add(&builder, 1000, wrong, 2, NULL), 0);
		assert_int_equal(builder_add(&builder, 3001, wrong, 1, NULL), 0);
		hex_image_init(&image);
		assert_int_equal(builder_finish(&builder, &image, &conflict, &err), -1);
		assert_int_equal(err.kind, POGO_NO);
		assert_int_equal(conflict.first_differing, 1001);
		assert_int_equal(conflict.old_byte, value_at(1001));
		assert_int_equal(conflict.new_byte, wrong[1]);
		assert_int_equal(image.count, 0);
	}
}

/* The memory that is left behind one file's data takes the next file's. */
static void room_behind_the_last_piece(void **state)
{
	struct model *model = *state;
	struct builder builder;
	struct hex_image image;
	builder_init(&builder);
	hex_image_init(&image);
	builder.expected = 4 * SPACE;
	for (uint32_t at = 0; at < 12 * 65536; at += 65536)
		add(&builder, model, at, 65536);
	assert_int_equal(builder_finish(&builder, &image, NULL, NULL), 0);
	const uint8_t *bytes = image.segments[0].bytes;
	assert_true(image.segments[0].room >= 4 * SPACE);
	assert_int_equal(hex_image_add(&image, 12 * 65536, model->byte, 65536, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_ptr_equal(image.segments[0].bytes, bytes);
	assert_int_equal(image.segments[0].len, 13 * 65536);
	hex_image_finish(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(descending, setup, teardown),
		cmocka_unit_test_setup_teardown(beside_the_flat_stretch, setup, teardown),
		cmocka_unit_test_setup_teardown(sparse_files_stay_a_list, setup, teardown),
		cmocka_unit_test_setup_teardown(two_values_for_one_address, setup, teardown),
		cmocka_unit_test_setup_teardown(room_behind_the_last_piece, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
