#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/hex_process.h"

#define BOOT "fixtures/images/demo_bootloader.hex"
#define APP  "fixtures/images/demo_firmware.hex"

/* 0x100: "abcdefgh" and 0x200: "ABCD", start record 0x100. */
#define TWO ":080100006162636465666768D3\n:0402000041424344F0\n:0400000500000100F6\n:00000001FF\n"
#define END ":00000001FF\n"
#define START ":0400000500000100F6\n"

static void help_of_each(void **state)
{
	(void)state;
	static const char *const names[] = {"diff", "crop", "exclude", "move",    "fill",
					    "split", "crc", "dump",    "vectors", "serial"};
	static const char *const all[] = {"boot", "check", "convert", "crc",   "crop",    "diff",   "dump",  "exclude", "fill",
					  "fuses", "info", "merge",   "move", "release", "serial", "split", "vectors"};
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		assert_said(run(all[i], "--help"), "  --json ");
	put("@a", TWO);
	assert_int_equal(run("--help"), 0);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char phrase[40];
		snprintf(phrase, sizeof phrase, "pogo-hex %s ", names[i]);
		assert_said(run(names[i], "--help"), phrase);
		/* No line is wider than a terminal may show. */
		for (const char *at = out_text; *at != '\0'; at += strcspn(at, "\n") + 1)
			assert_true(strcspn(at, "\n") <= 100);
		assert_failed(run(names[i], "--wrong"), 2, "unknown option", 1);
		assert_failed(run(names[i]), 2, "", 1);
		assert_failed(run(names[i], "@none", "@none", "@none", "@none"), 2, "", 1);
	}
}

/* A file that is too large to be kept is refused for what is wrong with it, not for its size. */
static void check_of_a_huge_file(void **state)
{
	(void)state;
	char path[320];
	put("@huge", ":0100000041FF\n");
	assert_int_equal(truncate(expand("@huge", path), ((off_t)1 << 30) + 1), 0);
	assert_failed(run("check", "--part", "atmega32u4", "@huge"), 2, "huge:1:12: checksum FF", 1);
}

/* A clock that is reserved has no start-up to tell. */
static void fuses_of_a_reserved_clock(void **state)
{
	(void)state;
	assert_int_equal(run("fuses", "--part", "atmega32u4", "C1,D9,F3"), 1);
	assert_non_null(strstr(out_text, "\nclock     reserved\nboot "));
	assert_said(run("fuses", "--part", "atmega32u4", "FF,D9,F3"), ", start-up 16K CK + 65 ms\n");
}

static void crop_exclude(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_int_equal(run("crop", "-o", "@o", "0x102-0x103", "@a"), 0);
	assert_file("@o", ":02010200636434\n" START END);
	assert_int_equal(run("crop", "-o", "-", "--drop-start", "0x200+2", "0x203", "@a@0"), 0);
	assert_string_equal(out_text, ":02020000414279\n:0102030044B6\n" END);
	assert_int_equal(run("exclude", "-o", "-", "0x102-0x2FF", "@a"), 0);
	assert_string_equal(out_text, ":0201000061623A\n" START END);
	assert_int_equal(run_from("@a", "exclude", "-o", "-", "0x100+0x100", "-"), 0);
	assert_string_equal(out_text, ":0402000041424344F0\n" START END);
	assert_said(run("crop", "-o", "@o", "--json", "flash", "--part", "atmega32u4", "@a"), "\"bytes\": 12,");
	assert_failed(run("crop", "-o", "@p", "0x400-0x4FF", "@a"), 1, "no byte", 2);
	assert_failed(run("exclude", "-o", "@p", "0-0xFFFFFFFF", "@a"), 1, "no byte", 2);
	assert_failed(run("crop", "-o", "@p", "@a"), 2, "at least one range", 2);
	assert_failed(run("crop", "0-1", "@a"), 2, "-o OUT", 2);
	assert_failed(run("crop", "-o", "-", "--json", "0x100-0x1FF", "@a"), 2, "two outputs", 2);
	assert_failed(run("crop", "-o", "@p", "0x200-0x1FF", "@a"), 2, "ends below", 2);
	assert_failed(run("crop", "-o", "@p", "0x7000-0x7FFFF0000", "@a"), 2, "runs past 0xFFFFFFFF", 2);
	assert_failed(run("crop", "-o", "@p", "0x7000+99999999999999999999", "@a"), 2, "runs past 0xFFFFFFFF", 2);
	assert_failed(run("crop", "-o", "@p", "boot", "@a"), 2, "--part", 2);
	assert_failed(run("crop", "-o", "@p", "boot", "--part", "atmega32u4", "@a"), 2, "--fuses", 2);
	assert_failed(run("crop", "-o", "@p", "boot", "--fuses", "FF,D8,FB", "@a"), 2, "needs --part", 2);
	assert_failed(run("crop", "-o", "@p", "0-1", "@none"), 2, "none", 2);
	/* A merged file falls apart into what it was made of. */
	assert_int_equal(run("merge", "-o", "@m", APP, BOOT), 0);
	assert_int_equal(run("crop", "-o", "@b", "boot", "--part", "atmega32u4", "--fuses", "FF,D8,FB", "@m"), 0);
	assert_int_equal(run("diff", "--quiet", "@b", BOOT), 0);
	assert_int_equal(run("exclude", "-o", "@c", "--drop-start", "boot", "--part", "atmega32u4", "--fuses",
			     "FF,D8,FB", "@m"), 0);
	assert_int_equal(run("diff", "@c", APP), 0);
}

static void move(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_int_equal(run("move", "-o", "-", "--by", "-0x100", "--drop-start", "@a"), 0);
	assert_string_equal(out_text, ":080000006162636465666768D4\n:0401000041424344F1\n" END);
	assert_int_equal(run("move", "-o", "-", "--to", "0x108", "0x200+4", "@a"), 0);
	assert_string_equal(out_text, ":0C010000616263646566676841424344C5\n" START END);
	assert_failed(run("move", "-o", "@p", "--to", "0x107", "0x200+4", "@a"), 1, "land on 1 bytes", 1);
	assert_failed(run("move", "-o", "@p", "--by", "-0x101", "@a"), 2, "32-bit", 1);
	assert_failed(run("move", "-o", "@p", "@a"), 2, "one of --by", 1);
	assert_failed(run("move", "-o", "@p", "--by", "1", "--to", "2", "@a"), 2, "one of --by", 1);
	assert_failed(run("move", "-o", "@p", "--by", "1", "0-1", "0-2", "@a"), 2, "too many", 1);
	assert_failed(run("move", "-o", "@p", "--by", "one", "@a"), 2, "no number", 1);
	assert_failed(run("move", "-o", "@p", "--by", "99999999999999999999", "@a"), 2,
		      "out of range, allowed are -4294967296 to 4294967296", 1);
	assert_failed(run("move", "-o", "@p", "--by", "99999999999999999999x", "@a"), 2, "no number", 1);
}

static void fill(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_int_equal(run("fill", "-o", "-", "--with", "AA55", "0x106-0x10A", "@a"), 0);
	assert_non_null(strstr(out_text, "6162636465666768AA55AA"));
	assert_int_equal(run("fill", "-o", "-", "--with", "0xFF", "--over", "0x106-0x10A", "@a"), 0);
	assert_non_null(strstr(out_text, "616263646566FFFFFFFFFF"));
	assert_int_equal(run("fill", "-o", "@x", "--with", "random", "--seed", "1", "0x0+64", "@a"), 0);
	assert_int_equal(run("fill", "-o", "@y", "--with", "random", "--seed", "1", "0x0+32", "32+32", "@a"), 0);
	assert_int_equal(run("fill", "-o", "@z", "--with", "random", "--seed", "2", "0x0+64", "@a"), 0);
	assert_int_equal(run("diff", "--quiet", "@x", "@y"), 0);
	assert_int_equal(run("diff", "--quiet", "@x", "@z"), 1);
	assert_failed(run("fill", "-o", "@p", "--with", "random", "0+1", "@a"), 2, "--seed", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "random", "--seed", "18446744073709551616", "0+1", "@a"), 2,
		      "out of range, allowed are 0 to 9223372036854775807", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "F", "0+1", "@a"), 2, "pairs of hex", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "GG", "0+1", "@a"), 2, "pairs of hex", 4);
	assert_failed(run("fill", "-o", "@p", "0+1", "@a"), 2, "--with", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "FF", "--seed", "1", "0+1", "@a"), 2, "random only", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "FF", "0-0xFFFFFFFF", "@a"), 2, "64 MiB", 4);
	assert_failed(run("fill", "-o", "@p", "--with", "FF", "@a"), 2, "at least one range", 4);
}

static void split(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_said(run("split", "-o", "@s", "--at", "0x200,0x104", "--json", "@a"), "\"first\": 260,");
	assert_file("@s-00000100.hex", ":040100006162636471\n" START END);
	assert_file("@s-00000104.hex", ":04010400656667685D\n" END);
	assert_file("@s-00000200.hex", ":0402000041424344F0\n" END);
	assert_int_equal(scratch_count(folder), 4);
	assert_int_equal(run("split", "-o", "@t", "--size", "256", "@a"), 0);
	assert_int_equal(scratch_count(folder), 6);
	assert_int_equal(run("merge", "-o", "@m", "@t-00000100.hex", "@t-00000200.hex"), 0);
	assert_int_equal(run("diff", "@a", "@m"), 0);
	assert_failed(run("split", "-o", "@u", "@a"), 2, "one of --at", 7);
	assert_failed(run("split", "-o", "@u", "--at", "1,x", "@a"), 2, "no number", 7);
	assert_failed(run("split", "-o", "@u", "--at", "1,", "@a"), 2, "no number", 7);
	assert_failed(run("split", "-o", "@u", "--size", "0", "@a"), 2, "out of range", 7);
	assert_failed(run("split", "-o", "@u", "--size", "99999999999999999999", "@a"), 2,
		      "out of range, allowed are 1 to 4294967295", 7);
	assert_failed(run("split", "-o", "@u", "--at", "0,111111111122222222223333333333444444444", "@a"), 2,
		      "out of range, allowed are 0 to 4294967295", 7);
	assert_failed(run("split", "-o", "-", "--size", "1", "@a"), 2, "PREFIX", 7);
	/* More files than one set of outputs holds; and none if one of them cannot be written. */
	assert_int_equal(run("split", "-o", "@v", "--size", "1", "@a"), 0);
	assert_int_equal(scratch_count(folder), 19);
	assert_failed(run("split", "-o", "@none/v", "--size", "1", "@a"), 3, "none/v", 19);
}

static void crc(void **state)
{
	(void)state;
	put("@a", ":090000003132333435363738391A\n" END);
	assert_int_equal(run("crc", "@a"), 0);
	assert_string_equal(out_text, "0xCBF43926  CRC-32/ISO-HDLC  0x00000-0x00008 (9 bytes)\n");
	assert_said(run("crc", "-a", "crc-16/ccitt-false", "@a"), "0x29B1  CRC-16/IBM-3740");
	assert_said(run("crc", "-a", "sha-256", "@a"),
		    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
	assert_said(run("crc", "--json", "--range", "0+4", "@a"), "\"end\": 3,");
	assert_said(run("crc", "--list"), "CRC-32/ISCSI                0x1EDC6F41 0xFFFFFFFF true   true");
	assert_said(run("crc", "--list", "--json"), "\"name\": \"CRC-8/MAXIM-DOW\"");
	assert_int_equal(run("crc", "--insert", "0x10", "--endian", "le", "-o", "@o", "@a"), 0);
	assert_file("@o", ":090000003132333435363738391A\n:040010002639F4CBCE\n" END);
	assert_int_equal(run("crc", "--insert", "9", "--endian", "be", "-o", "-", "@a"), 0);
	assert_string_equal(out_text, ":0D000000313233343536373839CBF43926F8\n" END);
	assert_string_equal(err_text, "pogo-hex: 0xCBF43926  CRC-32/ISO-HDLC  0x00000-0x00008 (9 bytes)\n");
	/* Again: the place is in the default range and holds data. */
	assert_failed(run("crc", "--insert", "0x10", "--endian", "le", "-o", "@p", "@o"), 2, "own place", 2);
	assert_failed(run("crc", "--insert", "0x10", "--endian", "le", "-o", "@p", "--range", "0+9", "@o"), 1,
		      "--over", 2);
	assert_int_equal(run("crc", "--insert", "0x10", "--endian", "le", "-o", "@q", "--range", "0+9", "--over",
			     "@o"), 0);
	assert_file("@q", ":090000003132333435363738391A\n:040010002639F4CBCE\n" END);
	assert_int_equal(run("crc", "--insert", "9", "--endian", "le", "-o", "-", "--range", "0+13", "--self",
			     "skip", "@a"), 0);
	assert_string_equal(out_text, ":0D0000003132333435363738392639F4CBF8\n" END);
	assert_failed(run("crc", "@o"), 1, "the first is 0x00009", 3);
	assert_said(run("crc", "--fill", "0xFF", "@o"), "holes as 0xFF");
	assert_failed(run("crc", "-a", "CRC-31", "@a"), 2, "--list", 3);
	assert_failed(run("crc", "--fill", "256", "@a"), 2, "out of range", 3);
	assert_failed(run("crc", "--insert", "9", "-o", "@p", "@a"), 2, "--endian", 3);
	assert_failed(run("crc", "--insert", "9", "--endian", "xx", "-o", "@p", "@a"), 2, "le, be", 3);
	assert_failed(run("crc", "--insert", "9", "--endian", "le", "@a"), 2, "-o OUT", 3);
	assert_failed(run("crc", "-a", "xor-8", "--insert", "9", "--endian", "le", "-o", "@p", "@a"), 2,
		      "says nothing", 3);
	assert_failed(run("crc", "--endian", "le", "@a"), 2, "--insert", 3);
	assert_failed(run("crc", "--insert", "0x20", "--self", "0", "--endian", "le", "-o", "@p", "@a"), 2,
		      "outside the range", 3);
	/* Two bytes 4 GiB apart: eleven seconds for a sum that nobody can have meant. */
	put("@far", ":0100000041BE\n:02000004FFFFFC\n:01FFFF0042BF\n" END);
	assert_failed(run("crc", "--fill", "0xFF", "@far"), 2, "most of them hole; --range", scratch_count(folder));
	assert_said(run("crc", "--fill", "0xFF", "--range", "0+16", "@far"), "16 bytes, holes as 0xFF");
}

static void dump(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_int_equal(run("dump", "@a"), 0);
	assert_string_equal(out_text,
			    "00000100  61 62 63 64 65 66 67 68                           |abcdefgh        |\n"
			    "          hole of 248 bytes\n"
			    "00000200  41 42 43 44                                       |ABCD            |\n");
	assert_int_equal(run("dump", "0x103-0x104", "@a"), 0);
	assert_string_equal(out_text,
			    "00000100           64 65                                    |   de           |\n");
	assert_said(run("dump", "--json", "0x200", "@a"), "\"data\": \"41\"");
	/* A USB string descriptor with "KB1". */
	put("@s", ":0A000000FFFF08034B00420031002F\n" END);
	assert_said(run("dump", "--strings", "3", "@s"), "00000004  usb    KB1\n");
	assert_said(run("dump", "--strings", "8", "@a"), "00000100  ascii  abcdefgh\n");
	assert_said(run("dump", "--strings", "4", "--json", "@a"), "\"text\": \"ABCD\"");
	assert_int_equal(run("fill", "-o", "@f", "--with", "00", "0+128", "@a"), 0);
	assert_said(run("dump", "0+128", "@f"), "*         7 more lines like that\n");
	assert_int_equal(run("dump", "-o", "@text", "--all", "0+128", "@f"), 0);
	assert_string_equal(out_text, "");
	assert_failed(run("dump", "0x300+1", "@a"), 1, "no data", 4);
	assert_failed(run("dump", "--strings", "1", "@a"), 2, "out of range", 4);
}

static void diff(void **state)
{
	(void)state;
	put("@a", TWO);
	put("@b", ":08010000616263646566FF683B\n" END);
	assert_int_equal(run("diff", "@a", "@a"), 0);
	assert_string_equal(err_text, "");
	assert_int_equal(run("diff", "@a", "@b"), 1);
	assert_non_null(strstr(out_text, "differ     0x00106-0x00106  1 of 1 byte\n"));
	assert_non_null(strstr(out_text, "only in A  0x00200-0x00203  4 bytes\n"));
	assert_non_null(strstr(out_text, "0x00100  61 62 63 64 65 66>67 68  abcdefgh  | 61 62 63 64 65 66>FF 68"));
	assert_non_null(strstr(out_text, "A starts at 0x00000100, B has no start record\n"));
	assert_null(strchr(out_text, '\033'));
	assert_non_null(strstr(err_text, "differ\n"));
	assert_int_equal(run("diff", "--json", "--pages", "--part", "atmega32u4", "@a", "@b"), 1);
	assert_non_null(strstr(out_text, "\"a\": \"67\""));
	assert_non_null(strstr(out_text, "\"differing\": 2\n"));
	assert_int_equal(run("diff", "--pages", "--part", "atmega32u4", "@a", "@b"), 1);
	assert_non_null(strstr(out_text, "2 of 2 pages of 128 bytes to write again\n"));
	assert_int_equal(run("diff", "--quiet", "@a", "@b"), 1);
	assert_string_equal(out_text, "");
	assert_string_equal(err_text, "");
	assert_failed(run("diff", "--quiet", "--json", "@a", "@b"), 2, "one of them", 2);
	assert_failed(run("diff", "--quiet", "@a", "@none"), 2, "none", 2);
	assert_failed(run("diff", "@a"), 2, "two files", 2);
	assert_failed(run("diff", "--pages", "@a", "@b"), 2, "--part", 2);
	assert_failed(run("diff", "@a", "@none"), 2, "none", 2);
	/* The start record counts, and is told. */
	assert_int_equal(run("crop", "--drop-start", "-o", "@c", "0-0x3FF", "@a"), 0);
	assert_int_equal(run("diff", "@a", "@c"), 1);
	assert_non_null(strstr(out_text, "0 only in B, 12 equal; the start records differ\n"));
	assert_non_null(strstr(err_text, "differ, in the start record only\n"));
	/* Bounded, unless all is asked for. */
	assert_int_equal(run("fill", "-o", "@x", "--with", "random", "--seed", "1", "0+8192", "@a"), 0);
	assert_int_equal(run("fill", "-o", "@y", "--with", "random", "--seed", "2", "0+8192", "@a"), 0);
	assert_int_equal(run("diff", "@x", "@y"), 1);
	assert_non_null(strstr(out_text, "more lines"));
	assert_true(strlen(out_text) < 8192);
	assert_int_equal(run("diff", "--all", "@x", "@y"), 1);
	assert_true(strlen(out_text) > 65536);
}

static void vectors(void **state)
{
	(void)state;
	assert_said(run("vectors", "--part", "atmega32u4", "--fuses", "FF,D8,FB", APP), "in the application");
	assert_said(run("vectors", "--part", "atmega32u4", "--base", "0x7000", "--json", BOOT), "\"name\": \"reset\"");
	/* A stack at 0x20005000, reset at 0x08000100 with the Thumb bit, NMI without one. */
	put("@m", ":020000040800F2\n:0C00000000500020010100080001000871\n:02010000704746\n" END);
	assert_said(run("vectors", "--cortex-m", "@m"), "stack   0x20005000");
	assert_non_null(strstr(out_text, "reset        address 0x08000100"));
	assert_non_null(strstr(out_text, "NO THUMB BIT"));
	assert_failed(run("vectors", APP), 2, "--cortex-m", 1);
	assert_failed(run("vectors", "--cortex-m", "--part", "atmega32u4", APP), 2, "one of", 1);
	assert_failed(run("vectors", "--part", "atmega32u4", BOOT), 1, "no data at 0x00000", 1);
	assert_failed(run("vectors", "--part", "atmega32u4", "--count", "0", APP), 2, "out of range", 1);
}

static void map_of_info(void **state)
{
	(void)state;
	assert_said(run("info", "--map", "--part", "atmega32u4", "--fuses", "FF,D8,FB", APP, BOOT),
		    "application 16156 of 28672 bytes, boot 3288 of 4096");
	assert_said(run("info", "--map", "--part", "atmega32u4", APP, APP), "16156 bytes are in more than one file");
	assert_failed(run("info", "--map", APP), 2, "--part", 0);
	assert_failed(run("info", "--part", "atmega32u4", APP), 2, "--map", 0);
	assert_failed(run("info", "--map", "--part", "atmega32u4", "--json", APP), 2, "drawing", 0);
}

static void serial(void **state)
{
	(void)state;
#define SERIAL(...) run("serial", "--address", "0x10", __VA_ARGS__)
	put("@a", ":02000000ABCD86\n" END);
	assert_int_equal(SERIAL("--format", "ascii", "--value", "KB-7", "-o", "-", "@a"), 0);
	assert_string_equal(out_text, ":02000000ABCD86\n:040010004B422D37FB\n" END);
	assert_int_equal(SERIAL("--format", "ascii", "--length", "6", "--pad", "0", "--value", "KB-7", "-o", "-",
				"@a"), 0);
	assert_non_null(strstr(out_text, "4B422D370000"));
	assert_int_equal(SERIAL("--format", "utf16le-usb", "--value", "K1", "-o", "@u", "@a"), 0);
	assert_file("@u", ":02000000ABCD86\n:0600100006034B00310065\n" END);
	assert_int_equal(SERIAL("--format", "utf16le-usb", "--expect", "K1", "--value", "Z9", "-o", "-", "@u"), 0);
	assert_non_null(strstr(out_text, "06035A003900"));
	assert_int_equal(SERIAL("--format", "u32", "--endian", "be", "--value", "258", "-o", "-", "@a"), 0);
	assert_non_null(strstr(out_text, ":0400100000000102E9\n"));
	assert_int_equal(SERIAL("--format", "bcd", "--memory", "eeprom", "--value", "0042", "-o", "-", "@a"), 0);
	assert_non_null(strstr(out_text, ":02000004008179\n:020010000042AC\n"));
	assert_failed(SERIAL("--format", "ascii", "--value", "x", "-o", "@p", "@u"), 1, "not blank (06)", 2);
	assert_failed(SERIAL("--format", "utf16le-usb", "--expect", "K2", "--value", "Z9", "-o", "@p", "@u"), 1,
		      "06 03 4B 00 31 00", 2);
	assert_failed(SERIAL("--format", "utf16le-usb", "--expect", "K1", "--value", "Z", "-o", "@p", "@u"), 2,
		      "--pad", 2);
	assert_failed(SERIAL("--format", "utf16le-usb", "--expect", "K1", "--value", "Z10", "-o", "@p", "@u"), 2,
		      "takes 8 bytes", 2);
	assert_failed(SERIAL("--format", "bcd", "--value", "12-34", "-o", "@p", "@a"), 2,
		      "character '-' at position 3", 2);
	assert_failed(SERIAL("--format", "u32", "--value", "0042", "-o", "@p", "@a"), 2, "leading zeros", 2);
	assert_failed(SERIAL("--format", "u8", "--value", "256", "-o", "@p", "@a"), 2, "u8 holds, 255", 2);
	assert_failed(SERIAL("--format", "ihex", "--value", "1", "-o", "@p", "@a"), 2, "--in-format", 2);
	assert_failed(SERIAL("--format", "u8", "-o", "@p", "@a"), 2, "one of --value", 2);
	assert_failed(SERIAL("--format", "u8", "--value", "1", "--width", "3", "-o", "@p", "@a"), 2, "--counter", 2);
	assert_failed(SERIAL("--format", "u8", "--value", "1", "@a"), 2, "-o OUT", 2);
	assert_failed(SERIAL("--format", "ascii", "--value", "", "-o", "@p", "@a"), 2, "empty", 2);
	assert_failed(SERIAL("--format", "u16", "--endian", "me", "--value", "1", "-o", "@p", "@a"), 2, "le, be", 2);
	assert_failed(SERIAL("--format", "u64", "--counter", "18446744073709551615", "-o", "@p", "@a"), 2,
		      "out of range, allowed are 0 to 9223372036854775807", 2);
	assert_failed(SERIAL("--format", "ascii", "--value", "K\r\n\x1B[1m", "-o", "@p", "@a"), 2,
		      "of \"K\\r\\n\\x1B[1m\" is no printable ASCII", 2);
	assert_said(run("serial", "--help"), "  --to-family NAME");
	/* No part of a placeholder stays, and integers are not padded. */
	put("@e", ":0300100053455203\n" END);
	assert_failed(SERIAL("--format", "u16", "--value", "7", "--expect", "hex:534552", "-o", "@p", "@e"), 2,
		      "takes 2 bytes as u16, the field has 3; integers are not padded", 3);
	assert_failed(SERIAL("--format", "u16", "--value", "7", "--length", "3", "--pad", "0", "--over", "-o", "@p",
			     "@e"), 2, "the field has 3; integers are not padded", 3);
	assert_failed(SERIAL("--format", "ascii", "--value", "K", "--length", "1", "--expect", "SER", "-o", "@p", "@e"),
		      2, "--expect has 3 bytes, the field only 1", 3);
	put("@e", ":02001000534556\n" END);
	assert_int_equal(SERIAL("--format", "u16", "--value", "7", "--expect", "17747", "-o", "-", "@e"), 0);
	assert_string_equal(out_text, ":020010000700E7\n" END);
}

static void serial_of_many(void **state)
{
	(void)state;
	put("@a", ":02000000ABCD86\n" END);
	put("@t.csv", "\xEF\xBB\xBFserial,colour\r\nKB0001,red\r\n\"KB,0002\",\"bl\"\"ue\"\r\n");
	assert_said(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--all", "-o",
			   "@u{row}.hex", "--json", "@a"), "\"serial\": \"KB,0002\"");
	assert_file("@u2.hex", ":02000000ABCD86\n:070010004B422C303030326E\n" END);
	assert_int_equal(scratch_count(folder), 4);
	assert_int_equal(SERIAL("--format", "ascii", "--counter", "98+1", "--count", "12", "--prefix", "KB", "--width",
				"4", "-o", "@{serial}.hex", "@a"), 0);
	assert_int_equal(scratch_count(folder), 16);
	assert_file("@KB0109.hex", ":02000000ABCD86\n:060010004B423031303993\n" END);
	/* The last number is too long: no file at all. */
	assert_failed(SERIAL("--format", "ascii", "--counter", "98", "--count", "3", "--width", "2", "-o",
			     "@x{serial}.hex", "@a"), 2, "--width", 16);
	assert_failed(SERIAL("--format", "u8", "--counter", "254", "--count", "3", "-o", "@x{row}.hex", "@a"), 2,
		      "unit 3: 256", 16);
	assert_failed(SERIAL("--format", "u8", "--counter", "1", "--count", "3", "-o", "@x.hex", "@a"), 2,
		      "{serial} or {row}", 16);
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "nope", "--all", "-o", "@{row}", "@a"),
		      2, "\"serial\", \"colour\"", 16);
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--row", "3", "-o", "@x",
			     "@a"), 2, "rows 1 to 2", 16);
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "-o", "@x", "@a"), 2,
		      "--row N and --all", 16);
	put("@t.csv", "serial\nA\nB\nA\n");
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--all", "-o", "@x{row}",
			     "@a"), 2, "t.csv:4: \"A\" stands in line 2", 16);
	/* What is written counts, not how it is spelled. */
	put("@t.csv", "serial\n0x1F\n0x05\n\n5\n");
	assert_failed(SERIAL("--format", "u16", "--csv", "@t.csv", "--column", "serial", "--all", "-o", "@x{row}",
			     "@a"), 2, "t.csv:5: \"5\" is written as the same bytes of u16 as \"0x05\" in line 3", 16);
	put("@t.csv", "serial\n31\n0x1f\n");
	assert_failed(SERIAL("--format", "u64", "--csv", "@t.csv", "--column", "serial", "--all", "-o", "@x{row}",
			     "@a"), 2, "t.csv:3: \"0x1f\" is written as the same bytes of u64 as \"31\" in line 2", 16);
	put("@t.csv", "serial\n31\n256\n");
	assert_failed(SERIAL("--format", "u8", "--csv", "@t.csv", "--column", "serial", "--all", "-o", "@x{row}", "@a"),
		      2, "t.csv:3: 256 is more than u8 holds", 16);
	assert_failed(SERIAL("--format", "ascii", "--length", "2", "--pad", "0x30", "--counter", "1", "--count", "10",
			     "-o", "@x{row}", "@a"), 2,
		      "unit 10: \"10\" is written as the same bytes of ascii as \"1\" in unit 1", 16);
	put("@t.csv", "serial,n\nA,1\nB\n");
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--all", "-o", "@x{row}",
			     "@a"), 2, "t.csv:3: 1 cells", 16);
	put("@t.csv", "serial\n../A\n");
	assert_failed(SERIAL("--format", "ascii", "--csv", "@t.csv", "--column", "serial", "--all", "-o",
			     "@x{serial}", "@a"), 2, "file name", 16);
}

/* ---- what is promised of a failure ---- */

static int run_full(const char *const words[])
{
	return run_with(&(struct run_with){.output = "/dev/full"}, words);
}

/* The files take their places when the report is out. */
static void a_report_that_cannot_be_printed(void **state)
{
	(void)state;
#define FULL(...) run_full((const char *const[]){__VA_ARGS__, NULL})
	put("@a", TWO);
	put("@o", "precious");
	assert_failed(FULL("merge", "--json", "-o", "@o", "@a"), 3, "standard output", 2);
	assert_failed(FULL("convert", "--json", "-o", "@n", "@a"), 3, "standard output", 2);
	assert_failed(FULL("crop", "--json", "-o", "@o", "0x100", "@a"), 3, "standard output", 2);
	assert_failed(FULL("split", "--json", "-o", "@n", "--at", "0x200", "@a"), 3, "standard output", 2);
	assert_failed(FULL("serial", "--json", "--address", "8", "--format", "u8", "--counter", "1", "--count", "2",
			   "-o", "@n{row}", "@a"), 3, "standard output", 2);
	assert_failed(FULL("crc", "--fill", "0", "--insert", "8", "--endian", "le", "-o", "@o", "@a"), 3,
		      "standard output", 2);
	assert_failed(FULL("crc", "--fill", "0", "--insert", "8", "--endian", "le", "--json", "-o", "@n", "@a"), 3,
		      "standard output", 2);
	assert_file("@o", "precious");
}

/* What a file lacks is said only of one that is there. */
static void no_note_of_what_is_not_written(void **state)
{
	(void)state;
	put("@a", TWO);
	assert_failed(run("convert", "--to-format", "uf2", "-o", "@o", "@a"), 2, "family", 1);
	assert_failed(run("serial", "--address", "0x300", "--format", "u8", "--counter", "255", "--count", "2",
			  "--to-format", "binary", "-o", "@o{row}", "@a"), 2, "u8 holds", 1);
	assert_failed(run("merge", "--to-format", "binary", "-o", "@none/o", "@a"), 3, "none/o", 1);
	assert_int_equal(run("split", "--at", "0x200", "--to-format", "binary", "-o", "@o", "@a"), 0);
	assert_string_equal(err_text, "pogo-hex: the start address 00000100 is left out, raw binary has no place for it\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(help_of_each, setup, teardown),
		cmocka_unit_test_setup_teardown(check_of_a_huge_file, setup, teardown),
		cmocka_unit_test_setup_teardown(fuses_of_a_reserved_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(crop_exclude, setup, teardown),
		cmocka_unit_test_setup_teardown(move, setup, teardown),
		cmocka_unit_test_setup_teardown(fill, setup, teardown),
		cmocka_unit_test_setup_teardown(split, setup, teardown),
		cmocka_unit_test_setup_teardown(crc, setup, teardown),
		cmocka_unit_test_setup_teardown(dump, setup, teardown),
		cmocka_unit_test_setup_teardown(diff, setup, teardown),
		cmocka_unit_test_setup_teardown(vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(map_of_info, setup, teardown),
		cmocka_unit_test_setup_teardown(serial, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_of_many, setup, teardown),
		cmocka_unit_test_setup_teardown(a_report_that_cannot_be_printed, setup, teardown),
		cmocka_unit_test_setup_teardown(no_note_of_what_is_not_written, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
