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

/* The hub that a low- or full-speed device hangs on translates for it. One translator for all its ports
 * makes those devices share 12 Mbit/s (USB 2.0, 11.14). */
enum hub_kind { HUB_UNKNOWN, HUB_ROOT, HUB_SINGLE_TT, HUB_MULTI_TT };

struct usb_identity {
	char path[64]; /* "BUS-PORT.PORT…", the server's bus id, or the device file of a fixed serial line */
	uint16_t vendor, product, release; /* release = bcdDevice */
	uint8_t speed;                     /* 1 low, 2 full, 3 high (USB/IP numbers) */
	enum hub_kind hub;                 /* that it is plugged into */
	char tty[32]; /* "/dev/ttyACM0": the serial line that the kernel made of it; "" = none, or not known here */
	char manufacturer[64], name[64], serial[64]; /* string descriptors; "" where there is none or it was not read */
};

struct link;

enum { LINK_STREAM = 16, LINK_PACKET = 1024 };

enum line_signal { LINE_DTR = 1, LINE_RTS = 2 };

/* A link is a USB device (control and bulk are there, the line calls are NULL) or a serial line (the other
 * way round), 8 data bits, no parity, 1 stop bit, no flow control. */
struct link_ops {
	/* One control transfer on endpoint 0 (USB 2.0, 9.3). request_type bit 7 set: device to host.
	 * Returns the bytes of the data stage (may be fewer than length for IN) or -enum link_status.
	 * Blocks until done or the deadline; after a time-out the device may still have acted. */
	int (*control)(struct link *link, uint8_t request_type, uint8_t request, uint16_t value, uint16_t index,
		       void *data, uint16_t length, deadline_t deadline);
	/* One bulk transfer; endpoint bit 7 set: IN. Same results. */
	int (*bulk)(struct link *link, uint8_t endpoint, void *data, size_t length, deadline_t deadline);
	/* Resets the port and configures the device again, as if it had been plugged anew; the link goes on. For one that
	 * hangs. 0 or -enum link_status. NULL: a serial line has none. */
	int (*restart)(struct link *link, deadline_t deadline);
	/* The next packet of a bulk IN endpoint that the device fills by itself, as bulk gives it; but from the first call
	 * on (of one endpoint, always with the same `packet`, its maximal size up to LINK_PACKET) the link keeps
	 * LINK_STREAM transfers posted, also between calls: what the device says while nobody asks is kept, in order.
	 * NULL: the link cannot. */
	int (*stream)(struct link *link, uint8_t endpoint, void *data, size_t packet, deadline_t deadline);
	/* Waits for at least one byte, returns how many of `room` came, or -enum link_status. */
	int (*read)(struct link *link, void *data, size_t room, deadline_t deadline);
	/* Hands all bytes over, returns `length` or -enum link_status. */
	int (*write)(struct link *link, const void *data, size_t length, deadline_t deadline);
	/* Speed and modem lines (enum line_signal; those not named are off), in one call so that a speed is
	 * never in force with the signals of another. 0 or -enum link_status. */
	int (*line)(struct link *link, uint32_t baud, unsigned signals, deadline_t deadline);
	/* Throws away what came and was not read. 0 or -enum link_status. */
	int (*discard)(struct link *link, deadline_t deadline);
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
	/* The same device as a serial line: through the kernel's tty of it, or, on a host without a kernel
	 * driver, by its CDC-ACM or FTDI requests. Speed and signals are as the device had them until `line` is
	 * called. Refused with a sentence when it is no serial device. */
	int (*open_serial)(struct host *host, const char *path, struct link **link, struct usb_identity *identity,
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

/* A fixed serial line, "/dev/ttyS0" or a pty; of no host. Results as of open; *identity gets the path. */
int link_serial_open(const char *device, struct link **out, struct usb_identity *identity, struct pogo_error *err);

/* A host where nothing is ever plugged: for a station of fixed serial lines on a machine without USB. */
int host_none_create(struct host **out, struct pogo_error *err);

/* This machine's USB. One thread inside owns libusb's events. */
int host_libusb_create(struct host **out, struct pogo_error *err);
/* url is "usbip://HOST[:PORT]" (port 3240). Speaks USB/IP itself: no kernel module, no root. Does not
 * connect yet: a server that is not there is an error of list and open, not of create. */
int host_usbip_create(const char *url, struct host **out, struct pogo_error *err);

#endif
