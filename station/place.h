#ifndef POGO_STATION_PLACE_H
#define POGO_STATION_PLACE_H

#include "station/link/link.h"
#include "station/programmer/programmer.h"
#include "station/station_file.h"

/* The programmer at a slot's place. A place is a USB port, whose device is a programmer of its own or one behind the serial
 * line that it makes, or a fixed serial line. */

/* Which programmer protocol does the device speak? `kind` is the station file's, "" = any known. NULL: it is not of that
 * kind, or unknown. */
typedef const struct programmer_driver *place_judge(const char *kind, const struct usb_identity *identity);

/* What a station uses. A serial kind that the station file names is not asked whether it knows the device: any board may
 * carry such firmware, behind any chip that makes a serial line. */
place_judge place_programmer_for;

/* True: `port` is a device file, not a USB port path. */
bool place_is_line(const struct slot_place *place);

/* Returns 0 and the programmer, which owns its link; 1: nothing is plugged there; -1 and *err: POGO_INPUT when something
 * else is there, POGO_SYSTEM when it cannot be opened. A device that cannot be the programmer is not opened. */
int place_open(const struct slot_place *place, struct host *host, place_judge *programmer_for, struct programmer **out,
	       struct usb_identity *identity, struct pogo_error *err);

#endif
