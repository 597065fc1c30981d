#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "station/programmer/programmer.h"
#include "tests/unit/virtual_clock.h"

#include "tests/unit/isp_pirate.h"
#include "tests/unit/serial_troubles.h"

struct bench {
	struct part *part;
	struct isp_chip *chip;
	struct isp_pirate *device;
	struct programmer *p;
	struct fault fault;
};

static const struct usb_identity v3 = {.vendor = 0x0403, .product = 0x6001, .manufacturer = "FTDI", .name = "FT232R USB UART"};
static const struct usb_identity v4 = {.vendor = 0x04D8, .product = 0xFB00};

static deadline_t soon(void)
{
	return deadline_in_ms(6000);
}

static struct bench bench_of(const char *part, bool native)
{
	struct bench b = {.p = NULL};
	struct pogo_error err;

	if (part_load("configs", part, &b.part, &err) != 0)
		fail_msg("%s", err.text);
	b.chip = isp_chip_new(b.part);
	b.device = isp_pirate_new(b.chip, native);
	return b;
}

static int try_open(struct bench *b)
{
	return programmer_buspirate.open(&b->device->wire.base, b->device->wire.native ? &v4 : &v3, &b->p,
	                                 programmer_open_deadline(&programmer_buspirate), &b->fault);
}

static void open_it(struct bench *b)
{
	if (try_open(b) != 0)
		fail_msg("%s", b->fault.text);
}

static void enter_at(struct bench *b, uint32_t hz)
{
	if (b->p->isp->enter(b->p, b->part, hz, NULL, soon(), &b->fault) != 0)
		fail_msg("%s", b->fault.text);
}

static struct bench entered(const char *part)
{
	struct bench b = bench_of(part, false);

	open_it(&b);
	enter_at(&b, 1000000);
	return b;
}

/* After troubles the chip may have been fed with rubbish. */
static void end(struct bench *b)
{
	if (b->p != NULL) {
		programmer_buspirate.close(b->p);
		assert_true(b->device->wire.closed);
	}
	isp_chip_free(b->chip);
	free(b->device);
	free(b->part);
}

static void done(struct bench *b)
{
	assert_int_equal(b->device->wire.overruns, 0);
	assert_int_equal(b->device->violations, 0);
	assert_int_equal(b->chip->violations, 0);
	end(b);
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

/* ---- identity and opening */

static void ids(void **state)
{
	(void)state;
	static const struct {
		struct usb_identity id;
		bool is;
	} cases[] = {
	        {{.vendor = 0x0403, .product = 0x6001, .manufacturer = "FTDI", .name = "FT232R USB UART"}, false},
	        {{.vendor = 0x0403, .product = 0x6001}, false},
	        {{.vendor = 0x0403, .product = 0x6001, .manufacturer = "Olimex", .name = "OpenOCD JTAG"}, false},
	        {{.vendor = 0x0403, .product = 0x6001, .manufacturer = "FTDI", .name = "Thermostat"}, false},
	        {{.vendor = 0x04D8, .product = 0xFB00}, true},
	        {{.vendor = 0x1209, .product = 0x7331}, true},
	        {{.vendor = 0x0403, .product = 0x6010}, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (programmer_buspirate.match(&cases[i].id) != cases[i].is)
			fail_msg("case %zu", i);
}

static void open_says_what_it_can_do(void **state)
{
	(void)state;
	static const struct {
		bool no_blocks, no_avr;
		const char *firmware, *abilities;
	} cases[] = {
	        {false, false, "6.0 or newer", "sck-control host-waits block-write avr-read"},
	        {false, true, "5.10 or newer", "sck-control host-waits block-write"},
	        {true, true, "before 5.10", "sck-control host-waits"},
	};
	for (size_t i = 0; i < 3; i++) {
		struct bench b = bench_of("atmega32u4", false);
		b.device->no_blocks = cases[i].no_blocks;
		b.device->no_avr = cases[i].no_avr;
		open_it(&b);
		assert_string_equal(b.p->info.kind, "buspirate");
		assert_string_equal(b.p->info.firmware, cases[i].firmware);
		assert_string_equal(b.p->info.abilities, cases[i].abilities);
		assert_int_equal(b.p->info.flash_limit, 0x20000);
		assert_int_equal(b.p->info.sck_steps[0], 8000000);
		assert_int_equal(b.p->info.sck_steps[7], 30000);
		assert_int_equal(b.p->info.sck_steps[8], 0);
		assert_int_equal(b.chip->resets, 0);
		assert_int_equal(b.device->wire.host_baud, 115200);
		struct isp_pirate *d = b.device;
		programmer_buspirate.close(b.p);
		b.p = NULL;
		assert_int_equal(d->mode, PIRATE_TERMINAL_MODE);
		done(&b);
	}
	struct bench b = bench_of("atmega32u4", true);
	open_it(&b);
	assert_string_equal(b.p->info.firmware, "v4, 6.0 or newer");
	done(&b);
}

/* In whatever mode the last program died, and in the middle of whatever command. */
static void it_is_fetched_from_anywhere(void **state)
{
	(void)state;
	static const uint8_t block[] = {0x05, 0x10, 0x00, 0x00, 0x00, 0x40}, run[] = {0x06, 0x02, 0x00, 0x00}, bulk[] = {0x1F, 0xAC},
	                     whole[] = {0x06, 0x02, 0, 0, 0, 0, 0, 0, 8, 0};
	static const struct {
		enum pirate_mode mode;
		const uint8_t *bytes;
		size_t len;
	} cases[] = {{PIRATE_TERMINAL_MODE, NULL, 0},   {PIRATE_BIT_BANG, NULL, 0},           {PIRATE_SPI_MODE, NULL, 0},
	             {PIRATE_SPI_MODE, block, 6},       {PIRATE_SPI_MODE, block, 2},          {PIRATE_SPI_MODE, run, sizeof run},
	             {PIRATE_SPI_MODE, bulk, sizeof bulk}, {PIRATE_SPI_MODE, whole, sizeof whole}, {PIRATE_TERMINAL_MODE, block, 1}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bench b = bench_of("atmega32u4", false);
		b.device->mode = cases[i].mode;
		b.device->hz = 30000;
		b.device->wire.host_baud = 115200;
		if (cases[i].len > 0)
			b.device->wire.base.ops->write(&b.device->wire.base, cases[i].bytes, cases[i].len, soon());
		isp_chip_reset(b.chip, true);
		if (try_open(&b) != 0)
			fail_msg("case %zu: %s", i, b.fault.text);
		assert_false(b.chip->reset_low);
		enter_at(&b, 1000000);
		end(&b);
	}
}

static void something_else_is_refused(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", false);
	int64_t begin = virtual_now;
	b.device->mute = true;
	assert_int_equal(try_open(&b), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	assert_false(b.device->wire.closed);
	assert_true(virtual_now - begin < 3100000000);
	done(&b);
}

/* ---- a board */

static void sck_is_never_above(void **state)
{
	(void)state;
	static const uint32_t asked[] = {20000000, 8000000, 2666666, 1000000, 999999, 200000, 30000, 1000},
	                      used[] = {8000000, 8000000, 2000000, 1000000, 250000, 125000, 30000, 30000};

	struct bench b = bench_of("atmega32u4", false);
	open_it(&b);
	for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
		uint32_t hz = 0;
		unsigned resets = b.chip->resets;
		assert_int_equal(b.p->isp->enter(b.p, b.part, asked[i], &hz, soon(), &b.fault), 0);
		assert_int_equal(hz, used[i]);
		assert_int_equal(b.device->hz, used[i]);
		assert_true(b.chip->resets > resets);
	}
	b.p->isp->leave(b.p, soon());
	assert_false(b.chip->reset_low);
	assert_int_equal(b.device->mode, PIRATE_BIT_BANG); /* the pins are let go */
	assert_true(b.device->powered);
	done(&b);
}

static void nobody_there_is_found_out_fast(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", false);
	open_it(&b);
	b.chip->absent = true;
	for (unsigned poll = 0; poll < 5; poll++) {
		int64_t begin = virtual_now;
		assert_int_equal(b.p->isp->enter(b.p, b.part, 1000000, NULL, soon(), &b.fault), -1);
		assert_int_equal(b.fault.code, FAIL_CONTACT);
		assert_false(b.chip->reset_low);
		assert_true(virtual_now - begin < 200000000);
	}
	b.chip->absent = false;
	enter_at(&b, 1000000);
	done(&b);
}

static void instructions_are_heard_in_full(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	static const uint8_t fuse[4] = {0x58, 0x08, 0x00, 0x00};
	uint8_t in[4];
	unsigned trips = b.device->wire.trips;
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), 0);
	assert_int_equal(in[3], b.part->fuse_factory[FUSE_HIGH]);
	assert_int_equal(in[2], 0x08);
	assert_int_equal(b.device->wire.trips - trips, 1);
	b.chip->absent = true;
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), 0);
	assert_int_equal(in[2], 0xFF); /* the chip layer's business */
	b.chip->absent = false;
	done(&b);
}

/* ---- memories */

static void flash_is_written_and_read(void **state)
{
	(void)state;
	static const struct {
		const char *part;
		uint32_t address;
		size_t len;
	} runs[] = {{"atmega32u4", 0x400, 1024}, {"atmega8a", 0x40, 448}, {"atmega32u4", 0x7F80, 128},
	            {"at90usb1286", 0x1FC00, 1024}, {"at90usb1286", 0xFF00, 512}};
	uint8_t data[1024], back[1024];

	for (unsigned i = 0; i < 5 * 8; i++) {
		struct bench b = bench_of(runs[i / 8].part, i % 8 >= 6);
		uint32_t at = runs[i / 8].address;
		size_t len = runs[i / 8].len;
		b.device->no_avr = i % 2;
		b.device->no_blocks = i % 8 == 3;
		open_it(&b);
		enter_at(&b, i % 8 == 5 ? 30000 : i % 8 == 4 ? 125000 : 8000000);
		fill(data, len, i);
		memset(data + 10, 0xFF, len / 3);
		memset(b.chip->flash, 0xFF, b.part->flash_bytes);
		deadline_t minute = deadline_in_ms(60000);
		if (b.p->isp->write(b.p, ISP_FLASH, at, data, len, b.part->flash_page, minute, &b.fault) != 0)
			fail_msg("%s", b.fault.text);
		assert_memory_equal(b.chip->flash + at, data, len);
		assert_true(clock_now() >= b.chip->busy_until); /* the last wait is over, too */
		assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, at, back, len, minute, &b.fault), 0);
		assert_memory_equal(back, data, len);
		done(&b);
	}
}

/* The bytes of the line, and nothing beside them. */
static void a_page_is_one_round_trip_at_the_speed_of_the_line(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", false);
	uint8_t data[4096], back[4096];
	open_it(&b);
	enter_at(&b, 2000000);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i % 251);
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	unsigned trips = b.device->wire.trips;
	int64_t begin = virtual_now;
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0, data, sizeof data, 128, soon(), &b.fault), 0);
	double write_ms = (double)(virtual_now - begin) / 1e6 / 32;
	assert_int_equal(b.device->wire.trips - trips, 32);
	assert_int_equal(b.device->blocks, 1 + 32);
	trips = b.device->wire.trips;
	begin = virtual_now;
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, sizeof back, soon(), &b.fault), 0);
	double read_ms = (double)(virtual_now - begin) / 1e6 / 32;
	assert_int_equal(b.device->wire.trips - trips, 1);
	assert_memory_equal(back, data, sizeof data);
	print_message("  %.1f ms to write a page, %.1f ms to read it\n", write_ms, read_ms);
	/* 521 bytes there and one back at 86.8 us, 516 of SPI at 4 us; 128 bytes back. */
	assert_true(write_ms < 47.4 * 1.02 && read_ms < 11.2 * 1.02);
	done(&b);
}

/* The wait of the page before is not hidden behind a short one. */
static void short_pages_wait_for_the_chip(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t data[1024];
	memset(data, 0xFF, sizeof data);
	for (size_t i = 0; i < sizeof data; i += 128)
		data[i + 1] = (uint8_t)i;
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0, data, sizeof data, 128, soon(), &b.fault), 0);
	assert_memory_equal(b.chip->flash, data, sizeof data);
	done(&b);
}

static void any_start_and_length_is_read(void **state)
{
	(void)state;
	struct bench b = entered("at90usb1286");
	uint8_t back[600];
	static const uint32_t starts[] = {0, 1, 2, 3, 0x1FB00, 0x1FD01};
	for (uint32_t at = 0; at < b.part->flash_bytes; at++)
		b.chip->flash[at] = (uint8_t)(at * 7 + at / 256);
	fill(b.chip->eeprom, 1024, 77);
	for (size_t s = 0; s < 6; s++)
		for (size_t len = 1; len < 600; len += len < 20 ? 1 : 37) {
			memset(back, 0, sizeof back);
			assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, starts[s], back, len, soon(), &b.fault), 0);
			assert_memory_equal(back, b.chip->flash + starts[s], len);
			assert_int_equal(back[len], 0);
			if (s > 3)
				continue;
			assert_int_equal(b.p->isp->read(b.p, ISP_EEPROM, starts[s], back, len, soon(), &b.fault), 0);
			assert_memory_equal(back, b.chip->eeprom + starts[s], len);
		}
	done(&b);
}

static void eeprom_bytes(void **state)
{
	(void)state;
	struct bench b = entered("atmega8a");
	uint8_t data[40];
	for (uint32_t at = 0; at < 3; at++) {
		fill(data, sizeof data, at);
		assert_int_equal(b.p->isp->write(b.p, ISP_EEPROM, at, data, sizeof data, 0, soon(), &b.fault), 0);
		assert_memory_equal(b.chip->eeprom + at, data, sizeof data);
	}
	done(&b);
}

static void big_parts_are_refused(void **state)
{
	(void)state;
	struct bench b = bench_of("at90usb1286", false);
	struct part big = *b.part;
	open_it(&b);
	big.flash_bytes = 0x40000;
	assert_int_equal(b.p->isp->enter(b.p, &big, 1000000, NULL, soon(), &b.fault), -1);
	assert_non_null(strstr(b.fault.text, "another programmer"));
	assert_int_equal(b.chip->resets, 0);
	done(&b);
}

/* ---- troubles */

static struct wire *make_v3(struct isp_chip *chip)
{
	return &isp_pirate_new(chip, false)->wire;
}

static struct wire *make_old(struct isp_chip *chip)
{
	struct isp_pirate *d = isp_pirate_new(chip, false);

	d->no_avr = d->no_blocks = true;
	return &d->wire;
}

static const struct serial_pod pods[2] = {
        {&programmer_buspirate, {.vendor = 0x0403, .product = 0x6001}, make_v3},
        {&programmer_buspirate, {.vendor = 0x0403, .product = 0x6001}, make_old},
};

static void a_bad_byte_makes_no_good_board(void **state)
{
	(void)state;
	life_bad_bytes(&pods[0]);
	life_bad_bytes(&pods[1]);
}

static void unplugged_at_every_point(void **state)
{
	(void)state;
	life_unplugged(&pods[0]);
	life_unplugged(&pods[1]);
}

static void silence_is_the_programmers_fault(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t back[16];
	b.device->wire.dev = virtual_now + 3600000000000; /* it hangs */
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 16, deadline_in_ms(300), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_TIMEOUT);
	assert_int_equal(b.p->isp->enter(b.p, b.part, 1000000, NULL, deadline_in_ms(20000), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	end(&b);
}

static void a_late_answer_is_not_taken_for_the_next_ones(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t back[4096];

	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, sizeof back, deadline_in_ms(30), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_TIMEOUT);
	assert_int_equal(b.p->isp->command(b.p, (const uint8_t[4]){0x30}, back, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_CONTACT); /* it was let go to get in step */
	enter_at(&b, 1000000);
	done(&b);
}

/* A stale byte in front shifts all answers by one. Found when the board is let go, where no fault can be told, the next
 * entry tells it, once. */
static void a_stale_answer_is_not_believed(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4");
	uint8_t in[4];

	wire_say(&b.device->wire, 0x42);
	assert_int_equal(b.p->isp->command(b.p, (const uint8_t[4]){0x30}, in, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_WRITE);
	enter_at(&b, 1000000);
	wire_say(&b.device->wire, 0x42); /* found at an entry: no contact fault, which would be tried again */
	assert_int_equal(b.p->isp->enter(b.p, b.part, 1000000, NULL, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_VERIFY);
	enter_at(&b, 1000000);
	wire_say(&b.device->wire, 0x01);
	b.p->isp->leave(b.p, soon());
	assert_int_equal(b.p->isp->enter(b.p, b.part, 1000000, NULL, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_VERIFY);
	enter_at(&b, 1000000);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ids),
	        cmocka_unit_test(open_says_what_it_can_do),
	        cmocka_unit_test(it_is_fetched_from_anywhere),
	        cmocka_unit_test(something_else_is_refused),
	        cmocka_unit_test(sck_is_never_above),
	        cmocka_unit_test(nobody_there_is_found_out_fast),
	        cmocka_unit_test(instructions_are_heard_in_full),
	        cmocka_unit_test(flash_is_written_and_read),
	        cmocka_unit_test(a_page_is_one_round_trip_at_the_speed_of_the_line),
	        cmocka_unit_test(short_pages_wait_for_the_chip),
	        cmocka_unit_test(any_start_and_length_is_read),
	        cmocka_unit_test(eeprom_bytes),
	        cmocka_unit_test(big_parts_are_refused),
	        cmocka_unit_test(a_bad_byte_makes_no_good_board),
	        cmocka_unit_test(unplugged_at_every_point),
	        cmocka_unit_test(silence_is_the_programmers_fault),
	        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_ones),
	        cmocka_unit_test(a_stale_answer_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
