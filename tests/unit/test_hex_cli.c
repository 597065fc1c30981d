#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hextools/ihex.h"
#include "tests/unit/hex_process.h"

#define BOOT "fixtures/images/demo_bootloader.hex"
#define APP  "fixtures/images/demo_firmware.hex"

#define HEX_A ":02000000ABCD86\n:00000001FF\n"
#define HEX_B ":02000100CDEF41\n:00000001FF\n"
#define HEX_FAR ":0100000041BE\n:02000004FFFFFC\n:01FFFF0042BF\n:00000001FF\n"
#define HEX_C ":0200010000EF0E\n:00000001FF\n"

static void help_and_usage(void **state)
{
	(void)state;
	assert_int_equal(run("--version"), 0);
	assert_string_equal(out_text, "pogo-hex 0.1.0\n");
	assert_said(run("--help"), "pogo-hex merge");
	static const char *const commands[] = {"info", "merge", "release"};
	for (size_t i = 0; i < 3; i++)
		assert_said(run(commands[i], "--help"), commands[i]);
	assert_failed(run("frobnicate"), 2, "unknown command \"frobnicate\", there are boot, check, convert,", 0);
	assert_failed(run(""), 2, "which command? there are boot, check, convert,", 0);
	assert_failed(run("info"), 2, "at least one", 0);
	assert_failed(run("info", "--wrong"), 2, "unknown option \"--wrong\"", 0);
	assert_failed(run("merge", "x.hex"), 2, "-o OUT", 0);
	assert_failed(run("merge", "-o"), 2, "needs a value", 0);
	assert_failed(run("merge", "-o", "a", "-o", "b", "x"), 2, "twice", 0);
	assert_failed(run("release", "--part", "atmega32u4"), 2, "--bootloader", 0);
	assert_failed(run("release", "x.hex"), 2, "options only", 0);
}

static void info(void **state)
{
	(void)state;
	assert_int_equal(run("info", BOOT, APP), 0);
	assert_non_null(strstr(out_text, "0x07000-0x"));
	assert_non_null(strstr(out_text, "start    0000:7000"));
	assert_int_equal(run("info", "--json", BOOT), 0);
	assert_non_null(strstr(out_text, "\"start\": 28672"));
	assert_non_null(strstr(out_text, "\"known\": null"));
	assert_int_equal(run_from(APP, "info", "-"), 0);
	/* A production file's memories have names, and no holes between them. */
	assert_said(run("info", "fixtures/images/formats/avr-production.elf"), "3 bytes, fuses\n");
	assert_non_null(strstr(out_text, "1 bytes, EEPROM\n  range    0x820000"));
	assert_said(run("info", "--json", "fixtures/images/formats/avr-production.elf"), "\"memory\": \"lock bits\"");
	assert_non_null(strstr(out_text, "\"memory\": null"));
	put("@far", HEX_FAR);
	assert_said(run("info", "@far"), "  crc-32   none, the span is more than 64 MiB\n");
	assert_said(run("info", "--json", "@far"), "\"crc32\": null");
	scratch_clear(folder);
	assert_failed(run("info", APP, "no/such.hex"), 2, "no/such.hex", 0);
	assert_failed(run("info", "fixtures/images/bad/digit-g.hex"), 2, "digit-g.hex:2:13:", 0);
	int code = run_with(&(struct run_with){.output = "/dev/full"}, (const char *const[]){"info", APP, NULL});
	assert_failed(code, 3, "standard output", 0);
}

static void merge_rules(void **state)
{
	(void)state;
	put("@a", HEX_A);
	put("@b", HEX_B);
	put("@c", HEX_C);
	assert_failed(run("merge", "-o", "@o", "@a", "@b"), 2, "all equal", 3);
	assert_non_null(strstr(err_text, "/a\" and \""));
	assert_failed(run("merge", "-o", "@o", "--overlap", "same", "@a", "@c"), 2,
		      "1 differ, first at 0x00001: CD against 00", 3);
	assert_failed(run("merge", "-o", "@o", "--overlap", "all", "@a", "@c"), 2, "same, first, last", 3);
	assert_int_equal(run("merge", "-o", "@o", "--overlap", "same", "@a", "@b"), 0);
	assert_file("@o", ":03000000ABCDEF96\n:00000001FF\n");
	assert_int_equal(run("merge", "-o", "@o", "--overlap=first", "@a", "@c"), 0);
	assert_file("@o", ":03000000ABCDEF96\n:00000001FF\n");
	assert_int_equal(run("merge", "-o", "@o", "--overlap", "last", "@a", "@c"), 0);
	assert_file("@o", ":03000000AB00EF63\n:00000001FF\n");
	assert_int_equal(run("merge", "-o", "-", "@a", "@b@0x10"), 0);
	assert_string_equal(out_text, ":02000000ABCD86\n:02001100CDEF31\n:00000001FF\n");
	assert_int_equal(run("merge", "-o", "-", "@b@-1"), 0);
	assert_string_equal(out_text, ":02000000CDEF42\n:00000001FF\n");
	assert_failed(run("merge", "-o", "@p", "@b@-2"), 2, "leave the 32-bit addresses", 4);
	assert_failed(run("merge", "-o", "@p", "@a@12x"), 2, "offset \"12x\"", 4);
	assert_failed(run("merge", "-o", "@p", "--part", "atmega32u4", "@a@0x7FFF"), 1,
		      "0x08000-0x08000 lies outside", 4);
}

/* What it says to machines, and what a format has no place for. */
static void merge_reports(void **state)
{
	(void)state;
	put("@a", HEX_A);
	put("@c", ":040010000102030" "4E2\n:040000050000700087\n:00000001FF\n");
	assert_said(run("merge", "--json", "-o", "@o", "@a", "@c"), "\"first\": 0,\n  \"last\": 19,");
	assert_non_null(strstr(out_text, "/c\",\n      \"bytes\": 4\n"));
	assert_non_null(strstr(out_text, "\"digest\": \""));
	assert_string_equal(err_text, "");
	assert_failed(run("merge", "--json", "-o", "-", "@a"), 2, "two outputs", 3);
	assert_int_equal(run("merge", "--to-format", "binary", "-o", "@o", "@a", "@c"), 0);
	assert_non_null(strstr(err_text, "start address 00007000 is left out, raw binary"));
	assert_failed(run("merge", "--to-format", "uf2", "-o", "@o", "@a"), 2, "needs the chip's family", 3);
	assert_int_equal(run("merge", "--to-format", "uf2", "--to-family", "RP2040", "-o", "@o", "@a"), 0);
}

static void merge_start_records(void **state)
{
	(void)state;
	put("@a", ":02000000ABCD86\n:040000050000700087\n:00000001FF\n");
	put("@b", ":02001000ABCD76\n:0400000500000000F7\n:00000001FF\n");
	assert_failed(run("merge", "-o", "@o", "@a", "@b"), 2, "/a\" has start record 00007000, \"", 2);
	assert_non_null(strstr(err_text, "/b\" has 00000000;"));
	assert_int_equal(run("merge", "-o", "-", "--start", "first", "@a", "@b"), 0);
	assert_non_null(strstr(out_text, ":040000050000700087\n"));
	assert_int_equal(run("merge", "-o", "-", "--start", "last", "@a", "@b"), 0);
	assert_non_null(strstr(out_text, ":0400000500000000F7\n"));
	assert_failed(run("merge", "-o", "@o", "--start", "equal", "@a", "@b"), 2, "has 00000000;", 2);
	assert_said(run("merge", "--help"), "equal (default)");
	assert_int_equal(run("merge", "-o", "-", "--start", "drop", "@a", "@b"), 0);
	assert_null(strstr(out_text, ":04000005"));
}

static void old_output_survives_a_failure(void **state)
{
	(void)state;
	put("@a", HEX_A);
	put("@c", HEX_C);
	put("@o", "precious");
	assert_failed(run("merge", "-o", "@o", "@a", "@c"), 2, "differ", 3);
	assert_file("@o", "precious");
	/* A full disk, as far as a process can have one. */
	int code = run_with(&(struct run_with){.file_limit = 100},
			    (const char *const[]){"merge", "-o", "@o", APP, NULL});
	assert_int_equal(code, 3);
	assert_int_equal(scratch_count(folder), 3);
	assert_file("@o", "precious");
	assert_failed(run("merge", "-o", "@none/o", "@a"), 3, "none/o", 3);
}

/* An input that somebody else released is not written over, by whatever name and command. */
static void inputs_are_not_written_over(void **state)
{
	(void)state;
	char a[320], link_path[320];
	put("@a", HEX_A);
	put("@c", HEX_C);
	put("@t.csv", "serial\nAB\n");
	assert_int_equal(link(expand("@a", a), expand("@link", link_path)), 0);
	assert_failed(run("merge", "-o", "@a", "@a", "@c@2"), 2, "/a\" is the input \"", 4);
	assert_failed(run("merge", "-o", "@link", "@c@2", "@a@0x100"), 2, "/a@0x100\"", 4);
	assert_failed(run_from("@a", "merge", "-o", "@a", "-"), 2, "\"-\", which would be lost", 4);
	assert_failed(run("convert", "-o", "@a", "@a"), 2, "would be lost", 4);
	assert_failed(run("crop", "-o", "@a", "0-1", "@a"), 2, "would be lost", 4);
	assert_failed(run("crc", "--insert", "16", "--endian", "le", "-o", "@a", "@a"), 2, "would be lost", 4);
	assert_failed(run("dump", "-o", "@a", "@a"), 2, "would be lost", 4);
	assert_failed(run("serial", "--address", "8", "--format", "ascii", "--value", "x", "-o", "@a", "@a"), 2,
		      "would be lost", 4);
	assert_failed(run("serial", "--address", "8", "--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--row",
			  "1", "-o", "@t.csv", "@a"), 2, "would be lost", 4);
	assert_file("@a", HEX_A);
	assert_file("@t.csv", "serial\nAB\n");
}

/* -o /dev/stdout is what -o - is: what others wrote there stays, and no line of text gets into it. */
static void standard_output_by_its_name(void **state)
{
	(void)state;
	put("@a", ":0100000055AA\n:00000001FF\n");
	assert_int_equal(run("merge", "-o", "/dev/stdout", "@a"), 0);
	assert_string_equal(out_text, ":0100000055AA\n:00000001FF\n");
	assert_int_equal(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP, "-o",
			     "/dev/stdout"), 0);
	assert_string_equal(out_text + strlen(out_text) - 12, ":00000001FF\n");
	assert_failed(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP, "-o", "-",
			  "--manifest", "/dev/stdout"), 2, "two outputs", 1);
}

static void release_writes_all_three(void **state)
{
	(void)state;
	assert_int_equal(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP, "-o",
			     "@i.hex", "--fuses", "FF,D8,FB", "--lock", "EF", "--manifest", "@m.json",
			     "--recipe", "@r.cfg", "--product", "board", "--eeprom",
			     "fixtures/images/demo_eeprom.hex"), 0);
	assert_int_equal(scratch_count(folder), 3);
	assert_string_equal(err_text, "");
	struct hex_image image;
	char path[320], digest[65];
	hex_image_init(&image);
	assert_int_equal(ihex_read_file(expand("@i.hex", path), &image, NULL), 0);
	assert_int_equal(ihex_digest(&image, digest, NULL), 0);
	hex_image_finish(&image);
	assert_non_null(strstr(out_text, digest));
}

static void release_refusals(void **state)
{
	(void)state;
#define RELEASE(...) \
	run("release", "--bootloader", BOOT, "--app", APP, "-o", "@i", "--manifest", "@m", __VA_ARGS__)
	assert_failed(RELEASE("--part", "atmega32u4", "--fuses", "FF,DE,FB"), 1, "would fit it", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--fuses", "FF,D9,FB"), 1, "BOOTRST", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--fuses", "FF,F8,FB"), 1, "SPIEN", 0);
	assert_failed(RELEASE("--part", "atmega16u4", "--fuses", "FF,D8,FB"), 1, "does not fit", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--recipe", "@r"), 2, "needs fuses", 0);
	assert_failed(RELEASE("--part", "nope"), 2, "known: ", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--crystal", "16M"), 2, "--crystal", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--lock", "zz"), 2, "lock", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--recipe", "@m", "--fuses", "FF,D8,FB"), 2,
		      "two outputs", 0);
	assert_failed(run("release", "--part", "atmega32u4", "--bootloader", APP, "--app", BOOT, "-o", "@i"),
		      1, "outside the boot section", 0);
	assert_failed(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", BOOT, "-o", "@i"),
		      2, "bytes, all equal); the application was built for another bootloader", 0);
	assert_failed(RELEASE("--part", "atmega32u4", "--fuses", "FF,D8,FB", "--recipe", "@none/r"), 3,
		      "none/r", 0);
}

/* Not even the line that says what was made may fail when it is too late. */
static void release_that_cannot_say_so(void **state)
{
	(void)state;
	static const char *const words[] = {"release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP,
					    "-o", "@i", "--fuses", "FF,D8,FB", "--manifest", "@m", NULL};
	assert_failed(run_with(&(struct run_with){.output = "/dev/full"}, words), 3, "standard output", 0);
}

static void json_goes_to_standard_output(void **state)
{
	(void)state;
	assert_int_equal(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP, "-o", "@i",
			     "--fuses", "FF,D8,FB", "--json"), 0);
	assert_int_equal(strncmp(out_text, "{\n  \"manifest\": 1,", 18), 0);
	assert_int_equal(run("release", "--part", "atmega32u4", "--bootloader", BOOT, "--app", APP, "-o", "-",
			     "--fuses", "FF,D8,FB", "--json"), 2);
	assert_non_null(strstr(err_text, "two outputs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(help_and_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(info, setup, teardown),
		cmocka_unit_test_setup_teardown(merge_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(merge_reports, setup, teardown),
		cmocka_unit_test_setup_teardown(merge_start_records, setup, teardown),
		cmocka_unit_test_setup_teardown(old_output_survives_a_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(inputs_are_not_written_over, setup, teardown),
		cmocka_unit_test_setup_teardown(standard_output_by_its_name, setup, teardown),
		cmocka_unit_test_setup_teardown(release_writes_all_three, setup, teardown),
		cmocka_unit_test_setup_teardown(release_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(release_that_cannot_say_so, setup, teardown),
		cmocka_unit_test_setup_teardown(json_goes_to_standard_output, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
