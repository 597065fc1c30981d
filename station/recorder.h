#ifndef POGO_STATION_RECORDER_H
#define POGO_STATION_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "db/log.h"
#include "hextools/err.h"
#include "station/fault.h"

/* The one thread that owns the log. Slots hand it requests; calls that gate an outside action (open, claim,
 * written, close) return when the commit has returned, step notes return at once. Any thread may call.
 * After a failure of a gating call the recorder is `broken`: every later gating call fails at once
 * with FAIL_RECORD, so that no board is started and none shown as PASS. */

struct recorder;

int recorder_create(const char *db_path, struct recorder **out, struct log_recovery *recovery, struct pogo_error *err);
void recorder_destroy(struct recorder *recorder); /* drains, closes; NULL is fine */
bool recorder_broken(struct recorder *recorder);
/* The sentence of the first failure; "" while nothing failed. */
void recorder_why(struct recorder *recorder, char *text, size_t size);

int recorder_run_begin(struct recorder *recorder, const struct log_run *run, int64_t *run_id, struct pogo_error *err);
int recorder_run_end(struct recorder *recorder, int64_t run_id, struct pogo_error *err);

int recorder_attempt_open(struct recorder *recorder, const struct log_attempt *attempt, int64_t *attempt_id,
			  struct fault *fault);
int recorder_serial_claim(struct recorder *recorder, const struct log_serial_wish *wish, char serial[48],
			  enum log_serial_result *result, struct fault *fault);
int recorder_serial_written(struct recorder *recorder, int64_t attempt_id, struct fault *fault);
/* One measure of an open attempt, on disk before it returns: for what must be on record before it happens. */
int recorder_measure(struct recorder *recorder, int64_t attempt_id, const struct log_measure *measure,
		     struct fault *fault);
void recorder_step_begin(struct recorder *recorder, int64_t attempt_id, const char *step);
void recorder_step_end(struct recorder *recorder, int64_t attempt_id, const char *step, int64_t duration_us,
		       const char *result);
int recorder_attempt_close(struct recorder *recorder, const struct log_result *result, struct fault *fault);

#endif
