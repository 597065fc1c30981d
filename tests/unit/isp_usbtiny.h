#ifndef POGO_TESTS_ISP_USBTINY_H
#define POGO_TESTS_ISP_USBTINY_H

#include "station/link/link.h"
#include "tests/unit/isp_chip.h"

/* A USBtiny as a link, from the requests of its firmware (usbtinyisp main.c, 1.6). */

struct isp_usbtiny {
	struct link base; /* first */
	struct isp_chip *chip;
	bool powered;
	uint8_t period;
	uint16_t poll; /* two values that are not polled for */
};

static void isp_usbtiny_spi(struct isp_usbtiny *d, const uint8_t out[4], uint8_t in[4])
{
	virtual_pass_us(32 * (d->period + 2));
	isp_chip_command(d->chip, out, in);
}

/* One byte of a block: the instruction is made from 16 bits of byte address, doubled for the EEPROM. */
static uint8_t isp_usbtiny_byte(struct isp_usbtiny *d, uint8_t base, uint16_t address, uint8_t data)
{
	uint32_t a = base & 0x80 ? 2u * address : address;
	const uint8_t out[4] = {base | (a & 1 ? 0x08 : 0), (uint8_t)(a >> 9), (uint8_t)(a >> 1), data};
	uint8_t in[4];

	isp_usbtiny_spi(d, out, in);
	return in[3];
}

static void isp_usbtiny_write(struct isp_usbtiny *d, uint8_t base, uint16_t wait_us, uint16_t address, const uint8_t *data,
                              uint16_t length)
{
	for (uint16_t i = 0; i < length; i++, address++) {
		int64_t end = clock_now() + (int64_t)wait_us * 1000;
		isp_usbtiny_byte(d, base, address, data[i]);
		while (wait_us > 0 && clock_now() < end) {
			uint8_t now = isp_usbtiny_byte(d, base ^ 0x60, address, 0);
			if (now == data[i] && now != (uint8_t)d->poll && now != (uint8_t)(d->poll >> 8))
				break;
		}
	}
}

static int isp_usbtiny_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                               void *data, uint16_t length, deadline_t deadline)
{
	struct isp_usbtiny *d = (struct isp_usbtiny *)link;
	const uint8_t setup[8] = {type, request, (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)index, (uint8_t)(index >> 8),
	                          (uint8_t)length, (uint8_t)(length >> 8)};
	uint8_t *bytes = data;

	virtual_pass_us(1000);
	if (clock_now() > deadline)
		return -LINK_TIMEOUT;
	if (request == 5) {
		d->powered = true;
		d->period = (uint8_t)value;
		isp_chip_reset(d->chip, index == 0);
		return 0;
	}
	if (request == 6) {
		d->powered = false;
		isp_chip_reset(d->chip, false);
		return 0;
	}
	if (request == 0) {
		memcpy(bytes, setup, length < 8 ? length : 8);
		return length < 8 ? length : 8;
	}
	if (!d->powered)
		return type & 0x80 ? 0 : length;
	if (request == 7 && length >= 4)
		return isp_usbtiny_spi(d, setup + 2, bytes), 4;
	if (request == 8)
		d->poll = value;
	if (request == 10 || request == 12)
		return isp_usbtiny_write(d, request == 10 ? 0x40 : 0xC0, value, index, bytes, length), length;
	if (request == 9 || request == 11) {
		uint16_t n = length < 255 ? length : 255;
		for (uint16_t i = 0; i < n; i++)
			bytes[i] = isp_usbtiny_byte(d, request == 9 ? 0x20 : 0xA0, (uint16_t)(index + i), 0);
		return n;
	}
	return 0;
}

static void isp_usbtiny_close(struct link *link)
{
	(void)link;
}

static struct isp_usbtiny *isp_usbtiny_new(struct isp_chip *chip)
{
	static const struct link_ops ops = {.control = isp_usbtiny_control, .close = isp_usbtiny_close};
	struct isp_usbtiny *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	d->base.ops = &ops;
	d->chip = chip;
	return d;
}

#endif
