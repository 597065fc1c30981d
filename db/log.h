#ifndef POGO_DB_LOG_H
#define POGO_DB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The production log: one SQLite file, WAL, synchronous=FULL. Every call that returns 0 is on disk. One
 * thread owns a log. Times are wall-clock milliseconds since 1970 UTC given by the caller, durations
 * microseconds of a monotonic clock. Strings are UTF-8. Nothing finished is ever changed or deleted:
 * triggers refuse it. */

struct log_error {
	bool full;      /* the disk or a quota is full */
	bool newer;     /* the file was written by a newer Pogoline */
	char text[480]; /* one sentence: file, what, way out */
};

struct log;

enum { LOG_RECOVERY_NAMES = 4 };
struct log_recovery { /* what opening had to put right after a crash */
	unsigned runs, attempts, serials; /* closed as interrupted; serials now IN DOUBT */
	char names[LOG_RECOVERY_NAMES][48]; /* the first of those serials; "" = no more */
};

/* Opens or creates, applies schema steps (backing the file up first when it holds data), closes what a
 * crash left open. Refuses a file that another station process holds. */
int log_open(const char *path, int64_t now_ms, struct log **out, struct log_recovery *recovery, struct log_error *err);
void log_close(struct log *log); /* NULL is fine */

struct log_run {
	const char *station, *operator_name, *tool_version, *product, *part;
	const char *recipe_digest, *recipe_text, *recipe_path;
	const char *image_digest, *image_path;
	uint32_t image_crc32;
	uint64_t image_bytes;
	int64_t now_ms;
};
int log_run_begin(struct log *log, const struct log_run *run, int64_t *run_id, struct log_error *err);
int log_run_end(struct log *log, int64_t run_id, int64_t now_ms, struct log_error *err);

struct log_attempt {
	int64_t run_id;
	const char *slot, *port;
	const char *programmer_kind, *programmer_firmware, *programmer_usb; /* usb "16c0:05dc 1.04" */
	int64_t now_ms;
};
/* Opens the row before the chip is touched. */
int log_attempt_open(struct log *log, const struct log_attempt *attempt, int64_t *attempt_id, struct log_error *err);

struct log_serial_wish {
	int64_t attempt_id;
	const char *product, *prefix;
	unsigned width;
	uint64_t first;
	const char *found; /* what the board carries in its serial field, NULL = nothing that fits the rule */
	const char *silicon_id; /* the chip's own number in hex, which no other chip has; NULL = it has none */
	int64_t now_ms;
};
enum log_serial_result {
	LOG_SERIAL_NEW,      /* a fresh number, RESERVED and durable */
	LOG_SERIAL_RETURNED, /* the board came back with its number; RESERVED again for this attempt */
	LOG_SERIAL_UNKNOWN,  /* the board carries a number that fits the rule but was never given: refused */
	LOG_SERIAL_BUSY,     /* another open attempt holds the board's number: two boards carry it: refused */
	LOG_SERIAL_EXHAUSTED, /* no number of that width is left: refused */
	LOG_SERIAL_OTHER_CHIP,   /* the board's number was given to another chip: one of the two is a copy: refused */
	LOG_SERIAL_OTHER_NUMBER, /* this chip was given another number (`serial` tells which) than it carries now, or than
				  * fits the rule: refused */
};
/* Binds a serial (and so a unit) to the attempt, durable on return. Once per attempt. A refusal (all but NEW and
 * RETURNED) returns 0 and binds nothing. A chip that was here before gets its number again, also when the board carries
 * none any more. `first` also lifts the counter when the recipe raised it later. */
int log_serial_claim(struct log *log, const struct log_serial_wish *wish, char serial[48],
		     enum log_serial_result *result, struct log_error *err);
/* The serial's bytes are on the chip and were read back: WRITTEN. */
int log_serial_written(struct log *log, int64_t attempt_id, int64_t now_ms, struct log_error *err);

/* A step begins / ends. result is "ok" or a failure code. Seconds of history, not a gate. */
int log_step_begin(struct log *log, int64_t attempt_id, const char *step, int64_t now_ms, struct log_error *err);
int log_step_end(struct log *log, int64_t attempt_id, const char *step, int64_t duration_us, const char *result,
		 struct log_error *err);

struct log_measure { /* numbers of an attempt: "sck_hz", "bytes_written", … text NULL, or a text and number 0 */
	const char *name;
	int64_t number;
	const char *text;
};
/* Stores one measure of an open attempt now, durable on return: for what must be on record before it happens. */
int log_attempt_measure(struct log *log, int64_t attempt_id, const struct log_measure *measure, struct log_error *err);

struct log_result {
	int64_t attempt_id;
	const char *status;      /* "PASS", "FAIL" or "ERROR" */
	const char *code;        /* NULL for PASS */
	const char *step;        /* where it failed, NULL for PASS */
	const char *sentence;    /* NULL for PASS */
	bool has_address;
	uint32_t address, expected, found;
	/* Not PASS: true makes the serial IN DOUBT; false makes a fresh number VOID, and gives a returned one the
	 * state it had before, if no step was begun after its claim (else the chip may be half erased: IN DOUBT).
	 * A number that is WRITTEN is on the chip and becomes IN DOUBT in any case. */
	bool serial_may_be_on_chip;
	const char *silicon_id; /* as in log_serial_wish: names the unit when it has no serial */
	int64_t now_ms, duration_us;
	const struct log_measure *measures;
	size_t measure_count;
};
/* Closes the attempt, settles its serial (PASS: COMMITTED), stores the measures: one transaction. */
int log_attempt_close(struct log *log, const struct log_result *result, struct log_error *err);

#endif
