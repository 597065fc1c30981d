#ifndef POGO_DB_SCHEMA_H
#define POGO_DB_SCHEMA_H

#include <stddef.h>

#include "db/sql.h"

/* The log's shape: forward-only numbered steps (db/NNNN_name.sql), compiled in. The file remembers the
 * last one in its user_version. Each step is one transaction; released steps are never edited. */

struct schema_step {
	int number; /* 1, 2, … without gaps */
	const char *name, *sql;
};

const struct schema_step *schema_steps(size_t *count);

/* Refuses what is not a Pogoline log or is newer than these steps (err->newer); changes nothing.
 * *version = 0: an empty file, to be filled. */
int schema_check(struct sql *sql, const struct schema_step *steps, size_t count, int *version, struct log_error *err);

/* Applies the steps behind `version`. A file that holds a log already is copied to
 * PATH.before-schema-N first, N being the first step to be applied. */
int schema_upgrade(struct sql *sql, const struct schema_step *steps, size_t count, int version,
		   struct log_error *err);

#endif
