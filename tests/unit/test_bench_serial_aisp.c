#include "fixtures/bench/line_firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The sketch by itself: a byte at a time, the next one when it looks for it. */

struct rig {
	struct part *part;
	struct target *target;
	struct line_firmware *sketch;
	struct line_output output;
	int64_t now;
	unsigned whole; /* replies that ended */
};

static struct rig *open_rig(const char *part_name)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pogo_error err = {0};
	struct rig *rig = calloc(1, sizeof *rig);

	assert_non_null(rig);
	rig->sketch = firmware_aisp_create(false);
	assert_non_null(rig->sketch);
	if (part_load(configs ? configs : "configs", part_name, &rig->part, &err))
		fail_msg("%s", err.text);
	rig->sketch->target = rig->target = target_create(rig->part, &options, 5);
	assert_non_null(rig->target);
	rig->now = rig->sketch->ops->start(rig->sketch, 1000000000);
	return rig;
}

static void close_rig(struct rig *rig)
{
	rig->sketch->ops->destroy(rig->sketch);
	target_destroy(rig->target);
	free(rig->part);
	free(rig);
}

static void send(struct rig *rig, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_true(rig->now != INT64_MAX);
		rig->output.whole = false;
		rig->now = rig->sketch->ops->byte(rig->sketch, bytes[i], rig->now, &rig->output);
		rig->whole += rig->output.whole;
	}
}

#define SEND(rig, ...)                                                                             \
	do {                                                                                       \
		(rig)->output.count = 0;                                                           \
		send(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})); \
	} while (0)

static void expect(const struct rig *rig, const uint8_t *bytes, size_t count)
{
	assert_int_equal(rig->output.count, count);
	assert_memory_equal(rig->output.bytes, bytes, count);
}

#define EXPECT(rig, ...)                                                                           \
	expect(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t violations(const struct rig *rig)
{
	uint64_t sum = 0;
	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(rig->target, (enum target_violation_kind)i);
	return sum;
}

static void set_device(struct rig *rig, unsigned page, unsigned eeprom)
{
	SEND(rig, 0x42, 0x86, 0, 0, 1, 1, 1, 1, 3, 0xFF, 0xFF, 0xFF, 0xFF, (uint8_t)(page >> 8),
	     (uint8_t)page, (uint8_t)(eeprom >> 8), (uint8_t)eeprom, 0, 0, 0x80, 0, 0x20);
	EXPECT(rig, 0x14, 0x10);
}

static void start_erased(struct rig *rig, unsigned page)
{
	set_device(rig, page, 1024);
	SEND(rig, 0x50, 0x20);
	EXPECT(rig, 0x14, 0x10);
	SEND(rig, 0x56, 0xAC, 0x80, 0, 0, 0x20);
	rig->now += 20000000;
	SEND(rig, 0x51, 0x20);
	SEND(rig, 0x50, 0x20);
}

static void load_address(struct rig *rig, unsigned word)
{
	SEND(rig, 0x55, (uint8_t)word, (uint8_t)(word >> 8), 0x20);
	EXPECT(rig, 0x14, 0x10);
}

static int64_t write_page(struct rig *rig, unsigned count, char memory)
{
	const uint8_t head[4] = {0x64, (uint8_t)(count >> 8), (uint8_t)count, (uint8_t)memory};
	int64_t begin = rig->now;

	rig->output.count = 0;
	send(rig, head, sizeof head);
	for (unsigned i = 0; i < count; i++)
		send(rig, (const uint8_t[]){(uint8_t)(i + 1)}, 1);
	send(rig, (const uint8_t[]){0x20}, 1);
	EXPECT(rig, 0x14, 0x10);
	return rig->now - begin;
}

static void speaks_its_part_of_stk500(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	SEND(rig, 0x30, 0x20);
	EXPECT(rig, 0x14, 0x10);
	assert_int_equal(rig->whole, 1);
	SEND(rig, 0x31, 0x20);
	EXPECT(rig, 0x14, 'A', 'V', 'R', ' ', 'I', 'S', 'P', 0x10);
	SEND(rig, 0x41, 0x80, 0x20);
	EXPECT(rig, 0x14, 0x02, 0x10);
	SEND(rig, 0x41, 0x81, 0x20);
	EXPECT(rig, 0x14, 0x01, 0x10);
	SEND(rig, 0x41, 0x82, 0x20);
	EXPECT(rig, 0x14, 0x12, 0x10);
	SEND(rig, 0x41, 0x93, 0x20);
	EXPECT(rig, 0x14, 'S', 0x10);
	SEND(rig, 0x41, 0x84, 0x20);
	EXPECT(rig, 0x14, 0x00, 0x10);
	SEND(rig, 0x60, 1, 2, 0x20);
	EXPECT(rig, 0x14, 0x10);
	SEND(rig, 0x45, 5, 4, 0xD7, 0xA0, 1, 0x20);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void answers_what_it_does_not_know(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	SEND(rig, 0x20);
	EXPECT(rig, 0x15);
	SEND(rig, 0x52, 0x20);
	EXPECT(rig, 0x12);
	SEND(rig, 0x30, 0x30);
	EXPECT(rig, 0x15);
	/* SET_PARAMETER: its id is taken for the end, its value for a command, its end for that
	 * one's */
	SEND(rig, 0x40, 0x89, 0x02, 0x20);
	EXPECT(rig, 0x15, 0x12);
	/* the four-byte form of 45 swallows its own end */
	SEND(rig, 0x45, 4, 4, 0xD7, 0xA0, 0x20);
	assert_int_equal(rig->output.count, 0);
	SEND(rig, 0x20);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void enters_once_and_never_looks(void **state)
{
	struct rig *rig = open_rig("atmega32u4");
	int64_t begin = rig->now;

	(void)state;
	rig->sketch->target = NULL;
	SEND(rig, 0x50, 0x20);
	EXPECT(rig, 0x14, 0x10); /* without a board */
	assert_in_range(rig->now - begin, 70100000, 70500000);
	begin = rig->now;
	SEND(rig, 0x50, 0x20);
	EXPECT(rig, 0x14, 0x10);
	assert_int_equal(rig->now, begin);
	SEND(rig, 0x75, 0x20);
	EXPECT(rig, 0x14, 0xFF, 0xFF, 0xFF, 0x10);
	SEND(rig, 0x51, 0x20);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void reads_the_signature_both_ways(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	SEND(rig, 0x50, 0x20);
	SEND(rig, 0x75, 0x20);
	EXPECT(rig, 0x14, 0x1E, 0x95, 0x87, 0x10);
	SEND(rig, 0x56, 0x30, 0, 2, 0, 0x20);
	EXPECT(rig, 0x14, 0x87, 0x10);
	/* four bytes of 64 us each at 125 kHz */
	int64_t begin = rig->now;
	SEND(rig, 0x56, 0x30, 0, 1, 0, 0x20);
	assert_int_equal(rig->now - begin, 256000);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void hangs_without_programming_mode(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	SEND(rig, 0x56, 0x30, 0, 0, 0);
	assert_true(rig->now == INT64_MAX);
	rig->now = rig->sketch->ops->start(rig->sketch, 2000000000);
	SEND(rig, 0x30, 0x20);
	EXPECT(rig, 0x14, 0x10);
	close_rig(rig);
}

static void writes_pages_of_flash(void **state)
{
	struct rig *rig = open_rig("atmega32u4");
	struct target_view view;

	(void)state;
	start_erased(rig, 128);
	load_address(rig, 0x40);
	/* one commit: 30 ms and 129 instructions */
	assert_in_range(write_page(rig, 128, 'F'), 63000000, 63100000);
	/* the sketch says INSYNC before the work and OK after it */
	assert_true(rig->output.at_ns[1] - rig->output.at_ns[0] > 60000000);
	target_view(rig->target, &view);
	for (unsigned i = 0; i < 128; i++)
		assert_int_equal(view.flash[0x80 + i], i + 1);
	/* over the edge of a page: two commits */
	load_address(rig, 0x90);
	assert_in_range(write_page(rig, 128, 'F'), 93000000, 93500000);
	target_view(rig->target, &view);
	assert_int_equal(view.flash[0x120], 1);
	assert_int_equal(view.flash[0x19F], 128);
	load_address(rig, 0x90);
	SEND(rig, 0x74, 0, 3, 'F', 0x20);
	EXPECT(rig, 0x14, 1, 2, 3, 4, 0x10); /* rounded up */
	SEND(rig, 0x74, 0, 2, 'F', 0x20);
	EXPECT(rig, 0x14, 5, 6, 0x10); /* and goes on from there */
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void commits_each_word_of_a_strange_page_size(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	start_erased(rig, 64 + 1);
	load_address(rig, 0);
	assert_in_range(write_page(rig, 8, 'F'), 4 * 30000000, 4 * 31000000);
	close_rig(rig);
}

static void doubles_the_address_of_eeprom(void **state)
{
	struct rig *rig = open_rig("atmega32u4");
	struct target_view view;

	(void)state;
	start_erased(rig, 128);
	load_address(rig, 8);
	assert_in_range(write_page(rig, 40, 'E'), 40 * 45000000LL, 40 * 45300000LL);
	target_view(rig->target, &view);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(view.eeprom[16 + i], i + 1);
	SEND(rig, 0x74, 0, 2, 'E', 0x20);
	EXPECT(rig, 0x14, 1, 2, 0x10);
	SEND(rig, 0x74, 0, 2, 'E', 0x20);
	EXPECT(rig, 0x14, 1, 2, 0x10); /* stays where it is */
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void refuses_blocks(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	set_device(rig, 128, 16);
	SEND(rig, 0x64, 0, 4, 'X');
	EXPECT(rig, 0x11); /* at once */
	SEND(rig, 0x74, 0, 4, 'X', 0x20);
	EXPECT(rig, 0x14, 0x11);
	/* longer than the EEPROM: the first byte is taken for the end, the others for commands */
	SEND(rig, 0x64, 0, 17, 'E', 0x01, 0x30, 0x20);
	EXPECT(rig, 0x15, 0x14, 0x10);
	close_rig(rig);
}

static void lets_go_when_it_stops(void **state)
{
	struct rig *rig = open_rig("atmega32u4");

	(void)state;
	SEND(rig, 0x50, 0x20);
	assert_true(target_cpu_hz(rig->target) > 0);
	rig->sketch->ops->stop(rig->sketch, rig->now);
	rig->now = rig->sketch->ops->start(rig->sketch, rig->now);
	SEND(rig, 0x50, 0x20);
	SEND(rig, 0x75, 0x20);
	EXPECT(rig, 0x14, 0x1E, 0x95, 0x87, 0x10);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(speaks_its_part_of_stk500),
	        cmocka_unit_test(answers_what_it_does_not_know),
	        cmocka_unit_test(enters_once_and_never_looks),
	        cmocka_unit_test(reads_the_signature_both_ways),
	        cmocka_unit_test(hangs_without_programming_mode),
	        cmocka_unit_test(writes_pages_of_flash),
	        cmocka_unit_test(commits_each_word_of_a_strange_page_size),
	        cmocka_unit_test(doubles_the_address_of_eeprom),
	        cmocka_unit_test(refuses_blocks),
	        cmocka_unit_test(lets_go_when_it_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
