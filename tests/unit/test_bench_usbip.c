#include "fixtures/bench/usbip_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hextools/conf.h"

/* A client of its own: bytes by the book, nothing of the bench's or the station's code. */

enum { CAPABILITIES = 127, CONNECT = 1, DISCONNECT = 2 };

struct rig {
	struct part *part;
	struct bench *bench;
	struct bench_server *server;
	uint16_t port;
};

static void rig_start_pod(struct rig *rig, unsigned positions, bool fast,
                          struct pod *(*make)(const struct pod_options *options),
                          const char *firmware)
{
	struct pogo_error err = {0};
	char configs[4096], bound[64];
	memset(rig, 0, sizeof *rig);
	if (conf_dir(NULL, configs, sizeof configs, &err) != 0 ||
	    part_load(configs, "atmega32u4", &rig->part, &err) != 0)
		fail_msg("%s", err.text);
	struct bench_place places[BENCH_POSITIONS];
	for (unsigned i = 0; i < BENCH_POSITIONS; i++)
		places[i] = (struct bench_place){make, firmware, rig->part};
	struct bench_setup setup = {.positions = positions,
	                            .places = places,
	                            .crystal_hz = 16000000,
	                            .seed = 1,
	                            .fast = fast};
	if (bench_create(&setup, &rig->bench, &err) != 0 ||
	    bench_server_start(rig->bench, "127.0.0.1:0", bound, sizeof bound, &rig->server,
	                       &err) != 0)
		fail_msg("%s", err.text);
	rig->port = (uint16_t)atoi(strrchr(bound, ':') + 1);
}

static void rig_start_firmware(struct rig *rig, unsigned positions, bool fast, const char *firmware)
{
	rig_start_pod(rig, positions, fast, pod_usbasp_create, firmware);
}

static void rig_start(struct rig *rig, unsigned positions, bool fast)
{
	rig_start_firmware(rig, positions, fast, "2011");
}

static void rig_stop(struct rig *rig)
{
	bench_server_stop(rig->server);
	bench_destroy(rig->bench);
	free(rig->part);
}

static int dial(const struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons(rig->port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 20}; /* a test that hangs fails instead */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, 4);
	return ntohl(value);
}

static void say(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static size_t hear(int fd, void *bytes, size_t len)
{
	size_t have = 0;
	while (have < len) {
		ssize_t got = recv(fd, (char *)bytes + have, len - have, 0);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	return have;
}

static bool ended(int fd)
{
	char byte;
	return recv(fd, &byte, 1, 0) <= 0;
}

/* Returns the status; the device part of the answer in `device`. */
static uint32_t import(int fd, const char *busid, uint8_t device[312])
{
	uint8_t request[40] = {0x01, 0x11, 0x80, 0x03}, reply[8];
	snprintf((char *)request + 8, 32, "%s", busid);
	say(fd, request, sizeof request);
	assert_int_equal(hear(fd, reply, 8), 8);
	assert_int_equal(get32(reply), 0x01110003);
	uint32_t status = get32(reply + 4);
	if (status == 0)
		assert_int_equal(hear(fd, device, 312), 312);
	return status;
}

static void submit(int fd, uint32_t position, uint32_t seqnum, uint32_t endpoint,
                   const uint8_t setup[8], const void *data)
{
	uint8_t bytes[48] = {0};
	uint32_t length = (uint32_t)(setup[6] | setup[7] << 8);
	bool in = (setup[0] & 0x80) != 0;
	put32(bytes, 1);
	put32(bytes + 4, seqnum);
	put32(bytes + 8, 1 << 16 | (position + 1));
	put32(bytes + 12, in);
	put32(bytes + 16, endpoint);
	put32(bytes + 24, length);
	put32(bytes + 32, seqnum % 2 ? 0xFFFFFFFF : 0);
	memcpy(bytes + 40, setup, 8);
	say(fd, bytes, sizeof bytes);
	if (!in && length > 0)
		say(fd, data, length);
}

static void unlink_urb(int fd, uint32_t position, uint32_t seqnum, uint32_t target)
{
	uint8_t bytes[48] = {0};
	put32(bytes, 2);
	put32(bytes + 4, seqnum);
	put32(bytes + 8, 1 << 16 | (position + 1));
	put32(bytes + 20, target);
	say(fd, bytes, sizeof bytes);
}

struct reply {
	uint32_t kind, seqnum, actual;
	int32_t status;
	uint8_t data[256];
};

static struct reply answer(int fd, bool in)
{
	uint8_t bytes[48];
	struct reply reply = {0};
	assert_int_equal(hear(fd, bytes, 48), 48);
	reply.kind = get32(bytes);
	reply.seqnum = get32(bytes + 4);
	reply.status = (int32_t)get32(bytes + 20);
	reply.actual = get32(bytes + 24);
	assert_int_equal(get32(bytes + 8) | get32(bytes + 12) | get32(bytes + 16), 0);
	if (in && reply.kind == 3) {
		assert_true(reply.actual <= sizeof reply.data);
		assert_int_equal(hear(fd, reply.data, reply.actual), reply.actual);
	}
	return reply;
}

static const uint8_t get_device[8] = {0x80, 6, 0, 1, 0, 0, 18, 0};
static const uint8_t capabilities[8] = {0xC0, CAPABILITIES, 0, 0, 0, 0, 4, 0};

static uint32_t list_count(const struct rig *rig, char *last_busid)
{
	static const uint8_t request[8] = {0x01, 0x11, 0x80, 0x05};
	uint8_t head[12], device[312], interface[4];
	int fd = dial(rig);
	say(fd, request, 3); /* in pieces */
	say(fd, request + 3, 5);
	assert_int_equal(hear(fd, head, 12), 12);
	assert_int_equal(get32(head), 0x01110005);
	assert_int_equal(get32(head + 4), 0);
	uint32_t count = get32(head + 8);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(hear(fd, device, 312), 312);
		assert_memory_equal(device, "/sys/devices/pogo-bench/1-", 26);
		assert_int_equal(get32(device + 288), 1);
		assert_int_equal(get32(device + 296), 1); /* low speed */
		assert_int_equal(get32(device + 300), 0x16C005DC);
		for (int k = 0; k < device[311]; k++)
			assert_int_equal(hear(fd, interface, 4), 4);
		memcpy(last_busid, device + 256, 32);
	}
	assert_true(ended(fd));
	close(fd);
	return count;
}

static void list_holds_what_is_plugged(void **state)
{
	(void)state;
	struct rig rig;
	char busid[32];
	rig_start(&rig, 64, true);
	assert_int_equal(list_count(&rig, busid), 64);
	assert_string_equal(busid, "1-64");
	assert_int_equal(bench_unplug(rig.bench, 64, NULL), 0);
	assert_int_equal(list_count(&rig, busid), 63);
	assert_string_equal(busid, "1-63");
	assert_int_equal(bench_plug(rig.bench, 64, NULL), 0);
	for (int i = 0; i < 300; i++) /* more than there is room for at once */
		assert_int_equal(list_count(&rig, busid), 64);
	rig_stop(&rig);
}

static void transfers_go_both_ways(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 3, true);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-2", device), 0);
	assert_string_equal((char *)device + 256, "1-2");
	assert_int_equal(get32(device + 292), 3);
	submit(fd, 2, 1, 0, get_device, NULL);
	struct reply reply = answer(fd, true);
	assert_int_equal(reply.kind, 3);
	assert_int_equal(reply.seqnum, 1);
	assert_int_equal(reply.status, 0);
	assert_int_equal(reply.actual, 18);
	assert_int_equal(reply.data[8] | reply.data[9] << 8, 0x16C0);
	submit(fd, 2, 2, 0, (const uint8_t[8]){0x00, 9, 1, 0, 0, 0, 0, 0},
	       NULL); /* SET_CONFIGURATION */
	assert_int_equal(answer(fd, false).status, 0);
	submit(fd, 2, 3, 0, capabilities, NULL);
	reply = answer(fd, true);
	assert_int_equal(reply.seqnum, 3);
	assert_int_equal(reply.actual, 4);
	submit(fd, 2, 4, 1, get_device, NULL); /* no such endpoint */
	reply = answer(fd, true);
	assert_int_equal(reply.seqnum, 4);
	assert_int_equal(reply.status, -32);
	assert_int_equal(reply.actual, 0);
	submit(fd, 2, 5, 0, (const uint8_t[8]){0x23, 3, 4, 0, 1, 0, 0, 0}, NULL); /* port reset */
	assert_int_equal(answer(fd, false).status, 0);
	unlink_urb(fd, 2, 6, 3); /* long answered */
	reply = answer(fd, false);
	assert_int_equal(reply.kind, 4);
	assert_int_equal(reply.seqnum, 6);
	assert_int_equal(reply.status, 0);
	close(fd);
	rig_stop(&rig);
}

static void one_importer_at_a_time(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 2, true);
	int first = dial(&rig), second = dial(&rig), third = dial(&rig), fourth = dial(&rig);
	assert_int_equal(import(first, "1-1", device), 0);
	assert_int_equal(import(second, "1-1", device), 2);
	assert_true(ended(second));
	assert_int_equal(import(third, "1-3", device), 4);
	assert_int_equal(import(fourth, "1-11", device), 4);
	close(first);
	uint32_t status = 2;
	for (int i = 0; i < 2000 && status == 2; i++) { /* until the server noticed */
		int fd = dial(&rig);
		status = import(fd, "1-1", device);
		close(fd);
		usleep(1000);
	}
	assert_int_equal(status, 0);
	close(second), close(third), close(fourth);
	rig_stop(&rig);
}

static void a_hang_ends_by_unlink(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	struct reply reply;
	rig_start(&rig, 1, true);
	assert_int_equal(bench_fault(rig.bench, 1, "hang=1", NULL), 0);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit(fd, 1, 7, 0, capabilities, NULL);
	submit(fd, 1, 8, 0, capabilities, NULL); /* waits behind it */
	unlink_urb(fd, 1, 9, 8);
	reply = answer(fd, false);
	assert_int_equal(reply.kind, 4);
	assert_int_equal(reply.seqnum, 9);
	assert_int_equal(reply.status, -104);
	unlink_urb(fd, 1, 10, 7);
	reply = answer(fd, false);
	assert_int_equal(reply.seqnum, 10);
	assert_int_equal(reply.status, -104);
	close(fd);
	rig_stop(&rig);
}

static void unplugging_ends_the_connection(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	char busid[32];
	struct bench_look look;
	rig_start(&rig, 2, true);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-2", device), 0);
	assert_int_equal(bench_unplug(rig.bench, 2, NULL), 0);
	assert_true(ended(fd));
	close(fd);
	assert_int_equal(list_count(&rig, busid), 1);
	fd = dial(&rig);
	assert_int_equal(import(fd, "1-2", device), 4);
	close(fd);

	/* and by a fault, in the middle of a transfer */
	assert_int_equal(bench_plug(rig.bench, 2, NULL), 0);
	assert_int_equal(bench_fault(rig.bench, 2, "unplug=3", NULL), 0);
	fd = dial(&rig);
	assert_int_equal(import(fd, "1-2", device), 0);
	submit(fd, 2, 1, 0, capabilities, NULL);
	assert_true(ended(fd));
	close(fd);
	bench_look(rig.bench, 2, &look);
	assert_true(look.pulled && !look.plugged);
	assert_int_equal(bench_plug(rig.bench, 2, NULL), 0);
	fd = dial(&rig);
	assert_int_equal(import(fd, "1-2", device), 0);
	submit(fd, 2, 1, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).actual, 4);
	close(fd);
	rig_stop(&rig);
}

static void a_stall_is_told(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 1, true);
	assert_int_equal(bench_fault(rig.bench, 1, "stall=2", NULL), 0);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit(fd, 1, 1, 0, capabilities, NULL);
	struct reply reply = answer(fd, true);
	assert_int_equal(reply.status, -32);
	assert_int_equal(reply.actual, 0);
	submit(fd, 1, 2, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).status, 0);
	close(fd);
	rig_stop(&rig);
}

/* A firmware that starts again without leaving the bus does not even NAK: the host gives up at once
 * with -EPROTO, until it resets the port. */
static void a_silent_device_is_a_protocol_error(void **state)
{
	static const uint8_t transmit[8] = {0xC0, 3, 0x30, 0, 0, 0, 4, 0};
	static const uint8_t port_reset[8] = {0x23, 3, 4, 0, 1, 0, 0, 0};
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 1, true);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit(fd, 1, 1, 0, transmit, NULL); /* before the first CONNECT */
	assert_int_equal(answer(fd, true).status, -71);
	submit(fd, 1, 2, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).status, -71);
	submit(fd, 1, 3, 0, port_reset, NULL);
	assert_int_equal(answer(fd, false).status, 0);
	submit(fd, 1, 4, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).actual, 4);
	close(fd);
	rig_stop(&rig);
}

/* The "nr" firmware leaves the bus when it starts again, and comes back by itself. */
static void a_firmware_that_starts_again_is_there_again(void **state)
{
	static const uint8_t transmit[8] = {0xC0, 3, 0x30, 0, 0, 0, 4, 0};
	(void)state;
	struct rig rig;
	uint8_t device[312];
	struct bench_look look;
	rig_start_firmware(&rig, 1, true, "nr");
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit(fd, 1, 1, 0, transmit, NULL); /* before the first CONNECT */
	assert_true(ended(fd));
	close(fd);
	bench_look(rig.bench, 1, &look);
	assert_true(look.plugged && !look.pulled);
	fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit(fd, 1, 1, 0, get_device, NULL);
	assert_int_equal(answer(fd, true).actual, 18);
	close(fd);
	rig_stop(&rig);
}

/* In real time an answer never comes before it is due; meanwhile an unlink is heard. */
static void real_time_is_waited_for(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 1, false);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	int64_t before = bench_clock_ns();
	for (uint32_t i = 1; i <= 20; i++) {
		submit(fd, 1, i, 0, get_device, NULL);
		assert_int_equal(answer(fd, true).actual, 18);
	}
	/* setup, three packets and a status at low speed never fit into one frame of 1 ms */
	assert_true(bench_clock_ns() - before > 20 * 1000000);
	for (uint32_t i = 100; i < 120; i++)
		submit(fd, 1, i, 0, get_device, NULL);
	unlink_urb(fd, 1, 200, 119);
	struct reply reply;
	do
		reply = answer(fd, true);
	while (reply.kind == 3);
	assert_int_equal(reply.seqnum, 200);
	assert_int_equal(reply.status, -104);
	close(fd);
	rig_stop(&rig);
}

/* ---- other endpoints ---- */

/* A device that gives back what it was sent: OUT 02 packet by packet into IN 82, after `delay_ms` where
 * the first byte of a packet says so, and an interrupt IN 83 that tells how many packets it was sent, each
 * time that has changed. It holds one packet at a time. */
struct echo {
	struct pod pod;
	uint8_t packet[64];
	uint32_t length;
	bool full;
	int64_t ready_ns;
	uint8_t count, told;
};

static enum pod_outcome echo_control(struct pod *base, struct pod_control *transfer)
{
	(void)base;
	transfer->actual = 0;
	if (transfer->setup[1] == 6) {
		memcpy(transfer->data, base->device_descriptor, 18);
		transfer->actual = 18;
	}
	return POD_DONE;
}

static enum pod_outcome echo_out(struct echo *echo, struct pod_bulk *transfer)
{
	do {
		uint32_t chunk = transfer->length - transfer->actual;
		if (echo->full)
			return POD_WAIT;
		echo->length = chunk < 64 ? chunk : 64;
		memcpy(echo->packet, transfer->data + transfer->actual, echo->length);
		echo->full = true;
		echo->count++;
		transfer->actual += echo->length;
		transfer->end_ns += 50000;
		echo->ready_ns = transfer->end_ns;
		if (echo->length > 0 && echo->packet[0] == 'd')
			echo->ready_ns += 300 * INT64_C(1000000);
	} while (transfer->actual < transfer->length);
	return POD_DONE;
}

static enum pod_outcome echo_in(struct echo *echo, struct pod_bulk *transfer)
{
	if (!echo->full)
		return POD_WAIT;
	if (transfer->start_ns < echo->ready_ns) {
		transfer->retry_ns = echo->ready_ns;
		transfer->sure = echo->packet[1] == 's';
		return POD_WAIT;
	}
	transfer->actual = echo->length;
	memcpy(transfer->data, echo->packet,
	       echo->length < transfer->length ? echo->length : transfer->length);
	echo->full = false;
	return echo->length < 64 || transfer->length == 64 ? POD_DONE : POD_WAIT;
}

static enum pod_outcome echo_bulk(struct pod *base, struct pod_bulk *transfer)
{
	struct echo *echo = (struct echo *)(void *)base;
	if (transfer->endpoint == 0x02)
		return echo_out(echo, transfer);
	if (transfer->endpoint == 0x82)
		return echo_in(echo, transfer);
	if (echo->told == echo->count)
		return POD_WAIT;
	echo->told = transfer->data[0] = echo->count;
	transfer->actual = 1;
	return POD_DONE;
}

static void echo_nothing(struct pod *base, int64_t now_ns)
{
	(void)base, (void)now_ns;
}

static void echo_power(struct pod *base, bool on, int64_t now_ns)
{
	(void)base, (void)on, (void)now_ns;
}

static void echo_dump(const struct pod *base, struct jsonw *json, const char *key)
{
	jsonw_int(json, key, base->faults.hang_after + base->faults.freeze_after);
}

static void echo_destroy(struct pod *base)
{
	free(base);
}

static struct pod *echo_create(const struct pod_options *options)
{
	static const struct pod_ops ops = {echo_control, echo_bulk, echo_nothing,
	                                   echo_power,   echo_dump, echo_destroy};
	static const uint8_t device[18] = {18, 1, 0x10, 1, 0xFF, 0, 0, 64, 9, 0x12, 1, 0, 0, 1, 0, 0, 0, 1};
	static const uint8_t configuration[48] = {
	        9, 2, 48, 0, 2, 1, 0, 0x80, 50, /* two interfaces */
	        9, 4, 0, 0, 2, 0xFF, 1, 2, 0,   7, 5, 0x82, 2, 64, 0, 0,
	        7, 5, 2, 2, 64, 0, 0,           9, 4, 1, 0, 1, 3, 4, 5, 0,
	        7, 5, 0x83, 3, 8, 0, 1};
	struct echo *echo = calloc(1, sizeof *echo);
	(void)options;
	assert_non_null(echo);
	echo->pod.ops = &ops;
	echo->pod.speed = 2;
	memcpy(echo->pod.device_descriptor, device, sizeof device);
	memcpy(echo->pod.configuration_descriptor, configuration, sizeof configuration);
	echo->pod.configuration_length = sizeof configuration;
	return &echo->pod;
}

enum { IN = 0x80, SHORT_NOT_OK = 1, ZERO_PACKET = 0x40 };

static void submit_bulk(int fd, uint32_t seqnum, uint8_t endpoint, uint32_t flags, const void *data,
                        uint32_t length)
{
	uint8_t bytes[48] = {0};
	put32(bytes, 1);
	put32(bytes + 4, seqnum);
	put32(bytes + 8, 1 << 16 | 2);
	put32(bytes + 12, endpoint >> 7);
	put32(bytes + 16, endpoint & 15);
	put32(bytes + 20, flags);
	put32(bytes + 24, length);
	say(fd, bytes, sizeof bytes);
	if (endpoint < IN && length > 0)
		say(fd, data, length);
}

static void expect(int fd, uint32_t seqnum, bool in, int32_t status, const void *data, uint32_t length)
{
	struct reply reply = answer(fd, in);
	assert_int_equal(reply.kind, 3);
	assert_int_equal(reply.seqnum, seqnum);
	assert_int_equal(reply.status, status);
	assert_int_equal(reply.actual, length);
	if (in && length > 0)
		assert_memory_equal(reply.data, data, length);
}

static int import_echo(struct rig *rig, bool fast)
{
	uint8_t device[312];
	rig_start_pod(rig, 1, fast, echo_create, NULL);
	int fd = dial(rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	assert_int_equal(device[311], 2);
	return fd;
}

static void endpoints_do_not_wait_for_each_other(void **state)
{
	(void)state;
	struct rig rig;
	int fd = import_echo(&rig, true);
	submit_bulk(fd, 1, 2 | IN, 0, NULL, 64);
	submit_bulk(fd, 2, 3 | IN, 0, NULL, 8); /* both wait */
	submit(fd, 1, 3, 0, get_device, NULL);
	assert_int_equal(answer(fd, true).seqnum, 3);
	submit_bulk(fd, 4, 2, 0, "hello", 5);
	struct reply reply[3];
	for (int i = 0; i < 3; i++) {
		uint8_t head[48];
		assert_int_equal(hear(fd, head, 48), 48);
		reply[i].seqnum = get32(head + 4);
		reply[i].actual = get32(head + 24);
		assert_int_equal(get32(head + 20), 0);
		if (reply[i].seqnum != 4)
			assert_int_equal(hear(fd, reply[i].data, reply[i].actual), reply[i].actual);
		if (reply[i].seqnum == 1)
			assert_memory_equal(reply[i].data, "hello", 5);
		if (reply[i].seqnum == 2)
			assert_int_equal(reply[i].data[0], 1);
	}
	assert_int_equal(reply[0].seqnum + reply[1].seqnum + reply[2].seqnum, 7);
	close(fd);
	rig_stop(&rig);
}

static void a_full_device_takes_the_rest_later(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t data[150];
	int fd = import_echo(&rig, true);
	for (unsigned i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)('0' + i % 40);
	submit_bulk(fd, 1, 2, 0, data, sizeof data);
	submit_bulk(fd, 2, 2 | IN, 0, NULL, 64);
	expect(fd, 2, true, 0, data, 64);
	submit_bulk(fd, 3, 2 | IN, 0, NULL, 200); /* ends with the short packet */
	struct reply reply = answer(fd, false);
	uint8_t got[86];
	if (reply.seqnum == 1) {
		reply = answer(fd, false);
		assert_int_equal(hear(fd, got, 86), 86);
	} else {
		assert_int_equal(hear(fd, got, 86), 86);
		assert_int_equal(answer(fd, false).seqnum, 1);
	}
	assert_memory_equal(got, data + 64, 86);
	close(fd);
	rig_stop(&rig);
}

static void packets_of_no_bytes_arrive(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t data[64] = "full";
	int fd = import_echo(&rig, true);
	submit_bulk(fd, 1, 2, ZERO_PACKET, data, 64); /* the empty one waits for room */
	submit_bulk(fd, 2, 2 | IN, 0, NULL, 64);
	expect(fd, 2, true, 0, data, 64);
	expect(fd, 1, false, 0, NULL, 64);
	submit_bulk(fd, 3, 2 | IN, 0, NULL, 64);
	expect(fd, 3, true, 0, NULL, 0);
	submit_bulk(fd, 4, 2, ZERO_PACKET, data, 63); /* short already */
	expect(fd, 4, false, 0, NULL, 63);
	submit_bulk(fd, 5, 2 | IN, SHORT_NOT_OK, NULL, 64);
	expect(fd, 5, true, -121, data, 63);
	submit_bulk(fd, 6, 2, 0, NULL, 0);
	expect(fd, 6, false, 0, NULL, 0);
	submit_bulk(fd, 7, 2 | IN, 0, NULL, 64);
	expect(fd, 7, true, 0, NULL, 0);
	submit_bulk(fd, 8, 2, 0, "babble", 6);
	expect(fd, 8, false, 0, NULL, 6);
	submit_bulk(fd, 9, 2 | IN, 0, NULL, 4);
	expect(fd, 9, true, -75, "babb", 4);
	close(fd);
	rig_stop(&rig);
}

/* What an unlinked IN was waiting for is there for the next one; the fast mode goes at once to what is
 * sure, and waits for what the host may give up. */
static void waiting_takes_its_time(void **state)
{
	(void)state;
	struct rig rig;
	int fd = import_echo(&rig, true);
	submit_bulk(fd, 1, 2, 0, "du", 2);
	expect(fd, 1, false, 0, NULL, 2);
	int64_t begin = bench_clock_ns();
	submit_bulk(fd, 2, 2 | IN, 0, NULL, 64);
	unlink_urb(fd, 1, 3, 2);
	struct reply reply = answer(fd, false);
	assert_int_equal(reply.seqnum, 3);
	assert_int_equal(reply.status, -104);
	submit_bulk(fd, 4, 2 | IN, 0, NULL, 64);
	expect(fd, 4, true, 0, "du", 2);
	assert_true(bench_clock_ns() - begin > 250 * INT64_C(1000000));
	int64_t quick = INT64_MAX;
	for (uint32_t i = 0; i < 20; i++) { /* 6 s of device time */
		begin = bench_clock_ns();
		submit_bulk(fd, 10 + 2 * i, 2, 0, "ds", 2);
		expect(fd, 10 + 2 * i, false, 0, NULL, 2);
		submit_bulk(fd, 11 + 2 * i, 2 | IN, 0, NULL, 64);
		expect(fd, 11 + 2 * i, true, 0, "ds", 2);
		if (bench_clock_ns() - begin < quick)
			quick = bench_clock_ns() - begin;
	}
	assert_true(quick < 250 * INT64_C(1000000));
	close(fd);
	rig_stop(&rig);
}

static bool hang_is_to_come(const struct rig *rig)
{
	char *text;
	size_t len;
	assert_int_equal(bench_dump(rig->bench, false, &text, &len, NULL), 0);
	bool zero = strstr(text, "\"pod\":0") != NULL || strstr(text, "\"pod\": 0") != NULL;
	free(text);
	return !zero;
}

static void bulk_bytes_count_for_faults(void **state)
{
	static const uint8_t clear_halt[8] = {2, 1, 0, 0, 2, 0, 0, 0};
	(void)state;
	struct rig rig;
	uint8_t data[100] = "first";
	char busid[32];
	int fd = import_echo(&rig, true);
	assert_int_equal(bench_fault(rig.bench, 1, "flip=4", NULL), 0);
	submit_bulk(fd, 1, 2, 0, "hello", 5);
	expect(fd, 1, false, 0, NULL, 5);
	submit_bulk(fd, 2, 2 | IN, 0, NULL, 64);
	expect(fd, 2, true, 0, "hel|o", 5);

	/* the packet before arrives; the endpoint stalls until it is cleared */
	assert_int_equal(bench_fault(rig.bench, 1, "stall=70", NULL), 0);
	submit_bulk(fd, 3, 2, 0, data, 100);
	expect(fd, 3, false, -32, NULL, 0);
	submit_bulk(fd, 4, 2, 0, data, 5);
	expect(fd, 4, false, -32, NULL, 0);
	submit_bulk(fd, 5, 2 | IN, 0, NULL, 64);
	expect(fd, 5, true, 0, data, 64);
	submit(fd, 1, 6, 0, clear_halt, NULL);
	assert_int_equal(answer(fd, false).status, 0);
	submit_bulk(fd, 7, 2, 0, data, 5);
	expect(fd, 7, false, 0, NULL, 5);
	submit_bulk(fd, 8, 2 | IN, 0, NULL, 64);
	expect(fd, 8, true, 0, data, 5);

	assert_int_equal(bench_fault(rig.bench, 1, "hang=5", NULL), 0);
	submit_bulk(fd, 9, 2, 0, data, 5);
	while (hang_is_to_come(&rig))
		usleep(1000);
	submit(fd, 1, 10, 0, get_device, NULL);
	unlink_urb(fd, 1, 11, 9);
	assert_int_equal(answer(fd, false).status, -104);
	assert_int_equal(bench_unplug(rig.bench, 1, NULL), 0);
	assert_true(ended(fd));
	close(fd);

	assert_int_equal(bench_plug(rig.bench, 1, NULL), 0);
	assert_int_equal(bench_fault(rig.bench, 1, "unplug=9", NULL), 0);
	uint8_t device[312];
	fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	submit_bulk(fd, 1, 2, 0, data, 8);
	expect(fd, 1, false, 0, NULL, 8);
	submit_bulk(fd, 2, 2 | IN, 0, NULL, 64);
	assert_true(ended(fd));
	close(fd);
	assert_int_equal(list_count(&rig, busid), 0);
	rig_stop(&rig);
}

static void a_frozen_device_wakes_at_a_port_reset(void **state)
{
	static const uint8_t port_reset[8] = {0x23, 3, 4, 0, 1, 0, 0, 0};
	(void)state;
	struct rig rig;
	uint8_t data[100] = "first";
	int fd = import_echo(&rig, true);
	assert_int_equal(bench_fault(rig.bench, 1, "freeze=5", NULL), 0);
	submit_bulk(fd, 1, 2, 0, data, 5);
	while (hang_is_to_come(&rig))
		usleep(1000);
	submit(fd, 1, 2, 0, get_device, NULL);
	unlink_urb(fd, 1, 3, 2);
	assert_int_equal(answer(fd, false).status, -104);
	unlink_urb(fd, 1, 4, 1);
	assert_int_equal(answer(fd, false).status, -104);
	submit(fd, 1, 5, 0, port_reset, NULL);
	assert_int_equal(answer(fd, false).status, 0);
	submit_bulk(fd, 6, 2, 0, data, 5);
	expect(fd, 6, false, 0, NULL, 5);
	close(fd);
	rig_stop(&rig);
}

/* Replies of a pod that has only endpoint 0. */
static void a_control_reply_can_go_wrong(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312];
	rig_start(&rig, 1, true);
	int fd = dial(&rig);
	assert_int_equal(import(fd, "1-1", device), 0);
	static const struct {
		const char *words;
		uint32_t actual;
		uint8_t third;
	} cases[] = {{"reply-cut=2", 2, 0}, {"reply-wrong=2", 4, 0x10}};
	uint32_t seqnum = 1;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(bench_fault(rig.bench, 1, cases[i].words, NULL), 0);
		submit(fd, 1, seqnum++, 0, capabilities, NULL);
		assert_int_equal(answer(fd, true).actual, 4);
		submit(fd, 1, seqnum++, 0, get_device, NULL); /* is no command */
		assert_int_equal(answer(fd, true).actual, 18);
		submit(fd, 1, seqnum++, 0, capabilities, NULL);
		struct reply reply = answer(fd, true);
		assert_int_equal(reply.actual, cases[i].actual);
		assert_int_equal(reply.data[2], cases[i].third);
	}
	assert_int_equal(bench_fault(rig.bench, 1, "reply-late=1.200", NULL), 0);
	int64_t begin = bench_clock_ns();
	submit(fd, 1, 50, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).actual, 4);
	assert_true(bench_clock_ns() - begin > 190 * INT64_C(1000000));
	assert_int_equal(bench_fault(rig.bench, 1, "reply-lost=1", NULL), 0);
	submit(fd, 1, 51, 0, capabilities, NULL);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 300), 0);
	unlink_urb(fd, 1, 52, 51);
	assert_int_equal(answer(fd, false).status, -104);
	bench_faults_clear(rig.bench, 1);
	submit(fd, 1, 53, 0, capabilities, NULL);
	assert_int_equal(answer(fd, true).actual, 4);
	close(fd);
	rig_stop(&rig);
}

static void nonsense_ends_only_its_connection(void **state)
{
	(void)state;
	struct rig rig;
	uint8_t device[312], noise[2000];
	rig_start(&rig, 1, true);
	unsigned seed = 1;
	for (int i = 0; i < 300; i++) {
		int fd = dial(&rig);
		for (size_t k = 0; k < sizeof noise; k++)
			noise[k] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
		if (i % 3 == 1)
			memcpy(noise, "\x01\x11\x80\x03", 4);
		if (i % 3 == 2)
			import(fd, "1-1", device); /* may still be busy; noise is noise */
		(void)send(fd, noise, sizeof noise, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		while (!ended(fd))
			;
		close(fd);
	}
	static const struct {
		uint32_t at, value;
	} wrong[] = {{0, 7}, {8, 5}, {12, 2}, {16, 16}, {24, 65537}, {24, 0xFFFFFFFF}, {32, 3}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int fd;
		uint32_t status;
		while (fd = dial(&rig), (status = import(fd, "1-1", device)) == 2)
			close(fd), usleep(1000);
		assert_int_equal(status, 0);
		uint8_t bytes[48] = {0};
		put32(bytes, 1);
		put32(bytes + 8, 1 << 16 | 2);
		put32(bytes + 12, 1);
		put32(bytes + 24, 18);
		memcpy(bytes + 40, get_device, 8);
		put32(bytes + wrong[i].at, wrong[i].value);
		say(fd, bytes, sizeof bytes);
		assert_true(ended(fd));
		close(fd);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(list_holds_what_is_plugged),
	        cmocka_unit_test(transfers_go_both_ways),
	        cmocka_unit_test(one_importer_at_a_time),
	        cmocka_unit_test(a_hang_ends_by_unlink),
	        cmocka_unit_test(unplugging_ends_the_connection),
	        cmocka_unit_test(a_stall_is_told),
	        cmocka_unit_test(a_silent_device_is_a_protocol_error),
	        cmocka_unit_test(a_firmware_that_starts_again_is_there_again),
	        cmocka_unit_test(real_time_is_waited_for),
	        cmocka_unit_test(endpoints_do_not_wait_for_each_other),
	        cmocka_unit_test(a_full_device_takes_the_rest_later),
	        cmocka_unit_test(packets_of_no_bytes_arrive),
	        cmocka_unit_test(waiting_takes_its_time),
	        cmocka_unit_test(bulk_bytes_count_for_faults),
	        cmocka_unit_test(a_frozen_device_wakes_at_a_port_reset),
	        cmocka_unit_test(a_control_reply_can_go_wrong),
	        cmocka_unit_test(nonsense_ends_only_its_connection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
