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
#include "hextools/digest.h"
#include "hextools/ihex.h"
#include "hextools/outfile.h"
#include "station/recipe.h"

/* A folder with one release and one recipe; every test bends one line of the recipe. */

struct folder {
	char dir[200], recipe[256], image[256], digest[65], configs[512];
	struct hex_image data;
	struct pogo_error err;
};

static const char good_board[] = "crystal_hz = 16000000;\n";
static const char good_fuses[] =
        "fuses = { low = 0xFF; high = 0xD8; ext = 0xFB; };\nlock = 0xEF;\n";
static const char good_serial[] = "serial = { prefix = \"KB\"; width = 6; first = 1; memory = "
                                  "\"eeprom\"; address = 0x3F0; };\n";

static void put(struct hex_image *image, uint32_t address, size_t len)
{
	uint8_t bytes[512];

	memset(bytes, 0x42, sizeof(bytes));
	assert_in_range(len, 1, sizeof(bytes));
	assert_int_equal(hex_image_add(image, address, bytes, len, HEX_OVERLAP_LAST, NULL, NULL),
	                 0);
}

static void write_image(struct folder *f)
{
	char *text;
	size_t len;

	assert_int_equal(ihex_format(&f->data, 16, &text, &len, &f->err), 0);
	assert_int_equal(outfile_write(f->image, text, len, &f->err), 0);
	assert_int_equal(ihex_digest(&f->data, f->digest, &f->err), 0);
	free(text);
}

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(f);
	if (conf_dir(NULL, f->configs, sizeof(f->configs), &f->err))
		snprintf(f->configs, sizeof(f->configs), "configs");
	snprintf(f->dir, sizeof(f->dir), "%.150s/recipe.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->recipe, sizeof(f->recipe), "%s/kb.cfg", f->dir);
	snprintf(f->image, sizeof(f->image), "%s/kb.hex", f->dir);
	hex_image_init(&f->data);
	put(&f->data, 0, 300);
	put(&f->data, 0x7000, 200);
	write_image(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;

	unlink(f->recipe);
	unlink(f->image);
	rmdir(f->dir);
	hex_image_finish(&f->data);
	free(f);
	return 0;
}

/* Writes the recipe and loads it. */
static int load(struct folder *f, const char *head, const char *board, const char *fuses,
                const char *serial, struct recipe **out)
{
	char text[2000];
	int len = snprintf(text, sizeof(text), "%s%s%s%s", head, board, fuses, serial);

	assert_in_range(len, 1, sizeof(text) - 1);
	assert_int_equal(outfile_write(f->recipe, text, (size_t)len, &f->err), 0);
	return recipe_load(f->configs, f->recipe, out, &f->err);
}

static char *head_of(struct folder *f, const char *part)
{
	static char head[400];

	snprintf(head, sizeof(head),
	         "product = \"kb\";\npart = \"%s\";\nimage = \"kb.hex\";\nimage_sha256 = \"%s\";\n",
	         part, f->digest);
	return head;
}

static void good(struct folder *f, const char *board, const char *fuses, const char *serial,
                 struct recipe **out)
{
	if (load(f, head_of(f, "atmega32u4"), board, fuses, serial, out))
		fail_msg("%s", f->err.text);
}

static void refused(struct folder *f, int rc, enum pogo_error_class kind, int line,
                    const char *words)
{
	char place[300];

	assert_int_equal(rc, -1);
	snprintf(place, sizeof(place), "%s:%d: ", f->recipe, line);
	if (line && strncmp(f->err.text, place, strlen(place)) != 0)
		fail_msg("not at line %d: %s", line, f->err.text);
	if (!strstr(f->err.text, words))
		fail_msg("\"%s\" is not in: %s", words, f->err.text);
	assert_int_equal(f->err.kind, kind);
}

static void bad(struct folder *f, const char *board, const char *fuses, const char *serial,
                enum pogo_error_class kind, int line, const char *words)
{
	struct recipe *recipe = NULL;

	refused(f, load(f, head_of(f, "atmega32u4"), board, fuses, serial, &recipe), kind, line,
	        words);
	assert_null(recipe);
}

static void a_good_recipe_is_loaded_whole(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;
	uint32_t crc;
	char sha[65];

	good(f, good_board, good_fuses, good_serial, &r);
	assert_string_equal(r->product, "kb");
	assert_string_equal(r->part->name, "atmega32u4");
	assert_string_equal(r->image_path, f->image);
	assert_string_equal(r->image_digest, f->digest);
	assert_true(hex_image_equal(&r->image, &f->data));
	assert_true(hex_image_crc32(&f->data, &crc));
	assert_int_equal(r->image_crc32, crc);
	assert_int_equal(r->fuses[0], 0xFF);
	assert_int_equal(r->fuses[1], 0xD8);
	assert_int_equal(r->fuses[2], 0xFB);
	assert_true(r->write_lock);
	assert_int_equal(r->lock, 0xEF);
	assert_int_equal(r->crystal_hz, 16000000);
	assert_false(r->external_clock);
	assert_true(r->serial.wanted);
	assert_int_equal(r->serial.address, AVR_EEPROM_BASE + 0x3F0);
	assert_int_equal(r->serial.length, 8);
	assert_int_equal(r->serial.first, 1);
	assert_string_equal(r->note, "");
	sha256_hex(r->text, strlen(r->text), sha);
	assert_string_equal(r->digest, sha);
	recipe_free(r);
	recipe_free(NULL);
}

static void serial_and_lock_may_be_left_out(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;

	good(f, good_board, "fuses = { low = 0xFF; high = 0xD8; ext = 0xFB; };\n", "", &r);
	assert_false(r->write_lock);
	assert_false(r->serial.wanted);
	recipe_free(r);
}

static void missing_and_unknown_keys_are_told(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;

	bad(f, good_board, good_fuses, "colour = \"red\";\n", POGO_INPUT, 8, "colour");
	bad(f, "", good_fuses, "", POGO_INPUT, 0, "crystal_hz");
	bad(f, good_board, "", "", POGO_INPUT, 0, "fuses");
	bad(f, "crystal_hz = \"fast\";\n", good_fuses, "", POGO_INPUT, 5, "crystal_hz");
	bad(f, "crystal_hz = 90000000;\n", good_fuses, "", POGO_INPUT, 5, "crystal_hz");
	bad(f, "crystal_hz = ;\n", good_fuses, "", POGO_INPUT, 5, "");
	refused(f, load(f, "", good_board, good_fuses, "", &r), POGO_INPUT, 0, "product");
	refused(f, load(f, "product = \"\";\n", good_board, good_fuses, "", &r), POGO_INPUT, 1,
	        "empty");
	refused(f,
	        load(f,
	             "product = "
	             "\"0123456789012345678901234567890123456789012345678901234567890123\";\n",
	             good_board, good_fuses, "", &r),
	        POGO_INPUT, 1, "product: longer");
	refused(f, recipe_load(f->configs, "/nonexistent/kb.cfg", &r, &f->err), POGO_INPUT, 0,
	        "/nonexistent/kb.cfg");
	assert_null(r);
}

static void the_part_must_be_known(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;

	refused(f, load(f, head_of(f, "atmega99"), good_board, good_fuses, "", &r), POGO_INPUT, 2,
	        "atmega99");
}

static void the_image_must_be_readable_and_the_released_one(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;
	char old[65], words[100];

	snprintf(old, sizeof(old), "%s", f->digest);
	put(&f->data, 0x200, 1);
	write_image(f);
	snprintf(f->digest, sizeof(f->digest), "%s", old);
	snprintf(words, sizeof(words), "image_sha256: the recipe was made for image %.12s", old);
	bad(f, good_board, good_fuses, "", POGO_NO, 4, words);
	assert_non_null(strstr(f->err.text, "pogo-hex release"));
	snprintf(f->digest, sizeof(f->digest), "123");
	bad(f, good_board, good_fuses, "", POGO_INPUT, 4, "64 hex digits");
	assert_int_equal(outfile_write(f->image, ":00000001FE\n", 12, &f->err), 0);
	bad(f, good_board, good_fuses, "", POGO_INPUT, 3, "kb.hex:1");
	unlink(f->image);
	bad(f, good_board, good_fuses, "", POGO_INPUT, 3, "kb.hex");
	refused(f,
	        load(f,
	             "product = \"kb\";\npart = \"atmega32u4\";\nimage = \"\";\nimage_sha256 = "
	             "\"\";\n",
	             good_board, good_fuses, "", &r),
	        POGO_INPUT, 3, "empty");
}

static void an_image_outside_the_part_is_refused(void **state)
{
	struct folder *f = *state;

	put(&f->data, 0x7FFF, 2);
	write_image(f);
	bad(f, good_board, good_fuses, "", POGO_NO, 3, "0x08000");
	hex_image_finish(&f->data);
	hex_image_init(&f->data);
	put(&f->data, 0, 100);
	put(&f->data, 0x7000, 100);
	put(&f->data, AVR_EEPROM_BASE + 1024, 1);
	write_image(f);
	bad(f, good_board, good_fuses, "", POGO_NO, 3, "0x810400");
	hex_image_finish(&f->data);
	hex_image_init(&f->data);
	write_image(f);
	bad(f, good_board, good_fuses, "", POGO_INPUT, 3, "no data");
}

static void fuses_must_be_the_parts_own(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;

	bad(f, good_board, "fuses = { low = 0xFF; high = 0xD8; };\n", "", POGO_INPUT, 6, "ext");
	bad(f, good_board, "fuses = { low = 0xFF; high = 0x1D8; ext = 0xFB; };\n", "", POGO_INPUT,
	    6, "high");
	bad(f, good_board, "fuses = { low = 0xFF; high = 0xD8; ext = 0xFB; top = 1; };\n", "",
	    POGO_INPUT, 6, "top");
	refused(f, load(f, head_of(f, "atmega32a"), good_board, good_fuses, "", &r), POGO_INPUT, 6,
	        "no extended fuse");
	assert_int_equal(load(f, head_of(f, "atmega32a"), good_board,
	                      "fuses = { low = 0x1F; high = 0xC8; };\n", "", &r),
	                 0);
	assert_int_equal(r->fuses[2], 0xFF);
	recipe_free(r);
}

static void fuses_that_kill_are_refused(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;

	bad(f, good_board, "fuses = { low = 0xFF; high = 0xF8; ext = 0xFB; };\n", "", POGO_NO, 6,
	    "fuses: ");
	bad(f, good_board, "fuses = { low = 0xF0; high = 0xD8; ext = 0xFB; };\n", "", POGO_NO, 6,
	    "external clock");
	bad(f, "crystal_hz = 0;\n", good_fuses, "", POGO_NO, 6, "no clock");
	refused(f,
	        load(f, head_of(f, "atmega328p"), good_board,
	             "fuses = { low = 0xFF; high = 0x99; ext = 0xFD; };\n", "", &r),
	        POGO_NO, 6, "DWEN");
	good(f, good_board,
	     "external_clock = true;\nfuses = { low = 0xF0; high = 0xD8; ext = 0xFB; };\n", "", &r);
	assert_true(r->external_clock);
	recipe_free(r);
}

static void there_must_be_something_where_the_board_starts(void **state)
{
	struct folder *f = *state;

	/* BOOTSZ 01: starts at 0x7800, the data is at 0x7000 */
	bad(f, good_board, "fuses = { low = 0xFF; high = 0xDA; ext = 0xFB; };\n", "", POGO_NO, 6,
	    "0x07800");
	hex_image_finish(&f->data);
	hex_image_init(&f->data);
	put(&f->data, 0x7000, 200);
	write_image(f);
	bad(f, good_board, "fuses = { low = 0xFF; high = 0xD9; ext = 0xFB; };\n", "", POGO_NO, 6,
	    "BOOTRST");
}

static void lock_modes_are_judged(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;
	const char *fuses = "fuses = { low = 0xFF; high = 0xD8; ext = 0xFB; };\n";
	char text[200];

	snprintf(text, sizeof(text), "%slock = 0xEC;\n", fuses);
	good(f, good_board, text, "", &r);
	assert_non_null(strstr(r->note, "LB = 00"));
	recipe_free(r);
	snprintf(text, sizeof(text), "%slock = 0xED;\n", fuses);
	bad(f, good_board, text, "", POGO_NO, 7, "does not exist");
	snprintf(text, sizeof(text), "%slock = 0x1FF;\n", fuses);
	bad(f, good_board, text, "", POGO_INPUT, 7, "lock");
}

static void bad_serial(struct folder *f, const char *body, enum pogo_error_class kind,
                       const char *words)
{
	char text[300];

	snprintf(text, sizeof(text), "serial = { %s };\n", body);
	bad(f, good_board, good_fuses, text, kind, 8, words);
}

static void serial_rules_are_judged(void **state)
{
	struct folder *f = *state;

	bad_serial(f, "width = 0; first = 1; memory = \"eeprom\"; address = 0;", POGO_INPUT,
	           "width");
	bad_serial(f, "width = 19; first = 1; memory = \"eeprom\"; address = 0;", POGO_INPUT,
	           "width");
	bad_serial(f, "width = 3; first = 1000; memory = \"eeprom\"; address = 0;", POGO_INPUT,
	           "first");
	bad_serial(f, "width = 3; memory = \"eeprom\"; address = 0;", POGO_INPUT, "first");
	bad_serial(f, "width = 3; first = 1; memory = \"rom\"; address = 0;", POGO_INPUT,
	           "neither");
	bad_serial(f, "width = 3; first = 1; memory = \"eeprom\"; address = 0x400;", POGO_INPUT,
	           "address");
	bad_serial(f, "width = 3; first = 1; memory = \"eeprom\"; address = 0x3FE;", POGO_INPUT,
	           "past the end");
	bad_serial(f, "width = 3; first = 1; memory = \"flash\"; address = 0x7FFE;", POGO_INPUT,
	           "past the end");
	bad_serial(f, "width = 3; first = 1; memory = \"flash\"; address = 0x8000;", POGO_INPUT,
	           "address");
	bad_serial(f,
	           "prefix = \"K\\tB\"; width = 3; first = 1; memory = \"flash\"; address = 0x400;",
	           POGO_INPUT, "printable");
	bad_serial(f,
	           "prefix = \"KB\xC3\xA9\"; width = 3; first = 1; memory = \"flash\"; address = "
	           "0x400;",
	           POGO_INPUT, "character 3");
	bad_serial(f,
	           "prefix = \"012345678901234567890123\"; width = 3; first = 1; memory = "
	           "\"flash\"; address = 0x400;",
	           POGO_INPUT, "longer");
	bad_serial(f, "width = 3; first = 1; memory = \"flash\"; address = 0x12A;", POGO_NO,
	           "0x00012A");
	bad_serial(f, "width = 3; first = 1; memory = \"flash\"; address = 0x6FFE;", POGO_NO,
	           "0x007000");
	bad_serial(f, "width = 3; first = 1; memory = \"flash\"; address = 0x400; step = 2;",
	           POGO_INPUT, "step");
}

static void a_unit_gets_its_serial(void **state)
{
	struct folder *f = *state;
	struct recipe *r = NULL;
	struct hex_image unit;
	uint8_t blank[16], there[8];

	memset(blank, 0xFF, sizeof(blank));
	assert_int_equal(hex_image_add(&f->data, 0x6000, blank, 16, HEX_OVERLAP_ERROR, NULL, NULL),
	                 0);
	write_image(f);
	good(f, good_board, good_fuses,
	     "serial = { prefix = \"KB\"; width = 6; first = 1; memory = \"flash\"; address = "
	     "0x6004; };\n",
	     &r);
	hex_image_init(&unit);
	assert_int_equal(recipe_unit_image(r, "KB000017", &unit, &f->err), 0);
	assert_int_equal(hex_image_read(&unit, 0x6004, there, 8, 0), 8);
	assert_memory_equal(there, "KB000017", 8);
	assert_int_equal(hex_image_bytes(&unit), hex_image_bytes(&r->image));
	assert_true(hex_image_equal(&r->image, &f->data)); /* the release is untouched */
	hex_image_finish(&unit);
	hex_image_init(&unit);
	assert_int_equal(recipe_unit_image(r, "KB17", &unit, &f->err), -1);
	assert_int_equal(recipe_unit_image(r, NULL, &unit, &f->err), -1);
	hex_image_finish(&unit);
	recipe_free(r);

	good(f, good_board, good_fuses, "", &r);
	hex_image_init(&unit);
	assert_int_equal(recipe_unit_image(r, "KB000017", &unit, &f->err), -1);
	assert_int_equal(recipe_unit_image(r, NULL, &unit, &f->err), 0);
	assert_true(hex_image_equal(&unit, &f->data));
	hex_image_finish(&unit);
	recipe_free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- what only some parts have */

static void the_fast_phase_takes_ckdiv8_out(void **state)
{
	struct folder *f = *state;
	struct recipe *recipe = NULL;

	good(f, good_board, "fuses = { low = 0x5E; high = 0xD8; ext = 0xFB; };\n", "fast_clock = true;\n", &recipe);
	assert_true(recipe->fast_clock);
	assert_int_equal(recipe->fast_fuses[FUSE_LOW], 0xDE);
	assert_int_equal(recipe->fuses[FUSE_LOW], 0x5E);
	assert_int_equal(recipe->fast_fuses[FUSE_HIGH], 0xD8);
	recipe_free(recipe);
	good(f, good_board, "fuses = { low = 0x5E; high = 0xD8; ext = 0xFB; };\n", "", &recipe);
	assert_memory_equal(recipe_fast_fuses(recipe), recipe->fuses, PART_FUSES);
	recipe_free(recipe);
}

static void write_cortex(struct folder *f, uint32_t sp, uint32_t reset)
{
	uint8_t table[8] = {(uint8_t)sp,    (uint8_t)(sp >> 8),    (uint8_t)(sp >> 16),    (uint8_t)(sp >> 24),
	                    (uint8_t)reset, (uint8_t)(reset >> 8), (uint8_t)(reset >> 16), (uint8_t)(reset >> 24)};

	hex_image_finish(&f->data);
	hex_image_init(&f->data);
	put(&f->data, 0x08000008, 400);
	assert_int_equal(hex_image_add(&f->data, 0x08000000, table, sizeof table, HEX_OVERLAP_LAST, NULL, NULL), 0);
	write_image(f);
}

static void an_stm32_has_options_and_no_fuses(void **state)
{
	struct folder *f = *state;
	struct recipe *recipe = NULL;

	write_cortex(f, 0x20005000, 0x08000101);
	if (load(f, head_of(f, "stm32f103x8"), "allow_unlock = true;\n", "options = { data0 = 7; };\n",
	         "serial = { width = 6; first = 1; memory = \"flash\"; address = 0x0800FC00; };\n", &recipe))
		fail_msg("%s", f->err.text);
	assert_true(recipe->allow_unlock);
	assert_true(recipe->full_readback);
	assert_false(recipe->protect);
	assert_true(recipe->options.wanted);
	assert_int_equal(recipe->options.data[0], 7);
	assert_int_equal(recipe->options.user, 0xFF);
	assert_int_equal(recipe->serial.address, 0x0800FC00);
	recipe_free(recipe);
	refused(f, load(f, head_of(f, "stm32f103x8"), good_board, "", "", &recipe), POGO_INPUT, 0,
	        "crystal_hz");
	refused(f, load(f, head_of(f, "stm32f103x8"), "", "",
	                "serial = { width = 6; first = 1; memory = \"eeprom\"; address = 0; };\n", &recipe),
	        POGO_INPUT, 0, "not \"flash\"");
}

static void an_stm32_must_be_able_to_start(void **state)
{
	struct folder *f = *state;
	struct recipe *recipe = NULL;

	write_cortex(f, 0x20005004, 0x08000101);
	refused(f, load(f, head_of(f, "stm32f103x8"), "", "", "", &recipe), POGO_NO, 3, "outside the SRAM");
	write_cortex(f, 0x20005000, 0x08000100);
	refused(f, load(f, head_of(f, "stm32f103x8"), "", "", "", &recipe), POGO_NO, 3, "not Thumb");
	write_cortex(f, 0x20005000, 0x08002101);
	refused(f, load(f, head_of(f, "stm32f103x8"), "", "", "", &recipe), POGO_NO, 3, "no data");
	hex_image_finish(&f->data);
	hex_image_init(&f->data);
	put(&f->data, 0x08002000, 400);
	write_image(f);
	refused(f, load(f, head_of(f, "stm32f103x8"), "", "", "", &recipe), POGO_NO, 3, "no vector table");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_good_recipe_is_loaded_whole),
	        TEST(serial_and_lock_may_be_left_out),
	        TEST(missing_and_unknown_keys_are_told),
	        TEST(the_part_must_be_known),
	        TEST(the_image_must_be_readable_and_the_released_one),
	        TEST(the_fast_phase_takes_ckdiv8_out),
	        TEST(an_stm32_has_options_and_no_fuses),
	        TEST(an_stm32_must_be_able_to_start),
	        TEST(an_image_outside_the_part_is_refused),
	        TEST(fuses_must_be_the_parts_own),
	        TEST(fuses_that_kill_are_refused),
	        TEST(there_must_be_something_where_the_board_starts),
	        TEST(lock_modes_are_judged),
	        TEST(serial_rules_are_judged),
	        TEST(a_unit_gets_its_serial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
