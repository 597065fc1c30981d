#ifndef POGO_STATION_STATION_H
#define POGO_STATION_STATION_H

#include <stdatomic.h>
#include <stdint.h>

#include "hextools/err.h"
#include "station/chip/chip.h"
#include "station/link/link.h"
#include "station/place.h"
#include "station/slot.h"
#include "station/view/view.h"

/* A whole run: owns host, recorder, event queue and slots; start and stop order. Two in one process
 * work. */

/* Where a test puts its own devices in. */
struct station_seams {
	int (*host_create)(void *context, struct host **out, struct pogo_error *err);
	void *context;
	place_judge *programmer_for;
	const struct chip_driver *chip_driver;
};

struct station_options {
	const char *configs; /* folder or NULL */
	/* One, or one per port that a programmer may have (ISP, SWD): each slot takes the one that its programmer can do. */
	const char *recipe_paths[SLOT_JOBS];
	size_t recipe_count;
	const char *station_path; /* NULL: every known programmer that is plugged becomes a slot */
	const char *db_path;
	const char *host_url; /* NULL: libusb; else usbip://HOST[:PORT] */
	const char *operator_name;
	const char *events_path; /* NULL, or a file, pipe or listening Unix socket that gets the
	                            JSON lines too */
	uint64_t count;          /* boards in the whole run, 0 = no limit */
	const struct station_seams *seams; /* NULL: the real devices */
};

struct station_summary {
	uint64_t attempts, passed, failed, errors;
};

/* Opens the place where devices hang: `url` NULL is this machine's USB, else usbip://HOST[:PORT]. A machine without USB is
 * good enough for a `file` (may be NULL) whose slots are all fixed serial lines. */
int station_host_create(const char *url, const struct station_file *file, struct host **out, struct pogo_error *err);

/* Fills `file` with every known programmer that is plugged, named 1, 2, … in the order of their
 * ports. None at all is an error. */
int station_file_from_plugs(struct host *host, place_judge *programmer_for, struct station_file *file,
                            struct pogo_error *err);

/* "1-2" before "1-10": numbers by value, the rest as text. For qsort-like use. */
int station_port_order(const char *a, const char *b);

/* Runs until the count is reached or the view (or *stop_signals, raised by a signal handler: 1
 * finish, 2 abort) wants it to end. */
int station_run(const struct station_options *options, struct view *view,
                const atomic_int *stop_signals, struct station_summary *summary,
                struct pogo_error *err);

#endif
