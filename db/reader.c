#include "db/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/schema.h"

enum { BUSY_MS = 5000 };

/* The path inside a file: URI, with what has a meaning there escaped. */
static void uri_of(const char *path, bool frozen, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "file:");

	for (; *path && used + 40 < size; path++) {
		if (strchr("%?#", *path))
			used += (size_t)snprintf(out + used, size - used, "%%%02X", (unsigned char)*path);
		else
			out[used++] = *path;
	}
	snprintf(out + used, size - used, "?mode=ro%s", frozen ? "&immutable=1" : "");
}

static int try_open(struct reader *reader, bool frozen)
{
	char uri[1800];
	int64_t objects = 0;

	sql_close(&reader->sql);
	uri_of(reader->sql.path, frozen, uri, sizeof(uri));
	if (sqlite3_open_v2(uri, &reader->sql.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) != SQLITE_OK)
		return -1;
	sqlite3_extended_result_codes(reader->sql.db, 1);
	sqlite3_busy_timeout(reader->sql.db, BUSY_MS);
	reader->frozen = frozen;
	return sql_int(&reader->sql, &objects, "SELECT count(*) FROM sqlite_schema", "") < 0 ? -1 : 0;
}

static bool wal_is_empty(const char *path)
{
	char wal[600];
	struct stat info;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	return stat(wal, &info) != 0 || info.st_size == 0;
}

static enum reader_result explain(struct reader *reader, struct log_error *err)
{
	int code = sqlite3_errcode(reader->sql.db) & 0xff; /* extended codes are on */

	if ((code == SQLITE_CANTOPEN || code == SQLITE_READONLY) && !wal_is_empty(reader->sql.path)) {
		log_fail(err, "cannot read the log %s: its folder is read-only and a station did not close it; copy it with "
			      "its -wal file to a folder where you may write, and read it there", reader->sql.path);
		return READER_INPUT;
	}
	sql_fail(&reader->sql, err, "read");
	return code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? READER_INPUT : READER_SYSTEM;
}

static enum reader_result refuse_file(const char *path, struct log_error *err)
{
	struct stat info;

	if (stat(path, &info) != 0) {
		int number = errno;

		log_fail(err, "cannot read the log %s: %s; name the log with --db", path, strerror(number));
		return READER_INPUT;
	}
	if (!S_ISREG(info.st_mode) || strlen(path) > 480) {
		log_fail(err, "cannot read the log %.300s: it is not a regular file; name the log with --db", path);
		return READER_INPUT;
	}
	if (access(path, R_OK) != 0) {
		log_fail(err, "cannot read the log %s: %s; ask its owner to make it readable for you", path, strerror(errno));
		return READER_INPUT;
	}
	return READER_OK;
}

enum reader_result reader_open(const char *path, struct reader *reader, struct log_error *err)
{
	size_t count = 0;
	const struct schema_step *steps = schema_steps(&count);
	int version = 0;

	reader->frozen = false;
	sql_init(&reader->sql, path);
	enum reader_result result = refuse_file(path, err);

	if (result != READER_OK)
		return result;
	/* A closed WAL file needs its shared memory file made anew, which a read-only folder does not allow. */
	if (try_open(reader, false) < 0) {
		int code = sqlite3_errcode(reader->sql.db) & 0xff; /* extended codes are on */

		if ((code != SQLITE_CANTOPEN && code != SQLITE_READONLY) || !wal_is_empty(path) || try_open(reader, true) < 0)
			return explain(reader, err);
	}
	if (schema_check(&reader->sql, steps, count, &version, err) < 0)
		return READER_INPUT;
	if (version != steps[count - 1].number) {
		log_fail(err, version ? "%s has an older schema; start the station on it once, which upgrades it"
				      : "%s is empty: no station has begun this log yet", path);
		return READER_INPUT;
	}
	/* One view of the log for all queries of a report, while the station goes on writing. */
	if (sql_do(&reader->sql, "BEGIN", "") < 0)
		return explain(reader, err);
	return READER_OK;
}

void reader_close(struct reader *reader)
{
	sql_rollback(&reader->sql);
	sql_close(&reader->sql);
}
