#include "station/link/line_over_usb.h"

#include <stdlib.h>
#include <string.h>

#include "station/link/descriptor.h"

enum {
	MAX_CONFIGURATION = 1024,
	MAX_TRANSFER = 4096, /* OUT; more than any command of a serial programmer */
	TOUCH_BAUD = 1200, /* with a low DTR it starts the boot loader of a 32U4 board (Arduino core, CDC.cpp) */
	QUIET_MS = 20,     /* a device that has bytes waiting gives them within a millisecond; the rest is for the network */

	/* USB 2.0, 9.5 and 9.6 */
	INTERFACE = 4,
	ENDPOINT = 5,
	BULK = 2,
	CS_INTERFACE = 0x24,

	/* CDC 1.2, tables 4, 6 and 13; PSTN 1.2, table 13 */
	CLASS_COMM = 2,
	SUBCLASS_ACM = 2,
	CLASS_DATA = 0x0A,
	CDC_UNION = 6,
	CDC_REQUEST = 0x21, /* class, to an interface, host to device */
	SET_LINE_CODING = 0x20,
	SET_CONTROL_LINE_STATE = 0x22,

	/* FTDI: D2XX's requests, as published in AN232B-04, AN232B-05 and the Linux driver's header */
	FTDI_VENDOR = 0x0403,
	CLASS_VENDOR = 0xFF,
	FTDI_REQUEST = 0x40, /* vendor, to the device, host to device */
	FTDI_RESET = 0,
	FTDI_MODEM_CTRL = 1,
	FTDI_SET_FLOW_CTRL = 2,
	FTDI_SET_BAUD_RATE = 3,
	FTDI_SET_DATA = 4,
	FTDI_SET_LATENCY = 9,
	FTDI_RESET_ALL = 0,
	FTDI_PURGE_RECEIVED = 1,
	FTDI_8N1 = 8,
	FTDI_SIGNALS_MASK = 0x0300, /* the low byte means DTR and RTS */
	FTDI_STATUS_BYTES = 2,      /* modem and line status, in front of every packet */
	FTDI_EIGHTHS_HZ = 24000000, /* 48 MHz / 16, in eighths */
};

struct usb_line;

struct dialect { /* what differs between the two */
	size_t status_bytes; /* of every IN packet, not data */
	int (*begin)(struct usb_line *line, deadline_t deadline);
	int (*set_speed)(struct usb_line *line, uint32_t baud, deadline_t deadline);
	int (*set_signals)(struct usb_line *line, unsigned signals, deadline_t deadline);
	int (*purge)(struct usb_line *line, deadline_t deadline);
};

struct usb_line {
	struct link base;
	struct link *usb; /* owned */
	const struct dialect *dialect;
	uint8_t interface; /* that takes the requests: CDC's communication interface */
	uint8_t in, out;
	uint16_t packet_size;
	uint8_t packet[LINK_PACKET]; /* came and was not read yet: at … end */
	size_t at, end;
};

/* ---- CDC-ACM ---------------------------------------------------------------------------- */

static int no_request(struct usb_line *line, deadline_t deadline)
{
	(void)line, (void)deadline;
	return 0;
}

static int cdc_speed(struct usb_line *line, uint32_t baud, deadline_t deadline)
{
	/* PSTN 1.2, table 17: rate, 1 stop bit, no parity, 8 data bits */
	uint8_t coding[7] = {(uint8_t)baud, (uint8_t)(baud >> 8), (uint8_t)(baud >> 16), (uint8_t)(baud >> 24), 0, 0, 8};
	int got = line->usb->ops->control(line->usb, CDC_REQUEST, SET_LINE_CODING, 0, line->interface, coding,
					  sizeof coding, deadline);

	return got < 0 ? got : 0;
}

/* PSTN 1.2, table 18: bit 0 is DTR, bit 1 RTS, as in enum line_signal. */
static int cdc_signals(struct usb_line *line, unsigned signals, deadline_t deadline)
{
	int got = line->usb->ops->control(line->usb, CDC_REQUEST, SET_CONTROL_LINE_STATE,
					  (uint16_t)(signals & (LINE_DTR | LINE_RTS)), line->interface, NULL, 0, deadline);

	return got < 0 ? got : 0;
}

static const struct dialect cdc = {
	.begin = no_request, .set_speed = cdc_speed, .set_signals = cdc_signals, .purge = no_request};

/* ---- FTDI ------------------------------------------------------------------------------- */

static int ftdi_request(struct usb_line *line, uint8_t request, uint16_t value, uint16_t index, deadline_t deadline)
{
	int got = line->usb->ops->control(line->usb, FTDI_REQUEST, request, value, index, NULL, 0, deadline);

	return got < 0 ? got : 0;
}

static int ftdi_begin(struct usb_line *line, deadline_t deadline)
{
	static const struct {
		uint8_t request;
		uint16_t value;
	} steps[] = {
		{FTDI_RESET, FTDI_RESET_ALL},
		{FTDI_SET_LATENCY, 1}, /* ms; 16 after power-up, which would be paid at every short answer */
		{FTDI_SET_DATA, FTDI_8N1},
		{FTDI_SET_FLOW_CTRL, 0},
	};
	int status = 0;

	for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == 0; i++)
		status = ftdi_request(line, steps[i].request, steps[i].value, 0, deadline);
	return status;
}

/* AN232B-05: 3 MHz over a divisor with eighths, whose code stands above the 14 bits of the whole part; 3 and 2 Mbaud have
 * codes of their own. Right for the FT232B, FT232R, FT-X and, at these speeds, the H series. */
static uint32_t ftdi_divisor(uint32_t baud)
{
	static const uint8_t eighths[8] = {0, 3, 2, 4, 1, 5, 6, 7};
	uint32_t divisor = (FTDI_EIGHTHS_HZ + baud / 2) / baud;
	uint32_t code = divisor >> 3 | (uint32_t)eighths[divisor & 7] << 14;

	return code == 1 ? 0 : code == (1 | 1 << 14) ? 1 : code;
}

static int ftdi_speed(struct usb_line *line, uint32_t baud, deadline_t deadline)
{
	uint32_t code = ftdi_divisor(baud);

	return ftdi_request(line, FTDI_SET_BAUD_RATE, (uint16_t)code, (uint16_t)(code >> 16), deadline);
}

static int ftdi_signals(struct usb_line *line, unsigned signals, deadline_t deadline)
{
	return ftdi_request(line, FTDI_MODEM_CTRL, (uint16_t)(FTDI_SIGNALS_MASK | (signals & (LINE_DTR | LINE_RTS))), 0,
			    deadline);
}

static int ftdi_purge(struct usb_line *line, deadline_t deadline)
{
	return ftdi_request(line, FTDI_RESET, FTDI_PURGE_RECEIVED, 0, deadline);
}

static const struct dialect ftdi = {.status_bytes = FTDI_STATUS_BYTES,
				    .begin = ftdi_begin,
				    .set_speed = ftdi_speed,
				    .set_signals = ftdi_signals,
				    .purge = ftdi_purge};

/* ---- the line --------------------------------------------------------------------------- */

/* One packet, never more: a longer transfer that is cancelled at its deadline may take bytes along that had come. Kept
 * posted where the link can: a UART goes on while this thread is held up, and its bridge has room for a few bytes only.
 * Returns how many bytes of data it brought (0: an empty packet), or -enum link_status. */
static int fetch(struct usb_line *line, deadline_t deadline)
{
	const struct link_ops *ops = line->usb->ops;
	size_t status_bytes = line->dialect->status_bytes;
	int got = ops->stream != NULL ? ops->stream(line->usb, line->in, line->packet, line->packet_size, deadline)
				      : ops->bulk(line->usb, line->in, line->packet, line->packet_size, deadline);

	line->at = line->end = 0;
	if (got < 0)
		return got;
	if ((size_t)got <= status_bytes)
		return 0;
	line->at = status_bytes;
	line->end = (size_t)got;
	return (int)(line->end - line->at);
}

static int usb_line_read(struct link *base, void *data, size_t room, deadline_t deadline)
{
	struct usb_line *line = (struct usb_line *)base;

	while (line->at == line->end) {
		int got = fetch(line, deadline);
		if (got < 0)
			return got;
		if (got == 0 && deadline_left_ms(deadline) == 0) /* an FTDI's status never ends */
			return -LINK_TIMEOUT;
	}
	size_t n = line->end - line->at < room ? line->end - line->at : room;
	memcpy(data, line->packet + line->at, n);
	line->at += n;
	return (int)n;
}

static int usb_line_write(struct link *base, const void *data, size_t length, deadline_t deadline)
{
	struct usb_line *line = (struct usb_line *)base;
	uint8_t chunk[MAX_TRANSFER];
	size_t sent = 0;

	while (sent < length) {
		size_t n = length - sent < sizeof chunk ? length - sent : sizeof chunk;
		memcpy(chunk, (const uint8_t *)data + sent, n);
		int took = line->usb->ops->bulk(line->usb, line->out, chunk, n, deadline);
		if (took < 0)
			return took;
		sent += (size_t)took;
	}
	return (int)length;
}

static int usb_line_set(struct link *base, uint32_t baud, unsigned signals, deadline_t deadline)
{
	struct usb_line *line = (struct usb_line *)base;
	bool signals_first = baud == TOUCH_BAUD && (signals & LINE_DTR);
	int status = signals_first ? line->dialect->set_signals(line, signals, deadline) : 0;

	if (status == 0)
		status = line->dialect->set_speed(line, baud, deadline);
	if (status == 0 && !signals_first)
		status = line->dialect->set_signals(line, signals, deadline);
	return status;
}

/* Until the line is quiet: no packet for a while, or, where empty ones come all the time, an empty one that was not among
 * those posted before. */
static int usb_line_discard(struct link *base, deadline_t deadline)
{
	struct usb_line *line = (struct usb_line *)base;
	int got = line->dialect->purge(line, deadline);

	for (unsigned packets = 0; got >= 0; packets++) {
		deadline_t quiet = deadline_in_ms(QUIET_MS);
		bool is_last = deadline <= quiet;
		got = fetch(line, is_last ? deadline : quiet);
		line->at = line->end = 0;
		if ((got == 0 && packets > LINK_STREAM) || (got == -LINK_TIMEOUT && !is_last))
			return 0;
		if (got >= 0 && deadline_left_ms(deadline) == 0)
			return -LINK_TIMEOUT;
	}
	return got;
}

static void usb_line_close(struct link *base)
{
	struct usb_line *line = (struct usb_line *)base;

	line->usb->ops->close(line->usb);
	free(line);
}

static const struct link_ops usb_line_ops = {
	.read = usb_line_read,
	.write = usb_line_write,
	.line = usb_line_set,
	.discard = usb_line_discard,
	.close = usb_line_close,
};

/* ---- which endpoints -------------------------------------------------------------------- */

struct walk { /* where in the configuration */
	bool is_ftdi;
	bool acm;              /* the communication interface was met */
	int data;              /* the number that its union gives to the data interface, -1 = none said */
	bool wanted;           /* the current interface is the one with the data endpoints */
};

static void meet_interface(struct usb_line *line, struct walk *walk, const uint8_t *raw)
{
	uint8_t number = raw[2], alternate = raw[3], class = raw[5], subclass = raw[6];

	if (walk->is_ftdi) {
		walk->wanted = class == CLASS_VENDOR && alternate == 0;
		return;
	}
	if (class == CLASS_COMM && subclass == SUBCLASS_ACM && !walk->acm) {
		walk->acm = true;
		line->interface = number;
	}
	walk->wanted = class == CLASS_DATA && alternate == 0 && walk->acm && (walk->data < 0 || walk->data == number);
}

static void meet_endpoint(struct usb_line *line, const struct walk *walk, const uint8_t *raw)
{
	uint16_t size = (uint16_t)((raw[4] | raw[5] << 8) & 0x7FF);

	if (!walk->wanted || (raw[3] & 3) != BULK)
		return;
	if (!(raw[2] & 0x80)) {
		if (line->out == 0)
			line->out = raw[2];
	} else if (line->in == 0) {
		line->in = raw[2];
		line->packet_size = size > 0 && size <= LINK_PACKET ? size : 64; /* some FTDI chips say 0 */
	}
}

/* The first pair of bulk endpoints that carries a line. False: there is none. */
static bool find_endpoints(struct usb_line *line, const uint8_t *raw, size_t len, bool is_ftdi)
{
	struct walk walk = {.is_ftdi = is_ftdi, .data = -1};

	for (size_t i = 0; i + 2 <= len && raw[i] >= 2 && i + raw[i] <= len; i += raw[i]) {
		uint8_t size = raw[i], type = raw[i + 1];
		if (type == INTERFACE && size >= 9)
			meet_interface(line, &walk, raw + i);
		else if (type == ENDPOINT && size >= 7)
			meet_endpoint(line, &walk, raw + i);
		else if (type == CS_INTERFACE && size >= 5 && raw[i + 2] == CDC_UNION && walk.acm && walk.data < 0)
			walk.data = raw[i + 4];
	}
	return line->in != 0 && line->out != 0;
}

static int read_configuration(struct link *usb, uint8_t *raw, uint16_t room, deadline_t deadline)
{
	return usb->ops->control(usb, USB_DEVICE_TO_HOST, USB_GET_DESCRIPTOR, USB_CONFIGURATION_DESCRIPTOR << 8, 0, raw, room,
				 deadline);
}

static int find_line(struct usb_line *line, const struct usb_identity *identity, deadline_t deadline,
		     struct pogo_error *err)
{
	uint8_t raw[MAX_CONFIGURATION] = {0};
	bool is_ftdi = identity->vendor == FTDI_VENDOR;
	int got = read_configuration(line->usb, raw, sizeof raw, deadline);

	if (got < 0)
		return pogo_fail(err, POGO_SYSTEM,
				 "the device %04x:%04x at port %s does not tell its configuration; unplug it and plug it in again",
				 identity->vendor, identity->product, identity->path);
	/* FTDI's vendor number stands on CDC devices too. */
	if (is_ftdi && find_endpoints(line, raw, (size_t)got, true)) {
		line->dialect = &ftdi;
		return 0;
	}
	line->in = line->out = 0;
	if (find_endpoints(line, raw, (size_t)got, false)) {
		line->dialect = &cdc;
		return 0;
	}
	return pogo_fail(err, POGO_INPUT,
			 "the device %04x:%04x at port %s is no serial line of the kinds CDC-ACM or FTDI; plug a serial "
			 "programmer there (one with another chip, such as a CH340, works at this machine's own USB)",
			 identity->vendor, identity->product, identity->path);
}

int line_over_usb_open(struct link *usb, const struct usb_identity *identity, struct link **out, deadline_t deadline,
		       struct pogo_error *err)
{
	struct usb_line *line = calloc(1, sizeof *line);

	if (line == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	line->base.ops = &usb_line_ops;
	line->usb = usb;
	int failed = find_line(line, identity, deadline, err);
	if (failed == 0 && line->dialect->begin(line, deadline) != 0)
		failed = pogo_fail(err, POGO_SYSTEM,
				   "the serial device %04x:%04x at port %s does not take its settings; unplug it and plug it in "
				   "again",
				   identity->vendor, identity->product, identity->path);
	if (failed != 0) {
		free(line);
		return failed;
	}
	fetch(line, clock_now()); /* posts; what is there already is kept */
	*out = &line->base;
	return 0;
}
