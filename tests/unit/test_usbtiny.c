#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/part.h"
#include "station/programmer/programmer.h"

/* The driver against a device of a few lines, made from the requests of USBtiny's firmware: a chip whose flash is an
 * array, loaded into a page buffer and committed by 4C. It notes what a driver must not do. */

enum { FLASH = 0x20000 };

struct device {
	struct link base;
	uint8_t flash[FLASH], page[256];
	unsigned requests, blocks_read, commits, polls, busy;
	uint8_t period, release;
	bool powered, reset_low, no_target, bad_echo, closed;
	unsigned resets;   /* falling edges of RESET */
	int result_of;     /* the request that ends with `result`, 0 = none */
	int result;
	unsigned after;    /* so many requests later */
	unsigned short_by; /* bytes that are missing in answers of that request */
};

static uint8_t chip(struct device *d, const uint8_t out[4])
{
	uint32_t word = (uint32_t)out[1] << 8 | out[2];

	switch (out[0]) {
	case 0x30:
		return (const uint8_t[]){0x1E, 0x97, 0x82}[out[2] % 3];
	case 0xF0:
		d->polls++;
		return d->busy > 0 ? (uint8_t)d->busy-- & 1 : 0;
	case 0x4C:
		d->commits++;
		memcpy(d->flash + word * 2 / 256 * 256, d->page, 256);
		memset(d->page, 0xFF, sizeof d->page);
		d->busy = 1;
		return 0;
	case 0x20:
	case 0x28:
		return d->flash[word * 2 + (out[0] == 0x28)];
	default:
		return 0;
	}
}

static int answer(struct device *d, uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint8_t *data,
                  uint16_t length)
{
	const uint8_t spi[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index, (uint8_t)(index >> 8)};
	const uint8_t echo[8] = {type, request, spi[0], spi[1], spi[2], spi[3], (uint8_t)length, (uint8_t)(length >> 8)};

	switch (request) {
	case 0:
		memcpy(data, echo, 8);
		data[3] ^= d->bad_echo;
		return 8;
	case 5:
		d->resets += !d->reset_low && index == 0;
		d->powered = true;
		d->reset_low = index == 0;
		d->period = (uint8_t)value;
		return 0;
	case 6:
		d->powered = d->reset_low = false;
		return 0;
	case 7:
		if (!d->powered)
			return 0;
		data[0] = data[1] = data[2] = data[3] = 0xFF;
		if (d->no_target)
			return 4;
		data[2] = spi[1];
		data[3] = chip(d, spi);
		return 4;
	case 9:
		assert_true(length <= 255);
		d->blocks_read++;
		memcpy(data, d->flash + index, length); /* 16 bits of byte address */
		return length;
	case 10:
		for (unsigned i = 0; i < length; i++)
			d->page[(index + i) % 256] = data[i];
		return length;
	default:
		return 0;
	}
}

static int device_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
                          uint16_t length, deadline_t deadline)
{
	struct device *d = (struct device *)link;

	(void)deadline;
	d->requests++;
	if (d->result_of != 0 && d->result_of == request && d->after-- == 0)
		return d->result;
	int got = answer(d, type, request, value, index, data, length);
	return d->short_by > 0 && d->result_of == -request ? got - (int)d->short_by : got;
}

static void device_close(struct link *link)
{
	((struct device *)link)->closed = true;
}

static const struct link_ops device_ops = {.control = device_control, .close = device_close};

static deadline_t soon(void)
{
	return deadline_in_ms(5000);
}

static struct device *device_new(void)
{
	struct device *d = calloc(1, sizeof *d);

	assert_non_null(d);
	d->base.ops = &device_ops;
	memset(d->page, 0xFF, sizeof d->page);
	memset(d->flash, 0xFF, sizeof d->flash);
	return d;
}

static const struct usb_identity identity = {.vendor = 0x1781, .product = 0x0C9F, .release = 0x0106};

static struct programmer *open_it(struct device *d)
{
	struct programmer *p = NULL;
	struct fault fault = {.code = FAIL_NONE};

	if (programmer_usbtiny.open(&d->base, &identity, &p, soon(), &fault) != 0)
		fail_msg("%s", fault.text);
	return p;
}

static void close_it(struct programmer *p, struct device *d)
{
	programmer_usbtiny.close(p);
	assert_true(d->closed);
	assert_false(d->reset_low); /* the board runs */
	free(d);
}

static struct part *part_of(const char *name)
{
	struct part *part = NULL;
	struct pogo_error err;

	if (part_load("configs", name, &part, &err) != 0)
		fail_msg("%s", err.text);
	return part;
}

static void a_page_above_64_kib_is_written_and_read(void **state)
{
	(void)state;
	struct device *d = device_new();
	struct programmer *p = open_it(d);
	struct part *part = part_of("at90usb1286");
	struct fault fault = {.code = FAIL_NONE};
	uint8_t page[256], back[600];
	uint32_t hz = 0;

	for (unsigned i = 0; i < sizeof page; i++)
		page[i] = (uint8_t)(i * 7 + 1);
	assert_int_equal(p->isp->enter(p, part, 400000, &hz, soon(), &fault), 0);
	assert_true(hz <= 400000 && hz > 300000);
	assert_int_equal(d->resets, 1);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x1E000, page, 256, 256, soon(), &fault), 0);
	assert_int_equal(p->isp->write(p, ISP_FLASH, 0x0E000, page, 256, 256, soon(), &fault), 0);
	assert_int_equal(d->commits, 2);
	assert_int_equal(d->polls, 0); /* a look costs more than it saves */
	assert_memory_equal(d->flash + 0x1E000, page, 256);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0x1E000, back, 256, soon(), &fault), 0);
	assert_memory_equal(back, page, 256);
	assert_int_equal(d->blocks_read, 0);
	/* Over the border: by blocks below, by instructions above. */
	memset(d->flash + 0xFF00, 0x5A, 512);
	assert_int_equal(p->isp->read(p, ISP_FLASH, 0xFF80, back, 300, soon(), &fault), 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(back[i], 0x5A);
	assert_int_equal(d->blocks_read, 1);
	free(part);
	close_it(p, d);
}

static void what_cannot_be_reached_is_refused_untouched(void **state)
{
	(void)state;
	struct device *d = device_new();
	struct programmer *p = open_it(d);
	struct part part = {.title = "ATmega2560", .flash_bytes = 0x40000};
	struct fault fault = {.code = FAIL_NONE};
	unsigned before = d->requests;

	assert_int_equal(p->isp->enter(p, &part, 400000, NULL, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_WRITE);
	assert_non_null(strstr(fault.text, "256 KiB"));
	assert_int_equal(d->requests, before);
	close_it(p, d);
}

static void a_board_in_its_bootloader_is_no_programmer(void **state)
{
	(void)state;
	struct device *d = device_new();
	struct programmer *p = NULL;
	struct fault fault = {.code = FAIL_NONE};

	d->bad_echo = true;
	assert_int_equal(programmer_usbtiny.open(&d->base, &identity, &p, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_PROGRAMMER_LOST);
	assert_false(d->closed); /* the link stays the caller's */
	free(d);
}

static void nobody_there_is_no_contact(void **state)
{
	(void)state;
	struct device *d = device_new();
	struct programmer *p = open_it(d);
	struct fault fault = {.code = FAIL_NONE};

	d->no_target = true;
	assert_int_equal(p->isp->enter(p, NULL, 100000, NULL, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_CONTACT);
	assert_false(d->powered);
	assert_int_equal(p->isp->command(p, (const uint8_t[4]){0x30, 0, 0, 0}, (uint8_t[4]){0}, soon(), &fault), -1);
	assert_int_equal(fault.code, FAIL_CONTACT);
	close_it(p, d);
}

static void every_link_trouble_has_its_code(void **state)
{
	(void)state;
	static const struct {
		int request, result;
		unsigned short_by;
		enum fail_code code;
	} troubles[] = {
	        {10, -LINK_STALL, 0, FAIL_WRITE},           {10, -LINK_GONE, 0, FAIL_PROGRAMMER_LOST},
	        {10, -LINK_TIMEOUT, 0, FAIL_PROGRAMMER_LOST}, {10, -LINK_IO, 0, FAIL_WRITE},
	        {10, 40, 0, FAIL_WRITE},                    {9, -LINK_STALL, 0, FAIL_VERIFY},
	        {9, -LINK_GONE, 0, FAIL_PROGRAMMER_LOST},   {-9, 0, 3, FAIL_VERIFY},
	        {7, -LINK_GONE, 0, FAIL_PROGRAMMER_LOST},   {-7, 0, 2, FAIL_WRITE},
	};
	struct part *part = part_of("at90usb1286");

	for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
		struct device *d = device_new();
		struct programmer *p = open_it(d);
		struct fault fault = {.code = FAIL_NONE};
		uint8_t page[256] = {0};
		assert_int_equal(p->isp->enter(p, part, 400000, NULL, soon(), &fault), 0);
		d->result_of = troubles[i].request;
		d->result = troubles[i].result;
		d->short_by = troubles[i].short_by;
		int rc = p->isp->write(p, ISP_FLASH, 0, page, 256, 256, soon(), &fault);
		if (rc == 0)
			rc = p->isp->read(p, ISP_FLASH, 0, page, 256, soon(), &fault);
		assert_int_equal(rc, -1);
		if (fault.code != troubles[i].code)
			fail_msg("trouble %zu: %s: %s", i, fail_name(fault.code), fault.text);
		if (fault.code == FAIL_PROGRAMMER_LOST) { /* nothing more is sent to it */
			unsigned before = d->requests;
			programmer_usbtiny.close(p);
			assert_int_equal(d->requests, before);
			free(d);
		} else {
			d->result_of = 0;
			close_it(p, d);
		}
	}
	free(part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_page_above_64_kib_is_written_and_read),
	        cmocka_unit_test(what_cannot_be_reached_is_refused_untouched),
	        cmocka_unit_test(a_board_in_its_bootloader_is_no_programmer),
	        cmocka_unit_test(nobody_there_is_no_contact),
	        cmocka_unit_test(every_link_trouble_has_its_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
