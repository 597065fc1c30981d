#include "station/view/view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "station/view/text.h"

/* A line per event that matters: for logs, pipes and terminals that draw nothing. */

struct plain_view {
	struct view view;
	FILE *out;
	bool told[STATION_SLOTS]; /* state_told is valid */
	enum slot_state state_told[STATION_SLOTS];
};

static void begin_line(struct plain_view *view, const struct event *event, const struct snapshot *snapshot)
{
	const struct slot_snapshot *slot = snapshot_slot(snapshot, event->slot);
	time_t seconds = (time_t)(event->wall_ms / 1000);
	struct tm tm;
	char clock[16], name[sizeof(slot->name)];
	int widest = 0;

	localtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		int length = (int)strlen(snapshot->slots[i].name);

		widest = length > widest ? length : widest;
	}
	text_clean(name, sizeof(name), slot ? slot->name : "");
	fprintf(view->out, "%s  %-*s  ", clock, widest, name);
}

static void say(struct plain_view *view, const struct event *event, const struct snapshot *snapshot,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(struct plain_view *view, const struct event *event, const struct snapshot *snapshot,
		const char *format, ...)
{
	char raw[640], clean[sizeof(raw)];
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	text_clean(clean, sizeof(clean), raw);
	begin_line(view, event, snapshot);
	fprintf(view->out, "%s\n", clean);
	fflush(view->out);
}

static void say_run_begin(struct plain_view *view, const struct event *event, const struct snapshot *snapshot)
{
	char wanted[48] = "no limit";

	if (snapshot->count_wanted)
		snprintf(wanted, sizeof(wanted), "%llu boards", (unsigned long long)snapshot->count_wanted);
	say(view, event, snapshot, "run %lld begins: station %s, product %s, image %s, operator %s, %s, %zu slot%s",
	    (long long)event->run_id, snapshot->station, snapshot->product, snapshot->image_short,
	    snapshot->operator_name[0] ? snapshot->operator_name : "-", wanted, snapshot->slot_count,
	    snapshot->slot_count == 1 ? "" : "s");
}

static void say_run_end(struct plain_view *view, const struct event *event, const struct snapshot *snapshot)
{
	struct snapshot_totals totals;
	char span[24], ratio[24];

	snapshot_total(snapshot, &totals);
	text_span(span, sizeof(span), event->wall_ms - snapshot->started_ms);
	text_ratio(ratio, sizeof(ratio), totals.units_first_pass, totals.units);
	say(view, event, snapshot, "run %lld ended after %s: %llu attempts, %llu passed, %llu failed, %llu errors",
	    (long long)snapshot->run_id, span, (unsigned long long)totals.attempts,
	    (unsigned long long)totals.passed, (unsigned long long)totals.failed,
	    (unsigned long long)totals.errors);
	say(view, event, snapshot, "first pass yield %s (%llu of %llu units; errors are in no yield)", ratio,
	    (unsigned long long)totals.units_first_pass, (unsigned long long)totals.units);
}

/* The line begins with the slot's name: the sentence need not say it again. */
static const char *without_slot(const struct event *event, const struct snapshot *snapshot)
{
	const struct slot_snapshot *slot = snapshot_slot(snapshot, event->slot);
	const char *text = event->text;
	size_t length = slot ? strlen(slot->name) : 0;

	if (!slot || strncmp(text, "slot ", 5) != 0 || strncmp(text + 5, slot->name, length) != 0)
		return text;
	text += 5 + length;
	return (*text == ':' || *text == ',') && text[1] == ' ' ? text + 2 : event->text;
}

static void say_result(struct plain_view *view, const struct event *event, const struct snapshot *snapshot)
{
	const char *serial = event->serial[0] ? event->serial : "-";
	enum fail_code code = event->fault.code;
	char seconds[24];

	text_seconds(seconds, sizeof(seconds), event->duration_ms);
	if (code == FAIL_NONE)
		say(view, event, snapshot, "PASS   %s  %s", serial, seconds);
	else
		say(view, event, snapshot, "%-5s  %s  %s  %s: %s", fail_is_error(code) ? "ERROR" : "FAIL",
		    serial, seconds, fail_name(code), without_slot(event, snapshot));
}

/* PASS, FAIL and ERROR have their result line; what remains to be said of a state is what to do. */
static const char *state_sentence(enum slot_state state)
{
	switch (state) {
	case SLOT_ABSENT:
		return "no programmer: plug it in";
	case SLOT_WAITING:
		return "waiting: set a board";
	case SLOT_RUNNING:
		return "board found: hands off";
	case SLOT_DONE:
		return "done";
	default:
		return NULL;
	}
}

static void say_state(struct plain_view *view, const struct event *event, const struct snapshot *snapshot)
{
	const char *sentence = state_sentence(event->state);
	int i = event->slot;

	if (!snapshot_slot(snapshot, i) || (view->told[i] && view->state_told[i] == event->state))
		return;
	view->told[i] = true;
	view->state_told[i] = event->state;
	if (sentence)
		say(view, event, snapshot, "%s", sentence);
}

static void plain_view_event(struct view *base, const struct event *event, const struct snapshot *snapshot)
{
	struct plain_view *view = (struct plain_view *)base;

	switch (event->kind) {
	case EVENT_RUN_BEGIN:
		say_run_begin(view, event, snapshot);
		break;
	case EVENT_RUN_END:
		say_run_end(view, event, snapshot);
		break;
	case EVENT_NOTE:
		say(view, event, snapshot, "note: %s", without_slot(event, snapshot));
		break;
	case EVENT_STATE:
		say_state(view, event, snapshot);
		break;
	case EVENT_SERIAL:
		say(view, event, snapshot, "serial %s", event->serial);
		break;
	case EVENT_RESULT:
		say_result(view, event, snapshot);
		break;
	case EVENT_STEP:
	case EVENT_PROGRESS:
		break;
	}
}

static enum view_wish plain_view_tick(struct view *base, const struct snapshot *snapshot)
{
	(void)base;
	(void)snapshot;
	return VIEW_GO_ON;
}

static void plain_view_destroy(struct view *base)
{
	free(base);
}

struct view *view_plain_create(FILE *out)
{
	static const struct view_ops ops = { plain_view_event, plain_view_tick, plain_view_destroy };
	struct plain_view *view = calloc(1, sizeof(*view));

	if (!view)
		return NULL;
	view->view.ops = &ops;
	view->out = out;
	return &view->view;
}
