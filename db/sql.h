#ifndef POGO_DB_SQL_H
#define POGO_DB_SQL_H

#include <sqlite3.h>
#include <stdint.h>

#include "db/log.h"

/* One connection and its prepared statements: the only place that prepares, binds and explains failures.
 *
 * `types` tells the values that follow, in the order of ?1, ?2, …:
 *   i  int64_t          e  const char *, NULL is bound as ''
 *   t  const char *, NULL is bound as NULL
 *   o  const int64_t *, NULL is bound as NULL */

struct sql {
	sqlite3 *db;
	char path[512];
	struct {
		const char *text;
		sqlite3_stmt *statement;
	} cache[48];
};

void sql_init(struct sql *sql, const char *path);
void sql_close(struct sql *sql);

/* A bound statement ready to step, owned by *sql; NULL = failed. Valid until the same text is asked for again. */
sqlite3_stmt *sql_query(struct sql *sql, const char *text, const char *types, ...);
/* Runs a statement that returns no rows. 0 or -1. */
int sql_do(struct sql *sql, const char *text, const char *types, ...);
/* The first column of the first row. 1: *value filled, 0: no row, -1: failed. */
int sql_int(struct sql *sql, int64_t *value, const char *text, const char *types, ...);

/* BEGIN IMMEDIATE: a write that would have to wait waits here, not in the middle. */
int sql_begin(struct sql *sql);
int sql_commit(struct sql *sql); /* a commit that fails is rolled back */
void sql_rollback(struct sql *sql);

/* A column's text, "" for NULL. */
const char *sql_text(sqlite3_stmt *statement, int column);

/* Fill *err (which may be NULL) and return -1. */
int log_fail(struct log_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Explains what SQLite last said on this connection: "cannot DOING the log PATH: why; way out". */
int sql_fail(struct sql *sql, struct log_error *err, const char *doing);

#endif
