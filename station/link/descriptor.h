#ifndef POGO_STATION_DESCRIPTOR_H
#define POGO_STATION_DESCRIPTOR_H

#include "station/link/link.h"

/* Standard descriptors over an open link (USB 2.0, 9.4 and 9.6): the same for every kind of host.
 */

enum {
	USB_CLEAR_FEATURE = 1,
	USB_ENDPOINT_HALT = 0, /* a feature */
	USB_SET_FEATURE = 3,
	USB_PORT_RESET = 4, /* a feature of a hub's port (USB 2.0, 11.24.2) */
	USB_GET_DESCRIPTOR = 6,
	USB_GET_CONFIGURATION = 8,
	USB_SET_CONFIGURATION = 9,
	USB_DEVICE_DESCRIPTOR = 1,
	USB_CONFIGURATION_DESCRIPTOR = 2,
	USB_STRING_DESCRIPTOR = 3,
	USB_DEVICE_TO_HOST = 0x80,
	USB_HOST_TO_DEVICE = 0x00,
	USB_HOST_TO_PORT = 0x23, /* class request to a hub */
};

struct device_strings { /* indexes from the device descriptor; 0 = none */
	uint8_t manufacturer, product, serial;
};

/* Reads the device descriptor: ids into *identity, string indexes into *strings. 0 or -enum
 * link_status. */
int descriptor_read_device(struct link *link, struct usb_identity *identity,
                           struct device_strings *strings, deadline_t deadline);

/* Fills the three strings of *identity as UTF-8. A string that cannot be read stays empty: cheap
 * devices announce strings that they do not have. */
void descriptor_read_strings(struct link *link, const struct device_strings *strings,
                             struct usb_identity *identity, deadline_t deadline);

/* The words of a raw string descriptor as UTF-8; control characters and broken surrogates become
 * '?'. */
void descriptor_text(const uint8_t *raw, size_t len, char *out, size_t room);

#endif
