#include "db/log_private.h"

#include <stdio.h>

static const char serials_held[] =
	"SELECT text FROM serials WHERE state IN ('RESERVED', 'WRITTEN') ORDER BY id LIMIT ?1";

static const char serials_in_doubt[] =
	"UPDATE serials SET state = 'IN DOUBT', changed_ms = ?1 WHERE state IN ('RESERVED', 'WRITTEN')";

static const char attempts_interrupted[] =
	"UPDATE attempts SET closed_ms = ?1, status = 'ERROR', code = 'ABORTED', interrupted = 1,"
	" step = (SELECT name FROM steps WHERE steps.attempt = attempts.id AND result IS NULL ORDER BY seq DESC LIMIT 1),"
	" sentence = coalesce("
	"  (SELECT 'interrupted: the station stopped in step ' || name FROM steps"
	"   WHERE steps.attempt = attempts.id AND result IS NULL ORDER BY seq DESC LIMIT 1),"
	"  (SELECT 'interrupted: the station stopped after step ' || name FROM steps"
	"   WHERE steps.attempt = attempts.id ORDER BY seq DESC LIMIT 1),"
	"  'interrupted: the station stopped before the first step')"
	" WHERE closed_ms IS NULL";

static const char steps_aborted[] = "UPDATE steps SET result = 'ABORTED' WHERE result IS NULL";

static const char runs_interrupted[] = "UPDATE runs SET ended_ms = ?1, interrupted = 1 WHERE ended_ms IS NULL";

static int name_held(struct sql *sql, struct log_recovery *recovery)
{
	sqlite3_stmt *row = sql_query(sql, serials_held, "i", (int64_t)LOG_RECOVERY_NAMES);
	int rc = row ? sqlite3_step(row) : SQLITE_ERROR;

	for (size_t i = 0; i < LOG_RECOVERY_NAMES && rc == SQLITE_ROW; i++, rc = sqlite3_step(row))
		snprintf(recovery->names[i], sizeof(recovery->names[i]), "%s", sql_text(row, 0));
	if (row)
		sqlite3_reset(row);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int put_right(struct sql *sql, int64_t now_ms, struct log_recovery *recovery)
{
	if (name_held(sql, recovery) < 0 || sql_do(sql, serials_in_doubt, "i", now_ms) < 0)
		return -1;
	recovery->serials = (unsigned)sqlite3_changes(sql->db);
	if (sql_do(sql, attempts_interrupted, "i", now_ms) < 0)
		return -1;
	recovery->attempts = (unsigned)sqlite3_changes(sql->db);
	if (sql_do(sql, steps_aborted, "") < 0 || sql_do(sql, runs_interrupted, "i", now_ms) < 0)
		return -1;
	recovery->runs = (unsigned)sqlite3_changes(sql->db);
	return 0;
}

int log_recover(struct log *log, int64_t now_ms, struct log_recovery *recovery, struct log_error *err)
{
	*recovery = (struct log_recovery){0};
	if (sql_begin(&log->sql) < 0)
		return sql_fail(&log->sql, err, "write");
	return log_settle(log, put_right(&log->sql, now_ms, recovery), false, "close what was left open in", err);
}
