#include "fixtures/bench/pod.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
	struct part *part;
	struct pod *pod;
	int64_t now, took;
	uint8_t data[1024];
	uint16_t actual;
};

enum { IN = 0xC0, OUT = 0x40 };
enum {
	ECHO,
	READ,
	WRITE,
	CLR,
	SET,
	POWERUP,
	POWERDOWN,
	SPI,
	POLL_BYTES,
	FLASH_READ,
	FLASH_WRITE,
	EEPROM_READ,
	EEPROM_WRITE
};

static struct rig open_rig(const char *firmware, const char *part_name, bool charge)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pod_options pod = {.firmware = firmware, .charge_time = charge};
	struct pogo_error err = {0};
	struct rig rig = {.now = 1000000};

	rig.pod = pod_usbtiny_create(&pod);
	assert_non_null(rig.pod);
	rig.pod->ops->power(rig.pod, true, rig.now);
	if (!part_name)
		return rig;
	if (part_load(configs ? configs : "configs", part_name, &rig.part, &err))
		fail_msg("%s", err.text);
	rig.pod->target = target_create(rig.part, &options, 5);
	assert_non_null(rig.pod->target);
	return rig;
}

static void close_rig(struct rig *rig)
{
	if (rig->part)
		target_destroy(rig->pod->target);
	free(rig->part);
	rig->pod->ops->destroy(rig->pod);
}

static enum pod_outcome ask(struct rig *rig, uint8_t type, uint8_t request, uint32_t p,
                            uint16_t length)
{
	struct pod_control transfer = {
	        .setup = {type, request, (uint8_t)p, (uint8_t)(p >> 8), (uint8_t)(p >> 16),
	                  (uint8_t)(p >> 24), (uint8_t)length, (uint8_t)(length >> 8)},
	        .data = rig->data,
	        .start_ns = rig->now,
	};
	enum pod_outcome outcome = rig->pod->ops->control(rig->pod, &transfer);

	assert_true(transfer.end_ns >= rig->now);
	rig->took = transfer.end_ns - rig->now;
	rig->now = transfer.end_ns;
	rig->actual = transfer.actual;
	return outcome;
}

static unsigned in(struct rig *rig, uint8_t request, uint32_t p, uint16_t length)
{
	assert_int_equal(ask(rig, IN, request, p, length), POD_DONE);
	return rig->actual;
}

static uint8_t spi(struct rig *rig, uint32_t instruction)
{
	assert_int_equal(in(rig, SPI, __builtin_bswap32(instruction), 4), 4);
	return rig->data[3];
}

static void rest(struct rig *rig, unsigned us)
{
	rig->now += us * (int64_t)1000;
}

static void start(struct rig *rig, uint8_t period)
{
	in(rig, POWERUP, period | 1 << 16, 0);
	in(rig, POWERUP, period, 0);
	rest(rig, 50000);
	spi(rig, 0xAC530000);
	assert_int_equal(rig->data[2], 0x53);
}

static void start_erased(struct rig *rig, uint8_t period)
{
	start(rig, period);
	spi(rig, 0xAC800000);
	rest(rig, 10000);
	start(rig, period);
}

static uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 31 + 1);
}

static void write_block(struct rig *rig, uint8_t request, uint32_t at, uint16_t length,
                        uint16_t timeout_us)
{
	for (uint32_t i = 0; i < length; i++)
		rig->data[i] = pattern(at + i);
	assert_int_equal(ask(rig, OUT, request, timeout_us | (at & 0xFFFF) << 16, length),
	                 POD_DONE);
	assert_int_equal(rig->actual, length);
}

static uint64_t violations(const struct rig *rig)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(rig->pod->target, (enum target_violation_kind)i);
	return sum;
}

static void each_version_describes_itself(void **state)
{
	static const struct {
		const char *name;
		uint8_t release, product;
	} versions[] = {{"1.04", 4, 0}, {"1.05", 5, 2}, {"1.06", 6, 2}};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rig rig = open_rig(versions[i].name, NULL, true);
		assert_int_equal(rig.pod->speed, 1);
		assert_int_equal(ask(&rig, 0x80, 6, 0x0100, 18), POD_DONE);
		assert_memory_equal(rig.data + 8, "\x81\x17\x9F\x0C", 4);
		assert_int_equal(rig.data[12], versions[i].release);
		assert_int_equal(rig.data[15], versions[i].product);
		assert_int_equal(rig.data[16], 0); /* never a serial number */
		assert_int_equal(ask(&rig, 0x80, 6, 0x0302, 255), POD_DONE);
		assert_int_equal(rig.actual, versions[i].product ? 22 : 0);
		assert_int_equal(ask(&rig, 0x80, 6, 0x0309, 255),
		                 POD_DONE); /* unknown: nothing, no STALL */
		assert_int_equal(rig.actual, 0);
		close_rig(&rig);
	}
	assert_null(pod_usbtiny_create(&(struct pod_options){.firmware = "1.99"}));
}

static void what_it_does_not_know_has_no_bytes(void **state)
{
	(void)state;
	struct rig rig = open_rig(NULL, "atmega32u4", true);
	assert_int_equal(in(&rig, ECHO, 0x44332211, 8), 8);
	assert_memory_equal(rig.data, "\xC0\x00\x11\x22\x33\x44\x08\x00", 8);
	assert_int_equal(in(&rig, 99, 0, 8), 0);
	assert_int_equal(ask(&rig, OUT, 99, 0, 8), POD_DONE);
	/* before POWERUP nothing from SPI on */
	assert_int_equal(in(&rig, SPI, 0x000053AC, 4), 0);
	assert_int_equal(in(&rig, FLASH_READ, 0, 64), 0);
	assert_int_equal(in(&rig, EEPROM_READ, 0, 64), 0);
	start(&rig, 10);
	assert_int_equal(in(&rig, FLASH_READ, 0, 64), 64);
	in(&rig, POWERDOWN, 0, 0);
	assert_int_equal(in(&rig, FLASH_READ, 0, 64), 0);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void lengths_are_counted_in_eight_bits(void **state)
{
	(void)state;
	struct rig rig = open_rig(NULL, "atmega32u4", false);
	start(&rig, 10);
	assert_int_equal(in(&rig, FLASH_READ, 0, 255), 255);
	assert_int_equal(in(&rig, FLASH_READ, 0, 256), 255);
	assert_int_equal(in(&rig, FLASH_READ, 0, 512), 255);
	close_rig(&rig);
}

/* SCK is 1 / (P + 1.83 us): 353 kHz at P = 1, below a quarter of 2 MHz. */
static void it_reads_what_it_wrote(void **state)
{
	static const char *const versions[] = {"1.04", "1.05", "1.06"};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rig rig = open_rig(versions[i], "atmega32u4", true);
		start_erased(&rig, 1);
		for (uint32_t page = 0; page < 4; page++) {
			uint32_t at = 0x200 + 128 * page, word = at / 2;
			write_block(&rig, FLASH_WRITE, at, 128, 0);
			spi(&rig, 0x4C000000 | word << 8);
			rest(&rig, 4500);
		}
		for (uint32_t at = 0x200; at < 0x400; at += 128) {
			assert_int_equal(in(&rig, FLASH_READ, at << 16, 128), 128);
			for (uint32_t k = 0; k < 128; k++)
				assert_int_equal(rig.data[k], pattern(at + k));
		}
		assert_int_equal(spi(&rig, 0x28000000 | 0x100 << 8), pattern(0x201));
		assert_int_equal(violations(&rig), 0);
		close_rig(&rig);
	}
}

/* EEPROM addresses are doubled inside; each byte is polled until it has its value or the time is
 * over. */
static void eeprom_is_polled(void **state)
{
	(void)state;
	struct rig rig = open_rig(NULL, "atmega32u4", true);
	struct target_view view;
	start_erased(&rig, 1);
	in(&rig, POLL_BYTES, 0xFFFF, 0);
	int64_t begin = rig.now;
	write_block(&rig, EEPROM_WRITE, 0x155, 4, 20000);
	assert_in_range(rig.now - begin, 4 * INT64_C(3000000), 4 * INT64_C(12000000));
	assert_int_equal(in(&rig, EEPROM_READ, 0x155 << 16, 4), 4);
	for (uint32_t k = 0; k < 4; k++)
		assert_int_equal(rig.data[k], pattern(0x155 + k));
	target_view(rig.pod->target, &view);
	assert_int_equal(view.eeprom[0x158], pattern(0x158));
	assert_int_equal(violations(&rig), 0);
	/* a byte that is a poll byte waits for the whole time, which it counts as 32 us a turn */
	rig.data[0] = 0xFF;
	begin = rig.now;
	assert_int_equal(ask(&rig, OUT, EEPROM_WRITE, 20000 | 0x20u << 16, 1), POD_DONE);
	assert_true(rig.now - begin > 20 * INT64_C(1000000));
	close_rig(&rig);
}

/* A page above 64 KiB can be loaded, because loading looks at the low bits alone, and committed by
 * the host's own instruction; FLASH_READ loses bit 15 of the word address. */
static void above_64_kib_reads_come_from_below(void **state)
{
	(void)state;
	struct rig rig = open_rig(NULL, "at90usb1286", false);
	start_erased(&rig, 1);
	write_block(&rig, FLASH_WRITE, 0x10000, 256, 0);
	spi(&rig, 0x4C800000);
	rest(&rig, 4500);
	assert_int_equal(in(&rig, FLASH_READ, 0, 128), 128); /* 10000 in 16 bits */
	assert_int_equal(rig.data[0], 0xFF);
	assert_int_equal(spi(&rig, 0x20800000), pattern(0x10000));
	assert_int_equal(spi(&rig, 0x28800000), pattern(0x10001));
	/* and a read over the end goes on at the beginning */
	write_block(&rig, FLASH_WRITE, 0, 256, 0);
	spi(&rig, 0x4C000000);
	rest(&rig, 4500);
	assert_int_equal(in(&rig, FLASH_READ, 0xFFF0u << 16, 32), 32);
	assert_int_equal(rig.data[15], 0xFF);
	assert_int_equal(rig.data[16], pattern(0));
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

/* Milliseconds of 128 bytes and of one instruction as measured on the 1.06 binary with three
 * transactions in a frame (jwatte/usbtiny on a cycle-exact controller), from the SETUP, which waits
 * 0.3 ms here, on. */
static void times_are_those_of_the_firmware(void **state)
{
	static const struct {
		uint8_t period;
		double write_ms, read_ms;
	} rows[] = {{1, 32.3, 32.2}, {5, 48.3, 47.7}, {10, 79.6, 64.7}};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct rig rig = open_rig("1.06", NULL, true);
		in(&rig, POWERUP, rows[i].period, 0);
		memset(rig.data, 0, 128);
		rig.now = (rig.now / 1000000 + 1) * 1000000;
		assert_int_equal(ask(&rig, OUT, FLASH_WRITE, 0, 128), POD_DONE);
		double write_ms = (double)rig.took / 1e6;
		rig.now = (rig.now / 1000000 + 1) * 1000000;
		assert_int_equal(in(&rig, FLASH_READ, 0, 128), 128);
		double read_ms = (double)rig.took / 1e6;
		rig.now = (rig.now / 1000000 + 1) * 1000000;
		in(&rig, SPI, 0, 4);
		printf("P %u: write %.1f (measured %.1f), read %.1f (%.1f), instruction %.1f ms\n",
		       rows[i].period, write_ms, rows[i].write_ms, read_ms, rows[i].read_ms,
		       (double)rig.took / 1e6);
		assert_true(write_ms > rows[i].write_ms - 1.2 && write_ms < rows[i].write_ms + 1.2);
		assert_true(read_ms > rows[i].read_ms - 1.2 && read_ms < rows[i].read_ms + 1.2);
		assert_in_range(rig.took, 400000, 1800000);
		close_rig(&rig);
	}
}

static void plugs_and_faults(void **state)
{
	(void)state;
	struct rig rig = open_rig(NULL, "atmega32u4", true);
	start(&rig, 10);
	rig.pod->faults.stall_after = 20;
	assert_int_equal(ask(&rig, IN, FLASH_READ, 0, 64), POD_STALL);
	assert_int_equal(rig.actual, 24);
	rig.pod->faults.hang_after = 1;
	assert_int_equal(ask(&rig, IN, FLASH_READ, 0, 64), POD_HANGS);
	assert_int_equal(ask(&rig, IN, ECHO, 0, 8), POD_HANGS);
	rig.pod->ops->power(rig.pod, false, rig.now);
	assert_int_equal(ask(&rig, IN, ECHO, 0, 8), POD_GONE);
	rig.pod->ops->power(rig.pod, true, rig.now);
	assert_int_equal(in(&rig, SPI, 0, 4), 0); /* cold */
	start(&rig, 10);
	rig.pod->faults.unplug_after = 100;
	assert_int_equal(ask(&rig, IN, FLASH_READ, 0, 128), POD_GONE);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_version_describes_itself),
	        cmocka_unit_test(what_it_does_not_know_has_no_bytes),
	        cmocka_unit_test(lengths_are_counted_in_eight_bits),
	        cmocka_unit_test(it_reads_what_it_wrote),
	        cmocka_unit_test(eeprom_is_polled),
	        cmocka_unit_test(above_64_kib_reads_come_from_below),
	        cmocka_unit_test(times_are_those_of_the_firmware),
	        cmocka_unit_test(plugs_and_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
