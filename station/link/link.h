#ifndef POGO_STATION_LINK_H
#define POGO_STATION_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"
#include "station/clock.h"

/* Bytes to a device. A host is a place where devices hang (this machine's USB through libusb, or a
 * USB/IP server); a link is one opened device on it. Devices are named by port path ("1-4.2"), never by
 * address or order. One slot thread owns a link; a host may be used by many threads at once. */

enum link_status { /* negated as results */
	LINK_TIMEOUT = 1, /* the deadline passed; the transfer was cancelled and is over */
	LINK_STALL,       /* the device refused; the link stays usable */
	LINK_GONE,        /* unplugged or server gone: the link is inert from now on, only close helps */
	LINK_IO,          /* anything else; the link stays usable */
};

struct usb_identity {
	char path[40]; /* "BUS-PORT.PORT…", or the server's bus id */
	uint16_t vendor, product, release; /* release = bcdDevice */
	uint8_t speed;                     /* 1 low, 2 full, 3 high (USB/IP numbers) */
	char manufacturer[64], name[64], serial[64]; /* string descriptors; "" where there is none or it was not read */
};

struct link;

struct link_ops {
	/* One control transfer on endpoint 0 (USB 2.0, 9.3). request_type bit 7 set: device to host.
	 * Returns the bytes of the data stage (may be fewer than length for IN) or -enum link_status.
	 * Blocks until done or the deadline; after a time-out the device may still have acted. */
	int (*control)(struct link *link, uint8_t request_type, uint8_t request, uint16_t value, uint16_t index,
		       void *data, uint16_t length, deadline_t deadline);
	/* One bulk transfer; endpoint bit 7 set: IN. Same results. */
	int (*bulk)(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline);
	/* Frees the link; never fails, also when inert. */
	void (*close)(struct link *link);
};

struct link { /* the first member of every implementation's own struct */
	const struct link_ops *ops;
};

struct host;

struct host_ops {
	/* What is plugged now: fills up to `room`, returns how many there are, or -1. `with_strings`
	 * false leaves strings empty and disturbs no device; true may open devices that no slot uses. */
	int (*list)(struct host *host, struct usb_identity *out, size_t room, bool with_strings, struct pogo_error *err);
	/* Opens the device at `path`. Returns 0; 1 = nothing is plugged there; -1 = refused, *err says
	 * why and the way out (permission: the udev rule). *identity gets descriptors and strings. */
	int (*open)(struct host *host, const char *path, struct link **link, struct usb_identity *identity,
		    struct pogo_error *err);
	/* Returns when something may have been plugged or unplugged since the call began, or at the
	 * deadline, or after host_wake. */
	void (*wait_change)(struct host *host, deadline_t deadline);
	/* Makes every wait_change return now; for shutdown. Any thread. */
	void (*wake)(struct host *host);
	void (*destroy)(struct host *host); /* all links must be closed before */
};

struct host {
	const struct host_ops *ops;
};

/* This machine's USB. One thread inside owns libusb's events. */
int host_libusb_create(struct host **out, struct pogo_error *err);
/* url is "usbip://HOST[:PORT]" (port 3240). Speaks USB/IP itself: no kernel module, no root. Does not
 * connect yet: a server that is not there is an error of list and open, not of create. */
int host_usbip_create(const char *url, struct host **out, struct pogo_error *err);

#endif
