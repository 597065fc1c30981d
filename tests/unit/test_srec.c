#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/format.h"

/* The refusals have a table, fixtures/images/formats/EXPECTED, which test_format walks. */

static void write_text(const struct hex_image *image, unsigned width, unsigned address_bytes,
		       const char *wanted)
{
	const struct format_writing writing = {
		.format = "srec", .width = width, .address_bytes = address_bytes};
	uint8_t *text;
	size_t len;
	assert_int_equal(format_write_memory(NULL, image, &writing, &text, &len, NULL), 0);
	assert_string_equal((char *)text, wanted);
	free(text);
}

static void the_fewest_address_bytes(void **state)
{
	(void)state;
	struct hex_image image;
	hex_image_init(&image);
	hex_image_add(&image, 0xFFFE, "\x01\x02", 2, HEX_OVERLAP_ERROR, NULL, NULL);
	write_text(&image, 0, 0, "S0030000FC\nS105FFFE0102FA\nS5030001FB\nS9030000FC\n");
	write_text(&image, 1, 3, "S0030000FC\nS20500FFFE01FC\nS20500FFFF02FA\nS5030002FA\nS804000000FB\n");
	write_text(&image, 0, 4, "S0030000FC\nS3070000FFFE0102F8\nS5030001FB\nS70500000000FA\n");
	hex_image_add(&image, 0x10000, "\x03", 1, HEX_OVERLAP_ERROR, NULL, NULL);
	image.start_kind = HEX_START_LINEAR;
	image.start = 0x1234;
	write_text(&image, 0, 0, "S0030000FC\nS20700FFFE010203F5\nS5030001FB\nS804001234B5\n");
	hex_image_finish(&image);
}

static void cut_anywhere_is_refused(void **state)
{
	(void)state;
	const char *text = "S1070000DEADBEEFC0\r\nS107000401020304EA\r\nS5030002FA\r\nS9030000FC\r\n";
	size_t counted = (size_t)(strstr(text, "S9") - text);
	for (size_t len = 0; len < strlen(text) - 2; len++) {
		struct hex_image image;
		char *cut = malloc(len + 1); /* so that a sanitizer sees a read behind the end */
		memcpy(cut, text, len);
		hex_image_init(&image);
		/* a count that is right proves that every data record is there */
		bool whole = len >= counted - 2 && len <= counted;
		assert_int_equal(format_read_memory(cut, len, "t.srec", NULL, &image, NULL, NULL), whole ? 0 : -1);
		hex_image_finish(&image);
		free(cut);
	}
}

static void one_wrong_character_is_refused(void **state)
{
	(void)state;
	char text[] = "S1070000DEADBEEFC0\nS9030000FC\n";
	for (size_t at = 0; at < 18; at++) {
		char saved = text[at];
		if (at == 1) /* the type, which no checksum covers */
			continue;
		for (int c = 0; c < 256; c++) {
			struct hex_image image;
			if (c == saved || (c | 0x20) == (saved | 0x20))
				continue;
			text[at] = (char)c;
			hex_image_init(&image);
			assert_int_equal(format_read_memory(text, sizeof text - 1, "t.srec", NULL, &image, NULL, NULL),
					 -1);
		}
		text[at] = saved;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fewest_address_bytes),
		cmocka_unit_test(cut_anywhere_is_refused),
		cmocka_unit_test(one_wrong_character_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
