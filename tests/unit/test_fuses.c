#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/fuses.h"

static struct part *u4, *a32, *m328;

static int setup(void **state)
{
	(void)state;
	return part_load("configs", "atmega32u4", &u4, NULL) != 0 ||
	       part_load("configs", "atmega32a", &a32, NULL) != 0 ||
	       part_load("configs", "atmega328p", &m328, NULL) != 0;
}

static int teardown(void **state)
{
	(void)state;
	free(u4);
	free(a32);
	free(m328);
	return 0;
}

static void parse(void **state)
{
	(void)state;
	static const char *const good[] = {"0xFF,0xD8,0xCB", "ff,d8,cb", "FF, D8, CB", "0XfF,D8,0xCB"};
	static const char *const bad[] = {"",	      "FF",	   "FF,D8",	  "FF,D8,CB,00", "FF,D8,",
					  "FF,D8,CBx", "FF,D8,1FF", "FF;D8;CB",	  "FF,,CB",	 "0x,D8,CB"};
	uint8_t fuses[PART_FUSES];
	struct pogo_error err;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(fuses_parse(u4, good[i], fuses, &err), 0);
		assert_memory_equal(fuses, "\xFF\xD8\xCB", 3);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (fuses_parse(u4, bad[i], fuses, &err) == 0)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_equal(err.kind, POGO_INPUT);
	}
	assert_int_equal(fuses_parse(a32, "1F,C0", fuses, &err), 0);
	assert_memory_equal(fuses, "\x1F\xC0\xFF", 3);
	assert_int_equal(fuses_parse(a32, "1F,C0,FF", fuses, &err), -1);
}

static uint32_t hz(const struct part *part, uint8_t low, uint32_t crystal)
{
	const uint8_t fuses[PART_FUSES] = {low, 0xD9, 0xFF};
	return fuses_cpu_hz(part, fuses, crystal);
}

/* The clock of the low fuses that are met in the field. */
static void clocks(void **state)
{
	(void)state;
	assert_int_equal(hz(u4, 0x5E, 16000000), 2000000);
	assert_int_equal(hz(u4, 0x5E, 8000000), 1000000);
	assert_int_equal(hz(u4, 0xFF, 16000000), 16000000);
	assert_int_equal(hz(u4, 0xDE, 16000000), 16000000);
	assert_int_equal(hz(u4, 0x52, 16000000), 1000000);
	assert_int_equal(hz(u4, 0xD2, 0), 8000000);
	assert_int_equal(hz(u4, 0xFF, 0), 0);
	assert_int_equal(hz(u4, 0xF1, 16000000), 0); /* reserved code */
	assert_int_equal(hz(u4, 0xF4, 32768), 32768);
	assert_int_equal(hz(u4, 0xF4, 16000000), 0);
	assert_int_equal(hz(a32, 0xE1, 0), 1000000);
	assert_int_equal(hz(a32, 0x1F, 12000000), 12000000);
	assert_int_equal(hz(m328, 0x62, 16000000), 1000000);
	assert_int_equal(hz(m328, 0xD7, 16000000), 16000000);
	assert_int_equal(hz(m328, 0xE3, 0), 128000);
}

static void sck(void **state)
{
	(void)state;
	assert_int_equal(fuses_sck_limit(0), 0);
	assert_in_range(fuses_sck_limit(1000000), 249000, 249999);
	assert_in_range(fuses_sck_limit(2000000), 499000, 499999);
	assert_in_range(fuses_sck_limit(8000000), 1999000, 1999999);
	assert_in_range(fuses_sck_limit(12000000), 1999000, 1999999);
	assert_in_range(fuses_sck_limit(16000000), 2666000, 2666666);
}

static void boot_sections(void **state)
{
	(void)state;
	static const struct {
		uint8_t high;
		uint32_t start;
		bool reset;
	} wanted[] = {{0xD8, 0x7000, true},  {0xD9, 0x7000, false}, {0xDA, 0x7800, true},
		      {0xDD, 0x7C00, false}, {0xDE, 0x7E00, true},  {0xDF, 0x7E00, false}};
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		const uint8_t fuses[PART_FUSES] = {0xFF, wanted[i].high, 0xFB};
		uint32_t start, bytes;
		assert_true(fuses_boot_section(u4, fuses, &start, &bytes));
		assert_int_equal(start, wanted[i].start);
		assert_int_equal(start + bytes, 0x8000);
		assert_int_equal(fuses_boot_reset(u4, fuses), wanted[i].reset);
	}
}

static void dangers(void **state)
{
	(void)state;
	static const uint8_t good[] = {0xFF, 0xD8, 0xFB};
	struct pogo_error err;
	const struct {
		const struct part *part;
		uint8_t fuses[PART_FUSES];
		uint32_t crystal;
		const char *phrase;
	} bad[] = {
		{u4, {0xFF, 0xF8, 0xFB}, 16000000, "SPIEN"},
		{m328, {0xD7, 0x99, 0xFC}, 16000000, "DWEN"},
		{m328, {0xD7, 0x59, 0xFC}, 16000000, "RSTDISBL"},
		{u4, {0xF0, 0xD8, 0xFB}, 16000000, "external clock"},
		{u4, {0xF1, 0xD8, 0xFB}, 16000000, "reserved"},
		{u4, {0xFF, 0xD8, 0xFB}, 0, "crystal"},
		{u4, {0xF4, 0xD8, 0xFB}, 16000000, "32 kHz"},
		{u4, {0xFC, 0xD8, 0xFB}, 16000000, "may never start"}, /* made for 3 to 8 MHz */
		{m328, {0xEF, 0xD9, 0xFC}, 4000000, "may never start"},
	};
	assert_int_equal(fuses_check_safe(u4, good, 16000000, false, &err), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(fuses_check_safe(bad[i].part, bad[i].fuses, bad[i].crystal, false, &err), -1);
		assert_int_equal(err.kind, POGO_NO);
		if (strstr(err.text, bad[i].phrase) == NULL)
			fail_msg("wanted \"%s\", got: %s", bad[i].phrase, err.text);
	}
	static const uint8_t external[] = {0xF0, 0xD8, 0xFB};
	assert_int_equal(fuses_check_safe(u4, external, 8000000, true, &err), 0);
	assert_int_equal(fuses_check_safe(u4, external, 0, true, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse),
		cmocka_unit_test(clocks),
		cmocka_unit_test(sck),
		cmocka_unit_test(boot_sections),
		cmocka_unit_test(dangers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
