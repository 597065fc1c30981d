#ifndef POGO_TESTS_ISP_STK_H
#define POGO_TESTS_ISP_STK_H

#include "tests/unit/serial_wire.h"

/* A board with the sketch ArduinoISP 1.18 behind a line, from what is known of it: it waits for ever for the rest of a command,
 * says OK to "enter" whoever is there, doubles EEPROM addresses, waits 30 ms for a page. An Uno begins with its
 * bootloader, which answers "sync" as well, when DTR rises. */

struct isp_stk {
	struct wire wire; /* first */
	struct isp_chip *chip;
	uint8_t command[600];
	size_t len;
	uint8_t device[20];
	uint16_t word;
	bool mode;                      /* "pmode" */
	uint32_t sketch_baud, boot_baud;
	uint32_t boot_ms;               /* of silence, then the bootloader ends; 0 = there is none */
	bool boot_stays;                /* it does not know "leave" */
	bool boot_only;                 /* there is no sketch */
	bool boot_name;                 /* it calls itself AVR ISP, as ATmegaBOOT does */
	int64_t boot_until, sketch_at;
	uint8_t boot_command;           /* its first byte; 0 = between commands */
	unsigned commands[256];
	unsigned spi_us;                /* of four bytes */
};

static void isp_stk_spi(struct isp_stk *d, uint8_t a, uint8_t b, uint8_t c, uint8_t e, uint8_t in[4])
{
	const uint8_t out[4] = {a, b, c, e};

	wire_spi(&d->wire, d->chip, out, in, d->spi_us);
}

static void isp_stk_pass(struct isp_stk *d, int64_t us)
{
	d->wire.dev += us * 1000;
}

static void isp_stk_enter(struct isp_stk *d)
{
	uint8_t in[4];

	if (d->mode)
		return;
	isp_stk_pass(d, 20100);
	isp_chip_reset(d->chip, false);
	isp_chip_reset(d->chip, true);
	isp_stk_pass(d, 50000);
	isp_stk_spi(d, 0xAC, 0x53, 0, 0, in);
	d->mode = true;
}

static void isp_stk_leave(struct isp_stk *d)
{
	isp_chip_reset(d->chip, false);
	d->mode = false;
}

static void isp_stk_commit(struct isp_stk *d, uint16_t word)
{
	uint8_t in[4];

	isp_stk_spi(d, 0x4C, (uint8_t)(word >> 8), (uint8_t)word, 0, in);
	isp_stk_pass(d, 30000);
}

static uint16_t isp_stk_page(const struct isp_stk *d, uint16_t word)
{
	unsigned size = d->device[12] << 8 | d->device[13];

	return size == 32 || size == 64 || size == 128 || size == 256 ? (uint16_t)(word / (size / 2) * (size / 2)) : word;
}

static void isp_stk_write_flash(struct isp_stk *d, const uint8_t *bytes, size_t count)
{
	uint16_t page = isp_stk_page(d, d->word);
	uint8_t in[4];

	for (size_t i = 0; i < count; i++) {
		if (isp_stk_page(d, d->word) != page)
			isp_stk_commit(d, page);
		page = isp_stk_page(d, d->word);
		isp_stk_spi(d, i % 2 ? 0x48 : 0x40, (uint8_t)(d->word >> 8), (uint8_t)d->word, bytes[i], in);
		d->word += i % 2;
	}
	isp_stk_commit(d, page);
}

static void isp_stk_read(struct isp_stk *d, size_t count, uint8_t type)
{
	uint8_t in[4];

	for (size_t i = 0; type == 'F' && i < count + count % 2; i++) {
		isp_stk_spi(d, i % 2 ? 0x28 : 0x20, (uint8_t)(d->word >> 8), (uint8_t)d->word, 0, in);
		wire_say(&d->wire, in[3]);
		d->word += i % 2;
	}
	for (size_t i = 0; type == 'E' && i < count; i++) {
		size_t at = d->word * 2u + i;
		isp_stk_spi(d, 0xA0, (uint8_t)(at >> 8), (uint8_t)at, 0xFF, in);
		wire_say(&d->wire, in[3]);
	}
}

/* How many bytes the command has, EOP included; more may be known later. */
static size_t isp_stk_length(const struct isp_stk *d)
{
	const uint8_t *c = d->command;

	switch (c[0]) {
	case 0x20:
		return 1;
	case 0x41:
	case 0x61:
		return 3;
	case 0x42:
		return 22;
	case 0x45:
		return 7;
	case 0x55:
	case 0x60:
		return 4;
	case 0x56:
		return 6;
	case 0x64:
		return d->len < 4 || c[3] != 'F' ? 4 : 5u + c[1] * 256u + c[2];
	case 0x74:
		return 5;
	default:
		return 2;
	}
}

static uint8_t isp_stk_parameter(uint8_t id)
{
	return id == 0x80 ? 0x02 : id == 0x81 ? 0x01 : id == 0x82 ? 0x12 : id == 0x93 ? 'S' : 0x00;
}

/* A whole command with its EOP. */
static void isp_stk_act(struct isp_stk *d)
{
	const uint8_t *c = d->command;
	uint8_t in[4] = {0};

	if (c[0] == 0x56)
		isp_stk_spi(d, c[1], c[2], c[3], c[4], in);
	if (c[0] == 0x50)
		isp_stk_enter(d);
	if (c[0] == 0x51)
		isp_stk_leave(d);
	if (c[0] == 0x42)
		memcpy(d->device, c + 1, sizeof d->device);
	if (c[d->len - 1] != 0x20 || c[0] == 0x20) {
		wire_say(&d->wire, 0x15);
		return;
	}
	if (strchr("\x30\x31\x41\x42\x45\x50\x51\x55\x56\x60\x61\x64\x74", c[0]) == NULL) {
		wire_say(&d->wire, 0x12);
		return;
	}
	wire_say(&d->wire, 0x14);
	if (c[0] == 0x31)
		wire_say_text(&d->wire, "AVR ISP");
	if (c[0] == 0x41)
		wire_say(&d->wire, isp_stk_parameter(c[1]));
	if (c[0] == 0x55)
		d->word = (uint16_t)(c[1] | c[2] << 8);
	if (c[0] == 0x56)
		wire_say(&d->wire, in[3]);
	if (c[0] == 0x64)
		isp_stk_write_flash(d, c + 4, d->len - 5);
	if (c[0] == 0x74)
		isp_stk_read(d, c[1] * 256u + c[2], c[3]);
	wire_say(&d->wire, 0x10);
}

static void isp_stk_bootloader(struct isp_stk *d, uint8_t byte)
{
	int64_t patience = (int64_t)d->boot_ms * 1000000;

	if (!d->wire.native && d->wire.host_baud != d->boot_baud)
		return; /* rubbish to it */
	d->boot_until = d->wire.dev + patience;
	if (byte == 0x20) {
		wire_say(&d->wire, 0x14);
		if (d->boot_name && d->boot_command == 0x31)
			wire_say_text(&d->wire, "AVR ISP");
		if (d->boot_command == 0x41)
			wire_say(&d->wire, 0x03);
		wire_say(&d->wire, 0x10);
		if (d->boot_command == 0x51 && !d->boot_stays)
			d->boot_until = d->wire.dev + 16000000;
		d->boot_command = 0;
	} else if (d->boot_command == 0) {
		d->boot_command = byte;
	}
	d->sketch_at = d->boot_until + 540000000;
}

static bool isp_stk_boots(const struct isp_stk *d, int64_t at)
{
	return d->boot_only || at < d->boot_until;
}

static int64_t isp_stk_ready(struct wire *w, int64_t arrival)
{
	struct isp_stk *d = (struct isp_stk *)w;
	int64_t at = w->dev > arrival ? w->dev : arrival;

	w->baud = isp_stk_boots(d, arrival) ? d->boot_baud : d->sketch_baud;
	if (isp_stk_boots(d, arrival))
		return arrival;
	return at > d->sketch_at ? at : d->sketch_at;
}

static void isp_stk_take(struct wire *w, uint8_t byte)
{
	struct isp_stk *d = (struct isp_stk *)w;

	if (isp_stk_boots(d, w->dev)) {
		isp_stk_bootloader(d, byte);
		return;
	}
	d->command[d->len++] = byte;
	if (d->command[0] == 0x64 && d->len == 4 && d->command[3] != 'F') {
		wire_say(w, 0x11);
		d->len = 0;
		return;
	}
	if (d->len < isp_stk_length(d) && d->len < sizeof d->command)
		return;
	d->commands[d->command[0]]++;
	isp_stk_act(d);
	d->len = 0;
}

static void isp_stk_dtr(struct wire *w)
{
	struct isp_stk *d = (struct isp_stk *)w;

	if (d->boot_ms == 0)
		return;
	d->boot_until = virtual_now + (int64_t)d->boot_ms * 1000000;
	d->sketch_at = d->boot_until + 540000000;
	d->len = 0;
	isp_stk_leave(d);
}

static struct isp_stk *isp_stk_new(struct isp_chip *chip, bool native, uint32_t baud)
{
	struct isp_stk *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	wire_init(&d->wire, isp_stk_take, baud, 63);
	d->wire.native = native;
	d->wire.ready = isp_stk_ready;
	d->wire.dtr_rises = isp_stk_dtr;
	d->chip = chip;
	d->sketch_baud = baud;
	d->boot_baud = 115200;
	d->spi_us = 256;
	return d;
}

#endif
