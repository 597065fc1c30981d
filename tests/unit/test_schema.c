#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/log.h"
#include "db/reader.h"
#include "db/schema.h"

struct bench {
	char folder[200], path[300];
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *base = getenv("TMPDIR");

	snprintf(bench->folder, sizeof(bench->folder), "%.150s/pogo-schema-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(bench->folder));
	snprintf(bench->path, sizeof(bench->path), "%s/log.db", bench->folder);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".before-schema-3", ".before-schema-3.2"};
	char name[330];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", bench->path, ends[i]);
		unlink(name);
	}
	assert_int_equal(rmdir(bench->folder), 0); /* nothing else was left behind */
	free(bench);
	return 0;
}

static void make_log(const struct bench *bench)
{
	struct log_error err;
	struct log *log = NULL;

	assert_int_equal(log_open(bench->path, 1, &log, NULL, &err), 0);
	log_close(log);
}

static void execute(const char *path, const char *statements)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, statements, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_steps_are_numbered(void **state)
{
	size_t count = 0;
	const struct schema_step *steps = schema_steps(&count);

	(void)state;
	assert_true(count >= 1);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(steps[i].number, (int)i + 1);
}

static void test_newer_is_refused(void **state)
{
	struct bench *bench = *state;
	struct log_error err = {0};
	struct log *log = NULL;
	struct reader reader;

	make_log(bench);
	execute(bench->path, "PRAGMA user_version = 42");
	assert_int_equal(log_open(bench->path, 1, &log, NULL, &err), -1);
	assert_true(err.newer);
	assert_non_null(strstr(err.text, "schema 42"));
	assert_non_null(strstr(err.text, "up to 2"));
	assert_non_null(strstr(err.text, "install the newer Pogoline"));
	assert_int_equal(reader_open(bench->path, &reader, &err), READER_INPUT);
	assert_true(err.newer);
	reader_close(&reader);
}

static void test_foreign_is_refused(void **state)
{
	struct bench *bench = *state;
	struct log_error err = {0};
	struct log *log = NULL;
	struct sql sql;
	int64_t tables = 0;

	execute(bench->path, "CREATE TABLE recipes (cake TEXT)");
	assert_int_equal(log_open(bench->path, 1, &log, NULL, &err), -1);
	assert_non_null(strstr(err.text, "not a Pogoline log"));
	sql_init(&sql, bench->path);
	assert_int_equal(sqlite3_open(bench->path, &sql.db), SQLITE_OK);
	assert_int_equal(sql_int(&sql, &tables, "SELECT count(*) FROM sqlite_schema", ""), 1);
	assert_int_equal(tables, 1);
	sql_close(&sql);
}

/* By all the steps there are and one more. */
static int upgrade(const struct bench *bench, const char *more, struct log_error *err)
{
	size_t count = 0;
	const struct schema_step *known = schema_steps(&count);
	struct schema_step steps[8];
	struct sql sql;
	int version = -1;

	assert_int_equal(count, 2);
	memcpy(steps, known, count * sizeof(*known));
	steps[count] = (struct schema_step){(int)count + 1, "0003_test", more};
	sql_init(&sql, bench->path);
	assert_int_equal(sqlite3_open(bench->path, &sql.db), SQLITE_OK);
	assert_int_equal(schema_check(&sql, steps, count + 1, &version, err), 0);
	int result = schema_upgrade(&sql, steps, count + 1, version, err);

	sql_close(&sql);
	return result;
}

static int64_t version_of(const char *path)
{
	struct sql sql;
	int64_t version = -1;

	sql_init(&sql, path);
	assert_int_equal(sqlite3_open(path, &sql.db), SQLITE_OK);
	assert_int_equal(sql_int(&sql, &version, "PRAGMA user_version", ""), 1);
	sql_close(&sql);
	return version;
}

static void test_upgrade_keeps_a_copy(void **state)
{
	struct bench *bench = *state;
	struct log_error err = {0};
	char copy[330];

	snprintf(copy, sizeof(copy), "%s.before-schema-3", bench->path);
	make_log(bench);
	/* A step that fails halfway leaves the file as it was; its backup stays, and the next one goes beside it. */
	assert_int_equal(upgrade(bench, "CREATE TABLE more (x); SELECT no_such_function();", &err), -1);
	assert_non_null(strstr(err.text, "0003_test"));
	assert_int_equal(version_of(bench->path), 2);
	assert_int_equal(version_of(copy), 2);
	assert_int_equal(upgrade(bench, "CREATE TABLE more (x);", &err), 0);
	assert_int_equal(version_of(bench->path), 3);
	strcat(copy, ".2");
	assert_int_equal(access(copy, R_OK), 0);
	assert_int_equal(version_of(copy), 2);
}

static void test_new_file_needs_no_copy(void **state)
{
	struct bench *bench = *state;
	struct log_error err = {0};
	char copy[330];

	snprintf(copy, sizeof(copy), "%s.before-schema-1", bench->path);
	assert_int_equal(upgrade(bench, "CREATE TABLE more (x);", &err), 0);
	assert_int_equal(version_of(bench->path), 3);
	assert_int_not_equal(access(copy, F_OK), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_are_numbered), CASE(test_newer_is_refused), CASE(test_foreign_is_refused),
		CASE(test_upgrade_keeps_a_copy), CASE(test_new_file_needs_no_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
