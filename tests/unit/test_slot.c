#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>

#include "tests/unit/fake_line.h"
#include "station/recipe.h"
#include "station/slot.h"

enum { PATIENCE_MS = 20000 };

struct fixture {
	char folder[200], db[256];
	struct fake_host host;
	struct part part;
	struct recipe recipe;
	struct recorder *recorder;
	struct slot_shared shared;
	struct slot slots[FAKE_PODS];
	size_t started;
};

static void make_recipe(struct fixture *f)
{
	uint8_t bytes[64];

	memset(bytes, 0xA5, sizeof bytes);
	f->part = (struct part){.name = "fake",
	                        .family = "fake",
	                        .flash_bytes = 32768,
	                        .eeprom_bytes = 1024,
	                        .flash_page = 128,
	                        .eeprom_page = 4,
	                        .fuse_count = 3};
	f->recipe.part = &f->part;
	snprintf(f->recipe.product, sizeof f->recipe.product, "p");
	hex_image_init(&f->recipe.image);
	assert_int_equal(hex_image_add(&f->recipe.image, 0x1000, bytes, sizeof bytes,
	                               HEX_OVERLAP_ERROR, NULL, NULL),
	                 0);
	f->recipe.serial = (struct serial_rule){.wanted = true,
	                                        .prefix = "KB",
	                                        .width = 6,
	                                        .first = 1,
	                                        .address = AVR_EEPROM_BASE + 0x3F0,
	                                        .length = 8};
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	struct log_run run = {.station = "s",
	                      .operator_name = "o",
	                      .tool_version = "0",
	                      .product = "p",
	                      .part = "fake",
	                      .recipe_digest = "r",
	                      .recipe_text = "t",
	                      .recipe_path = "r.cfg",
	                      .image_digest = "i",
	                      .image_path = "i.hex",
	                      .image_bytes = 64,
	                      .now_ms = clock_wall_ms()};
	struct log_recovery recovery;
	struct pogo_error err = {.text = ""};

	signal(SIGXFSZ, SIG_IGN);
	*state = f;
	fake_folder(f->folder, sizeof f->folder);
	snprintf(f->db, sizeof f->db, "%s/log.db", f->folder);
	fake_host_init(&f->host, 2);
	make_recipe(f);
	if (recorder_create(f->db, &f->recorder, &recovery, &err) != 0 ||
	    recorder_run_begin(f->recorder, &run, &f->shared.jobs[0].run_id, &err) != 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	f->shared.jobs[0].recipe = &f->recipe;
	f->shared.jobs[0].chip_driver = &fake_chip;
	f->shared.job_count = 1;
	f->shared.programmer_for = fake_programmer_for;
	f->shared.host = &f->host.base;
	f->shared.recorder = f->recorder;
	f->shared.events = event_queue_create(1024);
	return 0;
}

static void start(struct fixture *f, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct slot_place place = {.kind = "fake"};
		snprintf(place.name, sizeof place.name, "%u", (unsigned)i + 1);
		snprintf(place.port, sizeof place.port, "%s", f->host.pods[i].path);
		assert_int_equal(slot_start(&f->slots[i], (int)i, &place, &f->shared, NULL), 0);
		f->started++;
	}
}

static void join(struct fixture *f)
{
	while (f->shared.alive > 0) {
		fake_wake(&f->host.base);
		clock_sleep_us(1000);
	}
	for (size_t i = 0; i < f->started; i++)
		slot_join(&f->slots[i]);
	f->started = 0;
}

static void end(struct fixture *f)
{
	f->shared.finish = true;
	join(f);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	f->shared.abort = true;
	join(f);
	for (size_t i = 0; i < f->host.count; i++)
		assert_int_equal(f->host.pods[i].opens, f->host.pods[i].closes);
	event_queue_destroy(f->shared.events);
	recorder_destroy(f->recorder);
	hex_image_finish(&f->recipe.image);
	fake_remove(f->folder);
	free(f);
	return 0;
}

/* Takes events until one of this kind (and, for EVENT_STATE, state) of this slot. */
static struct event await(struct fixture *f, int slot, enum event_kind kind, enum slot_state want)
{
	deadline_t deadline = deadline_in_ms(PATIENCE_MS);
	struct event event;

	while (deadline_left_ms(deadline) > 0)
		if (event_take(f->shared.events, &event, 100) && event.slot == slot &&
		    event.kind == kind && (kind != EVENT_STATE || event.state == want))
			return event;
	fail_msg("slot %d: event kind %d, state %s did not come", slot, (int)kind,
	         slot_state_name(want));
	return (struct event){.slot = slot};
}

static struct event await_result(struct fixture *f, int slot)
{
	return await(f, slot, EVENT_RESULT, SLOT_STATES);
}

static void await_state(struct fixture *f, int slot, enum slot_state state)
{
	await(f, slot, EVENT_STATE, state);
}

static void test_fuses_of_the_fast_phase_are_on_record(void **state)
{
	struct fixture *f = *state;

	f->recipe.fast_clock = true;
	memcpy(f->recipe.fuses, (const uint8_t[]){0x5E, 0xD8, 0xFB}, PART_FUSES);
	memcpy(f->recipe.fast_fuses, (const uint8_t[]){0xDE, 0xD8, 0xFB}, PART_FUSES);
	start(f, 1);
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 1;
	await_result(f, 0);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM measures WHERE name = 'fuses_for_fast_phase'"
	                                   " AND text = 'DED8FB'"),
	                 1);
	await_state(f, 0, SLOT_PASS);
	end(f);
}

static void test_a_good_board_passes_and_is_on_disk_first(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 1;
	await_state(f, 0, SLOT_RUNNING);
	struct event event = await_result(f, 0);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'PASS'"),
	                 1);
	assert_int_equal(event.fault.code, FAIL_NONE);
	assert_string_equal(event.serial, "KB000001");
	await_state(f, 0, SLOT_PASS);
	assert_string_equal(f->host.pods[0].programmed, "KB000001");
	assert_int_equal(f->host.pods[0].locks, 1);
	end(f);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM steps WHERE result = 'ok'"), 8);
	assert_int_equal(
	        fake_query(f->db, "SELECT number FROM measures WHERE name = 'sck_first_hz'"),
	        375000);
	assert_int_equal(
	        fake_query(f->db, "SELECT count(*) FROM serials WHERE state = 'COMMITTED'"), 1);
	assert_int_equal(f->shared.passed, 1);
	assert_int_equal(f->host.pods[0].detaches, 1);
}

static void test_the_next_board_starts_only_after_removal(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].board = 1;
	start(f, 1);
	await_result(f, 0);
	await_state(f, 0, SLOT_PASS);
	clock_sleep_us(600 * 1000);
	assert_int_equal(f->shared.started, 1);
	f->host.pods[0].board = 0;
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 2;
	assert_string_equal(await_result(f, 0).serial, "KB000002");
}

static void test_a_failing_step_gives_its_code_and_sentence(void **state)
{
	static const struct {
		enum slot_step step;
		enum fail_code code;
		const char *serial_state;
	} cases[] = {
	        {STEP_IDENTIFY, FAIL_SIGNATURE, NULL},   {STEP_SERIAL, FAIL_CONTACT, NULL},
	        {STEP_ERASE, FAIL_ERASE, "VOID"},        {STEP_CLOCK, FAIL_FUSE, "VOID"},
	        {STEP_PROGRAM, FAIL_WRITE, "IN DOUBT"},  {STEP_VERIFY, FAIL_VERIFY, "IN DOUBT"},
	        {STEP_CONFIGURE, FAIL_FUSE, "IN DOUBT"}, {STEP_LOCK, FAIL_LOCK, "IN DOUBT"},
	};
	struct fixture *f = *state;
	char want[64], sql[200];

	start(f, 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		await_state(f, 0, SLOT_WAITING);
		f->host.pods[0].fail_step = (int)cases[i].step;
		f->host.pods[0].fail_code = (int)cases[i].code;
		f->host.pods[0].board = (int)i + 1;
		struct event event = await_result(f, 0);
		assert_int_equal(event.fault.code, cases[i].code);
		assert_int_equal(event.step, cases[i].step);
		snprintf(want, sizeof want, "slot 1, %s: ", slot_step_name(cases[i].step));
		assert_memory_equal(event.text, want, strlen(want));
		await_state(f, 0, SLOT_FAIL);
		snprintf(sql, sizeof sql,
		         "SELECT count(*) FROM attempts WHERE status = 'FAIL' AND code = '%s' AND "
		         "step = '%s'",
		         fail_name(cases[i].code), slot_step_name(cases[i].step));
		assert_int_equal(fake_query(f->db, sql), 1);
		snprintf(sql, sizeof sql,
		         "SELECT count(*) FROM serials WHERE attempt = %d AND state = '%s'",
		         (int)event.attempt_id,
		         cases[i].serial_state != NULL ? cases[i].serial_state : "");
		assert_int_equal(fake_query(f->db, sql), cases[i].serial_state != NULL);
		f->host.pods[0].board = 0;
	}
	assert_int_equal(f->shared.failed, 8);
}

static void test_a_verify_sentence_has_address_expected_and_found(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].fail_step = STEP_VERIFY;
	f->host.pods[0].fail_code = FAIL_VERIFY;
	f->host.pods[0].board = 1;
	start(f, 1);
	struct event event = await_result(f, 0);
	assert_string_equal(event.text, "slot 1, verify: flash 0x1234: expected 0x3C, found 0xFF — "
	                                "flash reads back differently");
	assert_int_equal(fake_query(f->db, "SELECT address FROM attempts"), 0x1234);
}

static void test_a_board_that_falls_silent_fails_once(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].fail_step = STEP_PROGRAM;
	f->host.pods[0].fail_code =
	        FAIL_CONTACT; /* a loose pin: back at once, still the same board */
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_int_equal(await_result(f, 0).fault.code, FAIL_CONTACT);
	clock_sleep_us(500 * 1000);
	assert_int_equal(f->shared.started, 1);
	f->host.pods[0].board = 0;
	await_state(f, 0, SLOT_WAITING);
}

static void test_a_swap_between_two_looks_is_another_board(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].hold_step = STEP_LOCK;
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_true(fake_held(&f->host.pods[0], STEP_LOCK));
	f->host.pods[0].board = 0;
	f->host.pods[0].hold_step = 0;
	await_result(f, 0);
	f->host.pods[0].board = 2;
	assert_string_equal(await_result(f, 0).serial, "KB000002");
}

static void test_a_lost_programmer_is_no_fault_of_the_board(void **state)
{
	struct fixture *f = *state;
	struct fake_pod *pod = &f->host.pods[0];

	pod->fail_step = STEP_VERIFY;
	pod->fail_code = FAIL_PROGRAMMER_LOST;
	pod->board = 1;
	start(f, 1);
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_PROGRAMMER_LOST);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'ERROR' "
	                                   "AND code = 'PROGRAMMER_LOST'"),
	                 1);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM serials WHERE state = 'IN DOUBT'"),
	                 1);
	await_state(f, 0, SLOT_ABSENT);
	assert_int_equal(f->shared.errors, 1);
	/* Plugged again with the board still there: it carries its number and keeps it. */
	snprintf(pod->field, sizeof pod->field, "KB000001");
	pod->fail_step = 0;
	pod->plugged = true;
	event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_NONE);
	assert_string_equal(event.serial, "KB000001");
}

static void test_unplugged_while_waiting_and_back(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].plugged = false;
	start(f, 1);
	await_state(f, 0, SLOT_ABSENT);
	f->host.pods[0].plugged = true;
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].plugged = false;
	await_state(f, 0, SLOT_ABSENT);
	f->host.pods[0].plugged = true;
	await_state(f, 0, SLOT_WAITING);
}

static void test_a_refused_device_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct event event;
	int notes = 0;

	f->host.pods[0].refused = true;
	start(f, 1);
	event = await(f, 0, EVENT_NOTE, SLOT_STATES);
	assert_non_null(strstr(event.text, "udev"));
	f->host.wakes++;
	clock_sleep_us(400 * 1000);
	f->host.pods[0].refused = false;
	f->host.wakes++;
	for (bool waiting = false; !waiting;) {
		assert_true(event_take(f->shared.events, &event, PATIENCE_MS));
		notes += event.kind == EVENT_NOTE;
		waiting = event.kind == EVENT_STATE && event.state == SLOT_WAITING;
		f->host.wakes++;
	}
	assert_int_equal(notes, 0);
}

static void test_the_count_is_for_all_slots_together(void **state)
{
	struct fixture *f = *state;

	f->shared.count = 3;
	f->host.pods[0].board = 1;
	f->host.pods[1].board = 2;
	start(f, 2);
	await_state(f, 0, SLOT_PASS);
	while (f->shared.passed < 2)
		clock_sleep_us(1000);
	f->host.pods[0].board = 0;
	f->host.pods[1].board = 0;
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 3;
	join(f);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'PASS'"),
	                 3);
	assert_int_equal(f->shared.passed, 3);
}

static void test_an_abort_ends_the_running_board(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].hold_step = STEP_PROGRAM;
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_true(fake_held(&f->host.pods[0], STEP_PROGRAM));
	f->shared.abort = true;
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_ABORTED);
	join(f);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'ERROR' "
	                                   "AND code = 'ABORTED'"),
	                 1);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM serials WHERE state = 'IN DOUBT'"),
	                 1);
	assert_int_equal(f->host.pods[0].detaches, 1);
}

static void test_finish_lets_the_running_board_end(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].hold_step = STEP_PROGRAM;
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_true(fake_held(&f->host.pods[0], STEP_PROGRAM));
	f->shared.finish = true;
	f->host.pods[0].hold_step = 0;
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
	await_state(f, 0, SLOT_DONE);
	join(f);
}

static void test_without_the_log_nothing_passes(void **state)
{
	struct fixture *f = *state;
	struct rlimit undo;

	f->host.pods[0].hold_step = STEP_LOCK;
	f->host.pods[0].board = 1;
	start(f, 2);
	assert_true(fake_held(&f->host.pods[0], STEP_LOCK));
	fake_disk_full(&undo);
	f->host.pods[0].hold_step = 0;
	struct event event = await_result(f, 0);
	setrlimit(RLIMIT_FSIZE, &undo);
	assert_int_equal(event.fault.code, FAIL_RECORD);
	assert_true(event.text[0] != '\0');
	await_state(f, 0, SLOT_ERROR);
	join(f); /* both slots end by themselves */
	assert_int_equal(f->shared.passed, 0);
	assert_int_equal(f->shared.errors, 1);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'PASS'"),
	                 0);
}

static void test_without_the_log_no_board_is_touched(void **state)
{
	struct fixture *f = *state;
	struct rlimit undo;

	start(f, 1);
	await_state(f, 0, SLOT_WAITING);
	fake_disk_full(&undo);
	f->host.pods[0].board = 1;
	struct event event = await(f, 0, EVENT_STATE, SLOT_ERROR);
	setrlimit(RLIMIT_FSIZE, &undo);
	assert_int_equal(event.fault.code, FAIL_RECORD);
	join(f);
	assert_int_equal(f->host.pods[0].erases, 0);
	assert_int_equal(f->host.pods[0].programs, 0);
}

static void test_an_unknown_serial_is_refused(void **state)
{
	struct fixture *f = *state;

	snprintf(f->host.pods[0].field, sizeof f->host.pods[0].field, "KB000777");
	f->host.pods[0].board = 1;
	start(f, 1);
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_SERIAL);
	assert_non_null(strstr(event.text, "KB000777"));
	assert_int_equal(f->host.pods[0].erases, 0);
}

static void test_two_boards_with_one_serial_are_refused(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].board = 1;
	start(f, 2);
	await_state(f, 0, SLOT_PASS);
	f->host.pods[0].board = 0;
	await_state(f, 0, SLOT_WAITING);
	for (size_t i = 0; i < 2; i++)
		snprintf(f->host.pods[i].field, sizeof f->host.pods[i].field, "KB000001");
	f->host.pods[0].hold_step = STEP_PROGRAM;
	f->host.pods[0].board = 2;
	assert_true(fake_held(&f->host.pods[0], STEP_PROGRAM));
	f->host.pods[1].board = 3;
	struct event event = await_result(f, 1);
	assert_int_equal(event.fault.code, FAIL_SERIAL);
	assert_non_null(strstr(event.text, "another slot"));
	f->host.pods[0].hold_step = 0;
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
}

static void test_a_number_that_reads_twice_differently_is_not_believed(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	for (int i = 0; i < 2; i++) { /* KB000001 and KB000002 are given */
		await_state(f, 0, SLOT_WAITING);
		f->host.pods[0].board = i + 1;
		assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
		await_state(f, 0, SLOT_PASS);
		f->host.pods[0].board = 0;
	}
	await_state(f, 0, SLOT_WAITING);
	snprintf(f->host.pods[0].field, sizeof f->host.pods[0].field, "KB000002");
	f->host.pods[0].flickers = true; /* …3, …2, …3: one bit */
	f->host.pods[0].board = 2;
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_CONTACT);
	assert_string_equal(event.serial, "");
	end(f);
	assert_int_equal(f->host.pods[0].erases, 2);
}

static void test_no_number_left_is_refused(void **state)
{
	struct fixture *f = *state;

	f->recipe.serial.first = 999999;
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_string_equal(await_result(f, 0).serial, "KB999999");
	f->host.pods[0].board = 0;
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 2;
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_SERIAL);
	assert_non_null(strstr(event.text, "left"));
}

static void test_garbage_in_the_serial_field_is_no_serial(void **state)
{
	struct fixture *f = *state;

	snprintf(f->host.pods[0].field, sizeof f->host.pods[0].field, "KB00007x");
	f->host.pods[0].board = 1;
	start(f, 1);
	assert_string_equal(await_result(f, 0).serial, "KB000001");
}

static void test_a_locked_board_counts_as_new(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].fail_step = STEP_SERIAL;
	f->host.pods[0].fail_code = FAIL_PROTECTED;
	f->host.pods[0].board = 1;
	start(f, 1);
	struct event event = await_result(f, 0);
	assert_int_equal(event.fault.code, FAIL_NONE);
	assert_string_equal(event.serial, "KB000001");
}

static void test_no_board_for_long_is_logged_once(void **state)
{
	struct fixture *f = *state;

	f->shared.no_board_s = 1;
	start(f, 1);
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NO_BOARD);
	clock_sleep_us(1300 * 1000);
	end(f);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts"), 1);
	assert_int_equal(fake_query(f->db, "SELECT count(*) FROM attempts WHERE status = 'ERROR' "
	                                   "AND code = 'NO_BOARD'"),
	                 1);
}

static void test_no_board_is_no_board_that_failed(void **state)
{
	struct fixture *f = *state;

	f->shared.no_board_s = 1;
	start(f, 1);
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NO_BOARD);
	end(f);
	assert_int_equal(f->shared.errors, 0); /* the run's exit code is about boards */
}

static void test_a_programmer_that_hangs_is_not_waited_for(void **state)
{
	struct fixture *f = *state;

	start(f, 1);
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].hung = true;
	await_state(f, 0, SLOT_ABSENT);
	assert_non_null(strstr(await(f, 0, EVENT_NOTE, SLOT_STATES).text, "unplug it"));
	f->host.pods[0].hung = false;
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 1;
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
}

static void test_a_refused_look_is_no_removal(void **state)
{
	struct fixture *f = *state;

	f->host.pods[0].board = 1;
	start(f, 1);
	await_state(f, 0, SLOT_PASS);
	f->host.pods[0].stalls = true;
	assert_non_null(strstr(await(f, 0, EVENT_NOTE, SLOT_STATES).text, "refused"));
	clock_sleep_us(700 * 1000);
	f->host.pods[0].stalls = false;
	clock_sleep_us(700 * 1000);
	assert_int_equal(f->shared.started, 1); /* the board that passed lies there still */
	f->host.pods[0].board = 0;
	await_state(f, 0, SLOT_WAITING);
}

/* ---- serial programmers */

static const struct programmer_driver fake_serial_driver = {.kind = "serial",
                                                            .serial = true,
                                                            .match = fake_match,
                                                            .open = fake_programmer_open,
                                                            .close = fake_programmer_close};

static const struct programmer_driver *serial_for(const char *kind, const struct usb_identity *identity)
{
	(void)identity;
	return kind[0] == '\0' || strcmp(kind, "serial") == 0 ? &fake_serial_driver : NULL;
}

static void test_a_serial_programmer_is_a_slot_by_its_port(void **state)
{
	struct fixture *f = *state;
	struct fake_pod *pod = &f->host.pods[0];
	struct slot_place place = {.name = "1", .port = "1-1"}; /* by its ids: no kind is said */

	f->shared.programmer_for = serial_for;
	assert_int_equal(slot_start(&f->slots[0], 0, &place, &f->shared, NULL), 0);
	f->started = 1;
	await_state(f, 0, SLOT_WAITING);
	pod->board = 1;
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
	await_state(f, 0, SLOT_PASS);
	pod->plugged = false;
	await_state(f, 0, SLOT_ABSENT);
	pod->plugged = true;
	await_state(f, 0, SLOT_WAITING);
	assert_int_equal(pod->line_opens, 2);
	assert_int_equal(pod->usb_opens, 0);
}

/* A real pty for the link; the board and the chip are pod 0's. */
static struct fixed_line {
	struct fake_host *host;
	struct link *link;
	int master;
	char name[256];
} fixed;

static void fixed_close(struct programmer *programmer)
{
	fixed.link->ops->close(fixed.link);
	fake_programmer_close(programmer);
}

static int fixed_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
                      deadline_t deadline, struct fault *fault);

static const struct programmer_driver fixed_driver = {
        .kind = "serial", .serial = true, .open = fixed_open, .close = fixed_close};

static int fixed_open(struct link *link, const struct usb_identity *identity, struct programmer **out,
                      deadline_t deadline, struct fault *fault)
{
	struct fake_link *made = calloc(1, sizeof *made);

	made->pod = &fixed.host->pods[0];
	fixed.link = link;
	int result = fake_programmer_open(&made->base, identity, out, deadline, fault);
	(*out)->driver = &fixed_driver;
	return result;
}

static const struct programmer_driver *fixed_for(const char *kind, const struct usb_identity *identity)
{
	(void)identity;
	return strcmp(kind, "serial") == 0 ? &fixed_driver : NULL;
}

static void plug_line(void)
{
	fixed.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fixed.master >= 0);
	assert_int_equal(grantpt(fixed.master), 0);
	assert_int_equal(unlockpt(fixed.master), 0);
	assert_int_equal(symlink(ptsname(fixed.master), fixed.name), 0);
}

static void unplug_line(void)
{
	unlink(fixed.name);
	close(fixed.master);
}

static void test_a_fixed_line_is_a_slot_by_its_name(void **state)
{
	struct fixture *f = *state;
	struct slot_place place = {.name = "1", .kind = "serial"};

	fixed.host = &f->host;
	f->shared.programmer_for = fixed_for;
	snprintf(fixed.name, sizeof fixed.name, "%s/tty", f->folder);
	snprintf(place.port, sizeof place.port, "%s", fixed.name);
	assert_int_equal(slot_start(&f->slots[0], 0, &place, &f->shared, NULL), 0);
	f->started = 1;
	await_state(f, 0, SLOT_ABSENT);
	plug_line();
	await_state(f, 0, SLOT_WAITING);
	f->host.pods[0].board = 1;
	assert_int_equal(await_result(f, 0).fault.code, FAIL_NONE);
	char sql[400];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM programmers WHERE usb = '%s'", fixed.name);
	assert_int_equal(fake_query(f->db, sql), 1);
	f->host.pods[0].plugged = false; /* the driver would say so by its link */
	unplug_line();
	await_state(f, 0, SLOT_ABSENT);
	f->host.pods[0].plugged = true;
	plug_line();
	await_state(f, 0, SLOT_WAITING);
	end(f);
	assert_int_equal(f->host.pods[0].opens, 2);
	assert_int_equal(f->host.pods[0].line_opens + f->host.pods[0].usb_opens, 0);
	unplug_line();
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_fuses_of_the_fast_phase_are_on_record),
	        T(test_a_good_board_passes_and_is_on_disk_first),
	        T(test_the_next_board_starts_only_after_removal),
	        T(test_a_failing_step_gives_its_code_and_sentence),
	        T(test_a_verify_sentence_has_address_expected_and_found),
	        T(test_a_board_that_falls_silent_fails_once),
	        T(test_a_swap_between_two_looks_is_another_board),
	        T(test_a_lost_programmer_is_no_fault_of_the_board),
	        T(test_unplugged_while_waiting_and_back),
	        T(test_a_refused_device_is_told_once),
	        T(test_the_count_is_for_all_slots_together),
	        T(test_an_abort_ends_the_running_board),
	        T(test_finish_lets_the_running_board_end),
	        T(test_without_the_log_nothing_passes),
	        T(test_without_the_log_no_board_is_touched),
	        T(test_an_unknown_serial_is_refused),
	        T(test_two_boards_with_one_serial_are_refused),
	        T(test_a_number_that_reads_twice_differently_is_not_believed),
	        T(test_no_number_left_is_refused),
	        T(test_garbage_in_the_serial_field_is_no_serial),
	        T(test_a_locked_board_counts_as_new),
	        T(test_no_board_for_long_is_logged_once),
	        T(test_no_board_is_no_board_that_failed),
	        T(test_a_programmer_that_hangs_is_not_waited_for),
	        T(test_a_refused_look_is_no_removal),
	        T(test_a_serial_programmer_is_a_slot_by_its_port),
	        T(test_a_fixed_line_is_a_slot_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
