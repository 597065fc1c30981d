#include "station/slot.h"

#include <stdio.h>
#include <string.h>

#include "station/attempt.h"

/* What the thread does, state by state. `over` = no further board is wanted: finish, abort, the
 * count is reached, or the log is broken. From every state `over` leads to DONE (a broken log stays
 * at ERROR), and a lost programmer to ABSENT.
 *
 *   ABSENT ── open_programmer ──► WAITING ── wait_board ──► take a ticket, open the row in the log
 *     ▲                            ▲   │ no board for long:         │                │
 *     │                            │   └ NO_BOARD logged once       │ row is open    │ log refuses
 *     │                            │                                ▼                ▼
 *     │                            │                             RUNNING           ERROR, end
 *     │                            │                                │ attempt_run
 *     │                            │                                ▼ attempt_close
 *     │                            └── wait_removal ── PASS, FAIL, ERROR
 *     └── programmer lost: drop_programmer (the running attempt is closed as PROGRAMMER_LOST first)
 */

enum {
	PROBE_PAUSE_US = 100 * 1000,    /* between two looks for a board */
	PRESENCE_PAUSE_US = 150 * 1000, /* between two looks whether the board is still there */
	RECHECK_PAUSE_US = 100 * 1000,  /* a bouncing pin must not look like a new board */
	ATTACH_MS = 3000,               /* one try, at a slow SCK too */
	REPLUG_MS = 2000,
	SEEN_GONE_MS = 1000, /* a board that fell silent must stay silent that long */
	HUNG_TRIES = 2,      /* looks in a row that all took ATTACH_MS: no chip is that slow */
};

struct bay { /* what the thread knows */
	struct slot *slot;
	struct slot_shared *shared;
	struct programmer *programmer; /* NULL: absent */
	char usb[64];                  /* "16c0:05dc 1.04", or a serial line's device file */
	struct chip chip;
	enum slot_state state;
	bool recorded_no_board; /* since the last board */
	char said[320];         /* the last note, so that none is repeated */
};

void slot_post(const struct slot *slot, struct event *event)
{
	event->slot = slot->index;
	event->run_id = slot->job->run_id;
	event->wall_ms = clock_wall_ms();
	event_post(slot->shared->events, event);
}

static bool over(struct bay *bay)
{
	struct slot_shared *shared = bay->shared;

	return atomic_load(&shared->finish) || atomic_load(&shared->abort) ||
	       (shared->count > 0 && atomic_load(&shared->started) >= shared->count) ||
	       recorder_broken(shared->recorder);
}

static void enter_state(struct bay *bay, enum slot_state state, const struct attempt *attempt)
{
	struct event event = {.kind = EVENT_STATE, .state = state};

	if (bay->state == state)
		return;
	bay->state = state;
	if (attempt != NULL) {
		event.attempt_id = attempt->id;
		event.fault = attempt->fault;
		memcpy(event.serial, attempt->serial, sizeof event.serial);
		memcpy(event.text, attempt->sentence, sizeof event.text);
	}
	slot_post(bay->slot, &event);
}

/* A sentence for the operator, said once and not at every try. */
static void say(struct bay *bay, const char *text)
{
	struct event event = {.kind = EVENT_NOTE, .state = bay->state};

	snprintf(event.text, sizeof event.text, "slot %s: %s", bay->slot->place.name, text);
	if (strcmp(bay->said, event.text) == 0)
		return;
	memcpy(bay->said, event.text, sizeof bay->said);
	slot_post(bay->slot, &event);
}

/* ---- the programmer */

static void drop_programmer(struct bay *bay, const struct fault *lost)
{
	if (bay->programmer == NULL)
		return;
	if (lost == NULL)
		bay->chip.driver->detach(&bay->chip);
	bay->programmer->driver->close(bay->programmer);
	bay->programmer = NULL;
	bay->chip.programmer = NULL;
	bay->chip.attached = false;
	if (lost != NULL) {
		enter_state(bay, SLOT_ABSENT, NULL);
		say(bay, lost->text);
	}
}

static bool has_port(const struct programmer *programmer, enum chip_port port)
{
	return port == PORT_ISP ? programmer->isp != NULL : programmer->swd != NULL;
}

/* The job for this programmer. Where there is one only, its chip driver says what does not fit. */
static const struct slot_job *job_for(const struct slot_shared *shared, const struct programmer *programmer)
{
	for (size_t i = 0; i < shared->job_count; i++)
		if (has_port(programmer, shared->jobs[i].chip_driver->port))
			return &shared->jobs[i];
	return &shared->jobs[0];
}

static void take_job(struct bay *bay)
{
	const struct slot_job *job = job_for(bay->shared, bay->programmer);

	bay->slot->job = job;
	chip_init(&bay->chip, job->chip_driver, job->recipe);
	bay->chip.programmer = bay->programmer;
}

/* What the log says the programmer was. */
static void name_device(struct bay *bay, const struct usb_identity *identity)
{
	if (identity->vendor == 0 && identity->product == 0)
		snprintf(bay->usb, sizeof bay->usb, "%s", identity->path);
	else
		snprintf(bay->usb, sizeof bay->usb, "%04x:%04x %x.%02x", identity->vendor, identity->product,
		         identity->release >> 8, identity->release & 0xffu);
}

/* One try; waits for a change of plugs when there is nothing to open. */
static bool open_programmer(struct bay *bay)
{
	struct slot_shared *shared = bay->shared;
	struct usb_identity identity;
	struct pogo_error err = {.text = ""};
	deadline_t retry = deadline_in_ms(REPLUG_MS);
	int got = place_open(&bay->slot->place, shared->host, shared->programmer_for, &bay->programmer, &identity, &err);

	if (got == 0) {
		take_job(bay);
		name_device(bay, &identity);
		bay->said[0] = '\0';
		return true;
	}
	enter_state(bay, SLOT_ABSENT, NULL);
	if (got < 0)
		say(bay, err.text);
	if (!over(bay))
		shared->host->ops->wait_change(shared->host, retry);
	/* The opening itself may have counted as a change: never spin. */
	if (!over(bay))
		clock_sleep_us(PROBE_PAUSE_US);
	return false;
}

/* ---- the board */

static int attach(struct bay *bay, struct fault *fault)
{
	*fault = (struct fault){.code = FAIL_NONE};
	return bay->chip.driver->attach(&bay->chip, deadline_in_ms(ATTACH_MS), fault);
}

static void record_no_board(struct bay *bay)
{
	struct attempt attempt;

	bay->recorded_no_board = true;
	if (attempt_open(&attempt, bay->slot, &bay->chip, bay->usb) != 0)
		return; /* the log is broken: the loop ends by itself */
	attempt.step = STEP_NONE;
	fault_set(&attempt.fault, FAIL_NO_BOARD, "no board was set within %u s",
	          bay->shared->no_board_s);
	attempt_close(&attempt);
}

static bool wait_board(struct bay *bay)
{
	struct fault fault;
	int64_t limit_ns = (int64_t)bay->shared->no_board_s * 1000000000;
	int64_t since = clock_now();
	unsigned late = 0;

	memset(&bay->chip.facts, 0, sizeof bay->chip.facts);
	enter_state(bay, SLOT_WAITING, NULL);
	while (!over(bay)) {
		if (attach(bay, &fault) == 0)
			return true;
		if (fault.code == FAIL_PROGRAMMER_LOST) {
			drop_programmer(bay, &fault);
			return false;
		}
		late = fault.code == FAIL_TIMEOUT ? late + 1 : 0;
		if (late >= HUNG_TRIES) {
			/* "Set a board" would be a lie: no board will ever be seen there. */
			fault_set(&fault, FAIL_PROGRAMMER_LOST,
			          "the programmer does not answer any more; unplug it and plug it "
			          "in again");
			drop_programmer(bay, &fault);
			return false;
		}
		if (fault.code != FAIL_CONTACT && fault.code != FAIL_TIMEOUT)
			say(bay, fault.text);
		if (limit_ns > 0 && !bay->recorded_no_board && clock_now() - since >= limit_ns)
			record_no_board(bay);
		clock_sleep_us(PROBE_PAUSE_US);
	}
	return false;
}

/* The log takes no rows any more: nothing may be started, and this slot says so. */
static void stop_at_record(struct bay *bay, struct attempt *attempt)
{
	snprintf(attempt->sentence, sizeof attempt->sentence, "slot %s, %s: %s",
	         bay->slot->place.name, slot_step_name(STEP_RECORD), attempt->fault.text);
	enter_state(bay, SLOT_ERROR, attempt);
	say(bay, attempt->fault.text);
}

/* The board in front, from its ticket to its verdict. */
static void work_board(struct bay *bay)
{
	struct slot_shared *shared = bay->shared;
	struct attempt attempt;

	if (over(bay))
		return;
	/* The ticket decides: two slots may have seen the last free one. */
	if (atomic_fetch_add(&shared->started, 1) >= shared->count && shared->count > 0)
		return;
	bay->recorded_no_board = false;
	bay->said[0] = '\0';
	if (attempt_open(&attempt, bay->slot, &bay->chip, bay->usb) != 0) {
		stop_at_record(bay, &attempt);
		return;
	}
	enter_state(bay, SLOT_RUNNING, &attempt);
	attempt_run(&attempt);
	struct fault fault = attempt.fault;
	attempt_close(&attempt);
	enter_state(bay, attempt.verdict, &attempt);
	if (fault.code == FAIL_PROGRAMMER_LOST)
		drop_programmer(bay, &fault);
}

/* After a silence: is what answers now another board? Only then could it have come unseen. The
 * silicon id tells, where the chip has one; another chip type tells too. */
static bool swapped(struct bay *bay, const struct chip_facts *before)
{
	const struct chip_facts *now = &bay->chip.facts;
	struct fault fault = {.code = FAIL_NONE};

	if (bay->chip.driver->identify(&bay->chip, deadline_in_ms(ATTACH_MS), &fault) != 0)
		return fault.code == FAIL_SIGNATURE &&
		       memcmp(before->signature, now->signature, 3) != 0;
	return before->silicon_id_bytes > 0 && before->silicon_id_bytes == now->silicon_id_bytes &&
	       memcmp(before->silicon_id, now->silicon_id, now->silicon_id_bytes) != 0;
}

/* The verdict stands until the board is off: two looks in a row without an answer. A board that was
 * silent already when its attempt ended must stay silent for a second, or a loose pin would start
 * it anew. */
static void wait_removal(struct bay *bay)
{
	struct chip_facts before = bay->chip.facts;
	int64_t settle_ns = bay->chip.attached ? 0 : SEEN_GONE_MS * 1000000LL, silent_since = 0;
	unsigned misses = 0;
	struct fault fault;

	while (!over(bay)) {
		clock_sleep_us(misses > 0 ? RECHECK_PAUSE_US : PRESENCE_PAUSE_US);
		bool was_attached = bay->chip.attached;
		if (attach(bay, &fault) == 0) {
			if (!was_attached && swapped(bay, &before))
				return;
			misses = 0;
			settle_ns = 0;
		} else if (fault.code == FAIL_PROGRAMMER_LOST) {
			drop_programmer(bay, &fault);
			return;
		} else if (fault.code != FAIL_CONTACT) {
			/* The programmer's trouble: says nothing about the board. */
			say(bay, fault.text);
		} else {
			if (misses++ == 0)
				silent_since = clock_now();
			if (misses >= 2 && clock_now() - silent_since >= settle_ns)
				return;
		}
	}
}

/* ---- the thread */

static void *slot_main(void *arg)
{
	struct slot *slot = arg;
	struct slot_shared *shared = slot->shared;
	struct bay bay = {.slot = slot, .shared = shared, .state = SLOT_STATES};

	while (!over(&bay)) {
		if (bay.programmer == NULL && !open_programmer(&bay))
			continue;
		if (!wait_board(&bay))
			continue;
		work_board(&bay);
		if (bay.programmer != NULL)
			wait_removal(&bay);
	}
	drop_programmer(&bay, NULL);
	if (!recorder_broken(shared->recorder))
		enter_state(&bay, SLOT_DONE, NULL);
	atomic_fetch_sub(&shared->alive, 1);
	return NULL;
}

int slot_start(struct slot *slot, int index, const struct slot_place *place,
               struct slot_shared *shared, struct pogo_error *err)
{
	*slot = (struct slot){.index = index, .place = *place, .shared = shared, .job = &shared->jobs[0]};
	atomic_fetch_add(&shared->alive, 1);
	int number = pthread_create(&slot->thread, NULL, slot_main, slot);
	if (number == 0)
		return 0;
	atomic_fetch_sub(&shared->alive, 1);
	return pogo_fail_errno(err, number, "cannot start the thread of slot %s", place->name);
}

void slot_join(struct slot *slot)
{
	pthread_join(slot->thread, NULL);
}
