#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hextools/conf.h"
#include "hextools/outfile.h"
#include "station/station_file.h"

struct folder {
	char dir[200], path[256];
	struct station_file file;
	struct pogo_error err;
};

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%.150s/station.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/line.cfg", f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int load(struct folder *f, const char *text)
{
	assert_int_equal(outfile_write(f->path, text, strlen(text), &f->err), 0);
	return station_file_load(f->path, &f->file, &f->err);
}

static void bad(struct folder *f, const char *text, int line, const char *words)
{
	char place[300];

	assert_int_equal(load(f, text), -1);
	snprintf(place, sizeof(place), "%s:%d: ", f->path, line);
	if (line && strncmp(f->err.text, place, strlen(place)) != 0)
		fail_msg("not at line %d: %s", line, f->err.text);
	if (!strstr(f->err.text, words))
		fail_msg("\"%s\" is not in: %s", words, f->err.text);
	assert_int_equal(f->err.kind, POGO_INPUT);
}

static void examples_are_good(void **state)
{
	struct folder *f = *state;
	char configs[400], path[600];

	if (conf_dir(NULL, configs, sizeof(configs), &f->err))
		snprintf(configs, sizeof(configs), "configs");
	snprintf(path, sizeof(path), "%s/stations/bench8.cfg", configs);
	if (station_file_load(path, &f->file, &f->err))
		fail_msg("%s", f->err.text);
	assert_string_equal(f->file.station, "bench");
	assert_int_equal(f->file.slot_count, 8);
	assert_string_equal(f->file.slots[7].name, "8");
	assert_string_equal(f->file.slots[7].port, "1-8");
	assert_string_equal(f->file.slots[7].kind, "usbasp");
	assert_int_equal(f->file.no_board_s, 0);
	snprintf(path, sizeof(path), "%s/stations/example.cfg", configs);
	if (station_file_load(path, &f->file, &f->err))
		fail_msg("%s", f->err.text);
	assert_string_equal(f->file.slots[3].kind, "");
}

static void saved_is_loaded_again(void **state)
{
	struct folder *f = *state;
	struct station_file out = {
	        .station = "line \"1\" \\ north", .slot_count = 2, .no_board_s = 60};
	char *first, *second;
	size_t len, again;

	snprintf(out.path, sizeof(out.path), "%s", f->path);
	out.slots[0] = (struct slot_place){"A1", "1-4.2", "usbasp"};
	out.slots[1] = (struct slot_place){"A2", "10-1.2.3.4", ""};
	assert_int_equal(station_file_save(&out, &f->err), 0);
	if (station_file_load(f->path, &f->file, &f->err))
		fail_msg("%s", f->err.text);
	assert_string_equal(f->file.station, out.station);
	assert_int_equal(f->file.no_board_s, 60);
	assert_int_equal(f->file.slot_count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(f->file.slots[i].name, out.slots[i].name);
		assert_string_equal(f->file.slots[i].port, out.slots[i].port);
		assert_string_equal(f->file.slots[i].kind, out.slots[i].kind);
	}
	assert_int_equal(infile_read(f->path, &first, &len, &f->err), 0);
	assert_int_equal(station_file_save(&f->file, &f->err), 0);
	assert_int_equal(infile_read(f->path, &second, &again, &f->err), 0);
	assert_string_equal(first, second); /* canonical */
	free(first);
	free(second);
	snprintf(out.path, sizeof(out.path), "/nonexistent/line.cfg");
	assert_int_equal(station_file_save(&out, &f->err), -1);
}

static void defects_are_told_with_their_line(void **state)
{
	struct folder *f = *state;

	bad(f, "slots = ( { name = \"1\"; port = \"1-1\"; } );\n", 0, "station");
	bad(f, "station = \"x\";\n", 0, "slots");
	bad(f, "station = \"x\";\nslots = ();\n", 2, "empty");
	bad(f, "station = \"\";\nslots = ();\n", 0, "station");
	bad(f, "station = \"x\";\nslots = ( \"1-1\" );\n", 2, "name");
	bad(f, "station = \"x\";\nslot = ();\n", 2, "slot");
	bad(f,
	    "station = \"x\";\nno_board_s = -1;\nslots = ( { name = \"1\"; port = \"1-1\"; } );\n",
	    2, "no_board_s");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"1-1\"; speed = 3; } );\n", 3,
	    "speed");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"1\"; } );\n", 3, "port");
	bad(f, "station = \"x\";\nslots = (\n{ port = \"1-1\"; } );\n", 3, "name");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"\"; port = \"1-1\"; } );\n", 3, "name");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"a\\tb\"; port = \"1-1\"; } );\n", 3,
	    "printable");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"0123456789012345\"; port = \"1-1\"; } );\n",
	    3, "longer than 15");
	bad(f,
	    "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"1-1\"; programmer = "
	    "\"toaster\"; } );\n",
	    3, "toaster");
	bad(f,
	    "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"1-1\"; },\n{ name = \"1\"; port "
	    "= \"1-2\"; } );\n",
	    4, "twice");
	bad(f,
	    "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"1-1\"; },\n{ name = \"2\"; port "
	    "= \"1-1\"; } );\n",
	    4, "both stand at port 1-1");
	bad(f, "station = \"x\"\nslots = ((\n", 0, "");
	assert_int_equal(station_file_load("/nonexistent/line.cfg", &f->file, &f->err), -1);
	assert_non_null(strstr(f->err.text, "/nonexistent/line.cfg"));
}

static void only_usb_paths_are_ports(void **state)
{
	static const char *const wrong[] = {"1",     "-1",   "1-",   "1-1.", "1-.1",
	                                    "1-1-1", "usb1", "1-1 ", "1-a"};
	struct folder *f = *state;
	char text[200];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text),
		         "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"%s\"; } );\n",
		         wrong[i]);
		bad(f, text, 3, "no USB port path");
	}
}

static void a_serial_line_needs_its_kind(void **state)
{
	struct folder *f = *state;

	bad(f, "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"/dev/ttyS0\"; } );\n", 3, "say which kind it is");
	bad(f, "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"/dev/ttyS0\"; programmer = \"usbasp\"; } );\n", 3,
	    "a usbasp does not hang on a serial line");
	static const char text[] = "station = \"x\";\nslots = (\n{ name = \"1\"; port = \"/dev/ttyS0\"; programmer = \"stk500v1\"; } );\n";
	assert_int_equal(outfile_write(f->path, text, sizeof text - 1, &f->err), 0);
	if (station_file_load(f->path, &f->file, &f->err))
		fail_msg("%s", f->err.text);
	assert_string_equal(f->file.slots[0].port, "/dev/ttyS0");
}

static void put_slots(struct folder *f, int count)
{
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	fputs("station = \"x\";\nslots = (\n", out);
	for (int i = 1; i <= count; i++)
		fprintf(out, "%s{ name = \"%d\"; port = \"1-%d\"; }", i > 1 ? ",\n" : "", i, i);
	fputs(");\n", out);
	assert_int_equal(fclose(out), 0);
}

static void sixty_four_slots_and_no_more(void **state)
{
	struct folder *f = *state;

	put_slots(f, STATION_SLOTS);
	assert_int_equal(station_file_load(f->path, &f->file, &f->err), 0);
	assert_int_equal(f->file.slot_count, STATION_SLOTS);
	put_slots(f, STATION_SLOTS + 1);
	assert_int_equal(station_file_load(f->path, &f->file, &f->err), -1);
	assert_non_null(strstr(f->err.text, "65 are too many"));
	assert_int_equal(f->file.slot_count, STATION_SLOTS); /* the old content stays */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(examples_are_good),
	        TEST(saved_is_loaded_again),
	        TEST(defects_are_told_with_their_line),
	        TEST(only_usb_paths_are_ports),
	        TEST(a_serial_line_needs_its_kind),
	        TEST(sixty_four_slots_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
