#ifndef POGO_STATION_LINE_OVER_USB_H
#define POGO_STATION_LINE_OVER_USB_H

#include "station/link/link.h"

/* A serial line where no kernel driver makes one: CDC-ACM (USB CDC 1.2, PSTN subclass) or FTDI requests over a link that has
 * control and bulk. Over one without `stream`, what the device says while nobody reads waits in the device, which has little
 * room (64 bytes of a 32U4, 256 of an FT232R).
 *
 * Takes `usb` over on success, leaves it to the caller on failure. POGO_INPUT: it is no such device. Raw 8N1 without flow
 * control where the device has a choice; speed and signals stay until `line`. */
int line_over_usb_open(struct link *usb, const struct usb_identity *identity, struct link **out, deadline_t deadline,
		       struct pogo_error *err);

#endif
