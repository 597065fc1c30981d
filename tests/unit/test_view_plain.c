#include "station/view/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "station/view/text.h"

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
		.station = "line-1", .slot_count = 2,
		.slots = { { .name = "1", .port = "1-4.1" }, { .name = "10", .port = "1-4.2" } },
	};

	setenv("TZ", "UTC", 1);
	tzset();
	memset(stage, 0, sizeof(*stage));
	snapshot_init(&stage->snapshot, &file, "corne", "abcdef0123456789", "mei", 2);
	stage->out = open_memstream(&stage->text, &stage->length);
	stage->view = view_plain_create(stage->out);
	assert_non_null(stage->view);
}

static void stop(struct stage *stage)
{
	stage->view->ops->destroy(stage->view);
	fclose(stage->out);
	free(stage->text);
	snapshot_finish(&stage->snapshot);
}

static void expect(struct stage *stage, struct event event, const char *line)
{
	size_t before = stage->length;

	event.wall_ms += 1795383600007;
	snapshot_absorb(&stage->snapshot, &event);
	stage->view->ops->event(stage->view, &event, &stage->snapshot);
	fflush(stage->out);
	assert_string_equal(stage->text + before, line);
}

static struct event state_of(int slot, enum slot_state state)
{
	return (struct event){ .kind = EVENT_STATE, .slot = slot, .state = state };
}

static void a_run_reads_as_a_list(void **state)
{
	struct stage stage;
	struct event fail = { .kind = EVENT_RESULT, .slot = 1, .serial = "KB2", .duration_ms = 1250,
			      .fault.code = FAIL_VERIFY, .text = "slot 10, verify: 0x1A80 is 0xFF, not 0x7F" };

	(void)state;
	start(&stage);
	expect(&stage, (struct event){ .kind = EVENT_RUN_BEGIN, .slot = -1, .run_id = 7 },
	       "21:40:00      run 7 begins: station line-1, product corne, image abcdef01, operator mei, 2 boards, "
	       "2 slots\n");
	expect(&stage, state_of(0, SLOT_WAITING), "21:40:00  1   waiting: set a board\n");
	expect(&stage, state_of(0, SLOT_WAITING), "");
	expect(&stage, state_of(1, SLOT_ABSENT), "21:40:00  10  no programmer: plug it in\n");
	expect(&stage, state_of(0, SLOT_RUNNING), "21:40:00  1   board found: hands off\n");
	expect(&stage, (struct event){ .kind = EVENT_SERIAL, .slot = 0, .serial = "KB1" },
	       "21:40:00  1   serial KB1\n");
	expect(&stage, (struct event){ .kind = EVENT_STEP, .slot = 0, .step = STEP_ERASE }, "");
	expect(&stage, (struct event){ .kind = EVENT_PROGRESS, .slot = 0, .step = STEP_ERASE }, "");
	expect(&stage, (struct event){ .kind = EVENT_RESULT, .slot = 0, .serial = "KB1", .duration_ms = 6240 },
	       "21:40:00  1   PASS   KB1  6.2 s\n");
	expect(&stage, state_of(0, SLOT_PASS), "");
	expect(&stage, state_of(0, SLOT_WAITING), "21:40:00  1   waiting: set a board\n");
	expect(&stage, fail,
	       "21:40:00  10  FAIL   KB2  1.3 s  VERIFY: verify: 0x1A80 is 0xFF, not 0x7F\n");
	expect(&stage, (struct event){ .kind = EVENT_RUN_END, .slot = -1, .wall_ms = 65000 },
	       "21:41:05      run 7 ended after 1:05: 2 attempts, 1 passed, 1 failed, 0 errors\n"
	       "21:41:05      first pass yield 50.0 % (1 of 2 units; errors are in no yield)\n");
	stop(&stage);
}

static void nothing_steers_the_terminal(void **state)
{
	struct stage stage;
	struct event note = { .kind = EVENT_NOTE, .slot = -1, .text = "a\033[2Jb\nc\xff\xc2\x9b" "d – ü" };

	(void)state;
	start(&stage);
	expect(&stage, note, "21:40:00      note: a?[2Jb?c??d – ü\n");
	note = (struct event){ .kind = EVENT_NOTE, .slot = 1, .text = "slot 10: plug it in" };
	expect(&stage, note, "21:40:00  10  note: plug it in\n");
	note.slot = 0; /* about slot 1, and speaks of another */
	expect(&stage, note, "21:40:00  1   note: slot 10: plug it in\n");
	stop(&stage);
}

static void figures_round_as_quality_people_expect(void **state)
{
	char text[24];

	(void)state;
	text_ratio(text, sizeof(text), 0, 0);
	assert_string_equal(text, "-");
	text_ratio(text, sizeof(text), 9999, 10000);
	assert_string_equal(text, "99.9 %");
	text_ratio(text, sizeof(text), 3, 3);
	assert_string_equal(text, "100 %");
	text_ratio(text, sizeof(text), 1, 3);
	assert_string_equal(text, "33.3 %");
	text_span(text, sizeof(text), 3723000);
	assert_string_equal(text, "1:02:03");
	text_span(text, sizeof(text), -5);
	assert_string_equal(text, "0:00");
	text_seconds(text, sizeof(text), 59960);
	assert_string_equal(text, "60.0 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_reads_as_a_list),
		cmocka_unit_test(nothing_steers_the_terminal),
		cmocka_unit_test(figures_round_as_quality_people_expect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
