#ifndef POGO_DB_READER_H
#define POGO_DB_READER_H

#include "db/sql.h"

/* The log for reading: beside a running station, and never changing a byte of it. A file in a folder where
 * nobody may write is read as finished (`frozen`): nothing can be appended there meanwhile. */
struct reader {
	struct sql sql;
	bool frozen;
};

enum reader_result {
	READER_OK = 0,
	READER_INPUT = 2,  /* no such file, not a log, newer */
	READER_SYSTEM = 3, /* the disk or the system failed */
};

enum reader_result reader_open(const char *path, struct reader *reader, struct log_error *err);
void reader_close(struct reader *reader); /* also after a failure */

#endif
