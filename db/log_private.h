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

/* Whose chip is this? 1: *unit and its serial ("" = it has none), 0: never seen, -1: failed (unexplained). */
int log_silicon_find(struct log *log, int64_t attempt_id, const char *silicon_id, int64_t *unit, char serial[48]);
/* The attempt's unit has this chip. 0 or -1 (unexplained). */
int log_silicon_bind(struct log *log, int64_t attempt_id, const char *silicon_id);
/* Has the unit of this serial another chip? 1, 0, or -1 (unexplained). */
int log_silicon_differs(struct log *log, const char *product, const char *serial, const char *silicon_id);

/* Closes what a crash left open. */
int log_recover(struct log *log, int64_t now_ms, struct log_recovery *recovery, struct log_error *err);

#endif
