#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hextools/dfu_suffix.h"
#include "hextools/digest.h"

/* dfu-suffix 0.11 of dfu-util made this of the four bytes "abcd": -v 1EAF -p 0003. */
static const uint8_t known[] = {'a', 'b', 'c', 'd', 0xFF, 0xFF, 0x03, 0x00, 0xAF, 0x1E,
				0x00, 0x01, 'U', 'F', 'D', 16, 0xBC, 0xB0, 0xBC, 0xEF};

static void same_bytes_as_dfu_util(void **state)
{
	(void)state;
	const struct dfu_ids ids = {.vendor = 0x1EAF, .product = 3, .device = 0xFFFF};
	uint8_t suffix[DFU_SUFFIX];
	dfu_suffix_make(&ids, crc32_update(0, known, 4), suffix);
	assert_memory_equal(suffix, known + 4, sizeof suffix);
}

static void it_is_taken_off(void **state)
{
	(void)state;
	struct instream in;
	struct dfu_ids ids;
	bool found;
	instream_memory(&in, known, sizeof known, "f");
	assert_int_equal(dfu_suffix_take(&in, &found, &ids, NULL), 0);
	assert_true(found);
	assert_int_equal(ids.vendor, 0x1EAF);
	assert_int_equal(ids.product, 3);
	assert_int_equal(in.end - in.at, 4);
	assert_true(in.last);
	instream_memory(&in, "no suffix in this", 17, "f");
	assert_int_equal(dfu_suffix_take(&in, &found, &ids, NULL), 0);
	assert_false(found);
	assert_int_equal(in.end - in.at, 17);
}

static void any_wrong_bit_is_refused(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof known; bit++) {
		uint8_t copy[sizeof known];
		struct instream in;
		struct dfu_ids ids;
		bool found;
		memcpy(copy, known, sizeof known);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		bool signature = bit / 8 >= 12 && bit / 8 < 15;
		instream_memory(&in, copy, sizeof copy, "f");
		assert_int_equal(dfu_suffix_take(&in, &found, &ids, NULL), signature ? 0 : -1);
	}
}

static void ids_on_a_command_line(void **state)
{
	(void)state;
	struct dfu_ids ids;
	assert_int_equal(dfu_suffix_ids("1eaf:0003", &ids, NULL), 0);
	assert_int_equal(ids.vendor, 0x1EAF);
	assert_int_equal(ids.device, 0xFFFF);
	assert_int_equal(dfu_suffix_ids("03EB:2FF4:0100", &ids, NULL), 0);
	assert_int_equal(ids.device, 0x0100);
	const char *const bad[] = {"", "1", "1:", ":1", "1:2:", "12345:1", "1:2:3:4", "x:1", "-1:2", "1:2 "};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(dfu_suffix_ids(bad[i], &ids, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_bytes_as_dfu_util),
		cmocka_unit_test(it_is_taken_off),
		cmocka_unit_test(any_wrong_bit_is_refused),
		cmocka_unit_test(ids_on_a_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
