#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hextools/digest.h"
#include "hextools/ihex.h"

#define BAD "fixtures/images/bad/"

static void assert_reads(const char *text, uint32_t addr, const void *bytes, size_t len)
{
	struct hex_image image;
	struct pogo_error err = {.text = ""};
	uint8_t *out = malloc(len + 1);
	hex_image_init(&image);
	if (ihex_parse(text, strlen(text), "t", &image, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(hex_image_bytes(&image), len);
	assert_int_equal(hex_image_read(&image, addr, out, len, 0), len);
	assert_memory_equal(out, bytes, len);
	free(out);
	hex_image_finish(&image);
}

static void accepted_dialects(void **state)
{
	(void)state;
	static const uint8_t abcd[] = {0xAB, 0xCD};
	assert_reads(":02000000ABCD86\n:00000001FF\n", 0, abcd, 2);
	assert_reads(":02000000ABCD86\r\n:00000001FF\r\n", 0, abcd, 2);
	assert_reads(":02000000ABCD86\r:00000001FF\r", 0, abcd, 2);
	assert_reads(":02000000abcd86\n:00000001ff", 0, abcd, 2);
	assert_reads("\n\n:02000000ABCD86  \n \n:00000001FF\n\x1A", 0, abcd, 2);
	assert_reads(":020000020000FC\n:02000000ABCD86\n:00000001FF\n", 0, abcd, 2);
	assert_reads(":020000040000FA\n:02000000ABCD86\n:00000001FF\n", 0, abcd, 2);
	assert_reads(":020000021000EC\n:02E00000ABCDA6\n:00000001FF\n", 0x1E000, abcd, 2);
	assert_reads(":020000020123D8\n:02000400ABCD82\n:00000001FF\n", 0x1234, abcd, 2);
	/* type 02 set back to 0 before type 04, as GNU objcopy does */
	assert_reads(":020000021000EC\n:020000020000FC\n:020000040001F9\n:02000000ABCD86\n:00000001FF\n",
		     0x10000, abcd, 2);
	/* linear: runs on over 64 KiB, and up to the last address of all */
	assert_reads(":020000040001F9\n:02FFFF00ABCD88\n:00000001FF\n", 0x1FFFF, abcd, 2);
	assert_reads(":02000004FFFFFC\n:02FFFE00ABCD89\n:00000001FF\n", 0xFFFFFFFE, abcd, 2);
	/* an empty data record; the same record twice; descending order */
	assert_reads(":0000000000\n:02000000ABCD86\n:00000001FF\n", 0, abcd, 2);
	assert_reads(":02000000ABCD86\n:02000000ABCD86\n:00000001FF\n", 0, abcd, 2);
	assert_reads(":01000100CD31\n:01000000AB54\n:00000001FF\n", 0, abcd, 2);
}

static void start_records(void **state)
{
	(void)state;
	struct hex_image image;
	const char *cs_ip = ":040000031000234581\n:01000000AB54\n:00000001FF\n";
	const char *eip = ":01000000AB54\n:040000050000700087\n:00000001FF\n";
	hex_image_init(&image);
	assert_int_equal(ihex_parse(cs_ip, strlen(cs_ip), "t", &image, NULL), 0);
	assert_int_equal(image.start_kind, HEX_START_SEGMENT);
	assert_int_equal(image.start, 0x10002345);
	hex_image_finish(&image);
	assert_int_equal(ihex_parse(eip, strlen(eip), "t", &image, NULL), 0);
	assert_int_equal(image.start_kind, HEX_START_LINEAR);
	assert_int_equal(image.start, 0x7000);
	hex_image_finish(&image);
}

/* Every file of fixtures/images/bad is refused with the line, column and words of its table. */
static void every_defect_is_named(void **state)
{
	(void)state;
	FILE *table = fopen(BAD "EXPECTED", "r");
	char row[300], name[100], phrase[150], path[200], wanted[220];
	unsigned line, column, rows = 0;
	assert_non_null(table);
	while (fgets(row, sizeof row, table) != NULL) {
		struct hex_image image;
		struct pogo_error err = {.text = ""};
		assert_int_equal(sscanf(row, "%99s %u %u %149[^\n]", name, &line, &column, phrase), 4);
		snprintf(path, sizeof path, BAD "%s", name);
		snprintf(wanted, sizeof wanted, "%s:%u:%u: ", path, line, column);
		hex_image_init(&image);
		if (ihex_read_file(path, &image, &err) == 0)
			fail_msg("%s was accepted", name);
		assert_int_equal(err.kind, POGO_INPUT);
		if (strncmp(err.text, wanted, strlen(wanted)) != 0 || strstr(err.text, phrase) == NULL)
			fail_msg("wanted %s…%s\n   got %s", wanted, phrase, err.text);
		assert_int_equal(image.count, 0); /* all or nothing */
		rows++;
	}
	fclose(table);
	unsigned files = 0;
	DIR *folder = opendir(BAD);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
		files += strstr(entry->d_name, ".hex") != NULL;
	closedir(folder);
	assert_int_equal(rows, files);
	assert_true(rows > 50);
}

static void cut_anywhere_is_refused(void **state)
{
	(void)state;
	const char *text = ":10000000000102030405060708090A0B0C0D0E0F78\r\n:02001000ABCD76\r\n:00000001FF\r\n";
	size_t whole = strlen(text) - 2; /* the last line end may go */
	for (size_t len = 0; len < whole; len++) {
		struct hex_image image;
		hex_image_init(&image);
		char *cut = malloc(len + 1); /* so that a sanitizer sees a read behind the end */
		memcpy(cut, text, len);
		assert_int_equal(ihex_parse(cut, len, "t", &image, NULL), -1);
		free(cut);
		assert_int_equal(image.count, 0);
	}
}

static void one_wrong_character_is_refused(void **state)
{
	(void)state;
	char text[] = ":10000000000102030405060708090A0B0C0D0E0F78\n:00000001FF\n";
	size_t record = strchr(text, '\n') - text;
	for (size_t at = 0; at < record; at++) {
		char saved = text[at];
		for (int c = 0; c < 256; c++) {
			struct hex_image image;
			if (c == saved || toupper(c) == saved)
				continue;
			text[at] = (char)c;
			hex_image_init(&image);
			assert_int_equal(ihex_parse(text, sizeof text - 1, "t", &image, NULL), -1);
		}
		text[at] = saved;
	}
}

static void canonical_text(void **state)
{
	(void)state;
	struct hex_image image;
	char *text;
	size_t len;
	uint8_t bytes[20];
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)i;
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, 0xFFF8, bytes, 20, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0x10, "\xAA", 1, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	image.start_kind = HEX_START_SEGMENT;
	image.start = 0x7000;
	assert_int_equal(ihex_format(&image, 16, &text, &len, NULL), 0);
	assert_string_equal(text, ":01001000AA45\n"
				  ":08FFF8000001020304050607E5\n"
				  ":020000040001F9\n"
				  ":0C00000008090A0B0C0D0E0F1011121352\n"
				  ":040000030000700089\n"
				  ":00000001FF\n");
	assert_int_equal(len, strlen(text));
	char hex[65], wanted[65];
	sha256_hex(text, len, wanted);
	assert_int_equal(ihex_digest(&image, hex, NULL), 0);
	assert_string_equal(hex, wanted);
	free(text);
	assert_int_equal(ihex_format(&image, 0, &text, &len, NULL), -1);
	assert_int_equal(ihex_format(&image, 256, &text, &len, NULL), -1);
	hex_image_finish(&image);
}

static void any_width_reads_back_equal(void **state)
{
	(void)state;
	static const unsigned widths[] = {1, 2, 15, 16, 17, 32, 254, 255};
	uint8_t *bytes = malloc(70000);
	struct hex_image image;
	for (unsigned i = 0; i < 70000; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	hex_image_init(&image);
	assert_int_equal(hex_image_add(&image, 0xFFF1, bytes, 70000, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0x810000, bytes, 40, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	assert_int_equal(hex_image_add(&image, 0xFFFFFFF0, bytes, 16, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
		struct hex_image back;
		char *text;
		size_t len;
		hex_image_init(&back);
		assert_int_equal(ihex_format(&image, widths[i], &text, &len, NULL), 0);
		assert_int_equal(ihex_parse(text, len, "t", &back, NULL), 0);
		assert_true(hex_image_equal(&image, &back));
		hex_image_finish(&back);
		free(text);
	}
	hex_image_finish(&image);
	free(bytes);
}

/* 64 Ki records in a scattered order and 128 Ki lone bytes: minutes if something were quadratic. */
static void hostile_orders_stay_fast(void **state)
{
	(void)state;
	enum { RECORDS = 65536 };
	char *text = malloc((size_t)RECORDS * 40), *to = text;
	for (unsigned i = 0; i < RECORDS; i++) {
		unsigned at = i * 40503u % RECORDS * 16, sum; /* odd factor: each once */
		if (at >> 16 > 0) {
			sum = 2 + 4 + (at >> 16);
			to += sprintf(to, ":0200000400%02X%02X\n", at >> 16, (0u - sum) & 0xFF);
		} else {
			to += sprintf(to, ":020000040000FA\n");
		}
		sum = 1 + (at >> 8 & 0xFF) + (at & 0xFF) + 0x5A;
		to += sprintf(to, ":01%04X005A%02X\n", at & 0xFFFF, (0u - sum) & 0xFF);
	}
	to += sprintf(to, ":00000001FF\n");
	struct hex_image image;
	struct pogo_error err;
	hex_image_init(&image);
	clock_t begin = clock();
	if (ihex_parse(text, (size_t)(to - text), "t", &image, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(image.count, RECORDS);
	/* CPU seconds, far above what even a sanitizer build needs and far below quadratic. */
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 10);
	hex_image_finish(&image);
	free(text);
}

static void real_tool_output(void **state)
{
	(void)state;
	struct hex_image image;
	hex_image_init(&image);
	assert_int_equal(ihex_read_file("fixtures/images/demo1286_bootloader.hex", &image, NULL), 0);
	assert_int_equal(image.segments[0].addr, 0x1E000);
	assert_int_equal(image.start_kind, HEX_START_SEGMENT);
	assert_int_equal(image.start, 0x1000E000);
	hex_image_finish(&image);
	struct pogo_error err;
	assert_int_equal(ihex_read_file("no/such/file.hex", &image, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
	assert_non_null(strstr(err.text, "no/such/file.hex"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_dialects),
		cmocka_unit_test(start_records),
		cmocka_unit_test(every_defect_is_named),
		cmocka_unit_test(cut_anywhere_is_refused),
		cmocka_unit_test(one_wrong_character_is_refused),
		cmocka_unit_test(canonical_text),
		cmocka_unit_test(any_width_reads_back_equal),
		cmocka_unit_test(hostile_orders_stay_fast),
		cmocka_unit_test(real_tool_output),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
