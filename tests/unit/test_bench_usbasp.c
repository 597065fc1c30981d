#include "fixtures/bench/pod.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static struct rig open_rig(const char *firmware, const char *part_name, bool charge)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pod_options pod = {.firmware = firmware, .charge_time = charge};
	struct pogo_error err = {0};
	struct rig rig = {.now = 1000000};

	rig.pod = pod_usbasp_create(&pod);
	assert_non_null(rig.pod);
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

static enum pod_outcome raw(struct rig *rig, uint8_t type, uint8_t request, uint32_t p,
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

static enum pod_outcome in(struct rig *rig, uint8_t request, uint32_t p, uint16_t length)
{
	return raw(rig, 0xC0, request, p, length);
}

static void rest(struct rig *rig, unsigned us)
{
	rig->now += us * (int64_t)1000;
}

/* Four bytes, first byte highest, as people write them. */
static uint8_t spi(struct rig *rig, uint32_t instruction)
{
	assert_int_equal(in(rig, 3, __builtin_bswap32(instruction), 4), POD_DONE);
	assert_int_equal(rig->actual, 4);
	return rig->data[3];
}

static bool start(struct rig *rig, uint8_t code)
{
	assert_int_equal(in(rig, 10, code, 4), POD_DONE);
	assert_int_equal(in(rig, 1, 0, 4), POD_DONE);
	assert_int_equal(rig->actual, 0);
	rest(rig, 20000);
	assert_int_equal(in(rig, 5, 0, 4), POD_DONE);
	assert_int_equal(rig->actual, 1);
	return rig->data[0] == 0;
}

static void start_erased(struct rig *rig, uint8_t code)
{
	assert_true(start(rig, code));
	spi(rig, 0xAC800000);
	rest(rig, 9000);
	assert_true(start(rig, code));
}

enum { FIRST = 1, LAST = 2 };

static enum pod_outcome write_block(struct rig *rig, unsigned page, unsigned flags, uint16_t length)
{
	uint32_t p = (page & 0xFF) << 16 | ((page >> 8) << 4 | flags) << 24;

	return raw(rig, 0x40, 6, p, length);
}

static const uint8_t *flash(const struct rig *rig)
{
	struct target_view view;

	target_view(rig->pod->target, &view);
	return view.flash;
}

static uint64_t violations(const struct rig *rig)
{
	uint64_t sum = 0;

	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(rig->pod->target, (enum target_violation_kind)i);
	return sum;
}

static void fill(struct rig *rig, unsigned seed, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		rig->data[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static void expect(const struct rig *rig, const uint8_t *bytes, unsigned seed, unsigned length)
{
	(void)rig;
	for (unsigned i = 0; i < length; i++)
		assert_int_equal(bytes[i], (uint8_t)(seed * 31 + i * 7 + (i >> 8)));
}

/* ---- what it says of itself
 * --------------------------------------------------------------------------- */

static void test_enumeration(void **state)
{
	static const char *const names[] = {"2007", "2009", "2011", "lc", "nr", "flash"};
	static const uint8_t releases[] = {2, 3, 4, 2, 8, 4};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct rig rig = open_rig(names[i], NULL, i & 1);

		assert_int_equal(rig.pod->speed, 1);
		assert_int_equal(raw(&rig, 0x80, 6, 0x0100, 64), POD_DONE);
		assert_int_equal(rig.actual, 18);
		assert_memory_equal(rig.data + 7, "\x08\xC0\x16\xDC\x05", 5);
		assert_int_equal(rig.data[12], releases[i]);
		assert_int_equal(raw(&rig, 0x00, 5, 7, 0), POD_DONE);
		assert_int_equal(raw(&rig, 0x80, 6, 0x0200, 9), POD_DONE);
		assert_int_equal(rig.actual, 9);
		assert_int_equal(raw(&rig, 0x80, 6, 0x0200, 18), POD_DONE);
		assert_int_equal(rig.actual, 18);
		assert_int_equal(raw(&rig, 0x80, 6, 0x0300, 255), POD_DONE);
		assert_memory_equal(rig.data, "\x04\x03\x09\x04", 4);
		assert_int_equal(raw(&rig, 0x80, 6, 0x0302, 255), POD_DONE);
		assert_int_equal(rig.actual, 14);
		assert_memory_equal(rig.data, "\x0E\x03U\0S\0B\0a\0s\0p\0", 14);
		assert_int_equal(raw(&rig, 0x00, 9, 1, 0), POD_DONE);
		assert_int_equal(raw(&rig, 0x80, 8, 0, 1), POD_DONE);
		assert_int_equal(rig.data[0], 1);
		assert_int_equal(raw(&rig, 0x80, 0, 0, 2), POD_DONE);
		assert_int_equal(rig.actual, 2);
		close_rig(&rig);
	}
	assert_null(pod_usbasp_create(&(struct pod_options){.firmware = "2010"}));
}

static void test_generations_by_request(void **state)
{
	static const struct {
		const char *name;
		unsigned capabilities, sck, tpi;
	} rows[] = {{"2007", 0, 0, 0},
	            {"2009", 0, 1, 0},
	            {"2011", 4, 1, 1},
	            {"lc", 0, 0, 0},
	            {"nr", 0, 1, 0},
	            {"flash", 4, 1, 1}};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct rig rig = open_rig(rows[i].name, "atmega32u4", true);

		assert_int_equal(in(&rig, 127, 0, 4), POD_DONE);
		assert_int_equal(rig.actual, rows[i].capabilities);
		if (rig.actual == 4) /* SCK code 13 is 3 MHz: bit 24 */
			assert_int_equal(rig.data[3], !strcmp(rows[i].name, "flash"));
		assert_int_equal(in(&rig, 10, 8, 4), POD_DONE);
		assert_int_equal(rig.actual, rows[i].sck);
		assert_int_equal(in(&rig, 13, 0, 4), POD_DONE);
		assert_int_equal(rig.actual, rows[i].tpi);
		assert_int_equal(in(&rig, 99, 0, 4), POD_DONE);
		assert_int_equal(rig.actual, 0);
		assert_int_equal(raw(&rig, 0x40, 99, 0, 20), POD_DONE);
		assert_int_equal(rig.actual, 20);
		close_rig(&rig);
	}
}

/* ---- programming
 * -------------------------------------------------------------------------------------- */

static void program_24_pages(bool charge)
{
	struct rig rig = open_rig("2011", "atmega32u4", charge);

	start_erased(&rig, 10);
	assert_int_equal(in(&rig, 9, 0x400, 4), POD_DONE);
	for (unsigned page = 0; page < 24; page++) {
		fill(&rig, page, 128);
		if (page == 5)
			rig.data[127] = 0xFF; /* not to be polled */
		assert_int_equal(write_block(&rig, 128, FIRST, 128), POD_DONE);
		assert_true(rig.took >= 4500000);
		assert_in_range(rig.took, 4500000, charge ? 40000000 : 16000000);
	}
	fill(&rig, 24, 60);
	assert_int_equal(write_block(&rig, 128, FIRST | LAST, 60), POD_DONE); /* the tail */
	for (unsigned page = 0; page < 24; page++)
		expect(&rig, flash(&rig) + 0x400 + page * 128, page, 127);
	expect(&rig, flash(&rig) + 0x400 + 24 * 128, 24, 60);
	assert_int_equal(flash(&rig)[0x400 + 24 * 128 + 60], 0xFF);
	assert_int_equal(in(&rig, 9, 0x400, 4), POD_DONE);
	for (unsigned page = 0; page < 24; page++) {
		assert_int_equal(in(&rig, 4, 0, 128), POD_DONE);
		assert_int_equal(rig.actual, 128);
		expect(&rig, rig.data, page, 127);
	}
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void test_24_pages_and_a_tail(void **state)
{
	(void)state;
	program_24_pages(true);
	program_24_pages(false);
}

static void test_old_address_mode_and_missing_last(void **state)
{
	struct rig rig = open_rig("2009", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	fill(&rig, 1, 64);
	assert_int_equal(raw(&rig, 0x40, 6, 0x0080 | 128u << 16 | (uint32_t)FIRST << 24, 64),
	                 POD_DONE);
	assert_int_equal(flash(&rig)[0x80], 0xFF);
	fill(&rig, 2, 64);
	assert_int_equal(raw(&rig, 0x40, 6, 0x00C0 | 128u << 16, 64),
	                 POD_DONE); /* its second half commits */
	expect(&rig, flash(&rig) + 0x80, 1, 64);
	expect(&rig, flash(&rig) + 0xC0, 2, 64);
	fill(&rig, 3, 60);
	assert_int_equal(raw(&rig, 0x40, 6, 0x0100 | 128u << 16 | (uint32_t)FIRST << 24, 60),
	                 POD_DONE);
	assert_int_equal(flash(&rig)[0x100], 0xFF); /* stays in the page buffer */
	assert_int_equal(in(&rig, 4, 0x0081, 3), POD_DONE);
	assert_int_equal(rig.data[0], (uint8_t)(31 + 7));
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void test_long_write_commits_in_the_middle(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", true);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	fill(&rig, 9, 1024);
	assert_int_equal(write_block(&rig, 128, FIRST, 1024), POD_DONE);
	assert_int_equal(rig.actual, 1024);
	expect(&rig, flash(&rig), 9, 1024);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void test_page_256_above_64_kib(void **state)
{
	static const char *const names[] = {"2007", "2011", "nr"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct rig rig = open_rig(names[i], "at90usb1286", false);

		in(&rig, 10, 10, 4);
		if (i == 0) /* 375 kHz for ever: needs a part that already runs fast */
			rig.part->fuse_factory[FUSE_LOW] = 0xDE;
		target_destroy(rig.pod->target);
		rig.pod->target = target_create(
		        rig.part, &(struct target_options){.crystal_hz = 16000000}, 1);
		in(&rig, 1, 0, 4);
		rest(&rig, 20000);
		in(&rig, 5, 0, 4);
		assert_int_equal(rig.data[0], 0);
		spi(&rig, 0xAC800000);
		rest(&rig, 9000);
		in(&rig, 10, 10, 4);
		in(&rig, 1, 0, 4);
		in(&rig, 5, 0, 4);
		in(&rig, 9, 0x1FE00, 4);
		for (unsigned page = 0; page < 2; page++) {
			fill(&rig, page, 256);
			assert_int_equal(write_block(&rig, 256, FIRST, 256), POD_DONE);
		}
		expect(&rig, flash(&rig) + 0x1FE00, 0, 256);
		expect(&rig, flash(&rig) + 0x1FF00, 1, 256);
		in(&rig, 9, 0x1FF00, 4);
		assert_int_equal(in(&rig, 4, 0, 200), POD_DONE);
		expect(&rig, rig.data, 1, 200);
		assert_int_equal(violations(&rig), 0);
		close_rig(&rig);
	}
}

static void test_eeprom(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0x3F0, 4);
	fill(&rig, 1, 16);
	assert_int_equal(raw(&rig, 0x40, 8, 0, 16), POD_DONE);
	assert_in_range(rig.took, 16 * 9600000, 16 * 9800000); /* passes in the fast mode too */
	in(&rig, 9, 0x3F0, 4);
	assert_int_equal(in(&rig, 7, 0, 16), POD_DONE);
	expect(&rig, rig.data, 1, 16);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void test_commit_times(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	memset(rig.data, 0, 128);
	rig.data[127] = 0xFF;
	write_block(&rig, 128, FIRST, 128);
	assert_in_range(rig.took, 4800000 + 128 * 85000, 4800000 + 132 * 86000);
	target_faults(rig.pod->target)->slow_page_percent =
	        400; /* 18 ms: given up after 9.9 ms, not reported */
	memset(rig.data, 0, 128);
	assert_int_equal(write_block(&rig, 128, FIRST, 128), POD_DONE);
	assert_in_range(rig.took, 9800000 + 128 * 85000, 10100000 + 132 * 86000);
	assert_int_equal(violations(&rig), 0);
	spi(&rig, 0x30000000);
	assert_int_equal(target_violations(rig.pod->target, VIOLATION_BUSY), 1);
	close_rig(&rig);
}

static void test_unpaged_write_leaves_the_page_buffer(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	memset(rig.data, 0, 2);
	assert_int_equal(write_block(&rig, 0, FIRST, 2), POD_DONE);
	assert_int_equal(flash(&rig)[0], 0xFF);
	spi(&rig, 0x4C000000);
	assert_int_equal(flash(&rig)[0], 0);
	close_rig(&rig);
}

/* ---- SCK
 * ---------------------------------------------------------------------------------------------- */

static void test_sck_codes_against_2_mhz(void **state)
{
	(void)state;
	for (uint8_t code = 0; code <= 13; code++) {
		struct rig rig = open_rig("2011", "atmega32u4", true);

		assert_int_equal(start(&rig, code), code != 11 && code != 12);
		assert_int_equal(violations(&rig), 0);
		close_rig(&rig);
	}
}

static void test_2007_has_no_sck_and_lc_is_slow(void **state)
{
	struct rig old = open_rig("2007", "atmega328p", true); /* 1 MHz: below 250 kHz only */
	struct rig lc = open_rig("lc", "atmega328p", true);

	(void)state;
	in(&old, 10, 8, 4);
	assert_int_equal(old.actual, 0);
	in(&old, 1, 0, 4);
	in(&old, 5, 0, 4);
	assert_int_equal(old.data[0], 1);
	assert_in_range(old.took, 8000000, 12000000); /* up to 1 ms of it waits for a frame */
	in(&lc, 1, 0, 4);
	assert_in_range(lc.took, 19000000, 22000000);
	in(&lc, 5, 0, 4);
	assert_int_equal(lc.data[0], 0);
	assert_int_equal(spi(&lc, 0x30000000), 0x1E);
	close_rig(&old);
	close_rig(&lc);
}

static void test_nr_falls_back_by_itself(void **state)
{
	struct rig rig = open_rig("nr", "atmega328p", true);

	(void)state;
	assert_true(start(&rig, 0));
	assert_in_range(rig.took, 3 * 3 * 20000000, 11 * 21000000);
	assert_int_equal(spi(&rig, 0x30000000), 0x1E);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

static void test_enable_without_target(void **state)
{
	static const struct {
		const char *name;
		uint8_t code;
		double low_ms, high_ms;
	} rows[] = {
	        {"2011", 12, 2, 3},      {"2011", 10, 4, 5},      {"2011", 8, 12, 14},
	        {"2011", 7, 35, 39},     {"2011", 5, 135, 149},   {"2011", 3, 522, 578},
	        {"2011", 2, 1045, 1155}, {"2011", 1, 2090, 2310}, {"nr", 12, 1070, 1190},
	        {"nr", 8, 845, 935},     {"2007", 12, 8, 9},      {"lc", 12, 15.5, 17.5},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct rig rig = open_rig(rows[i].name, NULL, true);
		double ms;

		in(&rig, 10, rows[i].code, 4);
		in(&rig, 1, 0, 4);
		in(&rig, 5, 0, 4);
		ms = (double)rig.took / 1e6;
		assert_int_equal(rig.data[0], 1);
		/* waiting for the first frame, and for those of the answer and its status */
		assert_true(ms >= rows[i].low_ms && ms <= rows[i].high_ms + 3);
		close_rig(&rig);
	}
}

/* ---- odd lengths and hangs
 * ------------------------------------------------------------------------------ */

static void test_lengths(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	assert_int_equal(in(&rig, 4, 0, 254), POD_DONE);
	assert_int_equal(rig.actual, 254);
	assert_int_equal(in(&rig, 4, 0, 255), POD_HANGS);
	assert_int_equal(in(&rig, 4, 0, 256), POD_DONE); /* the next SETUP ended it */
	assert_int_equal(rig.actual, 0);
	assert_int_equal(in(&rig, 4, 0, 257), POD_DONE);
	assert_int_equal(rig.actual, 1);
	assert_int_equal(in(&rig, 4, 0, 0), POD_DONE);
	assert_int_equal(write_block(&rig, 128, FIRST, 0), POD_HANGS);
	assert_int_equal(in(&rig, 3, 0x00000030, 2), POD_DONE);
	assert_int_equal(rig.actual, 2);
	assert_int_equal(in(&rig, 3, 0x00000030, 8), POD_DONE);
	assert_int_equal(rig.actual, 4);
	assert_int_equal(in(&rig, 3, 0x00000030, 0), POD_DONE);
	assert_int_equal(raw(&rig, 0xC0, 6, 0, 8), POD_STALL);
	assert_int_equal(raw(&rig, 0x40, 4, 0, 8), POD_STALL);
	assert_int_equal(spi(&rig, 0x30000000), 0x1E);
	close_rig(&rig);
}

static void test_transmit_before_connect(void **state)
{
	struct rig now = open_rig("2011", "atmega32u4", false),
	           old = open_rig("2007", "atmega32u4", false);
	struct rig lc = open_rig("lc", "atmega32u4", false),
	           nr = open_rig("nr", "atmega32u4", false);

	(void)state;
	assert_int_equal(in(&now, 3, 0, 4), POD_SILENT);
	assert_int_equal(in(&now, 127, 0, 4), POD_SILENT);
	now.pod->ops->bus_reset(now.pod, now.now);
	assert_int_equal(in(&now, 127, 0, 4), POD_DONE);
	assert_true(start(&now, 10));

	assert_int_equal(in(&old, 5, 0, 4), POD_HANGS);
	old.pod->ops->bus_reset(old.pod, old.now);
	assert_int_equal(in(&old, 127, 0, 4), POD_HANGS);
	old.pod->ops->power(old.pod, false, old.now);
	assert_int_equal(in(&old, 127, 0, 4), POD_GONE);
	old.pod->ops->power(old.pod, true, old.now);
	assert_int_equal(in(&old, 127, 0, 4), POD_DONE);

	assert_int_equal(spi(&lc, 0x30000000), 0xFF);
	assert_int_equal(lc.data[0], 0xFF);

	assert_int_equal(in(&nr, 3, 0, 4), POD_GONE);
	assert_true(nr.pod->replugs);
	assert_int_equal(in(&nr, 127, 0, 4), POD_DONE);
	close_rig(&now);
	close_rig(&old);
	close_rig(&lc);
	close_rig(&nr);
}

static void test_spi_after_disconnect(void **state)
{
	static const uint8_t requests[] = {3, 4, 5};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct rig rig = open_rig("2011", "atmega32u4", false);

		start(&rig, 10);
		assert_int_equal(in(&rig, 2, 0, 4), POD_DONE);
		assert_int_equal(in(&rig, requests[i], 0, 4), POD_HANGS);
		rig.pod->ops->bus_reset(rig.pod, rig.now);
		assert_int_equal(in(&rig, 1, 0, 4), POD_HANGS);
		rig.pod->ops->power(rig.pod, true, rig.now);
		assert_true(start(&rig, 10));
		close_rig(&rig);
	}
	struct rig soft = open_rig("2011", "atmega32u4", false);

	start(&soft, 7);
	in(&soft, 2, 0, 4);
	assert_int_equal(spi(&soft, 0x30000000), 0xFF);
	close_rig(&soft);
}

static void test_transmit_after_failed_enable(void **state)
{
	struct rig now = open_rig("2011", NULL, false), nr = open_rig("nr", NULL, false);

	(void)state;
	assert_false(start(&now, 12));
	assert_int_equal(spi(&now, 0x30000000), 0xFF);
	assert_false(start(&nr, 12));
	assert_int_equal(in(&nr, 3, 0, 4), POD_HANGS);
	close_rig(&now);
	close_rig(&nr);
}

static void test_disconnect_lets_new_fuses_count(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	spi(&rig, 0xACA000FF);
	rest(&rig, 9000);
	assert_int_equal(target_cpu_hz(rig.pod->target), 2000000);
	in(&rig, 2, 0, 4);
	assert_int_equal(target_cpu_hz(rig.pod->target), 16000000);
	assert_true(start(&rig, 12));
	assert_int_equal(spi(&rig, 0x30000100), 0x95);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

/* ---- faults and time
 * ------------------------------------------------------------------------------------ */

static void test_pod_faults(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	rig.pod->faults.stall_after = 20;
	fill(&rig, 0, 128);
	assert_int_equal(write_block(&rig, 128, FIRST, 128), POD_STALL);
	assert_int_equal(rig.actual, 24);
	assert_int_equal(in(&rig, 4, 0, 128), POD_DONE);
	rig.pod->faults.hang_after = 8;
	assert_int_equal(in(&rig, 4, 0, 128), POD_HANGS);
	assert_int_equal(in(&rig, 1, 0, 4), POD_HANGS);
	rig.pod->ops->power(rig.pod, false, rig.now);
	rig.pod->ops->power(rig.pod, true, rig.now);
	start(&rig, 10);
	rig.pod->faults.unplug_after = 64;
	in(&rig, 9, 0, 4);
	assert_int_equal(write_block(&rig, 128, FIRST, 128), POD_GONE);
	assert_false(rig.pod->replugs);
	assert_int_equal(in(&rig, 1, 0, 4), POD_GONE);
	rig.pod->ops->power(rig.pod, true, rig.now);
	assert_true(start(&rig, 10));
	assert_int_equal(rig.pod->faults.unplug_after, 0);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

/* Nothing but reading back finds either. */
static void test_repeated_and_wrong_packets_are_taken(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);
	uint8_t sent[128];

	(void)state;
	assert_true(start(&rig, 10));
	spi(&rig, 0xAC800000);
	rig.now += 10000000;
	assert_true(start(&rig, 10));
	for (unsigned i = 0; i < sizeof sent; i++)
		sent[i] = (uint8_t)i;

	rig.pod->faults.flip_after = 8;
	memcpy(rig.data, sent, sizeof sent);
	in(&rig, 9, 0, 4);
	assert_int_equal(raw(&rig, 0x40, 6, 128u << 16 | 1u << 24, 128), POD_DONE);
	in(&rig, 9, 0, 4);
	assert_int_equal(in(&rig, 4, 0, 128), POD_DONE);
	for (unsigned i = 0; i < sizeof sent; i++)
		assert_int_equal(rig.data[i], i == 12 ? sent[i] ^ 0x10 : sent[i]);

	rig.pod->faults.repeat_after = 16;
	memcpy(rig.data, sent, sizeof sent);
	in(&rig, 9, 128, 4);
	memcpy(rig.data, sent, sizeof sent);
	assert_int_equal(raw(&rig, 0x40, 6, 128u << 16 | 1u << 24, 128), POD_STALL);
	in(&rig, 9, 128, 4);
	assert_int_equal(in(&rig, 4, 0, 128), POD_DONE);
	for (unsigned i = 0; i < sizeof sent; i++)
		assert_int_equal(rig.data[i], i < 24 ? sent[i] : sent[i - 8]);
	close_rig(&rig);
}

static void test_slow_percent(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", true);
	int64_t normal;

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	in(&rig, 4, 0, 128);
	normal = rig.took;
	rig.pod->faults.slow_percent = 1000;
	in(&rig, 4, 0, 128);
	assert_true(rig.took > normal * 2);
	close_rig(&rig);
}

static void test_fast_mode_charges_only_spi_and_waits(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);

	(void)state;
	in(&rig, 127, 0, 4);
	assert_int_equal(rig.took, 0);
	start_erased(&rig, 10);
	in(&rig, 9, 0, 4);
	assert_int_equal(rig.took, 0);
	in(&rig, 4, 0, 128);
	assert_in_range(rig.took, 128 * 85000, 128 * 86000);
	close_rig(&rig);
}

static void test_board_under_connected_pins(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);
	struct target *second =
	        target_create(rig.part, &(struct target_options){.crystal_hz = 16000000}, 6);
	struct target *first = rig.pod->target;

	(void)state;
	start(&rig, 10);
	rig.pod->target = NULL;
	assert_int_equal(spi(&rig, 0x30000000), 0xFF);
	rig.pod->target = second;
	in(&rig, 5, 0, 4);
	assert_int_equal(rig.data[0], 1); /* it has just got its power */
	rest(&rig, 20000);
	in(&rig, 5, 0, 4);
	assert_int_equal(rig.data[0], 0);
	assert_int_equal(spi(&rig, 0x30000000), 0x1E);
	rig.pod->target = first;
	target_destroy(second);
	close_rig(&rig);
}

static void test_last_with_pages_of_256(void **state)
{
	struct rig rig = open_rig("2011", "at90usb1286", false);

	(void)state;
	start_erased(&rig, 10);
	in(&rig, 9, 0x10000, 4);
	fill(&rig, 3, 256);
	assert_int_equal(write_block(&rig, 256, FIRST | LAST, 256), POD_DONE); /* flushes twice */
	expect(&rig, flash(&rig) + 0x10000, 3, 256);
	assert_int_equal(violations(&rig), 0);
	close_rig(&rig);
}

/* Whatever a host says: no crash, no end before the beginning (raw checks that), no more data than
 * room. */
static void test_any_request(void **state)
{
	static const char *const names[] = {"2007", "2009", "2011", "lc", "nr"};
	uint32_t x = 1;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct rig rig = open_rig(names[i % 5], "atmega32u4", i >= 5);

		for (unsigned n = 0; n < 300; n++) {
			uint8_t type, request;
			uint16_t length;

			x = x * 1664525 + 1013904223;
			type = (x >> 30) == 0 ? 0x80 : (x >> 29) & 1 ? 0xC0 : 0x40;
			request = (uint8_t)((x >> 20) % 18);
			length = (uint16_t)((x >> 8) % 64);
			if (request == 8 || request == 10)
				length %= 10; /* EEPROM and the slowest SCK take their time */
			if (raw(&rig, type, request, request == 10 ? 7 + x % 7 : x * 2654435761u,
			        length) == POD_GONE ||
			    n % 16 == 0) {
				rig.pod->ops->power(rig.pod, true, rig.now);
				in(&rig, 1, 0, 4);
			}
			assert_true(rig.actual <= length);
		}
		close_rig(&rig);
	}
}

static void test_dump(void **state)
{
	struct rig rig = open_rig("2011", "atmega32u4", false);
	struct jsonw json;

	(void)state;
	start(&rig, 8);
	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	rig.pod->ops->dump(rig.pod, &json, "pod");
	jsonw_close(&json, '}');
	assert_true(jsonw_ok(&json));
	assert_non_null(strstr(json.text, "\"sck_hz\""));
	assert_non_null(strstr(json.text, "93750"));
	jsonw_finish(&json);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_enumeration),
	        cmocka_unit_test(test_generations_by_request),
	        cmocka_unit_test(test_24_pages_and_a_tail),
	        cmocka_unit_test(test_old_address_mode_and_missing_last),
	        cmocka_unit_test(test_long_write_commits_in_the_middle),
	        cmocka_unit_test(test_page_256_above_64_kib),
	        cmocka_unit_test(test_eeprom),
	        cmocka_unit_test(test_commit_times),
	        cmocka_unit_test(test_unpaged_write_leaves_the_page_buffer),
	        cmocka_unit_test(test_sck_codes_against_2_mhz),
	        cmocka_unit_test(test_2007_has_no_sck_and_lc_is_slow),
	        cmocka_unit_test(test_nr_falls_back_by_itself),
	        cmocka_unit_test(test_enable_without_target),
	        cmocka_unit_test(test_lengths),
	        cmocka_unit_test(test_transmit_before_connect),
	        cmocka_unit_test(test_spi_after_disconnect),
	        cmocka_unit_test(test_transmit_after_failed_enable),
	        cmocka_unit_test(test_disconnect_lets_new_fuses_count),
	        cmocka_unit_test(test_pod_faults),
	        cmocka_unit_test(test_repeated_and_wrong_packets_are_taken),
	        cmocka_unit_test(test_slow_percent),
	        cmocka_unit_test(test_fast_mode_charges_only_spi_and_waits),
	        cmocka_unit_test(test_board_under_connected_pins),
	        cmocka_unit_test(test_last_with_pages_of_256),
	        cmocka_unit_test(test_any_request),
	        cmocka_unit_test(test_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
