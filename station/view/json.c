#include "station/view/view.h"

#include <stdlib.h>
#include <time.h>

#include "hextools/jsonw.h"

/* The event stream of events.md. */

enum { PROGRESS_EVERY_MS = 200 }; /* five a second per slot */

struct json_view {
	struct view view;
	FILE *out;
	bool silent; /* the reader went away, or a line could not be written whole */
	bool progressed[STATION_SLOTS];
	int64_t progress_ms[STATION_SLOTS]; /* wall_ms of the last one written */
};

static void put_time(struct jsonw *json, int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char day[32], text[48];

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(wall_ms % 1000));
	jsonw_str(json, "t", text);
}

static void put_slot(struct jsonw *json, const struct slot_snapshot *slot)
{
	if (!slot)
		return;
	jsonw_str(json, "slot", slot->name);
	jsonw_str(json, "port", slot->port);
}

static void put_run_begin(struct jsonw *json, const struct event *event, const struct snapshot *snapshot)
{
	jsonw_int(json, "run", event->run_id);
	jsonw_str(json, "station", snapshot->station);
	jsonw_str(json, "product", snapshot->product);
	jsonw_str(json, "image", snapshot->image_digest);
	jsonw_str(json, "operator", snapshot->operator_name);
	jsonw_int(json, "count", (int64_t)snapshot->count_wanted);
	jsonw_open(json, "slots", '[');
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		jsonw_open(json, NULL, '{');
		put_slot(json, &snapshot->slots[i]);
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
}

static void put_run_end(struct jsonw *json, const struct snapshot *snapshot)
{
	struct snapshot_totals totals;

	snapshot_total(snapshot, &totals);
	jsonw_int(json, "run", snapshot->run_id);
	jsonw_int(json, "attempts", (int64_t)totals.attempts);
	jsonw_int(json, "passed", (int64_t)totals.passed);
	jsonw_int(json, "failed", (int64_t)totals.failed);
	jsonw_int(json, "errors", (int64_t)totals.errors);
	jsonw_int(json, "lost", (int64_t)snapshot->events_lost);
}

static void put_result(struct jsonw *json, const struct event *event)
{
	const struct fault *fault = &event->fault;
	bool passed = fault->code == FAIL_NONE;

	jsonw_str(json, "serial", event->serial[0] ? event->serial : NULL);
	jsonw_str(json, "status", passed ? "PASS" : fail_is_error(fault->code) ? "ERROR" : "FAIL");
	jsonw_int(json, "duration_ms", event->duration_ms);
	if (passed)
		return;
	jsonw_str(json, "code", fail_name(fault->code));
	jsonw_str(json, "step", slot_step_name(event->step));
	jsonw_str(json, "sentence", event->text);
	if (fault->has_address) {
		jsonw_int(json, "address", fault->address);
		jsonw_int(json, "expected", fault->expected);
		jsonw_int(json, "found", fault->found);
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

static void put_body(struct jsonw *json, const struct event *event, const struct snapshot *snapshot)
{
	if (event->kind == EVENT_STEP || event->kind == EVENT_PROGRESS || event->kind == EVENT_SERIAL ||
	    event->kind == EVENT_RESULT)
		jsonw_int(json, "attempt", event->attempt_id);
	switch (event->kind) {
	case EVENT_RUN_BEGIN:
		put_run_begin(json, event, snapshot);
		break;
	case EVENT_RUN_END:
		put_run_end(json, snapshot);
		break;
	case EVENT_NOTE:
		jsonw_str(json, "text", event->text);
		break;
	case EVENT_STATE:
		jsonw_str(json, "state", slot_state_name(event->state));
		break;
	case EVENT_PROGRESS:
		jsonw_str(json, "step", slot_step_name(event->step));
		jsonw_int(json, "done", event->done);
		jsonw_int(json, "total", event->total);
		break;
	case EVENT_STEP:
		jsonw_str(json, "step", slot_step_name(event->step));
		break;
	case EVENT_SERIAL:
		jsonw_str(json, "serial", event->serial);
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

static void write_line(struct json_view *view, const struct jsonw *json)
{
	if (!jsonw_ok(json))
		return;
	/* After a line that went out in part no further one could be trusted to begin at its start. */
	if (fputs(json->text, view->out) < 0 || fputc('\n', view->out) == EOF || fflush(view->out) != 0)
		view->silent = true;
}

static void json_view_event(struct view *base, const struct event *event, const struct snapshot *snapshot)
{
	struct json_view *view = (struct json_view *)base;
	struct jsonw json;

	if (view->silent || is_too_soon(view, event, snapshot))
		return;
	jsonw_init(&json, 0);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "event", event_name(event->kind));
	put_time(&json, event->wall_ms);
	put_slot(&json, snapshot_slot(snapshot, event->slot));
	put_body(&json, event, snapshot);
	jsonw_close(&json, '}');
	write_line(view, &json);
	jsonw_finish(&json);
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
