#ifndef POGO_STATION_VIEW_H
#define POGO_STATION_VIEW_H

#include <stdio.h>

#include "station/event.h"
#include "station/snapshot.h"

/* A view draws what the station is. It owns no state of the station and may only ask it to stop.
 * All calls come from one thread. */

enum view_wish { VIEW_GO_ON, VIEW_FINISH /* finish running boards, then end */, VIEW_ABORT };

struct view;

struct view_ops {
	/* After `snapshot` has absorbed `event`. */
	void (*event)(struct view *view, const struct event *event, const struct snapshot *snapshot);
	/* At least every 250 ms, and after events: draws; reads keys; tells what the person wants. */
	enum view_wish (*tick)(struct view *view, const struct snapshot *snapshot);
	void (*destroy)(struct view *view); /* puts the terminal right */
};

struct view {
	const struct view_ops *ops;
};

struct view *view_tui_create(struct pogo_error *err);  /* NULL: no terminal; *err says so */
struct view *view_plain_create(FILE *out);
struct view *view_json_create(FILE *out); /* out is borrowed; a broken pipe silences it */

#endif
