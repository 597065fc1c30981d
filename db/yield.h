#ifndef POGO_DB_YIELD_H
#define POGO_DB_YIELD_H

#include "db/sql.h"
#include "db/wilson.h"

/* The yields of a selection of the log, computed here once and printed elsewhere.
 *
 * An attempt is one try on one board; a unit is a board (a serial number, or a board that failed before it
 * got one). Attempts that end in ERROR are the station's trouble: listed, in no yield. Attempts belong to the selection
 * by their run; a unit belongs to the run, and to the slot, of its first judged attempt, whenever it comes back. */

enum { YIELD_ALL_RUNS = 0, YIELD_LAST_RUN = -1 };

struct yield_wish {
	int64_t run;         /* a run, or one of the two above */
	const char *product; /* NULL = all */
};

struct yield_slot {
	char station[64], name[64], port[64];
	uint64_t attempts, errors; /* all closed attempts here; those of them that are ERROR */
	struct wilson first;       /* of the units first judged here */
};

struct yield_code {
	char status[8], code[32];
	uint64_t count;
};

struct yield {
	int64_t run;      /* the run meant, 0 = all */
	uint64_t runs;    /* in the selection */
	int64_t begun_ms, ended_ms; /* first attempt opened, last one closed; 0 = none */
	uint64_t attempts, passed, failed, errors, open; /* attempts = passed + failed + errors */
	struct wilson first;   /* units whose first attempt passed / units */
	struct wilson second;  /* units passed by their second attempt / units */
	struct wilson final;   /* units whose latest attempt passed / units */
	struct wilson attempt; /* passed / (passed + failed) attempts */
	uint64_t retested;     /* units with more than one attempt */
	uint64_t extra;        /* attempts beyond the first of each unit */
	uint64_t false_failed; /* units that failed first and passed later */
	struct yield_slot *slots;
	size_t slot_count;
	struct yield_code *codes; /* most frequent first */
	size_t code_count;
};

/* 1: filled, 0: there is no such run or product (sentence in *err), -1: failed. */
int yield_load(struct sql *sql, const struct yield_wish *wish, struct yield *yield, struct log_error *err);
void yield_free(struct yield *yield);

#endif
