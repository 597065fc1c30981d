#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/digest.h"
#include "hextools/ihex.h"
#include "hextools/release.h"
#include "tests/unit/scratch.h"

#define BOOT "fixtures/images/demo_bootloader.hex"
#define APP  "fixtures/images/demo_firmware.hex"
#define EEP  "fixtures/images/demo_eeprom.hex"

static char folder[256];

static int setup(void **state)
{
	(void)state;
	scratch_make(folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(folder);
	return 0;
}

static struct release_order demo(void)
{
	return (struct release_order){.configs = "configs",
				      .part = "atmega32u4",
				      .bootloader = BOOT,
				      .application = APP,
				      .fuses = "FF,D8,CB",
				      .crystal_hz = 16000000};
}

static void make_it(const struct release_order *order, struct release *release)
{
	struct pogo_error err;
	if (release_make(order, release, &err) != 0)
		fail_msg("%s", err.text);
}

static void assert_refused(const struct release_order *order, enum pogo_error_class kind,
			   const char *phrase)
{
	struct release release;
	struct pogo_error err = {.text = ""};
	if (release_make(order, &release, &err) == 0)
		fail_msg("accepted, wanted \"%s\"", phrase);
	if (strstr(err.text, phrase) == NULL)
		fail_msg("wanted \"%s\", got: %s", phrase, err.text);
	assert_int_equal(err.kind, kind);
}

static const char *save_hex(char path[300], const char *name, uint32_t addr, const uint8_t *bytes, size_t len)
{
	struct hex_image image;
	char *text;
	size_t size;
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, addr, bytes, len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_format(&image, 16, &text, &size, NULL), 0);
	snprintf(path, 300, "%s/%s", folder, name);
	scratch_write(path, text);
	free(text);
	hex_image_finish(&image);
	return path;
}

/* A file of `len` bytes at addr (a different byte for each `seed`), written to the scratch folder. */
static const char *make_hex(char path[300], const char *name, uint32_t addr, size_t len, uint8_t seed)
{
	uint8_t *bytes = malloc(len);
	memset(bytes, seed, len);
	save_hex(path, name, addr, bytes, len);
	free(bytes);
	return path;
}

/* What avr-gcc makes: `vectors` JMPs to start-up code that sets the stack, at `base`; the first leads to `reset`, or
 * there too. */
static const char *make_program(char path[300], const char *name, uint32_t base, unsigned vectors, uint16_t stack,
				uint32_t reset)
{
	enum { SIZE = 0x400 };
	uint8_t code[SIZE] = {0};
	uint32_t start = base + vectors * 4;
	for (unsigned i = 0; i < vectors; i++) {
		uint32_t to = (i == 0 && reset != 0 ? reset : start) / 2;
		const uint16_t words[] = {0x940C, (uint16_t)to};
		memcpy(code + i * 4, words, sizeof words);
	}
	const uint16_t startup[] = {0x2411, 0xBE1F, (uint16_t)(0xE0C0 | (stack & 0xF0) << 4 | (stack & 0xF)),
				    (uint16_t)(0xE0D0 | (stack >> 4 & 0xF00) | (stack >> 8 & 0xF)), 0xBFDE, 0xBFCD};
	memcpy(code + vectors * 4, startup, sizeof startup);
	return save_hex(path, name, base, code, SIZE);
}

/* What check finds in the code, release refuses or says. */
static void programs_for_another_part_are_refused(void **state)
{
	(void)state;
	struct release_order order = demo();
	struct release release;
	char boot[300], app[300];
	order.bootloader = make_program(boot, "boot", 0x7000, 43, 0x0AFF, 0);
	order.application = make_program(app, "app", 0, 43, 0x0AFF, 0);
	make_it(&order, &release);
	release_finish(&release);
	order.application = make_program(app, "a1286", 0, 38, 0x20FF, 0);
	assert_refused(&order, POGO_NO, "38 interrupt vectors of 4 bytes begin the application");
	order.application = make_program(app, "a328", 0, 26, 0x08FF, 0);
	assert_refused(&order, POGO_NO, "built for ATmega168P, ATmega328, ATmega328P");
	order.application = make_program(app, "far", 0, 43, 0x10FF, 0);
	assert_refused(&order, POGO_NO, "of the application sets the stack to 0x10FF");
	order.application = make_program(app, "nowhere", 0, 43, 0x0AFF, 0x4000);
	assert_refused(&order, POGO_NO, "the reset vector leads to 0x04000, where the image has nothing");
	order.application = make_program(app, "a16u4", 0, 43, 0x05FF, 0); /* perhaps meant so */
	make_it(&order, &release);
	assert_non_null(strstr(release.notes[release.note_count - 1], "as on the ATmega16U4"));
	release_finish(&release);
	order.application = make_program(app, "app", 0, 43, 0x0AFF, 0);
	order.bootloader = make_program(boot, "b1286", 0x7000, 38, 0x20FF, 0);
	assert_refused(&order, POGO_NO, "begin the bootloader, the ATmega32U4 has 43 of 4");
	order.bootloader = make_program(boot, "bfar", 0x7000, 43, 0x20FF, 0);
	assert_refused(&order, POGO_NO, "of the bootloader sets the stack to 0x20FF");
}

static void the_image_is_both_inputs(void **state)
{
	(void)state;
	struct release_order order = demo();
	struct release release;
	struct hex_image boot, app;
	order.eeprom = EEP;
	order.lock = "2F";
	make_it(&order, &release);
	hex_image_init(&boot);
	hex_image_init(&app);
	assert_int_equal(ihex_read_file(BOOT, &boot, NULL), 0);
	assert_int_equal(ihex_read_file(APP, &app, NULL), 0);
	assert_int_equal(release.image.count, 3);
	assert_int_equal(release.image.segments[0].len, app.segments[0].len);
	assert_memory_equal(release.image.segments[0].bytes, app.segments[0].bytes, app.segments[0].len);
	assert_int_equal(release.image.segments[1].addr, 0x7000);
	assert_memory_equal(release.image.segments[1].bytes, boot.segments[0].bytes, boot.segments[0].len);
	assert_int_equal(release.image.segments[2].addr, AVR_EEPROM_BASE);
	assert_int_equal(release.image.start_kind, HEX_START_NONE);
	assert_memory_equal(release.fuses, "\xFF\xD8\xFB", 3);
	assert_int_equal(release.lock, 0xEF);
	assert_true(release.has_lock);
	assert_int_equal(release.boot_start, 0x7000);
	hex_image_finish(&boot);
	hex_image_finish(&app);
	release_finish(&release);
}

static void the_large_part(void **state)
{
	(void)state;
	struct release_order order = demo();
	struct release release;
	order.part = "at90usb1286";
	order.bootloader = "fixtures/images/demo1286_bootloader.hex";
	order.application = "fixtures/images/demo1286_firmware.hex";
	order.fuses = "5E,D9,F3"; /* BOOTRST unprogrammed, but HWBE programmed */
	make_it(&order, &release);
	assert_int_equal(release.boot_start, 0x1E000);
	assert_int_equal(release.image.count, 3);
	release_finish(&release);
}

static void places_are_refused(void **state)
{
	(void)state;
	struct release_order order = demo();
	char boot[300], app[300];
	order.bootloader = make_hex(boot, "b1", 0x6FF0, 0x100, 1);
	assert_refused(&order, POGO_NO, "0x06FF0-0x06FFF, outside the boot section");
	order.bootloader = make_hex(boot, "b2", 0x7010, 0x100, 1);
	assert_refused(&order, POGO_NO, "begins at 0x07010");
	order.fuses = NULL; /* no fuses: the largest section counts */
	order.bootloader = make_hex(boot, "b3", 0x6000, 0x100, 1);
	assert_refused(&order, POGO_NO, "outside the boot section");
	order = demo();
	order.application = make_hex(app, "a1", 0x6F80, 0x100, 2);
	assert_refused(&order, POGO_INPUT, "both have 0x07000-0x0707F (128 bytes)");
	order.application = make_hex(app, "a2", 0x7F80, 0x10, 2); /* no overlap, yet inside */
	assert_refused(&order, POGO_NO, "inside the boot section");
	order.application = make_hex(app, "a3", 0x7FF0, 0x20, 2);
	assert_refused(&order, POGO_NO, "0x08000-0x0800F lies outside the flash");
	order = demo();
	order.part = "atmega16u4";
	assert_refused(&order, POGO_NO, "does not fit the ATmega16U4");
	order = demo();
	order.eeprom = make_hex(app, "e1", 0x3F8, 0x10, 3);
	assert_refused(&order, POGO_NO, "does not fit the EEPROM");
}

static void fuses_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *fuses, *phrase;
		uint32_t crystal;
		enum pogo_error_class kind;
	} bad[] = {
		{"FF,DE,CB", "high fuse 0xD8 would fit it", 16000000, POGO_NO},
		{"FF,DA,CB", "selects a boot section from 0x07800", 16000000, POGO_NO},
		{"FF,D9,FF", "nothing leads into the bootloader", 16000000, POGO_NO},
		{"FF,F8,CB", "SPIEN", 16000000, POGO_NO},
		{"F0,D8,CB", "external clock", 16000000, POGO_NO},
		{"FF,D8,CB", "no clock", 0, POGO_NO},
		{"FF,D8", "3 fuse bytes", 16000000, POGO_INPUT},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct release_order order = demo();
		order.fuses = bad[i].fuses;
		order.crystal_hz = bad[i].crystal;
		assert_refused(&order, bad[i].kind, bad[i].phrase);
	}
	struct release_order order = demo();
	struct release release;
	order.fuses = "F0,D8,CB";
	order.external_clock = true;
	make_it(&order, &release);
	release_finish(&release);
	order = demo();
	order.fuses = "FF,D9,F3"; /* HWBE programmed */
	make_it(&order, &release);
	release_finish(&release);
	order.lock = "1FF";
	assert_refused(&order, POGO_INPUT, "lock");
	/* A 328P has no HWB pin. */
	order = demo();
	order.part = "atmega328p";
	order.fuses = "D7,D1,04";
	assert_refused(&order, POGO_NO, "no HWB pin");
}

/* Known bootloaders cannot be shipped here, so a set of configs knows ours by its CRC. */
static void copy_configs(char configs[300], const char *reset, const char *fuses, const char *part,
			 const char *more)
{
	char path[400], text[700];
	struct hex_image image;
	uint32_t crc;
	hex_image_init(&image);
	assert_int_equal(ihex_read_file(BOOT, &image, NULL), 0);
	assert_true(hex_image_crc32(&image, &crc));
	hex_image_finish(&image);
	snprintf(configs, 300, "%s", folder);
	snprintf(path, sizeof path, "%s/parts", configs);
	if (access(path, F_OK) != 0) {
		char here[300];
		assert_non_null(getcwd(here, sizeof here));
		snprintf(text, sizeof text, "%s/configs/parts", here);
		assert_int_equal(symlink(text, path), 0);
		snprintf(path, sizeof path, "%s/bootloaders", configs);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path, sizeof path, "%s/bootloaders/ours.cfg", configs);
	snprintf(text, sizeof text,
		 "name = \"ours\"; title = \"Ours\"; reset = \"%s\"; lock = 0xEF;\n"
		 "parts = ( { part = \"%s\"; section = 4096; fuses = %s; } );\n"
		 "files = ( { name = \"ours.hex\"; title = \"Ours 1\"; part = \"%s\"; crc32 = \"%08X\"; "
		 "%s } );\n",
		 reset, part, fuses, part, crc, more);
	scratch_write(path, text);
}

static void remove_configs(const char *configs)
{
	char path[400];
	snprintf(path, sizeof path, "%s/bootloaders", configs);
	scratch_remove(path);
}

/* What would program well and never work. */
static void dead_boards_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *lock, *phrase;
	} locks[] = {{"C3", "read and write"}, {"00", "read and write"}, {"FB", "to write"}, {"F7", "to read the"}};
	struct release_order order = demo();
	struct release release;
	char path[300];
	for (size_t i = 0; i < sizeof locks / sizeof locks[0]; i++) {
		order.lock = locks[i].lock;
		assert_refused(&order, POGO_NO, locks[i].phrase);
	}
	order.lock = "CC"; /* the boot section and ISP are closed: no harm */
	make_it(&order, &release);
	release_finish(&release);
	order = demo();
	order.fuses = "FF,D8,CB,";
	assert_refused(&order, POGO_INPUT, "3 fuse bytes");
	order = demo();
	order.application = make_hex(path, "a1", 0x100, 0x100, 1);
	assert_refused(&order, POGO_NO, "no code at 0x00000");
	order.application = make_hex(path, "a2", 0, 0x100, 0xFF);
	assert_refused(&order, POGO_NO, "no code at 0x00000");
	order.application = make_hex(path, "a3", AVR_EEPROM_BASE, 4, 1);
	assert_refused(&order, POGO_NO, "no code at 0x00000");
	order = demo();
	order.bootloader = make_hex(path, "b1", 0x7000, 0x100, 0xFF);
	assert_refused(&order, POGO_NO, "no code at 0x07000");
	/* Fuses for a smaller section must not behead a bootloader. */
	order.bootloader = make_hex(path, "b2", 0x7000, 0xF00, 1);
	order.fuses = "FF,DE,CB";
	order.boot_only = true;
	assert_refused(&order, POGO_NO, "without a hole across 0x07E00");
	/* Here BOOTRST is in the extended byte. */
	order = demo();
	order.part = "atmega168p";
	order.bootloader = make_hex(path, "b3", 0x3800, 0x100, 1);
	order.application = "fixtures/images/demo_bootloader.hex@-0x7000";
	order.fuses = "FF,DF,F9";
	assert_refused(&order, POGO_NO, "extended fuse 0xF9");
}

static void known_bootloaders(void **state)
{
	(void)state;
	char configs[300];
	struct release_order order = demo();
	struct release release;
	copy_configs(configs, "boot", "[ 0xFF, 0xD8, 0xFB ]", "atmega32u4", "");
	order.configs = configs;
	order.fuses = NULL;
	make_it(&order, &release);
	assert_true(release.has_fuses);
	assert_memory_equal(release.fuses, "\xFF\xD8\xFB", 3);
	assert_string_equal(release.file->title, "Ours 1");
	assert_int_equal(release.note_count, 3); /* recognised, fuses taken, lock recommended */
	release_finish(&release);
	order.fuses = "FF,D9,F3";
	assert_refused(&order, POGO_NO, "must be entered by every reset");
	copy_configs(configs, "application", "[ 0xFF, 0xD9, 0xFB ]", "atmega32u4", "");
	order.fuses = "FF,D8,FB";
	assert_refused(&order, POGO_NO, "BOOTRST is programmed");
	order.fuses = "FF,D9,FB"; /* reached by a jump: HWBE may stay unprogrammed */
	make_it(&order, &release);
	release_finish(&release);
	copy_configs(configs, "boot", "[ 0xFF, 0xD8, 0xFB ]", "atmega32u4", "sketch = true;");
	assert_refused(&order, POGO_NO, "example program below");
	copy_configs(configs, "boot", "[ 0xD7, 0xD0, 0x04 ]", "atmega328p", "");
	assert_refused(&order, POGO_NO, "for atmega328p, not for atmega32u4");
	remove_configs(configs);
}

static void no_fuses_no_recipe(void **state)
{
	(void)state;
	struct release_order order = demo();
	struct release release;
	struct pogo_error err;
	char *text;
	size_t len;
	order.fuses = NULL;
	make_it(&order, &release);
	assert_false(release.has_fuses);
	assert_int_equal(release_manifest(&release, "x/y.hex", &text, &len, NULL), 0);
	assert_non_null(strstr(text, "\"fuses\": null"));
	assert_non_null(strstr(text, "\"path\": \"y.hex\""));
	free(text);
	assert_int_equal(release_recipe(&release, "y.hex", "y.cfg", NULL, &text, &len, &err), -1);
	assert_non_null(strstr(err.text, "--fuses LOW,HIGH,EXT"));
	release_finish(&release);
}

static void manifest_is_reproducible(void **state)
{
	(void)state;
	struct release_order order = demo();
	char *first, *second;
	size_t len;
	for (int i = 0; i < 2; i++) {
		struct release release;
		make_it(&order, &release);
		assert_int_equal(release_manifest(&release, "a.hex", i ? &second : &first, &len, NULL), 0);
		release_finish(&release);
	}
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static void recipe_names_the_image_relatively(void **state)
{
	(void)state;
	struct release_order order = demo();
	struct release release;
	char image[320], recipe[400], here[300], sub[300];
	char *text;
	size_t len;
	make_it(&order, &release);
	snprintf(sub, sizeof sub, "%s/sub", folder);
	assert_int_equal(mkdir(sub, 0700), 0);
	snprintf(image, sizeof image, "%s/i\"m.hex", folder);
	snprintf(recipe, sizeof recipe, "%s/r.cfg", sub);
	assert_int_equal(release_recipe(&release, image, recipe, "A \"B\"", &text, &len, NULL), 0);
	assert_non_null(strstr(text, "image = \"../i\\\"m.hex\";"));
	assert_non_null(strstr(text, "product = \"A \\\"B\\\"\";"));
	assert_non_null(strstr(text, release.digest));
	assert_non_null(strstr(text, "fuses = { low = 0xFF; high = 0xD8; ext = 0xFB; };"));
	free(text);
	assert_non_null(getcwd(here, sizeof here));
	snprintf(recipe, sizeof recipe, "%s/r.cfg", folder);
	assert_int_equal(release_recipe(&release, image, recipe, NULL, &text, &len, NULL), 0);
	assert_non_null(strstr(text, "image = \"i\\\"m.hex\";"));
	assert_non_null(strstr(text, "product = \"demo_firmware\";"));
	free(text);
	rmdir(sub);
	release_finish(&release);
}

static void unreadable_words(void **state)
{
	(void)state;
	struct release_order order = demo();
	order.part = "nope";
	assert_refused(&order, POGO_INPUT, "known: ");
	order = demo();
	order.application = "fixtures/images/bad/checksum.hex";
	assert_refused(&order, POGO_INPUT, "checksum.hex:2:42:");
	order = demo();
	order.bootloader = order.application = "-";
	assert_refused(&order, POGO_INPUT, "only once");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(programs_for_another_part_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_image_is_both_inputs, setup, teardown),
		cmocka_unit_test_setup_teardown(the_large_part, setup, teardown),
		cmocka_unit_test_setup_teardown(places_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(fuses_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(dead_boards_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(known_bootloaders, setup, teardown),
		cmocka_unit_test_setup_teardown(no_fuses_no_recipe, setup, teardown),
		cmocka_unit_test_setup_teardown(manifest_is_reproducible, setup, teardown),
		cmocka_unit_test_setup_teardown(recipe_names_the_image_relatively, setup, teardown),
		cmocka_unit_test_setup_teardown(unreadable_words, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
