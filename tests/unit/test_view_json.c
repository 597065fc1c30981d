#include "station/view/view.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
	struct snapshot snapshot;
	struct view *view;
	FILE *out;
	char *text;
	size_t length;
};

static void start(struct stage *stage)
{
	static struct station_file file = {
		.station = "line \"1\"", .slot_count = 2,
		.slots = { { .name = "A1", .port = "1-4.1" }, { .name = "A2", .port = "1-4.2" } },
	};

	memset(stage, 0, sizeof(*stage));
	snapshot_init(&stage->snapshot, &file, "corne", "abcdef0123456789", "mei", 40);
	stage->out = open_memstream(&stage->text, &stage->length);
	stage->view = view_json_create(stage->out);
	assert_non_null(stage->view);
}

static void stop(struct stage *stage)
{
	stage->view->ops->destroy(stage->view);
	fclose(stage->out);
	free(stage->text);
	snapshot_finish(&stage->snapshot);
}

static void show(struct stage *stage, struct event event)
{
	snapshot_absorb(&stage->snapshot, &event);
	stage->view->ops->event(stage->view, &event, &stage->snapshot);
}

/* The line that one event writes. */
static void expect(struct stage *stage, struct event event, const char *line)
{
	size_t before = stage->length;

	show(stage, event);
	assert_string_equal(stage->text + before, line);
}

#define T "2026-11-22T21:40:00.007Z"
static const int64_t at = 1795383600007;

static void every_event_is_one_documented_line(void **state)
{
	struct stage stage;
	struct event failed = { .kind = EVENT_RESULT, .wall_ms = at, .slot = 1, .attempt_id = 4, .duration_ms = 900,
				.step = STEP_VERIFY, .text = "slot A2, \"verify\"", .serial = "KB2" };

	(void)state;
	start(&stage);
	expect(&stage, (struct event){ .kind = EVENT_RUN_BEGIN, .wall_ms = at, .slot = -1, .run_id = 7 },
	       "{\"event\":\"run_begin\",\"t\":\"" T "\",\"run\":7,\"station\":\"line \\\"1\\\"\",\"product\":\"corne\","
	       "\"image\":\"abcdef0123456789\",\"operator\":\"mei\",\"count\":40,\"slots\":["
	       "{\"slot\":\"A1\",\"port\":\"1-4.1\"},{\"slot\":\"A2\",\"port\":\"1-4.2\"}]}\n");
	expect(&stage, (struct event){ .kind = EVENT_STATE, .wall_ms = at, .slot = 0, .state = SLOT_WAITING },
	       "{\"event\":\"state\",\"t\":\"" T "\",\"slot\":\"A1\",\"port\":\"1-4.1\",\"state\":\"waiting\"}\n");
	expect(&stage, (struct event){ .kind = EVENT_STEP, .wall_ms = at, .slot = 0, .attempt_id = 3,
				       .step = STEP_ERASE },
	       "{\"event\":\"step\",\"t\":\"" T "\",\"slot\":\"A1\",\"port\":\"1-4.1\",\"attempt\":3,"
	       "\"step\":\"erase\"}\n");
	expect(&stage, (struct event){ .kind = EVENT_PROGRESS, .wall_ms = at, .slot = 0, .attempt_id = 3,
				       .step = STEP_PROGRAM, .done = 128, .total = 4294967295u },
	       "{\"event\":\"progress\",\"t\":\"" T "\",\"slot\":\"A1\",\"port\":\"1-4.1\",\"attempt\":3,"
	       "\"step\":\"program\",\"done\":128,\"total\":4294967295}\n");
	expect(&stage, (struct event){ .kind = EVENT_SERIAL, .wall_ms = at, .slot = 0, .attempt_id = 3,
				       .serial = "KB1" },
	       "{\"event\":\"serial\",\"t\":\"" T "\",\"slot\":\"A1\",\"port\":\"1-4.1\",\"attempt\":3,"
	       "\"serial\":\"KB1\"}\n");
	expect(&stage, (struct event){ .kind = EVENT_RESULT, .wall_ms = at, .slot = 0, .attempt_id = 3,
				       .duration_ms = 6200 },
	       "{\"event\":\"result\",\"t\":\"" T "\",\"slot\":\"A1\",\"port\":\"1-4.1\",\"attempt\":3,"
	       "\"serial\":null,\"status\":\"PASS\",\"duration_ms\":6200}\n");
	fault_byte(&failed.fault, FAIL_VERIFY, 0x1a80, 0x7f, 0xff, "differs");
	expect(&stage, failed,
	       "{\"event\":\"result\",\"t\":\"" T "\",\"slot\":\"A2\",\"port\":\"1-4.2\",\"attempt\":4,"
	       "\"serial\":\"KB2\",\"status\":\"FAIL\",\"duration_ms\":900,\"code\":\"VERIFY\",\"step\":\"verify\","
	       "\"sentence\":\"slot A2, \\\"verify\\\"\",\"address\":6784,\"expected\":127,\"found\":255}\n");
	fault_set(&failed.fault, FAIL_PROGRAMMER_LOST, "gone");
	expect(&stage, failed,
	       "{\"event\":\"result\",\"t\":\"" T "\",\"slot\":\"A2\",\"port\":\"1-4.2\",\"attempt\":4,"
	       "\"serial\":\"KB2\",\"status\":\"ERROR\",\"duration_ms\":900,\"code\":\"PROGRAMMER_LOST\","
	       "\"step\":\"verify\",\"sentence\":\"slot A2, \\\"verify\\\"\"}\n");
	expect(&stage, (struct event){ .kind = EVENT_NOTE, .wall_ms = at, .slot = -1, .text = "a\nb" },
	       "{\"event\":\"note\",\"t\":\"" T "\",\"text\":\"a\\nb\"}\n");
	stage.snapshot.events_lost = 2;
	expect(&stage, (struct event){ .kind = EVENT_RUN_END, .wall_ms = at, .slot = -1, .run_id = 7 },
	       "{\"event\":\"run_end\",\"t\":\"" T "\",\"run\":7,\"attempts\":3,\"passed\":1,\"failed\":1,"
	       "\"errors\":1,\"lost\":2}\n");
	assert_int_equal(stage.view->ops->tick(stage.view, &stage.snapshot), VIEW_GO_ON);
	stop(&stage);
}

static size_t lines(const struct stage *stage)
{
	size_t count = 0;

	for (size_t i = 0; i < stage->length; i++)
		count += stage->text[i] == '\n';
	return count;
}

static void progress_is_at_most_five_a_second_per_slot(void **state)
{
	struct stage stage;

	(void)state;
	start(&stage);
	for (int ms = 0; ms < 2000; ms += 10)
		for (int slot = 0; slot < 2; slot++)
			show(&stage, (struct event){ .kind = EVENT_PROGRESS, .wall_ms = at + ms, .slot = slot,
						     .step = STEP_PROGRAM, .done = 1, .total = 2 });
	assert_int_equal(lines(&stage), 2 * 2 * 5);
	/* A clock set back by a day must not silence the progress for a day. */
	show(&stage, (struct event){ .kind = EVENT_PROGRESS, .wall_ms = at - 86400000, .slot = 0,
				     .step = STEP_PROGRAM, .done = 1, .total = 2 });
	assert_int_equal(lines(&stage), 2 * 2 * 5 + 1);
	stop(&stage);
}

static void a_broken_pipe_silences_it(void **state)
{
	struct stage stage;
	int ends[2];
	struct event note = { .kind = EVENT_NOTE, .wall_ms = at, .slot = -1, .text = "anyone there?" };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	start(&stage);
	assert_int_equal(pipe(ends), 0);
	FILE *out = fdopen(ends[1], "w");
	struct view *view = view_json_create(out);
	view->ops->event(view, &note, &stage.snapshot);
	close(ends[0]);
	for (int i = 0; i < 3; i++)
		view->ops->event(view, &note, &stage.snapshot);
	assert_true(ferror(out));
	clearerr(out);
	view->ops->event(view, &note, &stage.snapshot);
	assert_false(ferror(out)); /* it did not even try */
	view->ops->destroy(view);
	fclose(out);
	stop(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_is_one_documented_line),
		cmocka_unit_test(progress_is_at_most_five_a_second_per_slot),
		cmocka_unit_test(a_broken_pipe_silences_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
