#ifndef POGO_TESTS_ISP_PIRATE_H
#define POGO_TESTS_ISP_PIRATE_H

#include "tests/unit/serial_wire.h"

/* A Bus Pirate behind a line, from the descriptions of its bit-bang and SPI modes: twenty zeros open the one, bit-bang
 * mode lets go of the pins, a block is clocked when all of it has come. Its UART holds four bytes. */

enum pirate_mode { PIRATE_TERMINAL_MODE, PIRATE_BIT_BANG, PIRATE_SPI_MODE };

struct isp_pirate {
	struct wire wire; /* first */
	uint8_t four[4]; /* SPI works in bytes here, the chip hears fours */
	size_t fours;
	struct isp_chip *chip;
	enum pirate_mode mode;
	bool no_blocks, no_avr; /* older firmware */
	bool mute;              /* something else that has its id */
	unsigned zeros;
	uint8_t command[5 + 4096];
	size_t len, bulk_left;
	bool powered, configured;
	uint32_t hz;
	int64_t low_at, powered_at;
	unsigned blocks, runs, bulks, violations;
};

static void isp_pirate_reset(struct isp_pirate *d, bool low)
{
	int64_t host = virtual_now;

	virtual_now = d->wire.dev;
	if (low && !d->chip->reset_low)
		d->low_at = d->wire.dev;
	isp_chip_reset(d->chip, low);
	virtual_now = host;
}

static void isp_pirate_four(struct isp_pirate *d, const uint8_t out[4], uint8_t in[4])
{
	if (out[0] == 0xAC && out[1] == 0x53 &&
	    (d->wire.dev - d->low_at < 20000000 || d->wire.dev - d->powered_at < 20000000 || !d->configured))
		d->violations++;
	memset(in, 0xFF, 4);
	if (d->powered)
		wire_spi(&d->wire, d->chip, out, in, 32000000 / d->hz);
}

static void isp_pirate_unpin(struct isp_pirate *d)
{
	isp_pirate_reset(d, false);
	d->powered = d->configured = false;
}

static void isp_pirate_bit_bang(struct isp_pirate *d, uint8_t byte)
{
	if (byte == 0x00) {
		wire_say_text(&d->wire, "BBIO1");
	} else if (byte == 0x01) {
		isp_pirate_unpin(d);
		d->hz = 125000;
		d->mode = PIRATE_SPI_MODE;
		wire_say_text(&d->wire, "SPI1");
	} else if (byte == 0x0F) {
		wire_say(&d->wire, 0x01);
		isp_pirate_unpin(d);
		d->mode = PIRATE_TERMINAL_MODE;
		d->zeros = 0;
		wire_say_text(&d->wire, "\r\nBus Pirate v3b\r\nHiZ>");
	} else if (byte & 0x80) {
		d->powered = byte & 0x40;
		wire_say(&d->wire, byte);
	} else {
		wire_say(&d->wire, byte & 0x40 ? byte : 0x00);
	}
}

static void isp_pirate_terminal(struct isp_pirate *d, uint8_t byte)
{
	if (byte != 0) {
		d->zeros = 0;
		wire_say_text(&d->wire, byte == '\n' ? "\r\nHiZ>" : "?");
	} else if (++d->zeros == 20) {
		d->mode = PIRATE_BIT_BANG;
		isp_pirate_unpin(d);
		wire_say_text(&d->wire, "BBIO1");
	}
}

static void isp_pirate_block(struct isp_pirate *d, size_t writes)
{
	d->blocks++;
	for (size_t i = 0; i + 4 <= writes; i += 4) {
		uint8_t in[4];
		isp_pirate_four(d, d->command + 5 + i, in);
	}
	if (writes % 4 != 0)
		d->violations++;
	wire_say(&d->wire, 0x01);
}

static void isp_pirate_run(struct isp_pirate *d)
{
	const uint8_t *c = d->command + 2;
	uint32_t word = (uint32_t)c[0] << 24 | c[1] << 16 | c[2] << 8 | c[3];
	uint32_t count = (uint32_t)c[4] << 24 | c[5] << 16 | c[6] << 8 | c[7];

	if (word > 0xFFFF || count > 0xFFFF || word + count > 0xFFFF) {
		d->violations++;
		wire_say(&d->wire, 0x00);
		return;
	}
	d->runs++;
	wire_say(&d->wire, 0x01);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t out[4] = {i % 2 ? 0x28 : 0x20, (uint8_t)((word + i / 2) >> 8), (uint8_t)(word + i / 2), 0};
		uint8_t in[4];
		isp_pirate_four(d, out, in);
		wire_say(&d->wire, in[3]);
	}
}

/* Byte by byte, each answered before the next one comes: the chip is asked when the fourth is there, and what MISO says
 * before is the echo of what it hears. */
static void isp_pirate_bulk(struct isp_pirate *d, uint8_t byte)
{
	const uint8_t *four = d->four;
	bool hears = d->powered && !d->chip->absent && d->chip->reset_low;
	uint8_t in[4];

	d->four[d->fours++] = byte;
	if (d->fours == 4) {
		d->fours = 0;
		isp_pirate_four(d, four, in);
		wire_say(&d->wire, in[3]);
		return;
	}
	bool enabled = d->chip->enabled || (four[0] == 0xAC && (d->fours < 2 || four[1] == 0x53));
	wire_say(&d->wire, hears && enabled && d->fours > 1 ? four[d->fours - 2] : 0xFF);
}

static void isp_pirate_simple(struct isp_pirate *d, uint8_t byte)
{
	static const uint32_t hz[] = {30000, 125000, 250000, 1000000, 2000000, 2666667, 4000000, 8000000};

	if (byte == 0x00) {
		isp_pirate_unpin(d);
		d->mode = PIRATE_BIT_BANG;
		wire_say_text(&d->wire, "BBIO1");
		return;
	}
	if (byte == 0x01) {
		wire_say_text(&d->wire, "SPI1");
		return;
	}
	if (byte >> 4 == 4) {
		if ((byte & 8) && !d->powered)
			d->powered_at = d->wire.dev;
		d->powered = byte & 8;
		isp_pirate_reset(d, !(byte & 1));
	} else if (byte >> 3 == 0x0C) {
		d->hz = hz[byte & 7];
	} else if (byte >> 4 == 8) {
		d->configured = byte == 0x8A;
	} else {
		wire_say(&d->wire, 0x00);
		return;
	}
	wire_say(&d->wire, 0x01);
}

/* Commands that have bytes after them; true: more are wanted, or it is done. */
static bool isp_pirate_long(struct isp_pirate *d)
{
	const uint8_t *c = d->command;

	if (c[0] == 0x05 && !d->no_blocks) {
		size_t writes = (size_t)c[1] << 8 | c[2], reads = (size_t)c[3] << 8 | c[4];
		if (d->len < 5)
			return true;
		if (writes > 4096 || reads > 0) {
			d->violations++;
			wire_say(&d->wire, 0x00);
		} else if (d->len < 5 + writes) {
			return true;
		} else {
			isp_pirate_block(d, writes);
		}
		d->len = 0;
		return true;
	}
	if (c[0] != 0x06 || d->no_avr)
		return false;
	if (d->len == 1)
		wire_say(&d->wire, 0x01);
	if (d->len == 1 || (c[1] == 0x02 && d->len < 10))
		return true;
	if (c[1] == 0x01)
		for (unsigned i = 0; i < 3; i++)
			wire_say(&d->wire, (const uint8_t[]){0x01, 0x00, 0x01}[i]);
	else if (c[1] == 0x02)
		isp_pirate_run(d);
	else
		wire_say(&d->wire, c[1] == 0x00);
	d->len = 0;
	return true;
}

static void isp_pirate_take(struct wire *w, uint8_t byte)
{
	struct isp_pirate *d = (struct isp_pirate *)w;

	if (d->mute)
		return;
	if (d->mode == PIRATE_TERMINAL_MODE) {
		isp_pirate_terminal(d, byte);
	} else if (d->mode == PIRATE_BIT_BANG) {
		isp_pirate_bit_bang(d, byte);
	} else if (d->bulk_left > 0) {
		d->bulk_left--;
		isp_pirate_bulk(d, byte);
	} else if (d->len == 0 && byte >> 4 == 1) {
		d->bulk_left = (byte & 15u) + 1;
		d->bulks++;
		d->fours = 0;
		wire_say(w, 0x01);
	} else {
		d->command[d->len++] = byte;
		if (isp_pirate_long(d))
			return;
		d->len = 0;
		isp_pirate_simple(d, byte);
	}
}

static struct isp_pirate *isp_pirate_new(struct isp_chip *chip, bool native)
{
	struct isp_pirate *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	wire_init(&d->wire, isp_pirate_take, 115200, 5); /* four, and one that is being shifted in */
	d->wire.native = native;
	d->chip = chip;
	d->hz = 125000;
	return d;
}

#endif
