#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/check.h"
#include "hextools/ihex.h"
#include "tests/unit/scratch.h"
#include "tests/unit/steer_crc.h"

static char folder[256], path[300];
static struct hex_image image;
static struct check check;

/* What each look found, by part: every word of the man page must be there, and on the same part not be there. */
struct look {
	const char *part;
	size_t count;
	const char *ids[CHECK_FINDINGS];
};
static struct look looks[200];
static size_t look_count;

static void remember(const char *part)
{
	assert_true(look_count < sizeof looks / sizeof looks[0]);
	struct look *look = &looks[look_count++];
	look->part = part;
	look->count = check.finding_count;
	for (size_t i = 0; i < look->count; i++)
		look->ids[i] = check.findings[i].id;
}

static bool look_has(const struct look *look, const char *id)
{
	for (size_t i = 0; i < look->count; i++)
		if (strcmp(look->ids[i], id) == 0)
			return true;
	return false;
}

static bool fires_and_does_not(const char *id)
{
	for (size_t i = 0; i < look_count; i++)
		for (size_t j = 0; j < look_count && look_has(&looks[i], id); j++)
			if (strcmp(looks[i].part, looks[j].part) == 0 && !look_has(&looks[j], id))
				return true;
	return false;
}

/* The last test: the man page's words of pogo-hex check. */
static void every_finding_was_shown(void **state)
{
	(void)state;
	char line[200], id[40];
	bool inside = false;
	size_t words = 0, missing = 0;
	FILE *page = fopen("hextools/pogo-hex.1", "r");
	assert_non_null(page);
	while (fgets(line, sizeof line, page) != NULL) {
		if (strncmp(line, ".Ss ", 4) == 0)
			inside = strcmp(line, ".Ss pogo-hex check\n") == 0;
		if (!inside || sscanf(line, ".It Cm %39s", id) != 1)
			continue;
		words++;
		if (!fires_and_does_not(id))
			print_message("no test shows %s, or none without it\n", id), missing++;
	}
	(void)fclose(page);
	assert_int_equal(missing, 0);
	assert_true(words > 40);
}

static int setup(void **state)
{
	(void)state;
	scratch_make(folder);
	snprintf(path, sizeof path, "%s/image.hex", folder);
	hex_image_init(&image);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	check_finish(&check);
	scratch_remove(folder);
	return 0;
}

static void put(uint32_t at, const void *bytes, size_t len)
{
	assert_int_equal(hex_image_add(&image, at, bytes, len, HEX_OVERLAP_LAST, NULL, NULL), 0);
}

static void put_word(uint32_t at, uint16_t word)
{
	put(at, (const uint8_t[]){(uint8_t)word, (uint8_t)(word >> 8)}, 2);
}

static void put_jmp(uint32_t at, uint32_t to)
{
	put_word(at, 0x940C);
	put_word(at + 2, (uint16_t)(to / 2));
}

/* What avr-gcc makes: vectors, start-up code that sets the stack, some code, at `base`. */
static void put_program(uint32_t base, unsigned vectors, uint16_t stack, size_t size)
{
	uint32_t start = base + vectors * 4;
	uint8_t *code = calloc(1, size);
	put(base, code, size);
	free(code);
	for (unsigned i = 0; i < vectors; i++)
		put_jmp(base + i * 4, start);
	put_word(start, 0x2411);                                                       /* eor r1, r1 */
	put_word(start + 2, 0xBE1F);                                                   /* out SREG, r1 */
	put_word(start + 4, (uint16_t)(0xE0C0 | (stack & 0xF0) << 4 | (stack & 0xF))); /* ldi r28 */
	put_word(start + 6, (uint16_t)(0xE0D0 | (stack >> 4 & 0xF00) | (stack >> 8 & 0xF)));
	put_word(start + 8, 0xBFDE);  /* out SPH, r29 */
	put_word(start + 10, 0xBFCD); /* out SPL, r28 */
}

static void restart(void)
{
	hex_image_finish(&image);
	hex_image_init(&image);
}

static void good_32u4(void)
{
	restart();
	put_program(0, 43, 0x0AFF, 0x2000);
	put_program(0x7000, 43, 0x0AFF, 0x800);
}

static void look_at(const char *part, const char *bootloader, const char *fuses, const char *lock)
{
	const struct check_order order = {.configs = "configs", .part = part, .image = path,
					  .bootloader = bootloader, .fuses = fuses, .lock = lock,
					  .crystal_hz = 16000000};
	struct pogo_error err;
	check_finish(&check);
	if (check_image(&order, &check, &err) != 0)
		fail_msg("%s", err.text);
	remember(part);
}

static void save(void)
{
	char *text;
	size_t len;
	assert_int_equal(ihex_format(&image, 16, &text, &len, NULL), 0);
	scratch_write(path, text);
	free(text);
}

static const struct check_finding *found(const char *id)
{
	for (size_t i = 0; i < check.finding_count; i++)
		if (strcmp(check.findings[i].id, id) == 0)
			return &check.findings[i];
	return NULL;
}

/* Exactly these findings of this severity and above, and the first of that id at that address. */
static void assert_found(const char *id, enum check_severity severity, uint32_t address)
{
	const struct check_finding *finding = found(id);
	if (finding == NULL) {
		for (size_t i = 0; i < check.finding_count; i++)
			print_message("  %s: %s\n", check.findings[i].id, check.findings[i].text);
		fail_msg("%s was not found", id);
		return;
	}
	assert_int_equal(finding->severity, severity);
	assert_true(finding->way_out[0] != '\0' && finding->text[0] != '\0');
	if (address != UINT32_MAX)
		assert_int_equal(finding->address, address);
}

static void assert_clean(size_t notes)
{
	for (size_t i = 0; i < check.finding_count && check.errors + check.warnings + check.notes > notes; i++)
		print_message("  %s: %s\n", check.findings[i].id, check.findings[i].text);
	assert_int_equal(check.errors + check.warnings, 0);
	assert_int_equal(check.notes, notes);
}

static void a_good_image(void **state)
{
	(void)state;
	good_32u4();
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", "EF");
	assert_clean(0);
	assert_true(check.has_boot);
	assert_int_equal(check.boot_start, 0x7000);
	look_at("atmega32u4", "qmk-dfu", "DE,D9,F3", "EF");
	assert_clean(1); /* a bootloader that was built, not released */
	assert_found("bootloader-unknown", CHECK_NOTE, 0x7000);
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_clean(0);
}

static void places(void **state)
{
	(void)state;
	good_32u4();
	put_word(0x8000, 0x1234);
	put_word(AVR_EEPROM_BASE + 0x3FF, 0x1234);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("outside-part", CHECK_ERROR, 0x8000);
	assert_int_equal(check.errors, 2);
	good_32u4();
	put(0x820000, "\xFF\xD8\xFB", 3);
	put(0x830000, "\xC3", 1);
	put(0x840000, "\x0F\x95\x1E", 3); /* of an ATmega328P, last byte first */
	save();
	look_at("atmega32u4", NULL, "FF,D9,FB", NULL);
	assert_found("fuses-differ", CHECK_WARNING, 0x820001);
	assert_found("signature", CHECK_ERROR, 0x840000);
	assert_found("lock-stops-bootloader", CHECK_ERROR, UINT32_MAX);
	look_at("atmega32u4", NULL, "FF,D8,CB", "EF");
	assert_null(found("fuses-differ"));
	assert_found("lock-differs", CHECK_WARNING, 0x830000);
}

static void reset_vectors(void **state)
{
	(void)state;
	restart();
	put_program(0x7000, 43, 0x0AFF, 0x400);
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_found("no-application", CHECK_WARNING, 0);
	put_program(0x100, 43, 0x0AFF, 0x400);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-blank", CHECK_ERROR, 0);
	good_32u4();
	put_jmp(0, 0x4000);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-nowhere", CHECK_ERROR, 0);
	put_jmp(0, 0x12000); /* beyond the flash, through the JMP's own high bits */
	put_word(0, 0x940D);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-nowhere", CHECK_ERROR, 0);
	put_jmp(0, 0x7000);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-into-boot", CHECK_WARNING, 0);
	put_word(0, 0x2411);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-no-jump", CHECK_WARNING, 0);
	put_word(0, 0xC000 | (0x1000 - 0x10)); /* RJMP backwards wraps to the flash's end, which is blank */
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-nowhere", CHECK_ERROR, 0);
}

static void other_parts(void **state)
{
	(void)state;
	restart();
	put_program(0, 26, 0x08FF, 0x2000);
	put_program(0x7000, 26, 0x08FF, 0x400);
	save();
	look_at("atmega328p", NULL, NULL, NULL);
	assert_clean(0);
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("vector-table", CHECK_ERROR, 0);
	assert_non_null(strstr(found("vector-table")->text, "ATmega328, ATmega328P"));
	assert_found("stack-of-other-part", CHECK_WARNING, 26 * 4 + 10);
	look_at("atmega168p", NULL, NULL, NULL);
	assert_found("stack-beyond-ram", CHECK_ERROR, 26 * 4 + 10);
	assert_found("outside-part", CHECK_ERROR, 0x7000);
	restart();
	put_program(0, 26, 0x04FF, 0x2000);
	save();
	look_at("atmega168p", NULL, NULL, NULL);
	assert_clean(1); /* no bootloader */
	good_32u4();
	for (unsigned i = 5; i < 43; i++) /* the linker's short form is a vector too */
		put_word(i * 4, (uint16_t)(0xC000 | (43 * 2 - i * 2 - 1))), put_word(i * 4 + 2, 0);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_clean(0);
	restart();
	for (unsigned i = 0; i < 15; i++)
		put_word(i * 2, (uint16_t)(0xC000 | (14 - i)));
	put(30, "\0\0\0\0", 4);
	save();
	look_at("attiny85", NULL, NULL, NULL);
	assert_clean(0);
	look_at("atmega8a", NULL, NULL, NULL);
	assert_non_null(strstr(found("vector-table")->text, "ATtiny85"));
}

static void boot_sections(void **state)
{
	(void)state;
	good_32u4();
	save();
	look_at("atmega32u4", NULL, "FF,DA,FB", NULL);
	assert_found("bootsz", CHECK_ERROR, 0x7000);
	assert_non_null(strstr(found("bootsz")->way_out, "high fuse 0xD8"));
	assert_found("bootrst-blank", CHECK_ERROR, 0x7800);
	look_at("atmega32u4", "caterina", "FF,D9,FB", NULL);
	assert_found("bootrst", CHECK_ERROR, UINT32_MAX);
	look_at("atmega32u4", "atmel-dfu", "5E,D8,F3", NULL);
	assert_found("bootrst", CHECK_ERROR, UINT32_MAX);
	look_at("atmega32u4", NULL, "FF,D9,FB", NULL);
	assert_found("boot-unreachable", CHECK_WARNING, UINT32_MAX);
	look_at("atmega32u4", "halfkay", NULL, NULL);
	assert_found("bootloader-missing", CHECK_ERROR, 0x7E00);
	restart();
	put_program(0, 43, 0x0AFF, 0x2000);
	save();
	look_at("atmega32u4", "atmel-dfu", NULL, NULL);
	assert_found("bootloader-missing", CHECK_ERROR, 0x7000);
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("bootloader-missing", CHECK_NOTE, UINT32_MAX);
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_found("bootrst-blank", CHECK_ERROR, 0x7000);
	put_program(0x7010, 43, 0x0AFF, 0x200);
	save();
	look_at("atmega32u4", "caterina", NULL, NULL);
	assert_found("boot-blank", CHECK_ERROR, 0x7000);
	restart();
	put_program(0, 43, 0x0AFF, 0x7100); /* built for halfkay, say */
	put_word(0x6FFE, 0x1234);
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_found("app-touches-boot", CHECK_WARNING, 0x7000);
	assert_found("boot-no-jump", CHECK_WARNING, 0x7000);
	good_32u4();
	put_jmp(0x1000, 0x7E00);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("jump-elsewhere", CHECK_WARNING, 0x1000);
}

static void against_a_bootloader_file(void **state)
{
	(void)state;
	char boot[300];
	snprintf(boot, sizeof boot, "%s/boot.hex", folder);
	restart();
	put_program(0x7000, 43, 0x0AFF, 0x400);
	save();
	assert_int_equal(rename(path, boot), 0);
	put_program(0, 43, 0x0AFF, 0x2000);
	save();
	look_at("atmega32u4", boot, "FF,D8,FB", NULL);
	assert_clean(0);
	put_word(0x7010, 0xFFFF);
	save();
	look_at("atmega32u4", boot, NULL, NULL);
	assert_found("bootloader-damaged", CHECK_ERROR, 0x7010);
	put_jmp(0x7010, 0x7000 + 43 * 4);
	put_word(0x7E00, 0x1234);
	save();
	look_at("atmega32u4", boot, NULL, NULL);
	assert_found("app-in-boot", CHECK_ERROR, 0x7E00);
	restart();
	put_program(0, 43, 0x0AFF, 0x2000);
	save();
	look_at("atmega32u4", boot, NULL, NULL);
	assert_found("bootloader-missing", CHECK_ERROR, 0x7000);
}

static void locks_and_eeprom(void **state)
{
	(void)state;
	static const struct {
		const char *lock, *id;
		enum check_severity severity;
	} locks[] = {{"FF", "lock-boot-open", CHECK_NOTE},	  {"FB", "lock-stops-bootloader", CHECK_ERROR},
		     {"F3", "lock-stops-bootloader", CHECK_ERROR}, {"E7", "lock-stops-bootloader", CHECK_ERROR},
		     {"CF", "lock-hides-boot", CHECK_WARNING},	  {"DF", "lock-hides-boot", CHECK_WARNING},
		     {"EC", "lock-no-readback", CHECK_NOTE},	  {"EE", "lock-frozen", CHECK_NOTE}};
	good_32u4();
	save();
	for (size_t i = 0; i < sizeof locks / sizeof locks[0]; i++) {
		look_at("atmega32u4", NULL, "FF,D8,FB", locks[i].lock);
		assert_found(locks[i].id, locks[i].severity, UINT32_MAX);
	}
	look_at("atmega32u4", NULL, "FF,D0,FB", NULL);
	assert_non_null(strstr(found("eesave-stale")->text, "what stood in the EEPROM before survives the chip erase"));
	put(AVR_EEPROM_BASE, "\xE3\xFE", 2);
	save();
	look_at("atmega32u4", NULL, "FF,D0,FB", NULL);
	assert_found("eeprom-magic-kept", CHECK_NOTE, AVR_EEPROM_BASE);
	assert_found("eesave-stale", CHECK_NOTE, UINT32_MAX);
	assert_non_null(strstr(found("eesave-stale")->text, "EEPROM before and is not in the image survives the"));
	put(AVR_EEPROM_BASE, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 15);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("eeprom-magic-wiped", CHECK_NOTE, AVR_EEPROM_BASE);
	assert_non_null(strstr(found("eeprom-hand")->text, "left half"));
}

static void fuses_are_judged(void **state)
{
	(void)state;
	restart();
	put_program(0, 29, 0x04FF, 0x2000);
	put_program(0x7000, 29, 0x04FF, 0x400);
	save();
	look_at("atmega32u2", NULL, "5E,99,F4", NULL);
	assert_found("fuse-danger", CHECK_ERROR, UINT32_MAX);
	assert_non_null(strstr(found("fuse-danger")->text, "RSTDISBL"));
	look_at("atmega32u2", NULL, "1E,D9,F4", NULL);
	assert_found("fuse-doubt", CHECK_WARNING, UINT32_MAX);
	assert_non_null(strstr(found("fuse-doubt")->text, "CKOUT"));
	look_at("atmega32u2", NULL, "5E,D9,F4", NULL);
	assert_clean(0);
}

/* A program of `len` bytes at `base` that is taken for the released file with this CRC-32. */
static void put_known(uint32_t base, size_t len, uint32_t crc)
{
	uint8_t *bytes = malloc(len);
	put_program(base, 43, 0x0AFF, len);
	hex_image_read(&image, base, bytes, len, 0xFF);
	steer_crc(bytes, len, len - 4, crc);
	put(base, bytes, len);
	free(bytes);
}

static void known_files(void **state)
{
	(void)state;
	restart();
	put_known(0, 0x12CC, 0x828F85CA); /* the sketch of Caterina-Leonardo.hex */
	put_program(0x7000, 43, 0x0AFF, 0x400);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("sketch", CHECK_ERROR, 0);
	assert_non_null(strstr(found("sketch")->text, "Caterina-Leonardo.hex"));
	restart();
	put_program(0, 43, 0x0AFF, 0x2000);
	put_known(0x7000, 0xFFA, 0x29F8FB18); /* Caterina-promicro16.hex */
	save();
	look_at("atmega32u4", "caterina", "FF,D8,FB", "EF");
	assert_clean(0);
	assert_non_null(check.file);
	assert_string_equal(check.file->name, "Caterina-promicro16.hex");
	look_at("atmega32u4", "atmel-dfu", NULL, NULL);
	assert_found("bootloader-other", CHECK_ERROR, 0x7000);
	look_at("atmega32a", NULL, NULL, NULL);
	assert_found("bootloader-other-part", CHECK_ERROR, 0x7000);
	restart();
	put_program(0, 21, 0x085F, 0x2000);
	save();
	look_at("atmega32a", NULL, NULL, NULL);
	assert_clean(1); /* no bootloader */
	restart();
	put_known(0, 0x167C, 0x999C21C8);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("known-stranger", CHECK_WARNING, 0);
}

/* ---- STM32F103 ---- */

enum { STM32 = 0x08000000, STM32_APP = 0x08002000 };

static void put_word32(uint32_t at, uint32_t word)
{
	put_word(at, (uint16_t)word);
	put_word(at + 2, (uint16_t)(word >> 16));
}

/* Stack pointer, handlers, code, at `base`. */
static void put_cortex(uint32_t base, size_t size)
{
	uint8_t *code = calloc(1, size);
	assert_non_null(code);
	memset(code, 0xBF, size);
	put(base, code, size);
	free(code);
	put_word32(base, 0x20005000);
	for (uint32_t vector = 1; vector < 64; vector++)
		put_word32(base + 4 * vector, base + 0x101);
}

static void look_at_stm32(const char *bootloader)
{
	save();
	look_at("stm32f103x8", bootloader, NULL, NULL);
}

static void good_stm32(void)
{
	restart();
	put_cortex(STM32, 0x1000);
	put_cortex(STM32_APP, 0x3000);
}

static void stm32(void **state)
{
	(void)state;
	good_stm32();
	look_at_stm32(NULL);
	assert_clean(0);
	look_at_stm32("stm32duino");
	assert_clean(1); /* a bootloader that was built, not released */
	put_word32(STM32, 0x20008000);
	look_at_stm32("stm32duino");
	assert_found("start-vectors", CHECK_ERROR, STM32);
	good_stm32();
	put_word32(STM32_APP + 4, 0x08010001);
	look_at_stm32("stm32duino");
	assert_found("app-vectors", CHECK_ERROR, STM32_APP + 4);
	restart();
	put_cortex(STM32, 0x1000);
	put_cortex(STM32_APP + 0x400, 0x1000);
	look_at_stm32("stm32duino");
	assert_found("app-start", CHECK_ERROR, STM32_APP);
	restart();
	put_cortex(STM32, 0x1000);
	look_at_stm32("stm32duino");
	assert_found("no-application", CHECK_WARNING, STM32_APP);
	/* What a suffix is known by, joined in as if it were data. */
	good_stm32();
	put(STM32_APP + 0x3000, "\xFF\xFF\x03\x00\xAF\x1E\x00\x01UFD\x10\xBC\xB0\xBC\xEF", 16);
	put(0x08010000, "x", 1);
	look_at_stm32("stm32duino");
	assert_found("dfu-suffix", CHECK_WARNING, STM32_APP + 0x3000);
	assert_found("outside-part", CHECK_ERROR, 0x08010000);
}

/* What an editor makes of two files. */
static void concatenations(void **state)
{
	(void)state;
	scratch_write(path, ":04000000010203 04F2\n");
	struct pogo_error err;
	const struct check_order order = {.configs = "configs", .part = "atmega32u4", .image = path};
	check_finish(&check);
	assert_int_equal(check_image(&order, &check, &err), -1); /* no sound record: unreadable */
	assert_int_equal(err.kind, POGO_INPUT);
	scratch_write(path, ":0400000001020304F2\n:00000001FF\n:0470000005060708728\n");
	assert_int_equal(check_image(&order, &check, &err), -1);
	scratch_write(path, ":0400000001020304F2\n:00000001FF\n:047000000506070872\n:00000001FF\n");
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("eof-inside", CHECK_ERROR, UINT32_MAX);
	assert_false(check.readable);
	scratch_write(path, ":0400000001020304F2\n");
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("eof-missing", CHECK_ERROR, UINT32_MAX);
	scratch_write(path, ":0400000001020304F2\n:0400000001020305F1\n:00000001FF\n");
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("records-conflict", CHECK_ERROR, UINT32_MAX);
	/* Bootloader first with its 02 record, then an application from 0: it lands at 0x10000. */
	scratch_write(path, ":020000021000EC\n:04E0000001020304 12\n");
	scratch_write(path, ":020000021000EC\n:04E000000102030412\n:040000031000E00009\n:0400000001020304F2\n"
			    ":00000001FF\n");
	look_at("at90usb1286", NULL, NULL, NULL);
	assert_found("base-leftover", CHECK_ERROR, 0x10000);
	scratch_write(path, ":020000021000EC\n:04E000000102030412\n:040000031000E00009\n:020000020000FC\n"
			    ":0400000001020304F2\n:00000001FF\n");
	look_at("at90usb1286", NULL, NULL, NULL);
	assert_null(found("base-leftover"));
}

/* The part's memory as a readback or a raw binary has it: 0xFF where nothing is. */
static void put_filler(uint32_t size)
{
	struct hex_image full;
	uint8_t *blank = malloc(size);
	memset(blank, 0xFF, size);
	hex_image_init(&full);
	assert_int_equal(hex_image_add(&full, 0, blank, size, HEX_OVERLAP_ERROR, NULL, NULL), 0);
	free(blank);
	for (size_t i = 0; i < image.count; i++)
		assert_int_equal(hex_image_add(&full, image.segments[i].addr, image.segments[i].bytes, image.segments[i].len,
					       HEX_OVERLAP_LAST, NULL, NULL), 0);
	hex_image_finish(&image);
	image = full;
}

static void filler_is_nothing(void **state)
{
	(void)state;
	good_32u4();
	put_filler(0x8000);
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", "EF");
	assert_clean(0);
	restart(); /* no bootloader */
	put_program(0, 43, 0x0AFF, 0x2000);
	put_filler(0x8000);
	save();
	look_at("atmega32u4", "caterina", "FF,D8,FB", NULL);
	assert_found("bootrst-blank", CHECK_ERROR, 0x7000);
	assert_found("bootloader-missing", CHECK_ERROR, 0x7000);
	assert_false(check.has_boot);
	good_32u4(); /* its first record is lost */
	put(0x7000, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 16);
	put_filler(0x8000);
	save();
	look_at("atmega32u4", "caterina", "FF,D8,FB", NULL);
	assert_found("boot-blank", CHECK_ERROR, 0x7000);
	assert_found("bootrst-blank", CHECK_ERROR, 0x7000);
	good_32u4();
	put_jmp(0, 0x4000);
	put_filler(0x8000);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("reset-nowhere", CHECK_ERROR, 0);
	restart(); /* only a bootloader */
	put_program(0x7000, 43, 0x0AFF, 0x400);
	put_filler(0x8000);
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_found("no-application", CHECK_WARNING, 0);
	/* A smaller section than the largest, at whose start there is filler: not the bootloader's. */
	restart();
	put_program(0, 26, 0x08FF, 0x2000);
	put_program(0x7800, 26, 0x08FF, 0x400);
	put_filler(0x8000);
	save();
	look_at("atmega328p", NULL, "FF,DA,FD", NULL);
	assert_clean(0);
	assert_int_equal(check.boot_start, 0x7800);
	look_at("atmega328p", NULL, NULL, NULL);
	assert_clean(0);
	assert_int_equal(check.boot_start, 0x7800);
}

static void where_the_bootloader_begins(void **state)
{
	(void)state;
	/* The application has a function of its own behind a hole at another section's start, and calls it. */
	restart();
	put_program(0, 43, 0x0AFF, 0x2000);
	put_word(0x7000, 0x9508); /* ret */
	put_word(0x100, 0x940E);  /* call */
	put_word(0x102, 0x7000 / 2);
	put_program(0x7E00, 43, 0x0AFF, 0x100);
	save();
	look_at("atmega32u4", NULL, "FF,DE,F3", NULL);
	assert_clean(0);
	assert_int_equal(check.boot_start, 0x7E00);
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_clean(0);
	assert_int_equal(check.boot_start, 0x7E00);
	put_word(0x102, 0x7800 / 2); /* nothing is there: the place of another bootloader */
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_found("jump-elsewhere", CHECK_WARNING, 0x100);
	/* Application and bootloader without a hole between them, and nothing said. */
	restart();
	put_program(0, 43, 0x0AFF, 0x7000);
	put_word(0x6FFE, 0x9508);
	put_program(0x7000, 43, 0x0AFF, 0x800);
	save();
	look_at("atmega32u4", NULL, NULL, NULL);
	assert_clean(1);
	assert_found("bootloader-unclear", CHECK_NOTE, 0x7000);
	/* A bootloader without vectors, as Optiboot's. */
	restart();
	put_program(0, 19, 0x045F, 0x800);
	for (unsigned i = 0; i < 19; i++)
		put_word(i * 2, (uint16_t)(0xC000 | (38 - i - 1)));
	put_word(0x1E00, 0x2411);
	put(0x1E02, "\x84\xB7\x14\xBE", 4);
	save();
	look_at("atmega8a", NULL, NULL, NULL);
	assert_null(found("boot-no-jump"));
	assert_int_equal(check.boot_start, 0x1E00);
	put_word(0x1E00, 0x0000);
	save();
	look_at("atmega8a", NULL, NULL, NULL);
	assert_found("boot-no-jump", CHECK_WARNING, 0x1E00);
}

static void a_bootloader_for_another_part(void **state)
{
	(void)state;
	good_32u4();
	put_program(0x7000, 38, 0x20FF, 0x800); /* of an AT90USB1286 */
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_found("vector-table", CHECK_ERROR, 0x7000);
	assert_non_null(strstr(found("vector-table")->text, "begin the bootloader"));
	assert_found("stack-beyond-ram", CHECK_ERROR, 0x7000 + 38 * 4 + 10);
	good_32u4();
	put_program(0x7000, 12, 0x0AFF, 0x800); /* a table of its own length is a bootloader's right */
	save();
	look_at("atmega32u4", NULL, "FF,D8,FB", NULL);
	assert_clean(0);
}

/* avr-gcc puts constants right behind the vectors; as jumps they would lead anywhere. */
static void constants_behind_the_vectors(void **state)
{
	(void)state;
	restart();
	for (unsigned i = 0; i < 15; i++)
		put_word(i * 2, (uint16_t)(0xC000 | (40 - i)));
	put(30, "\x50\xC3\xF0\xC8\x20\xCB\x40\xCE", 8); /* 4 words, as for the 19 vectors of an ATmega8A */
	put(38, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 48);
	save();
	look_at("attiny85", NULL, NULL, NULL);
	assert_clean(0);
	for (unsigned i = 15; i < 19; i++) /* these are vectors */
		put_word(i * 2, (uint16_t)(0xC000 | (40 - i)));
	save();
	look_at("attiny85", NULL, NULL, NULL);
	assert_found("vector-table", CHECK_ERROR, 0);
	assert_non_null(strstr(found("vector-table")->text, "ATmega8A"));
}

/* An empty file says nothing about an image. */
static void no_data(void **state)
{
	(void)state;
	const struct check_order order = {.configs = "configs", .part = "atmega32u4", .image = path};
	struct pogo_error err;
	check_finish(&check);
	scratch_write(path, ":00000001FF\n");
	assert_int_equal(check_image(&order, &check, &err), -1);
	assert_int_equal(err.kind, POGO_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_image),	     cmocka_unit_test(places),
		cmocka_unit_test(reset_vectors),     cmocka_unit_test(other_parts),
		cmocka_unit_test(boot_sections),     cmocka_unit_test(against_a_bootloader_file),
		cmocka_unit_test(locks_and_eeprom),  cmocka_unit_test(fuses_are_judged),
		cmocka_unit_test(known_files),	     cmocka_unit_test(concatenations),
		cmocka_unit_test(stm32),	     cmocka_unit_test(filler_is_nothing),
		cmocka_unit_test(where_the_bootloader_begins),
		cmocka_unit_test(a_bootloader_for_another_part),
		cmocka_unit_test(constants_behind_the_vectors),
		cmocka_unit_test(no_data),           cmocka_unit_test(every_finding_was_shown),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
