#ifndef POGO_DB_LOG_LOCK_H
#define POGO_DB_LOG_LOCK_H

#include "db/log.h"

/* One station process per log: an advisory lock on PATH.lock, which the kernel drops when the process dies, however it
 * dies. Readers do not ask for it. The file stays: removing it would let two processes lock two files of one name. */
int log_lock_take(const char *path, int *fd, struct log_error *err);
void log_lock_drop(int fd); /* -1 is fine */

#endif
