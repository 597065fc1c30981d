#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "station/chip/chip.h"
#include "station/chip/stm32f1_make.h"
#include "station/programmer/programmer.h"
#include "tests/unit/fake_stlink.h"

enum { BASE = 0x08000000 };

struct rig {
	struct fake_stlink *dongle;
	struct f1 *f1; /* the chip of it */
	struct part part;
	struct recipe recipe;
	struct chip chip;
	struct fault fault;
	atomic_bool stop;
	uint32_t reported, total;
};

static deadline_t soon(void)
{
	return deadline_in_ms(30000);
}

static void on_report(void *context, uint32_t done, uint32_t total)
{
	struct rig *rig = context;

	assert_true(done >= rig->reported || done == 0);
	rig->reported = done;
	rig->total = total;
}

static void add(struct rig *rig, uint32_t address, uint32_t len, unsigned seed)
{
	uint8_t *bytes = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((i * 31 + i / 251 + seed) * 17);
	assert_int_equal(hex_image_add(&rig->recipe.image, address, bytes, len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	free(bytes);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof *rig);
	struct usb_identity identity = {.vendor = 0x0483, .product = 0x3748, .speed = 2};
	struct programmer *programmer = NULL;

	rig->dongle = fs_create();
	rig->f1 = &rig->dongle->chip;
	rig->part = (struct part){.name = "stm32f103x8",
	                          .title = "STM32F103x8",
	                          .family = "stm32f1",
	                          .device_id = 0x410,
	                          .flash_start = BASE,
	                          .flash_bytes = 65536,
	                          .sram_start = 0x20000000,
	                          .sram_bytes = F1_SRAM,
	                          .flash_page = 1024,
	                          .twd_flash_us = 70,
	                          .twd_erase_us = 40000,
	                          .twd_fuse_us = 70,
	                          .twd_page_erase_us = 40000};
	rig->recipe.part = &rig->part;
	rig->recipe.full_readback = true;
	hex_image_init(&rig->recipe.image);
	assert_int_equal(programmer_stlink.open(&rig->dongle->base, &identity, &programmer, soon(), &rig->fault), 0);
	chip_init(&rig->chip, &chip_stm32f1, &rig->recipe);
	rig->chip.programmer = programmer;
	rig->chip.progress = (struct chip_progress){on_report, rig, &rig->stop};
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	chip_stm32f1.detach(&rig->chip);
	rig->chip.programmer->driver->close(rig->chip.programmer);
	hex_image_finish(&rig->recipe.image);
	fs_destroy(rig->dongle);
	free(rig);
	return 0;
}

#define STEP(rig, name) chip_stm32f1.name(&(rig)->chip, soon(), &(rig)->fault)
#define GOOD(rig, call)                                                                                        \
	do {                                                                                                   \
		int result_ = (call);                                                                          \
		if (result_ != 0)                                                                              \
			print_error("%s\n", (rig)->fault.text);                                                \
		assert_int_equal(result_, 0);                                                                  \
	} while (0)

static int program(struct rig *rig)
{
	return chip_stm32f1.program(&rig->chip, &rig->recipe.image, soon(), &rig->fault);
}

static int verify(struct rig *rig)
{
	return chip_stm32f1.verify(&rig->chip, &rig->recipe.image, soon(), &rig->fault);
}

/* Up to the step before programming. */
static void begin(struct rig *rig)
{
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	GOOD(rig, STEP(rig, erase));
	GOOD(rig, STEP(rig, clock));
}

static void finish(struct rig *rig)
{
	GOOD(rig, STEP(rig, configure));
	GOOD(rig, STEP(rig, lock));
}

static void assert_flash_is_image(struct rig *rig)
{
	uint8_t *wanted = malloc(F1_FLASH);

	hex_image_read(&rig->recipe.image, BASE, wanted, F1_FLASH, 0xFF);
	assert_memory_equal(rig->f1->flash, wanted, F1_FLASH);
	free(wanted);
}

/* ---- a board's way */

static void test_whole_way(void **state)
{
	struct rig *rig = *state;
	struct chip_facts *facts = &rig->chip.facts;

	memset(rig->f1->flash, 0x5A, 4096); /* an earlier life */
	add(rig, BASE, 9000, 1);
	add(rig, BASE + 0x4000, 3001, 2); /* an odd end, and a hole before it */
	begin(rig);
	assert_int_equal(facts->stm32f1.device_id, 0x20036410);
	assert_int_equal(facts->stm32f1.port_id, 0x1BA01477);
	assert_string_equal(facts->stm32f1.make->title, "STM32F103");
	assert_int_equal(facts->stm32f1.flash_kib, 64);
	assert_memory_equal(facts->silicon_id, "unique-id-01", 12);
	assert_true(facts->silicon_id_unique);
	assert_int_equal(facts->sck_first_hz, 1800000);
	assert_int_equal(facts->sck_fast_hz, 4000000);
	assert_int_equal(rig->f1->mass_erases, 1);
	assert_int_equal(rig->f1->page_erases, 0);
	GOOD(rig, program(rig));
	assert_int_equal(rig->reported, 12001);
	assert_int_equal(rig->total, 12001);
	assert_flash_is_image(rig);
	assert_int_equal(rig->f1->cr & 0x80, 0x80); /* locked again */
	assert_true(rig->f1->watchdog_feeds > 0);
	GOOD(rig, verify(rig));
	assert_int_equal(facts->bytes_verified, 9 * 1024 + 3 * 1024);
	finish(rig);
	assert_false(rig->f1->debug); /* runs as without a debugger */
	assert_int_equal(rig->f1->option_erases, 0);
	GOOD(rig, STEP(rig, attach)); /* still there */
	rig->f1->absent = true;
	assert_int_equal(STEP(rig, attach), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	assert_false(rig->chip.attached);
}

static void test_many_blocks(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 16384, 7);
	begin(rig);
	int64_t from = clock_now();
	GOOD(rig, program(rig));
	assert_flash_is_image(rig);
	/* 8192 half-words of 52.5 us, which the driver grants them: nothing beside may cost much. */
	assert_in_range((clock_now() - from) / 1000000, 300, 2000);
}

static void test_blank_parts_are_not_sent(void **state)
{
	struct rig *rig = *state;
	uint8_t blank[8192];

	memset(blank, 0xFF, sizeof blank);
	add(rig, BASE, 600, 1);
	assert_int_equal(
	        hex_image_add(&rig->recipe.image, BASE + 600, blank, sizeof blank, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	add(rig, BASE + 600 + 8192, 2, 9);
	begin(rig);
	GOOD(rig, program(rig));
	assert_flash_is_image(rig);
	assert_in_range(rig->chip.facts.bytes_written, 602, 610);
	assert_int_equal(rig->reported, 600 + 8192 + 2);
}

static void test_pages_where_they_are_quicker(void **state)
{
	struct rig *rig = *state;

	rig->part.twd_page_erase_us = 5000;
	memset(rig->f1->flash, 0x11, 8192);
	add(rig, BASE, 2000, 3);
	begin(rig);
	assert_int_equal(rig->f1->page_erases, 2);
	assert_int_equal(rig->f1->mass_erases, 0);
	assert_true(rig->chip.facts.stm32f1.erased_by_page);
	assert_int_equal(rig->f1->flash[2047], 0xFF);
	assert_int_equal(rig->f1->flash[2048], 0x11);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
}

/* ---- verify */

static void test_stuck_bit_is_found(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 5000, 1);
	uint8_t wanted[4096];
	hex_image_read(&rig->recipe.image, BASE, wanted, sizeof wanted, 0xFF);
	uint32_t at = 3000;
	while (wanted[at] & 0x10)
		at++;
	rig->f1->stuck_address = BASE + at;
	begin(rig);
	GOOD(rig, program(rig));
	for (unsigned way = 0; way < 2; way++) {
		rig->recipe.full_readback = way == 0;
		assert_int_equal(verify(rig), -1);
		assert_int_equal(rig->fault.code, FAIL_VERIFY);
		assert_int_equal(rig->fault.address, BASE + at);
		assert_int_equal(rig->fault.expected, wanted[at]);
		assert_int_equal(rig->fault.found, wanted[at] | 0x10);
	}
}

static void test_crc_of_the_chip(void **state)
{
	struct rig *rig = *state;

	rig->recipe.full_readback = false;
	add(rig, BASE, 7000, 1);
	begin(rig);
	GOOD(rig, program(rig));
	rig->dongle->longest = 0;
	GOOD(rig, verify(rig));
	assert_true(rig->chip.facts.stm32f1.verified_by_crc);
	assert_int_equal(rig->chip.facts.bytes_verified, 7168);
	assert_true(rig->dongle->longest < 512); /* the flash was not read over the wire */
	/* A clone without the unit: read, then. */
	rig->f1->no_crc = true;
	GOOD(rig, verify(rig));
	assert_false(rig->chip.facts.stm32f1.verified_by_crc);
	assert_int_equal(rig->chip.facts.bytes_verified, 7168);
}

static void test_what_fills_the_last_page_must_be_blank(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 1500, 1);
	begin(rig);
	GOOD(rig, program(rig));
	rig->f1->flash[1600] = 0;
	assert_int_equal(verify(rig), -1);
	assert_int_equal(rig->fault.address, BASE + 1600);
}

static void test_erase_that_is_none(void **state)
{
	struct rig *rig = *state;

	rig->f1->flash[3] = 0x12;
	rig->f1->erase_is_a_lie = true;
	add(rig, BASE, 100, 1);
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	assert_int_equal(STEP(rig, erase), -1);
	assert_int_equal(rig->fault.code, FAIL_ERASE);
	assert_int_equal(rig->fault.address, BASE + 3);
}

static void test_half_word_on_a_used_cell(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 3000, 1);
	begin(rig);
	rig->f1->flash[2002] = 0x00;
	assert_int_equal(program(rig), -1);
	assert_int_equal(rig->fault.code, FAIL_WRITE);
	assert_non_null(strstr(rig->fault.text, "0x080007D2"));
	assert_int_equal(rig->f1->cr & 0x80, 0x80);
	assert_true(rig->f1->halted);
}

static void test_stop_between_blocks(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 3000, 1);
	begin(rig);
	rig->stop = true;
	assert_int_equal(program(rig), -1);
	assert_int_equal(rig->fault.code, FAIL_ABORTED);
}

static void test_dongle_lost_while_programming(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE, 9000, 1);
	begin(rig);
	rig->dongle->lose_from = rig->dongle->commands + 40;
	assert_int_equal(program(rig), -1);
	assert_int_equal(rig->fault.code, FAIL_PROGRAMMER_LOST);
	assert_false(rig->chip.attached);
}

/* ---- protection */

static void protect(struct f1 *f1)
{
	memset(f1->options, 0xFF, sizeof f1->options); /* erased: protected */
	f1_load_options(f1);
}

static void test_protected_chip_is_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[4];

	protect(rig->f1);
	memset(rig->f1->flash, 0x77, 1024);
	add(rig, BASE, 100, 1);
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	assert_true(rig->chip.facts.stm32f1.protected_found);
	assert_int_equal(chip_stm32f1.read(&rig->chip, BASE, bytes, 4, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROTECTED);
	assert_int_equal(STEP(rig, erase), -1);
	assert_int_equal(rig->fault.code, FAIL_PROTECTED);
	assert_non_null(strstr(rig->fault.text, "allow_unlock"));
	assert_int_equal(rig->f1->flash[0], 0x77);
	assert_int_equal(rig->f1->option_erases, 0);
}

static void test_protected_chip_is_opened(void **state)
{
	struct rig *rig = *state;

	protect(rig->f1);
	memset(rig->f1->flash, 0x77, 1024);
	rig->recipe.allow_unlock = true;
	add(rig, BASE, 2000, 1);
	begin(rig);
	assert_int_equal(rig->f1->options[0], 0xA5);
	assert_true(rig->chip.facts.stm32f1.protected_found);
	assert_false(rig->chip.facts.stm32f1.protected_left);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	finish(rig);
	assert_flash_is_image(rig);
}

static void test_write_protected_pages(void **state)
{
	struct rig *rig = *state;

	rig->f1->options[8] = 0xFE;
	rig->f1->options[9] = 0x01;
	f1_load_options(rig->f1);
	add(rig, BASE, 2000, 1);
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	assert_int_equal(STEP(rig, erase), -1);
	assert_int_equal(rig->fault.code, FAIL_PROTECTED);
	assert_non_null(strstr(rig->fault.text, "write protected"));
	rig->recipe.allow_unlock = true;
	begin(rig);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	assert_int_equal(rig->f1->wrpr, 0xFFFFFFFF);
}

static void test_option_bytes_and_protection_of_the_recipe(void **state)
{
	struct rig *rig = *state;
	uint8_t bytes[4];

	rig->recipe.options =
	        (struct option_bytes){.wanted = true, .user = 0xFE, .data = {0x12, 0x34}, .wrp = {0xFC, 0xFF, 0xFF, 0xFF}};
	rig->recipe.protect = true;
	add(rig, BASE, 2000, 1);
	begin(rig);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	GOOD(rig, STEP(rig, configure));
	assert_int_equal(rig->f1->options[0], 0xA5); /* not yet */
	assert_int_equal(rig->f1->options[2], 0xFE);
	assert_int_equal(rig->f1->options[4], 0x12);
	assert_int_equal(rig->f1->options[6], 0x34);
	assert_int_equal(rig->f1->options[8], 0xFC);
	assert_int_equal(rig->f1->options[9], 0x03);
	GOOD(rig, STEP(rig, lock));
	assert_int_equal(rig->f1->options[0], 0x00);
	assert_int_equal(rig->f1->options[4], 0x12);
	assert_true(rig->f1->obr & 2);
	assert_true(rig->chip.facts.stm32f1.protected_left);
	assert_flash_is_image(rig);
	assert_int_equal(chip_stm32f1.read(&rig->chip, BASE, bytes, 4, soon(), &rig->fault), -1);
	assert_int_equal(rig->fault.code, FAIL_PROTECTED);
}

/* ---- contact */

static void test_firmware_that_hides_is_found_by_reset(void **state)
{
	struct rig *rig = *state;
	unsigned tries = 0;

	rig->f1->swd_off_by_firmware = true;
	f1_reset(rig->f1);
	assert_true(rig->f1->swd_off);
	add(rig, BASE, 2000, 1);
	while (STEP(rig, attach) != 0 && tries < 20)
		tries++;
	assert_int_equal(tries, 3);
	begin(rig);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	finish(rig); /* it hides again, and is found again */
	GOOD(rig, STEP(rig, attach));
}

static void test_no_reset_line_is_needed(void **state)
{
	struct rig *rig = *state;

	rig->f1->nrst_cut = true;
	add(rig, BASE, 2000, 1);
	begin(rig);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	finish(rig);
}

static void test_another_board_is_not_the_same(void **state)
{
	struct rig *rig = *state;

	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	rig->f1->absent = true;
	rig->dongle->next_status = 0x12;
	rig->f1->absent = false;
	rig->dongle->next_status_times = 1;
	memcpy(rig->f1->unique, "unique-id-02", 12);
	assert_int_equal(STEP(rig, attach), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	assert_false(rig->chip.attached);
	/* And the same one is. */
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	rig->dongle->next_status_times = 1;
	assert_int_equal(STEP(rig, attach), 0);
	assert_true(rig->chip.attached);
}

static void test_core_that_does_not_halt(void **state)
{
	struct rig *rig = *state;

	rig->f1->core_deaf = true;
	add(rig, BASE, 100, 1);
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	assert_int_equal(STEP(rig, erase), -1);
	assert_int_equal(rig->fault.code, FAIL_CONTACT);
	assert_non_null(strstr(rig->fault.text, "does not halt"));
}

static void test_speed_that_the_wires_do_not_carry(void **state)
{
	struct rig *rig = *state;

	rig->f1->max_hz = 1800000;
	add(rig, BASE, 2000, 1);
	begin(rig);
	assert_int_equal(rig->chip.facts.sck_fast_hz, 1800000);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
}

/* ---- who it is */

static void test_another_part(void **state)
{
	struct rig *rig = *state;

	rig->f1->idcode = 0x10036414;
	GOOD(rig, STEP(rig, attach));
	assert_int_equal(STEP(rig, identify), -1);
	assert_int_equal(rig->fault.code, FAIL_SIGNATURE);
	assert_non_null(strstr(rig->fault.text, "high density"));
}

static void test_clones(void **state)
{
	static const struct {
		uint32_t port, core, device;
		uint8_t pidr[4];
		uint32_t etm;
		const char *title;
	} cases[] = {
	        {0x1BA01477, 0x411FC231, 0x20036410, {0x10, 0x04, 0x0A, 0}, 0, "STM32F103"},
	        {0x1BA01477, 0x411FC231, 0x20036410, {0, 0, 0, 0}, 0, "STM32F103"},
	        {0x1BA01477, 0x412FC231, 0x13030410, {0x6F, 0x17, 0x0D, 7}, 0, "GD32F103 (clone)"},
	        {0x2BA01477, 0x412FC231, 0x20036410, {0x6F, 0x17, 0x0D, 7}, 0, "GD32F103 (clone)"},
	        {0x2BA01477, 0x412FC231, 0x20036410, {0xC3, 0xB4, 0x0B, 4}, 0xFFF42003, "CS32F103 (clone)"},
	        {0x2BA01477, 0x412FC231, 0x20036410, {0xC3, 0xB4, 0x0B, 4}, 0xFFF42002, "APM32F103 (clone)"},
	        {0x2BA01477, 0x412FC231, 0x20036410, {0, 0x50, 0x0D, 5}, 0, "HK32F103 (clone)"},
	        {0x2BA01477, 0x412FC231, 0x20036410, {0x10, 0x04, 0x0A, 0}, 0, "CKS32F103 or another clone"},
	        {0x2BA01477, 0x411FC231, 0x20030410, {0, 0, 0, 0}, 0, "CKS32F103 or another clone"},
	};
	struct rig *rig = *state;

	add(rig, BASE, 600, 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		rig->f1->port_id = cases[i].port;
		rig->f1->cpuid = cases[i].core;
		rig->f1->idcode = cases[i].device;
		memcpy(rig->f1->rom_pidr, cases[i].pidr, 4);
		rig->f1->rom_etm = cases[i].etm;
		begin(rig);
		assert_string_equal(rig->chip.facts.stm32f1.make->title, cases[i].title);
		GOOD(rig, program(rig));
		GOOD(rig, verify(rig));
		chip_stm32f1.detach(&rig->chip);
	}
}

static void test_size_word_that_claims_less(void **state)
{
	struct rig *rig = *state;

	/* The recipe says 128 KiB, the chip 64, and it has them. */
	rig->part.flash_bytes = 131072;
	add(rig, BASE, 200, 1);
	add(rig, BASE + 0x10000, 3000, 4);
	begin(rig);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	rig->f1->flash[0x10010] ^= 0xFF;
	assert_int_equal(verify(rig), -1);
	assert_non_null(strstr(rig->fault.text, "claims to have"));
}

/* The chip that starts its ROM is known before anything is written, and fails where its start is configured. */
static void test_boot_jumper(void **state)
{
	struct rig *rig = *state;

	rig->f1->boot0 = true;
	add(rig, BASE, 200, 1);
	begin(rig);
	assert_true(rig->chip.facts.stm32f1.starts_rom);
	GOOD(rig, program(rig));
	GOOD(rig, verify(rig));
	assert_int_equal(STEP(rig, configure), -1);
	assert_int_equal(rig->fault.code, FAIL_FUSE);
	assert_non_null(strstr(rig->fault.text, "BOOT0"));
	rig->f1->boot0 = false;
	GOOD(rig, STEP(rig, identify));
	assert_false(rig->chip.facts.stm32f1.starts_rom);
	finish(rig);
}

static void test_image_outside(void **state)
{
	struct rig *rig = *state;

	add(rig, BASE + 65000, 1000, 1);
	GOOD(rig, STEP(rig, attach));
	GOOD(rig, STEP(rig, identify));
	assert_int_equal(program(rig), -1);
	assert_int_equal(rig->fault.code, FAIL_WRITE);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        CASE(test_whole_way),
	        CASE(test_many_blocks),
	        CASE(test_blank_parts_are_not_sent),
	        CASE(test_pages_where_they_are_quicker),
	        CASE(test_stuck_bit_is_found),
	        CASE(test_crc_of_the_chip),
	        CASE(test_what_fills_the_last_page_must_be_blank),
	        CASE(test_erase_that_is_none),
	        CASE(test_half_word_on_a_used_cell),
	        CASE(test_stop_between_blocks),
	        CASE(test_dongle_lost_while_programming),
	        CASE(test_protected_chip_is_refused),
	        CASE(test_protected_chip_is_opened),
	        CASE(test_write_protected_pages),
	        CASE(test_option_bytes_and_protection_of_the_recipe),
	        CASE(test_firmware_that_hides_is_found_by_reset),
	        CASE(test_no_reset_line_is_needed),
	        CASE(test_another_board_is_not_the_same),
	        CASE(test_core_that_does_not_halt),
	        CASE(test_speed_that_the_wires_do_not_carry),
	        CASE(test_another_part),
	        CASE(test_clones),
	        CASE(test_size_word_that_claims_less),
	        CASE(test_boot_jumper),
        CASE(test_image_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
