#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/log.h"

struct bench {
	char folder[200], path[300];
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *base = getenv("TMPDIR");

	snprintf(bench->folder, sizeof(bench->folder), "%.150s/pogo-log-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/log.db", bench->folder);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[320];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", bench->path, ends[i]);
		unlink(name);
	}
	rmdir(bench->folder);
	free(bench);
	return 0;
}

static struct log *open_log(const struct bench *bench, struct log_recovery *recovery)
{
	struct log_error err = {0};
	struct log *log = NULL;

	if (log_open(bench->path, 5000, &log, recovery, &err) < 0)
		fail_msg("%s", err.text);
	return log;
}

static int64_t begin_run(struct log *log)
{
	struct log_run run = {.station = "bench", .operator_name = "Ada", .tool_version = "0.1.0", .product = "pad",
			      .part = "atmega32u4", .recipe_digest = "r1", .recipe_text = "x", .recipe_path = "pad.cfg",
			      .image_digest = "i1", .image_path = "pad.hex", .now_ms = 1000};
	struct log_error err;
	int64_t id = 0;

	assert_int_equal(log_run_begin(log, &run, &id, &err), 0);
	return id;
}

static int64_t open_attempt(struct log *log, int64_t run)
{
	struct log_attempt attempt = {.run_id = run, .slot = "1", .port = "1-4.2", .programmer_kind = "usbasp",
				      .programmer_firmware = NULL, .programmer_usb = "16c0:05dc 1.04", .now_ms = 2000};
	struct log_error err = {0};
	int64_t id = 0;

	if (log_attempt_open(log, &attempt, &id, &err) < 0)
		fail_msg("%s", err.text);
	return id;
}

static enum log_serial_result claim_chip(struct log *log, int64_t attempt, const char *found, const char *silicon_id,
					 char serial[48])
{
	struct log_serial_wish wish = {.attempt_id = attempt, .product = "pad", .prefix = "KB-", .width = 4, .first = 7,
				       .found = found, .silicon_id = silicon_id, .now_ms = 2100};
	enum log_serial_result result = LOG_SERIAL_EXHAUSTED;
	struct log_error err = {0};

	if (log_serial_claim(log, &wish, serial, &result, &err) < 0)
		fail_msg("%s", err.text);
	return result;
}

static enum log_serial_result claim(struct log *log, int64_t attempt, const char *found, char serial[48])
{
	return claim_chip(log, attempt, found, NULL, serial);
}

static void close_chip(struct log *log, int64_t attempt, const char *status, bool maybe, const char *silicon_id)
{
	bool pass = strcmp(status, "PASS") == 0;
	struct log_measure measure = {.name = "sck_hz", .number = 1500000};
	struct log_result result = {.attempt_id = attempt, .status = status, .code = pass ? NULL : "VERIFY",
				    .step = pass ? NULL : "verify", .sentence = pass ? NULL : "slot 1: differs",
				    .serial_may_be_on_chip = maybe, .silicon_id = silicon_id, .now_ms = 3000, .duration_us = 900, .measures = &measure,
				    .measure_count = 1};
	struct log_error err = {0};

	if (log_attempt_close(log, &result, &err) < 0)
		fail_msg("%s", err.text);
}

static void close_attempt(struct log *log, int64_t attempt, const char *status, bool maybe)
{
	close_chip(log, attempt, status, maybe, NULL);
}

/* One text out of the file, by a connection of its own. */
static void ask(const struct bench *bench, const char *query, char *out, size_t size)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;

	assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &row, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	snprintf(out, size, "%s", sqlite3_column_text(row, 0) ? (const char *)sqlite3_column_text(row, 0) : "NULL");
	sqlite3_finalize(row);
	sqlite3_close(db);
}

static void expect(const struct bench *bench, const char *query, const char *answer)
{
	char text[200];

	ask(bench, query, text, sizeof(text));
	assert_string_equal(text, answer);
}

static void test_serial_life(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	struct log_error err;
	char serial[48], other[48];
	int64_t run = begin_run(log), first = open_attempt(log, run);

	assert_int_equal(claim(log, first, NULL, serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-0007");
	int64_t second = open_attempt(log, run);

	assert_int_equal(claim(log, second, serial, other), LOG_SERIAL_BUSY);
	assert_int_equal(claim(log, second, "KB-4711", other), LOG_SERIAL_UNKNOWN);
	assert_int_equal(claim(log, second, NULL, other), LOG_SERIAL_NEW);
	assert_string_equal(other, "KB-0008");
	assert_int_equal(log_serial_written(log, first, 2200, &err), 0);
	close_attempt(log, first, "PASS", true);
	close_attempt(log, second, "FAIL", false);
	expect(bench, "SELECT group_concat(state, ',') FROM serials", "COMMITTED,VOID");
	/* Void is void: the next number is a new one. */
	int64_t third = open_attempt(log, run);

	assert_int_equal(claim(log, third, NULL, other), LOG_SERIAL_NEW);
	assert_string_equal(other, "KB-0009");
	close_attempt(log, third, "FAIL", true);
	expect(bench, "SELECT state FROM serials WHERE text = 'KB-0009'", "IN DOUBT");
	log_close(log);
}

static void test_returned_board(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	struct log_error err;
	char serial[48];
	int64_t run = begin_run(log), id = open_attempt(log, run);

	claim(log, id, NULL, serial);
	close_attempt(log, id, "PASS", true);
	/* It came back and failed before anything was done to it: it still is what it was. */
	id = open_attempt(log, run);
	assert_int_equal(log_step_begin(log, id, "serial", 2050, &err), 0);
	assert_int_equal(claim(log, id, "KB-0007", serial), LOG_SERIAL_RETURNED);
	expect(bench, "SELECT state FROM serials", "RESERVED");
	close_attempt(log, id, "FAIL", false);
	expect(bench, "SELECT state FROM serials", "COMMITTED");
	/* It came back and failed while it was being erased: only the board knows. */
	id = open_attempt(log, run);
	assert_int_equal(claim(log, id, "KB-0007", serial), LOG_SERIAL_RETURNED);
	assert_int_equal(log_step_begin(log, id, "erase", 2060, &err), 0);
	close_attempt(log, id, "FAIL", false);
	expect(bench, "SELECT state FROM serials", "IN DOUBT");
	id = open_attempt(log, run);
	assert_int_equal(claim(log, id, "KB-0007", serial), LOG_SERIAL_RETURNED);
	close_attempt(log, id, "PASS", true);
	expect(bench, "SELECT state FROM serials", "COMMITTED");
	expect(bench, "SELECT count(*) || ' ' || max(number) FROM attempts WHERE unit = 1", "4 4");
	expect(bench, "SELECT count(*) FROM serial_history", "8");
	log_close(log);
}

static void test_chip_keeps_its_serial(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	char serial[48];
	int64_t run = begin_run(log), id = open_attempt(log, run);

	assert_int_equal(claim_chip(log, id, NULL, "AA01", serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-0007");
	close_chip(log, id, "PASS", true, "AA01");
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, NULL, "AA02", serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-0008");
	close_chip(log, id, "FAIL", true, "AA02");
	/* Erased, or protected: the board does not show its number, its chip does. */
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, NULL, "AA01", serial), LOG_SERIAL_RETURNED);
	assert_string_equal(serial, "KB-0007");
	close_chip(log, id, "PASS", true, "AA01");
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, "KB-0008", "AA02", serial), LOG_SERIAL_RETURNED);
	close_chip(log, id, "PASS", true, "AA02");
	expect(bench, "SELECT count(*) || ' ' || count(DISTINCT unit) FROM attempts", "4 2");
	expect(bench, "SELECT group_concat(text) FROM silicon_ids", "AA01,AA02");
	/* It failed before its number was asked for: it is the same unit all the same. */
	id = open_attempt(log, run);
	close_chip(log, id, "FAIL", false, "AA02");
	expect(bench, "SELECT serial FROM units JOIN attempts ON attempts.unit = units.id ORDER BY attempts.id DESC LIMIT 1",
	       "KB-0008");
	log_close(log);
}

static void test_serial_on_two_chips_is_an_alarm(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	char serial[48];
	int64_t run = begin_run(log), id = open_attempt(log, run);

	claim_chip(log, id, NULL, "AA01", serial);
	close_chip(log, id, "PASS", true, "AA01");
	id = open_attempt(log, run);
	claim_chip(log, id, NULL, "AA02", serial);
	close_chip(log, id, "PASS", true, "AA02");
	/* A new chip with a number that another chip has. */
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, "KB-0007", "AA03", serial), LOG_SERIAL_OTHER_CHIP);
	assert_string_equal(serial, "KB-0007");
	close_chip(log, id, "FAIL", false, "AA03");
	/* A known chip with a number that it was not given. */
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, "KB-0008", "AA01", serial), LOG_SERIAL_OTHER_NUMBER);
	assert_string_equal(serial, "KB-0007");
	close_chip(log, id, "FAIL", false, "AA01");
	expect(bench, "SELECT group_concat(state) FROM serials", "COMMITTED,COMMITTED");
	/* The copy, erased, gets a number of its own. */
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, NULL, "AA03", serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-0009");
	close_chip(log, id, "PASS", true, "AA03");
	/* The same chip in two slots at once cannot be. */
	id = open_attempt(log, run);
	int64_t other = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, NULL, "AA03", serial), LOG_SERIAL_RETURNED);
	assert_int_equal(claim_chip(log, other, NULL, "AA03", serial), LOG_SERIAL_BUSY);
	close_chip(log, id, "PASS", true, "AA03");
	close_chip(log, other, "FAIL", false, "AA03");
	/* A number from before chips were looked at is bound to the first chip that shows it. */
	id = open_attempt(log, run);
	claim(log, id, NULL, serial);
	close_attempt(log, id, "PASS", true);
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, "KB-0010", "AA04", serial), LOG_SERIAL_RETURNED);
	close_chip(log, id, "PASS", true, "AA04");
	id = open_attempt(log, run);
	assert_int_equal(claim_chip(log, id, "KB-0010", "AA05", serial), LOG_SERIAL_OTHER_CHIP);
	close_chip(log, id, "FAIL", false, "AA05");
	log_close(log);
}

static void test_chips_without_serials_are_units(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	int64_t run = begin_run(log);

	close_chip(log, open_attempt(log, run), "FAIL", false, "AA01");
	close_chip(log, open_attempt(log, run), "PASS", false, "AA01");
	close_chip(log, open_attempt(log, run), "PASS", false, "AA02");
	close_chip(log, open_attempt(log, run), "PASS", false, NULL);
	expect(bench, "SELECT count(*) FROM units", "3");
	expect(bench, "SELECT group_concat(unit || '.' || number) FROM attempts", "1.1,1.2,2.1,3.1");
	log_close(log);
}

static void test_exhausted(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	int64_t run = begin_run(log);
	struct log_serial_wish wish = {.product = "pad", .prefix = "A", .width = 1, .first = 9, .now_ms = 1};
	enum log_serial_result result;
	struct log_error err;
	char serial[48];

	wish.attempt_id = open_attempt(log, run);
	assert_int_equal(log_serial_claim(log, &wish, serial, &result, &err), 0);
	assert_int_equal(result, LOG_SERIAL_NEW);
	assert_string_equal(serial, "A9");
	assert_int_equal(log_serial_claim(log, &wish, serial, &result, &err), -1);
	wish.attempt_id = open_attempt(log, run);
	assert_int_equal(log_serial_claim(log, &wish, serial, &result, &err), 0);
	assert_int_equal(result, LOG_SERIAL_EXHAUSTED);
	log_close(log);
}

static void test_thousand_claims(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	int64_t run = begin_run(log);
	char serial[48];

	for (int i = 0; i < 1000; i++)
		assert_int_equal(claim(log, open_attempt(log, run), NULL, serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-1006");
	expect(bench, "SELECT count(DISTINCT text) || ' ' || min(number) || ' ' || max(number) FROM serials", "1000 7 1006");
	log_close(log);
}

static void test_units_without_serial(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	int64_t run = begin_run(log);

	close_attempt(log, open_attempt(log, run), "FAIL", false);
	close_attempt(log, open_attempt(log, run), "ERROR", false);
	expect(bench, "SELECT (SELECT unit FROM attempts WHERE id = 1) || coalesce(unit, '-') FROM attempts WHERE id = 2", "1-");
	expect(bench, "SELECT count(*) FROM units WHERE serial IS NULL", "1");
	log_close(log);
}

static void refuses(sqlite3 *db, const char *statement)
{
	if (sqlite3_exec(db, statement, NULL, NULL, NULL) != SQLITE_CONSTRAINT)
		fail_msg("was not refused: %s", statement);
}

static void test_finished_is_finished(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL);
	struct log_error err;
	struct log_result again = {.status = "PASS", .now_ms = 1};
	char serial[48];
	sqlite3 *db = NULL;
	int64_t run = begin_run(log);

	again.attempt_id = open_attempt(log, run);
	assert_int_equal(log_step_begin(log, again.attempt_id, "erase", 2050, &err), 0);
	assert_int_equal(log_step_end(log, again.attempt_id, "erase", 10, "ok", &err), 0);
	assert_int_equal(log_step_end(log, again.attempt_id, "erase", 10, "ok", &err), -1);
	claim(log, again.attempt_id, NULL, serial);
	close_attempt(log, again.attempt_id, "PASS", true);
	assert_int_equal(log_attempt_close(log, &again, &err), -1);
	assert_int_equal(log_serial_written(log, again.attempt_id, 1, &err), -1);
	assert_int_equal(log_step_begin(log, again.attempt_id, "late", 1, &err), -1);
	const struct log_measure measure = {"late", 1, NULL};
	assert_int_equal(log_attempt_measure(log, again.attempt_id, &measure, &err), -1);
	assert_int_equal(log_run_end(log, run, 9000, &err), 0);
	assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
	refuses(db, "UPDATE attempts SET status = 'FAIL', code = 'VERIFY'");
	refuses(db, "UPDATE steps SET result = 'VERIFY'");
	refuses(db, "UPDATE measures SET number = 1");
	refuses(db, "INSERT INTO measures (attempt, name, number) VALUES (1, 'x', 1)");
	refuses(db, "UPDATE serial_history SET state = 'VOID'");
	refuses(db, "UPDATE serials SET state = 'VOID'");
	refuses(db, "UPDATE serials SET text = 'KB-1'");
	refuses(db, "UPDATE units SET product = 'x'");
	refuses(db, "UPDATE runs SET operator = 'Eve'");
	refuses(db, "UPDATE runs SET ended_ms = 1");
	static const char *const tables[] = {"attempts", "steps", "measures", "serial_history", "serials", "units",
					     "runs", "recipes", "images", "slots", "programmers"};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		char statement[80];

		snprintf(statement, sizeof(statement), "DELETE FROM %s", tables[i]);
		refuses(db, statement);
	}
	sqlite3_close(db);
	log_close(log);
}

/* In a child: what a station has open in the middle of a board, then death without a word. */
static void die_in_the_middle(const struct bench *bench)
{
	struct log *log = open_log(bench, NULL);
	struct log_error err;
	char serial[48];
	int64_t run = begin_run(log), id = open_attempt(log, run);

	claim(log, id, NULL, serial);
	(void)log_step_begin(log, id, "program", 2300, &err);
	id = open_attempt(log, run);
	claim(log, id, NULL, serial);
	(void)log_serial_written(log, id, 2400, &err);
	id = open_attempt(log, run);
	claim(log, id, NULL, serial);
	close_attempt(log, id, "PASS", true);
	(void)kill(getpid(), SIGKILL);
}

static void test_crash(void **state)
{
	struct bench *bench = *state;
	struct log_recovery recovery;
	char serial[48];
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		die_in_the_middle(bench);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	struct log *log = open_log(bench, &recovery);

	assert_int_equal(recovery.runs, 1);
	assert_int_equal(recovery.attempts, 2);
	assert_int_equal(recovery.serials, 2);
	assert_string_equal(recovery.names[0], "KB-0007");
	assert_string_equal(recovery.names[1], "KB-0008");
	assert_string_equal(recovery.names[2], "");
	expect(bench, "SELECT group_concat(state, ',') FROM serials", "IN DOUBT,IN DOUBT,COMMITTED");
	expect(bench, "SELECT sentence FROM attempts WHERE id = 1", "interrupted: the station stopped in step program");
	expect(bench, "SELECT status || code || interrupted || coalesce(step, '-') FROM attempts WHERE id = 2",
	       "ERRORABORTED1-");
	expect(bench, "SELECT status || interrupted FROM attempts WHERE id = 3", "PASS0");
	expect(bench, "SELECT result FROM steps", "ABORTED");
	expect(bench, "SELECT interrupted FROM runs", "1");
	/* The interrupted numbers are never given again; the board that carries one gets it back. */
	int64_t run = begin_run(log);

	assert_int_equal(claim(log, open_attempt(log, run), NULL, serial), LOG_SERIAL_NEW);
	assert_string_equal(serial, "KB-0010");
	assert_int_equal(claim(log, open_attempt(log, run), "KB-0008", serial), LOG_SERIAL_RETURNED);
	log_close(log);
	log = open_log(bench, &recovery);
	assert_int_equal(recovery.attempts, 2);
	log_close(log);
	log = open_log(bench, &recovery);
	assert_int_equal(recovery.runs + recovery.attempts + recovery.serials, 0);
	log_close(log);
}

static void test_one_owner(void **state)
{
	struct bench *bench = *state;
	struct log *log = open_log(bench, NULL), *second = NULL;
	struct log_error err;
	char pid[40];

	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_int_equal(log_open(bench->path, 1, &second, NULL, &err), -1);
	assert_null(second);
	assert_non_null(strstr(err.text, "in use by another station"));
	assert_non_null(strstr(err.text, pid));
	log_close(log);
	log_close(open_log(bench, NULL));
}

/* The disk fills up in the middle of a run: each call fails with a sentence, and nothing finished is lost. */
static void fill_the_disk(const struct bench *bench)
{
	struct log *log = open_log(bench, NULL);
	int64_t run = begin_run(log), id = 0;
	struct log_error err = {0};
	struct stat info;
	char wal[320];

	close_attempt(log, open_attempt(log, run), "PASS", true);
	snprintf(wal, sizeof(wal), "%s-wal", bench->path);
	if (stat(wal, &info) != 0)
		_exit(2);
	struct rlimit limit = {.rlim_cur = (rlim_t)info.st_size + 8192, .rlim_max = RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		_exit(3);
	struct log_attempt attempt = {.run_id = run, .slot = "1", .port = "1-4.2", .programmer_kind = "usbasp",
				      .now_ms = 2000};
	int result = 0;

	for (int i = 0; i < 100 && result == 0; i++)
		result = log_attempt_open(log, &attempt, &id, &err);
	_exit(result == -1 && err.full && strstr(err.text, "full") ? 0 : 4);
}

static void test_full_disk(void **state)
{
	struct bench *bench = *state;
	struct log_recovery recovery;
	int status = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		fill_the_disk(bench);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	log_close(open_log(bench, &recovery));
	expect(bench, "SELECT count(*) FROM attempts WHERE status = 'PASS'", "1");
	expect(bench, "PRAGMA integrity_check", "ok");
}

static void test_places(void **state)
{
	struct bench *bench = *state;
	struct log *log = NULL;
	struct log_error err;
	char name[400];

	snprintf(name, sizeof(name), "%s/none/log.db", bench->folder);
	assert_int_equal(log_open(name, 1, &log, NULL, &err), -1);
	assert_non_null(strstr(err.text, "there is no folder"));
	assert_int_equal(log_open(bench->folder, 1, &log, NULL, &err), -1);
	assert_non_null(strstr(err.text, "not a regular file"));
	FILE *text = fopen(bench->path, "w");

	assert_non_null(text);
	for (int i = 0; i < 200; i++)
		fputs("this is a shopping list, ", text);
	fclose(text);
	assert_int_equal(log_open(bench->path, 1, &log, NULL, &err), -1);
	assert_non_null(strstr(err.text, "not a Pogoline log"));
	assert_null(log);
}

/* As a user other than root, for whom permissions count. */
static void test_write_protected(void **state)
{
	struct bench *bench = *state;
	int status = 0;

	log_close(open_log(bench, NULL));
	assert_int_equal(chmod(bench->path, 0444), 0);
	assert_int_equal(chmod(bench->folder, 0777), 0);
	char lock[320];

	snprintf(lock, sizeof(lock), "%s.lock", bench->path);
	unlink(lock);
	pid_t child = fork();

	if (child == 0) {
		struct log *log = NULL;
		struct log_error err = {0};

		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(2);
		int result = log_open(bench->path, 1, &log, NULL, &err);

		_exit(result == -1 && strstr(err.text, "write-protected") ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_serial_life), CASE(test_returned_board), CASE(test_exhausted), CASE(test_thousand_claims),
		CASE(test_chip_keeps_its_serial), CASE(test_serial_on_two_chips_is_an_alarm),
		CASE(test_chips_without_serials_are_units),
		CASE(test_units_without_serial), CASE(test_finished_is_finished), CASE(test_crash), CASE(test_one_owner),
		CASE(test_full_disk), CASE(test_places), CASE(test_write_protected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
