#ifndef POGO_DB_UNIT_LIFE_H
#define POGO_DB_UNIT_LIFE_H

#include <stdbool.h>

#include "db/sql.h"

/* Everything the log knows about one unit: plain values, texts owned. */

struct life_step {
	char *name, *result; /* result NULL = running */
	int64_t begun_ms, duration_us; /* duration -1 = unknown */
};

struct life_measure {
	char *name, *text; /* text NULL = a number */
	int64_t number;
};

struct life_attempt {
	int64_t id, number, run, opened_ms, closed_ms, duration_us; /* -1 = not there */
	int64_t address, expected, found;                           /* -1 = not there */
	bool interrupted;
	char *status, *code, *step, *sentence; /* status NULL = running */
	char *station, *operator_name, *slot, *port, *programmer, *firmware, *usb;
	char *part, *image_digest, *recipe_path, *tool_version;
	struct life_step *steps;
	size_t step_count;
	struct life_measure *measures;
	size_t measure_count;
};

struct life_state {
	char *state;
	int64_t attempt, at_ms;
};

struct unit_life {
	int64_t unit;
	char *name;    /* the serial number, or "unit-ATTEMPT" */
	char *product;
	char *state;   /* of the serial number; NULL: it has none */
	struct life_attempt *attempts;
	size_t attempt_count;
	struct life_state *states;
	size_t state_count;
};

/* `name` is a serial number or "unit-ATTEMPT"; product NULL = any. 1: filled, 0: no such unit, or several
 * products have it (sentence in *err), -1: failed. */
int unit_life_load(struct sql *sql, const char *name, const char *product, struct unit_life *life,
		   struct log_error *err);
void unit_life_free(struct unit_life *life);

#endif
