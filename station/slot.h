#ifndef POGO_STATION_SLOT_H
#define POGO_STATION_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "station/chip/chip.h"
#include "station/event.h"
#include "station/place.h"
#include "station/recorder.h"
#include "station/station_file.h"

/* One board position: straight-line code in its own thread.
 *
 *   ABSENT ──programmer plugged──► WAITING ──board answers──► RUNNING ──► PASS / FAIL / ERROR
 *     ▲                              ▲                                        │
 *     └── unplugged, from anywhere   └────────────── board taken off ─────────┘
 *
 * It shares nothing but the event queue and the recorder, and waits for no other slot. */

struct slot_job { /* a recipe, and the run of the log that its boards are filed under */
	const struct recipe *recipe;
	const struct chip_driver *chip_driver;
	int64_t run_id;
};

/* One job per port that a programmer may have: the programmer decides which one a slot takes. */
enum { SLOT_JOBS = 2 };

struct slot_shared { /* one per run, owned by the station, read by all slots */
	struct slot_job jobs[SLOT_JOBS];
	size_t job_count;
	place_judge *programmer_for;
	struct host *host;
	struct recorder *recorder;
	struct event_queue *events;
	unsigned no_board_s;
	uint64_t count; /* attempts in the whole run, 0 = no limit */
	atomic_uint_fast64_t started;
	atomic_uint_fast64_t passed, failed, errors; /* attempts that are closed in the log */
	atomic_uint alive;                           /* slot threads that have not ended */
	atomic_bool finish;                          /* start no further board */
	atomic_bool abort; /* end the running ones at the next safe point */
};

struct slot { /* initialised and started by slot_start, joined by slot_join */
	int index;
	struct slot_place place;
	struct slot_shared *shared;
	const struct slot_job *job; /* the first one until a programmer was opened */
	pthread_t thread;
};

int slot_start(struct slot *slot, int index, const struct slot_place *place,
               struct slot_shared *shared, struct pogo_error *err);
void slot_join(struct slot *slot);

/* Fills in slot, run and time, and posts. */
void slot_post(const struct slot *slot, struct event *event);

#endif
