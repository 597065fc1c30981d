#ifndef POGO_TESTS_SERIAL_TROUBLES_H
#define POGO_TESTS_SERIAL_TROUBLES_H

#include <stdio.h>

#include "station/programmer/programmer.h"
#include "tests/unit/serial_wire.h"

/* What every driver of a serial programmer must stand: any one byte lost or wrong, either way, and being unplugged at any
 * call. Needs virtual_clock.h and cmocka before it. */

struct serial_pod {
	const struct programmer_driver *driver;
	struct usb_identity id;
	struct wire *(*make)(struct isp_chip *chip); /* freed with free() */
};

enum { LIFE_FLASH = 640, LIFE_EEPROM = 5 };

struct life { /* of boards behind one programmer */
	struct part *part;
	struct isp_chip *chip;
	struct wire *wire;
	struct programmer *p;
	struct fault fault;
	uint8_t data[LIFE_FLASH], back[LIFE_FLASH];
};

static deadline_t life_soon(void)
{
	return deadline_in_ms(6000);
}

static void life_prepare(struct life *l, const struct serial_pod *pod)
{
	struct pogo_error err;

	memset(l, 0, sizeof *l);
	if (part_load("configs", "atmega32u4", &l->part, &err) != 0)
		fail_msg("%s", err.text);
	l->chip = isp_chip_new(l->part);
	l->wire = pod->make(l->chip);
	memset(l->chip->flash, 0xFF, l->part->flash_bytes);
	for (size_t i = 0; i < LIFE_FLASH; i++)
		l->data[i] = (uint8_t)(i * 7 + i / 256 + 5);
}

static int life_open(struct life *l, const struct serial_pod *pod)
{
	return pod->driver->open(&l->wire->base, &pod->id, &l->p, programmer_open_deadline(pod->driver), &l->fault);
}

static void life_begin(struct life *l, const struct serial_pod *pod)
{
	life_prepare(l, pod);
	if (life_open(l, pod) != 0)
		fail_msg("%s", l->fault.text);
	l->wire->to_device = l->wire->to_host = l->wire->calls = 0;
}

static void life_end(struct life *l)
{
	if (l->p != NULL) {
		l->p->driver->close(l->p);
		assert_true(l->wire->closed);
	}
	isp_chip_free(l->chip);
	free(l->wire);
	free(l->part);
}

/* One board: 0 = good, 1 = it was seen that it is not, -1 = a fault. */
static int life_work(struct life *l)
{
	static const uint8_t fuse[4] = {0x50, 0x00, 0x00, 0x00};
	const struct isp_ops *isp = l->p->isp;
	uint8_t in[4];

	if (isp->enter(l->p, l->part, 1000000, NULL, life_soon(), &l->fault) != 0 ||
	    isp->command(l->p, fuse, in, life_soon(), &l->fault) != 0)
		return -1;
	if (in[2] != fuse[1] || in[3] != l->part->fuse_factory[FUSE_LOW])
		return 1;
	if (isp->write(l->p, ISP_FLASH, 0x100, l->data, LIFE_FLASH, 128, life_soon(), &l->fault) != 0 ||
	    isp->write(l->p, ISP_EEPROM, 3, l->data, LIFE_EEPROM, 0, life_soon(), &l->fault) != 0 ||
	    isp->read(l->p, ISP_FLASH, 0x100, l->back, LIFE_FLASH, life_soon(), &l->fault) != 0)
		return -1;
	if (memcmp(l->back, l->data, LIFE_FLASH) != 0)
		return 1;
	if (isp->read(l->p, ISP_EEPROM, 3, l->back, LIFE_EEPROM, life_soon(), &l->fault) != 0)
		return -1;
	return memcmp(l->back, l->data, LIFE_EEPROM) != 0;
}

static int life_board(struct life *l)
{
	l->fault.code = FAIL_NONE;
	int rc = life_work(l);

	if (l->fault.code != FAIL_PROGRAMMER_LOST)
		l->p->isp->leave(l->p, life_soon());
	return rc;
}

static bool life_is_on_chip(const struct life *l)
{
	return memcmp(l->chip->flash + 0x100, l->data, LIFE_FLASH) == 0 &&
	       memcmp(l->chip->eeprom + 3, l->data, LIFE_EEPROM) == 0;
}

enum harm { LOST_OUT, LOST_IN, WRONG_OUT, WRONG_IN, HARMS };

static size_t *life_harm(struct wire *w, enum harm harm)
{
	size_t *const places[HARMS] = {&w->lose_out, &w->lose_in, &w->spoil_out, &w->spoil_in};

	return places[harm];
}

/* No good board with other contents, an end in time, and the next board is as good as ever. A count that was heard wrong
 * can be longer than any patience: then the plug may be what helps. */
static void life_one_bad_byte(const struct serial_pod *pod, size_t n, enum harm harm)
{
	static const char *const names[HARMS] = {"lost on its way out", "lost on its way in", "wrong on its way out",
	                                         "wrong on its way in"};
	struct life l;
	char before[200];
	life_begin(&l, pod);
	*life_harm(l.wire, harm) = n;
	int64_t begin = virtual_now;
	int rc = life_board(&l);
	snprintf(before, sizeof before, "%s: %s", fail_name(l.fault.code), l.fault.text);
	if (virtual_now - begin > 15000000000)
		fail_msg("byte %zu %s: %.1f s", n, names[harm], (double)(virtual_now - begin) / 1e9);
	if (rc == 0 && !life_is_on_chip(&l))
		fail_msg("byte %zu %s: good with other contents", n, names[harm]);
	bool lost = l.fault.code == FAIL_PROGRAMMER_LOST, late = l.fault.code == FAIL_TIMEOUT;
	if ((lost || late) && harm != WRONG_OUT)
		fail_msg("byte %zu %s: %s", n, names[harm], before);
	*life_harm(l.wire, harm) = 0;
	memset(l.chip->flash, 0xFF, l.part->flash_bytes);
	int next = lost ? 0 : life_board(&l);
	if (rc == 0 && next == 0 && (harm == LOST_OUT || harm == LOST_IN))
		fail_msg("byte %zu %s, and nobody heard of it", n, names[harm]);
	if (next == -1 && l.fault.code == FAIL_VERIFY) /* what was found out while letting go is told once */
		next = life_board(&l);
	if (next != 0 && !late)
		fail_msg("byte %zu %s: %s; the next board: %s", n, names[harm], before, l.fault.text);
	life_end(&l);
}

static void life_bad_bytes(const struct serial_pod *pod)
{
	struct life l;
	life_begin(&l, pod);
	assert_int_equal(life_board(&l), 0);
	const size_t there = l.wire->to_device, back = l.wire->to_host;
	life_end(&l);
	for (int harm = 0; harm < HARMS; harm++)
		for (size_t n = 1; n <= (harm == LOST_OUT || harm == WRONG_OUT ? there : back); n += n < 60 ? 1 : 7)
			life_one_bad_byte(pod, n, (enum harm)harm);
}

static void life_unplugged(const struct serial_pod *pod)
{
	struct life l;
	life_begin(&l, pod);
	assert_int_equal(life_board(&l), 0);
	const unsigned calls = l.wire->calls;
	life_end(&l);
	for (unsigned n = 1; n <= calls; n++) {
		life_begin(&l, pod);
		l.wire->gone_at = n;
		int rc = life_board(&l);
		if (rc == 0) /* while letting go: nobody could be told yet */
			rc = l.p->isp->enter(l.p, l.part, 0, NULL, life_soon(), &l.fault);
		if (rc != -1 || l.fault.code != FAIL_PROGRAMMER_LOST)
			fail_msg("call %u: %d %s", n, rc, l.fault.text);
		unsigned after = l.wire->calls;
		assert_int_equal(l.p->isp->enter(l.p, l.part, 0, NULL, life_soon(), &l.fault), -1);
		assert_int_equal(l.wire->calls, after); /* it is not spoken to any more */
		life_end(&l);
	}
	for (unsigned n = 1;; n++) { /* and at every call of the opening */
		life_prepare(&l, pod);
		l.wire->gone_at = n;
		int rc = life_open(&l, pod);
		bool through = !l.wire->gone;
		if (rc != 0)
			assert_int_equal(l.fault.code, FAIL_PROGRAMMER_LOST);
		life_end(&l);
		if (through)
			break;
	}
}

#endif
