#include "station/view/tui.h"

#include <fcntl.h>
#include <poll.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "station/view/glyph.h"
#include "station/view/layout.h"
#include "station/view/text.h"

/* ---- layout ---- */

/* No cell of the screen belongs to two, none of a tile lies outside the body. */
static void check_layout(int rows, int cols, size_t slots)
{
	struct tui_layout layout = tui_layout(rows, cols, slots);
	unsigned char *used = calloc((size_t)rows * (size_t)cols, 1);

	assert_true(layout.shown <= slots);
	for (size_t i = 0; i < slots; i++) {
		struct tui_rect tile = tui_layout_tile(&layout, i);

		assert_int_equal(tile.rows > 0, i < layout.shown);
		if (tile.rows == 0)
			continue;
		assert_true(tile.y >= layout.header_rows + layout.too_small);
		assert_true(tile.y + tile.rows <= rows - layout.footer_rows);
		assert_true(tile.x >= 0 && tile.cols > 0 && tile.x + tile.cols <= cols);
		for (int y = tile.y; y < tile.y + tile.rows; y++)
			for (int x = tile.x; x < tile.x + tile.cols; x++)
				assert_int_equal(used[y * cols + x]++, 0);
	}
	free(used);
}

static void tiles_fit_and_do_not_overlap(void **state)
{
	static const int sizes[][2] = { { 24, 80 }, { 50, 200 }, { 10, 40 }, { 43, 132 }, { 20, 20 }, { 5, 30 },
					{ 3, 12 },  { 1, 1 },	 { 2, 5 },   { 100, 60 }, { 300, 500 } };

	(void)state;
	for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++)
		for (size_t slots = 0; slots <= 64; slots++)
			check_layout(sizes[size][0], sizes[size][1], slots);
}

static void eight_slots_are_four_by_two(void **state)
{
	struct tui_layout layout = tui_layout(24, 80, 8);
	struct tui_rect last = tui_layout_tile(&layout, 7);

	(void)state;
	assert_int_equal(layout.grid_cols, 4);
	assert_int_equal(layout.grid_rows, 2);
	assert_int_equal(last.cols, 20);
	assert_int_equal(last.rows, 10);
}

static void eighty_by_twentyfour_is_enough_for_all(void **state)
{
	(void)state;
	for (size_t slots = 1; slots <= 64; slots++) {
		struct tui_layout layout = tui_layout(24, 80, slots);

		assert_false(layout.too_small);
		assert_int_equal(layout.shown, slots);
	}
}

static void too_small_is_a_list(void **state)
{
	struct tui_layout layout = tui_layout(8, 30, 40);

	(void)state;
	assert_true(layout.too_small);
	assert_int_equal(layout.shown, 15);
	assert_int_equal(tui_layout_tile(&layout, 14).rows, 1);
}

/* ---- letters ---- */

static void letters_fill_what_there_is(void **state)
{
	struct glyph_size size = glyph_fit("PASS", 5, 18, true);

	(void)state;
	assert_int_equal(size.x, 1);
	assert_int_equal(size.y, 1);
	assert_int_equal(size.cols, 15);
	size = glyph_fit("PASS", 3, 18, true);
	assert_int_equal(size.y, 0);
	assert_int_equal(size.rows, 3);
	assert_int_equal(glyph_fit("PASS", 3, 18, false).x, 0);
	assert_int_equal(glyph_fit("PASS", 5, 14, true).x, 0);
	assert_int_equal(glyph_fit("", 50, 50, true).x, 0);
	size = glyph_fit("PASS", 18, 49, true);
	assert_int_equal(size.x, 3);
	assert_int_equal(size.y, 3);
}

static void letters_have_their_points(void **state)
{
	static const char *const rows[] = { "###.#..", "#...#..", "##..#..", "#...#..", "#...###" };

	(void)state;
	for (int row = 0; row < GLYPH_ROWS; row++)
		for (int col = 0; col < 7; col++)
			assert_int_equal(glyph_point("FL", row, col), rows[row][col] == '#');
	assert_false(glyph_point("FL", 5, 0));
	assert_false(glyph_point("FL", 0, 8));
	assert_true(glyph_known("slot A3-9"));
	assert_false(glyph_known("?"));
}

/* ---- text ---- */

static void text_is_cut_by_columns(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(text_fit(out, sizeof(out), "PASS – off", 20, false), 10);
	assert_string_equal(out, "PASS - off");
	assert_int_equal(text_fit(out, sizeof(out), "abcdef", 4, false), 4);
	assert_string_equal(out, "abc~");
	assert_int_equal(text_fit(out, sizeof(out), "abcd", 4, false), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(text_fit(out, sizeof(out), "abc", 0, false), 0);
	assert_string_equal(out, "");
	assert_int_equal(text_fit(out, 4, "abcdefgh", 20, false), 3);
	assert_string_equal(out, "ab~");
	assert_int_equal(text_fit(out, sizeof(out), "\033[31m\xf0\x9f", 20, false), 7);
	assert_string_equal(out, "?[31m??");
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return; /* no such locale on this machine: the rest cannot be asked */
	assert_int_equal(text_fit(out, sizeof(out), "键盘板 1", 5, true), 5);
	assert_string_equal(out, "键盘…");
	assert_int_equal(text_fit(out, sizeof(out), "äöü", 3, true), 3);
	assert_string_equal(out, "äöü");
}

/* ---- the whole view on a pseudo terminal ---- */

struct stage {
	int master;
	FILE *out, *in;
	struct snapshot snapshot;
	struct termios before;
	struct view *view;
	char *text; /* what the terminal got */
	size_t length;
	FILE *got;
};

static void start(struct stage *stage, const char *term)
{
	static struct station_file file = { .station = "line-1", .slot_count = 2,
					    .slots = { { .name = "1" }, { .name = "2" } } };
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct pogo_error err = { 0 };

	memset(stage, 0, sizeof(*stage));
	setenv("TERM", term, 1);
	setenv("LC_ALL", "C", 1);
	unsetenv("POGO_QUIET");
	unsetenv("LINES");
	unsetenv("COLUMNS");
	stage->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(stage->master >= 0);
	assert_int_equal(grantpt(stage->master), 0);
	assert_int_equal(unlockpt(stage->master), 0);
	const char *name = ptsname(stage->master);
	int slave = open(name, O_RDWR | O_NOCTTY);
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
	tcgetattr(slave, &stage->before);
	stage->out = fdopen(slave, "w");
	stage->in = fopen(name, "r");
	stage->got = open_memstream(&stage->text, &stage->length);
	snapshot_init(&stage->snapshot, &file, "corne", "abcdef0123456789", "mei", 2);
	stage->view = view_tui_create_on(stage->out, stage->in, &err);
}

/* The slave has written before a call returns, so what is there now is all. */
static void collect(struct stage *stage)
{
	struct pollfd ready = { stage->master, POLLIN, 0 };
	char buffer[4096];

	while (poll(&ready, 1, 20) > 0 && (ready.revents & POLLIN)) {
		ssize_t count = read(stage->master, buffer, sizeof(buffer));

		if (count <= 0)
			break;
		fwrite(buffer, 1, (size_t)count, stage->got);
	}
	fflush(stage->got);
}

static void stop(struct stage *stage)
{
	struct termios after;

	if (stage->view)
		stage->view->ops->destroy(stage->view);
	tcgetattr(fileno(stage->out), &after);
	assert_int_equal(after.c_lflag, stage->before.c_lflag);
	assert_int_equal(after.c_oflag, stage->before.c_oflag);
	fclose(stage->out);
	fclose(stage->in);
	close(stage->master);
	fclose(stage->got);
	free(stage->text);
	snapshot_finish(&stage->snapshot);
}

static void show(struct stage *stage, struct event event)
{
	snapshot_absorb(&stage->snapshot, &event);
	stage->view->ops->event(stage->view, &event, &stage->snapshot);
}

static enum view_wish press(struct stage *stage, const char *keys)
{
	struct pollfd ready = { fileno(stage->in), POLLIN, 0 };

	assert_int_equal(write(stage->master, keys, strlen(keys)), strlen(keys));
	assert_int_equal(poll(&ready, 1, 5000), 1);
	return stage->view->ops->tick(stage->view, &stage->snapshot);
}

static void it_draws_on_terminals_of_all_kinds(void **state)
{
	static const char *const terms[] = { "xterm", "screen", "linux", "vt100" };

	(void)state;
	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
		struct stage stage;
		struct event fail = { .kind = EVENT_RESULT, .slot = 1, .fault.code = FAIL_VERIFY,
				      .text = "slot 2, verify: it differs" };

		start(&stage, terms[i]);
		if (!stage.view) {
			stop(&stage); /* that terminal is not described on this machine */
			continue;
		}
		show(&stage, (struct event){ .kind = EVENT_RUN_BEGIN, .slot = -1, .run_id = 7 });
		show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_WAITING });
		show(&stage, fail);
		show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 1, .state = SLOT_FAIL });
		assert_int_equal(stage.view->ops->tick(stage.view, &stage.snapshot), VIEW_GO_ON);
		collect(&stage);
		assert_non_null(strstr(stage.text, "SET BOARD"));
		assert_non_null(strstr(stage.text, "FAIL - TAKE OFF"));
		assert_non_null(strstr(stage.text, "VERIFY"));
		assert_non_null(strstr(stage.text, "slot 2, verify: it differs"));
		assert_non_null(strstr(stage.text, "q finish"));
		assert_non_null(memchr(stage.text, '\a', stage.length));
		stop(&stage);
	}
}

static void keys_ask_for_the_end(void **state)
{
	struct stage stage;

	(void)state;
	start(&stage, "xterm");
	if (!stage.view) {
		stop(&stage);
		skip();
	}
	assert_int_equal(press(&stage, "x"), VIEW_GO_ON);
	assert_int_equal(press(&stage, "q"), VIEW_FINISH);
	collect(&stage);
	assert_non_null(strstr(stage.text, "finishing: running boards end"));
	assert_int_equal(stage.view->ops->tick(stage.view, &stage.snapshot), VIEW_FINISH);
	assert_int_equal(press(&stage, "Q"), VIEW_ABORT);
	stop(&stage);
}

/* The screen goes with the run, the boards do not. */
static void verdicts_outlive_the_screen(void **state)
{
	struct event pass = { .kind = EVENT_RESULT, .slot = 0, .serial = "KB1" };
	struct event fail = { .kind = EVENT_RESULT, .slot = 1, .serial = "KB2", .fault.code = FAIL_VERIFY };
	struct stage stage;

	(void)state;
	start(&stage, "xterm");
	if (!stage.view) {
		stop(&stage);
		skip();
	}
	show(&stage, pass);
	show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_PASS });
	show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_WAITING }); /* taken off */
	show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 0, .state = SLOT_DONE });
	show(&stage, fail);
	show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 1, .state = SLOT_FAIL });
	show(&stage, (struct event){ .kind = EVENT_STATE, .slot = 1, .state = SLOT_DONE });
	show(&stage, (struct event){ .kind = EVENT_RUN_END, .slot = -1 });
	stage.view->ops->destroy(stage.view);
	stage.view = NULL;
	collect(&stage);
	assert_non_null(strstr(stage.text, "slot 2: FAIL  KB2  VERIFY"));
	assert_null(strstr(stage.text, "slot 1: PASS"));
	stop(&stage);
}

static void without_a_terminal_it_says_what_to_do(void **state)
{
	struct pogo_error err = { 0 };
	struct stage stage;
	FILE *none = fopen("/dev/null", "r+");

	(void)state;
	assert_null(view_tui_create_on(none, none, &err));
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "--ui plain"));
	fclose(none);
	start(&stage, "no-such-terminal");
	assert_null(stage.view);
	stop(&stage); /* and the terminal is as it was */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiles_fit_and_do_not_overlap),
		cmocka_unit_test(eight_slots_are_four_by_two),
		cmocka_unit_test(eighty_by_twentyfour_is_enough_for_all),
		cmocka_unit_test(too_small_is_a_list),
		cmocka_unit_test(letters_fill_what_there_is),
		cmocka_unit_test(letters_have_their_points),
		cmocka_unit_test(text_is_cut_by_columns),
		cmocka_unit_test(it_draws_on_terminals_of_all_kinds),
		cmocka_unit_test(keys_ask_for_the_end),
		cmocka_unit_test(verdicts_outlive_the_screen),
		cmocka_unit_test(without_a_terminal_it_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
