#ifndef POGO_TESTS_SERIAL_RIG_H
#define POGO_TESTS_SERIAL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixtures/bench/pod.h"
#include "hextools/part.h"

/* A host with one serial device: it asks, waits as it is told to, and its time is the device's. */

struct rig {
	struct part *part;
	struct pod *pod;
	int64_t now;
	uint8_t data[70000];
	uint32_t length;
};

static enum pod_outcome control(struct rig *rig, uint8_t type, uint8_t request, uint16_t value,
                                uint16_t index, const void *data, uint16_t length)
{
	struct pod_control transfer = {
	        .setup = {type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
	                  (uint8_t)(index >> 8), (uint8_t)length, (uint8_t)(length >> 8)},
	        .data = rig->data,
	        .start_ns = rig->now};
	if (data)
		memcpy(rig->data, data, length);
	enum pod_outcome outcome = rig->pod->ops->control(rig->pod, &transfer);
	rig->length = transfer.actual;
	rig->now = transfer.end_ns > rig->now ? transfer.end_ns : rig->now;
	return outcome;
}

static struct rig *rig_with(struct pod *pod)
{
	struct rig *rig = calloc(1, sizeof *rig);

	assert_non_null(rig);
	assert_non_null(pod);
	rig->pod = pod;
	rig->now = 1000000;
	rig->pod->ops->power(rig->pod, true, rig->now);
	return rig;
}

static void configure(struct rig *rig)
{
	assert_int_equal(control(rig, 0, 9, 1, 0, NULL, 0), POD_DONE);
}

static void set_baud(struct rig *rig, uint32_t baud)
{
	const uint8_t coding[7] = {(uint8_t)baud,
	                           (uint8_t)(baud >> 8),
	                           (uint8_t)(baud >> 16),
	                           (uint8_t)(baud >> 24),
	                           0,
	                           0,
	                           8};
	assert_int_equal(control(rig, 0x21, 0x20, 0, 0, coding, 7), POD_DONE);
}

static void set_lines(struct rig *rig, unsigned state)
{
	assert_int_equal(control(rig, 0x21, 0x22, (uint16_t)state, 0, NULL, 0), POD_DONE);
}

static struct rig *open_board(const char *board, bool charge)
{
	struct pod_options options = {.firmware = board, .charge_time = charge, .seed = 9};
	struct rig *rig = rig_with(pod_stk500v1_create(&options));

	configure(rig);
	set_baud(rig, 19200);
	set_lines(rig, 3);
	rig->now += 2000000000; /* bootloader and lamps */
	return rig;
}

static void set_board(struct rig *rig, const char *part_name)
{
	const char *configs = getenv("POGOLINE_CONFIGS");
	struct target_options options = {.crystal_hz = 16000000};
	struct pogo_error err = {0};

	if (part_load(configs ? configs : "configs", part_name, &rig->part, &err))
		fail_msg("%s", err.text);
	rig->pod->target = target_create(rig->part, &options, 5);
	assert_non_null(rig->pod->target);
}

static void close_rig(struct rig *rig)
{
	if (rig->part)
		target_destroy(rig->pod->target);
	free(rig->part);
	rig->pod->target = NULL;
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

/* The second and third endpoints of the descriptor, or the first two of an FTDI chip. */
static uint8_t endpoint(const struct rig *rig, bool in)
{
	const uint8_t *bytes = rig->pod->configuration_descriptor;
	for (size_t at = 0; at < rig->pod->configuration_length; at += bytes[at])
		if (bytes[at + 1] == 5 && bytes[at + 3] == 2 && ((bytes[at + 2] & 0x80) != 0) == in)
			return bytes[at + 2];
	fail_msg("no such endpoint");
	return 0;
}

static void send(struct rig *rig, const void *bytes, uint32_t length)
{
	uint8_t *at = (uint8_t *)(uintptr_t)bytes;
	struct pod_bulk transfer;
	while (length > 0) {
		enum pod_outcome outcome = bulk(rig, endpoint(rig, false), at, length, &transfer);
		at += transfer.actual;
		length -= transfer.actual;
		if (outcome == POD_DONE)
			break;
		assert_int_equal(outcome, POD_WAIT);
		assert_true(transfer.retry_ns > rig->now && transfer.retry_ns != INT64_MAX);
		rig->now = transfer.retry_ns;
	}
	assert_int_equal(length, 0);
}

#define SEND(rig, ...)                                                                             \
	send(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* One IN transfer of `room` bytes into rig->data; false: nothing will ever come, or not until
 * `until`. */
static bool collect_until(struct rig *rig, uint32_t room, int64_t until)
{
	struct pod_bulk transfer;
	uint32_t done = 0;
	while (bulk(rig, endpoint(rig, true), rig->data + done, room - done, &transfer) ==
	       POD_WAIT) {
		done += transfer.actual;
		if (transfer.retry_ns > until)
			return false;
		assert_true(transfer.retry_ns > rig->now);
		rig->now = transfer.retry_ns;
	}
	rig->length = done + transfer.actual;
	return true;
}

/* Everything that comes up to now + ns, without status bytes. */
static void collect_for(struct rig *rig, int64_t ns, bool ftdi)
{
	static uint8_t all[70000];
	uint32_t count = 0, head = ftdi ? 2 : 0;
	int64_t until = rig->now + ns;
	while (collect_until(rig, 64, until)) {
		assert_true(rig->length >= head && count + rig->length <= sizeof all);
		memcpy(all + count, rig->data + head, rig->length - head);
		count += rig->length - head;
		if (rig->now > until)
			break;
	}
	if (rig->now < until)
		rig->now = until;
	memcpy(rig->data, all, count);
	rig->length = count;
}

static void expect(const struct rig *rig, const uint8_t *bytes, uint32_t count)
{
	assert_int_equal(rig->length, count);
	assert_memory_equal(rig->data, bytes, count);
}

#define EXPECT(rig, ...)                                                                           \
	expect(rig, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A figure of the state. */
static int64_t figure(const struct rig *rig, const char *name)
{
	struct jsonw json;
	char key[64];
	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	rig->pod->ops->dump(rig->pod, &json, "pod");
	jsonw_close(&json, '}');
	snprintf(key, sizeof key, "\"%s\":", name);
	const char *found = strstr(json.text, key);
	assert_non_null(found);
	int64_t value = strtoll(found + strlen(key), NULL, 10);
	jsonw_finish(&json);
	return value;
}

#endif
