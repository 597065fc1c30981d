#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "db/log.h"
#include "db/reader.h"
#include "db/unit_life.h"
#include "db/wilson.h"
#include "db/yield.h"

struct bench {
	char folder[200], path[300];
	struct log *log;
	int64_t run, now;
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *base = getenv("TMPDIR");
	struct log_run run = {.station = "bench", .operator_name = "Ada", .tool_version = "0.1.0", .product = "pad",
			      .part = "atmega32u4", .recipe_digest = "r1", .recipe_text = "x", .recipe_path = "pad.cfg",
			      .image_digest = "0123456789abcdef", .image_path = "pad.hex", .now_ms = 1000};
	struct log_error err;

	snprintf(bench->folder, sizeof(bench->folder), "%.150s/pogo-yield-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/log.db", bench->folder);
	bench->now = 1000;
	assert_int_equal(log_open(bench->path, 1000, &bench->log, NULL, &err), 0);
	assert_int_equal(log_run_begin(bench->log, &run, &bench->run, &err), 0);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[320];

	log_close(bench->log);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", bench->path, ends[i]);
		unlink(name);
	}
	rmdir(bench->folder);
	free(bench);
	return 0;
}

/* One attempt: serial "" = never got one, "+" = a fresh one, else the board carries it. */
static int64_t attempt(struct bench *bench, const char *slot, const char *serial, const char *status, const char *code)
{
	struct log_attempt open = {.run_id = bench->run, .slot = slot, .port = slot, .programmer_kind = "usbasp",
				   .programmer_firmware = "1.04", .programmer_usb = "16c0:05dc", .now_ms = bench->now++};
	struct log_result result = {.status = status, .code = code, .step = code ? "verify" : NULL,
				    .sentence = code ? "slot: it went wrong" : NULL, .serial_may_be_on_chip = true,
				    .now_ms = bench->now++, .duration_us = 1234};
	struct log_error err;
	char given[48];
	int64_t id = 0;

	assert_int_equal(log_attempt_open(bench->log, &open, &id, &err), 0);
	if (*serial) {
		struct log_serial_wish wish = {.attempt_id = id, .product = "pad", .prefix = "KB-", .width = 4, .first = 1,
					       .found = *serial == '+' ? NULL : serial, .now_ms = bench->now};
		enum log_serial_result got;

		assert_int_equal(log_serial_claim(bench->log, &wish, given, &got, &err), 0);
		assert_int_equal(got, *serial == '+' ? LOG_SERIAL_NEW : LOG_SERIAL_RETURNED);
	}
	result.attempt_id = id;
	assert_int_equal(log_attempt_close(bench->log, &result, &err), 0);
	return id;
}

static void load(struct bench *bench, const struct yield_wish *wish, struct yield *yield)
{
	struct reader reader;
	struct log_error err = {0};

	if (reader_open(bench->path, &reader, &err) != READER_OK)
		fail_msg("%s", err.text);
	assert_int_equal(yield_load(&reader.sql, wish, yield, &err), 1);
	reader_close(&reader);
}

static void expect_rate(const struct wilson *rate, uint64_t good, uint64_t total, double low, double high)
{
	assert_int_equal(rate->good, good);
	assert_int_equal(rate->total, total);
	assert_true(fabs(rate->low * 100 - low) < 0.05);
	assert_true(fabs(rate->high * 100 - high) < 0.05);
}

static void test_wilson(void **state)
{
	(void)state;
	struct wilson rate = wilson_95(970, 1000);

	assert_true(fabs(rate.low - 0.9575) < 0.00005 && fabs(rate.high - 0.9789) < 0.00005);
	rate = wilson_95(0, 100);
	assert_true(rate.low == 0 && fabs(rate.high - 0.0370) < 0.00005);
	rate = wilson_95(200, 200);
	assert_true(rate.high == 1 && fabs(rate.low - 0.981) < 0.0005);
	rate = wilson_95(0, 0);
	assert_true(isnan(rate.share) && isnan(rate.low) && isnan(rate.high));
}

/* Eleven attempts on six boards, worked out by hand. */
static void worked_example(struct bench *bench)
{
	attempt(bench, "1", "+", "PASS", NULL);             /* A = KB-0001 */
	attempt(bench, "2", "+", "FAIL", "CONTACT");        /* B = KB-0002 */
	attempt(bench, "2", "KB-0002", "PASS", NULL);
	attempt(bench, "1", "+", "FAIL", "VERIFY");         /* C = KB-0003 */
	attempt(bench, "3", "KB-0003", "FAIL", "VERIFY");
	attempt(bench, "3", "KB-0003", "PASS", NULL);
	attempt(bench, "3", "+", "PASS", NULL);             /* D */
	attempt(bench, "2", "+", "FAIL", "CONTACT");        /* E = KB-0005 */
	attempt(bench, "4", "KB-0005", "PASS", NULL);
	attempt(bench, "4", "", "FAIL", "SIGNATURE");       /* F, never got a number */
	attempt(bench, "2", "", "ERROR", "PROGRAMMER_LOST"); /* no board's fault */
}

static void test_worked_example(void **state)
{
	struct bench *bench = *state;
	struct yield_wish wish = {.run = YIELD_LAST_RUN, .product = "pad"};
	struct yield yield;

	worked_example(bench);
	load(bench, &wish, &yield);
	assert_int_equal(yield.run, bench->run);
	assert_int_equal(yield.attempts, 11);
	assert_int_equal(yield.passed, 5);
	assert_int_equal(yield.failed, 5);
	assert_int_equal(yield.errors, 1);
	expect_rate(&yield.first, 2, 6, 9.7, 70.0);
	expect_rate(&yield.final, 5, 6, 43.6, 97.0);
	assert_int_equal(yield.second.good, 4);
	assert_int_equal(yield.second.total, 6);
	assert_int_equal(yield.attempt.good, 5);
	assert_int_equal(yield.attempt.total, 10);
	assert_int_equal(yield.retested, 3);
	assert_int_equal(yield.extra, 4);
	assert_int_equal(yield.false_failed, 3);
	assert_int_equal(yield.slot_count, 4);
	assert_string_equal(yield.slots[1].name, "2");
	assert_int_equal(yield.slots[1].attempts, 4);
	assert_int_equal(yield.slots[1].errors, 1);
	assert_int_equal(yield.slots[1].first.total, 2);
	assert_int_equal(yield.slots[1].first.good, 0);
	assert_int_equal(yield.slots[2].first.total, 1);
	assert_int_equal(yield.code_count, 4);
	assert_string_equal(yield.codes[0].code, "CONTACT");
	assert_int_equal(yield.codes[0].count, 2);
	yield_free(&yield);
}

static void test_unknown_selection(void **state)
{
	struct bench *bench = *state;
	struct reader reader;
	struct yield yield;
	struct log_error err;
	struct yield_wish run = {.run = 99}, product = {.product = "mouse"};

	assert_int_equal(reader_open(bench->path, &reader, &err), READER_OK);
	assert_int_equal(yield_load(&reader.sql, &run, &yield, &err), 0);
	assert_non_null(strstr(err.text, "no run 99"));
	assert_int_equal(yield_load(&reader.sql, &product, &yield, &err), 0);
	assert_non_null(strstr(err.text, "mouse"));
	reader_close(&reader);
}

static void test_unit_life(void **state)
{
	struct bench *bench = *state;
	struct reader reader;
	struct unit_life life;
	struct log_error err;

	worked_example(bench);
	assert_int_equal(reader_open(bench->path, &reader, &err), READER_OK);
	assert_int_equal(unit_life_load(&reader.sql, "KB-0003", NULL, &life, &err), 1);
	assert_int_equal(life.attempt_count, 3);
	assert_string_equal(life.state, "COMMITTED");
	assert_string_equal(life.attempts[1].code, "VERIFY");
	assert_int_equal(life.attempts[2].number, 3);
	assert_string_equal(life.attempts[2].operator_name, "Ada");
	assert_int_equal(life.state_count, 6);
	assert_string_equal(life.states[1].state, "IN DOUBT");
	unit_life_free(&life);
	assert_int_equal(unit_life_load(&reader.sql, "unit-10", NULL, &life, &err), 1);
	assert_null(life.state);
	assert_string_equal(life.attempts[0].code, "SIGNATURE");
	unit_life_free(&life);
	assert_int_equal(unit_life_load(&reader.sql, "KB-9999", NULL, &life, &err), 0);
	assert_non_null(strstr(err.text, "knows no unit KB-9999"));
	assert_int_equal(unit_life_load(&reader.sql, "unit-1", NULL, &life, &err), 0);
	reader_close(&reader);
}

/* What a year of one station holds is told at once. The rows are made inside one transaction of a second
 * connection, because twelve thousand synchronous commits measure the disk. */
static void test_twelve_thousand(void **state)
{
	struct bench *bench = *state;
	struct yield_wish wish = {.run = YIELD_ALL_RUNS};
	struct yield yield;
	struct timespec begin, end;
	sqlite3 *db = NULL;

	attempt(bench, "1", "", "FAIL", "CONTACT");
	assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "BEGIN;"
				      "WITH RECURSIVE n(i) AS (VALUES (2) UNION ALL SELECT i + 1 FROM n WHERE i < 12000)"
				      " INSERT INTO attempts (id, run, slot, programmer, opened_ms) SELECT i, 1, 1, 1, i FROM n;"
				      "INSERT INTO units (id, product, first_attempt) SELECT id, 'pad', id FROM attempts"
				      " WHERE id > 1 AND id <= 10000;"
				      "UPDATE attempts SET unit = 2 + id % 9999, number = id, closed_ms = id + 1,"
				      " status = CASE WHEN id % 50 THEN 'PASS' ELSE 'FAIL' END,"
				      " code = CASE WHEN id % 50 THEN NULL ELSE 'VERIFY' END WHERE id > 1;"
				      "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	load(bench, &wish, &yield);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(yield.attempts, 12000);
	assert_int_equal(yield.first.total, 10000);
	assert_true((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9 < 1.0);
	yield_free(&yield);
}

static void test_reader_refuses(void **state)
{
	struct bench *bench = *state;
	struct reader reader;
	struct log_error err;
	char name[320];

	snprintf(name, sizeof(name), "%s/none.db", bench->folder);
	assert_int_equal(reader_open(name, &reader, &err), READER_INPUT);
	assert_non_null(strstr(err.text, "No such file"));
	reader_close(&reader);
	FILE *text = fopen(name, "w");

	assert_non_null(text);
	for (int i = 0; i < 200; i++)
		fputs("this is a shopping list, ", text);
	fclose(text);
	assert_int_equal(reader_open(name, &reader, &err), READER_INPUT);
	assert_non_null(strstr(err.text, "not a Pogoline log"));
	reader_close(&reader);
	unlink(name);
}

static void read_in_read_only_folder(const char *path)
{
	struct reader reader;
	struct log_error err;

	if (geteuid() == 0 && setuid(65534) != 0)
		_exit(2);
	enum reader_result result = reader_open(path, &reader, &err);
	bool frozen = reader.frozen;

	reader_close(&reader);
	_exit(result == READER_OK && frozen ? 0 : 3);
}

/* An archived log is readable where nothing may be written, as a user for whom permissions count. */
static void test_read_only_folder(void **state)
{
	struct bench *bench = *state;
	int status = 0;

	attempt(bench, "1", "+", "PASS", NULL);
	log_close(bench->log);
	bench->log = NULL;
	assert_int_equal(chmod(bench->folder, 0555), 0);
	pid_t child = fork();

	if (child == 0)
		read_in_read_only_folder(bench->path);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(chmod(bench->folder, 0755), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wilson),
		cmocka_unit_test_setup_teardown(test_worked_example, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_selection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unit_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_twelve_thousand, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_only_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reader_refuses, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
