/* judge [--all] STATE.json RELEASE.hex PART LOW,HIGH,EXT LOCK [PREFIX WIDTH ADDRESS]
 *
 * Compares what the bench's chips really hold with what they should hold, byte for byte. Every board
 * that was shown PASS (--all: every board) must carry the release (and a serial of the pattern at ADDRESS, if given, all
 * different), the fuses and the lock; no rule of the silicon may have been broken on it; every byte
 * written must have been read back. Prints a line per defect, then "judged: …"; exit 1 with defects. */

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/fuses.h"
#include "hextools/ihex.h"
#include "hextools/part.h"

struct expectation {
	struct part *part;
	struct hex_image image;
	uint8_t fuses[PART_FUSES], lock;
	const char *prefix;
	unsigned width;
	uint32_t serial_address;
	json_t *serials; /* set of those seen on passed boards */
	bool all;
	unsigned defects, passed;
};

static void defect(struct expectation *e, json_t *board, const char *what)
{
	e->defects++;
	printf("FAIL position %" JSON_INTEGER_FORMAT " board %" JSON_INTEGER_FORMAT ": %s\n",
	       json_integer_value(json_object_get(board, "position")),
	       json_integer_value(json_object_get(board, "ordinal")), what);
}

static uint8_t hex_byte(const char *text, size_t at)
{
	char digits[3] = { text[2 * at], text[2 * at + 1], 0 };
	return (uint8_t)strtoul(digits, NULL, 16);
}

/* Is [addr] part of the serial field? Then it may hold what the pattern allows. */
static bool in_serial(const struct expectation *e, uint32_t addr)
{
	size_t len = e->prefix != NULL ? strlen(e->prefix) + e->width : 0;
	return addr >= e->serial_address && addr < e->serial_address + len;
}

static void judge_memory(struct expectation *e, json_t *board, json_t *chip, const char *name, uint32_t base, uint32_t size)
{
	const char *text = json_string_value(json_object_get(chip, name));
	char line[160];
	if (text == NULL || strlen(text) != 2 * (size_t)size) {
		snprintf(line, sizeof line, "the state has no %s of %u bytes", name, size);
		defect(e, board, line);
		return;
	}
	uint8_t *wanted = malloc(size);
	if (wanted == NULL)
		abort();
	hex_image_read(&e->image, base, wanted, size, 0xFF);
	for (uint32_t i = 0; i < size; i++) {
		if (in_serial(e, base + i) || hex_byte(text, i) == wanted[i])
			continue;
		snprintf(line, sizeof line, "%s 0x%04X holds 0x%02X, the release says 0x%02X", name, i, hex_byte(text, i),
			 wanted[i]);
		defect(e, board, line);
		break;
	}
	free(wanted);
	snprintf(line, sizeof line, "%s_record", name);
	json_t *unread = json_object_get(json_object_get(chip, line), "written_not_read");
	if (json_array_size(unread) != 0) {
		snprintf(line, sizeof line, "%s bytes were written and never read back", name);
		defect(e, board, line);
	}
}

static void judge_serial(struct expectation *e, json_t *board, json_t *chip)
{
	if (e->prefix == NULL)
		return;
	bool eeprom = e->serial_address >= AVR_EEPROM_BASE;
	const char *text = json_string_value(json_object_get(chip, eeprom ? "eeprom" : "flash"));
	size_t at = eeprom ? e->serial_address - AVR_EEPROM_BASE : e->serial_address;
	size_t prefix = strlen(e->prefix), len = prefix + e->width;
	char serial[64] = "";
	for (size_t i = 0; i < len && i < sizeof serial - 1; i++)
		serial[i] = (char)hex_byte(text, at + i);
	bool good = strncmp(serial, e->prefix, prefix) == 0 && strspn(serial + prefix, "0123456789") == e->width;
	const char *shown = json_string_value(json_object_get(board, "serial_shown"));
	if (!good)
		defect(e, board, "the serial on the chip does not fit the pattern");
	else if (!e->all && (shown == NULL || strcmp(shown, serial) != 0))
		defect(e, board, "the serial on the chip is not the one that was shown");
	else if (json_object_get(e->serials, serial) != NULL)
		defect(e, board, "this serial stands on another board as well");
	json_object_set_new(e->serials, serial, json_true());
}

static void judge_fuses(struct expectation *e, json_t *board, json_t *chip)
{
	char line[160];
	json_t *fuses = json_object_get(chip, "fuses");
	for (unsigned i = 0; i < e->part->fuse_count; i++) {
		unsigned found = (unsigned)json_integer_value(json_array_get(fuses, i));
		if (((found ^ e->fuses[i]) & e->part->fuse_mask[i]) == 0)
			continue;
		snprintf(line, sizeof line, "fuse byte %u is 0x%02X, wanted 0x%02X", i, found, e->fuses[i]);
		defect(e, board, line);
	}
	unsigned lock = (unsigned)json_integer_value(json_object_get(chip, "lock"));
	if (((lock ^ e->lock) & e->part->lock_mask) != 0) {
		snprintf(line, sizeof line, "lock is 0x%02X, wanted 0x%02X", lock, e->lock);
		defect(e, board, line);
	}
}

static void judge_board(struct expectation *e, json_t *board)
{
	json_t *chip = json_object_get(board, "chip");
	const char *shown = json_string_value(json_object_get(board, "shown"));
	const char *kind;
	json_t *count;
	char line[160];
	json_object_foreach(json_object_get(chip, "violations"), kind, count) {
		if (json_integer_value(count) == 0)
			continue;
		snprintf(line, sizeof line, "%" JSON_INTEGER_FORMAT " violations of kind %s (%s)", json_integer_value(count), kind,
			 json_string_value(json_array_get(json_object_get(chip, "violation_texts"), 0)));
		defect(e, board, line);
	}
	if (!e->all && (shown == NULL || strcmp(shown, "pass") != 0))
		return;
	e->passed++;
	judge_memory(e, board, chip, "flash", 0, e->part->flash_bytes);
	judge_memory(e, board, chip, "eeprom", AVR_EEPROM_BASE, e->part->eeprom_bytes);
	judge_fuses(e, board, chip);
	judge_serial(e, board, chip);
}

static int prepare(struct expectation *e, char **argv, struct pogo_error *err)
{
	char configs[512];
	hex_image_init(&e->image);
	e->lock = (uint8_t)strtoul(argv[5], NULL, 16);
	e->serials = json_object();
	if (conf_dir(NULL, configs, sizeof configs, err) != 0 || part_load(configs, argv[3], &e->part, err) != 0 ||
	    ihex_read_file(argv[2], &e->image, err) != 0)
		return -1;
	return fuses_parse(e->part, argv[4], e->fuses, err);
}

int main(int argc, char **argv)
{
	struct expectation e = { 0 };
	struct pogo_error err;
	json_error_t jerr;
	if (argc > 1 && strcmp(argv[1], "--all") == 0) {
		e.all = true;
		argc--;
		argv++;
	}
	if (argc != 6 && argc != 9) {
		fprintf(stderr, "usage: judge [--all] STATE.json RELEASE.hex PART L,H,E LOCK [PREFIX WIDTH ADDRESS]\n");
		return 2;
	}
	if (argc == 9) {
		e.prefix = argv[6];
		e.width = (unsigned)strtoul(argv[7], NULL, 10);
		e.serial_address = (uint32_t)strtoul(argv[8], NULL, 16);
	}
	json_t *state = json_load_file(argv[1], 0, &jerr);
	if (state == NULL || prepare(&e, argv, &err) != 0) {
		fprintf(stderr, "judge: %s\n", state == NULL ? jerr.text : err.text);
		return 2;
	}
	json_t *board;
	size_t i;
	json_t *boards = json_object_get(state, "boards");
	json_array_foreach(boards, i, board)
		judge_board(&e, board);
	printf("judged: %zu boards, %u compared, %u defects\n", json_array_size(boards), e.passed, e.defects);
	json_decref(state);
	json_decref(e.serials);
	hex_image_finish(&e.image);
	free(e.part);
	return e.defects != 0;
}
