#ifndef POGO_TESTS_NOISE_LINK_H
#define POGO_TESTS_NOISE_LINK_H

#include <string.h>

#include "station/link/link.h"

/* A link through which a few transfers go wrong, at places and in ways that a seed chooses. Needs virtual_clock.h
 * before it. With no link behind it, it babbles: everything that comes is chance. */

enum trouble {
	TROUBLE_LOST,  /* the device never heard it, or its answer did not come */
	TROUBLE_CUT,   /* fewer bytes */
	TROUBLE_WRONG, /* some bits, one way or the other */
	TROUBLE_LONG,  /* more bytes than there are */
	TROUBLE_STALE, /* the answer before this one; what goes out goes out twice */
	TROUBLE_LATE,
	TROUBLE_STALL,
	TROUBLE_IO,
	TROUBLE_GONE, /* from now on */
	TROUBLE_HUNG, /* from now on */
	TROUBLES,
};

enum { NOISE_MOST = 3, NOISE_ROOM = 512 };

struct noise {
	struct link base;   /* first */
	struct link *inner; /* NULL: babble */
	uint64_t seed;
	unsigned transfers;
	unsigned count, at[NOISE_MOST];
	enum trouble kind[NOISE_MOST];
	bool gone, hung;
	uint8_t last[NOISE_ROOM]; /* the answer before */
	int last_len;
};

static uint32_t noise_dice(struct noise *n, uint32_t sides)
{
	n->seed ^= n->seed << 13; /* xorshift64, Marsaglia 2003 */
	n->seed ^= n->seed >> 7;
	n->seed ^= n->seed << 17;
	return (uint32_t)(n->seed >> 33) % sides;
}

static int noise_wait(deadline_t deadline)
{
	if (deadline > virtual_now)
		virtual_now = deadline;
	return -LINK_TIMEOUT;
}

static void noise_flip(struct noise *n, uint8_t *bytes, size_t len)
{
	for (uint32_t flips = 1 + noise_dice(n, 3); flips > 0 && len > 0; flips--)
		bytes[noise_dice(n, (uint32_t)len)] ^= (uint8_t)(1u << noise_dice(n, 8));
}

/* What happens to this transfer; TROUBLES = nothing. */
static enum trouble noise_due(struct noise *n)
{
	unsigned now = n->transfers++;

	for (unsigned i = 0; i < n->count; i++)
		if (n->at[i] == now)
			return n->kind[i];
	return TROUBLES;
}

/* Troubles that end a transfer without looking at its bytes. 0 = it goes on. */
static int noise_ends(struct noise *n, enum trouble trouble, deadline_t deadline)
{
	n->gone = n->gone || trouble == TROUBLE_GONE;
	n->hung = n->hung || trouble == TROUBLE_HUNG;
	if (n->gone)
		return -LINK_GONE;
	if (n->hung)
		return noise_wait(deadline);
	if (trouble == TROUBLE_STALL)
		return -LINK_STALL;
	if (trouble == TROUBLE_IO)
		return -LINK_IO;
	return 0;
}

static int noise_babble(struct noise *n, bool in, uint8_t *data, size_t length, deadline_t deadline)
{
	virtual_pass_us(1000);
	n->transfers++;
	uint32_t luck = noise_dice(n, 40);
	if (luck == 0 || virtual_now >= deadline)
		return noise_wait(deadline);
	if (luck <= 3)
		return -(int)luck;
	if (!in)
		return (int)length;
	size_t got = luck < 20 ? length : noise_dice(n, (uint32_t)length + 1);
	for (size_t i = 0; i < got; i++) /* often what a good answer begins with */
		data[i] = luck % 2 ? (uint8_t)noise_dice(n, 256) : (uint8_t[]){0x00, 0x53, 0x1E, 0x14, 0x10, 0x01}[i % 6];
	return (int)got;
}

/* What comes is spoiled on its way. */
static int noise_answer(struct noise *n, enum trouble trouble, uint8_t *data, size_t length, int got)
{
	if (got < 0)
		return got;
	uint8_t real[NOISE_ROOM];
	size_t kept = (size_t)got < sizeof real ? (size_t)got : sizeof real;
	memcpy(real, data, kept);
	if (trouble == TROUBLE_CUT)
		got = got > 0 ? (int)noise_dice(n, (uint32_t)got) : 0;
	if (trouble == TROUBLE_WRONG)
		noise_flip(n, data, (size_t)got);
	if (trouble == TROUBLE_LONG)
		for (; (size_t)got < length && noise_dice(n, 8) != 0; got++)
			data[got] = (uint8_t)noise_dice(n, 256);
	if (trouble == TROUBLE_STALE) {
		got = n->last_len < (int)length ? n->last_len : (int)length;
		memcpy(data, n->last, (size_t)got);
	}
	memcpy(n->last, real, kept);
	n->last_len = (int)kept;
	return got;
}

static int noise_control(struct link *link, uint8_t type, uint8_t request, uint16_t value, uint16_t index, void *data,
                         uint16_t length, deadline_t deadline)
{
	struct noise *n = (struct noise *)link;
	bool in = type & 0x80;
	uint8_t bytes[4096] = {0};

	if (n->inner == NULL)
		return noise_babble(n, in, data, length, deadline);
	enum trouble trouble = noise_due(n);
	int ended = noise_ends(n, trouble, deadline);
	if (ended != 0)
		return ended;
	if (trouble == TROUBLE_LATE)
		virtual_pass_us((int64_t)noise_dice(n, 20000) * 1000);
	if (trouble == TROUBLE_LOST && noise_dice(n, 2) == 0)
		return noise_wait(deadline);
	if (!in && length > 0)
		memcpy(bytes, data, length);
	if (!in && trouble == TROUBLE_WRONG)
		noise_flip(n, bytes, length);
	/* The device acts all the same when nobody waits any more. */
	deadline_t patient = virtual_now + 5000000000;
	int got = n->inner->ops->control(n->inner, type, request, value, index, bytes, length, patient);
	if (!in && trouble == TROUBLE_STALE)
		n->inner->ops->control(n->inner, type, request, value, index, bytes, length, patient);
	if (trouble == TROUBLE_LOST || virtual_now > deadline) {
		virtual_now = deadline;
		return -LINK_TIMEOUT;
	}
	if (in)
		got = noise_answer(n, trouble, bytes, length, got);
	else if (trouble == TROUBLE_CUT && got > 0)
		got = (int)noise_dice(n, (uint32_t)got);
	if (in && got > 0)
		memcpy(data, bytes, (size_t)got);
	return got;
}

/* Bytes that go out on an endpoint or a line: `send` is the way behind. */
static int noise_send(struct noise *n, uint8_t endpoint, const uint8_t *data, size_t length, deadline_t deadline)
{
	uint8_t bytes[4096];
	int sent = (int)length;

	if (n->inner == NULL)
		return noise_babble(n, false, NULL, length, deadline);
	enum trouble trouble = noise_due(n);
	int ended = noise_ends(n, trouble, deadline);
	if (ended != 0)
		return ended;
	memcpy(bytes, data, length);
	if (trouble == TROUBLE_WRONG)
		noise_flip(n, bytes, length);
	if (trouble == TROUBLE_LATE)
		return noise_dice(n, 2) == 0 ? noise_wait(deadline) : sent; /* the device never heard it */
	if (trouble == TROUBLE_CUT)
		length = noise_dice(n, (uint32_t)length + 1);
	for (unsigned i = 0; i < (trouble == TROUBLE_STALE ? 2 : trouble == TROUBLE_LOST ? 0 : 1); i++) {
		int rc = endpoint != 0 ? n->inner->ops->bulk(n->inner, endpoint, bytes, length, deadline)
		                       : n->inner->ops->write(n->inner, bytes, length, deadline);
		if (rc < 0)
			return rc;
	}
	return trouble == TROUBLE_CUT && noise_dice(n, 2) == 0 ? (int)length : sent;
}

static int noise_receive(struct noise *n, uint8_t endpoint, uint8_t *data, size_t room, deadline_t deadline)
{
	if (n->inner == NULL)
		return noise_babble(n, true, data, room, deadline);
	enum trouble trouble = noise_due(n);
	int ended = noise_ends(n, trouble, deadline);
	if (ended != 0)
		return ended;
	if (trouble == TROUBLE_LATE) /* it stays in the pipe */
		return noise_wait(deadline);
	if (trouble == TROUBLE_STALE && n->last_len > 0 && (size_t)n->last_len <= room) {
		memcpy(data, n->last, (size_t)n->last_len); /* and the right one stays in the pipe */
		return n->last_len;
	}
	int got = endpoint != 0 ? n->inner->ops->bulk(n->inner, endpoint, data, room, deadline)
	                        : n->inner->ops->read(n->inner, data, room, deadline);
	if (got >= 0 && trouble == TROUBLE_LOST)
		return noise_wait(deadline);
	return noise_answer(n, trouble, data, room, got);
}

static int noise_bulk(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline)
{
	struct noise *n = (struct noise *)link;

	return endpoint & 0x80 ? noise_receive(n, endpoint, data, length, deadline)
	                       : noise_send(n, endpoint, data, length, deadline);
}

static int noise_read(struct link *link, void *data, size_t room, deadline_t deadline)
{
	return noise_receive((struct noise *)link, 0, data, room, deadline);
}

static int noise_write(struct link *link, const void *data, size_t length, deadline_t deadline)
{
	return noise_send((struct noise *)link, 0, data, length, deadline);
}

static int noise_line(struct link *link, uint32_t baud, unsigned signals, deadline_t deadline)
{
	struct noise *n = (struct noise *)link;

	if (n->gone)
		return -LINK_GONE;
	return n->inner != NULL ? n->inner->ops->line(n->inner, baud, signals, deadline) : 0;
}

static int noise_discard(struct link *link, deadline_t deadline)
{
	struct noise *n = (struct noise *)link;

	if (n->gone)
		return -LINK_GONE;
	return n->inner != NULL ? n->inner->ops->discard(n->inner, deadline) : 0;
}

static void noise_close(struct link *link)
{
	struct noise *n = (struct noise *)link;

	if (n->inner != NULL)
		n->inner->ops->close(n->inner);
}

static struct noise noise_over(struct link *inner, uint64_t seed)
{
	static const struct link_ops ops = {.control = noise_control,
	                                    .bulk = noise_bulk,
	                                    .read = noise_read,
	                                    .write = noise_write,
	                                    .line = noise_line,
	                                    .discard = noise_discard,
	                                    .close = noise_close};
	struct noise n = {.base.ops = &ops, .inner = inner, .seed = seed * 0x9E3779B97F4A7C15u | 1};

	for (unsigned i = 0; i < 4; i++)
		noise_dice(&n, 2); /* seeds that lie side by side begin alike */
	return n;
}

/* One to three troubles among the first `transfers` transfers, mostly one. */
static void noise_choose(struct noise *n, unsigned transfers)
{
	static const uint8_t counts[] = {1, 1, 1, 2, 3};

	n->count = counts[noise_dice(n, sizeof counts)];
	for (unsigned i = 0; i < n->count; i++) {
		n->at[i] = noise_dice(n, transfers);
		n->kind[i] = (enum trouble)noise_dice(n, TROUBLES);
	}
}

#endif
