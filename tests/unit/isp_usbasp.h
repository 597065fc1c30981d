#ifndef POGO_TESTS_ISP_USBASP_H
#define POGO_TESTS_ISP_USBASP_H

#include "station/link/link.h"
#include "tests/unit/isp_chip.h"

/* A USBasp as a link, from the requests of its firmware of 2011-05-28 (main.c, isp.c). */

struct isp_usbasp {
	struct link base; /* first */
	struct isp_chip *chip;
	bool connected, hung, long_addresses;
	uint32_t address;
	uint16_t page, counter;
	uint8_t sck;
};

static uint8_t isp_usbasp_spi(struct isp_usbasp *d, uint8_t a, uint8_t b, uint8_t c, uint8_t e)
{
	const uint8_t out[4] = {a, b, c, e};
	uint8_t in[4];

	virtual_pass_us(85);
	isp_chip_command(d->chip, out, in);
	return in[3];
}

static uint8_t isp_usbasp_flash(struct isp_usbasp *d, uint8_t base, uint8_t data)
{
	return isp_usbasp_spi(d, base | (d->address & 1 ? 0x08 : 0), (uint8_t)(d->address >> 9), (uint8_t)(d->address >> 1),
	                      data);
}

/* Reads the last byte until it is not FF any more, at most 30 x 320 us; says nothing of what it saw. */
static void isp_usbasp_commit(struct isp_usbasp *d, uint8_t last)
{
	isp_usbasp_spi(d, 0x4C, (uint8_t)(d->address >> 9), (uint8_t)(d->address >> 1), 0);
	for (unsigned i = 0; i < 30; i++) {
		virtual_pass_us(320);
		if (last == 0xFF ? i == 14 : clock_now() >= d->chip->busy_until)
			break;
	}
}

static void isp_usbasp_write(struct isp_usbasp *d, bool flash, uint16_t index, const uint8_t *data, uint16_t length)
{
	uint8_t flags = index >> 8 & 0x0F;

	if (flash) {
		d->page = (uint16_t)((index & 0xFF) | (index >> 12) << 8);
		if (flags & 1)
			d->counter = d->page;
	}
	for (uint16_t i = 0; i < length; i++, d->address++) {
		if (!flash) {
			isp_usbasp_spi(d, 0xC0, (uint8_t)(d->address >> 8), (uint8_t)d->address, data[i]);
			virtual_pass_us(9600);
			continue;
		}
		isp_usbasp_flash(d, 0x40, data[i]);
		if (--d->counter == 0) {
			isp_usbasp_commit(d, data[i]);
			d->counter = d->page;
		}
	}
	if (flash && (flags & 2) && d->counter != d->page)
		isp_usbasp_commit(d, 0);
}

static int isp_usbasp_read(struct isp_usbasp *d, bool flash, uint8_t *data, uint16_t length)
{
	uint16_t n = length & 0xFF; /* counted in 8 bits */

	for (uint16_t i = 0; i < n; i++, d->address++)
		data[i] = flash ? isp_usbasp_flash(d, 0x20, 0)
		                : isp_usbasp_spi(d, 0xA0, (uint8_t)(d->address >> 8), (uint8_t)d->address, 0);
	return n;
}

static int isp_usbasp_enable(struct isp_usbasp *d, uint8_t *answer)
{
	static const uint8_t enable[4] = {0xAC, 0x53, 0x00, 0x00};
	uint8_t in[4] = {0};

	for (unsigned i = 0; i < 32 && in[2] != 0x53; i++) {
		if (i > 0) {
			isp_chip_reset(d->chip, false);
			isp_chip_reset(d->chip, true);
		}
		isp_chip_command(d->chip, enable, in);
	}
	answer[0] = in[2] != 0x53;
	return 1;
}

/* Requests that need the SPI unit: without it the firmware waits for ever. */
static int isp_usbasp_spi_request(struct isp_usbasp *d, uint8_t request, const uint8_t p[4], uint8_t *bytes,
                                  uint16_t length, deadline_t deadline)
{
	if (!d->connected) {
		d->hung = true;
		virtual_now = deadline > virtual_now ? deadline : virtual_now;
		return -LINK_TIMEOUT;
	}
	if (!d->long_addresses && request != 3 && request != 5)
		d->address = (uint32_t)p[0] | (uint32_t)p[1] << 8;
	switch (request) {
	case 3:
		virtual_pass_us(85);
		uint8_t in[4];
		isp_chip_command(d->chip, p, in);
		memcpy(bytes, in, length < 4 ? length : 4);
		return length < 4 ? length : 4;
	case 5:
		return isp_usbasp_enable(d, bytes);
	case 4:
	case 7:
		return isp_usbasp_read(d, request == 4, bytes, length);
	default:
		isp_usbasp_write(d, request == 6, (uint16_t)(p[2] | p[3] << 8), bytes, length);
		return length;
	}
}

static int isp_usbasp_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                              void *data, uint16_t length, deadline_t deadline)
{
	struct isp_usbasp *d = (struct isp_usbasp *)link;
	const uint8_t p[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index, (uint8_t)(index >> 8)};
	uint8_t *bytes = data;

	(void)type;
	virtual_pass_us(1000);
	if (d->hung && deadline > virtual_now)
		virtual_now = deadline;
	if (d->hung || clock_now() > deadline)
		return -LINK_TIMEOUT;
	switch (request) {
	case 1:
		d->connected = true;
		d->long_addresses = false;
		isp_chip_reset(d->chip, false);
		isp_chip_reset(d->chip, true);
		return 0;
	case 2:
		d->connected = false;
		isp_chip_reset(d->chip, false);
		return 0;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		return isp_usbasp_spi_request(d, request, p, bytes, length, deadline);
	case 9:
		d->long_addresses = true;
		d->address = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
		return 0;
	case 10:
		d->sck = p[0];
		bytes[0] = 0;
		return 1;
	case 127:
		memcpy(bytes, "\1\0\0\0", 4);
		return 4;
	default:
		return 0;
	}
}

static void isp_usbasp_close(struct link *link)
{
	(void)link;
}

static struct isp_usbasp *isp_usbasp_new(struct isp_chip *chip)
{
	static const struct link_ops ops = {.control = isp_usbasp_control, .close = isp_usbasp_close};
	struct isp_usbasp *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	d->base.ops = &ops;
	d->chip = chip;
	return d;
}

#endif
