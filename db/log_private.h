#ifndef POGO_DB_LOG_PRIVATE_H
#define POGO_DB_LOG_PRIVATE_H

#include "db/log.h"
#include "db/sql.h"

struct log {
	struct sql sql;
	int lock;
};

/* Ends the transaction that a call began: commits when `result` is 0, else rolls back. What failed is explained
 * in *err unless the caller has done so (`explained`). Returns 0 or -1. */
int log_settle(struct log *log, int result, bool explained, const char *doing, struct log_error *err);

/* Inside the transaction of log_attempt_close: the serial follows the verdict. 0 or -1 (unexplained). */
int log_serial_settle(struct log *log, const struct log_result *result);
/* Creates the unit (serial NULL: an unnamed board) and binds the attempt to it. 0 or -1 (unexplained). */
int log_unit_create(struct log *log, int64_t attempt_id, const char *serial, int64_t *unit);

/* Closes what a crash left open. */
int log_recover(struct log *log, int64_t now_ms, struct log_recovery *recovery, struct log_error *err);

#endif
