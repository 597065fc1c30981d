#include "station/place.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* How a slot's programmer is opened: what is plugged, under which kind, as a USB device or as a line. */

enum how { UNOPENED, AS_USB, AS_LINE };

struct fake_host {
	struct host base;
	struct usb_identity device; /* the only one; path "" = nothing is plugged */
	const char *name;           /* its string, which only opening tells */
	int lists_fail;
	enum how opened;
	int closes;
	struct link link;
};

static struct fake_host *the_host; /* of the running test */
static int driver_opens, driver_fails;

static void close_link(struct link *link)
{
	(void)link;
	the_host->closes++;
}

static const struct link_ops link_ops = {.close = close_link};

static int list(struct host *base, struct usb_identity *out, size_t room, bool with_strings, struct pogo_error *err)
{
	struct fake_host *host = (struct fake_host *)base;

	assert_false(with_strings);
	if (host->lists_fail)
		return pogo_fail(err, POGO_SYSTEM, "no server");
	if (host->device.path[0] == '\0')
		return 0;
	assert_true(room > 0);
	out[0] = host->device;
	return 1;
}

static int open_as(struct fake_host *host, enum how how, struct link **link, struct usb_identity *identity)
{
	host->opened = how;
	host->link.ops = &link_ops;
	*link = &host->link;
	*identity = host->device;
	snprintf(identity->name, sizeof identity->name, "%s", host->name);
	return 0;
}

static int open_usb(struct host *base, const char *path, struct link **link, struct usb_identity *identity,
		    struct pogo_error *err)
{
	(void)path, (void)err;
	return open_as((struct fake_host *)base, AS_USB, link, identity);
}

static int open_serial(struct host *base, const char *path, struct link **link, struct usb_identity *identity,
		       struct pogo_error *err)
{
	(void)path, (void)err;
	return open_as((struct fake_host *)base, AS_LINE, link, identity);
}

static const struct host_ops host_ops = {.list = list, .open = open_usb, .open_serial = open_serial};

static bool match_usb(const struct usb_identity *identity)
{
	return identity->vendor == 1 && (identity->name[0] == '\0' || strcmp(identity->name, "prog") == 0);
}

static bool match_serial(const struct usb_identity *identity)
{
	return identity->vendor == 2;
}

static struct link *the_link;

static int driver_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
		       deadline_t deadline, struct fault *fault)
{
	static struct programmer programmer;

	(void)identity, (void)deadline;
	the_link = link;
	if (driver_fails)
		return fault_set(fault, FAIL_TIMEOUT, "nobody answers on this line");
	driver_opens++;
	*out = &programmer;
	return 0;
}

static const struct programmer_driver usb_driver = {.kind = "usb", .match = match_usb, .open = driver_open};
static const struct programmer_driver serial_driver = {
	.kind = "line", .serial = true, .match = match_serial, .open = driver_open};

static const struct programmer_driver *judge(const char *kind, const struct usb_identity *identity)
{
	bool any = kind[0] == '\0';

	if (strcmp(kind, "line") == 0 || (any && match_serial(identity)))
		return &serial_driver;
	return (any || strcmp(kind, "usb") == 0) && match_usb(identity) ? &usb_driver : NULL;
}

struct outcome {
	int result;
	struct programmer *programmer;
	struct usb_identity identity;
	struct pogo_error err;
};

static struct outcome open_at(struct fake_host *host, const char *port, const char *kind)
{
	struct slot_place place = {.name = "1"};
	struct outcome outcome = {.result = 0};

	snprintf(place.port, sizeof place.port, "%s", port);
	snprintf(place.kind, sizeof place.kind, "%s", kind);
	the_host = host;
	the_link = NULL;
	driver_opens = 0;
	outcome.result = place_open(&place, &host->base, judge, &outcome.programmer, &outcome.identity, &outcome.err);
	assert_int_equal(driver_opens, outcome.result == 0);
	assert_true((outcome.programmer != NULL) == (outcome.result == 0));
	return outcome;
}

static struct fake_host plugged(uint16_t vendor, const char *name)
{
	return (struct fake_host){.base.ops = &host_ops, .device = {.path = "1-2", .vendor = vendor, .product = 7}, .name = name};
}

static void the_kind_decides_how_a_port_is_opened(void **state)
{
	static const struct {
		uint16_t vendor;
		const char *kind;
		enum how how;
	} cases[] = {
		{1, "", AS_USB}, {1, "usb", AS_USB}, {2, "", AS_LINE}, {2, "line", AS_LINE},
		{3, "line", AS_LINE}, /* any chip may make a serial line: the station file is believed */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_host host = plugged(cases[i].vendor, "prog");
		assert_int_equal(open_at(&host, "1-2", cases[i].kind).result, 0);
		assert_int_equal(host.opened, cases[i].how);
		assert_int_equal(host.closes, 0);
	}
}

static void a_stranger_is_not_opened(void **state)
{
	static const struct {
		uint16_t vendor;
		const char *kind, *words;
	} cases[] = {{3, "", "no known programmer"}, {3, "usb", "not a usb"}, {2, "usb", "not a usb"}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fake_host host = plugged(cases[i].vendor, "");
		struct outcome outcome = open_at(&host, "1-2", cases[i].kind);
		assert_int_equal(outcome.result, -1);
		assert_int_equal(outcome.err.kind, POGO_INPUT);
		assert_non_null(strstr(outcome.err.text, cases[i].words));
		assert_non_null(strstr(outcome.err.text, "at 1-2 is 000"));
		assert_int_equal(host.opened, UNOPENED);
	}
}

static void strings_that_deny_it_close_it_again(void **state)
{
	struct fake_host host = plugged(1, "LED lamp");

	(void)state;
	struct outcome outcome = open_at(&host, "1-2", "usb");
	assert_int_equal(outcome.result, -1);
	assert_non_null(strstr(outcome.err.text, "\"LED lamp\", not a usb"));
	assert_int_equal(host.opened, AS_USB);
	assert_int_equal(host.closes, 1);
}

static void an_empty_port_is_no_error_and_a_lost_server_is(void **state)
{
	struct fake_host host = plugged(1, "prog");

	(void)state;
	assert_int_equal(open_at(&host, "1-3", "").result, 1);
	host.lists_fail = 1;
	struct outcome outcome = open_at(&host, "1-2", "");
	assert_int_equal(outcome.result, -1);
	assert_string_equal(outcome.err.text, "no server");
	assert_int_equal(host.opened, UNOPENED);
}

static void a_programmer_that_does_not_answer_is_closed(void **state)
{
	struct fake_host host = plugged(2, "");

	(void)state;
	driver_fails = 1;
	struct outcome outcome = open_at(&host, "1-2", "");
	driver_fails = 0;
	assert_int_equal(outcome.result, -1);
	assert_int_equal(outcome.err.kind, POGO_SYSTEM);
	assert_string_equal(outcome.err.text, "nobody answers on this line");
	assert_int_equal(host.closes, 1);
}

static void a_fixed_line_needs_no_host(void **state)
{
	struct fake_host host = plugged(1, "prog");
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	snprintf(name, sizeof name, "%s", ptsname(master));
	host.lists_fail = 1;
	struct outcome outcome = open_at(&host, name, "line");
	assert_int_equal(outcome.result, 0);
	assert_string_equal(outcome.identity.path, name);
	assert_non_null(the_link->ops->read);
	the_link->ops->close(the_link);
	outcome = open_at(&host, name, "usb"); /* a station file does not let it so far */
	assert_int_equal(outcome.result, -1);
	close(master);
	assert_int_equal(open_at(&host, name, "line").result, 1);
	assert_int_equal(host.opened, UNOPENED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kind_decides_how_a_port_is_opened),
		cmocka_unit_test(a_stranger_is_not_opened),
		cmocka_unit_test(strings_that_deny_it_close_it_again),
		cmocka_unit_test(an_empty_port_is_no_error_and_a_lost_server_is),
		cmocka_unit_test(a_programmer_that_does_not_answer_is_closed),
		cmocka_unit_test(a_fixed_line_needs_no_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
