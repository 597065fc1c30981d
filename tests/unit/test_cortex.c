#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/check.h"
#include "hextools/cortex.h"
#include "hextools/format.h"
#include "hextools/release.h"
#include "tests/unit/scratch.h"
#include "tests/unit/steer_crc.h"

/* Programs for an STM32F103x8: a vector table and some code, and a file that is taken for
 * STM32duino's. */

enum { FLASH = 0x08000000, APP = 0x08002000, SIZE = 600, BOOT_SIZE = 7172 };
#define STM32DUINO_CRC UINT32_C(0x6A1206B8) /* configs/bootloaders/stm32duino.cfg */

static struct part *part;
static struct hex_image image;
static char folder[256];

static int setup(void **state)
{
	(void)state;
	scratch_make(folder);
	hex_image_init(&image);
	return part_load("configs", "stm32f103x8", &part, NULL);
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	free(part);
	scratch_remove(folder);
	return 0;
}

static void put32(uint8_t *bytes, uint32_t word)
{
	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(word >> (8 * i));
}

/* A program of `size` bytes that is linked for `base`. */
static void make_program(uint8_t *bytes, size_t size, uint32_t base)
{
	memset(bytes, 0x55, size);
	put32(bytes, 0x20005000);
	for (unsigned i = 1; i < 59; i++)
		put32(bytes + 4 * i, i >= 7 && i <= 10 ? 0 : base + 59 * 4 + 1);
}

static void put(uint32_t at, const uint8_t *bytes, size_t size)
{
	assert_int_equal(hex_image_add(&image, at, bytes, size, HEX_OVERLAP_LAST, NULL, NULL), 0);
}

static void tables_are_sound_or_not(void **state)
{
	(void)state;
	static const struct {
		unsigned vector;
		uint32_t word;
		enum cortex_fault fault;
		const char *words;
	} cases[] = {
	        {0, 0x20005000, CORTEX_SOUND, "is sound"},
	        {0, 0x20000004, CORTEX_SOUND, "is sound"},
	        {0, 0x20005004, CORTEX_STACK, "0x20005004, outside the SRAM"},
	        {0, 0x20000000, CORTEX_STACK, "outside the SRAM"},
	        {0, 0x20004FFE, CORTEX_STACK, "outside the SRAM"},
	        {0, 0, CORTEX_STACK, "outside the SRAM"},
	        {0, 0xFFFFFFFF, CORTEX_BLANK, "is blank"},
	        {1, APP + 0xEC, CORTEX_NO_THUMB,
	         "the reset vector is 0x080020EC, which is no Thumb code"},
	        {1, 0, CORTEX_NO_THUMB, "no Thumb"},
	        {1, 0x20000101, CORTEX_NOWHERE, "leads to 0x20000100"},
	        {1, APP + SIZE + 1, CORTEX_NOWHERE, "linked for another address, or was cut"},
	        {1, APP - 0x100 + 1, CORTEX_NOWHERE, "linked for another address"},
	        {3, FLASH + 0xED, CORTEX_NOWHERE, "the HardFault vector leads to 0x080000EC"},
	        {15, 0x08100001, CORTEX_NOWHERE, "vector 15"},
	        {15, 0, CORTEX_SOUND, "is sound"},
	        {15, 0xFFFFFFFF, CORTEX_SOUND, "is sound"},
	        {15, 0x20000201, CORTEX_SOUND, "is sound"},
	        {58, FLASH + 1, CORTEX_NOWHERE, "vector 58"},
	};
	const struct hex_range own = {APP, FLASH + 0xFFFF};
	uint8_t bytes[SIZE];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct cortex_report report;
		char words[240];
		make_program(bytes, sizeof bytes, APP);
		put32(bytes + 4 * cases[i].vector, cases[i].word);
		put(APP, bytes, sizeof bytes);
		bool sound = cortex_look(&image, part, APP, &own, &report);
		cortex_words(&report, part, words, sizeof words);
		if (report.fault != cases[i].fault || strstr(words, cases[i].words) == NULL)
			fail_msg("case %zu: fault %d, %s", i, report.fault, words);
		assert_int_equal(sound, report.fault == CORTEX_SOUND);
		assert_true(sound || report.vector == cases[i].vector);
	}
}

static void short_tables(void **state)
{
	(void)state;
	static const uint8_t two[12] = {0x00, 0x50, 0x00, 0x20, 0x09, 0x20,
	                                0x00, 0x08, 0xFE, 0xE7, 0xFE, 0xE7};
	const struct hex_range own = {APP, FLASH + 0xFFFF};
	struct cortex_report report;
	assert_false(cortex_look(&image, part, APP, &own, &report));
	assert_int_equal(report.fault, CORTEX_NO_TABLE);
	put(APP, two, 6);
	assert_false(cortex_look(&image, part, APP, &own, &report));
	assert_int_equal(report.fault, CORTEX_NO_TABLE);
	put(APP, two, sizeof two); /* code right behind the second word */
	assert_true(cortex_look(&image, part, APP, &own, &report));
}

static const char *write_file(char path[300], const char *name, uint32_t at, const uint8_t *bytes,
                              size_t size)
{
	struct hex_image one;
	const struct format_writing writing = {.format = NULL};
	hex_image_init(&one);
	assert_int_equal(hex_image_add(&one, at, bytes, size, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	snprintf(path, 300, "%s/%s", folder, name);
	assert_int_equal(format_write_file(path, &one, &writing, NULL), 0);
	hex_image_finish(&one);
	return path;
}

/* As many bytes as the released file has, and its CRC. */
static void make_stm32duino(uint8_t bytes[BOOT_SIZE])
{
	make_program(bytes, BOOT_SIZE, FLASH);
	put32(bytes, 0x20002800);
	steer_crc(bytes, BOOT_SIZE, BOOT_SIZE - 8, STM32DUINO_CRC);
}

static void the_released_bootloader(void **state)
{
	(void)state;
	uint8_t boot[BOOT_SIZE], app[SIZE];
	char boot_path[300], app_path[300], image_path[300];
	struct release release;
	struct pogo_error err;
	make_stm32duino(boot);
	make_program(app, sizeof app, APP);
	struct release_order order = {
	        .configs = "configs",
	        .part = "stm32f103x8",
	        .bootloader = write_file(boot_path, "boot.bin", FLASH, boot, sizeof boot),
	        .application = write_file(app_path, "app.hex", APP, app, sizeof app),
	};
	if (release_make(&order, &release, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(release.family->name, "stm32duino");
	assert_int_equal(release.boot_start, FLASH);
	assert_int_equal(release.boot_bytes, 8192);
	assert_int_equal(release.app_start, APP);
	assert_int_equal(release.image.count, 2);
	assert_false(release.has_fuses);
	snprintf(image_path, sizeof image_path, "%s/kb.hex", folder);
	assert_int_equal(format_write_file(image_path, &release.image,
	                                   &(struct format_writing){.format = NULL}, NULL),
	                 0);
	release_finish(&release);
	order.part = "stm32f103xb"; /* the same file */
	order.family = "stm32duino";
	assert_int_equal(release_make(&order, &release, NULL), 0);
	release_finish(&release);
	order.part = "stm32f103xe"; /* pages of 2 KiB: not known for it */
	assert_int_equal(release_make(&order, &release, &err), -1);
	assert_non_null(strstr(err.text, "not known for the STM32F103xE"));

	/* Nothing said of a bootloader: check sees it in the image. */
	static struct check check;
	const struct check_order look = {
	        .configs = "configs", .part = "stm32f103x8", .image = image_path};
	assert_int_equal(check_image(&look, &check, NULL), 0);
	assert_int_equal(check.errors + check.warnings, 0);
	assert_non_null(check.file);
	assert_int_equal(check.boot_end, APP);
	check_finish(&check);
}

static void an_application_in_the_wrong_place(void **state)
{
	(void)state;
	static const struct {
		uint32_t at, linked;
		const char *phrase;
	} cases[] = {
	        {APP, FLASH, "linked for another address"},
	        {0x08005000, 0x08005000, "STM32duino starts it at 0x08002000"},
	        {0x08001C00, 0x08001C00, "0x08001C00-0x08001E57, in the pages of the bootloader"},
	        {0x08001F00, 0x08001F00, "0x08001F00-0x08001FFF, in the pages"},
	        {0x0800FF00, 0x0800FF00, "lies outside the flash"},
	};
	uint8_t boot[BOOT_SIZE], app[SIZE];
	char boot_path[300], app_path[300];
	make_stm32duino(boot);
	write_file(boot_path, "boot.bin", FLASH, boot, sizeof boot);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct release release;
		struct pogo_error err;
		make_program(app, sizeof app, cases[i].linked);
		const struct release_order order = {
		        .configs = "configs",
		        .part = "stm32f103x8",
		        .bootloader = boot_path,
		        .application =
		                write_file(app_path, "app.hex", cases[i].at, app, sizeof app),
		};
		assert_int_equal(release_make(&order, &release, &err), -1);
		assert_int_equal(err.kind, POGO_NO);
		if (strstr(err.text, cases[i].phrase) == NULL)
			fail_msg("case %zu: %s", i, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(tables_are_sound_or_not, setup, teardown),
	        cmocka_unit_test_setup_teardown(short_tables, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_released_bootloader, setup, teardown),
	        cmocka_unit_test_setup_teardown(an_application_in_the_wrong_place, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
