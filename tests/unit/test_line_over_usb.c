#include "station/link/line_over_usb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A line by USB requests, on a USB link that is a list: what the device says, packet by packet, and what was asked of it. */

enum { PATIENCE_MS = 5000, SHORT_MS = 60, ROOM = 64 };

struct request {
	uint8_t type, code;
	uint16_t value, index;
	uint8_t data[8];
	uint16_t length;
};

struct fake {
	struct link base;
	const uint8_t *configuration;
	size_t configuration_length;
	struct request requests[ROOM];
	size_t request_count;
	struct {
		const char *bytes;
		size_t length;
	} packets[ROOM]; /* IN, in order */
	size_t packet_count, packet;
	bool idle_packets; /* FTDI: two status bytes when there is no more */
	bool gone;
	unsigned streamed; /* calls of stream */
	size_t most;       /* the longest IN that was asked for */
	uint8_t last_in, last_out;
	char written[600];
	size_t written_length, take; /* take: bytes that one OUT takes, 0 = all */
	int closes;
};

static int fake_control(struct link *link, uint8_t type, uint8_t code, uint16_t value, uint16_t index, void *data,
			uint16_t length, deadline_t deadline)
{
	struct fake *fake = (struct fake *)link;

	(void)deadline;
	if (fake->gone)
		return -LINK_GONE;
	if (type == 0x80 && code == 6 && value == 0x0200) {
		size_t n = fake->configuration_length < length ? fake->configuration_length : length;
		memcpy(data, fake->configuration, n);
		return (int)n;
	}
	assert_true(fake->request_count < ROOM);
	struct request *request = &fake->requests[fake->request_count++];
	*request = (struct request){.type = type, .code = code, .value = value, .index = index, .length = length};
	assert_true(length <= sizeof request->data);
	if (length > 0)
		memcpy(request->data, data, length);
	return length;
}

static int fake_in(struct fake *fake, void *data, size_t length, deadline_t deadline)
{
	if (length > fake->most)
		fake->most = length;
	if (fake->packet == fake->packet_count) {
		if (deadline_left_ms(deadline) == 0 || !fake->idle_packets) {
			int64_t left = deadline - clock_now();
			clock_sleep_us(left > 0 ? left / 1000 + 1 : 0);
			return -LINK_TIMEOUT;
		}
		clock_sleep_us(1000);
		memcpy(data, "\x01\x60", 2);
		return 2;
	}
	size_t n = fake->packets[fake->packet].length;
	assert_true(n <= length);
	memcpy(data, fake->packets[fake->packet++].bytes, n);
	return (int)n;
}

static int fake_bulk(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline)
{
	struct fake *fake = (struct fake *)link;

	if (fake->gone)
		return -LINK_GONE;
	if (endpoint & 0x80) {
		fake->last_in = endpoint;
		return fake_in(fake, data, length, deadline);
	}
	fake->last_out = endpoint;
	if (fake->take > 0 && fake->take < length)
		length = fake->take;
	memcpy(fake->written + fake->written_length, data, length);
	fake->written_length += length;
	return (int)length;
}

static void fake_close(struct link *link)
{
	((struct fake *)link)->closes++;
}

static const struct link_ops fake_ops = {.control = fake_control, .bulk = fake_bulk, .close = fake_close};

/* Of a Pro Micro with QMK's ISP firmware (its flash holds these bytes). */
static const uint8_t pro_micro[] = {
	0x09, 0x02, 0x43, 0x00, 0x02, 0x01, 0x00, 0xC0, 0x32, 0x09, 0x04, 0x00, 0x00, 0x01, 0x02, 0x02, 0x01,
	0x00, 0x05, 0x24, 0x00, 0x10, 0x01, 0x05, 0x24, 0x01, 0x00, 0x01, 0x04, 0x24, 0x02, 0x06, 0x05, 0x24,
	0x06, 0x00, 0x01, 0x07, 0x05, 0x82, 0x03, 0x08, 0x00, 0x40, 0x09, 0x04, 0x01, 0x00, 0x02, 0x0A, 0x00,
	0x00, 0x00, 0x07, 0x05, 0x03, 0x02, 0x40, 0x00, 0x00, 0x07, 0x05, 0x84, 0x02, 0x40, 0x00, 0x00};
/* A composite one: a data interface that is not the line's, a HID, then the line at interfaces 3 and 4. */
static const uint8_t composite[] = {
	0x09, 0x02, 0x00, 0x00, 0x04, 0x01, 0x00, 0xC0, 0x32,
	0x09, 0x04, 0x00, 0x00, 0x02, 0x0A, 0x00, 0x00, 0x00, 0x07, 0x05, 0x01, 0x02, 0x40, 0x00, 0x00, 0x07, 0x05, 0x81, 0x02, 0x40, 0x00, 0x00,
	0x09, 0x04, 0x01, 0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x07, 0x05, 0x85, 0x03, 0x08, 0x00, 0x01,
	0x09, 0x04, 0x03, 0x00, 0x01, 0x02, 0x02, 0x01, 0x00, 0x05, 0x24, 0x06, 0x03, 0x04, 0x07, 0x05, 0x82, 0x03, 0x08, 0x00, 0x40,
	0x09, 0x04, 0x04, 0x00, 0x02, 0x0A, 0x00, 0x00, 0x00, 0x07, 0x05, 0x86, 0x02, 0x00, 0x02, 0x00, 0x07, 0x05, 0x07, 0x02, 0x00, 0x02, 0x00};
static const uint8_t ft232r[] = {0x09, 0x02, 0x20, 0x00, 0x01, 0x01, 0x00, 0xA0, 0x2D, 0x09, 0x04,
				 0x00, 0x00, 0x02, 0xFF, 0xFF, 0xFF, 0x02, 0x07, 0x05, 0x81, 0x02,
				 0x40, 0x00, 0x00, 0x07, 0x05, 0x02, 0x02, 0x40, 0x00, 0x00};
static const uint8_t keyboard[] = {0x09, 0x02, 0x22, 0x00, 0x01, 0x01, 0x00, 0xA0, 0x32, 0x09, 0x04,
				   0x00, 0x00, 0x01, 0x03, 0x01, 0x01, 0x00, 0x07, 0x05, 0x81, 0x03,
				   0x08, 0x00, 0x0A};

struct fixture {
	struct fake fake;
	struct link *line;
};

static void be(struct fixture *f, const uint8_t *configuration, size_t length)
{
	f->fake.base.ops = &fake_ops;
	f->fake.configuration = configuration;
	f->fake.configuration_length = length;
}

static int open_line(struct fixture *f, uint16_t vendor, struct pogo_error *err)
{
	const struct usb_identity identity = {.path = "1-2", .vendor = vendor, .product = 0x6001};

	return line_over_usb_open(&f->fake.base, &identity, &f->line, deadline_in_ms(PATIENCE_MS), err);
}

static int begin(void **state, const uint8_t *configuration, size_t length, uint16_t vendor)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct pogo_error err = {.text = ""};

	*state = f;
	be(f, configuration, length);
	return open_line(f, vendor, &err);
}

static int begin_cdc(void **state)
{
	return begin(state, pro_micro, sizeof pro_micro, 0x16C0);
}

static int begin_ftdi(void **state)
{
	int failed = begin(state, ft232r, sizeof ft232r, 0x0403);

	((struct fixture *)*state)->fake.idle_packets = true;
	return failed;
}

static int end(void **state)
{
	struct fixture *f = *state;

	if (f->line != NULL) {
		f->line->ops->close(f->line);
		assert_int_equal(f->fake.closes, 1);
	}
	free(f);
	return 0;
}

static void say(struct fixture *f, const char *bytes, size_t length)
{
	assert_true(f->fake.packet_count < ROOM);
	f->fake.packets[f->fake.packet_count].bytes = bytes;
	f->fake.packets[f->fake.packet_count++].length = length;
}

static int read_line(struct fixture *f, void *data, size_t room, int ms)
{
	return f->line->ops->read(f->line, data, room, deadline_in_ms(ms));
}

static void cdc_asks_nothing_before_the_first_line_call(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fake.request_count, 0);
}

static void cdc_speed_goes_before_the_signals(void **state)
{
	struct fixture *f = *state;
	static const uint8_t coding[] = {0x00, 0x4B, 0x00, 0x00, 0x00, 0x00, 0x08}; /* 19200 8N1 */

	assert_int_equal(f->line->ops->line(f->line, 19200, LINE_DTR | LINE_RTS, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(f->fake.request_count, 2);
	assert_int_equal(f->fake.requests[0].type, 0x21);
	assert_int_equal(f->fake.requests[0].code, 0x20);
	assert_int_equal(f->fake.requests[0].length, 7);
	assert_memory_equal(f->fake.requests[0].data, coding, 7);
	assert_int_equal(f->fake.requests[1].type, 0x21);
	assert_int_equal(f->fake.requests[1].code, 0x22);
	assert_int_equal(f->fake.requests[1].value, 3);
	assert_int_equal(f->fake.requests[1].index, 0);
	assert_int_equal(f->line->ops->line(f->line, 115200, LINE_RTS, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(f->fake.requests[3].value, 2);
}

/* 1200 baud with DTR low starts a boot loader: not even between two requests, unless it is what was asked for. */
static void cdc_is_never_at_1200_baud_without_dtr_by_chance(void **state)
{
	struct fixture *f = *state;
	static const unsigned bauds[] = {1200, 19200}, signals[] = {0, LINE_DTR | LINE_RTS};

	for (unsigned from = 0; from < 4; from++)
		for (unsigned to = 0; to < 4; to++) {
			unsigned baud = bauds[from & 1], now = signals[from >> 1];
			if (baud == 1200 && now == 0)
				continue;
			f->fake.request_count = 0;
			assert_int_equal(f->line->ops->line(f->line, bauds[to & 1], signals[to >> 1],
							    deadline_in_ms(PATIENCE_MS)), 0);
			assert_int_equal(f->fake.request_count, 2);
			const struct request *first = &f->fake.requests[0];
			if (first->code == 0x20)
				baud = first->data[0] | (unsigned)first->data[1] << 8;
			else
				now = first->value;
			assert_false(baud == 1200 && now == 0 && !(bauds[to & 1] == 1200 && signals[to >> 1] == 0));
		}
}

static void cdc_reads_packet_by_packet_and_loses_no_byte(void **state)
{
	struct fixture *f = *state;
	char full[65], back[200];
	size_t got = 0;

	memset(full, 'f', 64);
	say(f, full, 64);
	say(f, "", 0); /* the empty packet after a full one */
	say(f, "tail", 4);
	assert_int_equal(read_line(f, back, 3, PATIENCE_MS), 3);
	got = 3;
	while (got < 68) {
		int n = read_line(f, back + got, sizeof back - got, PATIENCE_MS);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(got, 68);
	assert_memory_equal(back + 64, "tail", 4);
	assert_int_equal(f->fake.most, 64);
	assert_int_equal(f->fake.last_in, 0x84);
	assert_int_equal(read_line(f, back, sizeof back, SHORT_MS), -LINK_TIMEOUT);
	say(f, "x", 1);
	assert_int_equal(read_line(f, back, sizeof back, PATIENCE_MS), 1);
}

static void a_write_is_whole(void **state)
{
	struct fixture *f = *state;
	char bytes[300];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)i;
	f->fake.take = 64;
	assert_int_equal(f->line->ops->write(f->line, bytes, sizeof bytes, deadline_in_ms(PATIENCE_MS)), 300);
	assert_int_equal(f->fake.written_length, 300);
	assert_memory_equal(f->fake.written, bytes, 300);
	assert_int_equal(f->fake.last_out, 0x03);
}

static void cdc_discards_what_is_here_and_there(void **state)
{
	struct fixture *f = *state;
	char byte;

	say(f, "old", 3);
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), 1);
	say(f, "older", 5);
	say(f, "!", 1);
	assert_int_equal(f->line->ops->discard(f->line, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(f->fake.packet, 3);
	assert_int_equal(read_line(f, &byte, 1, SHORT_MS), -LINK_TIMEOUT);
	say(f, "n", 1);
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), 1);
	assert_int_equal(byte, 'n');
}

static void the_line_of_a_composite_device_is_found(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct pogo_error err = {.text = ""};
	char byte;

	*state = f;
	be(f, composite, sizeof composite);
	assert_int_equal(open_line(f, 0x1209, &err), 0);
	assert_int_equal(f->line->ops->line(f->line, 115200, LINE_DTR, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(f->fake.requests[0].index, 3);
	say(f, "x", 1);
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), 1);
	assert_int_equal(f->fake.last_in, 0x86);
	assert_int_equal(f->fake.most, 512);
	assert_int_equal(f->line->ops->write(f->line, "x", 1, deadline_in_ms(PATIENCE_MS)), 1);
	assert_int_equal(f->fake.last_out, 0x07);
}

static void ftdi_is_set_up_with_a_short_latency(void **state)
{
	struct fixture *f = *state;
	static const uint16_t want[][2] = {{0, 0}, {9, 1}, {4, 8}, {2, 0}};

	assert_int_equal(f->fake.request_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(f->fake.requests[i].type, 0x40);
		assert_int_equal(f->fake.requests[i].code, want[i][0]);
		assert_int_equal(f->fake.requests[i].value, want[i][1]);
		assert_int_equal(f->fake.requests[i].length, 0);
	}
}

/* Value and index as the data sheets and AN232B-05 have them (0x4138 is its 9600 baud example). */
static void ftdi_speeds_are_those_of_the_application_note(void **state)
{
	static const struct {
		uint32_t baud;
		uint16_t value, index;
	} cases[] = {
		{300, 0x2710, 0},   {9600, 0x4138, 0},	  {19200, 0x809C, 0},  {38400, 0xC04E, 0},   {57600, 0xC034, 0},
		{115200, 0x001A, 0}, {230400, 0x000D, 0}, {460800, 0x4006, 0}, {921600, 0x8003, 0},
		{1000000, 0x0003, 0}, {2000000, 0x0001, 0}, {3000000, 0x0000, 0}, {470588, 0x0006, 1}, {452830, 0x4006, 1},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f->fake.request_count = 0;
		assert_int_equal(f->line->ops->line(f->line, cases[i].baud, LINE_DTR, deadline_in_ms(PATIENCE_MS)), 0);
		assert_int_equal(f->fake.requests[0].code, 3);
		assert_int_equal(f->fake.requests[0].value, cases[i].value);
		assert_int_equal(f->fake.requests[0].index, cases[i].index);
		assert_int_equal(f->fake.requests[1].code, 1);
		assert_int_equal(f->fake.requests[1].value, 0x0301);
	}
}

static void ftdi_status_bytes_are_no_data(void **state)
{
	struct fixture *f = *state;
	char back[100];

	say(f, "\x01\x60", 2);
	say(f, "\x01\x60" "BBIO1", 7);
	say(f, "\x01\x60", 2);
	assert_int_equal(read_line(f, back, sizeof back, PATIENCE_MS), 5);
	assert_memory_equal(back, "BBIO1", 5);
	int64_t begin_ns = clock_now();
	assert_int_equal(read_line(f, back, sizeof back, SHORT_MS), -LINK_TIMEOUT); /* only status comes */
	assert_true(clock_now() - begin_ns >= SHORT_MS * 1000000LL);
}

static void ftdi_discards_in_the_chip_too(void **state)
{
	struct fixture *f = *state;
	char byte;

	f->fake.request_count = 0;
	say(f, "\x01\x60" "old", 5);
	assert_int_equal(f->line->ops->discard(f->line, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(f->fake.requests[0].code, 0);
	assert_int_equal(f->fake.requests[0].value, 1);
	say(f, "\x01\x60" "n", 3);
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), 1);
	assert_int_equal(byte, 'n');
}

static void a_lost_device_is_gone(void **state)
{
	struct fixture *f = *state;
	char byte;

	f->fake.gone = true;
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), -LINK_GONE);
	assert_int_equal(f->line->ops->write(f->line, "x", 1, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
	assert_int_equal(f->line->ops->line(f->line, 19200, 0, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
	assert_int_equal(f->line->ops->discard(f->line, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
}

/* ---- over a link that keeps transfers posted */

static int fake_stream(struct link *link, uint8_t endpoint, void *data, size_t packet, deadline_t deadline)
{
	struct fake *fake = (struct fake *)link;

	assert_int_equal(packet, 64);
	if (fake->gone)
		return -LINK_GONE;
	fake->last_in = endpoint;
	fake->streamed++;
	if (fake->packet == fake->packet_count && fake->idle_packets) { /* late ones are there at once */
		memcpy(data, "\x01\x60", 2);
		return 2;
	}
	return fake_in(fake, data, packet, deadline);
}

static const struct link_ops stream_ops = {
	.control = fake_control, .bulk = fake_bulk, .stream = fake_stream, .close = fake_close};

static void begin_stream(struct fixture *f, const uint8_t *configuration, size_t length, uint16_t vendor)
{
	struct pogo_error err = {.text = ""};

	be(f, configuration, length);
	f->fake.base.ops = &stream_ops;
	assert_int_equal(open_line(f, vendor, &err), 0);
}

static void a_stream_is_used_from_the_beginning(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char back[10];

	*state = f;
	say(f, "early", 5); /* before anybody reads */
	begin_stream(f, pro_micro, sizeof pro_micro, 0x16C0);
	assert_true(f->fake.streamed > 0);
	assert_int_equal(read_line(f, back, sizeof back, PATIENCE_MS), 5);
	assert_memory_equal(back, "early", 5);
	say(f, "old", 3);
	assert_int_equal(f->line->ops->discard(f->line, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(read_line(f, back, sizeof back, SHORT_MS), -LINK_TIMEOUT);
}

/* Sixteen may have been answered with nothing long ago: the stale bytes stand behind them. */
static void ftdi_discards_behind_empty_packets(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	char byte;

	*state = f;
	begin_stream(f, ft232r, sizeof ft232r, 0x0403);
	for (unsigned i = 0; i < LINK_STREAM; i++)
		say(f, "\x01\x60", 2);
	say(f, "\x01\x60" "stale", 7);
	f->fake.idle_packets = true;
	assert_int_equal(f->line->ops->discard(f->line, deadline_in_ms(PATIENCE_MS)), 0);
	int64_t begin_ns = clock_now();
	assert_int_equal(read_line(f, &byte, 1, SHORT_MS), -LINK_TIMEOUT);
	assert_true(clock_now() - begin_ns >= SHORT_MS * 1000000LL);
	say(f, "\x01\x60" "n", 3);
	assert_int_equal(read_line(f, &byte, 1, PATIENCE_MS), 1);
	assert_int_equal(byte, 'n');
}

static void what_is_no_line_is_refused_and_left_to_the_caller(void **state)
{
	struct fixture f = {.line = NULL};
	struct pogo_error err = {.text = ""};

	(void)state;
	be(&f, keyboard, sizeof keyboard);
	assert_int_equal(open_line(&f, 0x16C0, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "16c0:6001 at port 1-2"));
	assert_int_equal(f.fake.closes, 0);
}

static void cut_and_broken_descriptors_do_no_harm(void **state)
{
	(void)state;
	for (size_t length = 0; length < sizeof composite; length++) {
		struct fixture f = {.line = NULL};
		struct pogo_error err = {.text = ""};
		uint8_t *exact = malloc(length + 1);
		memcpy(exact, composite, length);
		be(&f, exact, length);
		if (open_line(&f, 0x1209, &err) == 0)
			f.line->ops->close(f.line);
		free(exact);
	}
	for (unsigned seed = 1; seed <= 3000; seed++) {
		struct fixture f = {.line = NULL};
		struct pogo_error err = {.text = ""};
		uint8_t bytes[sizeof composite];
		unsigned noise = seed * 2654435761u;
		memcpy(bytes, composite, sizeof bytes);
		for (unsigned i = 0; i < 4; i++, noise = noise * 1664525u + 1013904223u)
			bytes[(noise >> 8) % sizeof bytes] = (uint8_t)(noise >> 24);
		be(&f, bytes, sizeof bytes);
		if (open_line(&f, seed & 1 ? 0x0403 : 0x1209, &err) == 0)
			f.line->ops->close(f.line);
		else
			assert_true(err.text[0] != '\0');
	}
}

#define C(name) cmocka_unit_test_setup_teardown(name, begin_cdc, end)
#define F(name) cmocka_unit_test_setup_teardown(name, begin_ftdi, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		C(cdc_asks_nothing_before_the_first_line_call),
		C(cdc_speed_goes_before_the_signals),
		C(cdc_is_never_at_1200_baud_without_dtr_by_chance),
		C(cdc_reads_packet_by_packet_and_loses_no_byte),
		C(a_write_is_whole),
		C(cdc_discards_what_is_here_and_there),
		cmocka_unit_test_teardown(the_line_of_a_composite_device_is_found, end),
		F(ftdi_is_set_up_with_a_short_latency),
		F(ftdi_speeds_are_those_of_the_application_note),
		F(ftdi_status_bytes_are_no_data),
		F(ftdi_discards_in_the_chip_too),
		C(a_lost_device_is_gone),
		F(a_lost_device_is_gone),
		cmocka_unit_test_teardown(a_stream_is_used_from_the_beginning, end),
		cmocka_unit_test_teardown(ftdi_discards_behind_empty_packets, end),
		cmocka_unit_test(what_is_no_line_is_refused_and_left_to_the_caller),
		cmocka_unit_test(cut_and_broken_descriptors_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
