#include "station/event.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct event progress(int slot, enum slot_step step, uint32_t done)
{
	return (struct event){ .kind = EVENT_PROGRESS, .slot = slot, .step = step, .done = done, .total = 100 };
}

static struct event of_kind(enum event_kind kind, int slot)
{
	return (struct event){ .kind = kind, .slot = slot };
}

static void post(struct event_queue *queue, struct event event)
{
	event_post(queue, &event);
}

static void expect(struct event_queue *queue, enum event_kind kind, int slot, uint32_t done)
{
	struct event event;

	assert_true(event_take(queue, &event, 0));
	assert_int_equal(event.kind, kind);
	assert_int_equal(event.slot, slot);
	assert_int_equal(event.done, done);
}

static void expect_empty(struct event_queue *queue)
{
	struct event event;

	assert_false(event_take(queue, &event, 0));
}

static void events_come_in_order(void **state)
{
	struct event_queue *queue = event_queue_create(4);

	(void)state;
	expect_empty(queue);
	for (uint32_t round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			post(queue, progress(i, STEP_PROGRAM, round));
		for (int i = 0; i < 4; i++)
			expect(queue, EVENT_PROGRESS, i, round);
	}
	expect_empty(queue);
	assert_int_equal(event_lost(queue), 0);
	event_queue_destroy(queue);
	event_queue_destroy(NULL);
}

static void newer_progress_replaces_the_queued_one(void **state)
{
	struct event_queue *queue = event_queue_create(3);

	(void)state;
	post(queue, progress(1, STEP_PROGRAM, 10));
	post(queue, progress(2, STEP_PROGRAM, 20));
	post(queue, progress(1, STEP_VERIFY, 30));
	post(queue, progress(2, STEP_PROGRAM, 21));
	expect(queue, EVENT_PROGRESS, 1, 10);
	expect(queue, EVENT_PROGRESS, 1, 30);
	expect(queue, EVENT_PROGRESS, 2, 21);
	expect_empty(queue);
	assert_int_equal(event_lost(queue), 0);
	event_queue_destroy(queue);
}

static void replaced_progress_stays_behind_the_end_of_its_board(void **state)
{
	struct event_queue *queue = event_queue_create(2);

	(void)state;
	post(queue, progress(1, STEP_PROGRAM, 99));
	post(queue, of_kind(EVENT_RESULT, 1));
	post(queue, progress(1, STEP_PROGRAM, 1)); /* the next board's */
	expect(queue, EVENT_RESULT, 1, 0);
	expect(queue, EVENT_PROGRESS, 1, 1);
	event_queue_destroy(queue);
}

static void progress_goes_before_anything_else(void **state)
{
	struct event_queue *queue = event_queue_create(3);

	(void)state;
	post(queue, of_kind(EVENT_NOTE, 0));
	post(queue, progress(1, STEP_PROGRAM, 10));
	post(queue, progress(2, STEP_PROGRAM, 20));
	post(queue, progress(3, STEP_PROGRAM, 30)); /* no equal: the oldest progress goes */
	post(queue, of_kind(EVENT_STATE, 4));
	expect(queue, EVENT_NOTE, 0, 0);
	expect(queue, EVENT_PROGRESS, 3, 30);
	expect(queue, EVENT_STATE, 4, 0);
	assert_int_equal(event_lost(queue), 0);
	event_queue_destroy(queue);
}

static void results_and_states_outlive_notes(void **state)
{
	struct event_queue *queue = event_queue_create(3);

	(void)state;
	post(queue, of_kind(EVENT_RESULT, 0));
	post(queue, of_kind(EVENT_NOTE, 1));
	post(queue, of_kind(EVENT_SERIAL, 2));
	post(queue, progress(3, STEP_ERASE, 5)); /* pushes nothing out, is not counted */
	assert_int_equal(event_lost(queue), 0);
	post(queue, of_kind(EVENT_RESULT, 4));
	post(queue, of_kind(EVENT_STATE, 5));
	assert_int_equal(event_lost(queue), 2);
	post(queue, of_kind(EVENT_NOTE, 6)); /* nothing cheaper than itself is queued */
	assert_int_equal(event_lost(queue), 3);
	post(queue, of_kind(EVENT_RUN_END, -1)); /* only then the oldest of all */
	assert_int_equal(event_lost(queue), 4);
	expect(queue, EVENT_RESULT, 4, 0);
	expect(queue, EVENT_STATE, 5, 0);
	expect(queue, EVENT_RUN_END, -1, 0);
	expect_empty(queue);
	event_queue_destroy(queue);
}

static void a_queue_without_room_still_holds_one(void **state)
{
	struct event_queue *queue = event_queue_create(0);

	(void)state;
	post(queue, progress(1, STEP_ERASE, 1));
	post(queue, of_kind(EVENT_RESULT, 1));
	expect(queue, EVENT_RESULT, 1, 0);
	expect_empty(queue);
	event_queue_destroy(queue);
}

static void taking_gives_up_after_its_time(void **state)
{
	struct event_queue *queue = event_queue_create(2);
	struct event event;

	(void)state;
	assert_false(event_take(queue, &event, 1));
	post(queue, of_kind(EVENT_NOTE, 1));
	assert_true(event_take(queue, &event, 1));
	event_queue_destroy(queue);
}

enum { POSTERS = 4, RESULTS_EACH = 500 };

struct poster {
	struct event_queue *queue;
	int slot;
};

static void *post_results(void *arg)
{
	const struct poster *poster = arg;

	for (int i = 0; i < RESULTS_EACH; i++) {
		struct event event = of_kind(EVENT_RESULT, poster->slot);

		post(poster->queue, progress(poster->slot, STEP_PROGRAM, (uint32_t)i));
		event.attempt_id = i;
		post(poster->queue, event);
	}
	return NULL;
}

/* Room for every result, not for every progress: all results arrive, each slot's in its order. */
static void threads_lose_no_result(void **state)
{
	struct event_queue *queue = event_queue_create(POSTERS * RESULTS_EACH);
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	int64_t next[POSTERS] = { 0 };
	struct event event;

	(void)state;
	for (int i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ queue, i };
		assert_int_equal(pthread_create(&threads[i], NULL, post_results, &posters[i]), 0);
	}
	for (int got = 0; got < POSTERS * RESULTS_EACH;) {
		assert_true(event_take(queue, &event, -1));
		if (event.kind != EVENT_RESULT)
			continue;
		assert_int_equal(event.attempt_id, next[event.slot]++);
		got++;
	}
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(event_lost(queue), 0);
	event_queue_destroy(queue);
}

static void names_are_those_of_the_log(void **state)
{
	(void)state;
	assert_string_equal(slot_state_name(SLOT_ABSENT), "absent");
	assert_string_equal(slot_state_name(SLOT_DONE), "done");
	assert_string_equal(slot_step_name(STEP_IDENTIFY), "identify");
	assert_string_equal(slot_step_name(STEP_RECORD), "record");
	for (int i = 0; i < SLOT_STATES; i++)
		assert_string_not_equal(slot_state_name((enum slot_state)i), "unknown");
	for (int i = 0; i < STEP_COUNT; i++)
		assert_string_not_equal(slot_step_name((enum slot_step)i), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_order),
		cmocka_unit_test(newer_progress_replaces_the_queued_one),
		cmocka_unit_test(replaced_progress_stays_behind_the_end_of_its_board),
		cmocka_unit_test(progress_goes_before_anything_else),
		cmocka_unit_test(results_and_states_outlive_notes),
		cmocka_unit_test(a_queue_without_room_still_holds_one),
		cmocka_unit_test(taking_gives_up_after_its_time),
		cmocka_unit_test(threads_lose_no_result),
		cmocka_unit_test(names_are_those_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
