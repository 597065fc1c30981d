#ifndef POGO_STATION_VIEW_TUI_H
#define POGO_STATION_VIEW_TUI_H

#include <stdio.h>

#include "station/view/view.h"

/* The terminal view on streams of the caller's choice (tests give it a pseudo terminal). One at a time:
 * curses keeps one current screen. Install handlers of SIGINT and SIGTERM first, or curses takes them. */
struct view *view_tui_create_on(FILE *out, FILE *in, struct pogo_error *err);

#endif
