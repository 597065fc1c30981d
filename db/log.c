#include "db/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/log_lock.h"
#include "db/log_private.h"
#include "db/schema.h"

enum { BUSY_MS = 10000 }; /* a reader holds no lock in WAL mode; only a foreign writer or a checkpoint makes one wait */

int log_settle(struct log *log, int result, bool explained, const char *doing, struct log_error *err)
{
	if (result == 0 && sql_commit(&log->sql) == 0)
		return 0;
	if (!explained)
		sql_fail(&log->sql, err, doing);
	sql_rollback(&log->sql);
	return -1;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

static int open_file(struct sql *sql, struct log_error *err)
{
	if (sqlite3_open_v2(sql->path, &sql->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		return sql_fail(sql, err, "open");
	sqlite3_extended_result_codes(sql->db, 1);
	sqlite3_busy_timeout(sql->db, BUSY_MS);
	/* SQLite opens a write-protected file for reading without a word. */
	if (sqlite3_db_readonly(sql->db, "main") == 1)
		return log_fail(err, "cannot write the log %s: the file is write-protected; make it writable for this user, "
				     "or name another with --db", sql->path);
	return 0;
}

/* Only after schema_check: these settings are written into the file, which might be somebody else's. */
static int settle_modes(struct sql *sql, struct log_error *err)
{
	sqlite3_stmt *mode = sql_query(sql, "PRAGMA journal_mode = WAL", "");

	if (!mode || sqlite3_step(mode) != SQLITE_ROW)
		return sql_fail(sql, err, "open");
	bool wal = strcmp(sql_text(mode, 0), "wal") == 0;

	sqlite3_reset(mode);
	if (!wal)
		return log_fail(err, "cannot keep the log %s there: the disk allows no write-ahead log (a network share?); "
				     "name a place on a local disk with --db", sql->path);
	if (sqlite3_exec(sql->db,
			 "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;"
			 /* 256 KiB: a writer appends; what it holds must not grow all shift long */
			 " PRAGMA cache_size = -256;", NULL,
			 NULL, NULL) != SQLITE_OK)
		return sql_fail(sql, err, "open");
	return 0;
}

static int check_pages(struct sql *sql, struct log_error *err)
{
	sqlite3_stmt *check = sql_query(sql, "PRAGMA quick_check(1)", "");

	if (!check || sqlite3_step(check) != SQLITE_ROW)
		return sql_fail(sql, err, "check");
	int result = 0;

	if (strcmp(sql_text(check, 0), "ok") != 0)
		result = log_fail(err, "the log %s is damaged (%.160s); keep a copy of it, and start a new one with --db",
				  sql->path, sql_text(check, 0));
	sqlite3_reset(check);
	return result;
}

/* A write-ahead log that is not empty was left by a process that did not close its log. */
static bool left_unclean(const char *path)
{
	char wal[600];
	struct stat info;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	return stat(wal, &info) == 0 && info.st_size > 0;
}

static int open_locked(struct log *log, int64_t now_ms, struct log_recovery *recovery, struct log_error *err)
{
	size_t count = 0;
	const struct schema_step *steps = schema_steps(&count);
	bool unclean = left_unclean(log->sql.path);
	int version = 0;

	if (open_file(&log->sql, err) < 0 || schema_check(&log->sql, steps, count, &version, err) < 0 ||
	    settle_modes(&log->sql, err) < 0)
		return -1;
	if (unclean && check_pages(&log->sql, err) < 0)
		return -1;
	if (schema_upgrade(&log->sql, steps, count, version, err) < 0)
		return -1;
	return log_recover(log, now_ms, recovery, err);
}

/* Two names of one file must lead to one lock. */
static int true_path(const char *path, char *out, size_t size, struct log_error *err)
{
	char *resolved = realpath(path, NULL);
	const char *best = resolved ? resolved : path;
	int result = 0;

	if (*path == '\0' || strlen(best) >= size - 32)
		result = log_fail(err, "cannot open the log \"%.100s\": a path of 1 to %zu characters is needed", path,
				  size - 32);
	else
		snprintf(out, size, "%s", best);
	free(resolved);
	return result;
}

int log_open(const char *path, int64_t now_ms, struct log **out, struct log_recovery *recovery, struct log_error *err)
{
	struct log_recovery unused;
	char name[sizeof(((struct sql *)0)->path)];
	struct stat info;

	*out = NULL;
	if (true_path(path, name, sizeof(name), err) < 0)
		return -1;
	if (stat(name, &info) == 0 && !S_ISREG(info.st_mode))
		return log_fail(err, "cannot open the log %s: it is not a regular file; name another with --db", name);
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return log_fail(err, "cannot open the log %s: out of memory", path);
	sql_init(&log->sql, name);
	log->lock = -1;
	if (log_lock_take(name, &log->lock, err) < 0 ||
	    open_locked(log, now_ms, recovery ? recovery : &unused, err) < 0) {
		log_close(log);
		return -1;
	}
	*out = log;
	return 0;
}

void log_close(struct log *log)
{
	if (!log)
		return;
	sql_close(&log->sql);
	log_lock_drop(log->lock); /* after the file: the next station finds it closed */
	free(log);
}

/* ---- runs ------------------------------------------------------------------------------------------------- */

static int remember_recipe(struct sql *sql, const struct log_run *run, int64_t *recipe, int64_t *image)
{
	if (sql_do(sql, "INSERT INTO recipes (digest, text, product, path) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT (digest) DO NOTHING", "eeee",
		   run->recipe_digest, run->recipe_text, run->product, run->recipe_path) < 0 ||
	    sql_do(sql, "INSERT INTO images (digest, crc32, bytes, path) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT (digest) DO NOTHING", "eiie",
		   run->image_digest, (int64_t)run->image_crc32, (int64_t)run->image_bytes, run->image_path) < 0)
		return -1;
	if (sql_int(sql, recipe, "SELECT id FROM recipes WHERE digest = ?1", "e", run->recipe_digest) != 1)
		return -1;
	return sql_int(sql, image, "SELECT id FROM images WHERE digest = ?1", "e", run->image_digest) == 1 ? 0 : -1;
}

int log_run_begin(struct log *log, const struct log_run *run, int64_t *run_id, struct log_error *err)
{
	struct sql *sql = &log->sql;
	int64_t recipe = 0, image = 0;

	if (sql_begin(sql) < 0)
		return sql_fail(sql, err, "write");
	int result = remember_recipe(sql, run, &recipe, &image);

	if (result == 0)
		result = sql_do(sql,
				"INSERT INTO runs (station, operator, tool_version, product, part, recipe, image, begun_ms)"
				" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", "eeeeeiii",
				run->station, run->operator_name, run->tool_version, run->product, run->part, recipe, image,
				run->now_ms);
	int64_t id = sqlite3_last_insert_rowid(sql->db);

	if (log_settle(log, result, false, "begin a run in", err) < 0)
		return -1;
	*run_id = id;
	return 0;
}

int log_run_end(struct log *log, int64_t run_id, int64_t now_ms, struct log_error *err)
{
	struct sql *sql = &log->sql;

	if (sql_do(sql, "UPDATE runs SET ended_ms = ?2 WHERE id = ?1", "ii", run_id, now_ms) < 0)
		return sql_fail(sql, err, "end a run in");
	if (sqlite3_changes(sql->db) != 1)
		return log_fail(err, "the log %s has no run %lld", sql->path, (long long)run_id);
	return 0;
}

/* ---- attempts --------------------------------------------------------------------------------------------- */

static int remember_place(struct sql *sql, const struct log_attempt *attempt, int64_t *slot, int64_t *programmer)
{
	if (sql_do(sql, "INSERT INTO slots (station, name, port) SELECT station, ?2, ?3 FROM runs WHERE id = ?1"
			" ON CONFLICT DO NOTHING", "iee",
		   attempt->run_id, attempt->slot, attempt->port) < 0 ||
	    sql_do(sql, "INSERT INTO programmers (kind, firmware, usb, port) VALUES (?1, ?2, ?3, ?4)"
			" ON CONFLICT DO NOTHING", "eeee",
		   attempt->programmer_kind, attempt->programmer_firmware, attempt->programmer_usb, attempt->port) < 0)
		return -1;
	if (sql_int(sql, slot, "SELECT s.id FROM slots AS s JOIN runs AS r ON r.station = s.station"
			       " WHERE r.id = ?1 AND s.name = ?2 AND s.port = ?3", "iee",
		    attempt->run_id, attempt->slot, attempt->port) < 0)
		return -1;
	return sql_int(sql, programmer, "SELECT id FROM programmers WHERE kind = ?1 AND firmware = ?2 AND usb = ?3"
					" AND port = ?4", "eeee",
		       attempt->programmer_kind, attempt->programmer_firmware, attempt->programmer_usb,
		       attempt->port) == 1 ? 0 : -1;
}

int log_attempt_open(struct log *log, const struct log_attempt *attempt, int64_t *attempt_id, struct log_error *err)
{
	struct sql *sql = &log->sql;
	int64_t slot = 0, programmer = 0, ended = 0;

	if (sql_begin(sql) < 0)
		return sql_fail(sql, err, "write");
	if (sql_int(sql, &ended, "SELECT ended_ms IS NOT NULL FROM runs WHERE id = ?1", "i", attempt->run_id) != 1 ||
	    ended) {
		log_fail(err, "the log %s has no open run %lld", sql->path, (long long)attempt->run_id);
		return log_settle(log, -1, true, "", err);
	}
	int result = remember_place(sql, attempt, &slot, &programmer);

	if (result == 0)
		result = sql_do(sql, "INSERT INTO attempts (run, slot, programmer, opened_ms) VALUES (?1, ?2, ?3, ?4)",
				"iiii", attempt->run_id, slot, programmer, attempt->now_ms);
	int64_t id = sqlite3_last_insert_rowid(sql->db);

	if (log_settle(log, result, false, "open an attempt in", err) < 0)
		return -1;
	*attempt_id = id;
	return 0;
}

int log_step_begin(struct log *log, int64_t attempt_id, const char *step, int64_t now_ms, struct log_error *err)
{
	if (sql_do(&log->sql, "INSERT INTO steps (attempt, seq, name, begun_ms) VALUES (?1,"
			      " (SELECT coalesce(max(seq), 0) + 1 FROM steps WHERE attempt = ?1), ?2, ?3)", "iei",
		   attempt_id, step, now_ms) < 0)
		return sql_fail(&log->sql, err, "note a step in");
	return 0;
}

int log_step_end(struct log *log, int64_t attempt_id, const char *step, int64_t duration_us, const char *result,
		 struct log_error *err)
{
	if (sql_do(&log->sql, "UPDATE steps SET duration_us = ?3, result = ?4 WHERE attempt = ?1 AND seq ="
			      " (SELECT max(seq) FROM steps WHERE attempt = ?1 AND name = ?2 AND result IS NULL)", "ieie",
		   attempt_id, step, duration_us, result) < 0)
		return sql_fail(&log->sql, err, "note a step in");
	if (sqlite3_changes(log->sql.db) != 1)
		return log_fail(err, "the log %s has no running step %s in attempt %lld", log->sql.path, step,
				(long long)attempt_id);
	return 0;
}

static int store_measure(struct sql *sql, int64_t attempt_id, const struct log_measure *measure)
{
	return sql_do(sql, "INSERT INTO measures (attempt, name, number, text) VALUES (?1, ?2, ?3, ?4)", "ieit", attempt_id,
		      measure->name, measure->number, measure->text);
}

int log_attempt_measure(struct log *log, int64_t attempt_id, const struct log_measure *measure, struct log_error *err)
{
	return store_measure(&log->sql, attempt_id, measure) < 0 ? sql_fail(&log->sql, err, "write") : 0;
}

static int store_measures(struct sql *sql, const struct log_result *result)
{
	for (size_t i = 0; i < result->measure_count; i++) {
		if (store_measure(sql, result->attempt_id, &result->measures[i]) < 0)
			return -1;
	}
	return 0;
}

/* A chip that was here before is the unit that it was then. 1: bound, 0: it is new, -1: failed. */
static int bind_known_chip(struct log *log, const struct log_result *result)
{
	char serial[48];
	int64_t unit = 0;
	int found = result->silicon_id ? log_silicon_find(log, result->attempt_id, result->silicon_id, &unit, serial) : 0;

	if (found <= 0)
		return found;
	return sql_do(&log->sql, "UPDATE attempts SET unit = ?2, number ="
				 " (SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE unit = ?2) WHERE id = ?1", "ii",
		      result->attempt_id, unit) < 0 ? -1 : 1;
}

/* A board that was judged without ever getting a serial number is a unit of its own. The station's own
 * trouble judges no board. */
static int ensure_unit(struct log *log, const struct log_result *result)
{
	int64_t unit = 0;

	if (strcmp(result->status, "ERROR") == 0)
		return 0;
	int found = sql_int(&log->sql, &unit, "SELECT unit FROM attempts WHERE id = ?1 AND unit IS NOT NULL", "i",
			    result->attempt_id);

	if (found == 0)
		found = bind_known_chip(log, result);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (log_unit_create(log, result->attempt_id, NULL, &unit) < 0)
		return -1;
	return result->silicon_id ? log_silicon_bind(log, result->attempt_id, result->silicon_id) : 0;
}

static int close_row(struct sql *sql, const struct log_result *result)
{
	bool pass = strcmp(result->status, "PASS") == 0;
	int64_t address = result->address, expected = result->expected, found = result->found;

	if (sql_do(sql, "UPDATE steps SET result = coalesce(?2, 'ok') WHERE attempt = ?1 AND result IS NULL", "it",
		   result->attempt_id, pass ? NULL : result->code) < 0)
		return -1;
	return sql_do(sql, "UPDATE attempts SET closed_ms = ?2, status = ?3, code = ?4, step = ?5, sentence = ?6,"
			   " address = ?7, expected = ?8, found = ?9, duration_us = ?10 WHERE id = ?1", "iittttoooi",
		      result->attempt_id, result->now_ms, result->status, pass ? NULL : result->code,
		      pass ? NULL : result->step, pass ? NULL : result->sentence, result->has_address ? &address : NULL,
		      result->has_address ? &expected : NULL, result->has_address ? &found : NULL, result->duration_us);
}

static int refuse_result(struct log *log, const struct log_result *result, struct log_error *err)
{
	const char *status = result->status ? result->status : "(none)";
	bool pass = strcmp(status, "PASS") == 0;
	int64_t closed = 0;

	if (!pass && strcmp(status, "FAIL") != 0 && strcmp(status, "ERROR") != 0)
		return log_fail(err, "attempt %lld: no such status: %s", (long long)result->attempt_id, status);
	if (!pass && !result->code)
		return log_fail(err, "attempt %lld: %s without a code", (long long)result->attempt_id, status);
	int found = sql_int(&log->sql, &closed, "SELECT closed_ms IS NOT NULL FROM attempts WHERE id = ?1", "i",
			    result->attempt_id);

	if (found < 0)
		return sql_fail(&log->sql, err, "read");
	if (!found || closed)
		return log_fail(err, "the log %s has no open attempt %lld", log->sql.path, (long long)result->attempt_id);
	return 0;
}

int log_attempt_close(struct log *log, const struct log_result *result, struct log_error *err)
{
	if (sql_begin(&log->sql) < 0)
		return sql_fail(&log->sql, err, "write");
	if (refuse_result(log, result, err) < 0)
		return log_settle(log, -1, true, "", err);
	int failed = store_measures(&log->sql, result) < 0 || ensure_unit(log, result) < 0 ||
		     log_serial_settle(log, result) < 0 || close_row(&log->sql, result) < 0;

	return log_settle(log, failed ? -1 : 0, false, "close an attempt in", err);
}
