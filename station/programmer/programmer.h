#ifndef POGO_STATION_PROGRAMMER_H
#define POGO_STATION_PROGRAMMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/part.h"
#include "station/clock.h"
#include "station/fault.h"
#include "station/link/link.h"

/* A programmer speaks one wire protocol over a link and offers ports to a chip algorithm: `isp` (AVR
 * serial programming) or `swd` (swd.h). All calls block, spend from the deadline, return 0 or -1 with
 * *fault filled. One slot thread owns it. After FAIL_PROGRAMMER_LOST only close may be called. */

struct programmer;

enum isp_memory { ISP_FLASH, ISP_EEPROM };

struct isp_ops {
	/* `part` is what the recipe says stands there: page sizes and waits for firmware that must be told them and
	 * for hosts that must wait themselves; borrowed until the next enter. Puts the target into programming mode with SCK at the fastest step <= sck_hz (a new RESET pulse
	 * even when it was in before: that makes new fuses count). *used_hz = the real SCK. FAIL_CONTACT: nobody answers;
	 * pins are released then. Programmers without SCK control use what they have and say so. */
	int (*enter)(struct programmer *programmer, const struct part *part, uint32_t sck_hz, uint32_t *used_hz,
		     deadline_t deadline, struct fault *fault);
	/* Releases RESET and the pins; the board runs. Fine when not entered. */
	void (*leave)(struct programmer *programmer, deadline_t deadline);
	/* One 4-byte serial programming instruction; `in` is what MISO said meanwhile. */
	int (*command)(struct programmer *programmer, const uint8_t out[4], uint8_t in[4], deadline_t deadline,
		       struct fault *fault);
	/* Byte addresses. Any length; the driver cuts it to what its firmware can do. */
	int (*read)(struct programmer *programmer, enum isp_memory memory, uint32_t address, uint8_t *bytes, size_t len,
		    deadline_t deadline, struct fault *fault);
	/* Flash: address and len are multiples of `page`, the page waits are over when it returns.
	 * EEPROM: any; page is ignored. A write that the chip did not take is found by reading back only. */
	int (*write)(struct programmer *programmer, enum isp_memory memory, uint32_t address, const uint8_t *bytes,
		     size_t len, uint16_t page, deadline_t deadline, struct fault *fault);
};

struct programmer_info {
	char kind[16];      /* "usbasp" */
	char firmware[32];  /* "2011 or newer (1.04)" … */
	char abilities[96]; /* words: "sck-control tpi", "fixed-sck" … */
	uint32_t sck_steps[24]; /* Hz, descending; 0 ends; empty = no control */
	uint32_t flash_limit;   /* bytes of flash it can reach; 0 = any. A larger part is refused before it is touched */
	bool sck_control;
	char label[52];         /* serial number as it may be shown; names nothing, for it may be the same on many. "" = the
	                         * descriptor's text is good enough */
};

/* The only symbol that a driver file exports. */
struct programmer_driver {
	const char *kind;
	bool serial; /* speaks over a serial line: open gets a link that has the line calls */
	unsigned open_ms; /* what open may need; 0 = the usual, programmer_open_deadline knows */
	/* Is this device one of mine? From descriptors alone. A serial kind knows only the ids of boards that
	 * usually are one; what a station file names is not asked. */
	bool (*match)(const struct usb_identity *identity);
	/* Takes the link over on success, leaves it to the caller on failure. Asks what the firmware can
	 * do; touches no target. */
	int (*open)(struct link *link, const struct usb_identity *identity, struct programmer **out, deadline_t deadline,
		    struct fault *fault);
	/* Leaves the target if it can, closes the link, frees. Never fails. */
	void (*close)(struct programmer *programmer);
};

struct swd_ops;

struct programmer { /* the first member of every driver's own struct */
	const struct programmer_driver *driver;
	const struct isp_ops *isp; /* NULL: no such port */
	const struct swd_ops *swd; /* NULL: no such port */
	struct programmer_info info;
};

extern const struct programmer_driver programmer_avrispmk2, programmer_buspirate, programmer_stk500v1, programmer_stlink,
	programmer_usbasp, programmer_usbtiny;

extern const struct programmer_driver *const programmer_drivers[]; /* NULL-ended: programmers.c */

const struct programmer_driver *programmer_find(const char *kind);               /* NULL: unknown */
const struct programmer_driver *programmer_match(const struct usb_identity *id); /* NULL: none */
deadline_t programmer_open_deadline(const struct programmer_driver *driver);     /* from now on */

#endif
