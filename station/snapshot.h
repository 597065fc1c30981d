#ifndef POGO_STATION_SNAPSHOT_H
#define POGO_STATION_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"
#include "station/event.h"
#include "station/station_file.h"

/* What the station looks like right now: absorbed from events, drawn by every view. */

struct slot_snapshot {
	char name[16], port[64];
	enum slot_state state;
	enum slot_step step;
	uint32_t done, total;
	char serial[48], last_serial[48];
	enum fail_code last_code; /* of the last finished attempt; FAIL_NONE = pass or none yet */
	char last_text[320];
	int64_t since_ms, last_duration_ms;
	uint64_t attempts, passed, failed, errors; /* errors are in no yield */
	uint64_t units, units_first_pass;          /* this run: first attempts of a serial, and those passed */
};

struct snapshot {
	char station[48], product[64], operator_name[48];
	char image_digest[65], image_short[9];
	int64_t run_id, started_ms;
	uint64_t count_wanted, finished;
	struct slot_snapshot slots[STATION_SLOTS];
	size_t slot_count;
	char note[320]; /* the latest for the operator: a note, or the sentence of a result that is not PASS */
	uint64_t events_lost; /* the owner copies event_lost() here before a view looks */
	struct serial_set *seen; /* owned: serials of this run */
};

struct snapshot_totals {
	uint64_t attempts, passed, failed, errors, units, units_first_pass;
};

void snapshot_init(struct snapshot *snapshot, const struct station_file *file, const char *product,
		   const char *image_digest, const char *operator_name, uint64_t count_wanted);
void snapshot_finish(struct snapshot *snapshot); /* every snapshot_init needs one; twice is fine */
void snapshot_absorb(struct snapshot *snapshot, const struct event *event);
/* The sum over all slots. */
void snapshot_total(const struct snapshot *snapshot, struct snapshot_totals *out);
/* NULL when the index names no slot (events about the whole station have -1). */
const struct slot_snapshot *snapshot_slot(const struct snapshot *snapshot, int index);

#endif
