#ifndef POGO_STATION_EVENT_H
#define POGO_STATION_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "station/fault.h"

/* News from the slots to the views: plain values, copied into a bounded queue. A slot never waits for a
 * view: when the queue is full a newer progress replaces the queued one of its slot and step, then the
 * oldest progress goes, and `lost` counts what else had to go (results and states last of all). */

enum slot_state {
	SLOT_ABSENT,     /* its programmer is not plugged (or was lost) */
	SLOT_WAITING,    /* armed: waiting for a board */
	SLOT_RUNNING,    /* a board is being worked on: hands off */
	SLOT_PASS,       /* take the board off; it passed and that is on disk */
	SLOT_FAIL,       /* take the board off; it failed */
	SLOT_ERROR,      /* the station's own trouble, not the board's */
	SLOT_DONE,       /* the run is over for this slot */
	SLOT_STATES
};

enum slot_step {
	STEP_NONE, STEP_IDENTIFY, STEP_SERIAL, STEP_ERASE, STEP_CLOCK, STEP_PROGRAM, STEP_VERIFY, STEP_CONFIGURE,
	STEP_LOCK, STEP_RECORD, STEP_COUNT
};

enum event_kind {
	EVENT_RUN_BEGIN, EVENT_RUN_END, EVENT_NOTE /* a sentence for the operator */, EVENT_STATE /* slot state changed */,
	EVENT_STEP /* step begins */, EVENT_PROGRESS, EVENT_SERIAL /* serial known */, EVENT_RESULT /* attempt closed */
};

struct event {
	enum event_kind kind;
	int64_t wall_ms;
	int slot;                /* index in the station file; -1 = the whole station */
	enum slot_state state;
	enum slot_step step;
	uint32_t done, total;    /* bytes of the step */
	int64_t run_id, attempt_id;
	char serial[48];
	struct fault fault;      /* EVENT_RESULT that is not PASS; EVENT_NOTE: text only */
	int64_t duration_ms;     /* EVENT_RESULT: board found to result on disk */
	char text[320];          /* EVENT_RESULT failed: the whole sentence; EVENT_NOTE: the note */
};

struct event_queue;

struct event_queue *event_queue_create(unsigned room); /* NULL: out of memory */
void event_queue_destroy(struct event_queue *queue); /* NULL is fine; no other thread may use it any more */
void event_post(struct event_queue *queue, const struct event *event); /* never blocks for a view; any thread */
/* Waits for an event or the timeout (-1 for ever, 0 not at all). True: *out filled. */
bool event_take(struct event_queue *queue, struct event *out, int timeout_ms);
uint64_t event_lost(struct event_queue *queue);

const char *slot_state_name(enum slot_state state); /* "waiting", "running", "pass", … as in --ui json */
const char *slot_step_name(enum slot_step step);    /* "identify", … as in the log */

#endif
