#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/format.h"
#include "hextools/outfile.h"

#define PRODUCTION "fixtures/images/formats/avr-production.elf"

/* Built by avr-gcc for the ATmega32U4, stripped: code, one initialised variable, one EEPROM byte, fuses,
 * lock, signature. */
static void every_memory_of_a_production_file(void **state)
{
	(void)state;
	static const struct {
		uint32_t addr;
		uint8_t bytes[3];
		size_t len;
	} wanted[] = {{0x810000, {42}, 1}, {0x820000, {0x5E, 0xD9, 0xF3}, 3}, {0x830000, {0xEF}, 1},
		      {0x840000, {0x87, 0x95, 0x1E}, 3}, {0xE0, {5, 0}, 2}};
	struct hex_image image;
	struct format_origin origin;
	struct pogo_error err = {.text = ""};
	hex_image_init(&image);
	if (format_read_file(PRODUCTION, NULL, &image, &origin, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(format_name(origin.format), "elf");
	assert_int_equal(image.count, 5);
	assert_int_equal(image.segments[0].len, 0xE2); /* .text and what the start-up code copies to RAM */
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		uint8_t got[3];
		assert_int_equal(hex_image_read(&image, wanted[i].addr, got, wanted[i].len, 0), wanted[i].len);
		assert_memory_equal(got, wanted[i].bytes, wanted[i].len);
	}
	hex_image_finish(&image);
}

static void refuse(const char *data, size_t len, const char *phrase)
{
	struct hex_image image;
	struct pogo_error err = {.text = ""};
	hex_image_init(&image);
	assert_int_equal(format_read_memory(data, len, "f", NULL, &image, NULL, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	if (strstr(err.text, phrase) == NULL)
		fail_msg("wanted %s, got %s", phrase, err.text);
	assert_int_equal(image.count, 0);
}

static void damaged_files_are_refused(void **state)
{
	(void)state;
	char *data;
	size_t len;
	assert_int_equal(infile_read(PRODUCTION, &data, &len, NULL), 0);
	for (size_t cut = 4; cut < len; cut++) {
		char *part = malloc(cut); /* so that a sanitizer sees a read behind the end */
		memcpy(part, data, cut);
		refuse(part, cut, "f");
		free(part);
	}
	data[4] = 2;
	refuse(data, len, "not 32 bit and little-endian");
	data[4] = 1;
	data[16] = 1;
	refuse(data, len, "not linked");
	data[16] = 2;
	free(data);
}

static void elf_is_not_written(void **state)
{
	(void)state;
	const struct hex_image image = {.count = 0};
	const struct format_writing writing = {.format = "elf"};
	struct pogo_error err = {.text = ""};
	uint8_t *data;
	size_t len;
	assert_int_equal(format_write_memory(NULL, &image, &writing, &data, &len, &err), -1);
	assert_non_null(strstr(err.text, "ELF is only read"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_memory_of_a_production_file),
		cmocka_unit_test(damaged_files_are_refused),
		cmocka_unit_test(elf_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
