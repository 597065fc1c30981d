#include <stdio.h>
#include <string.h>

#include "db/log_private.h"

/* The state diagram is at the table serials in 0001_initial.sql. */

enum { SERIAL_ROOM = 48, DIGITS_MAX = 18 }; /* 18 digits fit SQLite's 63 bits */

int log_unit_create(struct log *log, int64_t attempt_id, const char *serial, int64_t *unit)
{
	struct sql *sql = &log->sql;

	if (sql_do(sql, "INSERT INTO units (product, serial, first_attempt) SELECT r.product, ?2, a.id FROM attempts AS a"
			" JOIN runs AS r ON r.id = a.run WHERE a.id = ?1", "it", attempt_id, serial) < 0)
		return -1;
	*unit = sqlite3_last_insert_rowid(sql->db);
	return sql_do(sql, "UPDATE attempts SET unit = ?2, number = 1 WHERE id = ?1", "ii", attempt_id, *unit);
}

static int claim_seq(struct sql *sql, int64_t attempt_id, int64_t *seq)
{
	return sql_int(sql, seq, "SELECT coalesce(max(seq), 0) FROM steps WHERE attempt = ?1", "i", attempt_id) == 1 ? 0 : -1;
}

static uint64_t power_of_ten(unsigned exponent)
{
	uint64_t power = 1;

	while (exponent--)
		power *= 10;
	return power;
}

/* The number behind the last one given, or the first; 1 = found, 0 = none left, -1 = failed. */
static int next_number(struct sql *sql, const struct log_serial_wish *wish, int64_t *number, char serial[SERIAL_ROOM])
{
	uint64_t limit = power_of_ten(wish->width);
	int64_t next = 0, taken = 0;
	/* An engineer may raise the recipe's first number later on: a gap, never a double. */
	int found = sql_int(sql, &next, "SELECT max(number) + 1 FROM serials WHERE product = ?1 AND prefix = ?2"
					" HAVING count(*) > 0", "ee", wish->product, wish->prefix);

	if (found < 0)
		return -1;
	uint64_t candidate = found && (uint64_t)next > wish->first ? (uint64_t)next : wish->first;

	/* Prefix "A" with 001 and prefix "A0" with 01 make the same text: the second one steps over it. */
	for (; candidate < limit; candidate++) {
		snprintf(serial, SERIAL_ROOM, "%s%0*llu", wish->prefix, (int)wish->width, (unsigned long long)candidate);
		found = sql_int(sql, &taken, "SELECT 1 FROM serials WHERE product = ?1 AND text = ?2", "ee", wish->product,
				serial);
		if (found < 0)
			return -1;
		if (!found) {
			*number = (int64_t)candidate;
			return 1;
		}
	}
	return 0;
}

static int give_fresh(struct log *log, const struct log_serial_wish *wish, char serial[SERIAL_ROOM],
		      enum log_serial_result *result)
{
	struct sql *sql = &log->sql;
	int64_t number = 0, unit = 0, seq = 0;
	int found = next_number(sql, wish, &number, serial);

	if (found <= 0) {
		*result = LOG_SERIAL_EXHAUSTED;
		serial[0] = '\0';
		return found;
	}
	*result = LOG_SERIAL_NEW;
	if (log_unit_create(log, wish->attempt_id, serial, &unit) < 0 || claim_seq(sql, wish->attempt_id, &seq) < 0)
		return -1;
	return sql_do(sql, "INSERT INTO serials (product, prefix, number, text, state, unit, attempt, claim_seq, changed_ms)"
			   " VALUES (?1, ?2, ?3, ?4, 'RESERVED', ?5, ?6, ?7, ?8)", "eeieiiii",
		      wish->product, wish->prefix, number, serial, unit, wish->attempt_id, seq, wish->now_ms);
}

static int bind_returned(struct sql *sql, const struct log_serial_wish *wish, int64_t serial, int64_t unit)
{
	int64_t seq = 0;

	if (claim_seq(sql, wish->attempt_id, &seq) < 0 ||
	    sql_do(sql, "UPDATE attempts SET unit = ?2, number ="
			" (SELECT coalesce(max(number), 0) + 1 FROM attempts WHERE unit = ?2) WHERE id = ?1", "ii",
		   wish->attempt_id, unit) < 0)
		return -1;
	return sql_do(sql, "UPDATE serials SET prior_state = state, state = 'RESERVED', attempt = ?2, claim_seq = ?3,"
			   " changed_ms = ?4 WHERE id = ?1", "iiii", serial, wish->attempt_id, seq, wish->now_ms);
}

static int take_back(struct log *log, const struct log_serial_wish *wish, const char *text, enum log_serial_result *result)
{
	struct sql *sql = &log->sql;
	sqlite3_stmt *row = sql_query(sql, "SELECT id, unit, state IN ('RESERVED', 'WRITTEN') FROM serials"
					   " WHERE product = ?1 AND text = ?2", "ee", wish->product, text);

	if (!row)
		return -1;
	int rc = sqlite3_step(row);
	int64_t serial = sqlite3_column_int64(row, 0), unit = sqlite3_column_int64(row, 1);
	/* Closing an attempt settles its serial, so whoever is RESERVED or WRITTEN is held by an open one. */
	bool held = sqlite3_column_int(row, 2) != 0;

	sqlite3_reset(row);
	if (rc != SQLITE_ROW) {
		*result = LOG_SERIAL_UNKNOWN;
		return rc == SQLITE_DONE ? 0 : -1;
	}
	*result = held ? LOG_SERIAL_BUSY : LOG_SERIAL_RETURNED;
	return held ? 0 : bind_returned(sql, wish, serial, unit);
}

static int refuse_wish(struct log *log, const struct log_serial_wish *wish, struct log_error *err)
{
	int64_t bound = 0;

	if (!wish->product || !wish->prefix || wish->width < 1 || wish->width > DIGITS_MAX ||
	    strlen(wish->prefix) + wish->width >= SERIAL_ROOM || (wish->found && strlen(wish->found) >= SERIAL_ROOM))
		return log_fail(err, "a serial number needs a product, 1 to %d digits and at most %d characters",
				DIGITS_MAX, SERIAL_ROOM - 1);
	int found = sql_int(&log->sql, &bound, "SELECT unit IS NOT NULL FROM attempts WHERE id = ?1 AND closed_ms IS NULL",
			    "i", wish->attempt_id);

	if (found < 0)
		return sql_fail(&log->sql, err, "read");
	if (!found)
		return log_fail(err, "the log %s has no open attempt %lld", log->sql.path, (long long)wish->attempt_id);
	if (bound)
		return log_fail(err, "attempt %lld has its serial number already", (long long)wish->attempt_id);
	return 0;
}

/* Could this rule have made that number? */
static bool fits_rule(const struct log_serial_wish *wish, const char *serial)
{
	size_t prefix = strlen(wish->prefix);

	return strncmp(serial, wish->prefix, prefix) == 0 && strlen(serial) == prefix + wish->width &&
	       strspn(serial + prefix, "0123456789") == wish->width;
}

/* A chip with a number of its own: what it was given before decides. 1: decided, 0: it is new here, -1: failed. */
static int claim_by_chip(struct log *log, const struct log_serial_wish *wish, char serial[SERIAL_ROOM],
			 enum log_serial_result *result)
{
	char known[SERIAL_ROOM];
	int64_t unit = 0;

	if (log_silicon_find(log, wish->attempt_id, wish->silicon_id, &unit, known) < 0)
		return -1;
	if (known[0] != '\0') {
		snprintf(serial, SERIAL_ROOM, "%s", known);
		if ((wish->found && strcmp(wish->found, known) != 0) || !fits_rule(wish, known)) {
			*result = LOG_SERIAL_OTHER_NUMBER;
			return 1;
		}
		return take_back(log, wish, known, result) < 0 ? -1 : 1;
	}
	if (!wish->found)
		return 0;
	int differs = log_silicon_differs(log, wish->product, wish->found, wish->silicon_id);

	if (differs > 0) {
		snprintf(serial, SERIAL_ROOM, "%s", wish->found);
		*result = LOG_SERIAL_OTHER_CHIP;
	}
	return differs;
}

static int claim(struct log *log, const struct log_serial_wish *wish, char serial[SERIAL_ROOM],
		 enum log_serial_result *result)
{
	int decided = wish->silicon_id ? claim_by_chip(log, wish, serial, result) : 0;

	if (decided < 0)
		return -1;
	if (!decided && wish->found) {
		snprintf(serial, SERIAL_ROOM, "%s", wish->found);
		decided = take_back(log, wish, wish->found, result);
	} else if (!decided) {
		decided = give_fresh(log, wish, serial, result);
	}
	if (decided < 0)
		return -1;
	if (wish->silicon_id && (*result == LOG_SERIAL_NEW || *result == LOG_SERIAL_RETURNED))
		return log_silicon_bind(log, wish->attempt_id, wish->silicon_id);
	return 0;
}

int log_serial_claim(struct log *log, const struct log_serial_wish *wish, char serial[48],
		     enum log_serial_result *result, struct log_error *err)
{
	if (sql_begin(&log->sql) < 0)
		return sql_fail(&log->sql, err, "write");
	if (refuse_wish(log, wish, err) < 0)
		return log_settle(log, -1, true, "", err);
	return log_settle(log, claim(log, wish, serial, result), false, "reserve a serial number in", err);
}

int log_serial_written(struct log *log, int64_t attempt_id, int64_t now_ms, struct log_error *err)
{
	if (sql_do(&log->sql, "UPDATE serials SET state = 'WRITTEN', changed_ms = ?2 WHERE attempt = ?1 AND state = 'RESERVED'",
		   "ii", attempt_id, now_ms) < 0)
		return sql_fail(&log->sql, err, "note a written serial number in");
	if (sqlite3_changes(log->sql.db) != 1)
		return log_fail(err, "the log %s has no serial number reserved for attempt %lld", log->sql.path,
				(long long)attempt_id);
	return 0;
}

int log_serial_settle(struct log *log, const struct log_result *result)
{
	int64_t pass = strcmp(result->status, "PASS") == 0, maybe = result->serial_may_be_on_chip;

	return sql_do(&log->sql,
		      "UPDATE serials SET changed_ms = ?4, state = CASE"
		      " WHEN ?2 THEN 'COMMITTED'"
		      " WHEN state = 'WRITTEN' OR ?3 THEN 'IN DOUBT'"
		      " WHEN prior_state IS NULL THEN 'VOID'"
		      " WHEN EXISTS (SELECT 1 FROM steps WHERE steps.attempt = serials.attempt AND seq > claim_seq)"
		      "  THEN 'IN DOUBT'"
		      " ELSE prior_state END"
		      " WHERE attempt = ?1 AND state IN ('RESERVED', 'WRITTEN')",
		      "iiii", result->attempt_id, pass, maybe, result->now_ms);
}
