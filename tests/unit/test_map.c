#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/map.h"

static struct hex_image app, boot;
static const struct hex_image *const both[] = {&app, &boot};
static struct part *part;

static int setup(void **state)
{
	(void)state;
	uint8_t bytes[0x1000];
	memset(bytes, 0xAA, sizeof bytes);
	hex_image_init(&app);
	hex_image_init(&boot);
	hex_image_add(&app, 0, bytes, 0x201, HEX_OVERLAP_ERROR, NULL, NULL);
	hex_image_add(&app, 0x810000, bytes, 17, HEX_OVERLAP_ERROR, NULL, NULL);
	hex_image_add(&boot, 0x7000, bytes, 0x800, HEX_OVERLAP_ERROR, NULL, NULL);
	return part_load("configs", "atmega32u4", &part, NULL);
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&app);
	hex_image_finish(&boot);
	free(part);
	return 0;
}

static char *draw(const struct map_view *view)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	map_draw(out, view);
	fclose(out);
	return text;
}

static void memories_of_a_part(void **state)
{
	(void)state;
	struct map_view view = {part, true, 0x7000, 0x1000, both, 2, false, false};
	char *text = draw(&view);
	static const char *const lines[] = {
		"  0x00000  #####...........................................................\n",
		"  0x06000  ................................BBBBBBBBBBBBBBBB----------------\n",
		"  0x810000  ##..............................................................\n",
		"application 513 of 28672 bytes, boot 2048 of 4096, EEPROM 17 of 1024\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (strstr(text, lines[i]) == NULL)
			fail_msg("no \"%s\" in\n%s", lines[i], text);
	assert_null(strstr(text, "bytes are in more"));
	free(text);
	view.utf8 = view.colour = true;
	text = draw(&view);
	assert_non_null(strstr(text, "\033[32m█\033[0m"));
	free(text);
	view.has_boot = false;
	text = draw(&view);
	assert_non_null(strstr(text, "--fuses tells"));
	free(text);
}

static void conflicts_and_strays(void **state)
{
	(void)state;
	struct map_view view = {part, true, 0x7000, 0x1000, both, 2, false, false};
	hex_image_add(&app, 0x7080, "abc", 3, HEX_OVERLAP_ERROR, NULL, NULL);
	hex_image_add(&app, 0x7FFF, "abc", 3, HEX_OVERLAP_ERROR, NULL, NULL);
	hex_image_add(&app, 0x8103FF, "abc", 3, HEX_OVERLAP_ERROR, NULL, NULL);
	char *text = draw(&view);
	assert_non_null(strstr(text, "................................BXBBBBBBBBBBBBBB---------------B\n"));
	assert_non_null(strstr(text, "  3 bytes are in more than one file\n"));
	assert_non_null(strstr(text, "  4 bytes lie in no memory of the part\n"));
	free(text);
}

static void cells(void **state)
{
	(void)state;
	assert_int_equal(map_cell_bytes(32768, 128), 128);
	assert_int_equal(map_cell_bytes(131072, 256), 256);
	assert_int_equal(map_cell_bytes(8192, 64), 64);
	assert_int_equal(map_cell_bytes(UINT32_C(1) << 22, 256), 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memories_of_a_part, setup, teardown),
		cmocka_unit_test_setup_teardown(conflicts_and_strays, setup, teardown),
		cmocka_unit_test(cells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
