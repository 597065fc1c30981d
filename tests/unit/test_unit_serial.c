#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/unit_serial.h"

static struct pogo_error err;

static void assert_encoded(enum unit_format format, bool big, const char *value, const char *bytes, size_t len)
{
	const struct unit_field field = {.format = format, .big_endian = big, .pad = -1};
	uint8_t got[UNIT_MAX];
	size_t got_len;
	if (unit_encode(&field, value, got, &got_len, &err) != 0)
		fail_msg("%s: %s", value, err.text);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, bytes, len);
}

static void assert_refused(enum unit_format format, const char *value, const char *phrase)
{
	const struct unit_field field = {.format = format, .pad = 0};
	uint8_t got[UNIT_MAX];
	size_t len;
	err.text[0] = '\0';
	if (unit_encode(&field, value, got, &len, &err) == 0 || strstr(err.text, phrase) == NULL)
		fail_msg("\"%s\" and \"%s\": %s", value, phrase, err.text);
	assert_int_equal(err.kind, POGO_INPUT);
}

static void formats(void **state)
{
	(void)state;
	assert_encoded(UNIT_ASCII, false, "KB-007 x", "KB-007 x", 8);
	assert_encoded(UNIT_USB_STRING, false, "K1", "\x06\x03K\0001\0", 6);
	assert_encoded(UNIT_USB_STRING, false, "\xC3\xA9\xF0\x9F\x98\x80", "\x08\x03\xE9\x00\x3D\xD8\x00\xDE", 8);
	assert_encoded(UNIT_BCD, true, "001234", "\x00\x12\x34", 3);
	assert_encoded(UNIT_BCD, false, "001234", "\x34\x12\x00", 3);
	assert_encoded(UNIT_U8, false, "255", "\xFF", 1);
	assert_encoded(UNIT_U16, true, "0x102", "\x01\x02", 2);
	assert_encoded(UNIT_U32, false, "0", "\0\0\0\0", 4);
	assert_encoded(UNIT_U64, false, "18446744073709551615", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
}

static void refusals(void **state)
{
	(void)state;
	char text[400];
	memset(text, '7', sizeof text);
	assert_refused(UNIT_ASCII, "", "empty");
	assert_refused(UNIT_ASCII, "caf\xC3\xA9", "byte 0xC3 at position 4");
	assert_refused(UNIT_ASCII, "a\tb", "byte 0x09 at position 2 of \"a\tb\" is no printable ASCII");
	assert_refused(UNIT_USB_STRING, "a\xC0\x80", "byte 0xC0 at position 2");
	assert_refused(UNIT_USB_STRING, "\xED\xA0\x80", "no printable UTF-8");
	assert_refused(UNIT_USB_STRING, "\xC3", "no printable UTF-8");
	assert_refused(UNIT_BCD, "123", "leading zero");
	assert_refused(UNIT_BCD, "12-3", "character '-' at position 3");
	assert_refused(UNIT_U32, "-1", "no digit: u32 takes decimal digits, or 0x and hexadecimal ones");
	assert_refused(UNIT_BCD, "0x1F", "no digit: bcd takes decimal digits only");
	assert_refused(UNIT_U32, "007", "leading zeros");
	assert_refused(UNIT_U32, "0x", "no hexadecimal");
	assert_refused(UNIT_U32, "0x1g", "no hexadecimal");
	assert_refused(UNIT_U32, "4294967296", "4294967295");
	assert_refused(UNIT_U64, "18446744073709551616", "more than u64 holds");
	assert_refused(UNIT_U8, "1 ", "position 2");
	text[127] = '\0';
	assert_refused(UNIT_USB_STRING, text, "126 characters");
	text[127] = '7';
	text[256] = '\0';
	assert_refused(UNIT_ASCII, text, "255 bytes");
	text[256] = '7';
	text[399] = '\0';
	assert_refused(UNIT_BCD, text, "leading zero");
}

static void fields(void **state)
{
	(void)state;
	struct unit_field field = {.format = UNIT_ASCII, .length = 4, .pad = -1};
	uint8_t got[UNIT_MAX];
	size_t len;
	assert_int_equal(unit_encode(&field, "abc", got, &len, &err), -1);
	assert_non_null(strstr(err.text, "--pad"));
	assert_int_equal(unit_encode(&field, "abcde", got, &len, &err), -1);
	field.pad = 0x20;
	assert_int_equal(unit_encode(&field, "abc", got, &len, &err), 0);
	assert_memory_equal(got, "abc ", 4);
	field = (struct unit_field){.format = UNIT_U16, .length = 4, .pad = 0};
	assert_int_equal(unit_encode(&field, "1", got, &len, &err), -1);
}

static void patching(void **state)
{
	(void)state;
	struct hex_image image;
	struct unit_field field = {.format = UNIT_ASCII, .addr = 0x100, .pad = -1};
	uint8_t got[4];
	hex_image_init(&image);
	hex_image_add(&image, 0x102, "\xFF", 1, HEX_OVERLAP_ERROR, NULL, NULL);
	assert_int_equal(unit_patch(&image, &field, "abcd", NULL, &err), 0);
	assert_int_equal(unit_patch(&image, &field, "ABCD", NULL, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_non_null(strstr(err.text, "61 62 63 64"));
	field.expect = (const uint8_t *)"abcx";
	field.expect_len = 4;
	assert_int_equal(unit_patch(&image, &field, "ABCD", NULL, &err), -1);
	field.expect = (const uint8_t *)"ab";
	field.expect_len = 2; /* what is behind is not blank */
	assert_int_equal(unit_patch(&image, &field, "ABCD", NULL, &err), -1);
	field.addr = 0x102;
	field.expect = (const uint8_t *)"cdX";
	field.expect_len = 3;
	assert_int_equal(unit_patch(&image, &field, "ABC", NULL, &err), -1);
	assert_int_equal(err.kind, POGO_NO);
	assert_string_equal(err.text, "nothing stands at 0x00104, where --expect wants 58");
	field.addr = 0x100;
	field.expect_len = 2;
	field.expect = (const uint8_t *)"ab";
	assert_int_equal(unit_patch(&image, &field, "AB", NULL, &err), 0);
	field.expect = NULL;
	field.over = true;
	assert_int_equal(unit_patch(&image, &field, "1234", NULL, &err), 0);
	hex_image_read(&image, 0x100, got, 4, 0);
	assert_memory_equal(got, "1234", 4);
	field.addr = 0xFFFFFFFE;
	assert_int_equal(unit_patch(&image, &field, "1234", NULL, &err), -1);
	assert_int_equal(unit_patch(&image, &field, "12", NULL, &err), 0);
	hex_image_finish(&image);
}

static void numbers_and_names(void **state)
{
	(void)state;
	char out[64];
	assert_int_equal(unit_number("KB", 42, 6, out, sizeof out, &err), 0);
	assert_string_equal(out, "KB000042");
	assert_int_equal(unit_number("", 42, 0, out, sizeof out, &err), 0);
	assert_string_equal(out, "42");
	assert_int_equal(unit_number("", 100, 2, out, sizeof out, &err), -1);
	assert_int_equal(unit_number("K", 42, 2, out, 3, &err), -1);
	assert_int_equal(unit_file_name("u/{serial}-{row}{x}", "A-1", 7, out, sizeof out, &err), 0);
	assert_string_equal(out, "u/A-1-7{x}");
	assert_int_equal(unit_file_name("{serial}", "a/b", 1, out, sizeof out, &err), -1);
	assert_int_equal(unit_file_name("{serial}", ".a", 1, out, sizeof out, &err), -1);
	assert_int_equal(unit_file_name("{row}", "a/b", 1, out, 2, &err), 0);
	assert_int_equal(unit_file_name("{row}", "a/b", 10, out, 2, &err), -1);
}

static void units_that_are_one(void **state)
{
	(void)state;
	struct unit_written list[] = {{"b", 1, 0}, {"a", 1, 1}, {"ab", 2, 2}, {"b", 1, 3}};
	assert_null(unit_find_same(list, 3));
	const struct unit_written *same = unit_find_same(list, 4);
	assert_int_equal(same[0].number, 0);
	assert_int_equal(same[1].number, 3);
}

static void assert_table(const char *text, const char *phrase)
{
	struct unit_table *table = NULL;
	if (unit_table_parse(text, strlen(text), "t", ',', &table, &err) == 0 ||
	    strstr(err.text, phrase) == NULL)
		fail_msg("\"%s\": %s", text, err.text);
	assert_int_equal(err.kind, POGO_INPUT);
}

static void tables(void **state)
{
	(void)state;
	struct unit_table *table;
	const char *value;
	const char text[] = "a,b,\r\n\r\n\"x \"\"y\"\"\nz\",,\r1,2,3";
	assert_int_equal(unit_table_parse(text, strlen(text), "t.csv", ',', &table, &err), 0);
	assert_int_equal(unit_table_rows(table), 2);
	assert_int_equal(unit_table_cell(table, "a", 1, &value, &err), 0);
	assert_string_equal(value, "x \"y\"\nz");
	assert_int_equal(unit_table_cell(table, "b", 1, &value, &err), -1);
	assert_non_null(strstr(err.text, "t.csv:3: column \"b\" is empty"));
	assert_int_equal(unit_table_cell(table, "", 2, &value, &err), 0);
	assert_string_equal(value, "3");
	assert_int_equal(unit_table_cell(table, "b", 3, &value, &err), -1);
	assert_int_equal(unit_table_cell(table, "b", 0, &value, &err), -1);
	assert_int_equal(unit_table_cell(table, "c", 1, &value, &err), -1);
	assert_non_null(strstr(err.text, "\"a\", \"b\", \"\""));
	assert_int_equal(unit_table_line(table, 1), 3);
	assert_int_equal(unit_table_line(table, 2), 5);
	unit_table_free(table);
	assert_table("", "no row");
	assert_table("a\n", "no row");
	assert_table("a\n\"b", "never closed");
	assert_table("a\n\"b\"c\n", "follows a closing quote");
	assert_table("a\nb\"c\n", "inside a cell");
	assert_table("a,b\n1,2,3\n", "t:2: 3 cells");
	const char spaced[] = "a\n x\n";
	assert_int_equal(unit_table_parse(spaced, strlen(spaced), "t", ',', &table, &err), 0);
	assert_int_equal(unit_table_cell(table, "a", 1, &value, &err), -1);
	assert_non_null(strstr(err.text, "begins with a blank"));
	unit_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),  cmocka_unit_test(refusals),		 cmocka_unit_test(fields),
		cmocka_unit_test(patching), cmocka_unit_test(numbers_and_names), cmocka_unit_test(tables),
		cmocka_unit_test(units_that_are_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
