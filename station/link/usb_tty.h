#ifndef POGO_STATION_USB_TTY_H
#define POGO_STATION_USB_TTY_H

#include <stdbool.h>
#include <stddef.h>

#include "station/link/link.h"

/* Which serial line the kernel made of which USB device: sysfs tells, without opening anything. `sys` is USB_TTY_SYSFS but
 * for tests. */

#define USB_TTY_SYSFS "/sys"

/* The first line of the device at `path` (lowest interface) as "/dev/ttyACM0"; false: it has none. */
bool usb_tty_of(const char *sys, const char *path, char *tty, size_t room);

/* The other way round: ids, path and strings of the USB device behind a tty (links are followed). False: none is. */
bool usb_tty_behind(const char *sys, const char *tty, struct usb_identity *identity);

/* Ids and strings of the device at `path`. False: there is none. */
bool usb_tty_identity(const char *sys, const char *path, struct usb_identity *identity);

bool usb_tty_is_ftdi(const char *sys, const char *tty);

/* Does the kernel list it as a tty? A pty is none of these. */
bool usb_tty_is_listed(const char *sys, const char *tty);

/* Has a process that this one may look at (its user's; root's: all) the device file open? */
bool usb_tty_is_open(const char *tty);

#endif
