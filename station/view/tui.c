#include "station/view/tui.h"

/* Real functions: the macros would shadow names that everybody uses. */
#define NCURSES_NOMACROS
#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "station/view/glyph.h"
#include "station/view/layout.h"
#include "station/view/text.h"

#include <term.h> /* last: it makes macros of everyday words */

enum {
	DRAW_EVERY_MS = 40, /* 25 pictures a second are enough, however many events come */
	BAR_COLS_MIN = 4,
	TILE_LINES = 5, /* title, bar, serial, last, counts */
	LINE_BYTES = 1024,
};

struct tui_view {
	struct view view;
	SCREEN *screen;
	bool utf8, dingbats, colour, quiet;
	bool ring; /* the bell, at the next picture */
	bool finishing;
	int64_t drawn_ms;
	FILE *out;
	/* The verdict on the board that still lies in each jig; SLOT_STATES: none. The screen goes with
	 * the run, and a board without its verdict would be anybody's guess. */
	enum slot_state lying[STATION_SLOTS];
	char *farewell; /* made at the end of the run, told after the screen is gone; may be NULL */
};

/* ---- what a state looks like ------------------------------------------------------------------------ */

struct look {
	const char *words[3]; /* longest first: the first that fits is shown */
	const char *big;
	const char *shape, *plain_shape;
	short fore, back;
	attr_t mono; /* where there is no colour */
};

static const struct look *look_of(enum slot_state state)
{
	static const struct look looks[SLOT_STATES] = {
		[SLOT_ABSENT] = { { "NO PROGRAMMER", "NO PROG", "NONE" }, "", "○", "-",
				  COLOR_WHITE, COLOR_BLACK, A_DIM },
		[SLOT_WAITING] = { { "SET BOARD", "SET", "SET" }, "SET", "▼", "v",
				   COLOR_WHITE, COLOR_BLUE, A_NORMAL },
		[SLOT_RUNNING] = { { "HANDS OFF", "BUSY", "BUSY" }, "BUSY", "●", "*",
				   COLOR_BLACK, COLOR_YELLOW, A_BOLD },
		[SLOT_PASS] = { { "PASS – TAKE OFF", "PASS–TAKE OFF", "PASS" }, "PASS", "✔", "+",
				COLOR_BLACK, COLOR_GREEN, A_NORMAL },
		[SLOT_FAIL] = { { "FAIL – TAKE OFF", "FAIL–TAKE OFF", "FAIL" }, "FAIL", "✘", "X",
				COLOR_WHITE, COLOR_RED, A_REVERSE },
		[SLOT_ERROR] = { { "STATION ERROR", "ERROR", "ERR" }, "ERR", "▲", "!",
				 COLOR_WHITE, COLOR_MAGENTA, A_REVERSE },
		[SLOT_DONE] = { { "RUN OVER", "OVER", "OVER" }, "", "■", "=",
				COLOR_WHITE, COLOR_BLACK, A_NORMAL },
	};

	return &looks[(unsigned)state < SLOT_STATES ? state : SLOT_ERROR];
}

static const char *shape_of(const struct tui_view *view, const struct look *look)
{
	return view->utf8 && view->dingbats ? look->shape : look->plain_shape;
}

static attr_t attr_of(const struct tui_view *view, enum slot_state state)
{
	return view->colour ? (attr_t)COLOR_PAIR((int)state + 1) : look_of(state)->mono;
}

static void start_colours(struct tui_view *view)
{
	view->colour = has_colors() && start_color() == OK && COLORS >= 8;
	for (int state = 0; view->colour && state < SLOT_STATES; state++) {
		const struct look *look = look_of((enum slot_state)state);

		init_pair((short)(state + 1), look->fore, look->back);
	}
}

/* ---- pens -------------------------------------------------------------------------------------------- */

static void fill(struct tui_rect rect, attr_t attr)
{
	attrset(attr);
	for (int row = 0; row < rect.rows; row++)
		mvhline(rect.y + row, rect.x, ' ', rect.cols);
}

/* Text at a place, cut to its columns, with the attributes that are set. */
static int put(const struct tui_view *view, int y, int x, int cols, const char *text)
{
	char fitted[LINE_BYTES];
	int width = text_fit(fitted, sizeof(fitted), text, cols, view->utf8);

	mvaddstr(y, x, fitted);
	return width;
}

static void append(char *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char *line, const char *format, ...)
{
	size_t used = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + used, LINE_BYTES - used, format, args);
	va_end(args);
}

/* ---- a tile -------------------------------------------------------------------------------------------- */

static void draw_title(const struct tui_view *view, const struct slot_snapshot *slot, struct tui_rect tile)
{
	const struct look *look = look_of(slot->state);
	char line[LINE_BYTES];
	char fitted[LINE_BYTES];

	for (size_t i = 0; i < 3; i++) {
		snprintf(line, sizeof(line), "%s %s %s", slot->name, shape_of(view, look), look->words[i]);
		if (text_fit(fitted, sizeof(fitted), line, 10000, view->utf8) <= tile.cols)
			break;
	}
	attrset((attr_of(view, slot->state) | A_BOLD) ^ A_REVERSE);
	mvhline(tile.y, tile.x, ' ', tile.cols);
	put(view, tile.y, tile.x, tile.cols, line);
}

static unsigned percent_of(const struct slot_snapshot *slot)
{
	if (slot->total == 0)
		return 0;
	uint64_t percent = (uint64_t)slot->done * 100 / slot->total;
	return percent < 100 ? (unsigned)percent : 100;
}

/* "program ████░░  42%"; the step's name gives way in a narrow tile. */
static void draw_bar(const struct tui_view *view, const struct slot_snapshot *slot, int y, struct tui_rect tile)
{
	const char *step = slot->step == STEP_NONE ? "" : slot_step_name(slot->step);
	int number = slot->total ? 5 : 0, name = (int)strlen(step) + 1;
	char line[LINE_BYTES] = "";

	if (tile.cols - name - number < BAR_COLS_MIN)
		name = slot->total ? 0 : name;
	if (name > 1)
		append(line, "%s ", step);
	for (int i = 0, cols = tile.cols - name - number; slot->total && i < cols; i++) {
		bool full = (uint64_t)slot->done * (unsigned)cols >= (uint64_t)slot->total * (unsigned)(i + 1);

		append(line, "%s", view->utf8 ? (full ? "█" : "░") : (full ? "#" : "."));
	}
	if (slot->total)
		append(line, " %3u%%", percent_of(slot));
	put(view, y, tile.x, tile.cols, line);
}

static void draw_activity(const struct tui_view *view, const struct slot_snapshot *slot, int y,
			  struct tui_rect tile)
{
	char line[LINE_BYTES] = "";

	if (slot->state == SLOT_RUNNING) {
		draw_bar(view, slot, y, tile);
		return;
	}
	if (slot->state == SLOT_FAIL || slot->state == SLOT_ERROR)
		append(line, "%s", slot->last_code == FAIL_NONE ? "" : fail_name(slot->last_code));
	else if (slot->state == SLOT_ABSENT)
		append(line, "port %s", slot->port);
	put(view, y, tile.x, tile.cols, line);
}

/* Of a serial that is too long the end is shown: that is where boards differ. */
static void put_tail(char *line, const char *serial, int cols, const char *mark)
{
	int length = (int)strlen(serial);

	if (length <= cols)
		append(line, " %s", serial);
	else if (cols >= 4)
		append(line, " %s%s", mark, serial + length - cols + 1);
}

/* "✔ KB000123 6.2 s", "✘ KB000124 VERIFY": shape, serial, and what there is still room for. */
static void draw_last(const struct tui_view *view, const struct slot_snapshot *slot, int y, struct tui_rect tile)
{
	enum fail_code code = slot->last_code;
	enum slot_state kind = code == FAIL_NONE ? SLOT_PASS : fail_is_error(code) ? SLOT_ERROR : SLOT_FAIL;
	int serial_cols = (int)strlen(slot->last_serial);
	char line[LINE_BYTES] = "", seconds[24];

	if (slot->attempts == 0)
		return;
	text_seconds(seconds, sizeof(seconds), slot->last_duration_ms);
	append(line, "%s", shape_of(view, look_of(kind)));
	if (serial_cols)
		put_tail(line, slot->last_serial, tile.cols - 2, view->utf8 ? "…" : "~");
	if (!serial_cols || serial_cols + 7 <= tile.cols)
		append(line, " %s", code == FAIL_NONE ? seconds : fail_name(code));
	put(view, y, tile.x, tile.cols, line);
}

static void draw_counts(const struct tui_view *view, const struct slot_snapshot *slot, int y, struct tui_rect tile)
{
	char line[LINE_BYTES] = "", ratio[24], fitted[LINE_BYTES];

	text_ratio(ratio, sizeof(ratio), slot->units_first_pass, slot->units);
	append(line, "%llu done  FPY %s", (unsigned long long)slot->attempts, ratio);
	if (text_fit(fitted, sizeof(fitted), line, 10000, view->utf8) > tile.cols) {
		line[0] = '\0';
		append(line, "%llu  %s", (unsigned long long)slot->attempts, ratio);
	}
	put(view, y, tile.x, tile.cols, line);
}

/* One cell of a big letter: with y == 0 two points above each other. */
static const char *big_cell(const struct tui_view *view, const char *word, struct glyph_size size, int row, int col)
{
	int point = col / size.x;

	if (size.y > 0)
		return glyph_point(word, row / size.y, point) ? (view->utf8 ? "█" : "#") : NULL;
	bool upper = glyph_point(word, 2 * row, point), lower = glyph_point(word, 2 * row + 1, point);
	return upper && lower ? "█" : upper ? "▀" : lower ? "▄" : NULL;
}

/* The slot's number before the word, where that does not make the letters smaller. */
static void draw_big(const struct tui_view *view, const struct slot_snapshot *slot, struct tui_rect area)
{
	const char *word = look_of(slot->state)->big;
	char named[32];
	struct glyph_size size = glyph_fit(word, area.rows, area.cols - 1, view->utf8), other;

	snprintf(named, sizeof(named), "%s %s", slot->name, word);
	other = glyph_fit(named, area.rows, area.cols - 1, view->utf8);
	if (glyph_known(named) && other.x > 0 && other.x >= size.x && other.y >= size.y) {
		word = named;
		size = other;
	}
	if (size.x == 0)
		return;
	int y = area.y + (area.rows - size.rows) / 2, x = area.x + (area.cols - size.cols) / 2;
	for (int row = 0; row < size.rows; row++)
		for (int col = 0; col < size.cols; col++) {
			const char *cell = big_cell(view, word, size, row, col);

			if (cell)
				mvaddstr(y + row, x + col, cell);
		}
}

static void draw_serial(const struct tui_view *view, const struct slot_snapshot *slot, int y, struct tui_rect tile)
{
	char line[LINE_BYTES] = "";

	if (slot->serial[0])
		append(line, "%s", slot->serial);
	put(view, y, tile.x, tile.cols, line);
}

/* Under the title, what there is room for; the lines that a person needs least go first. */
static void draw_lines(const struct tui_view *view, const struct slot_snapshot *slot, struct tui_rect tile)
{
	bool busy = slot->state == SLOT_RUNNING;
	int y = tile.y + tile.rows - 1; /* from the bottom up */

	if (tile.rows >= 4)
		draw_counts(view, slot, y--, tile);
	if (tile.rows >= TILE_LINES) {
		draw_last(view, slot, y--, tile);
		draw_serial(view, slot, y--, tile);
	} else if (tile.rows >= 3) {
		if (busy)
			draw_serial(view, slot, y--, tile);
		else
			draw_last(view, slot, y--, tile);
	}
	if (tile.rows == 2 && !busy)
		draw_last(view, slot, y, tile);
	else if (tile.rows >= 2)
		draw_activity(view, slot, y, tile);
}

static void draw_tile(const struct tui_view *view, const struct slot_snapshot *slot, struct tui_rect tile)
{
	if (tile.rows == 0)
		return;
	attrset(A_NORMAL);
	if (tile.cols > 1)
		tile.cols--; /* a gap to the neighbour */
	fill(tile, attr_of(view, slot->state));
	draw_title(view, slot, tile);
	attrset(attr_of(view, slot->state));
	if (tile.rows > TILE_LINES)
		draw_big(view, slot, (struct tui_rect){ tile.y + 1, tile.x, tile.rows - TILE_LINES, tile.cols });
	draw_lines(view, slot, tile);
}

/* ---- header and footer --------------------------------------------------------------------------------- */

static void job_line(const struct snapshot *snapshot, char line[LINE_BYTES])
{
	line[0] = '\0';
	append(line, "%s  %s  image %s", snapshot->station, snapshot->product, snapshot->image_short);
	if (snapshot->operator_name[0])
		append(line, "  operator %s", snapshot->operator_name);
}

static int64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_line(const struct snapshot *snapshot, char line[LINE_BYTES])
{
	struct snapshot_totals totals;
	char ratio[24], span[24];

	snapshot_total(snapshot, &totals);
	text_ratio(ratio, sizeof(ratio), totals.units_first_pass, totals.units);
	text_span(span, sizeof(span), snapshot->started_ms ? wall_ms() - snapshot->started_ms : 0);
	line[0] = '\0';
	append(line, "run %lld  %s  %llu", (long long)snapshot->run_id, span,
	       (unsigned long long)snapshot->finished);
	if (snapshot->count_wanted)
		append(line, "/%llu", (unsigned long long)snapshot->count_wanted);
	append(line, " boards  FPY %s  pass %llu  fail %llu  error %llu", ratio,
	       (unsigned long long)totals.passed, (unsigned long long)totals.failed,
	       (unsigned long long)totals.errors);
}

static void draw_header(const struct tui_view *view, const struct snapshot *snapshot,
			const struct tui_layout *layout)
{
	char line[LINE_BYTES];

	if (layout->header_rows >= 2) {
		attrset(A_BOLD);
		job_line(snapshot, line);
		put(view, 0, 0, layout->cols, line);
	}
	if (layout->header_rows >= 1) {
		attrset(A_NORMAL);
		run_line(snapshot, line);
		put(view, layout->header_rows - 1, 0, layout->cols, line);
	}
}

static const char *keys_line(const struct tui_view *view)
{
	return view->finishing ? "finishing: running boards end, then the run ends   Q abort now"
			       : "q finish   Q abort";
}

static void draw_footer(const struct tui_view *view, const struct snapshot *snapshot,
			const struct tui_layout *layout)
{
	int y = layout->rows - 1, x = 0;

	if (layout->footer_rows == 0)
		return;
	attrset(A_BOLD);
	x = put(view, y, 0, layout->cols, keys_line(view)) + 3;
	attrset(A_NORMAL);
	if (layout->footer_rows >= 2)
		put(view, y - 1, 0, layout->cols, snapshot->note);
	else if (x + 8 < layout->cols)
		put(view, y, x, layout->cols - x, snapshot->note);
}

static void draw_too_small(const struct tui_view *view, const struct tui_layout *layout)
{
	char line[LINE_BYTES] = "";

	if (!layout->too_small)
		return;
	if (layout->shown < layout->slots)
		append(line, "%zu slots not shown: ", layout->slots - layout->shown);
	append(line, "terminal too small for %zu tiles", layout->slots);
	attrset(A_REVERSE);
	put(view, layout->header_rows, 0, layout->cols, line);
}

static void draw(struct tui_view *view, const struct snapshot *snapshot)
{
	struct tui_layout layout = tui_layout(LINES, COLS, snapshot->slot_count);

	erase(); /* not clear(): curses sends what differs, so nothing flickers */
	draw_header(view, snapshot, &layout);
	for (size_t i = 0; i < snapshot->slot_count; i++)
		draw_tile(view, &snapshot->slots[i], tui_layout_tile(&layout, i));
	draw_too_small(view, &layout);
	draw_footer(view, snapshot, &layout);
	attrset(A_NORMAL);
	refresh();
}

/* ---- the view -------------------------------------------------------------------------------------------- */

static int64_t mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note_lying(struct tui_view *view, const struct event *event)
{
	enum slot_state state = event->state;

	if (event->slot < 0 || event->slot >= STATION_SLOTS || state == SLOT_DONE)
		return; /* the run is over, and the board still lies there */
	bool verdict = state == SLOT_PASS || state == SLOT_FAIL || state == SLOT_ERROR;
	view->lying[event->slot] = verdict ? state : SLOT_STATES;
}

static void tell_lying(const struct tui_view *view, FILE *out, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->slot_count; i++) {
		const struct slot_snapshot *slot = &snapshot->slots[i];
		char name[sizeof(slot->name)], serial[sizeof(slot->last_serial)];

		if (view->lying[i] >= SLOT_STATES)
			continue;
		text_clean(name, sizeof(name), slot->name);
		text_clean(serial, sizeof(serial), slot->last_serial);
		fprintf(out, "slot %s: %s%s%s%s%s\n", name,
			view->lying[i] == SLOT_PASS ? "PASS" : view->lying[i] == SLOT_FAIL ? "FAIL" : "ERROR",
			serial[0] ? "  " : "", serial, slot->last_code == FAIL_NONE ? "" : "  ",
			slot->last_code == FAIL_NONE ? "" : fail_name(slot->last_code));
	}
}

static void make_farewell(struct tui_view *view, const struct snapshot *snapshot)
{
	size_t length = 0;
	FILE *out = open_memstream(&view->farewell, &length);

	if (!out)
		return;
	tell_lying(view, out, snapshot);
	fclose(out);
}

static void tui_event(struct view *base, const struct event *event, const struct snapshot *snapshot)
{
	struct tui_view *view = (struct tui_view *)base;

	if (event->kind == EVENT_STATE)
		note_lying(view, event);
	if (event->kind == EVENT_RUN_END && !view->farewell)
		make_farewell(view, snapshot);
	if (event->kind == EVENT_RESULT && event->fault.code != FAIL_NONE)
		view->ring = !view->quiet;
}

static enum view_wish read_keys(struct tui_view *view)
{
	enum view_wish wish = view->finishing ? VIEW_FINISH : VIEW_GO_ON;

	for (int key = getch(); key != ERR; key = getch()) {
		view->drawn_ms = 0;
		if (key == KEY_RESIZE) {
			clearok(stdscr, TRUE); /* terminals reflow what they had: start from nothing */
		} else if (key == 'L' - '@') {
			clearok(stdscr, TRUE);
		} else if (key == 'Q') {
			wish = VIEW_ABORT;
		} else if (key == 'q' && wish == VIEW_GO_ON) {
			wish = VIEW_FINISH;
			view->finishing = true;
		}
	}
	return wish;
}

static enum view_wish tui_tick(struct view *base, const struct snapshot *snapshot)
{
	struct tui_view *view = (struct tui_view *)base;
	enum view_wish wish = read_keys(view);
	int64_t now = mono_ms();

	if (view->ring)
		beep();
	view->ring = false;
	if (view->drawn_ms && now - view->drawn_ms < DRAW_EVERY_MS)
		return wish;
	view->drawn_ms = now;
	draw(view, snapshot);
	return wish;
}

static void tui_destroy(struct view *base)
{
	struct tui_view *view = (struct tui_view *)base;

	endwin();
	delscreen(view->screen);
	if (view->farewell) {
		fputs(view->farewell, view->out);
		fflush(view->out);
	}
	free(view->farewell);
	free(view);
}

static void start_screen(struct tui_view *view)
{
	const char *term = getenv("TERM");

	/* The kernel's console font has block characters but no ticks and crosses. */
	view->dingbats = !term || strncmp(term, "linux", 5) != 0;
	start_colours(view);
	cbreak();
	noecho();
	nonl();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	leaveok(stdscr, TRUE);
}

/* Asked beforehand, because a newterm() that fails keeps its memory (ncurses 6.4). */
static bool is_drawable(FILE *out)
{
	int answer = 0;

	if (setupterm(NULL, fileno(out), &answer) != OK)
		return false;
	del_curterm(cur_term);
	return true;
}

struct view *view_tui_create_on(FILE *out, FILE *in, struct pogo_error *err)
{
	static const struct view_ops ops = { tui_event, tui_tick, tui_destroy };
	const char *term = getenv("TERM");

	if (!isatty(fileno(out)) || !isatty(fileno(in))) {
		pogo_fail(err, POGO_INPUT, "--ui tui needs a terminal at standard input and output: use --ui plain");
		return NULL;
	}
	struct tui_view *view = calloc(1, sizeof(*view));
	if (!view) {
		pogo_fail(err, POGO_SYSTEM, "the terminal view found no memory");
		return NULL;
	}
	/* Only the characters: numbers keep their full stop whatever the country. */
	setlocale(LC_CTYPE, "");
	view->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	view->quiet = getenv("POGO_QUIET") != NULL;
	view->screen = is_drawable(out) ? newterm(NULL, out, in) : NULL;
	if (!view->screen) {
		pogo_fail(err, POGO_INPUT, "TERM=%s is no terminal that can be drawn on: set TERM, or use --ui plain",
			  term ? term : "");
		free(view);
		return NULL;
	}
	view->view.ops = &ops;
	view->out = out;
	for (size_t i = 0; i < STATION_SLOTS; i++)
		view->lying[i] = SLOT_STATES;
	start_screen(view);
	return &view->view;
}

struct view *view_tui_create(struct pogo_error *err)
{
	return view_tui_create_on(stdout, stdin, err);
}
