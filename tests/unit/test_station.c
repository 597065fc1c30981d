#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "db/log.h"
#include "hextools/ihex.h"
#include "hextools/outfile.h"
#include "station/station.h"
#include "tests/unit/fake_line.h"

/* A view that remembers, and swaps boards as an operator would. */
struct fake_view {
	struct view base; /* first */
	struct fake_host *host;
	bool operates;
	int boards; /* the next board's number */
	int begins, ends, results, passes;
	enum view_wish wish; /* after the first result */
	char note[320], first_note[320];
};

struct line {
	char folder[200], db[256], recipe[256], events[256];
	struct fake_host host;
	struct fake_view view;
	struct station_options options;
	struct station_seams seams;
	struct station_summary summary;
	struct pogo_error err;
	int result;
};

static void view_event(struct view *view, const struct event *event,
                       const struct snapshot *snapshot)
{
	struct fake_view *fake = (struct fake_view *)view;

	(void)snapshot;
	fake->begins += event->kind == EVENT_RUN_BEGIN;
	fake->ends += event->kind == EVENT_RUN_END;
	fake->results += event->kind == EVENT_RESULT;
	fake->passes += event->kind == EVENT_STATE && event->state == SLOT_PASS;
	if (event->kind == EVENT_NOTE && fake->first_note[0] == '\0')
		snprintf(fake->first_note, sizeof fake->first_note, "%s", event->text);
	if (event->kind == EVENT_NOTE)
		snprintf(fake->note, sizeof fake->note, "%s", event->text);
	if (event->kind != EVENT_STATE || !fake->operates)
		return;
	if (event->state == SLOT_WAITING)
		fake->host->pods[event->slot].board = ++fake->boards;
	else if (event->state == SLOT_PASS || event->state == SLOT_FAIL ||
	         event->state == SLOT_ERROR)
		fake->host->pods[event->slot].board = 0;
}

static enum view_wish view_tick(struct view *view, const struct snapshot *snapshot)
{
	struct fake_view *fake = (struct fake_view *)view;

	(void)snapshot;
	return fake->results > 0 ? fake->wish : VIEW_GO_ON;
}

static void view_destroy(struct view *view)
{
	(void)view;
}

static const struct view_ops fake_view_ops = {view_event, view_tick, view_destroy};

static int create_host(void *context, struct host **out, struct pogo_error *err)
{
	(void)err;
	*out = context;
	return 0;
}

static void write_text(const char *path, const char *text)
{
	assert_int_equal(outfile_write(path, text, strlen(text), NULL), 0);
}

static void write_recipe(struct line *line)
{
	struct hex_image image;
	char path[300], digest[65], text[1000], *hex;
	uint8_t bytes[256];
	size_t len;

	memset(bytes, 0x5A, sizeof bytes);
	hex_image_init(&image);
	assert_int_equal(
	        hex_image_add(&image, 0, bytes, sizeof bytes, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(
	        hex_image_add(&image, 0x7000, bytes, sizeof bytes, HEX_OVERLAP_ERROR, NULL, NULL),
	        0);
	assert_int_equal(ihex_format(&image, 16, &hex, &len, NULL), 0);
	assert_int_equal(ihex_digest(&image, digest, NULL), 0);
	hex_image_finish(&image);
	snprintf(path, sizeof path, "%s/image.hex", line->folder);
	assert_int_equal(outfile_write(path, hex, len, NULL), 0);
	free(hex);
	snprintf(text, sizeof text,
	         "product = \"test\";\npart = \"atmega32u4\";\nimage = "
	         "\"image.hex\";\nimage_sha256 = \"%s\";\n"
	         "crystal_hz = 16000000;\nfuses = { low = 0xFF; high = 0xD8; ext = 0xFB; };\n"
	         "serial = { prefix = \"KB\"; width = 6; first = 1; memory = \"eeprom\"; address = "
	         "0x3F0; };\n",
	         digest);
	snprintf(line->recipe, sizeof line->recipe, "%s/test.cfg", line->folder);
	write_text(line->recipe, text);
}

static struct line *make_line(size_t pods)
{
	struct line *line = calloc(1, sizeof *line);

	fake_folder(line->folder, sizeof line->folder);
	snprintf(line->db, sizeof line->db, "%s/log.db", line->folder);
	snprintf(line->events, sizeof line->events, "%s/events.jsonl", line->folder);
	write_recipe(line);
	fake_host_init(&line->host, pods);
	line->view =
	        (struct fake_view){.base = {&fake_view_ops}, .host = &line->host, .operates = true};
	line->seams =
	        (struct station_seams){create_host, &line->host, fake_programmer_for, &fake_chip};
	line->options =
	        (struct station_options){.configs = getenv("POGOLINE_CONFIGS") ? NULL : "configs",
	                                 .recipe_paths = {line->recipe},
	                                 .recipe_count = 1,
	                                 .db_path = line->db,
	                                 .operator_name = "me",
	                                 .seams = &line->seams};
	return line;
}

static int set_up(void **state)
{
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	*state = make_line(2);
	return 0;
}

static void free_line(struct line *line)
{
	for (size_t i = 0; i < line->host.count; i++)
		assert_int_equal(line->host.pods[i].opens, line->host.pods[i].closes);
	fake_remove(line->folder);
	free(line);
}

static int tear_down(void **state)
{
	free_line(*state);
	return 0;
}

static void *run_line(void *arg)
{
	struct line *line = arg;

	line->result =
	        station_run(&line->options, &line->view.base, NULL, &line->summary, &line->err);
	return NULL;
}

static void run(struct line *line)
{
	run_line(line);
	if (line->result != 0)
		print_message("%s\n", line->err.text);
}

static void test_a_run_ends_at_its_count(void **state)
{
	struct line *line = *state;

	line->options.count = 6;
	run(line);
	assert_int_equal(line->result, 0);
	assert_int_equal(line->summary.attempts, 6);
	assert_int_equal(line->summary.passed, 6);
	assert_int_equal(line->view.begins, 1);
	assert_int_equal(line->view.ends, 1);
	assert_int_equal(line->view.results, 6);
	assert_int_equal(line->view.passes, 6);
	assert_int_equal(
	        fake_query(line->db, "SELECT count(*) FROM attempts WHERE status = 'PASS'"), 6);
	assert_int_equal(
	        fake_query(
	                line->db,
	                "SELECT count(*) FROM runs WHERE ended_ms IS NOT NULL AND NOT interrupted"),
	        1);
	assert_int_equal(
	        fake_query(line->db,
	                   "SELECT count(DISTINCT text) FROM serials WHERE state = 'COMMITTED'"),
	        6);
}

static void test_two_stations_in_one_process(void **state)
{
	struct line *line = *state, *other = make_line(3);
	pthread_t thread;

	line->options.count = other->options.count = 4;
	assert_int_equal(pthread_create(&thread, NULL, run_line, other), 0);
	run(line);
	pthread_join(thread, NULL);
	assert_int_equal(line->result, 0);
	assert_int_equal(other->result, 0);
	assert_int_equal(line->summary.passed, 4);
	assert_int_equal(other->summary.passed, 4);
	free_line(other);
}

static void test_a_wish_to_finish_is_obeyed(void **state)
{
	struct line *line = *state;

	line->view.wish = VIEW_FINISH;
	run(line);
	assert_int_equal(line->result, 0);
	assert_non_null(strstr(line->view.note, "finishing"));
	assert_true(line->summary.passed >= 1);
	assert_int_equal(line->summary.errors, 0);
}

static const atomic_int *signals_of_run; /* for the one test below */

static void *run_with_signals(void *arg)
{
	struct line *line = arg;

	line->result = station_run(&line->options, &line->view.base, signals_of_run, &line->summary,
	                           &line->err);
	return NULL;
}

static void test_two_signals_abort(void **state)
{
	struct line *line = *state;
	atomic_int signals = 0;
	pthread_t thread;

	line->host.pods[0].hold_step = STEP_PROGRAM; /* only an abort ends this board */
	line->host.pods[1].plugged = false;
	signals_of_run = &signals;
	assert_int_equal(pthread_create(&thread, NULL, run_with_signals, line), 0);
	assert_true(fake_held(&line->host.pods[0], STEP_PROGRAM));
	signals = 2;
	pthread_join(thread, NULL);
	assert_int_equal(line->result, 0);
	assert_int_equal(line->summary.errors, 1);
	assert_int_equal(
	        fake_query(line->db, "SELECT count(*) FROM attempts WHERE code = 'ABORTED'"), 1);
}

static void test_a_failed_board_is_counted(void **state)
{
	struct line *line = *state;

	line->host.pods[0].fail_step = STEP_VERIFY;
	line->host.pods[0].fail_code = FAIL_VERIFY;
	line->host.pods[1].plugged = false;
	line->options.count = 2;
	run(line);
	assert_int_equal(line->result, 0);
	assert_int_equal(line->summary.failed, 2);
}

static void test_no_programmer_is_told(void **state)
{
	struct line *line = *state;

	line->host.pods[0].plugged = line->host.pods[1].plugged = false;
	run(line);
	assert_int_equal(line->result, -1);
	assert_int_equal(line->err.kind, POGO_SYSTEM);
	assert_int_equal(line->view.begins, 0);
}

static void test_a_bad_recipe_opens_no_log(void **state)
{
	struct line *line = *state;

	write_text(line->recipe, "product = 1;\n");
	run(line);
	assert_int_equal(line->result, -1);
	assert_int_equal(line->err.kind, POGO_INPUT);
	assert_int_equal(access(line->db, F_OK), -1);
	assert_int_equal(line->host.pods[0].opens, 0);
}

static void test_a_recipe_that_must_not_be_used_is_unusable_input(void **state)
{
	struct line *line = *state;
	char *text, *digest;
	size_t len;

	assert_int_equal(infile_read(line->recipe, &text, &len, NULL), 0);
	digest = strstr(text, "image_sha256 = \"");
	assert_non_null(digest);
	memcpy(digest + 16, "0000", 4);
	write_text(line->recipe, text);
	free(text);
	run(line);
	assert_int_equal(line->result, -1);
	assert_int_equal(line->err.kind, POGO_INPUT); /* `check` says POGO_NO: there it is the answer */
}

/* Three runs that died with five boards under way each. */
static void die_thrice(const struct line *line)
{
	for (int i = 0; i < 3; i++) {
		struct log *log = NULL;
		struct log_error err;
		struct log_recovery recovery;
		int64_t run_id, attempt;
		struct log_run begin = {.product = "test", .now_ms = 1};
		struct log_attempt open = {.slot = "1", .port = "1-1", .now_ms = 2};
		enum log_serial_result result;
		char serial[48];

		assert_int_equal(log_open(line->db, 1, &log, &recovery, &err), 0);
		assert_int_equal(log_run_begin(log, &begin, &run_id, &err), 0);
		for (int k = 0; k < 5; k++) {
			open.run_id = run_id;
			assert_int_equal(log_attempt_open(log, &open, &attempt, &err), 0);
			struct log_serial_wish wish = {.attempt_id = attempt, .product = "test",
			                               .prefix = "KB", .width = 6, .first = 1};
			assert_int_equal(log_serial_claim(log, &wish, serial, &result, &err), 0);
		}
		log_close(log);
	}
}

static void test_numbers_in_doubt_are_named(void **state)
{
	struct line *line = *state;

	die_thrice(line);
	line->options.count = 1;
	run(line);
	assert_int_equal(line->result, 0);
	assert_non_null(strstr(line->view.first_note, "5 serial numbers in doubt: KB000011, KB000012, "
	                                              "KB000013, KB000014 and others"));
}

static void test_an_unwritable_log_starts_nothing(void **state)
{
	struct line *line = *state;

	line->options.db_path = "/no/such/folder/log.db";
	run(line);
	assert_int_equal(line->result, -1);
	assert_int_equal(line->err.kind, POGO_SYSTEM);
	assert_int_equal(line->host.pods[0].opens, 0);
}

static void test_a_log_that_breaks_ends_the_run(void **state)
{
	struct line *line = *state;
	struct rlimit undo;
	pthread_t thread;

	line->host.pods[0].hold_step = STEP_LOCK;
	line->host.pods[1].plugged = false;
	assert_int_equal(pthread_create(&thread, NULL, run_line, line), 0);
	assert_true(fake_held(&line->host.pods[0], STEP_LOCK));
	fake_disk_full(&undo);
	line->host.pods[0].hold_step = 0;
	pthread_join(thread, NULL);
	setrlimit(RLIMIT_FSIZE, &undo);
	assert_int_equal(line->result, -1);
	assert_int_equal(line->err.kind, POGO_SYSTEM);
	assert_int_equal(line->summary.passed, 0);
	assert_int_equal(line->view.passes, 0);
	/* The next start finds the attempt, closes it and says so. */
	line->view.operates = true;
	line->host.pods[0].board = 0;
	line->options.count = 1;
	run(line);
	assert_int_equal(line->result, 0);
	assert_non_null(strstr(line->view.note,
	                       "1 attempt closed as interrupted, 1 serial number in doubt"));
	assert_int_equal(fake_query(line->db, "SELECT count(*) FROM attempts WHERE interrupted"),
	                 1);
}

static void test_events_go_to_a_file(void **state)
{
	struct line *line = *state;
	char *text;
	size_t len;

	line->options.events_path = line->events;
	line->options.count = 2;
	run(line);
	assert_int_equal(line->result, 0);
	assert_int_equal(infile_read(line->events, &text, &len, NULL), 0);
	assert_memory_equal(text, "{", 1);
	assert_int_equal(text[len - 1], '\n');
	assert_non_null(strstr(text, "run_begin"));
	assert_non_null(strstr(text, "PASS"));
	assert_non_null(strstr(text, "run_end"));
	free(text);
}

static void test_a_reader_that_never_reads_stops_nobody(void **state)
{
	struct line *line = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), small = 1024;

	snprintf(address.sun_path, sizeof address.sun_path, "%.90s/e", line->folder);
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 1), 0);
	line->options.events_path = address.sun_path;
	line->options.count = 8;
	run(line);
	assert_int_equal(line->result, 0);
	assert_int_equal(line->summary.passed, 8);
	close(listener);
}

static void test_an_event_path_that_cannot_be_is_told(void **state)
{
	struct line *line = *state;
	char fifo[256];

	line->options.events_path = "/no/such/folder/e";
	run(line);
	assert_int_equal(line->result, -1);
	assert_non_null(strstr(line->err.text, "/no/such/folder/e"));
	snprintf(fifo, sizeof fifo, "%s/fifo", line->folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	line->options.events_path = fifo;
	run(line);
	assert_int_equal(line->result, -1);
	assert_non_null(strstr(line->err.text, "nobody reads"));
}

static void test_ports_are_ordered_by_number(void **state)
{
	(void)state;
	assert_true(station_port_order("1-2", "1-10") < 0);
	assert_true(station_port_order("1-2.3", "1-2") > 0);
	assert_true(station_port_order("2-1", "1-9.9") > 0);
	assert_int_equal(station_port_order("1-4.2", "1-4.2"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_a_run_ends_at_its_count),
	        T(test_two_stations_in_one_process),
	        T(test_a_wish_to_finish_is_obeyed),
	        T(test_two_signals_abort),
	        T(test_a_failed_board_is_counted),
	        T(test_no_programmer_is_told),
	        T(test_a_bad_recipe_opens_no_log),
	        T(test_a_recipe_that_must_not_be_used_is_unusable_input),
	        T(test_numbers_in_doubt_are_named),
	        T(test_an_unwritable_log_starts_nothing),
	        T(test_a_log_that_breaks_ends_the_run),
	        T(test_events_go_to_a_file),
	        T(test_a_reader_that_never_reads_stops_nobody),
	        T(test_an_event_path_that_cannot_be_is_told),
	        cmocka_unit_test(test_ports_are_ordered_by_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
