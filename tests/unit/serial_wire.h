#ifndef POGO_TESTS_SERIAL_WIRE_H
#define POGO_TESTS_SERIAL_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "station/link/link.h"
#include "tests/unit/isp_chip.h"

/* A serial line with a microcontroller at its other end, as a link. Needs virtual_clock.h before it. Bytes take their
 * time both ways; a UART loses what its receive buffer has no room for while the firmware works, a native USB port refuses
 * it until there is room. The firmware's clock runs ahead of the host's, which sees its answers when it gets there. */

enum { WIRE_ROOM = 16384, WIRE_PICKS = 512, WIRE_USB_BANK = 128 };

struct wire {
	struct link base; /* first */
	bool native, closed, gone;
	uint32_t host_baud, baud;
	unsigned signals, rises;      /* of DTR */
	size_t buffer;                /* bytes that the receiver holds */
	int64_t dev, arrived, sent;   /* the firmware's clock; ends of the last bytes on the line */
	int64_t picks[WIRE_PICKS];    /* when the firmware took its last bytes */
	size_t taken;
	uint8_t out[WIRE_ROOM];
	int64_t at[WIRE_ROOM];
	size_t head, tail;
	void (*take)(struct wire *, uint8_t byte);
	int64_t (*ready)(struct wire *, int64_t arrival); /* when somebody takes a byte, and at which baud; NULL: when the
	                                                   * firmware is idle */
	void (*dtr_rises)(struct wire *);
	unsigned calls, gone_at;      /* gone_at: the call that finds it unplugged; 0 = none */
	size_t to_device, to_host;    /* bytes */
	size_t lose_out, lose_in;     /* the byte with this number, from 1, is lost on the way */
	size_t spoil_out, spoil_in;   /* or has some bits wrong */
	unsigned overruns;
	unsigned trips;               /* how often the host waited for an answer to something it had said */
	bool said;
};

static int64_t wire_byte_ns(const struct wire *w)
{
	return w->native ? 1000 : 10000000000 / (w->host_baud != 0 ? w->host_baud : 115200);
}

static bool wire_counts(struct wire *w)
{
	w->calls++;
	virtual_pass_us(20);
	if (w->calls == w->gone_at)
		w->gone = true;
	return !w->gone;
}

static uint8_t wire_garble(const struct wire *w, uint8_t byte)
{
	return w->native || w->host_baud == w->baud ? byte : (uint8_t)(byte * 29 | 0x81);
}

/* The firmware says a byte; its transmitter holds four. */
static void wire_say(struct wire *w, uint8_t byte)
{
	int64_t ns = wire_byte_ns(w);

	w->to_host++;
	w->sent = (w->sent > w->dev ? w->sent : w->dev) + ns;
	if (w->dev < w->sent - 4 * ns)
		w->dev = w->sent - 4 * ns;
	if (w->to_host == w->lose_in || w->tail - w->head == WIRE_ROOM)
		return;
	w->out[w->tail % WIRE_ROOM] = wire_garble(w, w->to_host == w->spoil_in ? byte ^ 0x24 : byte);
	w->at[w->tail++ % WIRE_ROOM] = w->sent;
}

static void wire_say_text(struct wire *w, const char *text)
{
	for (; *text != '\0'; text++)
		wire_say(w, (uint8_t)*text);
}

/* Four bytes of SPI, at the firmware's time. */
static void wire_spi(struct wire *w, struct isp_chip *chip, const uint8_t out[4], uint8_t in[4], int64_t us)
{
	int64_t host = virtual_now;

	w->dev += us * 1000;
	virtual_now = w->dev;
	isp_chip_command(chip, out, in);
	virtual_now = host;
}

static void wire_take(struct wire *w, uint8_t byte)
{
	int64_t start = w->arrived > virtual_now ? w->arrived : virtual_now;

	w->to_device++;
	w->arrived = start + wire_byte_ns(w);
	if (w->to_device == w->lose_out)
		return;
	if (w->to_device == w->spoil_out)
		byte ^= 0x24;
	if (!w->native && w->taken >= w->buffer && w->picks[(w->taken - w->buffer) % WIRE_PICKS] > w->arrived) {
		w->overruns++;
		return;
	}
	int64_t at = w->dev > w->arrived ? w->dev : w->arrived;
	if (w->ready != NULL)
		at = w->ready(w, w->arrived);
	w->picks[w->taken++ % WIRE_PICKS] = at;
	w->dev = at;
	w->take(w, wire_garble(w, byte));
}

static int wire_write(struct link *link, const void *data, size_t length, deadline_t deadline)
{
	struct wire *w = (struct wire *)link;
	const uint8_t *bytes = data;

	if (!wire_counts(w))
		return -LINK_GONE;
	w->said = true;
	for (size_t i = 0; i < length; i++)
		wire_take(w, bytes[i]);
	if (!w->native || w->taken < WIRE_USB_BANK)
		return (int)length;
	int64_t room_at = w->picks[(w->taken - WIRE_USB_BANK) % WIRE_PICKS];
	if (room_at > deadline) {
		virtual_now = deadline > virtual_now ? deadline : virtual_now;
		return -LINK_TIMEOUT;
	}
	virtual_now = room_at > virtual_now ? room_at : virtual_now;
	return (int)length;
}

static int wire_read(struct link *link, void *data, size_t room, deadline_t deadline)
{
	struct wire *w = (struct wire *)link;
	uint8_t *bytes = data;
	int got = 0;

	if (!wire_counts(w))
		return -LINK_GONE;
	w->trips += w->said;
	w->said = false;
	if (w->head == w->tail || w->at[w->head % WIRE_ROOM] > deadline) {
		virtual_now = deadline > virtual_now ? deadline : virtual_now;
		return -LINK_TIMEOUT;
	}
	if (w->at[w->head % WIRE_ROOM] > virtual_now)
		virtual_now = w->at[w->head % WIRE_ROOM] + 100000;
	while ((size_t)got < room && w->head < w->tail && w->at[w->head % WIRE_ROOM] <= virtual_now)
		bytes[got++] = w->out[w->head++ % WIRE_ROOM];
	return got;
}

static int wire_line(struct link *link, uint32_t baud, unsigned signals, deadline_t deadline)
{
	struct wire *w = (struct wire *)link;
	bool rises = (signals & LINE_DTR) && !(w->signals & LINE_DTR);

	(void)deadline;
	if (!wire_counts(w))
		return -LINK_GONE;
	w->host_baud = baud;
	w->signals = signals;
	w->rises += rises;
	if (rises && w->dtr_rises != NULL)
		w->dtr_rises(w);
	return 0;
}

static int wire_discard(struct link *link, deadline_t deadline)
{
	struct wire *w = (struct wire *)link;

	(void)deadline;
	if (!wire_counts(w))
		return -LINK_GONE;
	while (w->head < w->tail && w->at[w->head % WIRE_ROOM] <= virtual_now)
		w->head++;
	return 0;
}

static void wire_close(struct link *link)
{
	((struct wire *)link)->closed = true;
}

static void wire_init(struct wire *w, void (*take)(struct wire *, uint8_t), uint32_t baud, size_t buffer)
{
	static const struct link_ops ops = {.read = wire_read,
	                                    .write = wire_write,
	                                    .line = wire_line,
	                                    .discard = wire_discard,
	                                    .close = wire_close};

	w->base.ops = &ops;
	w->take = take;
	w->baud = baud;
	w->buffer = buffer;
}

#endif
