#ifndef POGO_STATION_STATION_H
#define POGO_STATION_STATION_H

#include <stdint.h>

#include "hextools/err.h"
#include "station/view/view.h"

/* A whole run: owns host, recorder, event queue and slots; start and stop order. Two in one process work. */

struct station_options {
	const char *configs;      /* folder or NULL */
	const char *recipe_path;
	const char *station_path; /* NULL: every known programmer that is plugged becomes a slot */
	const char *db_path;
	const char *host_url;     /* NULL: libusb; else usbip://HOST[:PORT] */
	const char *operator_name;
	const char *events_path;  /* NULL, or a file, pipe or listening Unix socket that gets the JSON lines too */
	uint64_t count;
};

struct station_summary {
	uint64_t attempts, passed, failed, errors;
};

/* Runs until the count is reached or the view (or *stop_signals, raised by a signal handler: 1 finish,
 * 2 abort) wants it to end. */
int station_run(const struct station_options *options, struct view *view,
		const volatile int *stop_signals, struct station_summary *summary, struct pogo_error *err);

#endif
