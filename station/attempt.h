#ifndef POGO_STATION_ATTEMPT_H
#define POGO_STATION_ATTEMPT_H

#include "station/slot.h"

/* One attempt on one board: opened in the log before the chip is touched, run step by step, closed
 * in the log, and only then told to anybody. Lives on the slot's thread. */

struct attempt {
	const struct slot *slot;
	struct chip *chip;
	int64_t id;              /* in the log */
	int64_t found_ns;        /* clock_now() when the board answered */
	int64_t reported_ns;     /* last progress event */
	enum slot_step step;     /* running, or where it failed */
	bool chip_written;       /* the program step had begun: the serial may be in silicon */
	char serial[48];         /* "" = none */
	struct hex_image image;  /* this board's: the release and its serial */
	struct fault fault;      /* code FAIL_NONE = all went well so far */
	char sentence[320];      /* slot, step, what happened; made by attempt_close */
	enum slot_state verdict; /* SLOT_PASS, SLOT_FAIL or SLOT_ERROR; made by attempt_close */
};

/* Opens the row. -1: the log cannot be written, the fault is in the attempt, nothing may be
 * touched. */
int attempt_open(struct attempt *attempt, const struct slot *slot, struct chip *chip,
                 const char *usb);
/* All steps up to the first failure. Returns 0 or -1 with attempt->fault. */
int attempt_run(struct attempt *attempt);
/* Records the result, then posts it. -1: it could not be recorded; the verdict is ERROR then. */
int attempt_close(struct attempt *attempt);

#endif
