#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sqlite3.h>

#include "station/clock.h"
#include "station/recorder.h"

struct fixture {
	char folder[200], db[256];
	struct recorder *recorder;
	int64_t run_id;
};

static const struct log_run some_run = {
        .station = "s",
        .operator_name = "o",
        .tool_version = "0",
        .product = "p",
        .part = "atmega32u4",
        .recipe_digest = "0000000000000000000000000000000000000000000000000000000000000001",
        .recipe_text = "x",
        .recipe_path = "r.cfg",
        .image_digest = "0000000000000000000000000000000000000000000000000000000000000002",
        .image_path = "i.hex",
        .image_bytes = 64,
        .now_ms = 1000,
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const char *base = getenv("TMPDIR");
	struct log_recovery recovery;
	struct pogo_error err;

	signal(SIGXFSZ, SIG_IGN);
	snprintf(f->folder, sizeof f->folder, "%s/pogo-test-XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(f->folder) == NULL)
		return -1;
	snprintf(f->db, sizeof f->db, "%s/log.db", f->folder);
	*state = f;
	if (recorder_create(f->db, &f->recorder, &recovery, &err) != 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	return recorder_run_begin(f->recorder, &some_run, &f->run_id, &err);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[300];

	recorder_destroy(f->recorder);
	snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
	int code = system(command);
	free(f);
	return code;
}

static int64_t query(const struct fixture *f, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int64_t value = -1;

	assert_int_equal(sqlite3_open_v2(f->db, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return value;
}

static int64_t open_attempt(struct fixture *f, const char *slot)
{
	struct log_attempt row = {.run_id = f->run_id,
	                          .slot = slot,
	                          .port = "1-1",
	                          .programmer_kind = "fake",
	                          .programmer_firmware = "1",
	                          .programmer_usb = "0:0",
	                          .now_ms = clock_wall_ms()};
	struct fault fault;
	int64_t id = 0;

	assert_int_equal(recorder_attempt_open(f->recorder, &row, &id, &fault), 0);
	return id;
}

static void whole_attempt(struct fixture *f, const char *slot)
{
	int64_t id = open_attempt(f, slot);
	struct log_serial_wish wish = {.attempt_id = id,
	                               .product = "p",
	                               .prefix = "KB",
	                               .width = 6,
	                               .first = 1,
	                               .now_ms = clock_wall_ms()};
	struct log_result result = {
	        .attempt_id = id, .status = "PASS", .now_ms = clock_wall_ms(), .duration_us = 5};
	enum log_serial_result serial_result;
	struct fault fault;
	char serial[48];

	assert_int_equal(recorder_serial_claim(f->recorder, &wish, serial, &serial_result, &fault),
	                 0);
	assert_int_equal(serial_result, LOG_SERIAL_NEW);
	recorder_step_begin(f->recorder, id, "verify");
	recorder_step_end(f->recorder, id, "verify", 1234, "ok");
	assert_int_equal(recorder_serial_written(f->recorder, id, &fault), 0);
	assert_int_equal(recorder_attempt_close(f->recorder, &result, &fault), 0);
}

static void test_an_attempt_is_on_disk_when_the_call_returns(void **state)
{
	struct fixture *f = *state;

	whole_attempt(f, "1");
	assert_int_equal(query(f, "SELECT count(*) FROM attempts WHERE status = 'PASS'"), 1);
	assert_int_equal(query(f, "SELECT count(*) FROM serials WHERE state = 'COMMITTED' AND text "
	                          "= 'KB000001'"),
	                 1);
	assert_int_equal(
	        query(f, "SELECT duration_us FROM steps WHERE name = 'verify' AND result = 'ok'"),
	        1234);
	assert_false(recorder_broken(f->recorder));
}

static void test_destroy_drains_step_notes(void **state)
{
	struct fixture *f = *state;
	int64_t id = open_attempt(f, "1");

	for (int i = 0; i < 20; i++) {
		recorder_step_begin(f->recorder, id, "erase");
		recorder_step_end(f->recorder, id, "erase", i, "ok");
	}
	recorder_destroy(f->recorder);
	f->recorder = NULL;
	assert_int_equal(query(f, "SELECT count(*) FROM steps WHERE result = 'ok'"), 20);
}

static void *many_attempts(void *arg)
{
	for (int i = 0; i < 10; i++)
		whole_attempt(arg, "2");
	return NULL;
}

static void test_many_threads_share_it(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[8];

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_attempts, f), 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(
	        query(f, "SELECT count(DISTINCT text) FROM serials WHERE state = 'COMMITTED'"), 80);
}

static void test_a_full_disk_breaks_it_for_good(void **state)
{
	struct fixture *f = *state;
	int64_t id = open_attempt(f, "1"), second = 0;
	struct log_result result = {.attempt_id = id, .status = "PASS", .now_ms = clock_wall_ms()};
	struct log_attempt row = {.run_id = f->run_id,
	                          .slot = "1",
	                          .port = "1-1",
	                          .programmer_kind = "fake",
	                          .programmer_firmware = "1",
	                          .programmer_usb = "0:0",
	                          .now_ms = clock_wall_ms()};
	struct rlimit undo, none = {1, 1};
	struct fault fault = {.code = FAIL_NONE};
	char why[480];

	getrlimit(RLIMIT_FSIZE, &undo);
	none.rlim_max = undo.rlim_max;
	setrlimit(RLIMIT_FSIZE, &none);
	int closed = recorder_attempt_close(f->recorder, &result, &fault);
	setrlimit(RLIMIT_FSIZE, &undo);
	assert_int_equal(closed, -1);
	assert_int_equal(fault.code, FAIL_RECORD);
	assert_true(fault.text[0] != '\0');
	assert_true(recorder_broken(f->recorder));
	recorder_why(f->recorder, why, sizeof why);
	assert_true(why[0] != '\0');
	/* Also when the disk has room again: what is lost meanwhile nobody knows. */
	assert_int_equal(recorder_attempt_open(f->recorder, &row, &second, &fault), -1);
	assert_int_equal(fault.code, FAIL_RECORD);
	assert_int_equal(query(f, "SELECT count(*) FROM attempts WHERE status IS NOT NULL"), 0);
}

static void test_an_unusable_file_is_told(void **state)
{
	struct fixture *f = *state;
	struct recorder *other = NULL;
	struct log_recovery recovery;
	struct pogo_error err = {.text = ""};
	char path[300];

	assert_int_equal(recorder_create(f->db, &other, &recovery, &err),
	                 -1); /* held by the first */
	assert_int_equal(err.kind, POGO_SYSTEM);
	assert_true(err.text[0] != '\0');
	snprintf(path, sizeof path, "%s/no/such/folder.db", f->folder);
	assert_int_equal(recorder_create(path, &other, &recovery, &err), -1);
	assert_non_null(strstr(err.text, "folder.db"));
}

static void test_what_was_open_is_counted_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct log_recovery recovery = {0};
	struct pogo_error err = {.text = ""};

	open_attempt(f, "1");
	recorder_destroy(f->recorder);
	f->recorder = NULL;
	assert_int_equal(recorder_create(f->db, &f->recorder, &recovery, &err), 0);
	assert_int_equal(recovery.runs, 1);
	assert_int_equal(recovery.attempts, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_an_attempt_is_on_disk_when_the_call_returns,
	                                        set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_destroy_drains_step_notes, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_many_threads_share_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_full_disk_breaks_it_for_good, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(test_an_unusable_file_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_was_open_is_counted_at_the_next_start,
	                                        set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
