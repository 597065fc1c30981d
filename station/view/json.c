#include "station/view/view.h"

#include <stdlib.h>
#include <time.h>

#include "hextools/json.h"

/* The event stream of events.md. */

enum { PROGRESS_EVERY_MS = 200 }; /* five a second per slot */

struct json_view {
	struct view view;
	FILE *out;
	bool silent; /* the reader went away, or a line could not be written whole */
	bool progressed[STATION_SLOTS];
	int64_t progress_ms[STATION_SLOTS]; /* wall_ms of the last one written */
};

static void put_time(struct json *json, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char day[32], text[48];

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(wall_ms % 1000));
	json_str(json, "t", text);
}

static void put_slot(struct json *json, const struct slot_snapshot *slot)
{
	if (!slot)
		return;
	json_str(json, "slot", slot->name);
	json_str(json, "port", slot->port);
}

static void put_run_begin(struct json *json, const struct event *event, const struct snapshot *snapshot)
{
	json_int(json, "run", event->run_id);
	json_str(json, "station", snapshot->station);
	json_str(json, "product", snapshot->product);
	json_str(json, "image", snapshot->image_digest);
	json_str(json, "operator", snapshot->operator_name);
	json_int(json, "count", (int64_t)snapshot->count_wanted);
	json_open(json, "slots", '[');
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		json_open(json, NULL, '{');
		put_slot(json, &snapshot->slots[i]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void put_run_end(struct json *json, const struct snapshot *snapshot)
{
	struct snapshot_totals totals;

	snapshot_total(snapshot, &totals);
	json_int(json, "run", snapshot->run_id);
	json_int(json, "attempts", (int64_t)totals.attempts);
	json_int(json, "passed", (int64_t)totals.passed);
	json_int(json, "failed", (int64_t)totals.failed);
	json_int(json, "errors", (int64_t)totals.errors);
	json_int(json, "lost", (int64_t)snapshot->events_lost);
}

static void put_result(struct json *json, const struct event *event)
{
	const struct fault *fault = &event->fault;
	bool passed = fault->code == FAIL_NONE;

	json_str(json, "serial", event->serial[0] ? event->serial : NULL);
	json_str(json, "status", passed ? "PASS" : fail_is_error(fault->code) ? "ERROR" : "FAIL");
	json_int(json, "duration_ms", event->duration_ms);
	if (passed)
		return;
	json_str(json, "code", fail_name(fault->code));
	json_str(json, "step", slot_step_name(event->step));
	json_str(json, "sentence", event->text);
	if (fault->has_address) {
		json_int(json, "address", fault->address);
		json_int(json, "expected", fault->expected);
		json_int(json, "found", fault->found);
	}
}

static const char *event_name(enum event_kind kind)
{
	static const char *const names[] = {
		[EVENT_RUN_BEGIN] = "run_begin", [EVENT_RUN_END] = "run_end", [EVENT_NOTE] = "note",
		[EVENT_STATE] = "state",	 [EVENT_STEP] = "step",	      [EVENT_PROGRESS] = "progress",
		[EVENT_SERIAL] = "serial",	 [EVENT_RESULT] = "result",
	};

	return names[kind];
}

static void put_body(struct json *json, const struct event *event, const struct snapshot *snapshot)
{
	if (event->kind == EVENT_STEP || event->kind == EVENT_PROGRESS || event->kind == EVENT_SERIAL ||
	    event->kind == EVENT_RESULT)
		json_int(json, "attempt", event->attempt_id);
	switch (event->kind) {
	case EVENT_RUN_BEGIN:
		put_run_begin(json, event, snapshot);
		break;
	case EVENT_RUN_END:
		put_run_end(json, snapshot);
		break;
	case EVENT_NOTE:
		json_str(json, "text", event->text);
		break;
	case EVENT_STATE:
		json_str(json, "state", slot_state_name(event->state));
		break;
	case EVENT_PROGRESS:
		json_str(json, "step", slot_step_name(event->step));
		json_int(json, "done", event->done);
		json_int(json, "total", event->total);
		break;
	case EVENT_STEP:
		json_str(json, "step", slot_step_name(event->step));
		break;
	case EVENT_SERIAL:
		json_str(json, "serial", event->serial);
		break;
	case EVENT_RESULT:
		put_result(json, event);
		break;
	}
}

/* By the events' own time, so that a reader sees the limit kept whatever the load of this thread. A clock
 * that was set back starts afresh. */
static bool is_too_soon(struct json_view *view, const struct event *event, const struct snapshot *snapshot)
{
	if (event->kind != EVENT_PROGRESS || !snapshot_slot(snapshot, event->slot))
		return false;
	int64_t since = event->wall_ms - view->progress_ms[event->slot];
	if (view->progressed[event->slot] && since >= 0 && since < PROGRESS_EVERY_MS)
		return true;
	view->progressed[event->slot] = true;
	view->progress_ms[event->slot] = event->wall_ms;
	return false;
}

static void write_line(struct json_view *view, const struct json *json)
{
	if (!json_ok(json))
		return;
	/* After a line that went out in part no further one could be trusted to begin at its start. */
	if (fputs(json->text, view->out) < 0 || fputc('\n', view->out) == EOF || fflush(view->out) != 0)
		view->silent = true;
}

static void json_view_event(struct view *base, const struct event *event, const struct snapshot *snapshot)
{
	struct json_view *view = (struct json_view *)base;
	struct json json;

	if (view->silent || is_too_soon(view, event, snapshot))
		return;
	json_init(&json, 0);
	json_open(&json, NULL, '{');
	json_str(&json, "event", event_name(event->kind));
	put_time(&json, event->wall_ms);
	put_slot(&json, snapshot_slot(snapshot, event->slot));
	put_body(&json, event, snapshot);
	json_close(&json, '}');
	write_line(view, &json);
	json_finish(&json);
}

static enum view_wish json_view_tick(struct view *base, const struct snapshot *snapshot)
{
	(void)base;
	(void)snapshot;
	return VIEW_GO_ON;
}

static void json_view_destroy(struct view *base)
{
	free(base);
}

struct view *view_json_create(FILE *out)
{
	static const struct view_ops ops = { json_view_event, json_view_tick, json_view_destroy };
	struct json_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->view.ops = &ops;
	view->out = out;
	return &view->view;
}
