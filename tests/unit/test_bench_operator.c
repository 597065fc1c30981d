#include "fixtures/bench/operator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixtures/bench/control.h"
#include "fixtures/bench/event_line.h"
#include "hextools/conf.h"

/* A station that is nothing but its event stream. Waits are for what must happen, with a limit that
 * only a failure reaches. */

struct rig {
	char dir[64], path[96];
	struct part *part;
	struct bench_faults *faults;
	struct bench *bench;
	struct bench_operator *operator;
	int station;
};

static void connect_station(struct rig *rig)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", rig->path);
	rig->station = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(rig->station, (struct sockaddr *)&address, sizeof address), 0);
}

static void rig_start(struct rig *rig, const struct bench_operator_setup *how, const char *faults)
{
	struct pogo_error err = {0};
	char configs[4096];
	memset(rig, 0, sizeof *rig);
	snprintf(rig->dir, sizeof rig->dir, "/tmp/pogo-operator-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof rig->path, "%s/watch", rig->dir);
	if (conf_dir(NULL, configs, sizeof configs, &err) != 0 ||
	    part_load(configs, "atmega32u4", &rig->part, &err) != 0 ||
	    bench_faults_parse(faults, 8, rig->part->flash_bytes, &rig->faults, &err) != 0)
		fail_msg("%s", err.text);
	struct bench_place places[BENCH_POSITIONS];
	for (unsigned i = 0; i < BENCH_POSITIONS; i++)
		places[i] = (struct bench_place){pod_usbasp_create, "2011", rig->part};
	struct bench_setup setup = {.positions = 8,
	                            .places = places,
	                            .crystal_hz = 16000000,
	                            .seed = 1,
	                            .fast = true,
	                            .faults = rig->faults};
	struct bench_operator_setup operator= * how;
	operator.watch = rig->path;
	if (bench_create(&setup, &rig->bench, &err) != 0 ||
	    bench_operator_start(rig->bench, &operator, & rig->operator, & err) != 0)
		fail_msg("%s", err.text);
	connect_station(rig);
}

static void rig_stop(struct rig *rig)
{
	close(rig->station);
	bench_operator_stop(rig->operator);
	bench_destroy(rig->bench);
	bench_faults_destroy(rig->faults);
	free(rig->part);
	assert_int_equal(access(rig->path, F_OK), -1);
	rmdir(rig->dir);
}

static void tell(struct rig *rig, const char *line)
{
	assert_int_equal(send(rig->station, line, strlen(line), MSG_NOSIGNAL),
	                 (ssize_t)strlen(line));
	assert_int_equal(send(rig->station, "\n", 1, MSG_NOSIGNAL), 1);
}

static void tell_state(struct rig *rig, unsigned slot, const char *state)
{
	char line[160];
	snprintf(line, sizeof line,
	         "{\"event\":\"state\",\"t\":\"x\",\"slot\":\"%u\",\"port\":\"1-%u\",\"state\":\"%"
	         "s\"}",
	         slot, slot, state);
	tell(rig, line);
}

static void tell_result(struct rig *rig, unsigned slot, const char *status, const char *serial)
{
	char line[200];
	snprintf(line, sizeof line,
	         "{\"event\":\"result\",\"slot\":\"%u\",\"port\":\"1-%u\",\"attempt\":1,\"serial\":"
	         "%s,"
	         "\"status\":\"%s\",\"duration_ms\":5}",
	         slot, slot, serial, status);
	tell(rig, line);
}

enum wait_for { BOARD_IN, BOARD_OUT, IN_HAND, PLUGGED };

static struct bench_look look_at(struct rig *rig, unsigned position)
{
	struct bench_look look;
	bench_look(rig->bench, position, &look);
	return look;
}

static void wait_for(struct rig *rig, unsigned position, enum wait_for what, unsigned boards_set)
{
	for (int i = 0; i < 20000; i++) {
		struct bench_look look = look_at(rig, position);
		bool there = what == BOARD_IN    ? look.board
		             : what == BOARD_OUT ? !look.board && !look.in_hand
		             : what == IN_HAND   ? look.in_hand
		                                 : look.plugged;
		if (there && look.boards_set >= boards_set)
			return;
		usleep(1000);
	}
	fail_msg("position %u: waited in vain for %d", position, (int)what);
}

/* The whole state as text; the caller frees it. */
static char *dump(struct rig *rig, bool final)
{
	char *text;
	size_t len;
	assert_int_equal(bench_dump(rig->bench, final, &text, &len, NULL), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

/* The n-th object in the text that begins so, or NULL. */
static const char *object(const char *text, const char *beginning, size_t n)
{
	const char *at = strstr(text, beginning);
	while (at != NULL && n-- > 0)
		at = strstr(at + 1, beginning);
	return at;
}

static const char *board(const char *state, size_t n)
{
	const char *boards = strstr(state, "],\"boards\":["), *at = NULL;
	assert_non_null(boards);
	for (at = boards; at != NULL; at = strstr(at + 1, "{\"position\":"))
		if (strncmp(at, "{\"position\":", 12) == 0 && n-- == 0)
			break;
	return at;
}

static size_t board_count(const char *state)
{
	size_t count = 0;
	while (board(state, count) != NULL)
		count++;
	return count;
}

static void assert_member(const char *json, const char *key, const char *expected)
{
	char value[64];
	assert_non_null(json);
	bool there = event_line_get(json, key, value, sizeof value);
	assert_string_equal(there ? value : "null", expected);
}

static const struct bench_operator_setup quick = {.acts = true, .hand_ms = 2, .seed = 1};

static void boards_follow_what_is_shown(void **state)
{
	(void)state;
	struct rig rig;
	struct bench_operator_setup how = quick;
	how.boards = 2;
	rig_start(&rig, &how, "3.2:no-erase");
	assert_false(look_at(&rig, 3).board);
	tell(&rig, "{\"event\":\"run_begin\",\"run\":1,\"slots\":[{\"slot\":\"3\",\"port\":\"1-3\"}"
	           "],\"count\":0}");
	tell_state(&rig, 3, "waiting");
	wait_for(&rig, 3, BOARD_IN, 1);
	tell_state(&rig, 3, "running");
	tell(&rig, "{\"event\":\"serial\",\"slot\":\"3\",\"port\":\"1-3\",\"attempt\":1,\"serial\":"
	           "\"A\\u0041-1\"}");
	tell_result(&rig, 3, "PASS", "\"AA-1\"");
	tell_state(&rig, 3, "pass");
	wait_for(&rig, 3, BOARD_OUT, 1);
	tell_state(&rig, 3, "waiting");
	wait_for(&rig, 3, BOARD_IN, 2);
	tell_state(&rig, 3, "running");
	tell_result(&rig, 3, "FAIL", "null");
	tell_state(&rig, 3, "fail");
	wait_for(&rig, 3, BOARD_OUT, 2);
	tell_state(&rig, 3, "waiting"); /* the table is empty now */
	tell_state(&rig, 1, "waiting");
	wait_for(&rig, 1, BOARD_IN, 1);
	assert_int_equal(look_at(&rig, 3).boards_set, 2);
	char *root = dump(&rig, false), *last = dump(&rig, true);
	assert_int_equal(board_count(root), 2);
	assert_non_null(object(root, "\"busid\":", 7));
	assert_null(object(root, "\"busid\":", 8));
	assert_member(board(root, 0), "shown", "pass");
	assert_member(board(root, 0), "serial_shown", "AA-1");
	assert_member(board(root, 0), "fault", "null");
	assert_member(board(root, 1), "shown", "fail");
	assert_member(board(root, 1), "serial_shown", "null");
	assert_member(board(root, 1), "fault", "no-erase");
	assert_non_null(strstr(board(root, 1), "\"chip\":{"));
	assert_int_equal(board_count(last), 3); /* with the one in the jig */
	assert_member(board(last, 2), "position", "1");
	free(root), free(last);
	rig_stop(&rig);
}

static void a_crashed_station_keeps_its_board(void **state)
{
	(void)state;
	struct rig rig;
	rig_start(&rig, &quick, NULL);
	tell_state(&rig, 2, "waiting");
	wait_for(&rig, 2, BOARD_IN, 1);
	tell_state(&rig, 2, "running");
	tell(&rig, "{\"event\":\"state\",\"slot\":"); /* dies in the middle of a line */
	close(rig.station);
	connect_station(&rig);
	tell_state(&rig, 2, "waiting");
	tell_state(&rig, 1, "waiting"); /* later in the stream, so the line above has been read */
	wait_for(&rig, 1, BOARD_IN, 1);
	struct bench_look look = look_at(&rig, 2);
	assert_true(look.board && look.boards_set == 1);
	tell_state(&rig, 2, "running");
	tell_state(&rig, 2, "pass");
	wait_for(&rig, 2, BOARD_OUT, 1);
	/* a result that was shown before a crash is remembered by the person */
	tell_state(&rig, 2, "waiting");
	wait_for(&rig, 2, BOARD_IN, 2);
	tell_state(&rig, 2, "running");
	tell_result(&rig, 2, "PASS", "\"B\"");
	close(rig.station);
	connect_station(&rig);
	tell_state(&rig, 2, "waiting");
	wait_for(&rig, 2, BOARD_IN, 3);
	rig_stop(&rig);
}

static void a_pulled_plug_is_put_back(void **state)
{
	(void)state;
	struct rig rig;
	rig_start(&rig, &quick, "4.1:unplug=1");
	tell_state(&rig, 4, "waiting");
	wait_for(&rig, 4, BOARD_IN, 1);
	assert_int_equal(bench_import(rig.bench, 4, 999), BENCH_IMPORTED);
	uint8_t data[4];
	struct pod_control transfer = {.setup = {0xC0, 127, 0, 0, 0, 0, 4, 0}, .data = data};
	int64_t due;
	assert_int_equal(bench_transfer(rig.bench, 4, 999, &transfer, bench_clock_ns(), &due),
	                 POD_GONE);
	assert_false(look_at(&rig, 4).plugged);
	tell_state(&rig, 4, "error");
	tell_state(&rig, 4, "absent");
	wait_for(&rig, 4, PLUGGED, 1);
	assert_true(look_at(&rig, 4).board);
	/* what a command pulled, only a command puts back */
	assert_int_equal(bench_unplug(rig.bench, 4, NULL), 0);
	assert_false(look_at(&rig, 4).pulled);
	char *root = dump(&rig, false);
	const char *slot = object(root, "{\"position\":4,\"busid\"", 0);
	assert_member(slot, "replugged", "1");
	free(root);
	rig_stop(&rig);
}

static void a_silent_board_is_reseated_then_put_aside(void **state)
{
	(void)state;
	struct rig rig;
	rig_start(&rig, &quick, "5.1:no-contact");
	tell_state(&rig, 5, "waiting");
	wait_for(&rig, 5, BOARD_IN, 2); /* some 9 s: three times out of patience */
	char *root = dump(&rig, false);
	const char *slot = object(root, "{\"position\":5,\"busid\"", 0);
	assert_member(slot, "reseated", "2");
	assert_member(board(root, 0), "shown", "none");
	assert_member(board(root, 0), "fault", "no-contact");
	free(root);
	rig_stop(&rig);
}

static void a_failed_board_is_tried_again(void **state)
{
	(void)state;
	struct rig rig;
	struct bench_operator_setup how = quick;
	how.retry = 1;
	rig_start(&rig, &how, NULL);
	tell_state(&rig, 6, "waiting");
	wait_for(&rig, 6, BOARD_IN, 1);
	tell_state(&rig, 6, "running");
	tell_result(&rig, 6, "FAIL", "null");
	tell_state(&rig, 6, "fail");
	wait_for(&rig, 6, IN_HAND, 1);
	tell_state(&rig, 6, "waiting");
	wait_for(&rig, 6, BOARD_IN, 1);
	assert_int_equal(look_at(&rig, 6).boards_set, 1);
	tell_state(&rig, 6, "running");
	tell_result(&rig, 6, "FAIL", "null");
	tell_state(&rig, 6, "fail");
	wait_for(&rig, 6, BOARD_OUT, 1);
	char *root = dump(&rig, false);
	assert_member(board(root, 0), "retries", "1");
	assert_non_null(object(board(root, 0), "{\"shown\":\"fail\",\"serial\":null}", 1));
	free(root);
	rig_stop(&rig);
}

static void slots_have_names(void **state)
{
	(void)state;
	struct rig rig;
	rig_start(&rig, &quick, NULL);
	assert_int_equal(bench_operator_position(rig.bench, "3", "1-5"), 3);
	assert_int_equal(bench_operator_position(rig.bench, "left", "1-5"), 5);
	assert_int_equal(bench_operator_position(rig.bench, "left", "1-4.2"), 2);
	assert_int_equal(bench_operator_position(rig.bench, "9", "1-5"), 5);
	assert_int_equal(bench_operator_position(rig.bench, "left", "1-9"), 0);
	assert_int_equal(bench_operator_position(rig.bench, "left", NULL), 0);
	rig_stop(&rig);
}

static void odd_lines_are_survived(void **state)
{
	(void)state;
	struct rig rig;
	rig_start(&rig, &quick, NULL);
	char *huge = malloc(200001);
	memset(huge, '{', 200000);
	huge[200000] = '\0';
	tell(&rig, huge);
	free(huge);
	tell(&rig, "");
	tell(&rig, "nonsense");
	tell(&rig, "{\"event\":\"state\",\"slot\":\"99999999\",\"state\":\"waiting\"}");
	tell(&rig, "{\"event\":\"result\",\"slot\":\"2\",\"status\":7}");
	tell_state(&rig, 2, "dancing");
	tell_state(&rig, 2, "waiting");
	wait_for(&rig, 2, BOARD_IN, 1);
	rig_stop(&rig);
}

static void lines_are_parsed(void **state)
{
	(void)state;
	char out[12];
	const char *line =
	        " {\"a\":{\"state\":\"}\\\"\"},\"b\":[1,{\"c\":[]}], \"n\" : -12.5,\"z\":null,"
	        "\"s\":\"x\\n\\\"\\\\\\u00e9\",\"t\":\"0123456789\\u00e9\",\"state\":\"ok\"}";
	assert_true(event_line_get(line, "state", out, sizeof out));
	assert_string_equal(out, "ok");
	assert_true(event_line_get(line, "n", out, sizeof out));
	assert_string_equal(out, "-12.5");
	assert_true(event_line_get(line, "s", out, sizeof out));
	assert_string_equal(out, "x\n\"\\\xC3\xA9");
	assert_true(event_line_get(line, "t", out, sizeof out));
	assert_string_equal(out, "0123456789"); /* cut before the character that does not fit */
	assert_false(event_line_get(line, "z", out, sizeof out));
	assert_false(event_line_get(line, "a", out, sizeof out));
	assert_false(event_line_get(line, "c", out, sizeof out));
	static const char *const bad[] = {"",
	                                  "{",
	                                  "{}",
	                                  "[]",
	                                  "{\"x",
	                                  "{\"x\"",
	                                  "{\"x\":",
	                                  "{\"x\":\"",
	                                  "{\"x\":\"\\",
	                                  "{\"x\":\"\\u12\"",
	                                  "{\"y\":[",
	                                  "{\"y\":]}",
	                                  "{\"y\":1 \"x\":2}",
	                                  "{\"y\":\"\\q\"}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(event_line_get(bad[i], "x", out, sizeof out));
}

static void ask(struct rig *rig, const char *line, const char *expected)
{
	char *answer;
	bool quit;
	bench_control_run(rig->bench, line, &quit, &answer);
	assert_non_null(answer);
	if (strncmp(answer, expected, strlen(expected)) != 0)
		fail_msg("%s: %s", line, answer);
	assert_int_equal(answer[strlen(answer) - 1], '\n');
	assert_int_equal(quit, strcmp(line, "quit") == 0);
	free(answer);
}

static void commands_move_boards(void **state)
{
	(void)state;
	struct rig rig;
	struct bench_operator_setup how = {.acts = false};
	rig_start(&rig, &how, "2.2:wrong-chip");
	ask(&rig, "insert 2", "ok\n");
	ask(&rig, "insert 2", "error 1 position 2: there is a board");
	tell_state(&rig, 2, "pass"); /* not acting, but watching */
	for (int i = 0; i < 20000 && look_at(&rig, 2).shown != BENCH_SHOWN_PASS; i++)
		usleep(1000);
	ask(&rig, "swap 2", "ok\n");
	ask(&rig, "fault 2 stuck=0x10.0.1", "ok\n");
	ask(&rig, "fault 2 stuck=1", "error 2 ");
	ask(&rig, "fault 2", "error 2 ");
	ask(&rig, "fault 3 stuck=0x10.0.1", "error 1 ");
	ask(&rig, "fault 3 stall=5", "ok\n");
	ask(&rig, "faults-clear 2", "ok\n");
	ask(&rig, "unplug 2", "ok\n");
	ask(&rig, "unplug 2", "error 1 ");
	ask(&rig, "plug 2", "ok\n");
	ask(&rig, "plug 2", "error 1 ");
	ask(&rig, "remove 2", "ok\n");
	ask(&rig, "remove 2", "error 1 ");
	ask(&rig, "boards 2", "ok [{\"position\":2,\"ordinal\":1,\"shown\":\"pass\"");
	ask(&rig, "boards 1", "ok []\n");
	ask(&rig, "dump", "ok {\"slots\":[");
	ask(&rig, "insert 9", "error 2 ");
	ask(&rig, "insert", "error 2 ");
	ask(&rig, "insert 1 2", "error 2 ");
	ask(&rig, "", "error 2 ");
	ask(&rig, "quit", "ok\n");
	char *root = dump(&rig, false);
	assert_member(board(root, 1), "fault", "wrong-chip,stuck=0x10.0.1");
	free(root);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(boards_follow_what_is_shown),
	        cmocka_unit_test(a_crashed_station_keeps_its_board),
	        cmocka_unit_test(a_pulled_plug_is_put_back),
	        cmocka_unit_test(a_silent_board_is_reseated_then_put_aside),
	        cmocka_unit_test(a_failed_board_is_tried_again),
	        cmocka_unit_test(slots_have_names),
	        cmocka_unit_test(odd_lines_are_survived),
	        cmocka_unit_test(lines_are_parsed),
	        cmocka_unit_test(commands_move_boards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
