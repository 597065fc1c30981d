#include "station/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void start(struct snapshot *snapshot, size_t slots)
{
	static struct station_file file;

	memset(&file, 0, sizeof(file));
	snprintf(file.station, sizeof(file.station), "line-1");
	file.slot_count = slots;
	for (size_t i = 0; i < slots; i++) {
		snprintf(file.slots[i].name, sizeof(file.slots[i].name), "%u", (unsigned)i + 1);
		snprintf(file.slots[i].port, sizeof(file.slots[i].port), "1-%zu", i + 1);
	}
	snapshot_init(snapshot, &file, "corne", "0123456789abcdef0123", "mei", 40);
}

static void result(struct snapshot *snapshot, int slot, const char *serial, enum fail_code code)
{
	struct event event = { .kind = EVENT_RESULT, .slot = slot, .duration_ms = 1500 };

	snprintf(event.serial, sizeof(event.serial), "%s", serial);
	event.fault.code = code;
	if (code != FAIL_NONE)
		snprintf(event.text, sizeof(event.text), "slot %d failed", slot + 1);
	snapshot_absorb(snapshot, &event);
}

static void starts_with_what_the_run_is(void **state)
{
	struct snapshot snapshot;

	(void)state;
	start(&snapshot, 2);
	assert_string_equal(snapshot.station, "line-1");
	assert_string_equal(snapshot.image_short, "01234567");
	assert_string_equal(snapshot.image_digest, "0123456789abcdef0123");
	assert_int_equal(snapshot.slot_count, 2);
	assert_string_equal(snapshot.slots[1].port, "1-2");
	assert_int_equal(snapshot.slots[1].state, SLOT_ABSENT);
	snapshot_absorb(&snapshot,
			&(struct event){ .kind = EVENT_RUN_BEGIN, .slot = -1, .run_id = 7, .wall_ms = 99 });
	assert_int_equal(snapshot.run_id, 7);
	assert_int_equal(snapshot.started_ms, 99);
	snapshot_finish(&snapshot);
	snapshot_finish(&snapshot);
}

/* The small example that shows how far the definitions lie apart: eleven attempts on six units, FPY 2/6. */
static void first_pass_yield_counts_units_once(void **state)
{
	static const struct {
		const char *serial;
		int slot;
		enum fail_code code;
	} attempts[] = {
		{ "A", 0, FAIL_NONE },	 { "B", 1, FAIL_CONTACT },   { "B", 1, FAIL_NONE }, { "C", 0, FAIL_VERIFY },
		{ "C", 2, FAIL_VERIFY }, { "C", 2, FAIL_NONE },	     { "D", 2, FAIL_NONE }, { "E", 1, FAIL_CONTACT },
		{ "E", 3, FAIL_NONE },	 { "F", 3, FAIL_SIGNATURE }, { "", 1, FAIL_PROGRAMMER_LOST },
	};
	struct snapshot snapshot;
	struct snapshot_totals totals;

	(void)state;
	start(&snapshot, 4);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		result(&snapshot, attempts[i].slot, attempts[i].serial, attempts[i].code);
	snapshot_total(&snapshot, &totals);
	assert_int_equal(totals.attempts, 11);
	assert_int_equal(totals.passed, 5);
	assert_int_equal(totals.failed, 5);
	assert_int_equal(totals.errors, 1);
	assert_int_equal(totals.units, 6);
	assert_int_equal(totals.units_first_pass, 2);
	assert_int_equal(snapshot.finished, 11);
	assert_int_equal(snapshot.slots[0].units, 2); /* A and C were first seen here */
	assert_int_equal(snapshot.slots[0].units_first_pass, 1);
	assert_int_equal(snapshot.slots[1].units, 2);
	assert_int_equal(snapshot.slots[1].units_first_pass, 0);
	assert_int_equal(snapshot.slots[2].units, 1);
	snapshot_finish(&snapshot);
}

static void attempts_without_serial_are_units_of_their_own(void **state)
{
	struct snapshot snapshot;

	(void)state;
	start(&snapshot, 1);
	result(&snapshot, 0, "", FAIL_CONTACT);
	result(&snapshot, 0, "", FAIL_CONTACT);
	result(&snapshot, 0, "", FAIL_NONE);
	assert_int_equal(snapshot.slots[0].units, 3);
	assert_int_equal(snapshot.slots[0].units_first_pass, 1);
	snapshot_finish(&snapshot);
}

static void an_error_does_not_use_up_the_first_attempt(void **state)
{
	struct snapshot snapshot;

	(void)state;
	start(&snapshot, 1);
	result(&snapshot, 0, "A", FAIL_ABORTED);
	assert_int_equal(snapshot.slots[0].units, 0);
	result(&snapshot, 0, "A", FAIL_NONE);
	assert_int_equal(snapshot.slots[0].units_first_pass, 1);
	snapshot_finish(&snapshot);
}

static void ten_thousand_serials_are_told_apart(void **state)
{
	struct snapshot snapshot;
	char serial[16];

	(void)state;
	start(&snapshot, 1);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 10000; i++) {
			snprintf(serial, sizeof(serial), "KB%08d", i);
			result(&snapshot, 0, serial, FAIL_NONE);
		}
	assert_int_equal(snapshot.slots[0].units, 10000);
	assert_int_equal(snapshot.slots[0].attempts, 20000);
	snapshot_finish(&snapshot);
}

static void a_board_leaves_its_serial_until_it_is_taken_off(void **state)
{
	struct snapshot snapshot;
	struct event serial = { .kind = EVENT_SERIAL, .slot = 0, .serial = "KB1" };
	const struct slot_snapshot *slot = &snapshot.slots[0];

	(void)state;
	start(&snapshot, 1);
	snapshot_absorb(&snapshot, &(struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_RUNNING,
						    .wall_ms = 5 });
	snapshot_absorb(&snapshot, &serial);
	snapshot_absorb(&snapshot, &(struct event){ .kind = EVENT_STEP, .slot = 0, .step = STEP_PROGRAM });
	snapshot_absorb(&snapshot, &(struct event){ .kind = EVENT_PROGRESS, .slot = 0, .step = STEP_PROGRAM,
						    .done = 3, .total = 9 });
	assert_int_equal(slot->since_ms, 5);
	assert_int_equal(slot->done, 3);
	result(&snapshot, 0, "KB1", FAIL_VERIFY);
	snapshot_absorb(&snapshot, &(struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_FAIL });
	assert_string_equal(slot->serial, "KB1");
	assert_string_equal(snapshot.note, "slot 1 failed");
	snapshot_absorb(&snapshot, &(struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_WAITING });
	assert_string_equal(slot->serial, "");
	assert_string_equal(slot->last_serial, "KB1");
	assert_int_equal(slot->last_code, FAIL_VERIFY);
	assert_int_equal(slot->last_duration_ms, 1500);
	assert_int_equal(slot->total, 0);
	snapshot_finish(&snapshot);
}

static void events_of_no_slot_touch_none(void **state)
{
	struct snapshot snapshot;
	struct event note = { .kind = EVENT_NOTE, .slot = -1, .text = "log is slow" };

	(void)state;
	start(&snapshot, 1);
	result(&snapshot, 1, "A", FAIL_NONE);
	result(&snapshot, -1, "A", FAIL_NONE);
	snapshot_absorb(&snapshot, &note);
	assert_int_equal(snapshot.finished, 0);
	assert_string_equal(snapshot.note, "log is slow");
	assert_null(snapshot_slot(&snapshot, 1));
	assert_null(snapshot_slot(&snapshot, -1));
	assert_ptr_equal(snapshot_slot(&snapshot, 0), &snapshot.slots[0]);
	snapshot_finish(&snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_with_what_the_run_is),
		cmocka_unit_test(first_pass_yield_counts_units_once),
		cmocka_unit_test(attempts_without_serial_are_units_of_their_own),
		cmocka_unit_test(an_error_does_not_use_up_the_first_attempt),
		cmocka_unit_test(ten_thousand_serials_are_told_apart),
		cmocka_unit_test(a_board_leaves_its_serial_until_it_is_taken_off),
		cmocka_unit_test(events_of_no_slot_touch_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
