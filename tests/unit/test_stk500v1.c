#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "station/programmer/programmer.h"
#include "tests/unit/virtual_clock.h"

#include "tests/unit/isp_stk.h"
#include "tests/unit/serial_troubles.h"

struct bench {
	struct part *part;
	struct isp_chip *chip;
	struct isp_stk *device;
	struct programmer *p;
	struct fault fault;
};

static const struct usb_identity micro = {.vendor = 0x2341, .product = 0x8037};
static const struct usb_identity uno = {.vendor = 0x2341, .product = 0x0043};
static const struct usb_identity fixed = {.path = "/dev/ttyS0"};

static deadline_t soon(void)
{
	return deadline_in_ms(6000);
}

static struct bench bench_of(const char *part, bool native, uint32_t baud)
{
	struct bench b = {.p = NULL};
	struct pogo_error err;

	if (part_load("configs", part, &b.part, &err) != 0)
		fail_msg("%s", err.text);
	b.chip = isp_chip_new(b.part);
	b.device = isp_stk_new(b.chip, native, baud);
	return b;
}

static int try_open(struct bench *b, const struct usb_identity *id)
{
	return programmer_stk500v1.open(&b->device->wire.base, id, &b->p, programmer_open_deadline(&programmer_stk500v1), &b->fault);
}

static void open_as(struct bench *b, const struct usb_identity *id)
{
	if (try_open(b, id) != 0)
		fail_msg("%s", b->fault.text);
}

static void enter(struct bench *b)
{
	uint32_t hz = 0;

	if (b->p->isp->enter(b->p, b->part, 100000, &hz, soon(), &b->fault) != 0)
		fail_msg("%s", b->fault.text);
	assert_int_equal(hz, 125000);
}

static struct bench entered(const char *part, const struct usb_identity *id, uint32_t baud)
{
	struct bench b = bench_of(part, id == &micro, baud);

	open_as(&b, id);
	enter(&b);
	return b;
}

/* After troubles the chip may have been fed with rubbish, and the Arduino's buffer flooded. */
static void end(struct bench *b)
{
	if (b->p != NULL) {
		programmer_stk500v1.close(b->p);
		assert_true(b->device->wire.closed);
	}
	isp_chip_free(b->chip);
	free(b->device);
	free(b->part);
}

static void done(struct bench *b)
{
	assert_int_equal(b->device->wire.overruns, 0);
	assert_int_equal(b->chip->violations, 0);
	end(b);
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

/* ---- identity and opening */

static void ids_of_boards_that_usually_are_one(void **state)
{
	(void)state;
	static const struct {
		uint16_t vendor, product;
		bool is;
	} ids[] = {{0x2341, 0x0043, true},  {0x2341, 0x8037, true}, {0x1B4F, 0x9206, true},  {0x16C0, 0x0483, true},
	           {0x1A86, 0x7523, false},  {0x2341, 0x0037, false}, {0x1B4F, 0x9205, false}, {0x2341, 0x0049, false},
	           {0x0403, 0x6001, false}, {0x16C0, 0x05DC, false}, {0x0000, 0x0000, false}};

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		struct usb_identity id = {.vendor = ids[i].vendor, .product = ids[i].product};
		if (programmer_stk500v1.match(&id) != ids[i].is)
			fail_msg("%04x:%04x", ids[i].vendor, ids[i].product);
	}
}

static void a_native_board_answers_at_once(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", true, 19200);
	int64_t begin = virtual_now;
	open_as(&b, &micro);
	assert_true(virtual_now - begin < 100000000);
	assert_string_equal(b.p->info.kind, "stk500v1");
	assert_string_equal(b.p->info.firmware, "ArduinoISP 1.18");
	assert_non_null(strstr(b.p->info.abilities, "fixed-sck"));
	assert_non_null(strstr(b.p->info.abilities, "native-usb"));
	assert_false(b.p->info.sck_control);
	assert_int_equal(b.p->info.sck_steps[0], 0);
	assert_int_equal(b.device->wire.host_baud, 19200);
	assert_int_equal(b.device->wire.signals, LINE_DTR | LINE_RTS);
	assert_int_equal(b.chip->resets, 0);
	done(&b);
}

static void the_rate_is_found(void **state)
{
	(void)state;
	static const uint32_t rates[] = {19200, 38400, 57600, 115200};

	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		struct bench b = bench_of("atmega32u4", false, rates[i]);
		char word[32];
		open_as(&b, &fixed);
		snprintf(word, sizeof word, "%u-baud", (unsigned)rates[i]);
		assert_non_null(strstr(b.p->info.abilities, word));
		assert_int_equal(b.device->wire.rises, 1); /* an Uno would have been reset once */
		enter(&b);
		done(&b);
	}
}

/* Bootloaders that end when told, that end only by themselves, and that bear the sketch's name; at every rate of both. */
static void an_uno_is_met_in_its_bootloader(void **state)
{
	(void)state;
	static const uint32_t sketches[] = {19200, 115200, 57600}, boots[] = {115200, 57600, 19200};

	for (unsigned i = 0; i < 36; i++) {
		struct bench b = bench_of("atmega32u4", false, sketches[i % 3]);
		b.device->boot_ms = 1000;
		b.device->boot_baud = boots[i / 3 % 3];
		b.device->boot_stays = i / 9 % 2;
		b.device->boot_name = i / 18;
		if (try_open(&b, &uno) != 0)
			fail_msg("sketch %u, bootloader %u, stays %d, name %d: %s", (unsigned)sketches[i % 3],
			         (unsigned)b.device->boot_baud, b.device->boot_stays, b.device->boot_name, b.fault.text);
		assert_int_equal(b.device->wire.rises, 1);
		enter(&b);
		assert_int_equal(b.chip->violations, 0);
		end(&b);
	}
}

static void a_bootloader_without_a_sketch_is_refused(void **state)
{
	(void)state;
	for (unsigned named = 0; named < 2; named++) {
		struct bench b = bench_of("atmega32u4", false, 19200);
		b.device->boot_ms = 1000;
		b.device->boot_only = true;
		b.device->boot_name = named;
		assert_int_equal(try_open(&b, &uno), -1);
		assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
		assert_non_null(strstr(b.fault.text, "bootloader"));
		assert_false(b.device->wire.closed); /* the link stays the caller's */
		end(&b);
	}
}

static void silence_ends_in_time(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", false, 4800);
	int64_t begin = virtual_now;
	assert_int_equal(try_open(&b, &fixed), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	assert_true(virtual_now - begin < 6500000000);
	assert_non_null(strstr(b.fault.text, "19200 to 115200"));
	end(&b);

	b = bench_of("atmega32u4", true, 19200);
	b.device->boot_only = true; /* any other sketch */
	b.device->wire.native = false;
	b.device->boot_baud = 4800;
	begin = virtual_now;
	assert_int_equal(try_open(&b, &micro), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	assert_true(virtual_now - begin < 3000000000);
	assert_non_null(strstr(b.fault.text, "ISP firmware"));
	end(&b);
}

/* The last program died in the middle of a page, RESET held low. */
static void half_a_command_is_ended(void **state)
{
	(void)state;
	static const uint8_t page[] = {0x55, 0x00, 0x00, 0x20, 0x64, 0x01, 0x00, 'F'}, read[] = {0x74, 0x01, 0x00, 'F', 0x20},
	                     device[] = {0x42, 0x00, 0x00};
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} halves[] = {{page, 8}, {page, 5}, {page, 6}, {page, 7}, {page, 2}, {read, 2}, {read, 5}, {device, 3}};

	for (unsigned i = 0; i < 2 * sizeof halves / sizeof halves[0]; i++) {
		struct bench b = bench_of("atmega32u4", i % 2, 19200);
		b.device->wire.host_baud = 19200;
		isp_stk_enter(b.device);
		b.device->wire.base.ops->write(&b.device->wire.base, halves[i / 2].bytes, halves[i / 2].len, soon());
		open_as(&b, i % 2 ? &micro : &uno);
		assert_false(b.chip->reset_low);
		enter(&b);
		end(&b);
	}
}

/* ---- a board */

static void nobody_there_is_found_out_fast(void **state)
{
	(void)state;
	static const struct usb_identity *const ids[] = {&micro, &uno};

	for (unsigned i = 0; i < 2; i++) {
		struct bench b = bench_of("atmega32u4", i == 0, 19200);
		open_as(&b, ids[i]);
		b.chip->absent = true;
		for (unsigned poll = 0; poll < 10; poll++) {
			int64_t begin = virtual_now;
			unsigned trips = b.device->wire.trips;
			assert_int_equal(b.p->isp->enter(b.p, b.part, 100000, NULL, soon(), &b.fault), -1);
			assert_int_equal(b.fault.code, FAIL_CONTACT);
			assert_false(b.chip->reset_low);
			assert_true(virtual_now - begin < 130000000);
			assert_int_equal(b.device->wire.trips - trips, 2); /* all at once, and letting go */
		}
		assert_int_equal(b.p->isp->command(b.p, (const uint8_t[4]){0x30}, (uint8_t[4]){0}, soon(), &b.fault), -1);
		assert_int_equal(b.fault.code, FAIL_CONTACT);
		b.chip->absent = false;
		enter(&b);
		done(&b);
	}
}

static void every_entry_pulses_reset(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4", &uno, 19200);
	unsigned resets = b.chip->resets;
	enter(&b);
	assert_int_equal(b.chip->resets, resets + 1);
	b.p->isp->leave(b.p, soon());
	assert_false(b.chip->reset_low);
	enter(&b);
	assert_int_equal(b.chip->resets, resets + 2);
	assert_int_equal(b.device->device[12] << 8 | b.device->device[13], 128);
	done(&b);
}

static void instructions_prove_that_the_board_is_there(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4", &micro, 19200);
	static const uint8_t fuse[4] = {0x50, 0x00, 0x00, 0x00}, poll[4] = {0xF0, 0x00, 0x00, 0x00};
	uint8_t in[4];
	unsigned trips = b.device->wire.trips;

	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), 0);
	assert_int_equal(in[3], b.part->fuse_factory[FUSE_LOW]);
	assert_int_equal(in[2], 0x00);
	assert_int_equal(b.device->commands[0x56], 3 + 2);
	assert_int_equal(b.p->isp->command(b.p, poll, in, soon(), &b.fault), 0);
	assert_int_equal(b.device->commands[0x56], 3 + 3); /* a busy chip is asked nothing else */
	assert_int_equal(b.device->wire.trips - trips, 2);
	b.chip->absent = true;
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_CONTACT);
	b.chip->absent = false;
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), 0);
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
	} runs[] = {{"atmega32u4", 0x400, 1024},  {"atmega32u4", 0x0000, 128},    {"atmega8a", 0x40, 448},
	            {"atmega32u4", 0x7F80, 128},  {"at90usb1286", 0x1FC00, 1024}, {"at90usb1286", 0xFF00, 512}};
	static const struct {
		const struct usb_identity *id;
		uint32_t baud;
	} lines[] = {{&micro, 19200}, {&uno, 19200}, {&uno, 115200}, {&fixed, 57600}};
	uint8_t data[1024], back[1024];

	for (unsigned i = 0; i < 6 * 4; i++) {
		struct bench b = entered(runs[i / 4].part, lines[i % 4].id, lines[i % 4].baud);
		uint32_t at = runs[i / 4].address;
		size_t len = runs[i / 4].len;
		fill(data, len, i);
		memset(b.chip->flash, 0xFF, b.part->flash_bytes);
		if (b.p->isp->write(b.p, ISP_FLASH, at, data, len, b.part->flash_page, soon(), &b.fault) != 0)
			fail_msg("%s", b.fault.text);
		assert_memory_equal(b.chip->flash + at, data, len);
		assert_int_equal(b.chip->commits, len / b.part->flash_page);
		assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, at, back, len, soon(), &b.fault), 0);
		assert_memory_equal(back, data, len);
		done(&b);
	}
}

/* What the protocol cannot be faster than: waits of the sketch, its SPI, and on a UART the bytes themselves. */
static void a_run_costs_little_more_than_the_sketch_itself(void **state)
{
	(void)state;
	static const struct {
		const struct usb_identity *id;
		uint32_t baud;
		double write_page_ms, read_page_ms; /* of 128 bytes */
	} lines[] = {
	        {&micro, 19200, 63.1, 32.8}, /* 129 instructions of 256 us and 30 ms; 128 of them */
	        {&uno, 19200, 103.2, 67.8},  /* 63.0 + (137 - 60) bytes of 521 us; 130 of 521 us */
	        {&uno, 115200, 69.7, 32.8},  /* 63.0 + 77 bytes of 87 us */
	};
	uint8_t data[4096], back[4096];

	for (unsigned i = 0; i < 3; i++) {
		struct bench b = entered("atmega32u4", lines[i].id, lines[i].baud);
		unsigned trips = b.device->wire.trips;
		fill(data, sizeof data, i);
		memset(b.chip->flash, 0xFF, b.part->flash_bytes);
		int64_t begin = virtual_now;
		assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0, data, sizeof data, 128, soon(), &b.fault), 0);
		double write_ms = (double)(virtual_now - begin) / 1e6 / 32;
		assert_in_range(b.device->wire.trips - trips, 15, 32); /* one for each block, and not for each command */
		trips = b.device->wire.trips;
		begin = virtual_now;
		assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, sizeof back, soon(), &b.fault), 0);
		double read_ms = (double)(virtual_now - begin) / 1e6 / 32;
		assert_in_range(b.device->wire.trips - trips, 15, 16);
		assert_memory_equal(back, data, sizeof data);
		print_message("  %u baud: %.1f ms to write a page, %.1f ms to read it\n", (unsigned)lines[i].baud, write_ms, read_ms);
		if (write_ms > lines[i].write_page_ms * 1.03 || read_ms > lines[i].read_page_ms * 1.03)
			fail_msg("floor: %.1f and %.1f ms", lines[i].write_page_ms, lines[i].read_page_ms);
		done(&b);
	}
}

static void any_start_and_length_is_read(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4", &micro, 19200);
	uint8_t back[600];
	fill(b.chip->flash, 1024, 9);
	fill(b.chip->eeprom, 1024, 77);
	for (uint32_t at = 0; at < 4; at++)
		for (size_t len = 1; len < 600; len += len < 20 ? 1 : 37) {
			const uint8_t *const memories[] = {b.chip->flash, b.chip->eeprom};
			for (unsigned m = 0; m < 2; m++) {
				memset(back, 0, sizeof back);
				assert_int_equal(b.p->isp->read(b.p, m == 0 ? ISP_FLASH : ISP_EEPROM, at, back, len, soon(), &b.fault), 0);
				assert_memory_equal(back, memories[m] + at, len);
				if (len < sizeof back)
					assert_int_equal(back[len], 0);
			}
		}
	done(&b);
}

static void eeprom_is_written_at_any_address(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct bench b = entered("atmega8a", i == 0 ? &micro : &uno, 19200);
		uint8_t data[40];
		for (uint32_t at = 0; at < 4; at++)
			for (size_t len = 1; len < 40; len += 6) {
				fill(data, len, (unsigned)len + at);
				int64_t begin = virtual_now;
				assert_int_equal(b.p->isp->write(b.p, ISP_EEPROM, at, data, len, 0, soon(), &b.fault), 0);
				assert_true(virtual_now - begin < (int64_t)len * 20000000); /* the sketch's own way: 45 ms each */
				assert_memory_equal(b.chip->eeprom + at, data, len);
			}
		done(&b);
	}
}

static void above_128_kib_the_bank_is_told(void **state)
{
	(void)state;
	struct bench b = entered("at90usb1286", &micro, 19200);
	struct part big = *b.part;
	uint8_t back[512];
	fill(b.chip->flash, b.part->flash_bytes, 3);
	big.flash_bytes = 0x40000;
	assert_int_equal(b.p->isp->enter(b.p, &big, 0, NULL, soon(), &b.fault), 0);
	unsigned universals = b.device->commands[0x56], reads = b.device->commands[0x74];
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0x1FF80, back, 256, soon(), &b.fault), 0);
	assert_int_equal(b.device->commands[0x74] - reads, 2); /* not across the border */
	assert_int_equal(b.device->commands[0x56] - universals, 2);
	done(&b);
}

static void another_page_size_is_told(void **state)
{
	(void)state;
	struct bench b = bench_of("atmega32u4", true, 19200);
	uint8_t data[128];
	open_as(&b, &micro);
	fill(data, sizeof data, 1);
	memset(b.chip->flash, 0xFF, b.part->flash_bytes);
	assert_int_equal(b.p->isp->enter(b.p, NULL, 0, NULL, soon(), &b.fault), 0);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x80, data, 128, 128, soon(), &b.fault), 0);
	assert_memory_equal(b.chip->flash + 0x80, data, 128);
	assert_int_equal(b.chip->commits, 1);
	assert_int_equal(b.p->isp->write(b.p, ISP_FLASH, 0x40, data, 128, 128, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_WRITE);
	done(&b);
}

/* ---- troubles */

static struct wire *make_native(struct isp_chip *chip)
{
	return &isp_stk_new(chip, true, 19200)->wire;
}

static struct wire *make_uart(struct isp_chip *chip)
{
	return &isp_stk_new(chip, false, 115200)->wire;
}

static const struct serial_pod pods[2] = {
        {&programmer_stk500v1, {.vendor = 0x2341, .product = 0x8037}, make_native},
        {&programmer_stk500v1, {.vendor = 0x2341, .product = 0x0043}, make_uart},
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
	struct bench b = entered("atmega32u4", &micro, 19200);
	uint8_t back[16];
	b.device->wire.dev = virtual_now + 3600000000000; /* it hangs */
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 16, deadline_in_ms(300), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_TIMEOUT);
	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 16, deadline_in_ms(20000), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_PROGRAMMER_LOST);
	end(&b);
}

static void a_late_answer_is_not_taken_for_the_next_ones(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4", &uno, 19200);
	uint8_t back[256], in[4];
	static const uint8_t signature[4] = {0x30, 0x00, 0x01, 0x00};

	assert_int_equal(b.p->isp->read(b.p, ISP_FLASH, 0, back, 256, deadline_in_ms(30), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_TIMEOUT);
	assert_int_equal(b.p->isp->command(b.p, signature, in, soon(), &b.fault), 0);
	assert_int_equal(in[3], 0x95);
	done(&b);
}

/* A stale byte in front shifts all answers by one. Found when the board is let go, where no fault can be told, the next
 * entry tells it, once. */
static void a_stale_answer_is_not_believed(void **state)
{
	(void)state;
	struct bench b = entered("atmega32u4", &micro, 19200);
	uint8_t in[4];
	static const uint8_t fuse[4] = {0x50, 0x00, 0x00, 0x00};

	wire_say(&b.device->wire, 0x10);
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_WRITE);
	assert_int_equal(b.p->isp->command(b.p, fuse, in, soon(), &b.fault), 0);
	wire_say(&b.device->wire, 0x10); /* found at an entry: no contact fault, which would be tried again */
	assert_int_equal(b.p->isp->enter(b.p, b.part, 0, NULL, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_VERIFY);
	enter(&b);
	wire_say(&b.device->wire, 0x10);
	b.p->isp->leave(b.p, soon());
	assert_int_equal(b.p->isp->enter(b.p, b.part, 0, NULL, soon(), &b.fault), -1);
	assert_int_equal(b.fault.code, FAIL_VERIFY);
	enter(&b);
	done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ids_of_boards_that_usually_are_one),
	        cmocka_unit_test(a_native_board_answers_at_once),
	        cmocka_unit_test(the_rate_is_found),
	        cmocka_unit_test(an_uno_is_met_in_its_bootloader),
	        cmocka_unit_test(a_bootloader_without_a_sketch_is_refused),
	        cmocka_unit_test(silence_ends_in_time),
	        cmocka_unit_test(half_a_command_is_ended),
	        cmocka_unit_test(nobody_there_is_found_out_fast),
	        cmocka_unit_test(every_entry_pulses_reset),
	        cmocka_unit_test(instructions_prove_that_the_board_is_there),
	        cmocka_unit_test(flash_is_written_and_read),
	        cmocka_unit_test(a_run_costs_little_more_than_the_sketch_itself),
	        cmocka_unit_test(any_start_and_length_is_read),
	        cmocka_unit_test(eeprom_is_written_at_any_address),
	        cmocka_unit_test(above_128_kib_the_bank_is_told),
	        cmocka_unit_test(another_page_size_is_told),
	        cmocka_unit_test(a_bad_byte_makes_no_good_board),
	        cmocka_unit_test(unplugged_at_every_point),
	        cmocka_unit_test(silence_is_the_programmers_fault),
	        cmocka_unit_test(a_late_answer_is_not_taken_for_the_next_ones),
	        cmocka_unit_test(a_stale_answer_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
