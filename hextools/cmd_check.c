#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/check.h"
#include "hextools/cmd_edit.h"
#include "hextools/conf.h"
#include "hextools/jsonw.h"
#include "hextools/options.h"

static const char help[] =
	"pogo-hex check --part P [--bootloader NAME|FILE] [--fuses L,H,E] [--lock X] IMAGE\n"
	"\n"
	"Tells everything that can be known to be wrong with an image before a board is touched: bytes\n"
	"outside the part, a bootloader that is missing, damaged or another one, fuses that do not reach\n"
	"it or end ISP, lock bits that stop it, an application for another part, an example program in\n"
	"the firmware's place, leftovers of files joined by an editor. Each finding has a word that stays\n"
	"the same, a severity, an address and a way out. Exit 1: there is an error among them.\n"
	"\n"
	"  --part P           a part of configs/parts, like atmega32u4\n"
	"  --bootloader B     the bootloader that the image should have: a name like atmel-dfu, or its file\n"
	"  --fuses L,H[,E]    low, high, extended\n"
	"  --lock X           lock byte\n"
	"  --crystal HZ       crystal on the board (default 16000000, 0 = none)\n"
	"  --external-clock   the board really feeds a clock signal to XTAL1\n"
	FORMAT_READ_HELP
	"  --json             one JSON object\n"
	"  --configs DIR      folder with parts/ and bootloaders/ (else $POGOLINE_CONFIGS, else found)\n";

static void print_finding(FILE *out, const struct check_finding *finding)
{
	char address[16] = "-";
	if (finding->has_address)
		snprintf(address, sizeof address, "0x%0*" PRIX32, hex_digits(finding->address), finding->address);
	fprintf(out, "%-8s %-22s %-10s %s; %s\n", check_severity_name(finding->severity), finding->id,
		address, finding->text, finding->way_out);
}

static void print_count(FILE *out, size_t count, const char *what)
{
	fprintf(out, "%zu %s%s", count, what, count == 1 ? "" : "s");
}

static void print_report(FILE *out, const struct check *check, const char *name)
{
	static const enum check_severity order[] = {CHECK_ERROR, CHECK_WARNING, CHECK_NOTE};
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < check->finding_count; i++)
			if (check->findings[i].severity == order[k])
				print_finding(out, &check->findings[i]);
	size_t more = check->errors + check->warnings + check->notes - check->finding_count;
	if (more > 0)
		fprintf(out, "... and %zu more\n", more);
	fprintf(out, "%s: ", name);
	print_count(out, check->errors, "error");
	fputs(", ", out);
	print_count(out, check->warnings, "warning");
	fputs(", ", out);
	print_count(out, check->notes, "note");
	fputc('\n', out);
}

static int print_text(const struct check *check, const char *name, struct pogo_error *err)
{
	struct edit_text text;
	if (edit_text_open(&text, err) != 0)
		return -1;
	print_report(text.out, check, name);
	return edit_text_print(&text, NULL, err);
}

static void put_finding(struct jsonw *json, const struct check_finding *finding)
{
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "id", finding->id);
	jsonw_str(json, "severity", check_severity_name(finding->severity));
	if (finding->has_address)
		jsonw_int(json, "address", finding->address);
	else
		jsonw_null(json, "address");
	jsonw_str(json, "text", finding->text);
	jsonw_str(json, "way_out", finding->way_out);
	jsonw_close(json, '}');
}

static int print_json(const struct check *check, const char *name, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "image", name);
	jsonw_str(&json, "part", check->part->name);
	jsonw_str(&json, "bootloader", check->family != NULL ? check->family->name : NULL);
	jsonw_str(&json, "file", check->file != NULL ? check->file->name : NULL);
	jsonw_int(&json, "errors", (int64_t)check->errors);
	jsonw_int(&json, "warnings", (int64_t)check->warnings);
	jsonw_int(&json, "notes", (int64_t)check->notes);
	jsonw_open(&json, "findings", '[');
	for (size_t i = 0; i < check->finding_count; i++)
		put_finding(&json, &check->findings[i]);
	jsonw_close(&json, ']');
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

static int run(const struct check_order *order, bool json, struct pogo_error *err)
{
	struct check *check = malloc(sizeof *check);
	if (check == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int rc = check_image(order, check, err);
	if (rc == 0) {
		rc = json ? print_json(check, order->image, err) : print_text(check, order->image, err);
		if (rc == 0 && check->errors > 0)
			rc = pogo_fail(err, POGO_NO, "\"%.200s\" must not go onto a board: %zu error%s", order->image,
				       check->errors, check->errors == 1 ? "" : "s");
		check_finish(check);
	}
	free(check);
	return rc;
}

int cmd_check(int argc, char **argv, struct pogo_error *err)
{
	struct check_order order = {.crystal_hz = 16000000};
	const char *crystal = NULL, *given = NULL;
	bool want_help = false, json = false;
	const struct option_spec specs[] = {{"help", 'h', NULL, &want_help},
					    {"part", 0, &order.part, NULL},
					    {"bootloader", 0, &order.bootloader, NULL},
					    {"fuses", 0, &order.fuses, NULL},
					    {"lock", 0, &order.lock, NULL},
					    {"crystal", 0, &crystal, NULL},
					    {"external-clock", 0, NULL, &order.external_clock},
					    FORMAT_READ_SPECS(order.reading),
					    {"json", 0, NULL, &json},
					    {"configs", 0, &given, NULL},
					    {NULL, 0, NULL, NULL}};
	char configs[PATH_MAX];
	int64_t hz = order.crystal_hz;
	int words;
	if (options_parse(specs, argc, argv, &words, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (order.part == NULL || words != 1)
		return pogo_fail(err, POGO_INPUT, "check needs --part P and one image; see --help");
	if (crystal != NULL && options_number(crystal, "--crystal", 0, 100000000, &hz, err) != 0)
		return -1;
	if (conf_dir(given, configs, sizeof configs, err) != 0)
		return -1;
	order.crystal_hz = (uint32_t)hz;
	order.clock_given = crystal != NULL || order.external_clock;
	order.image = argv[0];
	order.configs = configs;
	return run(&order, json, err);
}
