#include "station/programmer/programmer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A scripted USB conversation: a link that knows which request must come next and what to answer.
 * The numbers are those of the USBasp firmware (main.c, requests and data[] indexes), not the
 * driver's names. */

enum { MAX_LINES = 64, MAX_DATA = 1024 };

struct line {
	uint8_t type, request, p[4];
	uint16_t length;
	const uint8_t *sent; /* what an OUT transfer must carry */
	uint8_t reply[MAX_DATA];
	int result; /* bytes, or -enum link_status */
};

struct script {
	struct link link;
	struct line lines[MAX_LINES];
	unsigned count, at;
	bool closed;
};

static void print_request(const char *who, uint8_t type, uint8_t request, const uint8_t p[4],
                          uint16_t length)
{
	print_error("  %s type %02x request %3u parameters %02x %02x %02x %02x length %u\n", who,
	            type, request, p[0], p[1], p[2], p[3], length);
}

static int play(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                void *data, uint16_t length, deadline_t deadline)
{
	struct script *s = (struct script *)link;
	const uint8_t p[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index,
	                      (uint8_t)(index >> 8)};

	assert_true(deadline <= deadline_in_ms(3600 * 1000));
	if (s->at == s->count) {
		print_request("unexpected:", type, request, p, length);
		fail();
	}
	struct line *line = &s->lines[s->at++];
	if (line->type != type || line->request != request || memcmp(line->p, p, 4) != 0 ||
	    line->length != length) {
		print_error("line %u of the script:\n", s->at);
		print_request("expected:", line->type, line->request, line->p, line->length);
		print_request("     got:", type, request, p, length);
		fail();
	}
	if (line->sent != NULL)
		assert_memory_equal(data, line->sent, length);
	if ((type & 0x80) && line->result > 0)
		memcpy(data, line->reply, (size_t)line->result);
	return line->result;
}

static int no_bulk(struct link *link, uint8_t endpoint, void *data, size_t length,
                   deadline_t deadline)
{
	(void)link;
	(void)endpoint;
	(void)data;
	(void)length;
	(void)deadline;
	fail_msg("a USBasp has no bulk endpoint");
	return -LINK_IO;
}

static void note_close(struct link *link)
{
	((struct script *)link)->closed = true;
}

static const struct link_ops script_ops = {.control = play, .bulk = no_bulk, .close = note_close};

static struct line *add(struct script *s, uint8_t type, uint8_t request, uint32_t parameters,
                        uint16_t length, int result)
{
	assert_true(s->count < MAX_LINES);
	struct line *line = &s->lines[s->count++];
	*line = (struct line){.type = type, .request = request, .length = length, .result = result};
	for (unsigned i = 0; i < 4; i++) /* written as they stand on the wire: p0 first */
		line->p[i] = (uint8_t)(parameters >> (24 - 8 * i));
	return line;
}

/* An IN request with `result` bytes (or a failure) in answer. */
static void asks(struct script *s, uint8_t request, uint32_t parameters, uint16_t length,
                 int result, const void *reply)
{
	struct line *line = add(s, 0xC0, request, parameters, length, result);
	if (result > 0 && reply != NULL)
		memcpy(line->reply, reply, (size_t)result);
}

static void sends(struct script *s, uint8_t request, uint32_t parameters, const uint8_t *data,
                  uint16_t length)
{
	add(s, 0x40, request, parameters, length, length)->sent = data;
}

static struct script *new_script(void)
{
	struct script *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->link.ops = &script_ops;
	return s;
}

static struct usb_identity identity(uint16_t release)
{
	struct usb_identity id = {.path = "1-4.2",
	                          .vendor = 0x16C0,
	                          .product = 0x05DC,
	                          .release = release,
	                          .speed = 1,
	                          .manufacturer = "www.fischl.de",
	                          .name = "USBasp"};
	return id;
}

enum {
	R_CONNECT = 1,
	R_DISCONNECT,
	R_TRANSMIT,
	R_READFLASH,
	R_ENABLEPROG,
	R_WRITEFLASH,
	R_READEEPROM,
	R_WRITEEEPROM,
	R_SETLONGADDRESS,
	R_SETISPSCK,
	R_GETCAPABILITIES = 127
};

static deadline_t soon(void)
{
	return deadline_in_ms(60 * 1000);
}

/* ---- generations ------------------------------------------------------------------------ */

static void expect_open(struct script *s, int capability_bytes, int sck_bytes)
{
	asks(s, R_GETCAPABILITIES, 0, 4, capability_bytes, "\1\0\0\0");
	asks(s, R_SETISPSCK, 0, 4, sck_bytes, "\0");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
}

static struct programmer *open_as(struct script *s, uint16_t release)
{
	struct usb_identity id = identity(release);
	struct programmer *programmer = NULL;
	struct fault fault = {0};

	assert_int_equal(programmer_usbasp.open(&s->link, &id, &programmer, soon(), &fault), 0);
	assert_ptr_equal(programmer->driver, &programmer_usbasp);
	assert_non_null(programmer->isp);
	assert_string_equal(programmer->info.kind, "usbasp");
	return programmer;
}

/* The whole script was spoken; nothing is left over; the link is closed. */
static void close_script(struct script *s, struct programmer *programmer)
{
	programmer_usbasp.close(programmer);
	assert_int_equal(s->at, s->count);
	assert_true(s->closed);
	free(s);
}

static struct programmer *open_2011(struct script *s)
{
	expect_open(s, 4, 1);
	return open_as(s, 0x0104);
}

static void open_2011_knows_all(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	assert_string_equal(p->info.firmware, "2011 or newer (1.04)");
	assert_string_equal(p->info.abilities, "sck-control tpi");
	assert_true(p->info.sck_control);
	assert_int_equal(p->info.flash_limit, 0);
	assert_int_equal(p->info.sck_steps[0], 1500000);
	assert_int_equal(p->info.sck_steps[11], 500);
	assert_int_equal(p->info.sck_steps[12], 0);
	for (int i = 1; i < 12; i++)
		assert_true(p->info.sck_steps[i] < p->info.sck_steps[i - 1]);
	close_script(s, p);
}

static void open_fork_with_3_mhz(void **state)
{
	(void)state;
	struct script *s = new_script();
	asks(s, R_GETCAPABILITIES, 0, 4, 4, "\1\0\0\1");
	asks(s, R_SETISPSCK, 0, 4, 1, "\0");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	struct programmer *p = open_as(s, 0x0104);
	assert_int_equal(p->info.sck_steps[0], 3000000);
	assert_int_equal(p->info.sck_steps[12], 500);
	close_script(s, p);
}

static void open_2009_has_sck_but_128_kib(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 1);
	struct programmer *p = open_as(s, 0x0103);
	assert_string_equal(p->info.firmware, "2009 (1.03)");
	assert_true(p->info.sck_control);
	assert_int_equal(p->info.flash_limit, 128 * 1024);
	close_script(s, p);
}

static void open_2007_has_fixed_sck(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 0);
	struct programmer *p = open_as(s, 0x0102);
	assert_string_equal(p->info.firmware, "2007 or a clone of it (1.02)");
	assert_string_equal(p->info.abilities, "fixed-sck");
	assert_false(p->info.sck_control);
	assert_int_equal(p->info.sck_steps[0], 0);
	assert_int_equal(p->info.flash_limit, 128 * 1024);
	close_script(s, p);
}

static void open_nerdralph_has_no_capability_word(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 1);
	struct programmer *p = open_as(s, 0x0108);
	assert_string_equal(p->info.firmware, "nerdralph (1.08)");
	assert_int_equal(p->info.flash_limit, 0);
	close_script(s, p);
}

static int try_open(struct script *s, const struct usb_identity *id, struct fault *fault)
{
	struct programmer *programmer = NULL;
	int result = programmer_usbasp.open(&s->link, id, &programmer, soon(), fault);
	assert_int_equal(s->at, s->count);
	assert_false(s->closed); /* a failed open leaves the link to the caller */
	return result;
}

static void open_refuses_a_foreign_device(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct usb_identity id = identity(0x0104);
	struct fault fault = {0};
	strcpy(id.name, "LEDControl");
	assert_int_equal(try_open(s, &id, &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(fault.text, "LEDControl"));
	free(s);
}

/* A loader answers SETISPSCK although it is "1.02", claims success, and has no SPI behind it. */
static void open_refuses_a_bootloader(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct usb_identity id = identity(0x0102);
	struct fault fault = {0};
	expect_open(s, 0, 1);
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
	asks(s, R_TRANSMIT, 0xAC530000, 4, 4, "\0\0\0\0");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	assert_int_equal(try_open(s, &id, &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(fault.text, "USBaspLoader"));
	free(s);
}

static void open_accepts_an_odd_1_02_without_target(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 1);
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\1");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	struct programmer *p = open_as(s, 0x0102);
	assert_true(p->info.sck_control);
	close_script(s, p);
}

static void open_tells_a_dead_programmer(void **state)
{
	(void)state;
	const int results[] = {-LINK_TIMEOUT, -LINK_GONE, -LINK_IO, -LINK_STALL};
	for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
		struct script *s = new_script();
		struct usb_identity id = identity(0x0104);
		struct fault fault = {0};
		asks(s, R_GETCAPABILITIES, 0, 4, results[i], NULL);
		assert_int_equal(try_open(s, &id, &fault), -1);
		assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
		free(s);
	}
}

/* ---- programming mode ------------------------------------------------------------------- */

static void expect_enter(struct script *s, uint8_t code)
{
	asks(s, R_SETISPSCK, (uint32_t)code << 24, 4, 1, "\0");
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
}

static void enter(struct programmer *p, uint32_t hz, uint32_t used)
{
	struct fault fault = {0};
	uint32_t got = 0;
	assert_int_equal(p->isp->enter(p, NULL, hz, &got, soon(), &fault), 0);
	assert_int_equal(got, used);
}

static void leave_and_close(struct script *s, struct programmer *p)
{
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	p->isp->leave(p, soon());
	p->isp->leave(p, soon()); /* says nothing more */
	close_script(s, p);
}

static void enter_takes_the_fastest_legal_step(void **state)
{
	(void)state;
	const struct {
		uint32_t wish, used;
		uint8_t code;
	} cases[] = {
	        {1500000, 1500000, 12}, {8000000, 1500000, 12},
	        {1499999, 750000, 11},  {499999, 375000, 10},
	        {250000, 187500, 9},    {100000, 93750, 8},
	        {35199, 16530, 6},      {3999, 2000, 3},
	        {500, 500, 1},          {1, 500, 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct script *s = new_script();
		struct programmer *p = open_2011(s);
		expect_enter(s, cases[i].code);
		enter(p, cases[i].wish, cases[i].used);
		leave_and_close(s, p);
	}
}

static void enter_waits_20_ms_before_enable(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	expect_enter(s, 10);
	int64_t begin = clock_now();
	enter(p, 375000, 375000);
	assert_true(clock_now() - begin >= 20 * 1000 * 1000);
	leave_and_close(s, p);
}

static void enter_again_is_a_new_reset(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	expect_enter(s, 10);
	enter(p, 375000, 375000);
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	expect_enter(s, 12);
	enter(p, 1500000, 1500000);
	leave_and_close(s, p);
}

static void enter_without_target_releases_the_pins(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	struct fault fault = {0};
	uint32_t hz;
	asks(s, R_SETISPSCK, 10u << 24, 4, 1, "\0");
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\1");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	assert_int_equal(p->isp->enter(p, NULL, 375000, &hz, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_CONTACT);
	p->isp->leave(p, soon()); /* nothing to release any more */
	close_script(s, p);
}

static void fixed_sck_is_told(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 0);
	struct programmer *p = open_as(s, 0x0102);
	struct fault fault = {0};
	uint32_t hz;
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
	enter(p, 100000, 375000);
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\1");
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	assert_int_equal(p->isp->enter(p, NULL, 100000, &hz, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_CONTACT);
	assert_non_null(strstr(fault.text, "jumper"));
	close_script(s, p);
}

static void sck_request_ignored_means_default(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	asks(s, R_SETISPSCK, 8u << 24, 4, 0, NULL);
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
	enter(p, 100000, 375000);
	leave_and_close(s, p);
}

static void firmware_1_06_says_its_sck(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 4, 1);
	struct programmer *p = open_as(s, 0x0106);
	asks(s, R_SETISPSCK, 12u << 24, 4, 1, "\0");
	asks(s, R_CONNECT, 0, 4, 2, "\0\10");
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
	enter(p, 1500000, 93750);
	leave_and_close(s, p);
}

/* TRANSMIT and the memories hang real firmware when it is not connected: the driver must stay
 * silent. */
static void nothing_is_sent_out_of_order(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	uint8_t out[4] = {0x30}, in[4], bytes[128] = {0};
	struct fault fault = {0};
	for (int round = 0; round < 2; round++) {
		assert_int_equal(p->isp->command(p, out, in, soon(), &fault), -1);
		assert_int_equal(fault.code, FAIL_CONTACT);
		assert_int_equal(p->isp->read(p, ISP_FLASH, 0, bytes, 8, soon(), &fault), -1);
		assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 128, 128, soon(), &fault),
		                 -1);
		assert_int_equal(p->isp->write(p, ISP_EEPROM, 0, bytes, 1, 0, soon(), &fault), -1);
		if (round == 0) {
			expect_enter(s, 10);
			enter(p, 375000, 375000);
			asks(s, R_DISCONNECT, 0, 4, 0, NULL);
			p->isp->leave(p, soon());
		}
	}
	close_script(s, p);
}

static void transmit_returns_miso(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	const uint8_t out[4] = {0x30, 0x00, 0x01, 0x00};
	uint8_t in[4] = {0};
	struct fault fault = {0};
	expect_enter(s, 10);
	enter(p, 375000, 375000);
	asks(s, R_TRANSMIT, 0x30000100, 4, 4, "\x00\x30\x00\x95");
	assert_int_equal(p->isp->command(p, out, in, soon(), &fault), 0);
	assert_memory_equal(in, "\x00\x30\x00\x95", 4);
	asks(s, R_TRANSMIT, 0x30000100, 4, 2, "\x00\x30");
	assert_int_equal(p->isp->command(p, out, in, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_WRITE);
	leave_and_close(s, p);
}

/* ---- memories --------------------------------------------------------------------------- */

static struct programmer *entered_2011(struct script *s, uint32_t hz, uint8_t code)
{
	struct programmer *p = open_2011(s);
	struct fault fault = {0};
	uint32_t used;
	expect_enter(s, code);
	assert_int_equal(p->isp->enter(p, NULL, hz, &used, soon(), &fault), 0);
	return p;
}

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
}

static void flash_write_three_pages_of_128(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[384];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0x80010000, 4, 0, NULL); /* 0x0180, little-endian */
	sends(s, R_WRITEFLASH, 0x80018003, bytes, 384);    /* page 0x080, FIRST | LAST */
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x180, bytes, 384, 128, soon(), &fault), 0);
	leave_and_close(s, p);
}

static void flash_write_pages_of_256_above_64_kib(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[1536];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0x00FF0100, 4, 0, NULL);
	sends(s, R_WRITEFLASH, 0x00FF0013, bytes, 512); /* page 0x100: high bits in p3 */
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x1FF00, bytes, 512, 256, soon(), &fault), 0);
	/* The run goes on: no address; four pages at a time, FIRST on the first and LAST on the
	 * last. */
	sends(s, R_WRITEFLASH, 0x00010011, bytes, 1024);
	sends(s, R_WRITEFLASH, 0x00050012, bytes + 1024, 512);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x20100, bytes, 1536, 256, soon(), &fault), 0);
	leave_and_close(s, p);
}

static void flash_write_takes_eight_pages_at_most(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[640];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	sends(s, R_WRITEFLASH, 0x00004001, bytes, 512); /* 8 x 64 */
	sends(s, R_WRITEFLASH, 0x00024002, bytes + 512, 128);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 640, 64, soon(), &fault), 0);
	leave_and_close(s, p);
}

/* 2 kHz: 16 ms per byte; a page of 128 would take 2 s, so half pages, second without FIRST. */
static void slow_sck_makes_small_transfers(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 2000, 3);
	uint8_t bytes[128], back[100];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	for (unsigned at = 0; at < 128; at += 32)
		sends(s, R_WRITEFLASH, at << 24 | 0x8000u | (at == 0 ? 1 : 0) | (at == 96 ? 2 : 0),
		      bytes + at, 32);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 128, 128, soon(), &fault), 0);
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	asks(s, R_READFLASH, 0, 56, 56, bytes);
	asks(s, R_READFLASH, 56u << 24, 44, 44, bytes + 56);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, back, 100, soon(), &fault), 0);
	assert_memory_equal(back, bytes, 100);
	leave_and_close(s, p);
}

static void flash_write_wants_whole_pages(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[512] = {0};
	struct fault fault = {0};
	assert_int_equal(p->isp->write(p, ISP_FLASH, 64, bytes, 128, 128, soon(), &fault), -1);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 100, 128, soon(), &fault), -1);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 128, 0, soon(), &fault), -1);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 512, 512, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_WRITE);
	leave_and_close(s, p);
}

static void read_300_bytes_in_one_run(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[316], back[316] = {0};
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0xF0FF0000, 4, 0, NULL);
	asks(s, R_READFLASH, 0xF0FF0000, 248, 248, bytes);
	asks(s, R_READFLASH, 0xE8000000, 52, 52, bytes + 248);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0xFFF0, back, 300, soon(), &fault), 0);
	asks(s, R_READFLASH, 0x1C010000, 16, 16, bytes + 300); /* 0x1011C: goes on */
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0x1011C, back + 300, 16, soon(), &fault), 0);
	assert_memory_equal(back, bytes, sizeof back);
	asks(s, R_SETLONGADDRESS, 0x00000000, 4, 0, NULL); /* elsewhere */
	asks(s, R_READFLASH, 0, 8, 8, bytes);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, back, 8, soon(), &fault), 0);
	leave_and_close(s, p);
}

static void a_new_connect_forgets_the_address(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t back[8];
	struct fault fault = {0};
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	asks(s, R_READFLASH, 0, 8, 8, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, back, 8, soon(), &fault), 0);
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	expect_enter(s, 12);
	enter(p, 1500000, 1500000);
	asks(s, R_SETLONGADDRESS, 0x08000000, 4, 0, NULL);
	asks(s, R_READFLASH, 0x08000000, 8, 8, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 8, back, 8, soon(), &fault), 0);
	leave_and_close(s, p);
}

static void eeprom_in_blocks(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[300], back[300];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0x10000000, 4, 0, NULL);
	sends(s, R_WRITEEEPROM, 0x10000000, bytes, 64);
	sends(s, R_WRITEEEPROM, 0x50000000, bytes + 64, 36);
	assert_int_equal(p->isp->write(p, ISP_EEPROM, 0x10, bytes, 100, 0, soon(), &fault), 0);
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	asks(s, R_READEEPROM, 0, 248, 248, bytes);
	asks(s, R_READEEPROM, 0xF8000000, 52, 52, bytes + 248);
	assert_int_equal(p->isp->read(p, ISP_EEPROM, 0, back, 300, soon(), &fault), 0);
	assert_memory_equal(back, bytes, 300);
	leave_and_close(s, p);
}

/* The firmware before the shared id has no SETLONGADDRESS: the 16 bits in the request count. */
static void oldest_firmware_uses_short_addresses(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct usb_identity id = identity(0x0100);
	struct programmer *p = NULL;
	struct fault fault = {0};
	uint8_t bytes[256];
	fill(bytes, sizeof bytes);
	id.vendor = 0x03EB;
	id.product = 0xC7B4;
	expect_open(s, 0, 0);
	assert_int_equal(programmer_usbasp.open(&s->link, &id, &p, soon(), &fault), 0);
	assert_int_equal(p->info.flash_limit, 64 * 1024);
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, 1, "\0");
	enter(p, 1500000, 375000);
	sends(s, R_WRITEFLASH, 0x00128003, bytes, 256);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x1200, bytes, 256, 128, soon(), &fault), 0);
	asks(s, R_READFLASH, 0x00120000, 8, 8, bytes);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0x1200, bytes, 8, soon(), &fault), 0);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0xFFFF, bytes, 2, soon(), &fault), -1);
	leave_and_close(s, p);
}

static void flash_beyond_the_firmware_is_refused(void **state)
{
	(void)state;
	struct script *s = new_script();
	expect_open(s, 0, 1);
	struct programmer *p = open_as(s, 0x0103);
	uint8_t bytes[256] = {0};
	struct fault fault = {0};
	expect_enter(s, 12);
	enter(p, 1500000, 1500000);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x1FF80, bytes, 256, 128, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_WRITE);
	assert_non_null(strstr(fault.text, "128 KiB"));
	leave_and_close(s, p);
}

/* ---- trouble ---------------------------------------------------------------------------- */

static void unplugged_in_mid_write(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[2048], in[4];
	struct fault fault = {0};
	fill(bytes, sizeof bytes);
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	sends(s, R_WRITEFLASH, 0x00008001, bytes, 1024);
	add(s, 0x40, R_WRITEFLASH, 0x00048002, 1024, -LINK_GONE);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 2048, 128, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(fault.text, "unplugged"));
	/* From now on nothing is said to the link any more, only close. */
	assert_int_equal(p->isp->command(p, bytes, in, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	p->isp->leave(p, soon());
	close_script(s, p);
}

static void stall_and_bus_error_are_told_by_direction(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[128] = {0};
	struct fault fault = {0};
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	add(s, 0x40, R_WRITEFLASH, 0x00008003, 128, -LINK_STALL);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0, bytes, 128, 128, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_WRITE);
	assert_non_null(strstr(fault.text, "refused"));
	/* Where the firmware's address stands is unknown now: it is set anew. */
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	asks(s, R_READFLASH, 0, 8, -LINK_IO, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, bytes, 8, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_VERIFY);
	leave_and_close(s, p);
}

static void a_hang_is_not_a_slow_step(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[8];
	struct fault fault = {0};
	/* The step's own time is over: the step was too slow. */
	asks(s, R_SETLONGADDRESS, 0, 4, -LINK_TIMEOUT, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, bytes, 8, clock_now() - 1, &fault), -1);
	assert_int_equal(fault.code, FAIL_TIMEOUT);
	/* There was time left: the programmer hangs. */
	asks(s, R_SETLONGADDRESS, 0, 4, -LINK_TIMEOUT, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, bytes, 8, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	assert_non_null(strstr(fault.text, "unplug"));
	close_script(s, p); /* not even DISCONNECT: it would only cost another time-out */
}

static void short_read_is_an_error(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	uint8_t bytes[128];
	struct fault fault = {0};
	asks(s, R_SETLONGADDRESS, 0, 4, 0, NULL);
	asks(s, R_READFLASH, 0, 128, 64, NULL);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0, bytes, 128, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_VERIFY);
	assert_string_equal(fault.text, "the USBasp sent 64 of 128 bytes while reading flash");
	leave_and_close(s, p);
}

static void hang_in_enter_is_lost(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = open_2011(s);
	struct fault fault = {0};
	uint32_t hz;
	asks(s, R_SETISPSCK, 12u << 24, 4, 1, "\0");
	asks(s, R_CONNECT, 0, 4, 0, NULL);
	asks(s, R_ENABLEPROG, 0, 4, -LINK_TIMEOUT, NULL);
	assert_int_equal(p->isp->enter(p, NULL, 1500000, &hz, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	close_script(s, p);
}

static void close_releases_the_board(void **state)
{
	(void)state;
	struct script *s = new_script();
	struct programmer *p = entered_2011(s, 1500000, 12);
	asks(s, R_DISCONNECT, 0, 4, 0, NULL);
	close_script(s, p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(open_2011_knows_all),
	        cmocka_unit_test(open_fork_with_3_mhz),
	        cmocka_unit_test(open_2009_has_sck_but_128_kib),
	        cmocka_unit_test(open_2007_has_fixed_sck),
	        cmocka_unit_test(open_nerdralph_has_no_capability_word),
	        cmocka_unit_test(open_refuses_a_foreign_device),
	        cmocka_unit_test(open_refuses_a_bootloader),
	        cmocka_unit_test(open_accepts_an_odd_1_02_without_target),
	        cmocka_unit_test(open_tells_a_dead_programmer),
	        cmocka_unit_test(enter_takes_the_fastest_legal_step),
	        cmocka_unit_test(enter_waits_20_ms_before_enable),
	        cmocka_unit_test(enter_again_is_a_new_reset),
	        cmocka_unit_test(enter_without_target_releases_the_pins),
	        cmocka_unit_test(fixed_sck_is_told),
	        cmocka_unit_test(sck_request_ignored_means_default),
	        cmocka_unit_test(firmware_1_06_says_its_sck),
	        cmocka_unit_test(nothing_is_sent_out_of_order),
	        cmocka_unit_test(transmit_returns_miso),
	        cmocka_unit_test(flash_write_three_pages_of_128),
	        cmocka_unit_test(flash_write_pages_of_256_above_64_kib),
	        cmocka_unit_test(flash_write_takes_eight_pages_at_most),
	        cmocka_unit_test(slow_sck_makes_small_transfers),
	        cmocka_unit_test(flash_write_wants_whole_pages),
	        cmocka_unit_test(read_300_bytes_in_one_run),
	        cmocka_unit_test(a_new_connect_forgets_the_address),
	        cmocka_unit_test(eeprom_in_blocks),
	        cmocka_unit_test(oldest_firmware_uses_short_addresses),
	        cmocka_unit_test(flash_beyond_the_firmware_is_refused),
	        cmocka_unit_test(unplugged_in_mid_write),
	        cmocka_unit_test(stall_and_bus_error_are_told_by_direction),
	        cmocka_unit_test(a_hang_is_not_a_slow_step),
	        cmocka_unit_test(short_read_is_an_error),
	        cmocka_unit_test(hang_in_enter_is_lost),
	        cmocka_unit_test(close_releases_the_board),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
