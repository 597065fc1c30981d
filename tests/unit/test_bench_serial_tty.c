#include "fixtures/bench/tty_ports.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hextools/conf.h"
#include "tests/unit/scratch.h"

/* A client of the terminals, as any program has them: open, termios, read, write. */

struct rig {
	struct part *part;
	struct bench *bench;
	struct bench_tty_ports *ports;
	char dir[256], path[300];
};

static void start(struct rig *rig, const char *board, bool fast)
{
	struct pogo_error err = {0};
	char configs[4096];

	memset(rig, 0, sizeof *rig);
	if (conf_dir(NULL, configs, sizeof configs, &err) != 0 ||
	    part_load(configs, "atmega32u4", &rig->part, &err) != 0)
		fail_msg("%s", err.text);
	struct bench_place places[2] = {{pod_stk500v1_create, board, rig->part},
	                                {pod_usbasp_create, NULL, rig->part}};
	struct bench_setup setup = {
	        .positions = 2, .places = places, .crystal_hz = 16000000, .seed = 1, .fast = fast};
	scratch_make(rig->dir);
	snprintf(rig->path, sizeof rig->path, "%s/1-1", rig->dir);
	if (bench_create(&setup, &rig->bench, &err) != 0 ||
	    bench_tty_ports_start(rig->bench, rig->dir, &rig->ports, &err) != 0)
		fail_msg("%s", err.text);
}

static void stop(struct rig *rig)
{
	bench_tty_ports_stop(rig->ports);
	assert_int_equal(scratch_count(rig->dir), 0); /* the names are gone */
	bench_destroy(rig->bench);
	scratch_remove(rig->dir);
	free(rig->part);
}

static int open_tty(const struct rig *rig, speed_t speed)
{
	struct termios settings;
	int fd = open(rig->path, O_RDWR | O_NOCTTY);

	assert_true(fd >= 0);
	assert_int_equal(tcgetattr(fd, &settings), 0);
	cfmakeraw(&settings);
	cfsetspeed(&settings, speed);
	assert_int_equal(tcsetattr(fd, TCSANOW, &settings), 0);
	return fd;
}

/* What comes until `want` bytes are there, or nothing for `quiet_ms`. */
static size_t listen_for(int fd, uint8_t *bytes, size_t want, int quiet_ms)
{
	size_t have = 0;
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	while (have < want && poll(&poll_fd, 1, quiet_ms) > 0) {
		ssize_t got = read(fd, bytes + have, want - have);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	return have;
}

static void ask(int fd, const void *bytes, size_t count, const void *answer, size_t length)
{
	uint8_t got[512];

	assert_int_equal(write(fd, bytes, count), count);
	assert_int_equal(listen_for(fd, got, length, 10000), length);
	assert_memory_equal(got, answer, length);
}

static bool shows(struct rig *rig, const char *text)
{
	struct pogo_error err = {0};
	char *state;
	size_t len;

	assert_int_equal(bench_dump(rig->bench, false, &state, &len, &err), 0);
	bool found = strstr(state, text) != NULL;
	free(state);
	return found;
}

/* Looks again until it is so; the limit only ends a test that would never end. */
static void until(struct rig *rig, const char *text, bool shown)
{
	struct timespec pause = {.tv_nsec = 5000000};

	for (unsigned i = 0; shows(rig, text) != shown; i++) {
		if (i > 4000)
			fail_msg("never %s: %s", shown ? "seen" : "gone", text);
		nanosleep(&pause, NULL);
	}
}

static void until_shown(struct rig *rig, const char *text)
{
	until(rig, text, true);
}

static void until_path(const struct rig *rig, bool there)
{
	struct timespec pause = {.tv_nsec = 5000000};

	for (unsigned i = 0; (access(rig->path, F_OK) == 0) != there; i++) {
		if (i > 4000)
			fail_msg("never: %s", there ? "a terminal" : "no terminal");
		nanosleep(&pause, NULL);
	}
}

static void serial_positions_have_terminals(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, "micro", true);
	assert_int_equal(scratch_count(rig.dir), 1); /* the USBasp has none */
	int fd = open_tty(&rig, B19200);
	ask(fd, "\x30\x20", 2, "\x14\x10", 2);
	ask(fd, "\x31\x20", 2,
	    "\x14"
	    "AVR ISP\x10",
	    9);
	assert_true(shows(&rig, "\"baud\":19200"));
	close(fd);
	stop(&rig);
}

static void an_open_terminal_raises_dtr(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, "uno", true);
	assert_true(shows(&rig, "\"dtr\":false"));
	int fd = open_tty(&rig, B19200);
	until_shown(&rig, "\"dtr\":true");
	close(fd);
	until_shown(&rig, "\"dtr\":false");
	fd = open_tty(&rig, B19200);
	until_shown(&rig, "\"resets\":2");
	ask(fd, "\x30\x20", 2, "\x14\x10", 2);
	close(fd);
	stop(&rig);
}

static void the_rate_is_the_clients(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, "uno", true);
	int fd = open_tty(&rig, B57600);
	until_shown(&rig, "\"garbled\":0");
	assert_int_equal(write(fd, "\x30\x20", 2), 2);
	until_shown(&rig, "\"baud\":57600");
	until(&rig, "\"garbled\":0", false);
	close(fd);
	stop(&rig);
}

static void a_pulled_plug_hangs_up(void **state)
{
	struct rig rig;
	struct pogo_error err = {0};
	uint8_t byte;

	(void)state;
	start(&rig, "promicro-qmk", true);
	int fd = open_tty(&rig, B19200);
	ask(fd, "\x30\x20", 2, "\x14\x10", 2);
	assert_int_equal(bench_unplug(rig.bench, 1, &err), 0);
	ssize_t got = read(fd, &byte, 1); /* waits until it is hung up */
	assert_true(got == 0 || (got < 0 && errno == EIO));
	close(fd);
	until_path(&rig, false);
	assert_int_equal(bench_plug(rig.bench, 1, &err), 0);
	until_path(&rig, true);
	fd = open_tty(&rig, B19200);
	ask(fd, "\x30\x20", 2, "\x14\x10", 2);
	close(fd);
	stop(&rig);
}

static void faults_come_through(void **state)
{
	struct rig rig;
	struct pogo_error err = {0};
	uint8_t got[16];

	(void)state;
	start(&rig, "teensy", true);
	int fd = open_tty(&rig, B19200);
	ask(fd, "\x30\x20", 2, "\x14\x10", 2);
	assert_int_equal(bench_fault(rig.bench, 1, "reply-wrong=1", &err), 0);
	ask(fd, "\x30\x20", 2, "\x14\x00", 2);
	assert_int_equal(bench_fault(rig.bench, 1, "unplug=4", &err), 0);
	assert_int_equal(write(fd, "\x30\x20\x30\x20", 4), 4);
	assert_true(listen_for(fd, got, sizeof got, 10000) < 4);
	close(fd);
	until_path(&rig, false);
	stop(&rig);
}

static void a_touch_brings_another_device(void **state)
{
	struct rig rig;

	(void)state;
	start(&rig, "promicro", true);
	int fd = open_tty(&rig, B1200);
	until_shown(&rig, "\"dtr\":true");
	close(fd);
	until_shown(&rig, "\"running\":\"bootloader\"");
	until_path(&rig, true);
	stop(&rig);
}

/* The sketch is busy for 70 ms with the first of these, while two packets fit into its endpoint. */
static void a_long_write_gets_all_its_answers(void **state)
{
	struct rig rig;
	uint8_t bytes[402] = {0x50, 0x20}, answers[402];

	(void)state;
	start(&rig, "micro", true);
	int fd = open_tty(&rig, B19200);
	for (unsigned i = 0; i < sizeof bytes; i += 2) {
		bytes[i] = i == 0 ? 0x50 : 0x30;
		bytes[i + 1] = 0x20;
		answers[i] = 0x14;
		answers[i + 1] = 0x10;
	}
	for (unsigned i = 0; i < 5; i++)
		ask(fd, bytes, sizeof bytes, answers, sizeof answers);
	close(fd);
	stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(serial_positions_have_terminals),
	        cmocka_unit_test(an_open_terminal_raises_dtr),
	        cmocka_unit_test(the_rate_is_the_clients),
	        cmocka_unit_test(a_pulled_plug_hangs_up),
	        cmocka_unit_test(faults_come_through),
	        cmocka_unit_test(a_touch_brings_another_device),
	        cmocka_unit_test(a_long_write_gets_all_its_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
