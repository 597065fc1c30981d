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
	uint8_t answer[70000];
	uint32_t length;
};

static enum pod_outcome control(struct rig *rig, uint8_t type, uint8_t request, uint16_t value,
                                uint16_t length)
{
	struct pod_control transfer = {.setup = {type, request, (uint8_t)value,
	                                         (uint8_t)(value >> 8), 0, 0, (uint8_t)length,
	                                         (uint8_t)(length >> 8)},
	                               .data = rig->answer,
	                               .start_ns = rig->now};
	enum pod_outcome outcome = rig->pod->ops->control(rig->pod, &transfer);
	rig->length = transfer.actual;
	rig->now = transfer.end_ns > rig->now ? transfer.end_ns : rig->now;
	return outcome;
}

static struct rig *open_rig(const char *firmware, const char *part_name, bool charge)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pod_options pod = {.firmware = firmware, .charge_time = charge, .seed = 9};
	struct pogo_error err = {0};
	struct rig *rig = calloc(1, sizeof *rig);

	assert_non_null(rig);
	rig->now = 1000000;
	rig->pod = pod_mkii_create(&pod);
	assert_non_null(rig->pod);
	rig->pod->ops->power(rig->pod, true, rig->now);
	if (part_name) {
		if (part_load(configs ? configs : "configs", part_name, &rig->part, &err))
			fail_msg("%s", err.text);
		rig->pod->target = target_create(rig->part, &options, 5);
		assert_non_null(rig->pod->target);
	}
	assert_int_equal(control(rig, 0, 9, 1, 0), POD_DONE);
	return rig;
}

static void close_rig(struct rig *rig)
{
	if (rig->part)
		target_destroy(rig->pod->target);
	free(rig->part);
	rig->pod->ops->destroy(rig->pod);
	free(rig);
}

static enum pod_outcome bulk(struct rig *rig, uint8_t endpoint, void *data, uint32_t length,
                             struct pod_bulk *transfer)
{
	*transfer = (struct pod_bulk){.endpoint = endpoint,
	                              .data = data,
	                              .length = length,
	                              .start_ns = rig->now,
	                              .end_ns = rig->now,
	                              .retry_ns = INT64_MAX};
	enum pod_outcome outcome = rig->pod->ops->bulk(rig->pod, transfer);
	if (transfer->end_ns > rig->now)
		rig->now = transfer->end_ns;
	return outcome;
}

static void send(struct rig *rig, const void *bytes, uint32_t length)
{
	struct pod_bulk transfer;
	while (bulk(rig, 0x02, (void *)(uintptr_t)bytes, length, &transfer) == POD_WAIT) {
		assert_int_equal(transfer.actual, 0);
		assert_true(transfer.retry_ns > rig->now && transfer.retry_ns != INT64_MAX);
		rig->now = transfer.retry_ns;
	}
	assert_int_equal(transfer.actual, length);
}

/* As a host that reads packet after packet until a short one. false: nothing will ever come. */
static bool collect(struct rig *rig)
{
	uint8_t packet[64];
	struct pod_bulk transfer;
	rig->length = 0;
	do {
		while (bulk(rig, 0x82, packet, sizeof packet, &transfer) == POD_WAIT) {
			assert_int_equal(transfer.actual, 0);
			if (transfer.retry_ns == INT64_MAX)
				return false;
			assert_true(transfer.retry_ns > rig->now);
			rig->now = transfer.retry_ns;
		}
		assert_true(rig->length + transfer.actual <= sizeof rig->answer);
		memcpy(rig->answer + rig->length, packet, transfer.actual);
		rig->length += transfer.actual;
	} while (transfer.actual == 64);
	return true;
}

static uint8_t status_of(struct rig *rig, const void *bytes, uint32_t length)
{
	int64_t begin = rig->now;
	send(rig, bytes, length);
	assert_true(collect(rig));
	rig->took = rig->now - begin;
	assert_true(rig->length >= 2);
	assert_int_equal(rig->answer[0], *(const uint8_t *)bytes);
	return rig->answer[1];
}

#define STATUS(rig, ...)                                                                           \
	status_of(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint8_t enter(struct rig *rig)
{
	return STATUS(rig, 0x10, 200, 20, 25, 4, 0, 0x53, 3, 0xAC, 0x53, 0, 0);
}

static uint8_t parameter(struct rig *rig, uint8_t id)
{
	assert_int_equal(STATUS(rig, 0x03, id), 0);
	assert_int_equal(rig->length, 3);
	return rig->answer[2];
}

static void set_sck(struct rig *rig, uint8_t index)
{
	assert_int_equal(STATUS(rig, 0x02, 0x98, index), 0);
}

static void start_erased(struct rig *rig, uint8_t index)
{
	set_sck(rig, index);
	assert_int_equal(enter(rig), 0);
	assert_int_equal(STATUS(rig, 0x12, 12, 0, 0xAC, 0x80, 0, 0), 0);
	assert_int_equal(enter(rig), 0);
}

static void load_address(struct rig *rig, uint32_t address)
{
	assert_int_equal(STATUS(rig, 0x06, (uint8_t)(address >> 24), (uint8_t)(address >> 16),
	                        (uint8_t)(address >> 8), (uint8_t)address),
	                 0);
}

static uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 31 + 1);
}

static uint8_t program(struct rig *rig, uint8_t code, uint32_t at, uint32_t count, uint8_t mode,
                       bool empty)
{
	uint8_t message[10 + 256] = {code,
	                             (uint8_t)(count >> 8),
	                             (uint8_t)count,
	                             mode,
	                             10,
	                             code == 0x13 ? 0x40 : 0xC1,
	                             code == 0x13 ? 0x4C : 0xC2,
	                             code == 0x13 ? 0x20 : 0xA0,
	                             0xFF,
	                             0xFF};
	for (uint32_t i = 0; i < count; i++)
		message[10 + i] = pattern(at + i);
	if (!empty)
		return status_of(rig, message, 10 + count);
	send(rig, message, 10 + count);
	send(rig, message, 0);
	assert_true(collect(rig));
	return rig->answer[1];
}

static void expect_read(struct rig *rig, uint8_t code, uint32_t at, uint32_t count)
{
	assert_int_equal(STATUS(rig, code, (uint8_t)(count >> 8), (uint8_t)count,
	                        code == 0x14 ? 0x20 : 0xA0),
	                 0);
	assert_int_equal(rig->length, count + 3);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(rig->answer[2 + i], pattern(at + i));
	assert_int_equal(rig->answer[2 + count], 0);
}

static uint64_t violations(const struct rig *rig)
{
	uint64_t sum = 0;
	for (int i = 0; i < VIOLATION_KINDS; i++)
		sum += target_violations(rig->pod->target, (enum target_violation_kind)i);
	return sum;
}

static const char *const firmwares[] = {"genuine", "lufa"};

/* ---- what it says of itself ---- */

static void it_describes_itself(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig *rig = open_rig(firmwares[i], NULL, true);
		assert_int_equal(rig->pod->speed, 2);
		assert_int_equal(control(rig, 0x80, 6, 0x0100, 18), POD_DONE);
		assert_memory_equal(rig->answer + 8, "\xEB\x03\x04\x21", 4);
		assert_int_equal(control(rig, 0x80, 6, 0x0200, 255), POD_DONE);
		assert_int_equal(rig->length, 32);
		assert_int_equal(rig->answer[8], i == 0 ? 100 : 50);
		assert_int_equal(control(rig, 0x80, 6, 0x0303, 255), POD_DONE);
		assert_int_equal(rig->length, 2 + 2 * 13); /* the NUL is inside */
		assert_int_equal(rig->answer[26], 0);
		bool constant = true;
		for (int k = 0; k < 12; k++)
			constant &= rig->answer[2 + 2 * k] == "000200012345"[k];
		assert_int_equal(constant, i == 1);
		assert_int_equal(control(rig, 0x80, 6, 0x0304, 255), POD_STALL);
		assert_int_equal(control(rig, 0xC0, 1, 0, 4),
		                 POD_STALL); /* knows no vendor requests */
		close_rig(rig);
	}
	assert_null(pod_mkii_create(&(struct pod_options){.firmware = "mk3"}));
}

static void two_genuine_ones_differ(void **state)
{
	(void)state;
	struct rig *a = open_rig("genuine", NULL, false);
	struct pod_options options = {.seed = 10};
	struct pod *b = pod_mkii_create(&options);
	struct pod_control transfer = {.setup = {0x80, 6, 3, 3, 0, 0, 255, 0},
	                               .data = (uint8_t[255]){0}};
	b->ops->power(b, true, 0);
	assert_int_equal(b->ops->control(b, &transfer), POD_DONE);
	assert_int_equal(control(a, 0x80, 6, 0x0303, 255), POD_DONE);
	assert_memory_not_equal(a->answer, transfer.data, 28);
	b->ops->destroy(b);
	close_rig(a);
}

static void it_signs_on_and_knows_its_parameters(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig *rig = open_rig(firmwares[i], "atmega32u4", true);
		assert_int_equal(STATUS(rig, 0x01), 0);
		assert_int_equal(rig->length, 13);
		assert_memory_equal(rig->answer + 2,
		                    "\x0A"
		                    "AVRISP_MK2",
		                    11);
		assert_int_equal(parameter(rig, 0x91), 1);
		assert_int_equal(parameter(rig, 0x92), 0x18);
		assert_int_equal(parameter(rig, 0x94), i == 0 ? 50 : 33);
		assert_int_equal(parameter(rig, 0xA1), 0);
		assert_int_equal(parameter(rig, 0x98), 6);
		assert_int_equal(STATUS(rig, 0x03, 0x42), 0xC0);
		assert_int_equal(rig->length, 2);
		assert_int_equal(STATUS(rig, 0x02, 0x94, 1), 0xC0);
		assert_int_equal(STATUS(rig, 0x03, 0x9E), i == 0 ? 0xC0 : 0);
		assert_int_equal(STATUS(rig, 0x77, 1, 2, 3), 0xC9);
		assert_int_equal(STATUS(rig, 0x0A), 0);
		close_rig(rig);
	}
}

/* Without a configuration there are no bulk endpoints; a reset takes it away and leaves the rest.
 */
static void a_bus_reset_keeps_what_was_set(void **state)
{
	(void)state;
	struct pod_bulk transfer;
	struct rig *rig = open_rig("lufa", "atmega32u4", true);
	set_sck(rig, 100);
	send(rig, "\x01", 1);
	rig->pod->ops->bus_reset(rig->pod, rig->now);
	assert_int_equal(bulk(rig, 0x02, rig->answer, 1, &transfer), POD_SILENT);
	assert_int_equal(control(rig, 0, 9, 1, 0), POD_DONE);
	assert_false(collect(rig)); /* the answer is forgotten */
	assert_int_equal(parameter(rig, 0x98), 100);
	rig->pod->ops->power(rig->pod, false, rig->now);
	assert_int_equal(bulk(rig, 0x02, rig->answer, 1, &transfer), POD_GONE);
	rig->pod->ops->power(rig->pod, true, rig->now);
	assert_int_equal(control(rig, 0, 9, 1, 0), POD_DONE);
	assert_int_equal(parameter(rig, 0x98), 100);
	close_rig(rig);
}

/* ---- programming ---- */

static void a_whole_board(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct target_view view;
		struct rig *rig = open_rig(firmwares[i % 2], "atmega32u4", i >= 2);
		start_erased(rig, 5); /* 250 kHz: 2 MHz / 8 */
		for (uint8_t k = 0; k < 3; k++) {
			assert_int_equal(STATUS(rig, 0x1B, 4, 0x30, 0, k, 0), 0);
			assert_int_equal(rig->answer[2], rig->part->signature[k]);
		}
		load_address(rig, 0x100);
		for (uint32_t page = 0; page < 4;
		     page++) /* one address for the run; RDY/BSY, timed, by value */
			assert_int_equal(program(rig, 0x13, 0x200 + 128 * page, 128,
			                         (const uint8_t[]){0xC1, 0x91, 0xA1, 0xC1}[page],
			                         false),
			                 0);
		load_address(rig, 0x100);
		expect_read(rig, 0x14, 0x200, 256);
		expect_read(rig, 0x14, 0x300, 256);
		load_address(rig, 8);
		for (uint32_t page = 0; page < 4; page++)
			assert_int_equal(program(rig, 0x15, 8 + 4 * page, 4, 0xC1, false), 0);
		load_address(rig, 8);
		expect_read(rig, 0x16, 8, 16);
		assert_int_equal(STATUS(rig, 0x17, 0xAC, 0xA0, 0, 0xDE), 0);
		assert_int_equal(rig->length, 3);
		rig->now += 10000000;
		assert_int_equal(STATUS(rig, 0x18, 4, 0x50, 0, 0, 0), 0);
		assert_int_equal(rig->answer[2], 0xDE);
		assert_int_equal(STATUS(rig, 0x19, 0xAC, 0xE0, 0, 0xEF), 0);
		rig->now += 10000000;
		assert_int_equal(STATUS(rig, 0x1A, 4, 0x58, 0, 0, 0), 0);
		assert_int_equal(rig->answer[2] & 0x3F, 0x2F);
		assert_int_equal(STATUS(rig, 0x1D, 4, 4, 0, 0x30, 0, 1, 0), 0);
		assert_int_equal(rig->answer[5], rig->part->signature[1]);
		assert_int_equal(STATUS(rig, 0x11, 1, 1), 0);
		target_view(rig->pod->target, &view);
		assert_int_equal(view.flash[0x2FF], pattern(0x2FF));
		assert_int_equal(view.eeprom[23], pattern(23));
		assert_int_equal(violations(rig), 0);
		close_rig(rig);
	}
}

static void word_mode_writes_byte_by_byte(void **state)
{
	(void)state;
	struct rig *rig = open_rig("lufa", "atmega32u4", true);
	start_erased(rig, 5);
	static const uint8_t modes[] = {0x02, 0x04, 0x08};
	for (uint32_t i = 0; i < 3; i++) {
		uint8_t at = (uint8_t)(0x20 + 4 * i);
		load_address(rig, at);
		assert_int_equal(STATUS(rig, 0x15, 0, 2, modes[i], 10, 0xC0, 0, 0xA0, 0xFF, 0xFF,
		                        pattern(at), pattern(at + 1u)),
		                 0);
		load_address(rig, at);
		expect_read(rig, 0x16, at, 2);
	}
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void above_64_kib_there_is_nothing_special(void **state)
{
	(void)state;
	struct target_view view;
	struct rig *rig = open_rig("lufa", "at90usb1286", false);
	start_erased(rig, 5);
	load_address(rig, 0x7F80); /* across the 64 KiB of bytes */
	assert_int_equal(program(rig, 0x13, 0xFF00, 256, 0xC1, false), 0);
	assert_int_equal(program(rig, 0x13, 0x10000, 256, 0xC1, false), 0);
	load_address(rig, 0x7F80);
	expect_read(rig, 0x14, 0xFF00, 512); /* LUFA reads as much as is asked for */
	target_view(rig->pod->target, &view);
	assert_int_equal(view.flash[0x10001], pattern(0x10001));
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
	rig = open_rig("genuine", "at90usb1286", false);
	start_erased(rig, 5);
	load_address(rig, 0);
	assert_int_equal(STATUS(rig, 0x14, 2, 0, 0x20), 0xC0);
	assert_int_equal(rig->length, 2);
	close_rig(rig);
}

/* Bit 31 of an address, and each crossing of 64 Ki words, makes it send 4D before the next access:
 * seen here by its 32 clocks of 4 us. */
static void the_extended_address_is_loaded(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rig *rig = open_rig(firmwares[i], "at90usb1286", false);
		start_erased(rig, 5);
		load_address(rig, 0x80000000);
		assert_int_equal(STATUS(rig, 0x14, 0, 4, 0x20), 0);
		assert_int_equal(rig->took, 5 * 128000);
		load_address(rig, 0xFFFE);
		assert_int_equal(STATUS(rig, 0x14, 0, 4, 0x20), 0);
		assert_int_equal(rig->took, 4 * 128000);
		assert_int_equal(STATUS(rig, 0x14, 0, 4, 0x20), 0);
		assert_int_equal(rig->took, 5 * 128000);
		assert_int_equal(violations(rig), 0);
		close_rig(rig);
	}
}

static void nothing_answers_without_a_board(void **state)
{
	(void)state;
	struct rig *rig = open_rig("genuine", NULL, true);
	assert_int_equal(enter(rig), 0xC0);
	assert_int_equal(parameter(rig, 0xA1), 0x10);
	assert_int_equal(parameter(rig, 0x94), 0);
	assert_int_equal(STATUS(rig, 0x1B, 4, 0x30, 0, 0, 0), 0xC0);
	close_rig(rig);
	/* LUFA's loops end with the command's second */
	rig = open_rig("lufa", NULL, true);
	assert_int_equal(STATUS(rig, 0x10, 200, 100, 25, 32, 0, 0x53, 3, 0xAC, 0x53, 0, 0), 0xC0);
	assert_in_range(rig->took, 990000000, 1300000000);
	assert_int_equal(parameter(rig, 0xA1), 0);
	assert_int_equal(parameter(rig, 0x94), 33);
	assert_int_equal(STATUS(rig, 0x1B, 4, 0x30, 0, 0, 0), 0);
	assert_int_equal(rig->answer[2], 0xFF);
	close_rig(rig);
}

/* Before ENTER the SPI unit is off: LUFA waits for it for ever, with a software SCK it does not. */
static void lufa_hangs_out_of_order(void **state)
{
	(void)state;
	struct pod_bulk transfer;
	struct rig *rig = open_rig("lufa", "atmega32u4", true);
	send(rig, "\x1B\x04\x30\0\0\0", 6);
	assert_false(collect(rig));
	rig->pod->ops->bus_reset(rig->pod, rig->now);
	assert_int_equal(control(rig, 0, 9, 1, 0), POD_DONE);
	assert_int_equal(bulk(rig, 0x02, rig->answer, 1, &transfer), POD_WAIT);
	rig->pod->ops->power(rig->pod, false, rig->now);
	rig->pod->ops->power(rig->pod, true, rig->now);
	assert_int_equal(control(rig, 0, 9, 1, 0), POD_DONE);
	set_sck(rig, 20);
	assert_int_equal(enter(rig), 0);
	assert_int_equal(STATUS(rig, 0x11, 1, 1), 0);
	assert_int_equal(STATUS(rig, 0x1B, 4, 0x30, 0, 0, 0), 0);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
	rig = open_rig("genuine", "atmega32u4", true);
	assert_int_equal(STATUS(rig, 0x1B, 4, 0x30, 0, 0, 0), 0xC0);
	close_rig(rig);
}

/* ---- framing ---- */

static void messages_of_whole_packets(void **state)
{
	(void)state;
	struct rig *rig = open_rig("genuine", "atmega32u4", true);
	start_erased(rig, 5);
	load_address(rig, 0x100);
	assert_int_equal(program(rig, 0x13, 0x200, 54, 0x01, true),
	                 0); /* 64 bytes and an empty packet */
	uint8_t head[64] = {0x13, 0, 54, 0x01, 10, 0x40, 0x4C, 0x20, 0xFF, 0xFF};
	send(rig, head, 64); /* without it the genuine one waits for the rest */
	assert_false(collect(rig));
	send(rig, head, 0);
	assert_true(collect(rig));
	/* 61 bytes read make an answer of 64: an empty packet follows, or the host would wait */
	load_address(rig, 0x100);
	assert_int_equal(STATUS(rig, 0x14, 0, 61, 0x20), 0);
	assert_int_equal(rig->length, 64);
	assert_int_equal(STATUS(rig, 0x01), 0);
	close_rig(rig);

	rig = open_rig("lufa", "atmega32u4", true);
	start_erased(rig, 5);
	load_address(rig, 0x100);
	assert_int_equal(program(rig, 0x13, 0x200, 54, 0x01, true), 0);
	int64_t begin = rig->now;
	assert_int_equal(program(rig, 0x13, 0x236, 54, 0x01, false),
	                 0); /* 100 ms later it goes on without */
	assert_in_range(rig->now - begin, 100000000, 120000000);
	begin = rig->now;
	assert_int_equal(program(rig, 0x13, 0x26C, 20, 0x81 | 0x40, false), 0);
	assert_in_range(rig->now - begin, 0, 20000000);
	load_address(rig, 0x100);
	expect_read(rig, 0x14, 0x200, 128);
	assert_int_equal(STATUS(rig, 0x13, 1, 1, 0xC1, 10, 0x40, 0x4C, 0x20, 0xFF, 0xFF),
	                 0xC0); /* 257 bytes */
	/* whatever stands behind what a command needs is thrown away */
	assert_int_equal(STATUS(rig, 0x03, 0x91, 9, 9, 9), 0);
	assert_int_equal(violations(rig), 0);
	close_rig(rig);
}

static void a_command_waits_for_the_answer_before(void **state)
{
	(void)state;
	struct pod_bulk transfer;
	struct rig *rig = open_rig("lufa", NULL, true);
	uint8_t small[4];
	send(rig, "\x01", 1);
	assert_int_equal(bulk(rig, 0x02, (uint8_t[]){0x03, 0x91}, 2, &transfer), POD_WAIT);
	assert_int_equal(transfer.actual, 0);
	assert_true(collect(rig));
	assert_int_equal(rig->answer[0], 0x01);
	assert_int_equal(bulk(rig, 0x02, (uint8_t[]){0x03, 0x91}, 2, &transfer), POD_DONE);
	rig->now += 1000000;
	assert_int_equal(bulk(rig, 0x82, small, 2, &transfer), POD_DONE); /* babble */
	assert_int_equal(transfer.actual, 3);
	assert_int_equal(STATUS(rig, 0x01), 0);
	close_rig(rig);
}

/* ---- time ---- */

static void time_is_bus_spi_and_waits(void **state)
{
	(void)state;
	struct rig *rig = open_rig("lufa", "atmega32u4", true);
	start_erased(rig, 5);
	/* 25 ms, 20 ms and 4 bytes */
	assert_int_equal(enter(rig), 0);
	assert_in_range(rig->took, 45000000, 46000000);
	/* 128 bytes of 32 clocks at 250 kHz, little beside */
	load_address(rig, 0);
	assert_int_equal(STATUS(rig, 0x14, 0, 128, 0x20), 0);
	assert_in_range(rig->took, 16384000, 18500000);
	/* a page by RDY/BSY: as long as the chip needs, not as the delay says */
	load_address(rig, 0);
	assert_int_equal(program(rig, 0x13, 0, 128, 0xC1, false), 0);
	int64_t by_busy = rig->took;
	assert_int_equal(program(rig, 0x13, 128, 128, 0x91, false), 0);
	assert_true(rig->took - by_busy > 4000000); /* 10 ms against 4.5 */
	assert_int_equal(STATUS(rig, 0x01), 0);
	assert_in_range(rig->took, 50000, 300000);
	close_rig(rig);
	rig = open_rig("lufa", NULL, false); /* no time is charged */
	assert_int_equal(STATUS(rig, 0x01), 0);
	assert_int_equal(rig->took, 0);
	close_rig(rig);
}

static void a_slow_sck_runs_into_the_limit(void **state)
{
	(void)state;
	struct rig *rig = open_rig("lufa", "atmega32u4", true);
	set_sck(rig, 163); /* 51 Hz */
	assert_int_equal(enter(rig), 0);
	assert_true(rig->took > 600000000);
	assert_int_equal(STATUS(rig, 0x12, 9, 1, 0xAC, 0x80, 0, 0), 0x81);
	close_rig(rig);
}

/* ---- faults ---- */

static void replies_go_wrong(void **state)
{
	(void)state;
	struct rig *rig = open_rig("genuine", "atmega32u4", true);
	rig->pod->faults.reply_lost = 2;
	assert_int_equal(STATUS(rig, 0x01), 0);
	send(rig, "\x01", 1);
	assert_false(collect(rig));
	assert_int_equal(STATUS(rig, 0x01), 0); /* and the next is good */
	rig->pod->faults.reply_late = 1;
	rig->pod->faults.late_ms = 3000;
	assert_int_equal(STATUS(rig, 0x01), 0);
	assert_true(rig->took > 3000000000);
	rig->pod->faults.reply_wrong = 1;
	assert_int_equal(STATUS(rig, 0x03, 0x91), 0x10);
	rig->pod->faults.reply_long = 1;
	assert_int_equal(STATUS(rig, 0x03, 0x91), 0);
	assert_int_equal(rig->length, 4);
	rig->pod->faults.reply_cut = 1;
	send(rig, "\x03\x91", 2);
	assert_true(collect(rig));
	assert_int_equal(rig->length, 1);
	rig->pod->faults.reply_stale = 1;
	send(rig, "\x01", 1);
	assert_true(collect(rig));
	assert_int_equal(rig->length, 3);
	assert_int_equal(rig->answer[0], 0x03);
	assert_int_equal(STATUS(rig, 0x01), 0);
	close_rig(rig);
}

/* Whatever a host sends: no crash, and a board that was never entered stays as it was. */
static void nonsense_is_answered(void **state)
{
	(void)state;
	unsigned seed = 3;
	for (int i = 0; i < 2; i++) {
		struct rig *rig = open_rig(firmwares[i], "atmega32u4", false);
		for (int k = 0; k < 20000; k++) {
			uint8_t packet[64];
			struct pod_bulk transfer;
			seed = seed * 1103515245u + 12345u;
			for (size_t b = 0; b < sizeof packet; b++)
				packet[b] = (uint8_t)((seed >> 16) * (b + 1) >> (b & 7));
			packet[0] = (uint8_t)((seed >> 24) % 40);
			if (k % 50 == 0) {
				rig->pod->ops->power(rig->pod, false, rig->now);
				rig->pod->ops->power(rig->pod, true, rig->now);
				control(rig, 0, 9, 1, 0);
			}
			(void)bulk(rig, 0x02, packet, (seed >> 8) % 65, &transfer);
			(void)collect(rig);
		}
		close_rig(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_describes_itself),
	        cmocka_unit_test(two_genuine_ones_differ),
	        cmocka_unit_test(it_signs_on_and_knows_its_parameters),
	        cmocka_unit_test(a_bus_reset_keeps_what_was_set),
	        cmocka_unit_test(a_whole_board),
	        cmocka_unit_test(word_mode_writes_byte_by_byte),
	        cmocka_unit_test(above_64_kib_there_is_nothing_special),
	        cmocka_unit_test(the_extended_address_is_loaded),
	        cmocka_unit_test(nothing_answers_without_a_board),
	        cmocka_unit_test(lufa_hangs_out_of_order),
	        cmocka_unit_test(messages_of_whole_packets),
	        cmocka_unit_test(a_command_waits_for_the_answer_before),
	        cmocka_unit_test(time_is_bus_spi_and_waits),
	        cmocka_unit_test(a_slow_sck_runs_into_the_limit),
	        cmocka_unit_test(replies_go_wrong),
	        cmocka_unit_test(nonsense_is_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
