#include "db/yield.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ?1 is the run (0 = all), ?2 the product (NULL = all), in every query. */
#define SELECTED "(?1 = 0 OR r.id = ?1) AND (?2 IS NULL OR r.product = ?2)"

static const char attempts_query[] =
	"SELECT count(DISTINCT r.id), min(a.opened_ms), max(a.closed_ms), coalesce(sum(a.status = 'PASS'), 0),"
	" coalesce(sum(a.status = 'FAIL'), 0), coalesce(sum(a.status = 'ERROR'), 0),"
	" coalesce(sum(a.id IS NOT NULL AND a.status IS NULL), 0)"
	" FROM runs AS r LEFT JOIN attempts AS a ON a.run = r.id WHERE " SELECTED;

/* Which judged attempt of its unit each one is, in the order in which they were opened; then one row per unit. */
#define UNITS \
	"WITH judged AS (SELECT id, unit, status, row_number() OVER (PARTITION BY unit ORDER BY id) AS nth" \
	" FROM attempts WHERE status IN ('PASS', 'FAIL')), " \
	"life AS (SELECT unit, min(id) AS first, max(id) AS last, count(*) AS tries," \
	" min(CASE WHEN status = 'PASS' THEN nth END) AS passed_at FROM judged GROUP BY unit) "

static const char units_query[] =
	UNITS "SELECT count(*), coalesce(sum(passed_at = 1), 0), coalesce(sum(passed_at <= 2), 0),"
	" coalesce(sum(z.status = 'PASS'), 0), coalesce(sum(tries > 1), 0), coalesce(sum(tries - 1), 0),"
	" coalesce(sum(passed_at > 1), 0) FROM life"
	" JOIN attempts AS f ON f.id = life.first JOIN attempts AS z ON z.id = life.last"
	" JOIN runs AS r ON r.id = f.run WHERE " SELECTED;

static const char slots_query[] =
	UNITS ", firsts AS (SELECT f.slot AS slot, count(*) AS units, sum(f.status = 'PASS') AS good FROM life"
	" JOIN attempts AS f ON f.id = life.first JOIN runs AS r ON r.id = f.run WHERE " SELECTED " GROUP BY f.slot)"
	" SELECT s.station, s.name, s.port, sum(a.status IS NOT NULL), sum(a.status IS 'ERROR'),"
	" coalesce(firsts.good, 0), coalesce(firsts.units, 0)"
	" FROM attempts AS a JOIN runs AS r ON r.id = a.run JOIN slots AS s ON s.id = a.slot"
	" LEFT JOIN firsts ON firsts.slot = s.id WHERE " SELECTED
	" GROUP BY s.id ORDER BY s.station, length(s.name), s.name, s.port";

static const char codes_query[] =
	"SELECT a.status, a.code, count(*) FROM attempts AS a JOIN runs AS r ON r.id = a.run"
	" WHERE a.code IS NOT NULL AND " SELECTED " GROUP BY a.status, a.code ORDER BY count(*) DESC, a.status DESC, a.code";

static void copy(char *to, size_t size, sqlite3_stmt *row, int column)
{
	snprintf(to, size, "%s", sql_text(row, column));
}

static uint64_t count_of(sqlite3_stmt *row, int column)
{
	return (uint64_t)sqlite3_column_int64(row, column);
}

static int load_attempts(struct sql *sql, const struct yield_wish *wish, struct yield *yield)
{
	sqlite3_stmt *row = sql_query(sql, attempts_query, "it", yield->run, wish->product);

	if (!row || sqlite3_step(row) != SQLITE_ROW)
		return -1;
	yield->runs = count_of(row, 0);
	yield->begun_ms = sqlite3_column_int64(row, 1);
	yield->ended_ms = sqlite3_column_int64(row, 2);
	yield->passed = count_of(row, 3);
	yield->failed = count_of(row, 4);
	yield->errors = count_of(row, 5);
	yield->open = count_of(row, 6);
	yield->attempts = yield->passed + yield->failed + yield->errors;
	yield->attempt = wilson_95(yield->passed, yield->passed + yield->failed);
	sqlite3_reset(row);
	return 0;
}

static int load_units(struct sql *sql, const struct yield_wish *wish, struct yield *yield)
{
	sqlite3_stmt *row = sql_query(sql, units_query, "it", yield->run, wish->product);

	if (!row || sqlite3_step(row) != SQLITE_ROW)
		return -1;
	uint64_t units = count_of(row, 0);

	yield->first = wilson_95(count_of(row, 1), units);
	yield->second = wilson_95(count_of(row, 2), units);
	yield->final = wilson_95(count_of(row, 3), units);
	yield->retested = count_of(row, 4);
	yield->extra = count_of(row, 5);
	yield->false_failed = count_of(row, 6);
	sqlite3_reset(row);
	return 0;
}

static int load_slots(struct sql *sql, const struct yield_wish *wish, struct yield *yield)
{
	sqlite3_stmt *row = sql_query(sql, slots_query, "it", yield->run, wish->product);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct yield_slot *grown = realloc(yield->slots, (yield->slot_count + 1) * sizeof(*grown));

		if (!grown)
			return -1;
		yield->slots = grown;
		struct yield_slot *slot = &grown[yield->slot_count++];

		copy(slot->station, sizeof(slot->station), row, 0);
		copy(slot->name, sizeof(slot->name), row, 1);
		copy(slot->port, sizeof(slot->port), row, 2);
		slot->attempts = count_of(row, 3);
		slot->errors = count_of(row, 4);
		slot->first = wilson_95(count_of(row, 5), count_of(row, 6));
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load_codes(struct sql *sql, const struct yield_wish *wish, struct yield *yield)
{
	sqlite3_stmt *row = sql_query(sql, codes_query, "it", yield->run, wish->product);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct yield_code *grown = realloc(yield->codes, (yield->code_count + 1) * sizeof(*grown));

		if (!grown)
			return -1;
		yield->codes = grown;
		struct yield_code *code = &grown[yield->code_count++];

		copy(code->status, sizeof(code->status), row, 0);
		copy(code->code, sizeof(code->code), row, 1);
		code->count = count_of(row, 2);
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

/* 1 = the selection exists; an empty log has nothing to name, and is a selection too. */
static int resolve(struct sql *sql, const struct yield_wish *wish, struct yield *yield, struct log_error *err)
{
	int64_t found = 0;
	int rc = 1;

	yield->run = wish->run;
	if (wish->run == YIELD_LAST_RUN) {
		rc = sql_int(sql, &yield->run, "SELECT id FROM runs ORDER BY id DESC LIMIT 1", "");
		if (rc == 0)
			log_fail(err, "the log %s has no run yet", sql->path);
	} else if (wish->run != YIELD_ALL_RUNS) {
		rc = sql_int(sql, &found, "SELECT id FROM runs WHERE id = ?1", "i", wish->run);
		if (rc == 0)
			log_fail(err, "the log %s has no run %lld", sql->path, (long long)wish->run);
	}
	if (rc == 1 && wish->product) {
		rc = sql_int(sql, &found, "SELECT r.id FROM runs AS r WHERE " SELECTED " LIMIT 1", "it", yield->run,
			     wish->product);
		if (rc == 0)
			log_fail(err, "the log %s has no such run of product %.100s", sql->path, wish->product);
	}
	return rc < 0 ? sql_fail(sql, err, "read") : rc;
}

int yield_load(struct sql *sql, const struct yield_wish *wish, struct yield *yield, struct log_error *err)
{
	memset(yield, 0, sizeof(*yield));
	int found = resolve(sql, wish, yield, err);

	if (found != 1)
		return found;
	if (load_attempts(sql, wish, yield) < 0 || load_units(sql, wish, yield) < 0 ||
	    load_slots(sql, wish, yield) < 0 || load_codes(sql, wish, yield) < 0) {
		sql_fail(sql, err, "read");
		yield_free(yield);
		return -1;
	}
	return 1;
}

void yield_free(struct yield *yield)
{
	free(yield->slots);
	free(yield->codes);
	memset(yield, 0, sizeof(*yield));
}
