#include "db/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x506f676c }; /* "Pogl"; set by the first step */

static const struct schema_step compiled_in[] = {
#include "schema_steps.h"
};

const struct schema_step *schema_steps(size_t *count)
{
	*count = sizeof(compiled_in) / sizeof(compiled_in[0]);
	return compiled_in;
}

int schema_check(struct sql *sql, const struct schema_step *steps, size_t count, int *version, struct log_error *err)
{
	int64_t id = 0, objects = 0, found = 0;
	int newest = steps[count - 1].number;

	if (sql_int(sql, &objects, "SELECT count(*) FROM sqlite_schema", "") < 0 ||
	    sql_int(sql, &id, "PRAGMA application_id", "") < 0 ||
	    sql_int(sql, &found, "PRAGMA user_version", "") < 0)
		return sql_fail(sql, err, "read");
	if (id != APPLICATION_ID && (id != 0 || objects != 0 || found != 0))
		return log_fail(err, "%s is not a Pogoline log but another program's SQLite file; name another file with --db",
				sql->path);
	if (found > newest) {
		log_fail(err,
			 "%s has schema %d, and this Pogoline knows schemas up to %d; install the newer Pogoline that wrote "
			 "it, or start a new log with --db",
			 sql->path, (int)found, newest);
		if (err)
			err->newer = true;
		return -1;
	}
	*version = (int)found;
	return 0;
}

/* sqlite3_backup sees a consistent state, write-ahead log included, which a plain copy of the file does not. */
static int copy_database(struct sql *sql, const char *to, struct log_error *err)
{
	struct sql copy;
	int result = 0;

	sql_init(&copy, to);
	if (sqlite3_open_v2(to, &copy.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		result = sql_fail(&copy, err, "create");
	} else {
		sqlite3_backup *backup = sqlite3_backup_init(copy.db, "main", sql->db, "main");
		bool done = backup && sqlite3_backup_step(backup, -1) == SQLITE_DONE;

		if (sqlite3_backup_finish(backup) != SQLITE_OK || !done)
			result = sql_fail(&copy, err, "write the backup of");
	}
	sql_close(&copy);
	return result;
}

static int sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	int result = fsync(fd);

	close(fd);
	return result;
}

static void sync_folder_of(const char *path)
{
	char folder[700];
	const char *slash = strrchr(path, '/');

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	else
		snprintf(folder, sizeof(folder), ".");
	(void)sync_file(folder);
}

/* An earlier backup of the same name stays: it may be the only one of its kind. */
static int give_name(const char *part, const char *name, struct log_error *err)
{
	char numbered[700];

	for (int i = 1; i < 100; i++) {
		if (i == 1)
			snprintf(numbered, sizeof(numbered), "%s", name);
		else
			snprintf(numbered, sizeof(numbered), "%s.%d", name, i);
		if (link(part, numbered) == 0) {
			sync_folder_of(numbered);
			return 0;
		}
		if (errno != EEXIST)
			return log_fail(err, "cannot create the backup %s: %s; nothing was changed", numbered,
					strerror(errno));
	}
	return log_fail(err, "cannot create the backup %s: a hundred of that name are there; move them away", name);
}

static int back_up(struct sql *sql, int next, struct log_error *err)
{
	char name[600], part[640];
	int result = -1;

	snprintf(name, sizeof(name), "%s.before-schema-%d", sql->path, next);
	snprintf(part, sizeof(part), "%s.part", name);
	unlink(part);
	if (copy_database(sql, part, err) == 0) {
		if (sync_file(part) != 0)
			log_fail(err, "cannot write the backup %s: %s; nothing was changed", part, strerror(errno));
		else
			result = give_name(part, name, err);
	}
	unlink(part);
	return result;
}

static int apply(struct sql *sql, const struct schema_step *step, struct log_error *err)
{
	char version[48];

	snprintf(version, sizeof(version), "PRAGMA user_version = %d", step->number);
	if (sql_begin(sql) < 0)
		return sql_fail(sql, err, "upgrade");
	if (sqlite3_exec(sql->db, step->sql, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(sql->db, version, NULL, NULL, NULL) != SQLITE_OK || sql_commit(sql) < 0) {
		char doing[120];

		snprintf(doing, sizeof(doing), "apply schema step %s to", step->name);
		sql_fail(sql, err, doing);
		sql_rollback(sql);
		return -1;
	}
	return 0;
}

int schema_upgrade(struct sql *sql, const struct schema_step *steps, size_t count, int version,
		   struct log_error *err)
{
	if (version > 0 && version < steps[count - 1].number && back_up(sql, version + 1, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (steps[i].number > version && apply(sql, &steps[i], err) < 0)
			return -1;
	}
	return 0;
}
