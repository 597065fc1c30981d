#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hextools/bootloader.h"
#include "hextools/outfile.h"
#include "hextools/part.h"
#include "tests/unit/scratch.h"

static struct part *load(const char *name)
{
	struct part *part;
	struct pogo_error err;
	if (part_load("configs", name, &part, &err) != 0)
		fail_msg("%s", err.text);
	return part;
}

/* Signature, flash, page, EEPROM and its page, fuse bytes: the data sheets' numbers once more. */
static void the_first_five(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t signature[3];
		uint32_t flash, page, eeprom, eeprom_page, fuses, boot;
	} wanted[] = {
		{"atmega32u4", {0x1E, 0x95, 0x87}, 32768, 128, 1024, 4, 3, 0x7000},
		{"atmega16u4", {0x1E, 0x94, 0x88}, 16384, 128, 512, 4, 3, 0x3000},
		{"atmega32a", {0x1E, 0x95, 0x02}, 32768, 128, 1024, 4, 2, 0x7000},
		{"atmega328p", {0x1E, 0x95, 0x0F}, 32768, 128, 1024, 4, 3, 0x7000},
		{"at90usb1286", {0x1E, 0x97, 0x82}, 131072, 256, 4096, 8, 3, 0x1E000},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		struct part *part = load(wanted[i].name);
		assert_memory_equal(part->signature, wanted[i].signature, 3);
		assert_int_equal(part->flash_bytes, wanted[i].flash);
		assert_int_equal(part->flash_page, wanted[i].page);
		assert_int_equal(part->eeprom_bytes, wanted[i].eeprom);
		assert_int_equal(part->eeprom_page, wanted[i].eeprom_page);
		assert_int_equal(part->fuse_count, wanted[i].fuses);
		assert_int_equal(part->boot_start[0], wanted[i].boot);
		assert_int_equal(part->lock_mask, 0x3F);
		assert_false(part->confirmed);
		free(part);
	}
	struct part *old = load("atmega32a");
	assert_false(old->rdy_bsy_poll);
	assert_false(old->eeprom_page_isp);
	assert_null(part_bit(old, "HWBE"));
	free(old);
}

static void every_file_loads(void **state)
{
	(void)state;
	DIR *folder = opendir("configs/parts");
	unsigned count = 0;
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char name[64];
		if (strstr(entry->d_name, ".cfg") == NULL)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(entry->d_name, "."), entry->d_name);
		struct part *part = load(name);
		if (strcmp(part->family, "avr") == 0)
			assert_non_null(part_bit(part, "SPIEN"));
		free(part);
		count++;
	}
	closedir(folder);
	assert_true(count >= 5);
}

static void every_bootloader_loads(void **state)
{
	(void)state;
	struct bootloader_set set;
	struct pogo_error err;
	if (bootloader_load_all("configs", &set, &err) != 0)
		fail_msg("%s", err.text);
	static const char *const names[] = {"atmel-dfu",    "caterina", "bootloadhid",
					    "usbasploader", "halfkay",	"qmk-dfu"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_non_null(bootloader_find(&set, names[i]));
	const struct bootloader *caterina = bootloader_find(&set, "caterina");
	const struct bootloader_file *micro = bootloader_file(caterina, 0x29F8FB18);
	assert_non_null(micro);
	assert_string_equal(micro->usb, "1B4F:9205");
	assert_int_equal(bootloader_fuses(caterina, micro, "atmega32u4")[FUSE_HIGH], 0xD8);
	const struct bootloader *dfu = bootloader_find(&set, "atmel-dfu");
	assert_int_equal(bootloader_part(dfu, "at90usb1286")->section_start, 0x1E000);
	assert_null(bootloader_fuses(bootloader_find(&set, "halfkay"), NULL, "atmega32u4"));
	/* One image names one file: no CRC in two families. */
	for (size_t i = 0; i < set.count; i++)
		for (size_t f = 0; f < set.family[i].file_count; f++)
			for (size_t k = i + 1; k < set.count; k++)
				assert_null(bootloader_file(&set.family[k], set.family[i].files[f].crc32));
	bootloader_set_finish(&set);
}

static void unknown_names(void **state)
{
	(void)state;
	struct part *part;
	struct pogo_error err;
	assert_int_equal(part_load("configs", "atmega9999", &part, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "at90usb1286, atmega16u4, atmega328p"));
	assert_int_equal(part_load("configs", "../parts/atmega32u4", &part, &err), -1);
	assert_int_equal(part_load("configs", "", &part, &err), -1);
}

/* Each change to a good file must be refused, with its line and a phrase. */
static void contradictions(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *phrase;
	} change[] = {
		{"name = \"atmega32u4\"", "name = \"atmega16u4\"", "calls itself"},
		{"family =", "familly =", "unknown key \"familly\""},
		{"page = 128;", "page = 100;", "do not divide"},
		{"bytes = 32768;", "bytes = 32000;", "does not end"},
		{"start = 0x7800;", "start = 0x7900;", "does not end with the flash"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF ]", "3 are needed"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF, 0x1F ]", "have no name"},
		{"mask = [ 0xFF, 0xFF, 0x0F ]", "mask = [ 0xFF, 0xFF, 0x07 ]", "outside the fuse mask"},
		{"must_be_0 = [ 0x00, 0x20, 0x00 ]", "must_be_0 = [ 0x00, 0x80, 0x00 ]", "end ISP"},
		{"fuse = \"low\";  lsb = 6;", "fuse = \"low\";  lsb = 5;", "overlaps another field"},
		{"name = \"SUT\"", "name = \"CKSEL\"", "twice"},
		{"fuse = \"ext\";  lsb = 3;", "fuse = \"fourth\"; lsb = 3;", "low, high, ext"},
		{"source = \"crystal\"", "source = \"quartz\"", "quartz"},
		{"cksel = [ 4, 7 ]", "cksel = [ 4, 8 ]", "overlaps another clock"},
		{"cksel = [ 8, 15 ]", "cksel = [ 8, 16 ]", "4 bit field"},
		{"hz = 8000000;", "", "needs its \"hz\""},
		{"signature = [ 0x1E, 0x95, 0x87 ]", "signature = [ 0x1E, 0x95, 300 ]", "300"},
		{"flash_us = 4500;", "", "\"flash_us\" is missing"},
		{"name = \"BOOTSZ\"", "name = \"BOTSZ\"", "BOOTSZ"},
	};
	char *good, folder[256], parts[280], file[320];
	size_t len;
	assert_int_equal(infile_read("configs/parts/atmega32u4.cfg", &good, &len, NULL), 0);
	scratch_make(folder);
	snprintf(parts, sizeof parts, "%s/parts", folder);
	snprintf(file, sizeof file, "%s/atmega32u4.cfg", parts);
	assert_int_equal(mkdir(parts, 0700), 0);
	for (size_t i = 0; i < sizeof change / sizeof change[0]; i++) {
		char *text = malloc(len + 100), *at = strstr(good, change[i].from);
		struct part *part;
		struct pogo_error err;
		assert_non_null(at);
		sprintf(text, "%.*s%s%s", (int)(at - good), good, change[i].to,
			at + strlen(change[i].from));
		scratch_write(file, text);
		free(text);
		assert_int_equal(part_load(folder, "atmega32u4", &part, &err), -1);
		assert_int_equal(err.kind, POGO_INPUT);
		if (strstr(err.text, change[i].phrase) == NULL || strstr(err.text, file) == NULL)
			fail_msg("wanted \"%s\", got: %s", change[i].phrase, err.text);
	}
	free(good);
	scratch_remove(parts);
	scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_five),
		cmocka_unit_test(every_file_loads),
		cmocka_unit_test(every_bootloader_loads),
		cmocka_unit_test(unknown_names),
		cmocka_unit_test(contradictions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
