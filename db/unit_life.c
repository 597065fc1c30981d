#include "db/unit_life.h"

#include <stdlib.h>
#include <string.h>

static char *text_of(sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	return text ? strdup((const char *)text) : NULL;
}

static int64_t number_of(sqlite3_stmt *row, int column)
{
	return sqlite3_column_type(row, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, column);
}

/* One more zeroed element at the end of an array; NULL = out of memory. */
static void *grow(void *array, size_t *count, size_t size)
{
	char *grown = realloc(array, (*count + 1) * size);

	if (grown)
		memset(grown + *count * size, 0, size);
	if (grown)
		(*count)++;
	return grown;
}

static const char find_query[] =
	"SELECT u.id, u.product, coalesce(u.serial, 'unit-' || u.first_attempt),"
	" (SELECT state FROM serials WHERE serials.unit = u.id) FROM units AS u"
	" WHERE (u.serial = ?1 OR u.serial IS NULL AND u.first_attempt = CASE WHEN ?1 GLOB 'unit-[0-9]*'"
	" THEN CAST(substr(?1, 6) AS INTEGER) END AND 'unit-' || u.first_attempt = ?1)"
	" AND (?2 IS NULL OR u.product = ?2) ORDER BY u.id";

static int find(struct sql *sql, const char *name, const char *product, struct unit_life *life, struct log_error *err)
{
	sqlite3_stmt *row = sql_query(sql, find_query, "tt", name, product);
	int rc = row ? sqlite3_step(row) : SQLITE_ERROR;

	if (rc == SQLITE_DONE) {
		log_fail(err, "the log %s knows no unit %.60s%s%.60s", sql->path, name, product ? " of product " : "",
			 product ? product : "");
		return 0;
	}
	if (rc != SQLITE_ROW)
		return -1;
	life->unit = sqlite3_column_int64(row, 0);
	life->product = text_of(row, 1);
	life->name = text_of(row, 2);
	life->state = text_of(row, 3);
	rc = sqlite3_step(row);
	if (rc == SQLITE_ROW) {
		log_fail(err, "%.60s is a unit of %.60s and of %.60s; tell which one with --product", name, life->product,
			 sql_text(row, 1));
		return 0;
	}
	return rc == SQLITE_DONE ? 1 : -1;
}

static const char attempts_query[] =
	"SELECT a.id, a.number, a.run, a.opened_ms, a.closed_ms, a.duration_us, a.address, a.expected, a.found,"
	" a.interrupted, a.status, a.code, a.step, a.sentence, r.station, r.operator, s.name, s.port, p.kind, p.firmware,"
	" p.usb, r.part, i.digest, c.path, r.tool_version FROM attempts AS a JOIN runs AS r ON r.id = a.run"
	" JOIN slots AS s ON s.id = a.slot JOIN programmers AS p ON p.id = a.programmer"
	" JOIN images AS i ON i.id = r.image JOIN recipes AS c ON c.id = r.recipe WHERE a.unit = ?1 ORDER BY a.id";

static void read_attempt(sqlite3_stmt *row, struct life_attempt *attempt)
{
	int64_t *numbers[] = {&attempt->id, &attempt->number, &attempt->run, &attempt->opened_ms, &attempt->closed_ms,
			      &attempt->duration_us, &attempt->address, &attempt->expected, &attempt->found};
	char **texts[] = {&attempt->status, &attempt->code, &attempt->step, &attempt->sentence, &attempt->station,
			  &attempt->operator_name, &attempt->slot, &attempt->port, &attempt->programmer,
			  &attempt->firmware, &attempt->usb, &attempt->part, &attempt->image_digest,
			  &attempt->recipe_path, &attempt->tool_version};

	for (int i = 0; i < 9; i++)
		*numbers[i] = number_of(row, i);
	attempt->interrupted = sqlite3_column_int(row, 9) != 0;
	for (int i = 0; i < 15; i++)
		*texts[i] = text_of(row, 10 + i);
}

static int load_steps(struct sql *sql, struct life_attempt *attempt)
{
	sqlite3_stmt *row = sql_query(sql, "SELECT name, result, begun_ms, duration_us FROM steps WHERE attempt = ?1"
					   " ORDER BY seq", "i", attempt->id);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct life_step *steps = grow(attempt->steps, &attempt->step_count, sizeof(*steps));

		if (!steps)
			return -1;
		attempt->steps = steps;
		steps[attempt->step_count - 1] = (struct life_step){text_of(row, 0), text_of(row, 1), number_of(row, 2),
								    number_of(row, 3)};
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load_measures(struct sql *sql, struct life_attempt *attempt)
{
	sqlite3_stmt *row = sql_query(sql, "SELECT name, text, number FROM measures WHERE attempt = ?1 ORDER BY id", "i",
				      attempt->id);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct life_measure *measures = grow(attempt->measures, &attempt->measure_count, sizeof(*measures));

		if (!measures)
			return -1;
		attempt->measures = measures;
		measures[attempt->measure_count - 1] = (struct life_measure){text_of(row, 0), text_of(row, 1),
									     sqlite3_column_int64(row, 2)};
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load_attempts(struct sql *sql, struct unit_life *life)
{
	sqlite3_stmt *row = sql_query(sql, attempts_query, "i", life->unit);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct life_attempt *attempts = grow(life->attempts, &life->attempt_count, sizeof(*attempts));

		if (!attempts)
			return -1;
		life->attempts = attempts;
		read_attempt(row, &attempts[life->attempt_count - 1]);
	}
	for (size_t i = 0; i < life->attempt_count; i++) {
		if (load_steps(sql, &life->attempts[i]) < 0 || load_measures(sql, &life->attempts[i]) < 0)
			return -1;
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load_states(struct sql *sql, struct unit_life *life)
{
	sqlite3_stmt *row = sql_query(sql, "SELECT h.state, h.attempt, h.at_ms FROM serial_history AS h"
					   " JOIN serials AS s ON s.id = h.serial WHERE s.unit = ?1 ORDER BY h.id", "i",
				      life->unit);
	int rc = SQLITE_ERROR;

	while (row && (rc = sqlite3_step(row)) == SQLITE_ROW) {
		struct life_state *states = grow(life->states, &life->state_count, sizeof(*states));

		if (!states)
			return -1;
		life->states = states;
		states[life->state_count - 1] = (struct life_state){text_of(row, 0), sqlite3_column_int64(row, 1),
								    sqlite3_column_int64(row, 2)};
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

int unit_life_load(struct sql *sql, const char *name, const char *product, struct unit_life *life,
		   struct log_error *err)
{
	memset(life, 0, sizeof(*life));
	int found = find(sql, name, product, life, err);

	if (found == 1 && (load_attempts(sql, life) < 0 || load_states(sql, life) < 0))
		found = -1;
	if (found < 0)
		sql_fail(sql, err, "read");
	if (found != 1)
		unit_life_free(life);
	return found;
}

static void free_attempt(struct life_attempt *attempt)
{
	char *texts[] = {attempt->status, attempt->code, attempt->step, attempt->sentence, attempt->station,
			 attempt->operator_name, attempt->slot, attempt->port, attempt->programmer, attempt->firmware,
			 attempt->usb, attempt->part, attempt->image_digest, attempt->recipe_path, attempt->tool_version};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	for (size_t i = 0; i < attempt->step_count; i++) {
		free(attempt->steps[i].name);
		free(attempt->steps[i].result);
	}
	for (size_t i = 0; i < attempt->measure_count; i++) {
		free(attempt->measures[i].name);
		free(attempt->measures[i].text);
	}
	free(attempt->steps);
	free(attempt->measures);
}

void unit_life_free(struct unit_life *life)
{
	for (size_t i = 0; i < life->attempt_count; i++)
		free_attempt(&life->attempts[i]);
	for (size_t i = 0; i < life->state_count; i++)
		free(life->states[i].state);
	free(life->attempts);
	free(life->states);
	free(life->name);
	free(life->product);
	free(life->state);
	memset(life, 0, sizeof(*life));
}
