#include "station/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "station/link/usb_tty.h"

/* The kernel's ttys as links, on a pty: what stands at its master is the device. And sysfs in a folder of our own. */

enum { PATIENCE_MS = 5000, SHORT_MS = 60 };

struct pty {
	int master;
	char name[64];
	struct link *link;
	struct usb_identity identity;
};

static int make_pty(void **state)
{
	struct pty *pty = calloc(1, sizeof *pty);

	pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pty->master < 0 || grantpt(pty->master) != 0 || unlockpt(pty->master) != 0)
		return -1;
	snprintf(pty->name, sizeof pty->name, "%s", ptsname(pty->master));
	*state = pty;
	return 0;
}

static int open_pty(void **state)
{
	struct pogo_error err = {.text = ""};

	if (make_pty(state) != 0)
		return -1;
	struct pty *pty = *state;
	return link_serial_open(pty->name, &pty->link, &pty->identity, &err);
}

static int end_pty(void **state)
{
	struct pty *pty = *state;

	if (pty->link != NULL)
		pty->link->ops->close(pty->link);
	if (pty->master >= 0)
		close(pty->master);
	free(pty);
	return 0;
}

static void bytes_pass_raw_both_ways(void **state)
{
	struct pty *pty = *state;
	uint8_t all[256], back[256];
	size_t got = 0;

	for (unsigned i = 0; i < 256; i++) /* ^C, ^S, CR, EOF and FF among them */
		all[i] = (uint8_t)i;
	assert_int_equal(pty->link->ops->write(pty->link, all, sizeof all, deadline_in_ms(PATIENCE_MS)), 256);
	while (got < sizeof back) {
		ssize_t n = read(pty->master, back + got, sizeof back - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(back, all, sizeof all);
	assert_int_equal(write(pty->master, all, sizeof all), 256);
	for (got = 0; got < sizeof back;) {
		int n = pty->link->ops->read(pty->link, back + got, sizeof back - got, deadline_in_ms(PATIENCE_MS));
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(back, all, sizeof all);
	assert_string_equal(pty->identity.path, pty->name);
	assert_string_equal(pty->identity.tty, pty->name);
	assert_int_equal(pty->identity.vendor, 0);
}

static void a_read_takes_what_is_there(void **state)
{
	struct pty *pty = *state;
	uint8_t bytes[16];

	assert_int_equal(write(pty->master, "abc", 3), 3);
	assert_int_equal(pty->link->ops->read(pty->link, bytes, 2, deadline_in_ms(PATIENCE_MS)), 2);
	assert_int_equal(pty->link->ops->read(pty->link, bytes, sizeof bytes, deadline_in_ms(PATIENCE_MS)), 1);
	assert_int_equal(bytes[0], 'c');
}

static void a_silent_line_ends_at_the_deadline(void **state)
{
	struct pty *pty = *state;
	uint8_t byte;
	int64_t begin = clock_now();

	assert_int_equal(pty->link->ops->read(pty->link, &byte, 1, deadline_in_ms(SHORT_MS)), -LINK_TIMEOUT);
	assert_true(clock_now() - begin >= SHORT_MS * 1000000LL);
	assert_int_equal(pty->link->ops->read(pty->link, &byte, 1, clock_now() - 1), -LINK_TIMEOUT);
	assert_int_equal(write(pty->master, "x", 1), 1); /* and stays usable */
	assert_int_equal(pty->link->ops->read(pty->link, &byte, 1, deadline_in_ms(PATIENCE_MS)), 1);
}

static void a_full_line_ends_at_the_deadline(void **state)
{
	struct pty *pty = *state;
	static uint8_t many[1 << 20];

	assert_int_equal(pty->link->ops->write(pty->link, many, sizeof many, deadline_in_ms(SHORT_MS)), -LINK_TIMEOUT);
}

static void what_was_not_read_is_thrown_away(void **state)
{
	struct pty *pty = *state;
	uint8_t bytes[8];

	assert_int_equal(write(pty->master, "stale", 5), 5);
	assert_int_equal(pty->link->ops->read(pty->link, bytes, 1, deadline_in_ms(PATIENCE_MS)), 1);
	assert_int_equal(pty->link->ops->discard(pty->link, deadline_in_ms(PATIENCE_MS)), 0);
	assert_int_equal(pty->link->ops->read(pty->link, bytes, sizeof bytes, deadline_in_ms(SHORT_MS)), -LINK_TIMEOUT);
}

static void the_speed_is_set_and_a_pty_needs_no_signals(void **state)
{
	struct pty *pty = *state;
	struct termios now;

	assert_int_equal(pty->link->ops->line(pty->link, 19200, LINE_DTR | LINE_RTS, deadline_in_ms(SHORT_MS)), 0);
	assert_int_equal(tcgetattr(pty->master, &now), 0);
	assert_int_equal(cfgetospeed(&now), B19200);
	assert_int_equal(now.c_cflag & (CSIZE | CSTOPB | PARENB | CRTSCTS | HUPCL), CS8);
	assert_int_equal(pty->link->ops->line(pty->link, 31250, 0, deadline_in_ms(SHORT_MS)), 0); /* no code of its own */
	assert_int_equal(pty->link->ops->line(pty->link, 115200, 0, deadline_in_ms(SHORT_MS)), 0);
	assert_int_equal(tcgetattr(pty->master, &now), 0);
	assert_int_equal(cfgetospeed(&now), B115200);
}

static void *hang_up(void *context)
{
	struct pty *pty = context;

	clock_sleep_us(20 * 1000);
	close(pty->master);
	return NULL;
}

static void a_hung_up_line_is_gone_for_ever(void **state)
{
	struct pty *pty = *state;
	uint8_t bytes[8] = {0};
	pthread_t thread;
	int64_t begin = clock_now();

	assert_int_equal(pthread_create(&thread, NULL, hang_up, pty), 0);
	assert_int_equal(pty->link->ops->read(pty->link, bytes, 1, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
	assert_true(clock_now() - begin < PATIENCE_MS * 1000000LL);
	pthread_join(thread, NULL);
	pty->master = -1;
	assert_int_equal(pty->link->ops->read(pty->link, bytes, 1, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
	assert_int_equal(pty->link->ops->write(pty->link, bytes, 1, deadline_in_ms(PATIENCE_MS)), -LINK_GONE);
	assert_int_equal(pty->link->ops->line(pty->link, 1200, LINE_DTR, deadline_in_ms(SHORT_MS)), -LINK_GONE);
	assert_int_equal(pty->link->ops->discard(pty->link, deadline_in_ms(SHORT_MS)), -LINK_GONE);
}

static void a_hang_up_shows_in_whatever_call_comes_first(void **state)
{
	struct pty *pty = *state;

	close(pty->master);
	pty->master = -1;
	assert_int_equal(pty->link->ops->line(pty->link, 19200, LINE_DTR, deadline_in_ms(SHORT_MS)), -LINK_GONE);
}

static void a_line_has_one_owner(void **state)
{
	struct pty *pty = *state;
	struct link *second = NULL;
	struct usb_identity identity;
	struct pogo_error err = {.text = ""};

	assert_int_equal(link_serial_open(pty->name, &second, &identity, &err), -1);
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_non_null(strstr(err.text, "in use"));
	assert_non_null(strstr(err.text, pty->name));
	pty->link->ops->close(pty->link);
	pty->link = NULL;
	assert_int_equal(link_serial_open(pty->name, &pty->link, &identity, &err), 0);
}

static void what_is_not_there_is_no_error(void **state)
{
	struct link *link = NULL;
	struct usb_identity identity;
	struct pogo_error err = {.text = ""};

	(void)state;
	assert_int_equal(link_serial_open("/dev/ttyNONE7", &link, &identity, &err), 1);
	assert_string_equal(err.text, "");
}

static void a_file_is_no_line(void **state)
{
	struct link *link = NULL;
	struct usb_identity identity;
	struct pogo_error err = {.text = ""};

	(void)state;
	assert_int_equal(link_serial_open("/dev/null", &link, &identity, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "/dev/null is no serial line"));
}

/* ---- sysfs */

static char sys[64];

static void put(const char *path, const char *text)
{
	char whole[300], command[400];

	snprintf(whole, sizeof whole, "%s/%s", sys, path);
	snprintf(command, sizeof command, "mkdir -p $(dirname '%s')", whole);
	assert_int_equal(system(command), 0);
	FILE *file = fopen(whole, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_link(const char *path, const char *target)
{
	char whole[300], to[300], command[400];

	snprintf(whole, sizeof whole, "%s/%s", sys, path);
	snprintf(to, sizeof to, "%s/%s", sys, target);
	snprintf(command, sizeof command, "mkdir -p $(dirname '%s')", whole);
	assert_int_equal(system(command), 0);
	assert_int_equal(symlink(to, whole), 0);
}

static void put_device(const char *path, const char *vendor, const char *product)
{
	static const char *const names[] = {"idVendor", "idProduct", "bcdDevice", "product"};
	const char *values[] = {vendor, product, "0100\n", "USB \tSerial\n"};
	char at[200];

	for (size_t i = 0; i < 4; i++) {
		snprintf(at, sizeof at, "tree/%s/%s", path, names[i]);
		put(at, values[i]);
	}
	char link[200], target[200];
	snprintf(link, sizeof link, "bus/usb/devices/%s", path);
	snprintf(target, sizeof target, "tree/%s", path);
	put_link(link, target);
}

/* A QMK Pro Micro at 1-2, a Bus Pirate at 1-2.4 (a hub's port: its name begins as the other's), a keyboard at 1-3, and one
 * with two lines at 1-10. */
static int make_sysfs(void **state)
{
	(void)state;
	snprintf(sys, sizeof sys, "/tmp/pogo-sysfs-XXXXXX");
	if (mkdtemp(sys) == NULL)
		return -1;
	put_device("1-2", "16c0\n", "0483\n");
	put("tree/1-2/1-2:1.0/tty/ttyACM3/dev", "");
	put("tree/1-2/1-2:1.1/bInterfaceNumber", "01\n");
	put_link("class/tty/ttyACM3/device", "tree/1-2/1-2:1.0");
	put_device("1-2.4", "0403\n", "6001\n");
	put("tree/1-2.4/1-2.4:1.0/ttyUSB0/tty/ttyUSB0/dev", "");
	put_link("class/tty/ttyUSB0/device", "tree/1-2.4/1-2.4:1.0/ttyUSB0");
	put("drivers/ftdi_sio/new_id", "");
	put_link("tree/1-2.4/1-2.4:1.0/ttyUSB0/driver", "drivers/ftdi_sio");
	put_device("1-3", "feed\n", "6060\n");
	put("tree/1-3/1-3:1.0/input/x", "");
	put_device("1-10", "1209\n", "7331\n");
	put("tree/1-10/1-10:1.2/tty/ttyACM1/dev", "");
	put("tree/1-10/1-10:1.0/tty/ttyACM2/dev", "");
	put("class/tty/ttyS0/device/x", "");
	return 0;
}

static int remove_sysfs(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", sys);
	return system(command);
}

static void a_device_has_its_line(void **state)
{
	char tty[32];

	(void)state;
	assert_true(usb_tty_of(sys, "1-2", tty, sizeof tty));
	assert_string_equal(tty, "/dev/ttyACM3");
	assert_true(usb_tty_of(sys, "1-2.4", tty, sizeof tty));
	assert_string_equal(tty, "/dev/ttyUSB0");
	assert_true(usb_tty_of(sys, "1-10", tty, sizeof tty));
	assert_string_equal(tty, "/dev/ttyACM2");
	assert_false(usb_tty_of(sys, "1-3", tty, sizeof tty));
	assert_string_equal(tty, "");
	assert_false(usb_tty_of(sys, "1-1", tty, sizeof tty));
}

static void a_line_has_its_device(void **state)
{
	struct usb_identity id = {.vendor = 0};

	(void)state;
	assert_true(usb_tty_behind(sys, "/dev/ttyACM3", &id));
	assert_int_equal(id.vendor, 0x16C0);
	assert_int_equal(id.product, 0x0483);
	assert_int_equal(id.release, 0x0100);
	assert_string_equal(id.path, "1-2");
	assert_string_equal(id.name, "USB ?Serial");
	assert_string_equal(id.serial, "");
	assert_true(usb_tty_behind(sys, "/dev/ttyUSB0", &id));
	assert_string_equal(id.path, "1-2.4");
	assert_false(usb_tty_behind(sys, "/dev/ttyS0", &id));
	assert_false(usb_tty_behind(sys, "/dev/pts/0", &id));
	assert_true(usb_tty_is_ftdi(sys, "/dev/ttyUSB0"));
	assert_false(usb_tty_is_ftdi(sys, "/dev/ttyACM3"));
	assert_true(usb_tty_is_listed(sys, "/dev/ttyACM3"));
	assert_false(usb_tty_is_listed(sys, "/dev/pts/0"));
}

static void an_open_line_is_seen(void **state)
{
	struct pty *pty = *state;
	char name[64];

	snprintf(name, sizeof name, "%s", pty->name);
	assert_true(usb_tty_is_open(name));
	pty->link->ops->close(pty->link);
	pty->link = NULL;
	assert_false(usb_tty_is_open(name));
}

#define P(name) cmocka_unit_test_setup_teardown(name, open_pty, end_pty)
#define S(name) cmocka_unit_test_setup_teardown(name, make_sysfs, remove_sysfs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		P(bytes_pass_raw_both_ways),
		P(a_read_takes_what_is_there),
		P(a_silent_line_ends_at_the_deadline),
		P(a_full_line_ends_at_the_deadline),
		P(what_was_not_read_is_thrown_away),
		P(the_speed_is_set_and_a_pty_needs_no_signals),
		P(a_hung_up_line_is_gone_for_ever),
		P(a_hang_up_shows_in_whatever_call_comes_first),
		P(a_line_has_one_owner),
		P(an_open_line_is_seen),
		cmocka_unit_test(what_is_not_there_is_no_error),
		cmocka_unit_test(a_file_is_no_line),
		S(a_device_has_its_line),
		S(a_line_has_its_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
