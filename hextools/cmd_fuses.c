#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/conf.h"
#include "hextools/fuse_words.h"
#include "hextools/fuses.h"
#include "hextools/jsonw.h"
#include "hextools/options.h"

static const char help[] =
	"pogo-hex fuses --part P [L,H,E] [--set NAME=VALUE]... [options]\n"
	"\n"
	"Says what fuse bytes mean: every bit in words, the clock, where a reset leads, what survives a\n"
	"chip erase, and what would brick the chip. Without bytes it takes those of the bootloader, or\n"
	"those that the part is delivered with. Exit 1: this set is dangerous.\n"
	"\n"
	"  --part P           a part of configs/parts, like atmega32u4\n"
	"  --set NAME=VALUE   changes a field first, like BOOTRST=0 or CKSEL=0b1111; may be repeated\n"
	"  --bootloader NAME  the published set of this bootloader, like caterina, and where it is wrong\n"
	"  --crystal HZ       crystal on the board (default 16000000, 0 = none)\n"
	"  --external-clock   the board really feeds a clock signal to XTAL1\n"
	"  --json             one JSON object\n"
	"  --configs DIR      folder with parts/ and bootloaders/ (else $POGOLINE_CONFIGS, else found)\n";

enum { MAX_SETS = PART_FUSE_BITS };

struct order {
	const char *part, *bootloader, *bytes, *configs;
	const char *sets[MAX_SETS];
	size_t set_count;
	uint32_t crystal_hz;
	bool external_clock, json;
};

static const char *const byte_title[PART_FUSES] = {"low", "high", "extended"};

/* Options come once; --set comes as often as wanted, so it is taken out before. */
static int take_sets(int *argc, char **argv, struct order *order, struct pogo_error *err)
{
	int kept = 0;
	for (int i = 0; i < *argc; i++) {
		const char *value = NULL;
		if (strncmp(argv[i], "--set=", 6) == 0)
			value = argv[i] + 6;
		else if (strcmp(argv[i], "--set") == 0 && i + 1 < *argc)
			value = argv[++i];
		else if (strcmp(argv[i], "--set") == 0)
			return pogo_fail(err, POGO_INPUT, "option --set needs a value");
		else
			argv[kept++] = argv[i];
		if (value == NULL)
			continue;
		if (order->set_count == MAX_SETS)
			return pogo_fail(err, POGO_INPUT, "more than %d times --set", MAX_SETS);
		order->sets[order->set_count++] = value;
	}
	*argc = kept;
	return 0;
}

/* ---- text ----------------------------------------------------------------------------------------- */

static void print_bytes(FILE *out, const struct fuse_report *report)
{
	fprintf(out, "%s  fuses %02X,%02X", report->part->title, report->fuses[0], report->fuses[1]);
	if (report->part->fuse_count == PART_FUSES)
		fprintf(out, ",%02X (low, high, extended)\n", report->fuses[2]);
	else
		fputs(" (low, high)\n", out);
}

static void print_field(FILE *out, const struct fuse_word *word)
{
	char value[12] = "";
	for (unsigned i = 0; i < word->bit->width; i++)
		value[i] = word->value >> (word->bit->width - 1 - i) & 1 ? '1' : '0';
	const char *state = word->bit->width > 1 ? "" : word->value == 0 ? "programmed" : "unprogrammed";
	fprintf(out, "  %-10s%-6s%-14s%s\n", word->bit->name, value, state, word->text);
}

/* Each byte from its highest bit down, as the data sheets print them. */
static void print_fields(FILE *out, const struct fuse_report *report)
{
	for (unsigned fuse = 0; fuse < report->part->fuse_count && fuse < PART_FUSES; fuse++) {
		fprintf(out, "%s 0x%02X\n", byte_title[fuse], report->fuses[fuse]);
		for (int lsb = 7; lsb >= 0; lsb--)
			for (size_t i = 0; i < report->word_count; i++)
				if ((unsigned)report->words[i].bit->fuse == fuse &&
				    report->words[i].bit->lsb == lsb)
					print_field(out, &report->words[i]);
	}
}

static void print_report(FILE *out, const struct fuse_report *report)
{
	print_bytes(out, report);
	print_fields(out, report);
	fprintf(out, "clock     %s%s%s\n", report->clock, report->startup[0] != '\0' ? ", start-up " : "",
		report->startup);
	if (report->cpu_hz != 0)
		fprintf(out, "          CPU %" PRIu32 " Hz while programmed, SCK up to %" PRIu32 " Hz\n",
			report->cpu_hz, report->sck_hz);
	if (report->has_boot)
		fprintf(out, "boot      %" PRIu32 " bytes from 0x%05" PRIX32 "; a reset %s\n",
			report->boot_bytes, report->boot_start,
			report->boot_reset ? "goes there" : "starts the application at 0");
	else
		fputs("boot      no boot section, a reset starts at 0\n", out);
	fprintf(out, "erase     a chip erase clears flash and lock bits%s; fuses stay\n",
		report->eeprom_kept ? ", keeps the EEPROM" : " and the EEPROM");
	for (size_t i = 0; i < report->remark_count; i++)
		fprintf(out, "%-10s%s\n", fuse_weight_name(report->remarks[i].weight),
			report->remarks[i].text);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

static void put_byte(struct jsonw *json, const char *key, uint8_t value)
{
	char text[8];
	snprintf(text, sizeof text, "0x%02X", value);
	jsonw_str(json, key, text);
}

static void put_set(struct jsonw *json, const struct fuse_report *report)
{
	static const char *const keys[PART_FUSES] = {"low", "high", "ext"};
	jsonw_open(json, "fuses", '{');
	for (unsigned i = 0; i < report->part->fuse_count && i < PART_FUSES; i++)
		put_byte(json, keys[i], report->fuses[i]);
	jsonw_close(json, '}');
	jsonw_open(json, "fields", '[');
	for (size_t i = 0; i < report->word_count; i++) {
		const struct fuse_word *word = &report->words[i];
		jsonw_open(json, NULL, '{');
		jsonw_str(json, "name", word->bit->name);
		jsonw_str(json, "fuse", keys[word->bit->fuse]);
		jsonw_int(json, "lsb", word->bit->lsb);
		jsonw_int(json, "width", word->bit->width);
		jsonw_int(json, "value", word->value);
		if (word->bit->width == 1)
			jsonw_bool(json, "programmed", word->value == 0);
		jsonw_str(json, "meaning", word->text);
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
}

static void put_meaning(struct jsonw *json, const struct fuse_report *report)
{
	jsonw_open(json, "clock", '{');
	jsonw_str(json, "source", report->clock);
	jsonw_str(json, "startup", report->startup);
	jsonw_int(json, "cpu_hz", report->cpu_hz);
	jsonw_int(json, "sck_limit_hz", report->sck_hz);
	jsonw_close(json, '}');
	if (report->has_boot) {
		jsonw_open(json, "boot", '{');
		jsonw_int(json, "start", report->boot_start);
		jsonw_int(json, "bytes", report->boot_bytes);
		jsonw_bool(json, "reset_enters", report->boot_reset);
		jsonw_close(json, '}');
	} else {
		jsonw_null(json, "boot");
	}
	jsonw_bool(json, "eeprom_survives_erase", report->eeprom_kept);
	jsonw_bool(json, "dangerous", report->dangerous);
	jsonw_open(json, "remarks", '[');
	for (size_t i = 0; i < report->remark_count; i++) {
		jsonw_open(json, NULL, '{');
		jsonw_str(json, "weight", fuse_weight_name(report->remarks[i].weight));
		jsonw_str(json, "text", report->remarks[i].text);
		jsonw_close(json, '}');
	}
	jsonw_close(json, ']');
}

static int print_json(const struct fuse_report *report, const struct order *order,
		      struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "part", report->part->name);
	jsonw_str(&json, "bootloader", order->bootloader);
	put_set(&json, report);
	put_meaning(&json, report);
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

static int print_text(const struct fuse_report *report, struct pogo_error *err)
{
	struct edit_text text;
	if (edit_text_open(&text, err) != 0)
		return -1;
	print_report(text.out, report);
	return edit_text_print(&text, NULL, err);
}

/* ---- choice --------------------------------------------------------------------------------------- */

static int find_bootloader(const struct order *order, const struct part *part,
			   const struct bootloader_set *set, const struct bootloader **family,
			   const struct bootloader_part **entry, struct pogo_error *err)
{
	char names[BOOTLOADER_FAMILIES * 24] = "";
	*family = bootloader_find(set, order->bootloader);
	for (size_t i = 0; i < set->count; i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", set->family[i].name);
	}
	if (*family == NULL)
		return pogo_fail(err, POGO_INPUT, "unknown bootloader \"%.40s\"; known: %s",
				 order->bootloader, names);
	*entry = bootloader_part(*family, part->name);
	if (*entry == NULL)
		return pogo_fail(err, POGO_INPUT, "bootloader \"%s\" is not known for the %s", (*family)->name,
				 part->title);
	return 0;
}

static int choose(const struct order *order, const struct part *part,
		  const struct bootloader_part *entry, uint8_t fuses[PART_FUSES], struct pogo_error *err)
{
	memset(fuses, 0xFF, PART_FUSES);
	if (order->bytes != NULL) {
		if (fuses_parse(part, order->bytes, fuses, err) != 0)
			return -1;
	} else if (entry == NULL) {
		memcpy(fuses, part->fuse_factory, PART_FUSES);
	} else if (entry->has_fuses) {
		memcpy(fuses, entry->fuses, PART_FUSES);
	} else {
		return pogo_fail(err, POGO_INPUT, "no fuses are published for \"%s\" on the %s; give them",
				 order->bootloader, part->title);
	}
	for (size_t i = 0; i < order->set_count; i++)
		if (fuse_set(part, order->sets[i], fuses, err) != 0)
			return -1;
	return 0;
}

static int report_on(const struct order *order, const struct part *part,
		     const struct bootloader_set *set, struct pogo_error *err)
{
	const struct bootloader *family = NULL;
	const struct bootloader_part *entry = NULL;
	uint8_t fuses[PART_FUSES];
	if (order->bootloader != NULL && find_bootloader(order, part, set, &family, &entry, err) != 0)
		return -1;
	if (choose(order, part, entry, fuses, err) != 0)
		return -1;
	struct fuse_report *report = malloc(sizeof *report);
	if (report == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	fuse_report_make(part, fuses, order->crystal_hz, order->external_clock, report);
	if (entry != NULL)
		fuse_report_bootloader(report, family, entry);
	int rc = order->json ? print_json(report, order, err) : print_text(report, err);
	if (rc == 0 && report->dangerous)
		rc = pogo_fail(err, POGO_NO, "these fuses are dangerous for the %s", part->title);
	free(report);
	return rc;
}

static int run(const struct order *order, struct pogo_error *err)
{
	char configs[PATH_MAX];
	struct bootloader_set set = {.count = 0};
	struct part *part;
	if (conf_dir(order->configs, configs, sizeof configs, err) != 0 ||
	    part_load_avr(configs, order->part, "fuses", &part, err) != 0)
		return -1;
	int rc = order->bootloader != NULL ? bootloader_load_all(configs, &set, err) : 0;
	if (rc == 0)
		rc = report_on(order, part, &set, err);
	bootloader_set_finish(&set);
	free(part);
	return rc;
}

int cmd_fuses(int argc, char **argv, struct pogo_error *err)
{
	struct order order = {.json = false};
	const char *crystal = NULL;
	bool want_help = false;
	const struct option_spec specs[] = {{"help", 'h', NULL, &want_help},
					    {"part", 0, &order.part, NULL},
					    {"bootloader", 0, &order.bootloader, NULL},
					    {"crystal", 0, &crystal, NULL},
					    {"external-clock", 0, NULL, &order.external_clock},
					    {"json", 0, NULL, &order.json},
					    {"configs", 0, &order.configs, NULL},
					    {NULL, 0, NULL, NULL}};
	int words;
	int64_t hz = 16000000;
	if (take_sets(&argc, argv, &order, err) != 0 || options_parse(specs, argc, argv, &words, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (order.part == NULL || words > 1)
		return pogo_fail(err, POGO_INPUT, "fuses needs --part P and at most one L,H,E; see --help");
	if (crystal != NULL && options_number(crystal, "--crystal", 0, 100000000, &hz, err) != 0)
		return -1;
	order.crystal_hz = (uint32_t)hz;
	order.bytes = words == 1 ? argv[0] : NULL;
	return run(&order, err);
}
