#ifndef POGO_STATION_DESK_H
#define POGO_STATION_DESK_H

#include "station/chip/chip.h"
#include "station/station_file.h"

/* One programmer and the board on it, for the commands that somebody gives at a desk: without a recipe, so the part is
 * found by what the chip says. Nothing is logged. */

struct desk_options {
	const char *slot;    /* a slot's name or a port path */
	const char *station_path; /* NULL: slots are numbered as `run` without a station file does */
	const char *host_url;     /* NULL: libusb; else usbip://HOST[:PORT] */
	const char *configs;      /* folder or NULL */
};

struct desk { /* zero it; desk_close is fine at any time */
	struct host *host;
	struct slot_place place;
	struct usb_identity identity;
	struct programmer *programmer; /* NULL: not open */
	struct part **parts;
	size_t part_count;
	struct recipe recipe; /* nothing is wished but to meet the chip */
	struct chip chip;     /* attached after desk_meet */
};

/* Opens the programmer. POGO_INPUT: no such slot, or nothing known there; POGO_SYSTEM: it cannot be opened. */
int desk_open(const struct desk_options *options, struct desk *desk, struct pogo_error *err);

/* Meets the chip: finds its part and reads what identifies it, changing nothing. POGO_NO with the trouble in words. */
int desk_meet(struct desk *desk, struct pogo_error *err);

/* What went wrong with the chip or the programmer, as an error. Returns -1. */
int desk_fail(const struct desk *desk, const struct fault *fault, struct pogo_error *err);

/* Is all of the flash FF? `blank` false and *used the first other address. FAIL_PROTECTED: it cannot be read. */
int desk_blank(struct desk *desk, bool *blank, uint32_t *used, struct fault *fault);

void desk_close(struct desk *desk);

#endif
