#ifndef POGO_TESTS_FAKE_LINE_H
#define POGO_TESTS_FAKE_LINE_H

/* A line without hardware for the tests of slot and station: pods that can be plugged, boards that
 * can be set and taken, and a chip whose every step can fail, wait or lose its programmer. */

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "station/chip/chip.h"
#include "station/event.h"
#include "station/link/link.h"
#include "station/programmer/programmer.h"

enum { FAKE_PODS = 4 };

struct fake_pod {
	char path[40];
	atomic_bool plugged, refused; /* refused: opening fails with a sentence */
	atomic_bool hung, stalls;     /* a look for a board times out, or is refused */
	atomic_int board;             /* 0 = none, else which one; its silicon id */
	atomic_int fail_step;         /* enum slot_step whose call fails, 0 = none */
	atomic_int fail_code;         /* FAIL_PROGRAMMER_LOST unplugs as well */
	atomic_int hold_step; /* this step waits until the field is cleared, or for the stop flag */
	atomic_int held;      /* the step that waits now */
	atomic_int reads, opens, closes, detaches, erases, programs, locks;
	atomic_int usb_opens, line_opens; /* as what it was opened */
	atomic_bool flickers; /* the field's last character reads differently every time */
	char field[48];      /* what the serial field of the board reads, "" = blank */
	char programmed[48]; /* the serial characters of the last program call */
};

struct fake_host {
	struct host base; /* first */
	struct fake_pod pods[FAKE_PODS];
	size_t count;
	atomic_int wakes;
};

struct fake_link {
	struct link base; /* first */
	struct fake_pod *pod;
};

struct fake_programmer {
	struct programmer base; /* first */
	struct fake_link *link;
};

/* ---- link and host
 * -------------------------------------------------------------------------------------- */

static void fake_link_close(struct link *link)
{
	free(link);
}

static const struct link_ops fake_link_ops = {.close = fake_link_close};

static int fake_list(struct host *host, struct usb_identity *out, size_t room, bool with_strings,
                     struct pogo_error *err)
{
	struct fake_host *fake = (struct fake_host *)host;
	int found = 0;

	(void)with_strings;
	(void)err;
	for (size_t i = 0; i < fake->count; i++) {
		if (!fake->pods[i].plugged)
			continue;
		if ((size_t)found < room) {
			out[found] = (struct usb_identity){
			        .vendor = 0x16c0, .product = 0x05dc, .release = 0x0104};
			snprintf(out[found].path, sizeof out[found].path, "%s", fake->pods[i].path);
		}
		found++;
	}
	return found;
}

static int fake_open_as(struct host *host, const char *path, bool line, struct link **link,
                        struct usb_identity *identity, struct pogo_error *err)
{
	struct fake_host *fake = (struct fake_host *)host;

	for (size_t i = 0; i < fake->count; i++) {
		struct fake_pod *pod = &fake->pods[i];
		if (strcmp(pod->path, path) != 0 || !pod->plugged)
			continue;
		if (pod->refused)
			return pogo_fail(
			        err, POGO_SYSTEM,
			        "no permission for the device at %s; install the udev rule", path);
		struct fake_link *made = calloc(1, sizeof *made);
		made->base.ops = &fake_link_ops;
		made->pod = pod;
		if (line)
			pod->line_opens++;
		else
			pod->usb_opens++;
		*link = &made->base;
		*identity = (struct usb_identity){
		        .vendor = 0x16c0, .product = 0x05dc, .release = 0x0104};
		return 0;
	}
	return 1;
}

static int fake_open(struct host *host, const char *path, struct link **link,
                     struct usb_identity *identity, struct pogo_error *err)
{
	return fake_open_as(host, path, false, link, identity, err);
}

static int fake_open_serial(struct host *host, const char *path, struct link **link,
                            struct usb_identity *identity, struct pogo_error *err)
{
	return fake_open_as(host, path, true, link, identity, err);
}

static void fake_wait_change(struct host *host, deadline_t deadline)
{
	struct fake_host *fake = (struct fake_host *)host;
	int wakes = fake->wakes, plugs = 0, now;

	for (size_t i = 0; i < fake->count; i++)
		plugs += fake->pods[i].plugged;
	do {
		clock_sleep_us(2000);
		now = 0;
		for (size_t i = 0; i < fake->count; i++)
			now += fake->pods[i].plugged;
	} while (deadline_left_ms(deadline) > 0 && fake->wakes == wakes && now == plugs);
}

static void fake_wake(struct host *host)
{
	((struct fake_host *)host)->wakes++;
}

static void fake_host_destroy(struct host *host)
{
	(void)host; /* belongs to the test */
}

static const struct host_ops fake_host_ops = {.list = fake_list,
                                              .open = fake_open,
                                              .open_serial = fake_open_serial,
                                              .wait_change = fake_wait_change,
                                              .wake = fake_wake,
                                              .destroy = fake_host_destroy};

static inline void fake_host_init(struct fake_host *host, size_t count)
{
	memset(host, 0, sizeof *host);
	host->base.ops = &fake_host_ops;
	host->count = count;
	for (size_t i = 0; i < count; i++) {
		snprintf(host->pods[i].path, sizeof host->pods[i].path, "1-%u", (unsigned)i + 1);
		host->pods[i].plugged = true;
	}
}

/* ---- programmer
 * ----------------------------------------------------------------------------------------- */

static const struct programmer_driver fake_programmer_driver;

static bool fake_match(const struct usb_identity *identity)
{
	return identity->vendor == 0x16c0;
}

static int fake_programmer_open(struct link *link, const struct usb_identity *identity,
                                struct programmer **out, deadline_t deadline, struct fault *fault)
{
	struct fake_programmer *made = calloc(1, sizeof *made);

	(void)identity;
	(void)deadline;
	(void)fault;
	made->base.driver = &fake_programmer_driver;
	made->link = (struct fake_link *)link;
	snprintf(made->base.info.kind, sizeof made->base.info.kind, "fake");
	snprintf(made->base.info.firmware, sizeof made->base.info.firmware, "1.0");
	made->link->pod->opens++;
	*out = &made->base;
	return 0;
}

static void fake_programmer_close(struct programmer *programmer)
{
	struct fake_programmer *fake = (struct fake_programmer *)programmer;

	fake->link->pod->closes++;
	free(fake->link);
	free(fake);
}

static const struct programmer_driver fake_programmer_driver = {
        .kind = "fake",
        .match = fake_match,
        .open = fake_programmer_open,
        .close = fake_programmer_close};

static inline const struct programmer_driver *
fake_programmer_for(const char *kind, const struct usb_identity *identity)
{
	bool fits = kind[0] == '\0' || strcmp(kind, "fake") == 0;

	return fits && fake_match(identity) ? &fake_programmer_driver : NULL;
}

/* ---- chip
 * -----------------------------------------------------------------------------------------------
 */

static struct fake_pod *pod_of(struct chip *chip)
{
	return ((struct fake_programmer *)chip->programmer)->link->pod;
}

static int fake_contact(struct chip *chip, struct fault *fault)
{
	if (!pod_of(chip)->plugged)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "the programmer was unplugged");
	if (pod_of(chip)->board != 0)
		return 0;
	chip->attached = false;
	return fault_set(fault, FAIL_CONTACT, "nobody answers");
}

static int fake_step(struct chip *chip, enum slot_step step, struct fault *fault)
{
	struct fake_pod *pod = pod_of(chip);

	while (pod->hold_step == (int)step) {
		pod->held = (int)step;
		if (chip->progress.stop != NULL && atomic_load(chip->progress.stop))
			return fault_set(fault, FAIL_ABORTED, "stopped by the operator");
		clock_sleep_us(1000);
	}
	pod->held = 0;
	if (fake_contact(chip, fault) != 0)
		return -1;
	if (pod->fail_step != (int)step)
		return 0;
	if (pod->fail_code == FAIL_PROGRAMMER_LOST)
		pod->plugged = false;
	if (pod->fail_code == FAIL_CONTACT)
		chip->attached = false;
	if (pod->fail_code == FAIL_VERIFY)
		return fault_byte(fault, FAIL_VERIFY, 0x1234, 0x3C, 0xFF,
		                  "flash reads back differently");
	return fault_set(fault, (enum fail_code)pod->fail_code, "made to fail");
}

static int fake_attach(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	if (pod_of(chip)->hung)
		return fault_set(fault, FAIL_TIMEOUT, "time ran out");
	if (pod_of(chip)->stalls)
		return fault_set(fault, FAIL_WRITE, "the programmer refused");
	if (fake_contact(chip, fault) != 0)
		return -1;
	if (!chip->attached) {
		memset(&chip->facts, 0, sizeof chip->facts);
		chip->facts.sck_first_hz = 375000;
	}
	chip->attached = true;
	return 0;
}

static int fake_identify(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	chip->facts.silicon_id_bytes = 10;
	chip->facts.silicon_id[0] = (uint8_t)pod_of(chip)->board;
	return fake_step(chip, STEP_IDENTIFY, fault);
}

static int fake_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len,
                     deadline_t deadline, struct fault *fault)
{
	struct fake_pod *pod = pod_of(chip);

	(void)address;
	(void)deadline;
	memset(bytes, 0xFF, len);
	memcpy(bytes, pod->field, strlen(pod->field) < len ? strlen(pod->field) : len);
	if (pod->flickers)
		bytes[len - 1] ^= (uint8_t)(++pod->reads & 1);
	return fake_step(chip, STEP_SERIAL, fault);
}

static int fake_erase(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	pod_of(chip)->erases++;
	return fake_step(chip, STEP_ERASE, fault);
}

static int fake_clock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	return fake_step(chip, STEP_CLOCK, fault);
}

static int fake_program(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                        struct fault *fault)
{
	struct fake_pod *pod = pod_of(chip);
	const struct serial_rule *rule = &chip->recipe->serial;

	(void)deadline;
	pod->programs++;
	if (rule->wanted)
		hex_image_read(image, rule->address, (uint8_t *)pod->programmed, rule->length, 0);
	if (chip->progress.report != NULL)
		chip->progress.report(chip->progress.context, 64, 64);
	chip->facts.bytes_written = (uint32_t)hex_image_bytes(image);
	return fake_step(chip, STEP_PROGRAM, fault);
}

static int fake_verify(struct chip *chip, const struct hex_image *image, deadline_t deadline,
                       struct fault *fault)
{
	(void)image;
	(void)deadline;
	return fake_step(chip, STEP_VERIFY, fault);
}

static int fake_configure(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	return fake_step(chip, STEP_CONFIGURE, fault);
}

static int fake_lock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	(void)deadline;
	pod_of(chip)->locks++;
	return fake_step(chip, STEP_LOCK, fault);
}

static void fake_detach(struct chip *chip)
{
	pod_of(chip)->detaches++;
	chip->attached = false;
}

static const struct chip_driver fake_chip = {
        "fake", PORT_ISP, fake_attach, fake_identify,  fake_read, fake_erase, fake_clock,
        fake_program, fake_verify, fake_configure, fake_lock, fake_detach};

/* ---- around
 * --------------------------------------------------------------------------------------------- */

static inline void fake_folder(char *path, size_t size)
{
	const char *base = getenv("TMPDIR");

	snprintf(path, size, "%s/pogo-test-XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(path) == NULL)
		abort();
}

static inline void fake_remove(const char *folder)
{
	char command[300];

	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	if (system(command) != 0)
		abort();
}

/* The number that the query's one cell holds; -1: no row. */
static inline int64_t fake_query(const char *db_path, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int64_t value = -1;

	if (sqlite3_open_v2(db_path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		abort();
	}
	if (sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return value;
}

/* Waits until the pod's board waits in this step. */
static inline bool fake_held(struct fake_pod *pod, enum slot_step step)
{
	deadline_t deadline = deadline_in_ms(20000);

	while (pod->held != (int)step && deadline_left_ms(deadline) > 0)
		clock_sleep_us(1000);
	return pod->held == (int)step;
}

/* From now on (until `undo`) no file of this process may grow: a full disk. SIGXFSZ must be
 * ignored. */
static inline void fake_disk_full(struct rlimit *undo)
{
	struct rlimit none;

	getrlimit(RLIMIT_FSIZE, undo);
	none = *undo;
	none.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &none);
}

#endif
