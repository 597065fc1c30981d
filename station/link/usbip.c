#include "station/link/link.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "station/link/descriptor.h"
#include "station/link/line_over_usb.h"
#include "station/link/socket.h"
#include "station/link/usbip_wire.h"

/* A USB/IP client: devices of another machine, or of the virtual bench, without a kernel driver and
 * without root. Each link has its own connection; the server is not trusted with any length. */

enum {
	CONNECT_MS = 3000,
	SET_UP_MS = 3000, /* import, configuration, strings */
	UNLINK_MS = 1000, /* how long the server may take to confirm a cancelled transfer */
	PACKET_MS =
	        5000,  /* for the rest of a packet once its first byte came, and for sending one */
	POLL_MS = 300, /* the protocol does not tell of plugging: look again this often */
	MAX_LISTED = 4096, /* devices: more is garbage */
	MAX_PAYLOAD = 1 << 20,
	CLEAR_ENDPOINT = 0x02, /* request type: to an endpoint */
	MAX_HOST = 256,
	MAX_PORT = 8,
};

struct usbip_host {
	struct host base;
	char name[MAX_HOST], port[MAX_PORT];
	pthread_mutex_t lock;
	pthread_cond_t woken;
	unsigned wakes;
};

struct urb { /* one transfer on the wire */
	uint8_t endpoint;
	bool in;
	uint8_t setup[8];
	void *data;
	uint32_t length;
	uint32_t seqnum;
};

struct stream { /* IN transfers that are kept posted, a ring in the order of posting */
	struct posted {
		struct urb urb;
		bool over;
		int result;
		uint8_t bytes[LINK_PACKET];
	} ring[LINK_STREAM];
	unsigned first, count;
};

struct usbip_link {
	struct link base;
	int fd;
	bool gone;
	uint32_t devid;
	uint32_t count; /* of commands sent */
	struct stream *stream; /* NULL until it is asked for */
};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xFFFF);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* ---- transfers -------------------------------------------------------------------------- */

static int lost(struct usbip_link *link)
{
	link->gone = true;
	return -LINK_GONE;
}

/* The lowest bit says whether the answer carries data: a late answer to a given-up transfer can
 * then be stepped over, which its own header does not allow. Never 0. */
static uint32_t next_seqnum(struct usbip_link *link, bool in)
{
	link->count++;
	if (link->count > INT32_MAX / 2)
		link->count = 1;
	return link->count << 1 | (in ? 1 : 0);
}

static void begin_header(const struct usbip_link *link, uint8_t head[USBIP_URB_SIZE],
                         uint32_t command, uint32_t seqnum)
{
	memset(head, 0, USBIP_URB_SIZE);
	put32(head + USBIP_URB_COMMAND, command);
	put32(head + USBIP_URB_SEQNUM, seqnum);
	put32(head + USBIP_URB_DEVID, link->devid);
}

static int send_submit(struct usbip_link *link, struct urb *urb)
{
	uint8_t head[USBIP_URB_SIZE];
	deadline_t deadline = deadline_in_ms(PACKET_MS);

	urb->seqnum = next_seqnum(link, urb->in);
	begin_header(link, head, USBIP_CMD_SUBMIT, urb->seqnum);
	put32(head + USBIP_URB_DIRECTION, urb->in);
	put32(head + USBIP_URB_ENDPOINT, urb->endpoint);
	put32(head + USBIP_URB_LENGTH, urb->length);
	memcpy(head + USBIP_URB_SETUP, urb->setup, sizeof urb->setup);
	if (socket_send(link->fd, head, sizeof head, deadline) != 0)
		return lost(link);
	if (!urb->in && urb->length > 0 &&
	    socket_send(link->fd, urb->data, urb->length, deadline) != 0)
		return lost(link);
	return 0;
}

static int skip_payload(struct usbip_link *link, uint32_t bytes)
{
	uint8_t waste[512];
	deadline_t deadline = deadline_in_ms(PACKET_MS);

	if (bytes > MAX_PAYLOAD)
		return lost(link);
	while (bytes > 0) {
		size_t n = bytes < sizeof waste ? bytes : sizeof waste;
		if (socket_receive(link->fd, waste, n, deadline) != 0)
			return lost(link);
		bytes -= (uint32_t)n;
	}
	return 0;
}

static int result_of_status(struct usbip_link *link, int32_t status)
{
	switch (-status) { /* Linux errno numbers are part of the protocol */
	case EPIPE:
		return -LINK_STALL;
	case ENODEV:
	case ESHUTDOWN:
		return lost(link);
	case ECONNRESET:
	case ENOENT:
	case ETIMEDOUT:
		return -LINK_TIMEOUT;
	default:
		return -LINK_IO;
	}
}

/* Takes the rest of our own RET_SUBMIT off the stream. */
static int take_answer(struct usbip_link *link, struct urb *urb, const uint8_t head[USBIP_URB_SIZE])
{
	int32_t status = (int32_t)get32(head + USBIP_URB_STATUS);
	uint32_t actual = get32(head + USBIP_URB_ACTUAL);

	if (actual > urb->length)
		return lost(
		        link); /* more than was asked for: nothing of this stream can be believed */
	if (urb->in && actual > 0) {
		if (socket_receive(link->fd, urb->data, actual, deadline_in_ms(PACKET_MS)) != 0)
			return lost(link);
	}
	if (status != 0)
		return result_of_status(link, status);
	return (int)actual;
}

/* NULL: not one that is posted and open. */
static struct posted *find_posted(struct stream *stream, uint32_t seqnum)
{
	for (unsigned i = 0; stream != NULL && i < stream->count; i++) {
		struct posted *posted = &stream->ring[(stream->first + i) % LINK_STREAM];
		if (posted->urb.seqnum == seqnum && !posted->over)
			return posted;
	}
	return NULL;
}

/* An answer that was not waited for: a packet of the stream, or a transfer that was given up. 0 or -LINK_GONE. */
static int take_other(struct usbip_link *link, uint32_t seqnum, const uint8_t head[USBIP_URB_SIZE])
{
	struct posted *posted = find_posted(link->stream, seqnum);

	if (posted != NULL) {
		posted->result = take_answer(link, &posted->urb, head);
		posted->over = true;
	} else if (seqnum & 1) {
		skip_payload(link, get32(head + USBIP_URB_ACTUAL));
	}
	return link->gone ? -LINK_GONE : 0;
}

/* Reads packets until the answer to `urb` (returns its result), or the confirmation `unlink` (0 =
 * none is awaited) that there will be none (-LINK_TIMEOUT). At the deadline -LINK_TIMEOUT, *pending
 * stays true. */
static int await_answer(struct usbip_link *link, struct urb *urb, uint32_t unlink,
                        deadline_t deadline, bool *pending)
{
	uint8_t head[USBIP_URB_SIZE];

	for (;;) {
		int status = socket_wait_readable(link->fd, deadline);
		if (status == SOCKET_TIMEOUT)
			return -LINK_TIMEOUT;
		if (status != 0 ||
		    socket_receive(link->fd, head, sizeof head, deadline_in_ms(PACKET_MS)) != 0)
			return lost(link);
		uint32_t command = get32(head + USBIP_URB_COMMAND),
		         seqnum = get32(head + USBIP_URB_SEQNUM);
		if (command == USBIP_RET_UNLINK) {
			if (unlink == 0 || seqnum != unlink)
				continue; /* belongs to a transfer that was settled before */
			*pending = false;
			return -LINK_TIMEOUT;
		}
		if (command != USBIP_RET_SUBMIT)
			return lost(link);
		if (seqnum == urb->seqnum) {
			*pending = false;
			return take_answer(link, urb, head);
		}
		if (take_other(link, seqnum, head) != 0)
			return -LINK_GONE;
	}
}

/* The deadline passed: nothing may be left under way when this returns. An answer that crosses the
 * cancellation is as good as one in time. */
static int give_up(struct usbip_link *link, struct urb *urb)
{
	uint8_t head[USBIP_URB_SIZE];
	uint32_t seqnum = next_seqnum(link, false);
	bool pending = true;

	begin_header(link, head, USBIP_CMD_UNLINK, seqnum);
	put32(head + USBIP_URB_UNLINK, urb->seqnum);
	if (socket_send(link->fd, head, sizeof head, deadline_in_ms(UNLINK_MS)) != 0)
		return lost(link);
	int result = await_answer(link, urb, seqnum, deadline_in_ms(UNLINK_MS), &pending);
	return pending ? lost(link) : result;
}

static int transfer(struct usbip_link *link, struct urb *urb, deadline_t deadline)
{
	bool pending = true;

	if (link->gone)
		return -LINK_GONE;
	if (deadline_left_ms(deadline) == 0)
		return -LINK_TIMEOUT;
	int result = send_submit(link, urb);
	if (result != 0)
		return result;
	result = await_answer(link, urb, 0, deadline, &pending);
	if (result == -LINK_TIMEOUT && pending)
		result = give_up(link, urb);
	return result;
}

static int usbip_control(struct link *base, uint8_t request_type, uint8_t request, uint16_t value,
                         uint16_t index, void *data, uint16_t length, deadline_t deadline)
{
	struct urb urb = {
	        .in = (request_type & 0x80) != 0,
	        /* USB 2.0, table 9-2: little-endian, also on this wire. */
	        .setup = {request_type, request, (uint8_t)value, (uint8_t)(value >> 8),
	                  (uint8_t)index, (uint8_t)(index >> 8), (uint8_t)length,
	                  (uint8_t)(length >> 8)},
	        .data = data,
	        .length = length,
	};

	return transfer((struct usbip_link *)base, &urb, deadline);
}

/* A stall stays until it is cleared (USB 2.0, 9.4.5); a kernel that serves us does its part when it sees this. */
static int clear_stall(struct link *base, uint8_t endpoint)
{
	int result = usbip_control(base, CLEAR_ENDPOINT, USB_CLEAR_FEATURE, USB_ENDPOINT_HALT, endpoint, NULL, 0,
	                           deadline_in_ms(UNLINK_MS));

	return result == -LINK_GONE ? -LINK_GONE : -LINK_STALL;
}

static int usbip_bulk(struct link *base, uint8_t endpoint, void *data, size_t length,
                      deadline_t deadline)
{
	struct urb urb = {.endpoint = endpoint & 0x0F,
	                  .in = (endpoint & 0x80) != 0,
	                  .data = data,
	                  .length = (uint32_t)length};

	if (length > MAX_PAYLOAD)
		return -LINK_IO;
	int result = transfer((struct usbip_link *)base, &urb, deadline);
	return result == -LINK_STALL ? clear_stall(base, endpoint) : result;
}

/* Posts until LINK_STREAM transfers are under way or answered and not yet fetched. */
static int fill_stream(struct usbip_link *link, uint8_t endpoint, size_t packet)
{
	struct stream *stream = link->stream;

	while (stream->count < LINK_STREAM) {
		struct posted *posted = &stream->ring[(stream->first + stream->count) % LINK_STREAM];
		posted->over = false;
		posted->urb = (struct urb){
		        .endpoint = endpoint & 0x0F, .in = true, .data = posted->bytes, .length = (uint32_t)packet};
		if (send_submit(link, &posted->urb) != 0)
			return -LINK_GONE;
		stream->count++;
	}
	return 0;
}

static int usbip_stream(struct link *base, uint8_t endpoint, void *data, size_t packet, deadline_t deadline)
{
	struct usbip_link *link = (struct usbip_link *)base;

	if (link->gone)
		return -LINK_GONE;
	if (link->stream == NULL)
		link->stream = calloc(1, sizeof *link->stream);
	if (link->stream == NULL || packet > LINK_PACKET)
		return -LINK_IO;
	if (fill_stream(link, endpoint, packet) != 0)
		return -LINK_GONE;
	struct posted *oldest = &link->stream->ring[link->stream->first];
	if (!oldest->over) {
		bool pending = true;
		oldest->result = await_answer(link, &oldest->urb, 0, deadline, &pending);
		if (pending)
			return oldest->result;
	}
	int result = oldest->result;
	if (result > 0)
		memcpy(data, oldest->bytes, (size_t)result);
	link->stream->first = (link->stream->first + 1) % LINK_STREAM;
	link->stream->count--;
	if (result == -LINK_STALL)
		result = clear_stall(base, endpoint);
	return fill_stream(link, endpoint, packet) != 0 && result < 0 ? -LINK_GONE : result;
}

static void usbip_close(struct link *base)
{
	struct usbip_link *link = (struct usbip_link *)base;

	close(link->fd);
	free(link->stream);
	free(link);
}


/* ---- list and import -------------------------------------------------------------------- */

static int bad_server(const struct usbip_host *host, const char *what, struct pogo_error *err)
{
	return pogo_fail(err, POGO_SYSTEM,
	                 "%s:%s %s; is that a USB/IP server (usbipd or pogo-bench)?", host->name,
	                 host->port, what);
}

static int ask_server(const struct usbip_host *host, unsigned code, const void *body, size_t len,
                      struct pogo_error *err)
{
	uint8_t head[USBIP_OP_SIZE] = {0};
	int fd = socket_connect(host->name, host->port, deadline_in_ms(CONNECT_MS), err);

	if (fd < 0)
		return -1;
	put16(head, USBIP_VERSION);
	put16(head + 2, code);
	if (socket_send(fd, head, sizeof head, deadline_in_ms(PACKET_MS)) != 0 ||
	    (len > 0 && socket_send(fd, body, len, deadline_in_ms(PACKET_MS)) != 0)) {
		close(fd);
		return bad_server(host, "closed the connection", err);
	}
	return fd;
}

/* 0 and *status, or -1. */
static int read_reply(const struct usbip_host *host, int fd, unsigned code, uint32_t *status,
                      deadline_t deadline, struct pogo_error *err)
{
	uint8_t head[USBIP_OP_SIZE];
	int failed = socket_receive(fd, head, sizeof head, deadline);

	if (failed == SOCKET_TIMEOUT)
		return bad_server(host, "accepts connections and says nothing", err);
	if (failed != 0)
		return bad_server(host, "closed the connection without an answer", err);
	if (get16(head) != USBIP_VERSION || get16(head + 2) != code)
		return bad_server(host, "answers in another protocol or version", err);
	*status = get32(head + 4);
	return 0;
}

/* False: not a name that can be shown and asked for. */
static bool read_device(const uint8_t raw[USBIP_DEVICE_SIZE], struct usb_identity *id)
{
	const char *busid = (const char *)raw + USBIP_DEV_BUSID;
	size_t len = strnlen(busid, USBIP_BUSID_SIZE);

	*id = (struct usb_identity){0};
	if (len == 0 || len == USBIP_BUSID_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		if (busid[i] <= ' ' || busid[i] > '~')
			return false;
	memcpy(id->path, busid, len);
	id->vendor = get16(raw + USBIP_DEV_VENDOR);
	id->product = get16(raw + USBIP_DEV_PRODUCT);
	id->release = get16(raw + USBIP_DEV_RELEASE);
	uint32_t speed = get32(raw + USBIP_DEV_SPEED);
	id->speed = speed < 256 ? (uint8_t)speed : 0;
	return true;
}

static int receive_list(const struct usbip_host *host, int fd, struct usb_identity *out,
                        size_t room, struct pogo_error *err)
{
	deadline_t deadline = deadline_in_ms(SET_UP_MS);
	uint8_t raw[USBIP_DEVICE_SIZE], interface[USBIP_INTERFACE_SIZE], number[4];
	uint32_t status = 0;
	int found = 0;

	if (read_reply(host, fd, USBIP_REP_DEVLIST, &status, deadline, err) != 0)
		return -1;
	if (status != USBIP_ST_OK)
		return bad_server(host, "refuses to list its devices", err);
	if (socket_receive(fd, number, sizeof number, deadline) != 0)
		return bad_server(host, "broke off its list of devices", err);
	uint32_t count = get32(number);
	if (count > MAX_LISTED)
		return bad_server(host, "claims an impossible number of devices", err);
	for (uint32_t i = 0; i < count; i++) {
		struct usb_identity id;
		if (socket_receive(fd, raw, sizeof raw, deadline) != 0)
			return bad_server(host, "broke off its list of devices", err);
		for (unsigned k = 0; k < raw[USBIP_DEV_INTERFACES]; k++)
			if (socket_receive(fd, interface, sizeof interface, deadline) != 0)
				return bad_server(host, "broke off its list of devices", err);
		if (!read_device(raw, &id))
			continue;
		if ((size_t)found < room)
			out[found] = id;
		found++;
	}
	return found;
}

/* The strings stay empty even when wished for: reading them means importing, which takes the device
 * away from everybody else. */
static int usbip_list(struct host *base, struct usb_identity *out, size_t room, bool with_strings,
                      struct pogo_error *err)
{
	struct usbip_host *host = (struct usbip_host *)base;
	int fd = ask_server(host, USBIP_REQ_DEVLIST, NULL, 0, err);

	(void)with_strings;
	if (fd < 0)
		return -1;
	int found = receive_list(host, fd, out, room, err);
	close(fd);
	return found;
}

static bool is_listed(struct usbip_host *host, const char *path)
{
	const size_t room = 256;
	struct usb_identity *list = calloc(room, sizeof *list);
	int count = list != NULL ? usbip_list(&host->base, list, room, false, NULL) : 0;
	bool found = false;

	for (int i = 0; i < count && (size_t)i < room && !found; i++)
		found = strcmp(list[i].path, path) == 0;
	free(list);
	return found;
}

/* Status 1 stands for both "in use" and "no such device" in the protocol's document; the list
 * tells. */
static int refused(struct usbip_host *host, const char *path, uint32_t status,
                   struct pogo_error *err)
{
	if (status == USBIP_ST_NODEV || (status != USBIP_ST_BUSY && !is_listed(host, path)))
		return 1;
	return pogo_fail(err, POGO_SYSTEM,
	                 "the USB/IP server %s:%s does not give out device %s (status %u): it is "
	                 "in use; end the other "
	                 "program that has it, or detach it there",
	                 host->name, host->port, path, (unsigned)status);
}

/* Returns the connection, now carrying transfers; or -1, or -2 = no such device there. */
static int import(struct usbip_host *host, const char *path, uint8_t raw[USBIP_DEVICE_SIZE],
                  struct pogo_error *err)
{
	uint8_t busid[USBIP_BUSID_SIZE] = {0};
	deadline_t deadline = deadline_in_ms(SET_UP_MS);
	uint32_t status = 0;

	if (strlen(path) >= sizeof busid)
		return -2; /* no server can have it */
	snprintf((char *)busid, sizeof busid, "%s", path);
	int fd = ask_server(host, USBIP_REQ_IMPORT, busid, sizeof busid, err);
	if (fd < 0)
		return -1;
	if (read_reply(host, fd, USBIP_REP_IMPORT, &status, deadline, err) != 0) {
		close(fd);
		return -1;
	}
	if (status != USBIP_ST_OK) {
		close(fd);
		return refused(host, path, status, err) == 1 ? -2 : -1;
	}
	struct usb_identity id;
	if (socket_receive(fd, raw, USBIP_DEVICE_SIZE, deadline) != 0 || !read_device(raw, &id) ||
	    strcmp(id.path, path) != 0) {
		close(fd);
		return bad_server(host, "answers the import with another device or garbage", err);
	}
	return fd;
}

/* A device fresh from its socket has no configuration; one that a kernel serves has one already. */
static int configure(struct link *link, deadline_t deadline)
{
	uint8_t now = 0, raw[9] = {0};
	int got = link->ops->control(link, USB_DEVICE_TO_HOST, USB_GET_CONFIGURATION, 0, 0, &now, 1,
	                             deadline);

	if (got == -LINK_GONE || (got == 1 && now != 0))
		return got < 0 ? got : 0;
	got = link->ops->control(link, USB_DEVICE_TO_HOST, USB_GET_DESCRIPTOR,
	                         USB_CONFIGURATION_DESCRIPTOR << 8, 0, raw, sizeof raw, deadline);
	if (got < 0)
		return got;
	got = link->ops->control(link, USB_HOST_TO_DEVICE, USB_SET_CONFIGURATION,
	                         got > 5 ? raw[5] : 1, 0, NULL, 0, deadline);
	return got < 0 ? got : 0;
}

/* A server does a reset of the hub's port for the device that it serves (the kernel's drivers/usb/usbip/stub_rx.c). */
static int usbip_restart(struct link *link, deadline_t deadline)
{
	int got = link->ops->control(link, USB_HOST_TO_PORT, USB_SET_FEATURE, USB_PORT_RESET, 1, NULL, 0, deadline);

	return got < 0 ? got : configure(link, deadline);
}

static const struct link_ops usbip_link_ops = {
        .control = usbip_control,
        .bulk = usbip_bulk,
        .stream = usbip_stream,
        .restart = usbip_restart,
        .close = usbip_close};

static int set_up(struct link *link, const uint8_t raw[USBIP_DEVICE_SIZE], struct usb_identity *id)
{
	deadline_t deadline = deadline_in_ms(SET_UP_MS);
	struct device_strings strings;

	read_device(raw, id);
	int got = descriptor_read_device(link, id, &strings, deadline);
	if (got == 0)
		got = configure(link, deadline);
	if (got == 0)
		descriptor_read_strings(link, &strings, id, deadline);
	return got;
}

static int usbip_open(struct host *base, const char *path, struct link **out,
                      struct usb_identity *identity, struct pogo_error *err)
{
	struct usbip_host *host = (struct usbip_host *)base;
	uint8_t raw[USBIP_DEVICE_SIZE];
	int fd = import(host, path, raw, err);

	if (fd < 0)
		return fd == -2 ? 1 : -1;
	struct usbip_link *link = calloc(1, sizeof *link);
	if (link == NULL) {
		close(fd);
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	}
	link->base.ops = &usbip_link_ops;
	link->fd = fd;
	link->devid = get32(raw + USBIP_DEV_BUSNUM) << 16 | get32(raw + USBIP_DEV_DEVNUM);
	struct usb_identity id;
	if (set_up(&link->base, raw, &id) != 0) {
		bool gone = link->gone;
		usbip_close(&link->base);
		if (gone && !is_listed(host, path))
			return 1; /* unplugged while it was being opened */
		return pogo_fail(err, POGO_SYSTEM,
		                 "device %s of the USB/IP server %s:%s does not tell its "
		                 "descriptors; unplug it and plug it "
		                 "in again",
		                 path, host->name, host->port);
	}
	*out = &link->base;
	*identity = id;
	return 0;
}

/* No kernel of ours sees these devices, so nobody made a tty of them. */
static int usbip_open_serial(struct host *base, const char *path, struct link **out,
                             struct usb_identity *identity, struct pogo_error *err)
{
	struct link *usb = NULL;
	int result = usbip_open(base, path, &usb, identity, err);

	if (result != 0)
		return result;
	result = line_over_usb_open(usb, identity, out, deadline_in_ms(SET_UP_MS), err);
	if (result == 0)
		return 0;
	bool gone = ((struct usbip_link *)usb)->gone;
	usbip_close(usb);
	return gone && !is_listed((struct usbip_host *)base, path) ? 1 : result;
}

/* ---- host ------------------------------------------------------------------------------- */

static void usbip_wait_change(struct host *base, deadline_t deadline)
{
	struct usbip_host *host = (struct usbip_host *)base;
	deadline_t again = deadline_in_ms(POLL_MS);

	if (again < deadline)
		deadline = again;
	const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000),
	                               .tv_nsec = deadline % 1000000000};
	pthread_mutex_lock(&host->lock);
	unsigned begin = host->wakes;
	while (host->wakes == begin &&
	       pthread_cond_timedwait(&host->woken, &host->lock, &until) == 0)
		;
	pthread_mutex_unlock(&host->lock);
}

static void usbip_wake(struct host *base)
{
	struct usbip_host *host = (struct usbip_host *)base;

	pthread_mutex_lock(&host->lock);
	host->wakes++;
	pthread_cond_broadcast(&host->woken);
	pthread_mutex_unlock(&host->lock);
}

static void usbip_destroy(struct host *base)
{
	struct usbip_host *host = (struct usbip_host *)base;

	pthread_cond_destroy(&host->woken);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

static const struct host_ops usbip_host_ops = {
        .list = usbip_list,
        .open = usbip_open,
        .open_serial = usbip_open_serial,
        .wait_change = usbip_wait_change,
        .wake = usbip_wake,
        .destroy = usbip_destroy,
};

/* Decimal, 1 to 65535, nothing else. */
static bool valid_port(const char *text)
{
	unsigned value = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 5)
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
	}
	return value > 0 && value < 65536;
}

/* "usbip://HOST[:PORT]"; an IPv6 address stands in brackets. False: not that. */
static bool parse_url(const char *url, char name[MAX_HOST], char port[MAX_PORT])
{
	static const char scheme[] = "usbip://";

	if (strncmp(url, scheme, strlen(scheme)) != 0)
		return false;
	const char *begin = url + strlen(scheme), *end;
	if (*begin == '[') {
		end = strchr(++begin, ']');
		if (end == NULL)
			return false;
	} else {
		end = begin + strcspn(begin, ":/?#@ ");
	}
	const char *rest = *end == ']' ? end + 1 : end;
	const char *number = "3240";
	if (*rest == ':')
		number = rest + 1;
	else if (strcmp(rest, "") != 0 && strcmp(rest, "/") != 0)
		return false;
	size_t len = (size_t)(end - begin);
	if (len == 0 || len >= MAX_HOST || !valid_port(number))
		return false;
	memcpy(name, begin, len);
	name[len] = '\0';
	snprintf(port, MAX_PORT, "%s", number);
	return true;
}

int host_usbip_create(const char *url, struct host **out, struct pogo_error *err)
{
	struct usbip_host *host = calloc(1, sizeof *host);

	if (host == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	if (!parse_url(url, host->name, host->port)) {
		free(host);
		return pogo_fail(err, POGO_INPUT,
		                 "\"%s\" is not the address of a USB/IP server: write usbip://HOST "
		                 "or usbip://HOST:PORT (an "
		                 "IPv6 address in brackets; the port is 3240 if not given)",
		                 url);
	}
	host->base.ops = &usbip_host_ops;
	pthread_mutex_init(&host->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&host->woken, &attributes);
	pthread_condattr_destroy(&attributes);
	*out = &host->base;
	return 0;
}
