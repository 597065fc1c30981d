#include "station/link/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "station/link/descriptor.h"

/* The client against a small server in a thread. Bytes are built here from the kernel's
 * usbip_protocol document, not from the client's header. What the server does with vendor requests
 * is chosen by the request number, so that each test reads like its name. */

enum {
	ASK_ECHO = 1,     /* IN: value, index as four bytes */
	ASK_STALL,        /* RET_SUBMIT with -EPIPE */
	ASK_SILENCE,      /* never answered; unlinking works */
	ASK_SILENCE_HARD, /* never answered, nor is the unlink */
	ASK_CROSSING,     /* answered only when the unlink comes, then RET_UNLINK 0 */
	ASK_HANG_UP,      /* the server closes the connection */
	ASK_NODEV,        /* -ENODEV */
	ASK_TOO_MUCH,     /* claims more bytes than asked for */
	ASK_GARBAGE,      /* 48 bytes of nonsense */
	ASK_STALE,        /* foreign answers first, then the right one */
	ASK_HALF,         /* half a header, then close */
	ASK_STORE,        /* OUT: keeps the data */
	ASK_IO,           /* -EPROTO */
	ASK_SPEAK,        /* endpoint 5 says `value` packets, each its number, before this is answered */
	ASK_REFUSE,       /* endpoint 5 stalls once */
};

enum list_kind {
	LIST_GOOD,
	LIST_ENDLESS,
	LIST_CUT,
	LIST_OTHER_VERSION,
	LIST_REFUSED,
	LIST_ODD_NAMES
};

struct server {
	int listener;
	unsigned short port;
	pthread_t thread;
	enum list_kind list;
	uint32_t import_status;
	bool imports_other_device, configured, hangs_up_after_import;
	/* What was seen, read by the test after stop(). */
	unsigned unlinks, set_configurations, bulks, port_resets;
	uint8_t cleared; /* the endpoint of a CLEAR_FEATURE */
	uint32_t posted[64]; /* on endpoint 5, oldest first */
	unsigned posted_count, most_posted, said;
	uint8_t stored[256];
	uint32_t stored_length;
	struct host *host;
	struct link *link;
};

static void be(uint8_t *at, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint32_t from_be(const uint8_t *at, unsigned bytes)
{
	uint32_t value = 0;
	while (bytes-- > 0)
		value = value << 8 | *at++;
	return value;
}

static bool receive_all(int fd, void *bytes, size_t len)
{
	return len == 0 || recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

/* In two pieces, so that the client has to put packets together. */
static void send_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	if (len > 1)
		send(fd, at, len / 2, MSG_NOSIGNAL);
	if (len > 0)
		send(fd, at + len / 2, len - len / 2, MSG_NOSIGNAL);
}

static void make_device(uint8_t raw[312], const char *busid)
{
	memset(raw, 0, 312);
	strcpy((char *)raw, "/sys/devices/platform/bench");
	memcpy(raw + 256, busid, strlen(busid));
	be(raw + 288, 1, 4);
	be(raw + 292, 7, 4);
	be(raw + 296, 1, 4);
	be(raw + 300, 0x16C0, 2);
	be(raw + 302, 0x05DC, 2);
	be(raw + 304, 0x0104, 2);
	raw[309] = 1; /* bConfigurationValue, bNumConfigurations, bNumInterfaces */
	raw[310] = 1;
	raw[311] = 1;
}

static void serve_list(struct server *s, int fd)
{
	uint8_t head[12] = {0x01, 0x11, 0x00, 0x05, 0, 0, 0, 0, 0, 0, 0, 2}, raw[312];
	const uint8_t interface[4] = {0};
	const char *names[2] = {"1-1", "1-4.2"};

	if (s->list == LIST_ENDLESS)
		be(head + 8, 0xFFFFFFFF, 4);
	if (s->list == LIST_OTHER_VERSION)
		head[1] = 0x06;
	if (s->list == LIST_REFUSED)
		head[7] = 1;
	if (s->list == LIST_ODD_NAMES)
		names[0] = "1-1\x1b[2J";
	send_all(fd, head, sizeof head);
	for (int i = 0; i < 2; i++) {
		make_device(raw, names[i]);
		send_all(fd, raw, s->list == LIST_CUT && i == 1 ? 100 : sizeof raw);
		if (s->list == LIST_CUT && i == 1)
			return;
		send_all(fd, interface, sizeof interface);
	}
}

static void answer(int fd, uint32_t seqnum, int status, const void *data, uint32_t actual,
                   uint32_t carried)
{
	uint8_t head[48] = {0};
	be(head, 3, 4);
	be(head + 4, seqnum, 4);
	be(head + 20, (uint32_t)status, 4);
	be(head + 24, actual, 4);
	send_all(fd, head, sizeof head);
	send_all(fd, data, carried);
}

static void answer_unlink(int fd, uint32_t seqnum, int status)
{
	uint8_t head[48] = {0};
	be(head, 4, 4);
	be(head + 4, seqnum, 4);
	be(head + 20, (uint32_t)status, 4);
	send_all(fd, head, sizeof head);
}

static void serve_standard(struct server *s, int fd, uint32_t seqnum, const uint8_t setup[8])
{
	static const uint8_t device[18] = {18,   1,    0x10, 1, 0xFF, 0, 0, 8, 0xC0,
	                                   0x16, 0xDC, 5,    4, 1,    1, 2, 0, 1};
	static const uint8_t configuration[9] = {9, 2, 18, 0, 1, 1, 0, 0x80, 25};
	static const uint8_t languages[4] = {4, 3, 9, 4};
	static const uint8_t maker[] = {28,  3, 'w', 0, 'w', 0, 'w', 0, '.', 0, 'f', 0, 'i', 0,
	                                's', 0, 'c', 0, 'h', 0, 'l', 0, '.', 0, 'd', 0, 'e', 0};
	static const uint8_t product[] = {14, 3, 'U', 0, 'S', 0, 'B', 0, 'a', 0, 's', 0, 'p', 0};
	static const struct {
		uint8_t type, index;
		const uint8_t *bytes;
		uint32_t length;
	} all[] = {{1, 0, device, sizeof device},
	           {2, 0, configuration, sizeof configuration},
	           {3, 0, languages, sizeof languages},
	           {3, 1, maker, sizeof maker},
	           {3, 2, product, sizeof product}};
	uint32_t room = setup[6] | (uint32_t)setup[7] << 8;

	if (setup[1] == 8) {
		uint8_t now = s->configured;
		answer(fd, seqnum, 0, &now, 1, 1);
		return;
	}
	if (setup[0] == 2 && setup[1] == 1 && setup[2] == 0) {
		s->cleared = setup[4];
		answer(fd, seqnum, 0, NULL, 0, 0);
		return;
	}
	if (setup[0] == 0x23 && setup[1] == 3 && setup[2] == 4) { /* to the hub's port: USB 2.0, 11.24.2.13 */
		s->port_resets++;
		answer(fd, seqnum, 0, NULL, 0, 0);
		return;
	}
	if (setup[1] == 9) {
		s->set_configurations++;
		answer(fd, seqnum, 0, NULL, 0, 0);
		return;
	}
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (setup[1] == 6 && setup[3] == all[i].type && setup[2] == all[i].index) {
			uint32_t n = all[i].length < room ? all[i].length : room;
			answer(fd, seqnum, 0, all[i].bytes, n, n);
			return;
		}
	answer(fd, seqnum, -32, NULL, 0, 0);
}

/* Answers the oldest that is posted on endpoint 5. */
static void say_one(struct server *s, int fd, int status)
{
	uint8_t text[3] = {'p', (uint8_t)s->said, (uint8_t)(s->said >> 8)};

	assert_true(s->posted_count > 0);
	answer(fd, s->posted[0], status, text, status == 0 ? sizeof text : 0, status == 0 ? sizeof text : 0);
	memmove(s->posted, s->posted + 1, --s->posted_count * sizeof s->posted[0]);
	s->said += status == 0;
}

/* False: close the connection. */
static bool serve_vendor(struct server *s, int fd, uint32_t seqnum, const uint8_t setup[8],
                         const uint8_t *data)
{
	uint8_t junk[64];
	memset(junk, 0xEE, sizeof junk);
	switch (setup[1]) {
	case ASK_ECHO:
		answer(fd, seqnum, 0, setup + 2, 4, 4);
		return true;
	case ASK_STALL:
		answer(fd, seqnum, -32, NULL, 0, 0);
		return true;
	case ASK_IO:
		answer(fd, seqnum, -71, NULL, 0, 0);
		return true;
	case ASK_NODEV:
		answer(fd, seqnum, -19, NULL, 0, 0);
		return true;
	case ASK_TOO_MUCH:
		answer(fd, seqnum, 0, junk, 0x40000000, sizeof junk);
		return true;
	case ASK_GARBAGE:
		send_all(fd, junk, 48);
		return true;
	case ASK_HALF:
		send_all(fd, junk, 20);
		return false;
	case ASK_HANG_UP:
		return false;
	case ASK_STALE:
		answer(fd, 0x7FFFFFF1, 0, junk, 8, 8);  /* odd: was an IN, carries data */
		answer(fd, 0x7FFFFFF0, 0, NULL, 64, 0); /* even: was an OUT, carries none */
		answer_unlink(fd, 0x7FFFFFF2, -104);
		answer(fd, seqnum, 0, setup + 2, 4, 4);
		return true;
	case ASK_STORE:
		s->stored_length = setup[6] | (uint32_t)setup[7] << 8;
		memcpy(s->stored, data, s->stored_length);
		answer(fd, seqnum, 0, NULL, s->stored_length, 0);
		return true;
	case ASK_SPEAK:
		for (unsigned n = setup[2]; n > 0; n--)
			say_one(s, fd, 0);
		answer(fd, seqnum, 0, NULL, 0, 0);
		return true;
	case ASK_REFUSE:
		say_one(s, fd, -32);
		answer(fd, seqnum, 0, NULL, 0, 0);
		return true;
	default: /* the silent ones */
		return true;
	}
}

static void serve_urbs(struct server *s, int fd)
{
	uint8_t head[48], data[256], last = 0;

	while (receive_all(fd, head, sizeof head)) {
		uint32_t command = from_be(head, 4), seqnum = from_be(head + 4, 4);
		if (command == 2) {
			s->unlinks++;
			if (last == ASK_SILENCE)
				answer_unlink(fd, seqnum, -104);
			if (last == ASK_CROSSING) {
				answer(fd, from_be(head + 20, 4), 0, "late", 4, 4);
				answer_unlink(fd, seqnum, 0);
			}
			continue;
		}
		uint32_t length = from_be(head + 24, 4);
		bool in = from_be(head + 12, 4) == 1;
		if (command != 1 || from_be(head + 8, 4) != (1u << 16 | 7) ||
		    (!in && length > sizeof data) || (!in && !receive_all(fd, data, length)))
			return;
		if (from_be(head + 16, 4) == 5) { /* says something when it is told to */
			assert_true(in && s->posted_count < sizeof s->posted / sizeof s->posted[0]);
			s->posted[s->posted_count++] = seqnum;
			if (s->posted_count > s->most_posted)
				s->most_posted = s->posted_count;
			continue;
		}
		if (from_be(head + 16, 4) == 3) { /* stalls until it is cleared */
			s->bulks++;
			answer(fd, seqnum, s->cleared == (in ? 0x83 : 0x03) ? 0 : -32, data, 0, 0);
			continue;
		}
		if (from_be(head + 16, 4) ==
		    2) { /* bulk: gives back what it got last, takes what comes */
			if (!in)
				memcpy(s->stored, data, s->stored_length = length);
			answer(fd, seqnum, 0, s->stored, s->stored_length,
			       in ? s->stored_length : 0);
			continue;
		}
		last = head[41];
		if (!(head[40] & 0x40))
			serve_standard(s, fd, seqnum, head + 40);
		else if (!serve_vendor(s, fd, seqnum, head + 40, data))
			return;
	}
}

static void *serve(void *context)
{
	struct server *s = context;
	int fd;

	while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
		uint8_t head[40];
		if (receive_all(fd, head, 8)) {
			if (from_be(head + 2, 2) == 0x8005) {
				serve_list(s, fd);
			} else if (from_be(head + 2, 2) == 0x8003 &&
			           receive_all(fd, head + 8, 32)) {
				uint8_t reply[8] = {0x01, 0x11, 0x00, 0x03}, raw[312];
				be(reply + 4, s->import_status, 4);
				send_all(fd, reply, sizeof reply);
				make_device(raw, s->imports_other_device ? "9-9"
				                                         : (const char *)head + 8);
				if (s->import_status == 0) {
					send_all(fd, raw, sizeof raw);
					if (!s->hangs_up_after_import)
						serve_urbs(s, fd);
				}
			}
		}
		close(fd);
	}
	return NULL;
}

static struct server *start(void)
{
	struct server *s = calloc(1, sizeof *s);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;
	char url[64];

	assert_non_null(s);
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->listener, 8), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &size), 0);
	s->port = ntohs(at.sin_port);
	snprintf(url, sizeof url, "usbip://127.0.0.1:%u", s->port);
	assert_int_equal(host_usbip_create(url, &s->host, NULL), 0);
	return s;
}

static void run(struct server *s)
{
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static struct server *start_linked(void)
{
	struct server *s = start();
	struct usb_identity id;
	struct pogo_error err = {0};
	run(s);
	assert_int_equal(s->host->ops->open(s->host, "1-4.2", &s->link, &id, &err), 0);
	return s;
}

/* Afterwards the server's notes may be read. */
static void halt(struct server *s)
{
	if (s->link != NULL)
		s->link->ops->close(s->link);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	s->host->ops->destroy(s->host);
}

static int vendor_in(struct server *s, uint8_t request, void *data, uint16_t length, int ms)
{
	return s->link->ops->control(s->link, 0xC0, request, 0x2211, 0x4433, data, length,
	                             deadline_in_ms(ms));
}

static void still_works(struct server *s)
{
	uint8_t bytes[4];
	assert_int_equal(vendor_in(s, ASK_ECHO, bytes, 4, 10000), 4);
	assert_memory_equal(bytes, "\x11\x22\x33\x44", 4);
}

static void is_inert(struct server *s)
{
	uint8_t bytes[4];
	assert_int_equal(vendor_in(s, ASK_ECHO, bytes, 4, 10000), -LINK_GONE);
	assert_int_equal(s->link->ops->bulk(s->link, 0x82, bytes, 4, deadline_in_ms(10000)),
	                 -LINK_GONE);
}

/* ---- list, open ------------------------------------------------------------------------- */

static void urls(void **state)
{
	(void)state;
	static const char *const good[] = {"usbip://localhost", "usbip://localhost/",
	                                   "usbip://10.0.0.1:3240", "usbip://[::1]",
	                                   "usbip://[fe80::1]:65535"};
	static const char *const bad[] = {"",
	                                  "localhost",
	                                  "http://localhost",
	                                  "usbip://",
	                                  "usbip://:3240",
	                                  "usbip://host:",
	                                  "usbip://host:0",
	                                  "usbip://host:65536",
	                                  "usbip://host:32x",
	                                  "usbip://[::1",
	                                  "usbip://[]",
	                                  "usbip://[::1]x",
	                                  "usbip://host/path",
	                                  "usbip://ho st",
	                                  "usbip://host:123456"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct host *host = NULL;
		assert_int_equal(host_usbip_create(good[i], &host, NULL), 0);
		host->ops->destroy(host);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct host *host = NULL;
		struct pogo_error err = {0};
		assert_int_equal(host_usbip_create(bad[i], &host, &err), -1);
		assert_int_equal(err.kind, POGO_INPUT);
		assert_non_null(strstr(err.text, "usbip://HOST"));
	}
}

static void list_tells_what_is_there(void **state)
{
	(void)state;
	struct server *s = start();
	struct usb_identity ids[4];
	run(s);
	assert_int_equal(s->host->ops->list(s->host, ids, 4, false, NULL), 2);
	assert_string_equal(ids[0].path, "1-1");
	assert_string_equal(ids[1].path, "1-4.2");
	assert_int_equal(ids[1].vendor, 0x16C0);
	assert_int_equal(ids[1].product, 0x05DC);
	assert_int_equal(ids[1].release, 0x0104);
	assert_int_equal(ids[1].speed, 1);
	assert_string_equal(ids[1].name, "");
	assert_int_equal(s->host->ops->list(s->host, ids, 1, true, NULL),
	                 2); /* room for one: still says two */
	halt(s);
	free(s);
}

static void bad_lists_are_refused(void **state)
{
	(void)state;
	const enum list_kind kinds[] = {LIST_ENDLESS, LIST_CUT, LIST_OTHER_VERSION, LIST_REFUSED};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct server *s = start();
		struct usb_identity ids[4];
		struct pogo_error err = {0};
		s->list = kinds[i];
		run(s);
		assert_int_equal(s->host->ops->list(s->host, ids, 4, false, &err), -1);
		assert_int_equal(err.kind, POGO_SYSTEM);
		assert_non_null(strstr(err.text, "127.0.0.1"));
		halt(s);
		free(s);
	}
}

/* A bus id goes to terminals and logs: one with escape codes is not taken. */
static void odd_names_are_left_out(void **state)
{
	(void)state;
	struct server *s = start();
	struct usb_identity ids[4];
	s->list = LIST_ODD_NAMES;
	run(s);
	assert_int_equal(s->host->ops->list(s->host, ids, 4, false, NULL), 1);
	assert_string_equal(ids[0].path, "1-4.2");
	halt(s);
	free(s);
}

static void nobody_there(void **state)
{
	(void)state;
	struct server *s = start();
	struct usb_identity id;
	struct pogo_error err = {0};
	char place[32];
	close(s->listener); /* its port is free now, and nobody listens */
	assert_int_equal(s->host->ops->list(s->host, &id, 1, false, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	snprintf(place, sizeof place, "127.0.0.1:%u", s->port);
	assert_non_null(strstr(err.text, place));
	assert_non_null(strstr(err.text, "pogo-bench"));
	err = (struct pogo_error){0};
	assert_int_equal(s->host->ops->open(s->host, "1-1", &s->link, &id, &err), -1);
	assert_non_null(strstr(err.text, place));
	s->host->ops->destroy(s->host);
	free(s);
}

static void open_reads_identity_and_configures(void **state)
{
	(void)state;
	for (int configured = 0; configured < 2; configured++) {
		struct server *s = start();
		struct usb_identity id;
		struct pogo_error err = {0};
		s->configured = configured != 0;
		run(s);
		assert_int_equal(s->host->ops->open(s->host, "1-4.2", &s->link, &id, &err), 0);
		assert_string_equal(id.path, "1-4.2");
		assert_string_equal(id.manufacturer, "www.fischl.de");
		assert_string_equal(id.name, "USBasp");
		assert_string_equal(id.serial, "");
		assert_int_equal(id.release, 0x0104);
		assert_int_equal(id.speed, 1);
		still_works(s);
		halt(s);
		assert_int_equal(s->set_configurations, configured ? 0 : 1);
		free(s);
	}
}

static void open_refusals(void **state)
{
	(void)state;
	const struct {
		uint32_t status;
		const char *path;
		int result;
	} cases[] = {
	        {4, "1-4.2", 1},  /* the kernel's "no such device" */
	        {1, "7-7", 1},    /* the document's "error", and it is not listed */
	        {1, "1-4.2", -1}, /* the same, but listed: in use */
	        {2, "1-4.2", -1}, /* busy */
	        {2, "7-7", -1},   {0, "a-name-that-no-usbip-server-can-have", 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct server *s = start();
		struct usb_identity id;
		struct pogo_error err = {0};
		s->import_status = cases[i].status;
		run(s);
		assert_int_equal(s->host->ops->open(s->host, cases[i].path, &s->link, &id, &err),
		                 cases[i].result);
		assert_null(s->link);
		if (cases[i].result < 0) {
			assert_non_null(strstr(err.text, cases[i].path));
			assert_non_null(strstr(err.text, "in use"));
		}
		halt(s);
		free(s);
	}
}

static void open_of_another_device_is_refused(void **state)
{
	(void)state;
	struct server *s = start();
	struct usb_identity id;
	struct pogo_error err = {0};
	s->imports_other_device = true;
	run(s);
	assert_int_equal(s->host->ops->open(s->host, "1-4.2", &s->link, &id, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	halt(s);
	free(s);
}

/* Unplugged in that moment is no error; a server that still lists the device has one. */
static void open_that_breaks_off(void **state)
{
	(void)state;
	for (int listed = 0; listed < 2; listed++) {
		struct server *s = start();
		struct usb_identity id;
		struct pogo_error err = {0};
		s->hangs_up_after_import = true;
		run(s);
		assert_int_equal(
		        s->host->ops->open(s->host, listed ? "1-4.2" : "7-7", &s->link, &id, &err),
		        listed ? -1 : 1);
		assert_int_equal(err.text[0] != '\0', listed);
		halt(s);
		free(s);
	}
}

/* ---- transfers -------------------------------------------------------------------------- */

static void control_both_ways(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[200];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	still_works(s);
	assert_int_equal(vendor_in(s, ASK_ECHO, bytes + 100, 100, 10000),
	                 4); /* fewer than asked for is fine */
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(s->link->ops->control(s->link, 0x40, ASK_STORE, 0, 0, bytes, 200,
	                                       deadline_in_ms(10000)),
	                 200);
	still_works(s);
	halt(s);
	assert_int_equal(s->stored_length, 200);
	assert_memory_equal(s->stored, bytes, 200);
	free(s);
}

static void restart_resets_and_configures(void **state)
{
	(void)state;
	struct server *s = start_linked();

	assert_int_equal(s->link->ops->restart(s->link, deadline_in_ms(10000)), 0);
	still_works(s);
	halt(s);
	assert_int_equal(s->port_resets, 1);
	assert_int_equal(s->set_configurations, 2);
	free(s);
}

static void a_stalled_endpoint_is_made_good(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t byte = 0;
	static const uint8_t endpoints[] = {0x83, 0x03};

	for (unsigned i = 0; i < 2; i++) {
		int (*bulk)(struct link *, uint8_t, void *, size_t, deadline_t) = s->link->ops->bulk;
		assert_int_equal(bulk(s->link, endpoints[i], &byte, 1, deadline_in_ms(10000)), -LINK_STALL);
		assert_int_equal(bulk(s->link, endpoints[i], &byte, 1, deadline_in_ms(10000)), 0);
	}
	/* An empty packet is a transfer like any other. */
	assert_int_equal(s->link->ops->bulk(s->link, 0x03, &byte, 0, deadline_in_ms(10000)), 0);
	halt(s);
	assert_int_equal(s->bulks, 5);
	free(s);
}

static int next_packet(struct server *s, int ms)
{
	uint8_t bytes[64];
	int got = s->link->ops->stream(s->link, 0x85, bytes, sizeof bytes, deadline_in_ms(ms));

	if (got <= 0)
		return got;
	assert_int_equal(got, 3);
	assert_int_equal(bytes[0], 'p');
	return bytes[1] | bytes[2] << 8;
}

static void speak(struct server *s, unsigned packets)
{
	assert_int_equal(s->link->ops->control(s->link, 0x40, ASK_SPEAK, (uint16_t)packets, 0, NULL, 0,
	                                       deadline_in_ms(10000)),
	                 0);
}

/* What a device says while nobody asks is kept, in order, whatever else is going on. */
static void a_stream_keeps_what_comes(void **state)
{
	(void)state;
	struct server *s = start_linked();
	int expected = 1, asked = 0;

	s->said = 1;
	assert_int_equal(next_packet(s, 0), -LINK_TIMEOUT); /* posts */
	for (unsigned round = 1; round <= 40; round++) {
		unsigned packets = round % (LINK_STREAM + 1);
		speak(s, packets);
		if (round % 3 == 0)
			still_works(s);
		for (unsigned i = 0; i < packets; i++)
			assert_int_equal(next_packet(s, 10000), expected++);
		asked += (int)packets;
	}
	assert_int_equal(expected - 1, asked);
	assert_int_equal(next_packet(s, 30), -LINK_TIMEOUT);
	speak(s, 1);
	assert_int_equal(next_packet(s, 10000), expected);
	halt(s);
	assert_int_equal(s->most_posted, LINK_STREAM);
	assert_int_equal(s->unlinks, 0); /* a deadline leaves them posted */
	free(s);
}

static void a_stream_survives_a_stall_and_ends_with_its_device(void **state)
{
	(void)state;
	struct server *s = start_linked();

	s->said = 1;
	assert_int_equal(next_packet(s, 0), -LINK_TIMEOUT);
	assert_int_equal(s->link->ops->control(s->link, 0x40, ASK_REFUSE, 0, 0, NULL, 0, deadline_in_ms(10000)), 0);
	speak(s, 1);
	assert_int_equal(next_packet(s, 10000), -LINK_STALL);
	assert_int_equal(next_packet(s, 10000), 1);
	assert_int_equal(vendor_in(s, ASK_HANG_UP, NULL, 0, 10000), -LINK_GONE);
	assert_int_equal(next_packet(s, 10000), -LINK_GONE);
	halt(s);
	assert_int_equal(s->cleared, 0x85);
	free(s);
}

static void bulk_both_ways(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t out[64] = "sixty-four bytes", in[64] = {0};
	assert_int_equal(s->link->ops->bulk(s->link, 0x02, out, sizeof out, deadline_in_ms(10000)),
	                 64);
	assert_int_equal(s->link->ops->bulk(s->link, 0x82, in, sizeof in, deadline_in_ms(10000)),
	                 64);
	assert_memory_equal(in, out, sizeof in);
	halt(s);
	free(s);
}

static void refusals_leave_the_link_usable(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[8];
	assert_int_equal(vendor_in(s, ASK_STALL, bytes, 8, 10000), -LINK_STALL);
	still_works(s);
	assert_int_equal(vendor_in(s, ASK_IO, bytes, 8, 10000), -LINK_IO);
	still_works(s);
	halt(s);
	free(s);
}

static void time_out_unlinks(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[8];
	assert_int_equal(vendor_in(s, ASK_SILENCE, bytes, 8, 20), -LINK_TIMEOUT);
	still_works(s);
	assert_int_equal(vendor_in(s, ASK_SILENCE, bytes, 8, 0),
	                 -LINK_TIMEOUT); /* past: nothing is sent */
	still_works(s);
	halt(s);
	assert_int_equal(s->unlinks, 1);
	free(s);
}

static void answer_that_crosses_the_unlink_counts(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[8] = {0};
	assert_int_equal(vendor_in(s, ASK_CROSSING, bytes, 8, 20), 4);
	assert_memory_equal(bytes, "late", 4);
	still_works(s); /* the RET_UNLINK that follows is stepped over */
	halt(s);
	free(s);
}

static void unlink_unanswered_is_gone(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[8];
	int64_t begin = clock_now();
	assert_int_equal(vendor_in(s, ASK_SILENCE_HARD, bytes, 8, 20), -LINK_GONE);
	assert_true(clock_now() - begin >= INT64_C(1000000000));
	is_inert(s);
	halt(s);
	free(s);
}

static void foreign_answers_are_skipped(void **state)
{
	(void)state;
	struct server *s = start_linked();
	uint8_t bytes[4];
	assert_int_equal(vendor_in(s, ASK_STALE, bytes, 4, 10000), 4);
	assert_memory_equal(bytes, "\x11\x22\x33\x44", 4);
	still_works(s);
	halt(s);
	free(s);
}

static void server_that_dies_or_lies_is_gone(void **state)
{
	(void)state;
	const uint8_t requests[] = {ASK_HANG_UP, ASK_NODEV, ASK_TOO_MUCH, ASK_GARBAGE, ASK_HALF};
	for (size_t i = 0; i < sizeof requests; i++) {
		struct server *s = start_linked();
		uint8_t bytes[16];
		memset(bytes, 0xAA, sizeof bytes);
		assert_int_equal(vendor_in(s, requests[i], bytes, 8, 10000), -LINK_GONE);
		assert_memory_equal(bytes + 8, "\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA", 8);
		is_inert(s);
		halt(s);
		free(s);
	}
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void wait_change_ends(void **state)
{
	(void)state;
	struct host *host;
	assert_int_equal(host_usbip_create("usbip://localhost", &host, NULL), 0);
	host->ops->wait_change(host, clock_now());
	host->ops->wait_change(host, deadline_in_ms(10));
	/* There is no news in this protocol: it looks again by itself, long before this deadline.
	 */
	int64_t begin = clock_now();
	host->ops->wait_change(host, deadline_in_ms(3600 * 1000));
	assert_true(clock_now() - begin < INT64_C(600000000000));
	host->ops->wake(host);
	host->ops->destroy(host);
}

static void texts_of_string_descriptors(void **state)
{
	(void)state;
	char out[64], small[4];
	descriptor_text((const uint8_t *)"\x06\x03"
	                                 "a\0\xE4\0",
	                6, out, sizeof out);
	assert_string_equal(out, "a\xC3\xA4");
	descriptor_text((const uint8_t *)"\x06\x03\x3D\xD8\x00\xDE", 6, out, sizeof out);
	assert_string_equal(out, "\xF0\x9F\x98\x80");
	descriptor_text((const uint8_t *)"\x08\x03\x1B\0\x3D\xD8z\0", 8, out, sizeof out);
	assert_string_equal(out, "??z");
	descriptor_text((const uint8_t *)"\x08\x03q\0\0\0w\0", 8, out, sizeof out); /* a C string's end went along */
	assert_string_equal(out, "q");
	descriptor_text((const uint8_t *)"\xFF\x03q\0w", 5, out,
	                sizeof out); /* claims more than came */
	assert_string_equal(out, "q");
	descriptor_text((const uint8_t *)"\x04\x03q\0w\0", 6, out, sizeof out); /* claims less */
	assert_string_equal(out, "q");
	descriptor_text((const uint8_t *)"\x08\x03"
	                                 "abc",
	                0, out, sizeof out);
	assert_string_equal(out, "");
	descriptor_text((const uint8_t *)"\x0A\x03"
	                                 "a\0b\0\xE4\0c\0",
	                10, small, sizeof small);
	assert_string_equal(small, "ab"); /* never half a character */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(urls),
	        cmocka_unit_test(list_tells_what_is_there),
	        cmocka_unit_test(bad_lists_are_refused),
	        cmocka_unit_test(odd_names_are_left_out),
	        cmocka_unit_test(nobody_there),
	        cmocka_unit_test(open_reads_identity_and_configures),
	        cmocka_unit_test(open_refusals),
	        cmocka_unit_test(open_of_another_device_is_refused),
	        cmocka_unit_test(open_that_breaks_off),
	        cmocka_unit_test(control_both_ways),
	        cmocka_unit_test(bulk_both_ways),
	        cmocka_unit_test(restart_resets_and_configures),
	        cmocka_unit_test(a_stream_keeps_what_comes),
	        cmocka_unit_test(a_stream_survives_a_stall_and_ends_with_its_device),
	        cmocka_unit_test(a_stalled_endpoint_is_made_good),
	        cmocka_unit_test(refusals_leave_the_link_usable),
	        cmocka_unit_test(time_out_unlinks),
	        cmocka_unit_test(answer_that_crosses_the_unlink_counts),
	        cmocka_unit_test(unlink_unanswered_is_gone),
	        cmocka_unit_test(foreign_answers_are_skipped),
	        cmocka_unit_test(server_that_dies_or_lies_is_gone),
	        cmocka_unit_test(wait_change_ends),
	        cmocka_unit_test(texts_of_string_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
