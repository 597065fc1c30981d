#ifndef POGO_STATION_EVENT_SINK_H
#define POGO_STATION_EVENT_SINK_H

#include <stdio.h>

#include "hextools/err.h"

/* A stream of lines to a file, a pipe or a listening Unix socket that never blocks its writer: whole
 * lines go into a bounded buffer that a thread of its own drains. A reader that is too slow loses
 * lines, and finds {"event":"lost","lines":N} where they are missing; one that went away loses all.
 * The process must ignore SIGPIPE. */

struct event_sink;

int event_sink_open(const char *path, struct event_sink **out, struct pogo_error *err);
FILE *event_sink_stream(struct event_sink *sink); /* line by line; not to be closed by the caller */
void event_sink_close(struct event_sink *sink);   /* gives the reader two more seconds; NULL is fine */

#endif
