#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/format.h"

#define FORMATS_DIR "fixtures/images/formats/"

/* A small generator of its own, so that a seed means the same everywhere (xorshift32). */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Up to eight runs, most of them near each other, some at the ends of the address space. */
static void random_image(uint32_t seed, struct hex_image *image)
{
	uint32_t state = seed * 2654435761u + 1, runs = 1 + next_random(&state) % 8;
	uint8_t bytes[700];
	hex_image_init(image);
	for (uint32_t i = 0; i < runs; i++) {
		uint32_t space = next_random(&state) % 4;
		uint32_t mask = space == 0 ? 0xFFFFu : space == 1 ? 0xFFFFFu : 0x3FFFu;
		uint32_t addr = next_random(&state) & mask;
		size_t len = 1 + next_random(&state) % sizeof bytes;
		if (space == 3 && seed % 5 == 0)
			addr = 0xFFFFFFFFu - (uint32_t)len + 1;
		for (size_t b = 0; b < len; b++)
			bytes[b] = (uint8_t)next_random(&state);
		assert_int_equal(hex_image_add(image, addr, bytes, len, HEX_OVERLAP_LAST, NULL, NULL), 0);
	}
	if (seed % 3 == 0) {
		image->start_kind = HEX_START_LINEAR;
		image->start = next_random(&state) | 1;
	}
}

static void assert_returns(uint32_t seed, const struct hex_image *image,
			   const struct format_writing *writing, const char *word)
{
	struct hex_image back;
	struct pogo_error err = {.text = ""};
	const struct format_reading reading = {.format = strchr(word, '@') != NULL ? "binary" : NULL};
	uint8_t *data;
	size_t len;
	if (format_write_memory(NULL, image, writing, &data, &len, &err) != 0)
		fail_msg("seed %u, %s: %s", seed, writing->format, err.text);
	hex_image_init(&back);
	if (format_read_memory(data, len, word, &reading, &back, NULL, &err) != 0)
		fail_msg("seed %u, %s: %s", seed, writing->format, err.text);
	if (!hex_image_equal(image, &back))
		fail_msg("seed %u, %s: another image came back", seed, writing->format);
	hex_image_finish(&back);
	free(data);
}

/* What raw binary and UF2 keep: no holes between, or whole pages, and no start address. */
static void fill_holes(struct hex_image *image, uint32_t page)
{
	struct hex_image filled;
	hex_image_init(&filled);
	for (size_t i = 0; i < image->count; i++) {
		uint32_t from = image->segments[i].addr / page * page;
		uint64_t end = (uint64_t)image->segments[i].addr + image->segments[i].len;
		end = (end + page - 1) / page * page;
		uint8_t *bytes = malloc((size_t)(end - from));
		hex_image_read(image, from, bytes, (size_t)(end - from), 0xFF);
		assert_int_equal(hex_image_add(&filled, from, bytes, (size_t)(end - from), HEX_OVERLAP_SAME, NULL,
					       NULL), 0);
		free(bytes);
	}
	hex_image_finish(image);
	*image = filled;
}

static void what_is_written_reads_back(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 2000; seed++) {
		struct hex_image image;
		const unsigned widths[] = {0, 1, 7, 16, 32, 250};
		struct format_writing writing = {.format = "ihex", .width = widths[seed % 6]};
		random_image(seed, &image);
		assert_returns(seed, &image, &writing, "x");
		writing.format = "srec";
		writing.address_bytes = seed % 2 == 0 ? 0 : 4;
		assert_returns(seed, &image, &writing, "x");
		writing = (struct format_writing){.format = "uf2", .family = "RP2040"};
		fill_holes(&image, 256);
		assert_returns(seed, &image, &writing, "x");
		struct hex_image one; /* raw binary has one run */
		char word[32];
		hex_image_init(&one);
		assert_int_equal(hex_image_add(&one, image.segments[0].addr, image.segments[0].bytes,
					       image.segments[0].len, HEX_OVERLAP_ERROR, NULL, NULL), 0);
		snprintf(word, sizeof word, "x@0x%X", one.segments[0].addr);
		writing = (struct format_writing){.format = "binary", .has_dfu = seed % 2 == 0};
		assert_returns(seed, &one, &writing, word);
		hex_image_finish(&one);
		hex_image_finish(&image);
	}
}

/* NAME FORMAT, or NAME ! PHRASE of the refusal: every file of the folder. A word may have an @OFFSET. */
static void files_are_seen_by_their_content(void **state)
{
	(void)state;
	FILE *table = fopen(FORMATS_DIR "EXPECTED", "r");
	char row[300], name[100], format[20], phrase[150], path[200];
	unsigned rows = 0;
	assert_non_null(table);
	for (; fgets(row, sizeof row, table) != NULL; rows++) {
		struct hex_image image;
		struct format_origin origin;
		struct pogo_error err = {.text = ""};
		phrase[0] = '\0';
		assert_true(sscanf(row, "%99s %19s %149[^\n]", name, format, phrase) >= 2);
		snprintf(path, sizeof path, FORMATS_DIR "%s", name);
		hex_image_init(&image);
		int rc = format_read_file(path, NULL, &image, &origin, &err);
		if (strcmp(format, "!") == 0) {
			if (rc == 0)
				fail_msg("%s was accepted", name);
			if (err.kind != POGO_INPUT || strstr(err.text, phrase) == NULL)
				fail_msg("%s: wanted %s, got %s", name, phrase, err.text);
			assert_int_equal(image.count, 0);
			continue;
		}
		if (rc != 0)
			fail_msg("%s", err.text);
		assert_string_equal(format_name(origin.format), format);
		assert_true(image.count > 0);
		hex_image_finish(&image);
	}
	fclose(table);
	assert_true(rows > 15);
}

/* A raw image whose first bytes are those of a record's length, found by a differential run. */
static void a_raw_image_may_begin_like_a_record(void **state)
{
	(void)state;
	static const uint8_t raw[12] = {':', '3', '3', 0xFF, 0x9F, 0x02, 'S', '1', 0, 1, 2, 3};
	for (size_t from = 0; from < 2; from++) {
		const struct format_reading reading = {.format = NULL};
		struct hex_image image;
		struct format_origin origin;
		uint8_t bytes[12];
		memcpy(bytes, raw, sizeof bytes);
		bytes[2] = from == 0 ? '3' : 0xFF;
		hex_image_init(&image);
		assert_int_equal(format_read_memory(bytes, sizeof bytes, "x.bin@0x100", &reading, &image, &origin, NULL), 0);
		assert_string_equal(format_name(origin.format), "binary");
		hex_image_finish(&image);
	}
}

static void refuse(const char *data, size_t len, const char *word, const char *format, const char *phrase)
{
	struct hex_image image;
	struct pogo_error err = {.text = ""};
	const struct format_reading reading = {.format = format};
	hex_image_init(&image);
	if (format_read_memory(data, len, word, &reading, &image, NULL, &err) == 0)
		fail_msg("accepted, wanted: %s", phrase);
	assert_int_equal(err.kind, POGO_INPUT);
	if (strstr(err.text, phrase) == NULL)
		fail_msg("wanted %s, got %s", phrase, err.text);
	assert_int_equal(image.count, 0);
}

static void nothing_is_guessed(void **state)
{
	(void)state;
	refuse("\x01\x02\x00", 3, "f", NULL, "@ADDRESS");
	refuse("\x01\x02\x00", 3, "f", "binary", "@ADDRESS");
	refuse("\x01\x02\x00", 3, "f", "nothing", "none of ihex, srec");
	refuse("\x01\x02\x00", 3, "f@0x", NULL, "is no number");
	/* A name that says text is believed, with a hint; a damaged record gets none. */
	refuse("\x01\x02\x00", 3, "f.hex@0", NULL, "; if it is raw binary data, --format binary says so");
	refuse(":01\x02\x00", 5, "f.hex@0", NULL, "f.hex:1:");
	refuse(":0100000041BE\n:00000001FF\n", 26, "f.hex", "elf", "f.hex: this is no ELF file");
	refuse("", 0, "f", "elf", "f: this is no ELF file");
	refuse("\x01\x02\x00", 3, "f@0x200000000", NULL, "out of range");
	refuse("\x01\x02\x00", 3, "f@0xFFFFFFFF", NULL, "leave the 32-bit addresses");
	refuse("\x01\x02\x00", 3, "f.hex@0", NULL, "binary file and not Intel HEX");
	refuse(";0200\n", 6, "f@0", NULL, "a record begins with");
	refuse("<html>\n", 7, "f.hex", NULL, "a record begins with");
	refuse("", 0, "f@0", NULL, "empty");
}

static void oddities(const char *text, const char *phrase)
{
	struct hex_image image;
	struct format_origin origin;
	struct pogo_error err = {.text = ""};
	const struct format_reading lenient = {.lenient = true};
	hex_image_init(&image);
	assert_int_equal(format_read_memory(text, strlen(text), "f", NULL, &image, NULL, &err), -1);
	if (strncmp(err.text, "f:", 2) != 0 || strstr(err.text, " (--lenient accepts it)") == NULL)
		fail_msg("%s", err.text);
	if (format_read_memory(text, strlen(text), "f", &lenient, &image, &origin, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(origin.notes.count, 1);
	if (strstr(origin.notes.text[0], phrase) == NULL)
		fail_msg("wanted %s, got %s", phrase, origin.notes.text[0]);
	assert_int_equal(hex_image_bytes(&image), 2);
	hex_image_finish(&image);
}

#define DATA ":02000000ABCD86\n"
#define END ":00000001FF\n"

static void lenient_says_each_oddity(void **state)
{
	(void)state;
	oddities("\xEF\xBB\xBF" DATA END, "f:1:1: a UTF-8 byte order mark");
	oddities(DATA "  " END, "f:2:1: blanks before a record");
	oddities("# one\n# two\n" DATA END, "f:1:1: a comment line was skipped, 2 times in all");
	oddities(":02000000ABCD86 // text\n" END, "f:1:17: text after a record");
	oddities(DATA END END, "f:3:1: a second end record");
	oddities(DATA ":00123401B9\n", "f:2:4: the address in the end record");
	oddities(":0400000300007000" "89\n:0400000500007000" "87\n" DATA END, "start records 03 and 05");
	oddities("S1050000ABCD82 x\nS9030000FC\n", "f:1:16: text after a record");
	/* what is not harmless stays a defect */
	const struct format_reading lenient = {.lenient = true};
	const char *const bad[] = {DATA, END, DATA END DATA, DATA ":01000000AC53\n" END, ":02000000ABCD87\n" END,
				   DATA ";02000200ABCD84\n" END};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct hex_image image;
		struct pogo_error err = {.text = ""};
		hex_image_init(&image);
		assert_int_equal(format_read_memory(bad[i], strlen(bad[i]), "f", &lenient, &image, NULL, &err), -1);
		assert_null(strstr(err.text, "--lenient"));
		assert_int_equal(format_read_memory(bad[i], strlen(bad[i]), "f", NULL, &image, NULL, &err), -1);
		assert_null(strstr(err.text, "--lenient"));
	}
}

static void writers_refuse_first(void **state)
{
	(void)state;
	static const struct {
		struct format_writing writing;
		const char *phrase;
	} table[] = {
		{{.format = "binary"}, "most of them hole; crop the image, or write it with \"pogo-hex convert"},
		{{.format = "uf2"}, "needs the chip's family: --to-family"},
		{{.format = "uf2", .family = "nobody"}, "is unknown"},
		{{.format = "srec", .address_bytes = 2}, "allowed are 4 to 4"},
		{{.format = "srec", .width = 251}, "allowed are 1 to 250"},
		{{.format = "ihex", .width = 256}, "allowed are 1 to 255"},
		{{.format = "ihex", .has_dfu = true}, "belongs behind a raw binary"},
	};
	struct hex_image image;
	hex_image_init(&image);
	hex_image_add(&image, 0, "a", 1, HEX_OVERLAP_ERROR, NULL, NULL);
	hex_image_add(&image, 0xFFFFFFFF, "b", 1, HEX_OVERLAP_ERROR, NULL, NULL);
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct pogo_error err = {.text = ""};
		uint8_t *data;
		size_t len;
		assert_int_equal(format_write_memory(NULL, &image, &table[i].writing, &data, &len, &err), -1);
		assert_int_equal(err.kind, POGO_INPUT);
		if (strstr(err.text, table[i].phrase) == NULL)
			fail_msg("wanted %s, got %s", table[i].phrase, err.text);
	}
	hex_image_finish(&image);
}

/* Two bytes at the ends of the address space, and an order that no fast way likes. */
static void memory_follows_the_data(void **state)
{
	(void)state;
	struct hex_image image;
	const char *apart = ":0100000041BE\n:02000004FFFFFC\n:01FFFF0042BF\n" END;
	hex_image_init(&image);
	assert_int_equal(format_read_memory(apart, strlen(apart), "f", NULL, &image, NULL, NULL), 0);
	assert_int_equal(image.count, 2);
	assert_int_equal(hex_image_bytes(&image), 2);
	hex_image_finish(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(files_are_seen_by_their_content),
		cmocka_unit_test(a_raw_image_may_begin_like_a_record),
		cmocka_unit_test(nothing_is_guessed),
		cmocka_unit_test(lenient_says_each_oddity),
		cmocka_unit_test(writers_refuse_first),
		cmocka_unit_test(memory_follows_the_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
