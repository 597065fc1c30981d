#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/digest.h"
#include "hextools/image.h"

/* The same map, as simple as can be: one byte and one flag for each address of a small space. */
enum { SPACE = 300 };

struct model {
	uint8_t byte[SPACE];
	bool there[SPACE];
};

static void assert_same(const struct hex_image *image, const struct model *model)
{
	struct hex_image walk = *image;
	uint64_t end = 0;
	bool there[SPACE] = {false};
	for (size_t i = 0; i < walk.count; i++) {
		const struct hex_segment *segment = &walk.segments[i];
		assert_true(segment->len > 0 && segment->len <= segment->room);
		assert_true(i == 0 || segment->addr > end); /* neither overlapping nor touching */
		end = (uint64_t)segment->addr + segment->len;
		for (size_t k = 0; k < segment->len; k++) {
			there[segment->addr + k] = true;
			assert_int_equal(segment->bytes[k], model->byte[segment->addr + k]);
		}
	}
	assert_memory_equal(there, model->there, sizeof there);
}

/* What the rule makes of an add; false: refused. */
static bool model_add(struct model *model, uint32_t addr, const uint8_t *bytes, size_t len,
		      enum hex_overlap rule)
{
	for (size_t i = 0; i < len; i++) {
		if (!model->there[addr + i])
			continue;
		if (rule == HEX_OVERLAP_ERROR ||
		    (rule == HEX_OVERLAP_SAME && model->byte[addr + i] != bytes[i]))
			return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (model->there[addr + i] && rule == HEX_OVERLAP_FIRST)
			continue;
		model->there[addr + i] = true;
		model->byte[addr + i] = bytes[i];
	}
	return true;
}

static void random_adds_against_the_model(void **state)
{
	(void)state;
	uint32_t seed = 1;
	for (int round = 0; round < 400; round++) {
		struct hex_image image;
		struct model model = {.byte = {0}};
		hex_image_init(&image);
		for (int step = 0; step < 40; step++) {
			uint8_t bytes[40];
			seed = seed * 1664525 + 1013904223;
			uint32_t addr = (seed >> 8) % (SPACE - 40);
			size_t len = (seed >> 20) % 40;
			enum hex_overlap rule = (enum hex_overlap)((seed >> 28) % 4);
			for (size_t i = 0; i < len; i++)
				bytes[i] = (uint8_t)((seed >> 5) + (rule == HEX_OVERLAP_SAME ? 0 : i));
			if (rule == HEX_OVERLAP_SAME) /* often equal to what is there */
				for (size_t i = 0; i < len; i++)
					if (model.there[addr + i] && step % 2)
						bytes[i] = model.byte[addr + i];
			bool wanted = model_add(&model, addr, bytes, len, rule);
			int got = hex_image_add(&image, addr, bytes, len, rule, NULL, NULL);
			assert_int_equal(got, wanted ? 0 : -1);
			assert_same(&image, &model);
		}
		struct hex_image copy;
		hex_image_init(&copy);
		assert_int_equal(hex_image_copy(&copy, &image, NULL), 0);
		assert_true(hex_image_equal(&copy, &image));
		hex_image_finish(&copy);
		hex_image_finish(&image);
	}
}

static void conflict_is_described(void **state)
{
	(void)state;
	struct hex_image image;
	struct hex_conflict run = {.len = 0};
	struct pogo_error err;
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, 0x100, "abcdef", 6, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0x102, "cXeXYZ", 6, HEX_OVERLAP_SAME, &run, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_int_equal(run.addr, 0x102);
	assert_int_equal(run.len, 4);
	assert_int_equal(run.differing, 2);
	assert_int_equal(run.first_differing, 0x103);
	assert_int_equal(run.old_byte, 'd');
	assert_int_equal(run.new_byte, 'X');
	assert_int_equal(hex_image_bytes(&image), 6);
	hex_image_finish(&image);
}

static void the_top_of_the_address_space(void **state)
{
	(void)state;
	struct hex_image image;
	struct pogo_error err;
	uint8_t out[4];
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, 0xFFFFFFFE, "ab", 2, HEX_OVERLAP_ERROR, NULL, &err), 0);
	assert_int_equal(hex_image_add(&image, 0xFFFFFFFF, "abc", 3, HEX_OVERLAP_LAST, NULL, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_int_equal(hex_image_add(&image, 0, "z", 1, HEX_OVERLAP_ERROR, NULL, &err), 0);
	assert_int_equal(image.count, 2);
	assert_int_equal(hex_image_read(&image, 0xFFFFFFFC, out, 4, 0x55), 2);
	assert_memory_equal(out, "\x55\x55" "ab", 4);
	assert_non_null(hex_image_from(&image, 0xFFFFFFFF));
	hex_image_finish(&image);
}

static void walks_start_in_the_right_segment(void **state)
{
	(void)state;
	struct hex_image image;
	hex_image_init(&image);
	assert_null(hex_image_from(&image, 0));
	assert_int_equal(hex_image_add(&image, 10, "abc", 3, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 20, "def", 3, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_from(&image, 0)->addr, 10);
	assert_int_equal(hex_image_from(&image, 12)->addr, 10);
	assert_int_equal(hex_image_from(&image, 13)->addr, 20);
	assert_null(hex_image_from(&image, 23));
	hex_image_finish(&image);
}

static void shift_and_crc(void **state)
{
	(void)state;
	struct hex_image image;
	struct pogo_error err;
	uint32_t crc;
	hex_image_init(&image);
	assert_false(hex_image_crc32(&image, &crc));
	assert_int_equal(hex_image_add(&image, 0x100, "ab", 2, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0x104, "c", 1, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_true(hex_image_crc32(&image, &crc));
	assert_int_equal(crc, crc32_update(0, "ab\xFF\xFF" "c", 5));
	assert_int_equal(hex_image_shift(&image, -0x101, &err), -1);
	assert_int_equal(image.segments[0].addr, 0x100);
	assert_int_equal(hex_image_shift(&image, -0x100, &err), 0);
	assert_int_equal(image.segments[1].addr, 4);
	assert_int_equal(hex_image_shift(&image, 0xFFFFFFFB, &err), 0);
	assert_int_equal(hex_image_shift(&image, 1, &err), -1);
	hex_image_finish(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_adds_against_the_model),
		cmocka_unit_test(conflict_is_described),
		cmocka_unit_test(the_top_of_the_address_space),
		cmocka_unit_test(walks_start_in_the_right_segment),
		cmocka_unit_test(shift_and_crc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
