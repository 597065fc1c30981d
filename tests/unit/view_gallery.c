/* Shows the terminal view with a scripted line, for eyes. Not a test, not built by default:
 *   make build/tests/unit/view_gallery && tmux new-session -x 80 -y 24 'build/tests/unit/view_gallery 8 60' */
#include "station/view/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "station/clock.h"

struct stage {
	struct snapshot snapshot;
	struct view *view;
};

static void show(struct stage *stage, struct event event)
{
	event.wall_ms = clock_wall_ms();
	snapshot_absorb(&stage->snapshot, &event);
	stage->view->ops->event(stage->view, &event, &stage->snapshot);
}

static void set_state(struct stage *stage, int slot, enum slot_state state)
{
	show(stage, (struct event){ .kind = EVENT_STATE, .slot = slot, .state = state });
}

static void set_progress(struct stage *stage, int slot, enum slot_step step, unsigned percent)
{
	show(stage, (struct event){ .kind = EVENT_PROGRESS, .slot = slot, .step = step,
				    .done = percent * 286, .total = 28600 });
}

static void give_serial(struct stage *stage, int slot, int number)
{
	struct event event = { .kind = EVENT_SERIAL, .slot = slot };

	snprintf(event.serial, sizeof(event.serial), "KB%06d", number);
	show(stage, event);
}

static void finish_board(struct stage *stage, int slot, int number, enum fail_code code)
{
	struct event event = { .kind = EVENT_RESULT, .slot = slot, .step = STEP_VERIFY, .duration_ms = 6240 };

	snprintf(event.serial, sizeof(event.serial), "KB%06d", number);
	event.fault.code = code;
	if (code != FAIL_NONE)
		snprintf(event.text, sizeof(event.text),
			 "slot %s, verify: flash at 0x%04X is 0x%02X, expected 0x%02X: a stuck bit, or the board moved",
			 stage->snapshot.slots[slot].name, 0x1a80, 0xff, 0x7f);
	show(stage, event);
}

/* One board of slot `slot`, frozen at a moment of its life that differs from slot to slot. */
static void pose(struct stage *stage, int slot, int round)
{
	int number = round * 100 + slot;

	set_state(stage, slot, SLOT_RUNNING);
	give_serial(stage, slot, number);
	switch ((slot + round) % 8) {
	case 0:
	case 5:
		finish_board(stage, slot, number, FAIL_NONE);
		set_state(stage, slot, SLOT_PASS);
		break;
	case 2:
		finish_board(stage, slot, number, FAIL_VERIFY);
		set_state(stage, slot, SLOT_FAIL);
		break;
	case 3:
		finish_board(stage, slot, number, FAIL_NONE);
		set_state(stage, slot, SLOT_WAITING);
		break;
	case 6:
		set_state(stage, slot, SLOT_ABSENT);
		break;
	case 7:
		finish_board(stage, slot, number, FAIL_PROGRAMMER_LOST);
		set_state(stage, slot, SLOT_ERROR);
		break;
	default:
		break;
	}
}

static bool live(struct stage *stage, int tick)
{
	for (int slot = 0; slot < (int)stage->snapshot.slot_count; slot++) {
		if (stage->snapshot.slots[slot].state != SLOT_RUNNING)
			continue;
		set_progress(stage, slot, slot % 2 ? STEP_PROGRAM : STEP_CONFIGURE,
			     (unsigned)(tick * 2 + slot * 17) % 101);
	}
	return stage->view->ops->tick(stage->view, &stage->snapshot) == VIEW_ABORT;
}

int main(int argc, char **argv)
{
	static struct stage stage;
	static struct station_file file = { .station = "bench-2" };
	struct pogo_error err = { 0 };
	int seconds = argc > 2 ? atoi(argv[2]) : 10;

	file.slot_count = argc > 1 ? (size_t)atoi(argv[1]) : 8;
	for (size_t i = 0; i < file.slot_count && i < STATION_SLOTS; i++) {
		snprintf(file.slots[i].name, sizeof(file.slots[i].name), "%zu", i + 1);
		snprintf(file.slots[i].port, sizeof(file.slots[i].port), "1-4.%zu", i + 1);
	}
	snapshot_init(&stage.snapshot, &file, "corne-rev4", "9f86d081884c7d65", "mei", 40);
	stage.view = view_tui_create(&err);
	if (!stage.view) {
		fprintf(stderr, "view_gallery: %s\n", err.text);
		snapshot_finish(&stage.snapshot);
		return err.kind;
	}
	show(&stage, (struct event){ .kind = EVENT_RUN_BEGIN, .slot = -1, .run_id = 7 });
	for (int round = 0; round < 3; round++)
		for (int slot = 0; slot < (int)stage.snapshot.slot_count; slot++)
			pose(&stage, slot, round);
	for (int tick = 0; tick < seconds * 10 && !live(&stage, tick); tick++)
		clock_sleep_us(100000);
	stage.view->ops->destroy(stage.view);
	snapshot_finish(&stage.snapshot);
	return 0;
}
