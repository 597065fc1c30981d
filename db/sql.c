#include "db/sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sql_init(struct sql *sql, const char *path)
{
	memset(sql, 0, sizeof(*sql));
	snprintf(sql->path, sizeof(sql->path), "%s", path);
}

void sql_close(struct sql *sql)
{
	for (size_t i = 0; i < sizeof(sql->cache) / sizeof(sql->cache[0]); i++) {
		sqlite3_finalize(sql->cache[i].statement);
		sql->cache[i].statement = NULL;
		sql->cache[i].text = NULL;
	}
	sqlite3_close(sql->db);
	sql->db = NULL;
}

/* Statement texts are literals: the pointer is enough to remember, the comparison is by content because two files
 * may hold the same literal. When the cache is full its last place is used in turn. */
static sqlite3_stmt *prepared(struct sql *sql, const char *text)
{
	const size_t room = sizeof(sql->cache) / sizeof(sql->cache[0]);
	size_t i = 0;

	while (i < room && sql->cache[i].text && strcmp(sql->cache[i].text, text) != 0)
		i++;
	if (i == room) {
		i = room - 1;
		sqlite3_finalize(sql->cache[i].statement);
		sql->cache[i].text = NULL;
	}
	if (!sql->cache[i].text) {
		sql->cache[i].statement = NULL;
		if (sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &sql->cache[i].statement,
				       NULL) != SQLITE_OK)
			return NULL;
		sql->cache[i].text = text;
	}
	sqlite3_reset(sql->cache[i].statement);
	sqlite3_clear_bindings(sql->cache[i].statement);
	return sql->cache[i].statement;
}

static int bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	return text ? sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT)
		    : sqlite3_bind_null(statement, place);
}

static sqlite3_stmt *bound(struct sql *sql, const char *text, const char *types, va_list values)
{
	sqlite3_stmt *statement = prepared(sql, text);

	for (int place = 1; statement && *types; types++, place++) {
		int rc = SQLITE_MISUSE;

		if (*types == 'i') {
			rc = sqlite3_bind_int64(statement, place, va_arg(values, int64_t));
		} else if (*types == 'o') {
			const int64_t *number = va_arg(values, const int64_t *);

			rc = number ? sqlite3_bind_int64(statement, place, *number)
				    : sqlite3_bind_null(statement, place);
		} else {
			const char *string = va_arg(values, const char *);

			rc = bind_text(statement, place, *types == 'e' && !string ? "" : string);
		}
		if (rc != SQLITE_OK)
			return NULL;
	}
	return statement;
}

sqlite3_stmt *sql_query(struct sql *sql, const char *text, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	sqlite3_stmt *statement = bound(sql, text, types, values);
	va_end(values);
	return statement;
}

int sql_do(struct sql *sql, const char *text, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	sqlite3_stmt *statement = bound(sql, text, types, values);
	va_end(values);
	if (!statement)
		return -1;
	int rc = sqlite3_step(statement);

	/* The reset repeats the step's error code, so sql_fail still sees it. */
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

int sql_int(struct sql *sql, int64_t *value, const char *text, const char *types, ...)
{
	va_list values;

	va_start(values, types);
	sqlite3_stmt *statement = bound(sql, text, types, values);
	va_end(values);
	if (!statement)
		return -1;
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		*value = sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

int sql_begin(struct sql *sql)
{
	return sql_do(sql, "BEGIN IMMEDIATE", "");
}

int sql_commit(struct sql *sql)
{
	return sql_do(sql, "COMMIT", "");
}

void sql_rollback(struct sql *sql)
{
	/* SQLite rolls back by itself when a disk is full: then there is nothing to do. */
	if (sql->db && !sqlite3_get_autocommit(sql->db))
		sqlite3_exec(sql->db, "ROLLBACK", NULL, NULL, NULL);
}

const char *sql_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text ? (const char *)text : "";
}

int log_fail(struct log_error *err, const char *format, ...)
{
	va_list values;

	if (!err)
		return -1;
	memset(err, 0, sizeof(*err));
	va_start(values, format);
	vsnprintf(err->text, sizeof(err->text), format, values);
	va_end(values);
	return -1;
}

/* SQLite says FULL for ENOSPC only. A quota or a file size limit arrives as a failed write, and at a commit without
 * its errno: then a full disk and a broken one look alike. */
static const char *refused_write(int code, int number)
{
	/* The errno stands for the last I/O failure, perhaps of an earlier call. */
	bool io = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;

	if ((code & 0xff) == SQLITE_FULL || (io && (number == ENOSPC || number == EDQUOT || number == EFBIG)))
		return "the disk or a quota is full";
	if ((code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_SHMSIZE) && number == 0)
		return "the disk takes no more: it or a quota is full, or it is broken";
	return NULL;
}

static void why_and_way_out(const struct sql *sql, int code, int number, char *text, size_t size)
{
	const char *message = sqlite3_errmsg(sql->db);

	switch (code & 0xff) {
	case SQLITE_IOERR:
		snprintf(text, size, "%s (%s); check the disk", message, number ? strerror(number) : "no details");
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		snprintf(text, size, "another program has kept it locked; close that program and try again");
		break;
	case SQLITE_READONLY:
		snprintf(text, size, "it is write-protected; make it and its folder writable for this user");
		break;
	case SQLITE_CANTOPEN:
		snprintf(text, size, "%s; its folder must exist and be writable for this user",
			 number ? strerror(number) : message);
		break;
	case SQLITE_NOTADB:
		snprintf(text, size, "it is not a Pogoline log, not even an SQLite file; name another file");
		break;
	case SQLITE_CORRUPT:
		snprintf(text, size, "it is damaged (%s); keep a copy, and start a new log with --db", message);
		break;
	default:
		snprintf(text, size, "%s", message);
	}
}

int sql_fail(struct sql *sql, struct log_error *err, const char *doing)
{
	int code = sqlite3_extended_errcode(sql->db), number = sqlite3_system_errno(sql->db);
	const char *full = refused_write(code, number);
	char why[320];

	if (full) {
		log_fail(err, "cannot %s the log %s: %s; make room, or start a new log on another disk with --db", doing,
			 sql->path, full);
		if (err)
			err->full = true;
		return -1;
	}
	why_and_way_out(sql, code, number, why, sizeof(why));
	return log_fail(err, "cannot %s the log %s: %s", doing, sql->path, why);
}
