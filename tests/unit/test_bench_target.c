#include "fixtures/bench/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct line { /* a chip and the one who clocks it */
	struct part *part;
	struct target *target;
	int64_t now;
	uint32_t sck;
	uint8_t in[4];
};

static struct part *load(const char *name)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct pogo_error err = {0};
	struct part *part = NULL;

	if (part_load(configs ? configs : "configs", name, &part, &err))
		fail_msg("%s", err.text);
	return part;
}

static struct line open_line(const char *name, struct target_options options)
{
	struct line line = {.part = load(name), .now = 1000000, .sck = 93750};

	line.target = target_create(line.part, &options, 77);
	assert_non_null(line.target);
	return line;
}

static struct line open_plain(const char *name)
{
	return open_line(name, (struct target_options){.crystal_hz = 16000000, .seed = 4});
}

static void close_line(struct line *line)
{
	target_destroy(line->target);
	free(line->part);
}

static uint8_t op(struct line *line, uint8_t b1, uint8_t b2, uint8_t b3, uint8_t b4)
{
	uint8_t out[4] = {b1, b2, b3, b4};

	for (unsigned i = 0; i < 4; i++) {
		line->in[i] = target_spi(line->target, out[i], line->sck, line->now);
		line->now += 8000000000 / line->sck + 1;
	}
	return line->in[3];
}

static void rest(struct line *line, unsigned us)
{
	line->now += us * (int64_t)1000;
}

static void pulse(struct line *line)
{
	target_reset_pin(line->target, true, line->now);
	rest(line, 10);
	target_reset_pin(line->target, false, line->now);
	rest(line, 20000);
}

static bool enable(struct line *line)
{
	pulse(line);
	op(line, 0xAC, 0x53, 0x00, 0x00);
	return line->in[2] == 0x53;
}

static void erase(struct line *line)
{
	op(line, 0xAC, 0x80, 0, 0);
	rest(line, 9000);
}

static void set_fuse(struct line *line, uint8_t which, uint8_t value)
{
	op(line, 0xAC, which, 0, value);
	rest(line, 9000);
}

static void load_word(struct line *line, uint8_t word, uint8_t low, uint8_t high)
{
	op(line, 0x40, 0, word, low);
	op(line, 0x48, 0, word, high);
}

static uint64_t violations(const struct line *line)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(line->target, (enum target_violation_kind)i);
	return sum;
}

#define expect_only(line, kind, n)                                                                 \
	do {                                                                                       \
		assert_int_equal(target_violations((line)->target, kind), n);                      \
		assert_int_equal(violations(line), n);                                             \
	} while (0)

static struct target_view view(const struct line *line)
{
	struct target_view it;

	target_view(line->target, &it);
	return it;
}

static char *dump(const struct line *line) /* caller frees with free() */
{
	struct jsonw json;
	char *text;

	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	target_dump(line->target, &json, "target");
	jsonw_close(&json, '}');
	assert_true(jsonw_ok(&json));
	text = strdup(json.text);
	jsonw_finish(&json);
	assert_non_null(text);
	for (char *from = text, *to = text; (*to = *from);
	     from++) /* spaces are a matter of taste */
		to += *from != ' ' && *from != '\n';
	return text;
}

static void test_enable_echo_and_signature(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	assert_int_equal(op(&line, 0xAC, 0x53, 0, 0), 0xFF); /* RESET is high: the keyboard runs */
	assert_true(enable(&line));
	assert_int_equal(op(&line, 0x30, 0xA5, 0, 0), 0x1E);
	assert_int_equal(line.in[1], 0x30);
	assert_int_equal(line.in[2], 0xA5);
	assert_int_equal(op(&line, 0x30, 0, 1, 0), 0x95);
	assert_int_equal(op(&line, 0x30, 0, 2, 0), 0x87);
	op(&line, 0x4D, 0, 0, 0);
	assert_int_equal(line.in[2], 0);
	assert_int_equal(violations(&line), 0);
	op(&line, 0xE7, 0, 0, 0);
	expect_only(&line, VIOLATION_UNKNOWN, 1);
	close_line(&line);
}

static void test_lost_byte_shifts_the_frame_until_reset(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	pulse(&line);
	target_spi(line.target, 0x00, line.sck, line.now);
	op(&line, 0xAC, 0x53, 0, 0);
	assert_int_not_equal(line.in[2], 0x53);
	assert_int_not_equal(line.in[3], 0x53);
	assert_true(enable(&line));
	target_spi(line.target, 0x00, line.sck, line.now);
	op(&line, 0x30, 0, 0, 0);
	assert_int_not_equal(line.in[3], 0x1E);
	assert_true(enable(&line));
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
	close_line(&line);
}

static void test_nothing_before_enable(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	pulse(&line);
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0xFF);
	expect_only(&line, VIOLATION_NO_ENABLE, 0); /* the question may be asked */
	assert_int_equal(op(&line, 0x58, 0, 0, 0), 0xFF);
	expect_only(&line, VIOLATION_NO_ENABLE, 1);
	close_line(&line);
}

static void test_too_fast_is_silent(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct line line =
		        open_line("atmega32u4",
		                  (struct target_options){.crystal_hz = 16000000, .seed = seed});

		assert_int_equal(target_cpu_hz(line.target), 2000000);
		line.sck = 500000; /* must be below a quarter */
		for (unsigned i = 0; i < 40; i++)
			assert_false(enable(&line));
		assert_int_equal(violations(&line), 0);
		line.sck = 375000;
		assert_true(enable(&line));
		line.sck = 1500000;
		for (unsigned i = 0; i < 8; i++)
			assert_int_not_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
		expect_only(&line, VIOLATION_SCK, 32);
		close_line(&line);
	}
}

static void test_sck_limit_from_12_mhz_is_a_sixth(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	assert_true(enable(&line));
	erase(&line);
	enable(&line);
	set_fuse(&line, 0xA0, 0xFF);
	pulse(&line);
	assert_int_equal(target_cpu_hz(line.target), 16000000);
	line.sck = 2666667;
	assert_false(enable(&line));
	line.sck = 2600000;
	assert_true(enable(&line));
	close_line(&line);
}

static void test_no_clock_is_dead(void **state)
{
	struct line line = open_line("atmega32u4", (struct target_options){.crystal_hz = 0});
	struct line rc = open_line("atmega32u4", (struct target_options){.rc_variant = true});

	(void)state;
	line.sck = 500;
	assert_false(enable(&line));
	assert_int_equal(line.in[2], 0xFF);
	assert_int_equal(target_cpu_hz(rc.target), 1000000);
	assert_true(enable(&rc));
	assert_int_equal(op(&rc, 0x50, 0, 0, 0), 0x52);
	assert_int_equal(op(&rc, 0x50, 8, 0, 0) & 0x0F, 0x0B);
	assert_int_equal(op(&rc, 0x58, 0, 0, 0) & 0x3F, 0x3F);
	set_fuse(&rc, 0xA0, 0xD0); /* external clock */
	assert_int_equal(op(&rc, 0x50, 0, 0, 0), 0xD0);
	assert_false(enable(&rc));
	close_line(&line);
	close_line(&rc);
}

/* The oscillator has the gain of the range that CKSEL chose; a crystal outside does not run. */
/* 28.8.2: wait for at least 20 ms; a further short pulse on RESET needs no further wait. */
static void test_enable_comes_20_ms_after_reset(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	target_reset_pin(line.target, false, line.now);
	rest(&line, 15000);
	op(&line, 0xAC, 0x53, 0, 0);
	assert_int_equal(line.in[2], 0xFF);
	rest(&line, 5000);
	target_reset_pin(line.target, true, line.now);
	rest(&line, 5);
	target_reset_pin(line.target, false, line.now);
	op(&line, 0xAC, 0x53, 0, 0);
	assert_int_equal(line.in[2], 0x53);
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
	target_reset_pin(line.target, true, line.now);
	rest(&line, 2000);
	target_reset_pin(line.target, false, line.now);
	rest(&line, 19000);
	op(&line, 0xAC, 0x53, 0, 0);
	assert_int_equal(line.in[2], 0xFF);
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

static void test_crystal_outside_its_range_is_dead(void **state)
{
	static const struct {
		const char *part;
		uint8_t low, high;
		uint32_t crystal, cpu;
	} rows[] = {
	        {"atmega32u4", 0xDE, 0x99, 16000000, 16000000},
	        {"atmega32u4", 0xDE, 0x99, 20000000, 0},
	        {"atmega32u4", 0xDC, 0x99, 16000000, 0},
	        {"atmega32u4", 0xDC, 0x99, 8000000, 8000000},
	        {"atmega32u4", 0xD8, 0x99, 8000000, 0},
	        {"atmega328p", 0xD7, 0xD9, 20000000, 20000000}, /* full swing */
	        {"atmega32a", 0xFF, 0x99, 16000000, 0},         /* CKOPT unprogrammed: 8 MHz */
	        {"atmega32a", 0xFF, 0x99, 8000000, 8000000},
	        {"atmega32a", 0xFF, 0x89, 16000000, 16000000}, /* CKOPT */
	        {"atmega8a", 0xFF, 0xD9, 12000000, 0},
	        {"atmega8a", 0xFF, 0xC9, 12000000, 12000000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct part *part = load(rows[i].part);
		struct target_options options = {.crystal_hz = rows[i].crystal};
		struct target *target;

		part->fuse_factory[FUSE_LOW] = rows[i].low;
		part->fuse_factory[FUSE_HIGH] = rows[i].high;
		target = target_create(part, &options, 1);
		assert_int_equal(target_cpu_hz(target), rows[i].cpu);
		target_destroy(target);
		free(part);
	}
}

static void test_factory_32u4_is_locked(void **state)
{
	struct line line = open_plain("atmega32u4");

	(void)state;
	assert_true(enable(&line));
	assert_int_equal(op(&line, 0x58, 0, 0, 0) & 0x3F, 0x2C);
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0x5E);
	assert_int_equal(op(&line, 0x58, 8, 0, 0), 0x99);
	assert_int_equal(op(&line, 0x50, 8, 0, 0) & 0x0F, 0x03);
	for (uint8_t i = 0; i < 16; i++)
		assert_int_equal(op(&line, 0x20, 0x38, i, 0),
		                 i); /* useless, although a bootloader is there */
	assert_int_equal(op(&line, 0xA0, 0, 0, 0), 0xFF);
	assert_int_equal(violations(&line), 0);
	load_word(&line, 0, 1, 2);
	op(&line, 0x4C, 0, 0, 0);
	op(&line, 0xC0, 0, 0, 1);
	op(&line, 0xAC, 0xA0, 0, 0xFF);
	op(&line, 0xAC, 0xE0, 0, 0xC0);
	expect_only(&line, VIOLATION_LOCKED, 4);
	assert_int_equal(view(&line).flash[0], 0xFF);
	assert_int_equal(view(&line).fuses[0], 0x5E);
	erase(&line);
	enable(&line);
	assert_int_equal(op(&line, 0x58, 0, 0, 0) & 0x3F, 0x3F);
	for (unsigned i = 0; i < 32768; i++)
		assert_int_equal(view(&line).flash[i], 0xFF);
	close_line(&line);
}

static struct line open_erased(const char *name)
{
	struct line line = open_plain(name);

	assert_true(enable(&line));
	erase(&line);
	assert_true(enable(&line));
	return line;
}

static void test_page_write_and_record(void **state)
{
	struct line line = open_erased("atmega32u4");
	char *text;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		load_word(&line, (uint8_t)i, (uint8_t)i, (uint8_t)(0x80 + i));
	op(&line, 0x4C, 0x01, 0x7F, 0); /* low bits of the address do not count */
	assert_int_equal(op(&line, 0x20, 0x01, 0x40, 0), 0xFF); /* polling while it is written */
	assert_int_equal(op(&line, 0xF0, 0, 0, 0) & 1, 1);
	rest(&line, 4500);
	assert_int_equal(op(&line, 0xF0, 0, 0, 0) & 1, 0);
	assert_int_equal(violations(&line), 0);
	for (uint8_t i = 0; i < 60; i++) {
		assert_int_equal(op(&line, 0x20, 0x01, 0x40 + i, 0), i);
		assert_int_equal(op(&line, 0x28, 0x01, 0x40 + i, 0), 0x80 + i);
	}
	text = dump(&line);
	assert_non_null(
	        strstr(text, "\"flash_record\":{\"erased\":32768,\"written\":128,\"read_back\":120,"
	                     "\"written_not_read\":[[760,8]],\"written_twice\":[]}"));
	assert_non_null(strstr(text, "\"signature\":\"1E9587\""));
	assert_non_null(strstr(text, "\"busy\":0,\"sck\":0,"));
	assert_non_null(strstr(text, "\"cpu_hz\":2000000"));
	free(text);
	/* The buffer was emptied: the next page write changes nothing. */
	op(&line, 0x4C, 0x01, 0x40, 0);
	rest(&line, 4500);
	assert_int_equal(view(&line).flash[0x282], 1);
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

static void test_not_erased_and_order(void **state)
{
	struct line line = open_erased("atmega32u4");

	(void)state;
	load_word(&line, 3, 0x0F, 0xFF);
	op(&line, 0x4C, 0, 0, 0);
	rest(&line, 4500);
	load_word(&line, 3, 0xF5, 0xFF);
	op(&line, 0x4C, 0, 0, 0);
	rest(&line, 4500);
	expect_only(&line, VIOLATION_NOT_ERASED, 1);
	assert_int_equal(view(&line).flash[6], 0x05);
	load_word(&line, 3, 0x01, 0xFF); /* only clears bits: legal */
	op(&line, 0x4C, 0, 0, 0);
	rest(&line, 4500);
	expect_only(&line, VIOLATION_NOT_ERASED, 1);
	op(&line, 0x48, 0, 9, 0x11);
	assert_int_equal(target_violations(line.target, VIOLATION_ORDER), 1);
	close_line(&line);
}

static void test_page_buffer_is_lost_by_reset(void **state)
{
	struct line line = open_erased("atmega32u4");

	(void)state;
	load_word(&line, 0, 1, 2);
	assert_true(enable(&line));
	op(&line, 0x4C, 0, 0, 0);
	assert_int_equal(view(&line).flash[0], 0xFF);
	close_line(&line);
}

static void test_busy(void **state)
{
	struct line line = open_plain("atmega328p");

	(void)state;
	assert_true(enable(&line));
	op(&line, 0xAC, 0x80, 0, 0);
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0xFF);
	expect_only(&line, VIOLATION_BUSY, 1);
	assert_int_equal(op(&line, 0x20, 0, 0, 0), 0xFF); /* reading polls a write, not an erase */
	expect_only(&line, VIOLATION_BUSY, 2);
	target_reset_pin(line.target, true, line.now);
	expect_only(&line, VIOLATION_BUSY, 3);
	target_reset_pin(line.target, false, line.now);
	op(&line, 0xAC, 0x53, 0, 0);
	assert_int_not_equal(line.in[2], 0x53);
	expect_only(&line, VIOLATION_BUSY, 4);
	rest(&line, 9000);
	assert_true(enable(&line));
	op(&line, 0xC0, 0, 0, 0x12);
	assert_int_equal(op(&line, 0xA0, 0, 0, 0), 0xFF);
	expect_only(&line, VIOLATION_BUSY, 4);
	rest(&line, 3600);
	assert_int_equal(op(&line, 0xA0, 0, 0, 0), 0x12);
	/* A fuse reads as it was until its write is over; another write meanwhile is lost. */
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0x62);
	op(&line, 0xAC, 0xA0, 0, 0xE2);
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0x62);
	expect_only(&line, VIOLATION_BUSY, 4);
	op(&line, 0xAC, 0xA8, 0, 0xD8);
	expect_only(&line, VIOLATION_BUSY, 5);
	rest(&line, 4500);
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0xE2);
	assert_int_equal(op(&line, 0x58, 0x08, 0, 0), 0xD9);
	op(&line, 0xAC, 0xA0, 0, 0xE2);
	op(&line, 0xAC, 0xA8, 0, 0xD1); /* too early: ignored */
	expect_only(&line, VIOLATION_BUSY, 6);
	assert_int_equal(view(&line).fuses[FUSE_HIGH], 0xD9);
	target_let_go(line.target, line.now); /* the plug: nobody's mistake */
	expect_only(&line, VIOLATION_BUSY, 6);
	close_line(&line);
}

static void test_fuses_count_after_reset_and_spien_stays(void **state)
{
	struct line line = open_erased("atmega32u4");

	(void)state;
	set_fuse(&line, 0xA0, 0xFF);
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0xFF);
	assert_int_equal(target_cpu_hz(line.target), 2000000);
	set_fuse(&line, 0xA8, 0xF9);
	assert_int_equal(op(&line, 0x58, 8, 0, 0), 0xD9);
	pulse(&line);
	assert_int_equal(target_cpu_hz(line.target), 16000000);
	line.sck = 1500000;
	assert_true(enable(&line));
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

static void test_eesave(void **state)
{
	struct line line = open_erased("atmega328p");

	(void)state;
	op(&line, 0xC0, 0x01, 0x02, 0x42);
	rest(&line, 3600);
	set_fuse(&line, 0xA8, 0xD1); /* EESAVE, at once */
	erase(&line);
	enable(&line);
	assert_int_equal(op(&line, 0xA0, 0x01, 0x02, 0), 0x42);
	set_fuse(&line, 0xA8, 0xD9);
	erase(&line);
	enable(&line);
	assert_int_equal(op(&line, 0xA0, 0x01, 0x02, 0), 0xFF);
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

static void test_eeprom_page_writes_only_what_was_loaded(void **state)
{
	struct line line = open_erased("atmega32u4");

	(void)state;
	for (uint8_t i = 0; i < 4; i++) {
		op(&line, 0xC0, 0, 8 + i, i);
		rest(&line, 9000);
	}
	op(&line, 0xC1, 0, 1, 0xAA);
	op(&line, 0xC2, 0, 8, 0);
	rest(&line, 9000);
	assert_memory_equal(view(&line).eeprom + 8, "\x00\xAA\x02\x03", 4);
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

static void test_lock_bits_only_fall(void **state)
{
	struct line line = open_erased("atmega328p");

	(void)state;
	set_fuse(&line, 0xE0, 0xEF);
	assert_int_equal(op(&line, 0x58, 0, 0, 0) & 0x3F, 0x2F);
	set_fuse(&line, 0xE0, 0xFF);
	assert_int_equal(op(&line, 0x58, 0, 0, 0) & 0x3F, 0x2F);
	set_fuse(&line, 0xE0, 0xFE); /* LB mode 2: no writing, reading goes on */
	assert_int_equal(op(&line, 0x20, 0, 5, 0), 0xFF);
	op(&line, 0xAC, 0xA0, 0, 0xFF);
	expect_only(&line, VIOLATION_LOCKED, 1);
	set_fuse(&line, 0xE0, 0xFC);
	expect_only(&line, VIOLATION_LOCKED, 1);
	assert_int_equal(op(&line, 0x20, 0, 5, 0), 5); /* mode 3 */
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
	close_line(&line);
}

static void test_debugwire_and_rstdisbl_end_isp_after_reset(void **state)
{
	static const uint8_t values[] = {0x99, 0x59};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct line line = open_erased("atmega328p");

		set_fuse(&line, 0xA8, values[i]);
		assert_int_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
		assert_false(enable(&line));
		close_line(&line);
	}
}

static void test_two_fuse_part(void **state)
{
	struct line line = open_plain("atmega32a");

	(void)state;
	assert_int_equal(target_cpu_hz(line.target), 1000000);
	assert_true(enable(&line));
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0xE1);
	assert_int_equal(violations(&line), 0);
	op(&line, 0x50, 8, 0, 0);
	op(&line, 0xAC, 0xA4, 0, 0xFF);
	op(&line, 0xF0, 0, 0, 0);
	op(&line, 0xC1, 0, 0, 0);
	expect_only(&line, VIOLATION_UNKNOWN, 4);
	assert_int_not_equal(op(&line, 0x38, 0, 3, 0), 0xFF); /* four calibration bytes */
	close_line(&line);
}

static void test_missing_bits_read_by_seed(void **state)
{
	uint8_t ones = 0, zeros = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 32; seed++) {
		struct line line =
		        open_line("atmega32u4",
		                  (struct target_options){.crystal_hz = 16000000, .seed = seed});
		uint8_t fuse = view(&line).fuses[FUSE_EXT];

		assert_int_equal(fuse & 0x0F, 3);
		ones |= fuse & 0xF0;
		zeros |= (uint8_t)~fuse & 0xF0;
		ones |= view(&line).lock >> 6;
		zeros |= (uint8_t)~view(&line).lock >> 6;
		close_line(&line);
	}
	assert_int_equal(ones, 0xF3);
	assert_int_equal(zeros, 0xF3);
}

static void read_id(uint32_t serial, uint8_t id[10])
{
	struct part *part = load("atmega32u4");
	struct target_options options = {.crystal_hz = 16000000};
	struct line line = {
	        .sck = 93750, .target = target_create(part, &options, serial), .part = part};

	assert_true(enable(&line));
	for (uint8_t i = 0; i < 10; i++)
		id[i] = op(&line, i & 1 ? 0x38 : 0x30, 0, (uint8_t)((0x0E + i) / 2), 0);
	assert_int_not_equal(op(&line, 0x38, 0, 0, 0), 0xFF);
	close_line(&line);
}

static void test_silicon_id_is_unique(void **state)
{
	static const uint32_t serials[] = {1, 2, 257, 65537, 0x10000000};
	uint8_t ids[5][10];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		read_id(serials[i], ids[i]);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(ids[i], ids[k], 10);
	}
}

static void test_faults(void **state)
{
	struct line line = open_erased("atmega32u4");
	struct target_faults *faults = target_faults(line.target);

	(void)state;
	*faults = (struct target_faults){.stuck = true,
	                                 .stuck_address = 1,
	                                 .stuck_bit = 3,
	                                 .bad_byte = true,
	                                 .bad_address = 2,
	                                 .bad_xor = 0x40,
	                                 .fuse_stuck = true,
	                                 .lock_stuck = true};
	load_word(&line, 0, 0xFF, 0xFF);
	load_word(&line, 1, 0xFF, 0xFF);
	op(&line, 0x4C, 0, 0, 0);
	rest(&line, 4500);
	assert_int_equal(op(&line, 0x28, 0, 0, 0), 0xF7);
	assert_int_equal(op(&line, 0x20, 0, 1, 0), 0xBF);
	set_fuse(&line, 0xA0, 0xFF);
	assert_int_equal(op(&line, 0x50, 0, 0, 0), 0x5E);
	set_fuse(&line, 0xE0, 0xEF);
	assert_int_equal(op(&line, 0x58, 0, 0, 0) & 0x3F, 0x3F);
	*faults = (struct target_faults){
	        .no_erase = true, .wrong_chip = true, .slow_page_percent = 300};
	erase(&line);
	assert_int_equal(view(&line).flash[2], 0xBF);
	assert_int_equal(op(&line, 0x30, 0, 2, 0), 0x14);
	op(&line, 0x4C, 0, 0, 0);
	rest(&line, 13000);
	assert_int_equal(op(&line, 0xF0, 0, 0, 0) & 1, 1);
	rest(&line, 500);
	assert_int_equal(op(&line, 0xF0, 0, 0, 0) & 1, 0);
	assert_int_equal(violations(&line), 0);
	faults->no_contact = true;
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0xFF);
	close_line(&line);
}

static void test_contact_is_lost_after_bytes(void **state)
{
	struct line line =
	        open_line("atmega328p", (struct target_options){.faults.contact_lost_after = 10});

	(void)state;
	assert_true(enable(&line));
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0x1E);
	assert_int_equal(op(&line, 0x30, 0, 0, 0), 0xFF);
	assert_false(enable(&line));
	close_line(&line);
}

static void test_big_part_above_64_kib(void **state)
{
	struct line line = open_erased("at90usb1286");

	(void)state;
	load_word(&line, 127, 0x12, 0x34);
	op(&line, 0x4C, 0xFF, 0x80, 0);
	rest(&line, 4500);
	assert_int_equal(op(&line, 0x28, 0xFF, 0xFF, 0), 0x34);
	assert_int_equal(view(&line).flash[131070], 0x12);
	assert_int_equal(violations(&line), 0);
	close_line(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_enable_echo_and_signature),
	        cmocka_unit_test(test_lost_byte_shifts_the_frame_until_reset),
	        cmocka_unit_test(test_nothing_before_enable),
	        cmocka_unit_test(test_too_fast_is_silent),
	        cmocka_unit_test(test_sck_limit_from_12_mhz_is_a_sixth),
	        cmocka_unit_test(test_no_clock_is_dead),
	        cmocka_unit_test(test_enable_comes_20_ms_after_reset),
	        cmocka_unit_test(test_crystal_outside_its_range_is_dead),
	        cmocka_unit_test(test_factory_32u4_is_locked),
	        cmocka_unit_test(test_page_write_and_record),
	        cmocka_unit_test(test_not_erased_and_order),
	        cmocka_unit_test(test_page_buffer_is_lost_by_reset),
	        cmocka_unit_test(test_busy),
	        cmocka_unit_test(test_fuses_count_after_reset_and_spien_stays),
	        cmocka_unit_test(test_eesave),
	        cmocka_unit_test(test_eeprom_page_writes_only_what_was_loaded),
	        cmocka_unit_test(test_lock_bits_only_fall),
	        cmocka_unit_test(test_debugwire_and_rstdisbl_end_isp_after_reset),
	        cmocka_unit_test(test_two_fuse_part),
	        cmocka_unit_test(test_missing_bits_read_by_seed),
	        cmocka_unit_test(test_silicon_id_is_unique),
	        cmocka_unit_test(test_faults),
	        cmocka_unit_test(test_contact_is_lost_after_bytes),
	        cmocka_unit_test(test_big_part_above_64_kib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
