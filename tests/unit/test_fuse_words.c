#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/fuse_words.h"

static struct part *load(const char *name)
{
	struct part *part;
	struct pogo_error err;
	if (part_load("configs", name, &part, &err) != 0)
		fail_msg("%s", err.text);
	return part;
}

static struct fuse_report report;

static const struct fuse_report *describe(const struct part *part, uint8_t low, uint8_t high,
					  uint8_t ext, uint32_t crystal)
{
	const uint8_t fuses[PART_FUSES] = {low, high, ext};
	fuse_report_make(part, fuses, crystal, false, &report);
	return &report;
}

static const char *word(const char *name)
{
	for (size_t i = 0; i < report.word_count; i++)
		if (strcmp(report.words[i].bit->name, name) == 0)
			return report.words[i].text;
	fail_msg("no field %s", name);
	return "";
}

static bool said(enum fuse_weight weight, const char *phrase)
{
	for (size_t i = 0; i < report.remark_count; i++)
		if (report.remarks[i].weight == weight && strstr(report.remarks[i].text, phrase) != NULL)
			return true;
	return false;
}

/* Values met in the field, as their data sheets put them. */
static void clocks_in_words(void **state)
{
	(void)state;
	static const struct {
		const char *part;
		uint8_t low, high, ext;
		const char *clock, *startup;
		uint32_t hz;
	} wanted[] = {
		{"atmega32u4", 0x5E, 0xD9, 0xF3, "8 MHz to 16 MHz", "258 CK + 65 ms", 2000000},
		{"atmega32u4", 0xFF, 0xD8, 0xFB, "8 MHz to 16 MHz", "16K CK + 65 ms", 16000000},
		{"atmega32u4", 0x52, 0x99, 0xFB, "internal RC 8 MHz", "6 CK + 4.1 ms", 1000000},
		{"atmega32u4", 0xE5, 0xD9, 0xFB, "32 kHz crystal", "32K CK + 65 ms", 0},
		{"atmega328p", 0xD7, 0xD0, 0xFC, "full swing", "16K CK + 14 CK", 16000000},
		{"atmega328p", 0x62, 0xD9, 0xFF, "internal RC 8 MHz", "6 CK + 14 CK + 65 ms", 1000000},
		{"atmega32a", 0x0F, 0xD0, 0xFF, "3 MHz to 8 MHz", "1K CK + 65 ms", 16000000},
		{"atmega32a", 0x1F, 0xC0, 0xFF, "3 MHz to 16 MHz", "16K CK", 16000000},
		{"atmega8a", 0xE1, 0xD9, 0xFF, "internal RC 1 MHz", "6 CK + 65 ms", 1000000},
		{"attiny85", 0xE1, 0xDD, 0xFE, "PLL 16 MHz", "1K CK + 14 CK + 64 ms", 16000000},
		{"atmega32u4", 0xC1, 0xD9, 0xF3, "reserved", "", 0},
		{"attiny85", 0xD6, 0xDD, 0xFE, "32 kHz crystal", "1K CK + 14 CK + 64 ms", 0},
	};
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		struct part *part = load(wanted[i].part);
		describe(part, wanted[i].low, wanted[i].high, wanted[i].ext, 16000000);
		if (strstr(report.clock, wanted[i].clock) == NULL)
			fail_msg("%zu: %s", i, report.clock);
		assert_string_equal(report.startup, wanted[i].startup);
		assert_int_equal(report.cpu_hz, wanted[i].hz);
		free(part);
	}
}

static void fields_in_words(void **state)
{
	(void)state;
	struct part *u4 = load("atmega32u4"), *m168 = load("atmega168p"), *a32 = load("atmega32a");
	describe(u4, 0xFF, 0xD0, 0xF8, 16000000);
	assert_non_null(strstr(word("BODLEVEL"), "4.3 V"));
	assert_non_null(strstr(word("BOOTSZ"), "4096 bytes from 0x07000"));
	assert_non_null(strstr(word("EESAVE"), "keeps the EEPROM"));
	assert_true(report.eeprom_kept);
	assert_true(report.boot_reset);
	assert_false(report.dangerous);
	assert_true(said(FUSE_NOTE, "EESAVE"));
	describe(m168, 0xFF, 0xDD, 0xFA, 16000000); /* boot fuses in the extended byte */
	assert_int_equal(report.boot_bytes, 1024);
	assert_true(report.boot_reset);
	assert_non_null(strstr(word("BODLEVEL"), "2.7 V"));
	describe(m168, 0xFF, 0xD9, 0xFA, 16000000);
	assert_true(said(FUSE_WARNING, "BODLEVEL 1 is reserved"));
	describe(a32, 0x1F, 0xC0, 0xFF, 16000000);
	assert_non_null(strstr(word("BODLEVEL"), "4.0 V"));
	describe(u4, 0x5E, 0x99, 0xC3, 16000000);
	assert_true(said(FUSE_WARNING, "PF4 to PF7"));
	assert_true(said(FUSE_NOTE, "0xC3 is 0xF3"));
	assert_true(said(FUSE_NOTE, "resonators"));
	describe(u4, 0xC1, 0xD9, 0xF3, 16000000); /* CKSEL 1 is reserved */
	assert_string_equal(word("SUT"), "start-up unknown");
	/* Every field of every word has a text. */
	for (size_t i = 0; i < report.word_count; i++)
		assert_true(report.words[i].text[0] != '\0');
	free(u4);
	free(m168);
	free(a32);
}

/* One high fuse, three families. */
static void swapped_bits_are_dangers(void **state)
{
	(void)state;
	static const struct {
		const char *part;
		const char *bit;
	} lost[] = {{"atmega8u2", "RSTDISBL"},	{"atmega16u2", "RSTDISBL"}, {"atmega32u2", "RSTDISBL"},
		    {"at90usb82", "RSTDISBL"},	{"at90usb162", "RSTDISBL"}, {"atmega328p", "DWEN"},
		    {"atmega328", "DWEN"},	{"atmega168p", "DWEN"},	    {"attiny85", "DWEN"}},
	  fine[] = {{"atmega32u4", ""}, {"at90usb1286", ""}, {"atmega32a", ""}, {"atmega8a", ""}};
	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		struct part *part = load(lost[i].part);
		memcpy(report.fuses, part->fuse_factory, PART_FUSES);
		describe(part, part->fuse_factory[0], 0x99, part->fuse_factory[2], 16000000);
		if (!report.dangerous || !said(FUSE_DANGER, lost[i].bit))
			fail_msg("%s survives 0x99", lost[i].part);
		assert_true(said(FUSE_NOTE, "other way round"));
		free(part);
	}
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		struct part *part = load(fine[i].part);
		describe(part, part->fuse_factory[0], 0x99, part->fuse_factory[2], 16000000);
		assert_false(report.dangerous);
		free(part);
	}
}

/* Two dangers at once are both said. */
static void every_danger_is_said(void **state)
{
	(void)state;
	struct part *part = load("atmega328p");
	describe(part, 0xE0, 0x79, 0xFF, 16000000);
	assert_true(said(FUSE_DANGER, "RSTDISBL"));
	assert_true(said(FUSE_DANGER, "external clock"));
	describe(part, 0xF7, 0xF9, 0xFF, 0);
	assert_true(said(FUSE_DANGER, "SPIEN"));
	assert_true(said(FUSE_DANGER, "crystal"));
	describe(part, 0xF8, 0xD9, 0xFF, 16000000);
	assert_true(said(FUSE_DANGER, "400000 to 900000 Hz"));
	assert_true(report.dangerous);
	free(part);
}

static void the_guide_is_judged(void **state)
{
	(void)state;
	struct bootloader_set set;
	struct pogo_error err;
	assert_int_equal(bootloader_load_all("configs", &set, &err), 0);
	struct part *a32 = load("atmega32a"), *u2 = load("atmega32u2"), *big = load("at90usb1286");
	const struct bootloader *hid = bootloader_find(&set, "bootloadhid"),
				*dfu = bootloader_find(&set, "atmel-dfu"),
				*qmk = bootloader_find(&set, "qmk-hid");
	fuse_report_make(a32, bootloader_fuses(hid, NULL, "atmega32a"), 12000000, false, &report);
	fuse_report_bootloader(&report, hid, bootloader_part(hid, "atmega32a"));
	assert_true(said(FUSE_WARNING, "CKOPT"));
	assert_true(said(FUSE_NOTE, "0xC0 is right"));
	fuse_report_make(u2, bootloader_fuses(dfu, NULL, "atmega32u2"), 16000000, false, &report);
	fuse_report_bootloader(&report, dfu, bootloader_part(dfu, "atmega32u2"));
	assert_false(report.dangerous);
	assert_true(said(FUSE_NOTE, "for ever"));
	fuse_report_make(big, (const uint8_t[]){0x5E, 0xD9, 0xF3}, 16000000, false, &report);
	fuse_report_bootloader(&report, qmk, bootloader_part(qmk, "at90usb1286"));
	assert_true(said(FUSE_WARNING, "needs a boot section of 4096 bytes, BOOTSZ selects 8192"));
	fuse_report_make(big, (const uint8_t[]){0x5E, 0xDA, 0xF3}, 16000000, false, &report);
	fuse_report_bootloader(&report, qmk, bootloader_part(qmk, "at90usb1286"));
	assert_true(said(FUSE_WARNING, "leave BOOTRST unprogrammed"));
	bootloader_set_finish(&set);
	free(a32);
	free(u2);
	free(big);
}

static void the_other_way(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint8_t low, high, ext;
	} good[] = {{"BOOTRST=0", 0xFF, 0xFE, 0xFF},	       {"BOOTRST=programmed", 0xFF, 0xFE, 0xFF},
		    {"EESAVE=unprogrammed", 0xFF, 0xFF, 0xFF}, {"BOOTSZ=0b10", 0xFF, 0xFD, 0xFF},
		    {"CKSEL=0xE", 0xFE, 0xFF, 0xFF},	       {"BODLEVEL=3", 0xFF, 0xFF, 0xFB}};
	static const char *const bad[] = {"BOOTRST",	"BOOTRST=",    "BOOTRST=2", "BOOTSZ=4",	   "BOOTSZ=0b",
					  "BOOTSZ=-1",	"CKSEL=0b102", "DWEN=0",    "=1",	   "BOOTSZ=programmed",
					  "CKSEL=1 0", "bootrst=0",   "CKSEL=99999999999999999999", ""};
	struct part *part = load("atmega32u4");
	struct pogo_error err;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		uint8_t fuses[PART_FUSES] = {0xFF, 0xFF, 0xFF};
		if (fuse_set(part, good[i].text, fuses, &err) != 0)
			fail_msg("%s", err.text);
		assert_memory_equal(fuses, ((uint8_t[]){good[i].low, good[i].high, good[i].ext}), 3);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t fuses[PART_FUSES] = {0xA5, 0xA5, 0xA5};
		if (fuse_set(part, bad[i], fuses, &err) == 0)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_equal(err.kind, POGO_INPUT);
		assert_memory_equal(fuses, "\xA5\xA5\xA5", 3);
	}
	assert_int_equal(fuse_set(part, "DWEN=0", (uint8_t[]){0, 0, 0}, &err), -1);
	assert_non_null(strstr(err.text, "it has CKSEL"));
	free(part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_in_words),
		cmocka_unit_test(fields_in_words),
		cmocka_unit_test(swapped_bits_are_dangers),
		cmocka_unit_test(every_danger_is_said),
		cmocka_unit_test(the_guide_is_judged),
		cmocka_unit_test(the_other_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
