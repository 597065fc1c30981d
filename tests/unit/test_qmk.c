#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hextools/ihex.h"
#include "hextools/qmk.h"
#include "hextools/qmk_json.h"
#include "hextools/release_qmk.h"
#include "tests/unit/scratch.h"
#include "tests/unit/steer_crc.h"

/* A folder tree shaped as QMK's, made anew by each test. */

static char tree[256];
static struct qmk_keyboard keyboard;
static struct pogo_error why;

static int setup(void **state)
{
	(void)state;
	scratch_make(tree);
	return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Writes tree/path with its folders. */
static void file(const char *path, const char *text)
{
	char full[PATH_MAX];
	snprintf(full, sizeof full, "%s/%s", tree, path);
	for (char *slash = full + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	scratch_write(full, text);
}

static void read_it(const char *name)
{
	if (qmk_read(tree, name, &keyboard, &why) != 0)
		fail_msg("%s: %s", name, why.text);
}

static void assert_is(const char *name, const char *mcu, const char *bootloader)
{
	read_it(name);
	assert_string_equal(keyboard.mcu.text, mcu);
	assert_string_equal(keyboard.bootloader.text, bootloader);
}

static void assert_refused(const char *name, const char *phrase)
{
	if (qmk_read(tree, name, &keyboard, &why) == 0)
		fail_msg("%s was accepted", name);
	if (strstr(why.text, phrase) == NULL)
		fail_msg("wanted \"%s\", got: %s", phrase, why.text);
	assert_int_equal(why.kind, POGO_INPUT);
}

static bool noted(const char *phrase)
{
	for (size_t i = 0; i < keyboard.notes.count && i < NOTES_KEPT; i++)
		if (strstr(keyboard.notes.text[i], phrase) != NULL)
			return true;
	return false;
}

static void tolerant_json(void **state)
{
	(void)state;
	static const struct {
		const char *loose, *strict;
	} pairs[] = {
		{"{\"a\": 1,}", "{\"a\": 1}"},
		{"{\"a\": [1, 2,],}", "{\"a\": [1, 2]}"},
		{"{// words\n\"a\": \"x // y # z /* w */\"}", "{\"a\": \"x // y # z /* w */\"}"},
		{"{/*/ x */\"a\": 1}", "{\"a\": 1}"},
		{"{ # words\n\"a\": 1 /* { */ }", "{\"a\": 1}"},
		{"{\"a\": 1\n\"b\": {\"c\": true}\n\"d\": []\n}", "{\"a\": 1, \"b\": {\"c\": true}, \"d\": []}"},
		{"{a: -1.5e3, b_c: null}", "{\"a\": -1.5e3, \"b_c\": null}"},
		{"{\"a\": [\"x\"\n\"y\"]}", "{\"a\": [\"x\", \"y\"]}"},
		{"{\"a\": \"\\\"},{\"}", "{\"a\": \"\\\"},{\"}"},
	};
	static const char *const bad[] = {"", "{", "{\"a\"}", "{\"a\": }", "{\"a\": 1 ]", "[1, 2]", "{\"a\": \"x\n\"}",
					  "{\"a\": /* 1}", "\"", "{\"a\":1}}"};
	char path[300];
	snprintf(path, sizeof path, "%s/x.json", tree);
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		char *strict = qmk_json_strict(pairs[i].loose, strlen(pairs[i].loose));
		json_t *got = json_loads(strict, 0, NULL), *want = json_loads(pairs[i].strict, 0, NULL);
		if (got == NULL || !json_equal(got, want))
			fail_msg("%s became %s", pairs[i].loose, strict);
		json_decref(got);
		json_decref(want);
		free(strict);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		scratch_write(path, bad[i]);
		json_t *root = qmk_json_load(path, &why);
		if (root != NULL)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_equal(why.kind, POGO_INPUT);
	}
	scratch_write(path, "{\n// one\n/* two\n three */\n\"a\": ?\n}");
	assert_null(qmk_json_load(path, &why));
	assert_non_null(strstr(why.text, "x.json:5"));
}

static void json_alone(void **state)
{
	(void)state;
	file("keyboards/solo/keyboard.json",
	     "{\n  // chip\n  \"processor\": \"atmega32u2\",\n  \"bootloader\": \"atmel-dfu\",\n}\n");
	assert_is("solo", "atmega32u2", "atmel-dfu");
	assert_string_equal(keyboard.mcu.from, "keyboards/solo/keyboard.json");
	assert_int_equal(keyboard.notes.count, 0);
	file("keyboards/bare/keyboard.json", "{\"bootloader\": \"caterina\"}");
	assert_is("bare", "atmega32u4", "caterina");
	assert_true(noted("QMK assumes atmega32u4"));
	file("keyboards/none/keyboard.json", "{\"processor\": \"atmega32u4\"}");
	assert_refused("none", "names a bootloader");
}

static void revisions_and_parents(void **state)
{
	(void)state;
	file("keyboards/duo/info.json", "{\"processor\": \"at90usb1286\", \"manufacturer\": \"x\"}");
	file("keyboards/duo/rev1/keyboard.json", "{\"bootloader\": \"qmk-hid\"}");
	file("keyboards/duo/rev2/keyboard.json", "{\"bootloader\": \"halfkay\"}");
	file("keyboards/duo/rev2/rules.mk", "BOOTLOADER_SIZE = 1024\n");
	assert_is("duo/rev1", "at90usb1286", "qmk-hid");
	assert_is("duo/rev2", "at90usb1286", "halfkay");
	assert_string_equal(keyboard.bootloader_size.text, "1024");
	assert_refused("duo", "it has duo/rev1, duo/rev2");
	/* Documented: the deepest wins. QMK's code: the parent overwrites. */
	file("keyboards/clash/info.json", "{\"bootloader\": \"caterina\", \"processor\": \"atmega32u4\"}");
	file("keyboards/clash/mid/info.json", "{\"bootloader\": \"qmk-dfu\"}");
	file("keyboards/clash/mid/rev1/keyboard.json", "{\"bootloader\": \"atmel-dfu\"}");
	assert_is("clash/mid/rev1", "atmega32u4", "caterina");
	assert_string_equal(keyboard.bootloader.from, "keyboards/clash/info.json");
	assert_true(noted("QMK's code takes the parent's"));
	/* A parent's keyboard.json is its own keyboard's, not a parent of this one. */
	file("keyboards/nest/keyboard.json", "{\"processor\": \"atmega32a\", \"bootloader\": \"usbasploader\"}");
	file("keyboards/nest/usb/keyboard.json", "{\"processor\": \"atmega16u2\", \"bootloader\": \"qmk-dfu\"}");
	assert_is("nest/usb", "atmega16u2", "qmk-dfu");
	assert_is("nest", "atmega32a", "usbasploader");
	file("keyboards/nest/info.json", "{}");
	assert_refused("nest", "both keyboard.json and info.json");
}

static void development_boards(void **state)
{
	(void)state;
	file("keyboards/pm/keyboard.json", "{\"development_board\": \"promicro\"}");
	assert_is("pm", "atmega32u4", "caterina"); /* no mappings in the tree: known by heart */
	file("data/mappings/defaults.hjson", "{\n  # boards\n  \"development_board\": {\n    \"promicro\": {\n"
					     "      \"processor\": \"atmega32u4\"\n      \"bootloader\": \"caterina\"\n    },\n"
					     "    \"bluepill\": {\"processor\": \"STM32F103\", \"bootloader\": \"stm32duino\"}\n  }\n}\n");
	assert_is("pm", "atmega32u4", "caterina");
	assert_string_equal(keyboard.development_board, "promicro");
	assert_string_equal(keyboard.bootloader.from, "development_board \"promicro\"");
	file("keyboards/pm2/keyboard.json", "{\"development_board\": \"promicro\", \"bootloader\": \"qmk-dfu\"}");
	assert_is("pm2", "atmega32u4", "qmk-dfu"); /* fills only what is missing */
	file("keyboards/blue/keyboard.json", "{\"development_board\": \"bluepill\"}");
	assert_is("blue", "STM32F103", "stm32duino");
	file("keyboards/what/keyboard.json", "{\"development_board\": \"nonesuch\"}");
	assert_refused("what", "nonesuch");
}

static void rules_beat_json(void **state)
{
	(void)state;
	file("keyboards/r/info.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}");
	file("keyboards/r/rules.mk", "# MCU = nothing\nMCU = atmega16u4 # comment\nBOOTLOADER=qmk-dfu\n"
				     "F_CPU ?= 8000000\n  OTHER_MCU = x\n");
	file("keyboards/r/a/keyboard.json", "{}");
	assert_is("r/a", "atmega16u4", "qmk-dfu");
	assert_true(noted("\"atmega16u4\" in keyboards/r/rules.mk beats \"atmega32u4\""));
	assert_string_equal(keyboard.f_cpu.text, "8000000");
	file("keyboards/r/b/keyboard.json", "{}");
	file("keyboards/r/b/rules.mk", "MCU ?= atmega32u2\nifeq ($(X),y)\n  BOOTLOADER := \\\n    qmk-hid\nelse\n"
				       "  BOOTLOADER = lufa-dfu\nendif\nBOOTLOADER += x\nF_CPU = 12000000\n");
	assert_is("r/b", "atmega16u4", "lufa-dfu x");
	assert_string_equal(keyboard.f_cpu.text, "12000000");
	file("keyboards/old/rules.mk", "MCU = atmega32a\nBOOTLOADER = bootloadhid\n");
	assert_is("old", "atmega32a", "bootloadhid");
	assert_true(noted("before 2024"));
}

static void keymaps(void **state)
{
	(void)state;
	file("keyboards/k/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"atmel-dfu\","
					  " \"community_layouts\": [\"60_iso\", \"60_ansi\"]}");
	file("keyboards/k/keymaps/default/keymap.c", "");
	assert_is("k:default", "atmega32u4", "atmel-dfu");
	file("keyboards/k/keymaps/mine/rules.mk", "BOOTLOADER = caterina\nBOOTLOADER_SIZE = 2048\n");
	assert_is("k:mine", "atmega32u4", "caterina");
	assert_is("k", "atmega32u4", "atmel-dfu");
	file("keyboards/k/keymaps/mine/keymap.json",
	     "{\"keymap\": \"mine\", \"config\": {\"bootloader\": \"qmk-hid\", \"processor\": \"atmega16u4\"}}");
	assert_is("k:mine", "atmega16u4", "qmk-hid");
	assert_string_equal(keyboard.bootloader.from, "keyboards/k/keymaps/mine/keymap.json");
	file("users/mine/rules.mk", "BOOTLOADER = qmk-dfu\nMCU = atmega32a\n");
	assert_is("k:mine", "atmega16u4", "qmk-dfu");
	assert_true(noted("too late"));
	file("keyboards/k/post_rules.mk", "BOOTLOADER = lufa-dfu\n");
	assert_is("k:mine", "atmega16u4", "lufa-dfu");
	file("layouts/community/60_ansi/shared/keymap.c", "");
	file("layouts/community/60_ansi/shared/rules.mk", "MCU = atmega32u2\n");
	assert_is("k:shared", "atmega32u2", "lufa-dfu");
	assert_refused("k:absent", "no keymap \"absent\"");
	file("keyboards/k/keymaps/conv/rules.mk", "CONVERT_TO = promicro_rp2040\n");
	assert_refused("k:conv", "converted keyboards are not supported");
	file("keyboards/k/keymaps/conv2/keymap.json", "{\"converter\": \"elite_pi\"}");
	assert_refused("k:conv2", "elite_pi");
	/* The nearest keymap of that name counts. */
	file("keyboards/k/sub/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}");
	file("keyboards/k/sub/keymaps/mine/rules.mk", "MCU = at90usb646\n");
	assert_is("k/sub:mine", "at90usb646", "lufa-dfu");
}

/* Each key that is read, with something that QMK's schemas do not allow there. */
static void wrong_kinds(void **state)
{
	(void)state;
	static const char sound[] = "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}";
	static const char deep[] = "keyboards/t/mid/keyboard.json", parent[] = "keyboards/t/info.json";
	static const char keymap[] = "keyboards/t/mid/keymaps/own/keymap.json";
	static const char defaults[] = "data/mappings/defaults.hjson";
	static const char aliases[] = "data/mappings/keyboard_aliases.hjson";
	static const struct {
		const char *file, *text, *words;
	} wrong[] = {
		{deep, "{\"processor\": 5}", "\"processor\" is a number, QMK wants a string"},
		{deep, "{\"processor\": null}", "\"processor\" is null"},
		{deep, "{\"processor\": \"atmega32u4\", \"bootloader\": [\"caterina\"]}", "\"bootloader\" is an array"},
		{deep, "{\"development_board\": true}", "\"development_board\" is true"},
		{deep, "{\"community_layouts\": \"60_ansi\"}", "\"community_layouts\" is a string, QMK wants an array"},
		{deep, "{\"community_layouts\": [\"60_ansi\", 2.5]}", "\"community_layouts\" holds a number"},
		{parent, "{\"processor\": 5}", "\"processor\" is a number"},
		{parent, "{\"bootloader\": false}", "\"bootloader\" is false"},
		{parent, "{\"development_board\": {}}", "\"development_board\" is an object"},
		{parent, "{\"community_layouts\": {}}", "\"community_layouts\" is an object"},
		{keymap, "{\"config\": \"x\"}", "\"config\" is a string, QMK wants an object"},
		{keymap, "{\"config\": {\"processor\": 1}}", "\"processor\" is a number"},
		{keymap, "{\"config\": {\"bootloader\": 1}}", "\"bootloader\" is a number"},
		{keymap, "{\"converter\": 1}", "\"converter\" is a number"},
		{defaults, "{\"development_board\": []}", "\"development_board\" is an array"},
		{defaults, "{\"development_board\": {\"promicro\": 1}}", "\"promicro\" is a number"},
		{defaults, "{\"development_board\": {\"promicro\": {\"processor\": 1}}}", "\"processor\" is a number"},
		{defaults, "{\"development_board\": {\"promicro\": {\"bootloader\": 1}}}",
		 "\"bootloader\" is a number"},
		{aliases, "{\"t/mid\": \"new\"}", "\"t/mid\" is a string"},
		{aliases, "{\"t/mid\": {\"target\": 1}}", "\"target\" is a number"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		file(deep, sound);
		file(parent, "{\"development_board\": \"promicro\"}");
		file(keymap, "{}");
		file(defaults, "{\"development_board\": {\"promicro\": {\"processor\": \"atmega32u4\"}}}");
		file(aliases, "{}");
		assert_is("t/mid:own", "atmega32u4", "caterina");
		file(wrong[i].file, wrong[i].text);
		assert_refused("t/mid:own", wrong[i].words);
		assert_memory_equal(why.text, wrong[i].file, strlen(wrong[i].file));
	}
}

static void names(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "/x", "../x", "x/", "x//y", "x:", "x:../y", "x:a/b"};
	file("keyboards/new/rev1/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}");
	file("data/mappings/keyboard_aliases.hjson", "{\n  // moved\n  \"old\": {\"target\": \"older\"},\n"
						     "  \"older\": {\"target\": \"new/rev1\"},\n}\n");
	assert_is("old", "atmega32u4", "caterina");
	assert_string_equal(keyboard.name, "new/rev1");
	assert_true(noted("is called"));
	file("keyboards/new/rules.mk", "DEFAULT_FOLDER = new/rev1\n");
	assert_is("new", "atmega32u4", "caterina");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_refused(bad[i], "is no name");
	assert_refused("a/b/c/d/e/f", "folders deep");
	assert_refused("nope", "there is no keyboard");
	file("keyboards/broken/keyboard.json", "{\n\"processor\": ?\n}");
	assert_refused("broken", "keyboards/broken/keyboard.json:2:");
	assert_int_equal(qmk_read("configs", "x", &keyboard, &why), -1);
	assert_non_null(strstr(why.text, "no QMK tree"));
}

/* ---- a release from a tree ------------------------------------------------------------------------ */

static char boot_path[320], app_path[320];
static struct release release;

static void write_hex(char path[320], const char *name, uint32_t addr, const uint8_t *bytes, size_t len)
{
	struct hex_image image;
	char *text;
	size_t size;
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, addr, bytes, len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(ihex_format(&image, 16, &text, &size, NULL), 0);
	snprintf(path, 320, "%s/%s", tree, name);
	scratch_write(path, text);
	free(text);
	hex_image_finish(&image);
}

/* A bootloader of `len` bytes at addr, taken for a released file if crc is not 0. */
static void write_boot(uint32_t addr, size_t len, uint32_t crc)
{
	uint8_t *bytes = calloc(1, len);
	bytes[0] = 1;
	if (crc != 0)
		steer_crc(bytes, len, len - 4, crc);
	write_hex(boot_path, "boot.hex", addr, bytes, len);
	free(bytes);
}

static int make(const char *name, bool with_boot, struct release_order order)
{
	order.configs = "configs";
	order.application = app_path;
	order.crystal_hz = 16000000;
	if (with_boot)
		order.bootloader = boot_path;
	write_hex(app_path, "app.hex", 0, (const uint8_t[]){1, 2, 3, 4}, 4);
	release_finish(&release);
	if (name != NULL && release_from_qmk(tree, name, true, &keyboard, &order, &why) != 0)
		return -1;
	return release_make(&order, &release, &why);
}

static void assert_made(const char *name, struct release_order order, const char fuses[3])
{
	if (make(name, true, order) != 0)
		fail_msg("%s", why.text);
	if (fuses != NULL)
		assert_memory_equal(release.fuses, fuses, 3);
}

static void assert_not_made(const char *name, bool with_boot, struct release_order order,
			    enum pogo_error_class kind, const char *phrase)
{
	if (make(name, with_boot, order) == 0)
		fail_msg("%s was made", name);
	if (strstr(why.text, phrase) == NULL)
		fail_msg("wanted \"%s\", got: %s", phrase, why.text);
	assert_int_equal(why.kind, kind);
}

static const struct release_order nothing;

static void keyboards_for_releases(void)
{
	file("keyboards/dfu/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"atmel-dfu\"}");
	file("keyboards/u2/keyboard.json", "{\"processor\": \"atmega32u2\", \"bootloader\": \"atmel-dfu\"}");
	file("keyboards/hid/keyboard.json", "{\"processor\": \"at90usb1286\", \"bootloader\": \"qmk-hid\"}");
	file("keyboards/hid/keymaps/big/rules.mk", "BOOTLOADER_SIZE = 8192\n");
	file("keyboards/ms/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"lufa-ms\"}");
	file("keyboards/ms/rules.mk", "BOOTLOADER_SIZE = 6144\n");
	file("keyboards/arm/keyboard.json", "{\"processor\": \"STM32F303\", \"bootloader\": \"stm32-dfu\"}");
	file("keyboards/own/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"custom\"}");
	file("keyboards/teensy/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"halfkay\"}");
	file("keyboards/cat/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}");
	file("keyboards/vusb/keyboard.json", "{\"processor\": \"atmega32a\", \"bootloader\": \"bootloadhid\"}");
}

static void the_right_file(void **state)
{
	(void)state;
	keyboards_for_releases();
	write_boot(0x7000, 4096, 0xBDE9FD0F); /* bootloader_atmega32u4_1.0.0.hex */
	assert_made("dfu", nothing, "\x5E\xD9\xF3");
	assert_non_null(release.file);
	assert_int_equal(release.boot_start, 0x7000);
	write_boot(0x7000, 0xFFA, 0x29F8FB18); /* Caterina-promicro16.hex */
	assert_not_made("dfu", true, nothing, POGO_NO, "but the board has \"atmel-dfu\": bootloader_atmega32u4_1.0.0.hex");
	write_boot(0x7000, 4096, 0);
	assert_made("dfu", nothing, "\x5E\xD9\xF3");
	assert_non_null(strstr(release.notes[0], "none of the released files"));
	assert_made("u2", nothing, "\x5E\xD9\xF4");
	assert_made("cat", nothing, NULL);
	const char *listed = strstr(release.notes[0], "released files of \"caterina\" (Caterina-promicro8.hex, ");
	assert_non_null(listed); /* the rest is counted */
	assert_non_null(strstr(listed, ", Caterina-A-Star.hex, boot part and 12 more)"));
	assert_not_made("dfu", true, (struct release_order){.part = "atmega16u4"}, POGO_NO, "--part atmega16u4");
	assert_not_made("dfu", true, (struct release_order){.fuses = "5E,D8,F3"}, POGO_NO, "BOOTRST is programmed");
	write_boot(0x7800, 2048, 0);
	assert_not_made("dfu", true, nothing, POGO_NO, "high fuse 0xDB would fit it");
	assert_not_made("teensy", true, nothing, POGO_NO, "outside the boot section");
	write_boot(0x7E00, 512, 0);
	assert_made("teensy", nothing, NULL);
	assert_false(release.has_fuses);
}

static void sizes_and_crystal(void **state)
{
	(void)state;
	keyboards_for_releases();
	write_boot(0x1F000, 2500, 0);
	assert_made("hid", nothing, "\x5E\xDB\xF3");
	write_boot(0x1E000, 2500, 0);
	assert_not_made("hid", true, nothing, POGO_NO, "BOOTSZ");
	assert_made("hid:big", nothing, "\x5E\xD9\xF3");
	write_boot(0x6800, 6144, 0);
	assert_made("ms", nothing, NULL);
	assert_int_equal(release.boot_start, 0x6800);
	write_boot(0x6000, 8192, 0);
	assert_not_made("ms", true, nothing, POGO_NO, "outside the boot section");
	write_boot(0x7000, 2448, 0x98429F89);
	assert_made("vusb", nothing, "\x0F\xD0\xFF");
	assert_int_equal(release.crystal_hz, 12000000);
	write_boot(0x7000, 4096, 0);
	assert_made("own", (struct release_order){.fuses = "FF,D8,FB"}, NULL);
	assert_true(noted("bootloader \"custom\" (keyboards/own/keyboard.json) has no file in configs/bootloaders"));
}

static void the_file_that_is_needed(void **state)
{
	(void)state;
	char found[320];
	keyboards_for_releases();
	assert_not_made("dfu", false, nothing, POGO_INPUT, "give --bootloader with bootloader_atmega32u4_1.0.0.hex");
	file("util/bootloader_atmega32u4_1.0.0.hex", "");
	snprintf(found, sizeof found, "%s/util/bootloader_atmega32u4_1.0.0.hex", tree);
	assert_not_made("dfu", false, nothing, POGO_INPUT, found);
	assert_not_made("u2", false, nothing, POGO_INPUT, "never published");
	assert_not_made("cat", false, nothing, POGO_INPUT, "Caterina-Leonardo.hex (with --boot-only) and 13 more");
	assert_not_made("hid:big", false, nothing, POGO_INPUT, "hid_big_bootloader.hex");
	assert_not_made("teensy", false, nothing, POGO_INPUT, "cannot be restored");
	assert_not_made("own", false, nothing, POGO_INPUT, "give its own file with --bootloader");
	assert_not_made("arm", true, nothing, POGO_INPUT, "processor \"STM32F303\"");
	file("keyboards/blue/keyboard.json", "{\"processor\": \"STM32F103\", \"bootloader\": \"stm32duino\"}");
	assert_not_made("blue", false, nothing, POGO_INPUT, "(stm32f103x8, stm32duino) needs its bootloader; give --bootloader "
							    "with generic_boot20_pc13.bin");
}

/* BOOTLOADER in rules.mk, which beats JSON, of an AVR and of an STM32. */
static void bootloaders_that_qmk_knows(void **state)
{
	(void)state;
	static const char *const avr[] = {"atmel-dfu", "bootloadhid", "caterina", "custom",  "halfkay",
					  "lufa-dfu",  "lufa-ms",     "qmk-dfu",  "qmk-hid", "usbasploader"};
	static const char *const arm[] = {"apm32-dfu", "at32-dfu",  "custom",  "gd32v-dfu",  "halfkay", "kiibohd",
					  "rp2040",    "stm32-dfu", "tinyuf2", "stm32duino", "uf2boot", "wb32-dfu"};
	static const struct {
		const char *keyboard, *name, *words;
	} wrong[] = {
		{"a", "Caterina", "\"a\" has a BOOTLOADER \"Caterina\" (keyboards/a/rules.mk), which QMK does not "
				  "build: it is called \"caterina\""},
		{"a", "bootloadHID", "called \"bootloadhid\""},
		{"a", "USBasp", "called \"usbasploader\""},
		{"a", "usbasp", "called \"usbasploader\""},
		{"a", "CUSTOM", "called \"custom\""},
		{"a", "unknown", "does not build for the atmega32u4; it knows atmel-dfu, bootloadhid, caterina, "
				 "custom, halfkay, lufa-dfu, lufa-ms, qmk-dfu, qmk-hid, usbasploader"},
		{"a", "md-boot", "it knows"},
		{"a", "micronucleus", "it knows"},
		{"a", "stm32duino", "for the atmega32u4; it knows"},
		{"a", "caterina x", "it knows"},
		{"s", "caterina", "for the stm32f103x8; it knows apm32-dfu, "},
		{"s", "STM32duino", "called \"stm32duino\""},
		{"s", "USBasp", "uf2boot, wb32-dfu"},
		{"s", "md-boot", "it knows"},
	};
	char path[64], text[64];
	file("keyboards/a/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"caterina\"}");
	file("keyboards/s/keyboard.json", "{\"processor\": \"STM32F103\", \"bootloader\": \"stm32duino\"}");
	for (size_t i = 0; i < sizeof avr / sizeof avr[0] + sizeof arm / sizeof arm[0]; i++) {
		bool is_avr = i < sizeof avr / sizeof avr[0];
		struct release_order order = {.configs = "configs", .bootloader = "given"};
		snprintf(path, sizeof path, "keyboards/%s/rules.mk", is_avr ? "a" : "s");
		snprintf(text, sizeof text, "BOOTLOADER = %s\n", is_avr ? avr[i] : arm[i - sizeof avr / sizeof avr[0]]);
		file(path, text);
		if (release_from_qmk(tree, is_avr ? "a" : "s", true, &keyboard, &order, &why) != 0)
			fail_msg("%s: %s", text, why.text);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct release_order order = {.configs = "configs", .bootloader = "given"};
		snprintf(path, sizeof path, "keyboards/%s/rules.mk", wrong[i].keyboard);
		snprintf(text, sizeof text, "BOOTLOADER = %s\n", wrong[i].name);
		file(path, text);
		if (release_from_qmk(tree, wrong[i].keyboard, true, &keyboard, &order, &why) == 0)
			fail_msg("%s was accepted", wrong[i].name);
		assert_int_equal(why.kind, POGO_INPUT);
		if (strstr(why.text, wrong[i].words) == NULL)
			fail_msg("wanted \"%s\", got: %s", wrong[i].words, why.text);
	}
}

/* A changed QMK's own name counts where configs/bootloaders has it. */
static void a_bootloader_of_ones_own(void **state)
{
	(void)state;
	char own[300], parts[320], known[PATH_MAX];
	struct release_order order = {.configs = own, .bootloader = "given"};
	file("keyboards/a/keyboard.json", "{\"processor\": \"atmega32u4\", \"bootloader\": \"ours\"}");
	file("own/bootloaders/ours.cfg", "name = \"ours\";\ntitle = \"Ours\";\nreset = \"boot\";\n"
					 "parts = ({ part = \"atmega32u4\"; section = 4096; "
					 "fuses = [ 0xFF, 0xD8, 0xFB ]; });\n");
	snprintf(own, sizeof own, "%s/own", tree);
	snprintf(parts, sizeof parts, "%s/own/parts", tree);
	assert_non_null(realpath("configs/parts", known));
	assert_int_equal(symlink(known, parts), 0);
	if (release_from_qmk(tree, "a", true, &keyboard, &order, &why) != 0)
		fail_msg("%s", why.text);
	assert_string_equal(order.family, "ours");
}

/* A combined file: an example program, filler, and the bootloader. */
static void boot_only(void **state)
{
	(void)state;
	enum { LEN = 0x7FDA };
	uint8_t *bytes = malloc(LEN);
	const struct release_order only = {.part = "atmega32u4", .boot_only = true};
	memset(bytes, 0xFF, LEN);
	memset(bytes, 0x11, 0x12CC);
	memset(bytes + 0x7000, 0x22, LEN - 0x7000);
	steer_crc(bytes + 0x7000, LEN - 0x7000, LEN - 0x7000 - 4, 0x6793173C);
	steer_crc(bytes, LEN, 0x100, 0x55D28229); /* Caterina-Leonardo.hex */
	write_hex(boot_path, "boot.hex", 0, bytes, LEN);
	assert_not_made(NULL, true, (struct release_order){.part = "atmega32u4"}, POGO_NO, "--boot-only");
	assert_made(NULL, only, "\xFF\xD8\xFB");
	assert_string_equal(release.file->title, "Arduino Leonardo");
	assert_int_equal(release.inputs[0].image.segments[0].addr, 0x7000);
	assert_int_equal(hex_image_bytes(&release.image), 4 + LEN - 0x7000);
	bytes[0x7100] ^= 1; /* not known any more: the fuses must tell */
	write_hex(boot_path, "boot.hex", 0, bytes, LEN);
	assert_not_made(NULL, true, only, POGO_INPUT, "must come from --fuses");
	struct release_order fused = only;
	fused.fuses = "FF,D8,FB";
	assert_made(NULL, fused, "\xFF\xD8\xFB");
	assert_non_null(strstr(release.notes[0], "28672 bytes below it are left out"));
	write_hex(boot_path, "boot.hex", 0, bytes, 0x1000);
	assert_not_made(NULL, true, fused, POGO_NO, "has nothing from 0x07000 on");
	free(bytes);
	release_finish(&release);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tolerant_json),   TEST(json_alone), TEST(revisions_and_parents),
		TEST(development_boards), TEST(rules_beat_json), TEST(keymaps),
		TEST(wrong_kinds),     TEST(names), TEST(the_right_file), TEST(sizes_and_crystal),
		TEST(the_file_that_is_needed), TEST(bootloaders_that_qmk_knows),
		TEST(a_bootloader_of_ones_own), TEST(boot_only),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	release_finish(&release);
	return failed;
}
