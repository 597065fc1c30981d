#ifndef POGO_TESTS_ISP_MKII_H
#define POGO_TESTS_ISP_MKII_H

#include "station/link/link.h"
#include "tests/unit/isp_chip.h"

/* An AVRISP mkII as a link, from application note AVR069: a packet that is not full ends a message, and so does the end
 * of an answer. It notes what a host must not do. */

enum { MKII_ROOM = 320, MKII_ANSWERS = 8 };

struct isp_mkii {
	struct link base; /* first */
	struct isp_chip *chip;
	uint8_t in, out; /* endpoints */
	uint16_t packet;
	uint8_t parameters[256];
	bool lufa, closed, forgets_empty_packet;
	uint8_t message[MKII_ROOM];
	size_t message_len;
	struct {
		uint8_t bytes[MKII_ROOM];
		size_t len;
	} answers[MKII_ANSWERS]; /* in the pipe, oldest first */
	size_t answer_count;
	uint32_t address; /* words or bytes */
	bool extended;
	uint8_t refuse, refuse_status; /* this message is answered by this status */
	unsigned messages[256], empty_packets, violations;
};

static uint32_t isp_mkii_byte_us(const struct isp_mkii *d)
{
	static const uint32_t hz[] = {8000000, 4000000, 2000000, 1000000, 500000, 250000, 125000};
	uint8_t index = d->parameters[0x98];

	return 32000000 / (index < 7 ? hz[index] : 96386 * 7 / index);
}

static void isp_mkii_spi(struct isp_mkii *d, uint8_t a, uint8_t b, uint8_t c, uint8_t e, uint8_t in[4])
{
	const uint8_t out[4] = {a, b, c, e};

	virtual_pass_us(isp_mkii_byte_us(d));
	isp_chip_command(d->chip, out, in);
}

static void isp_mkii_answer(struct isp_mkii *d, const uint8_t *bytes, size_t len)
{
	if (d->answer_count == MKII_ANSWERS)
		return; /* a full pipe: a real one would stop taking commands */
	memcpy(d->answers[d->answer_count].bytes, bytes, len);
	d->answers[d->answer_count++].len = len;
}

static uint8_t isp_mkii_enter(struct isp_mkii *d)
{
	const uint8_t *m = d->message;
	uint8_t in[4] = {0};

	if (m[2] < 20 || m[7] == 0 || m[7] > 4) {
		d->violations++;
		return 0xC0;
	}
	for (unsigned i = 0; i < m[4]; i++) {
		isp_chip_reset(d->chip, false);
		isp_chip_reset(d->chip, true);
		virtual_pass_us(m[2] * 1000);
		isp_mkii_spi(d, m[8], m[9], m[10], m[11], in);
		if (in[m[7] - 1] == m[6])
			return 0x00;
	}
	return 0xC0;
}

static void isp_mkii_wait(struct isp_mkii *d, bool polled)
{
	uint8_t in[4];

	if (!polled) {
		virtual_pass_us(d->message[4] * 1000);
		return;
	}
	for (unsigned i = 0; i < 2000; i++) {
		isp_mkii_spi(d, 0xF0, 0, 0, 0, in);
		if ((in[3] & 1) == 0)
			return;
	}
}

static uint8_t isp_mkii_program(struct isp_mkii *d, bool flash)
{
	const uint8_t *m = d->message, mode = m[3];
	size_t count = (size_t)m[1] << 8 | m[2];
	uint32_t start = d->address;
	uint8_t in[4];

	if (count > 256 || d->message_len != 10 + count)
		return 0xC0;
	for (size_t i = 0; i < count; i++) {
		uint8_t high = flash && i % 2 ? 0x08 : 0x00;
		isp_mkii_spi(d, m[5] | high, (uint8_t)(d->address >> 8), (uint8_t)d->address, m[10 + i], in);
		if (!(mode & 0x01))
			isp_mkii_wait(d, mode & 0x08);
		d->address += !flash || high;
	}
	if ((mode & 0x81) == 0x81) {
		isp_mkii_spi(d, m[6], (uint8_t)(start >> 8), (uint8_t)start, 0, in);
		isp_mkii_wait(d, mode & 0x40);
	}
	return 0x00;
}

static void isp_mkii_read(struct isp_mkii *d, bool flash)
{
	size_t count = (size_t)d->message[1] << 8 | d->message[2];
	uint8_t answer[MKII_ROOM] = {d->message[0], 0x00}, in[4];

	if (count > 256 || d->message[3] != (flash ? 0x20 : 0xA0)) {
		answer[1] = 0xC0;
		isp_mkii_answer(d, answer, 2);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		uint8_t high = flash && i % 2 ? 0x08 : 0x00;
		isp_mkii_spi(d, d->message[3] | high, (uint8_t)(d->address >> 8), (uint8_t)d->address, 0, in);
		answer[2 + i] = in[3];
		d->address += !flash || high;
	}
	isp_mkii_answer(d, answer, count + 3);
}

static void isp_mkii_act(struct isp_mkii *d)
{
	const uint8_t *m = d->message;
	uint8_t answer[16] = {m[0], 0x00};
	size_t len = 2;

	switch (m[0]) {
	case 0x01:
		memcpy(answer + 2, "\x0a" "AVRISP_MK2", 11);
		len = 13;
		break;
	case 0x02:
		d->parameters[m[1]] = m[2];
		break;
	case 0x03:
		answer[2] = d->parameters[m[1]];
		len = 3;
		break;
	case 0x06:
		d->extended = m[1] & 0x80;
		d->address = (uint32_t)m[2] << 16 | (uint32_t)m[3] << 8 | m[4];
		break;
	case 0x10:
		answer[1] = isp_mkii_enter(d);
		break;
	case 0x11:
		isp_chip_reset(d->chip, false);
		break;
	case 0x13:
	case 0x15:
		answer[1] = isp_mkii_program(d, m[0] == 0x13);
		break;
	case 0x14:
	case 0x16:
		isp_mkii_read(d, m[0] == 0x14);
		return;
	case 0x1D:
		d->violations += m[1] != 4 || m[2] != 4 || m[3] != 0;
		isp_mkii_spi(d, m[4], m[5], m[6], m[7], answer + 2);
		answer[6] = 0x00;
		len = 7;
		break;
	default:
		answer[1] = 0xC9;
	}
	isp_mkii_answer(d, answer, len);
}

static void isp_mkii_take(struct isp_mkii *d, const uint8_t *bytes, size_t len)
{
	if (len == 0)
		d->empty_packets++;
	if (d->message_len + len > sizeof d->message)
		d->message_len = 0; /* babble */
	if (len > 0)
		memcpy(d->message + d->message_len, bytes, len);
	d->message_len += len;
	if (len % d->packet == 0 && len > 0)
		return; /* more to come */
	if (d->message_len > 0) {
		d->messages[d->message[0]]++;
		if (d->refuse != 0 && d->refuse == d->message[0])
			isp_mkii_answer(d, (const uint8_t[2]){d->refuse, d->refuse_status}, 2);
		else
			isp_mkii_act(d);
	}
	memset(d->message, 0, sizeof d->message);
	d->message_len = 0;
}

static int isp_mkii_give(struct isp_mkii *d, uint8_t *bytes, size_t room, deadline_t deadline)
{
	if (d->answer_count == 0 ||
	    (d->forgets_empty_packet && d->answers[0].len % d->packet == 0 && room > d->answers[0].len)) {
		if (deadline > clock_now())
			virtual_now = deadline;
		return -LINK_TIMEOUT;
	}
	size_t len = d->answers[0].len;
	if (len > room)
		return -LINK_IO;
	memcpy(bytes, d->answers[0].bytes, len);
	d->answer_count--;
	memmove(d->answers, d->answers + 1, d->answer_count * sizeof d->answers[0]);
	return (int)len;
}

static int isp_mkii_bulk(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline)
{
	struct isp_mkii *d = (struct isp_mkii *)link;

	virtual_pass_us(125 + (int64_t)length);
	if (clock_now() > deadline)
		return -LINK_TIMEOUT;
	if (endpoint == d->out) {
		isp_mkii_take(d, data, length);
		return (int)length;
	}
	if (endpoint != d->in)
		return -LINK_IO;
	d->violations += length % d->packet != 0; /* the device's last packet could be too long for it */
	return isp_mkii_give(d, data, length, deadline);
}

static int isp_mkii_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
                            uint16_t length, deadline_t deadline)
{
	const struct isp_mkii *d = (const struct isp_mkii *)link;
	const uint8_t raw[32] = {9, 2, 32, 0, 1, 1, 0, 0xC0, 50, 9, 4, 0, 0, 2, 0xFF, 0, 0, 0,
	                         7, 5, d->in, 2, (uint8_t)d->packet, 0, 10, 7, 5, d->out, 2, (uint8_t)d->packet, 0, 10};

	(void)index, (void)deadline;
	virtual_pass_us(500);
	if (type != 0x80 || request != 6 || value != 0x0200)
		return -LINK_STALL;
	memcpy(data, raw, length < sizeof raw ? length : sizeof raw);
	return length < (int)sizeof raw ? length : (int)sizeof raw;
}

static void isp_mkii_close(struct link *link)
{
	((struct isp_mkii *)link)->closed = true;
}

static struct isp_mkii *isp_mkii_new(struct isp_chip *chip)
{
	static const struct link_ops ops = {
	        .control = isp_mkii_control, .bulk = isp_mkii_bulk, .close = isp_mkii_close};
	struct isp_mkii *d = calloc(1, sizeof *d);

	if (d == NULL)
		abort();
	d->base.ops = &ops;
	d->chip = chip;
	d->in = 0x82;
	d->out = 0x02;
	d->packet = 64;
	d->parameters[0x91] = 0x01;
	d->parameters[0x92] = 0x18;
	d->parameters[0x94] = 33;
	d->parameters[0x98] = 100; /* the last user was slow */
	return d;
}

#endif
