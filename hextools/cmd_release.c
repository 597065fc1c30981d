#include "hextools/commands.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/ihex.h"
#include "hextools/options.h"
#include "hextools/outfile.h"
#include "hextools/release.h"
#include "hextools/release_qmk.h"

static const char help[] =
	"pogo-hex release --part P --bootloader B --app A -o OUT [options]\n"
	"pogo-hex release --qmk DIR --keyboard NAME[:KEYMAP] --bootloader B --app A -o OUT [options]\n"
	"\n"
	"Joins a bootloader and an application into one image and proves that image, part, boot section,\n"
	"fuses and lock bits fit each other, and that both programs are built for the part. A refusal\n"
	"(exit 1) says what does not fit and writes nothing.\n"
	"\n"
	"  --part P             a part of configs/parts, like atmega32u4 or stm32f103x8\n"
	"  --bootloader FILE    Intel HEX, S-record, ELF, UF2, or raw binary as FILE@ADDRESS; released\n"
	"                       bootloaders are recognised\n"
	"  --boot-only          take only the boot section of that file (some are released with an example\n"
	"                       program in the same file)\n"
	"  --app FILE           the same formats. For an STM32 a raw binary needs no address: the bootloader\n"
	"                       is where the flash begins, the application behind it; --fuses, --lock,\n"
	"                       --eeprom and --crystal are for AVRs\n"
	"  --qmk DIR            a QMK source tree: part, bootloader, its size and crystal come from there\n"
	"  --keyboard NAME      the keyboard in it, like planck/rev6 or planck/rev6:default\n"
	"  --eeprom FILE        the same, from 0 or from 0x810000, becomes part of the image\n"
	"  -o, --output OUT     the image\n"
	"  --fuses L,H[,E]      low, high, extended; left out: those published for a known bootloader\n"
	"  --lock X             lock byte; left out: lock bits stay open\n"
	"  --crystal HZ         crystal on the board (default 16000000, 0 = none)\n"
	"  --external-clock     the board really feeds a clock signal to XTAL1\n"
	"  --manifest M.json    what went in and what came out, with digests\n"
	"  --recipe R.cfg       a recipe for pogo-station to start from\n"
	"  --product NAME       the recipe's product (default: the application's name)\n"
	"  --json               the manifest on standard output as well\n" FORMAT_READ_HELP
	"  --configs DIR        folder with parts/ and bootloaders/ (else $POGOLINE_CONFIGS, else found)\n";

struct source {
	const char *tree, *keyboard; /* --qmk and --keyboard, or NULL */
	bool crystal_given;
};

struct outputs {
	const char *image, *manifest, *recipe, *product;
	bool json;
};

static int stage_image(const struct release *release, const struct outputs *to,
		       struct outfile_set *set, struct pogo_error *err)
{
	char *text;
	size_t len;
	if (ihex_format(&release->image, 16, &text, &len, err) != 0)
		return -1;
	int rc = outfile_stage(set, to->image, text, len, err);
	free(text);
	return rc;
}

static int stage_manifest(const struct release *release, const struct outputs *to,
			  struct outfile_set *set, struct pogo_error *err)
{
	char *text;
	size_t len;
	int rc = 0;
	if (release_manifest(release, to->image, &text, &len, err) != 0)
		return -1;
	if (to->manifest != NULL)
		rc = outfile_stage(set, to->manifest, text, len, err);
	if (rc == 0 && to->json)
		rc = outfile_stage(set, "-", text, len, err);
	free(text);
	return rc;
}

static int stage_recipe(const struct release *release, const struct outputs *to,
			struct outfile_set *set, struct pogo_error *err)
{
	char *text;
	size_t len;
	if (to->recipe == NULL)
		return 0;
	if (release_recipe(release, to->image, to->recipe, to->product, &text, &len, err) != 0)
		return -1;
	int rc = outfile_stage(set, to->recipe, text, len, err);
	free(text);
	return rc;
}

/* One line that says what is made, unless standard output carries data already. */
static int stage_line(const struct release *release, const struct outputs *to, struct outfile_set *set,
		      struct pogo_error *err)
{
	char text[1024];
	if (to->json || outfile_is_stdout(to->image) ||
	    (to->manifest != NULL && outfile_is_stdout(to->manifest)) ||
	    (to->recipe != NULL && outfile_is_stdout(to->recipe)))
		return 0;
	snprintf(text, sizeof text,
		 "%.400s: %llu bytes for %s, bootloader at 0x%0*X, crc-32 %08X, sha-256 %s\n", to->image,
		 (unsigned long long)hex_image_bytes(&release->image), release->part->title,
		 hex_digits(release->boot_start), release->boot_start, release->crc32, release->digest);
	return outfile_stage(set, "-", text, strlen(text), err);
}

static int write_outputs(const struct release *release, const struct outputs *to,
			 struct pogo_error *err)
{
	struct outfile_set set = {.count = 0};
	if (stage_image(release, to, &set, err) != 0 || stage_manifest(release, to, &set, err) != 0 ||
	    stage_recipe(release, to, &set, err) != 0 || stage_line(release, to, &set, err) != 0) {
		outfile_discard(&set);
		return -1;
	}
	return outfile_commit(&set, err);
}

static int check_words(const struct release_order *order, const struct source *source,
		       const struct outputs *to, int words, char **argv, struct pogo_error *err)
{
	bool tree = source->tree != NULL; /* which then says what part, and which file is missing */
	const struct {
		const char *value, *option;
	} needed[] = {{tree ? source->tree : order->part, "--part"},
		      {tree ? source->tree : order->bootloader, "--bootloader"},
		      {order->application, "--app"},
		      {to->image, "-o OUT"}};
	if (words > 0)
		return pogo_fail(err, POGO_INPUT, "\"%.60s\": release takes options only; see --help", argv[0]);
	if (tree != (source->keyboard != NULL))
		return pogo_fail(err, POGO_INPUT, "--qmk and --keyboard go together; see --help");
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (needed[i].value == NULL)
			return pogo_fail(err, POGO_INPUT, "release needs %s; see --help", needed[i].option);
	const char *const inputs[] = {order->bootloader, order->application, order->eeprom};
	const char *const outputs[] = {to->image, to->manifest, to->recipe};
	for (size_t i = 0; i < 9; i++)
		if (outfile_not_over(outputs[i / 3], inputs[i % 3], err) != 0)
			return -1;
	return 0;
}

/* What the tree said goes into the manifest with the rest. */
static void keep_notes(struct release *release, const struct qmk_keyboard *keyboard)
{
	size_t count = keyboard->notes.count < NOTES_KEPT ? keyboard->notes.count : NOTES_KEPT;
	release_note(release, "QMK keyboard %.120s%s%s: %s, bootloader \"%s\"", keyboard->name,
		     keyboard->keymap[0] != '\0' ? ":" : "", keyboard->keymap, keyboard->mcu.text,
		     keyboard->bootloader.text);
	for (size_t i = 0; i < count; i++)
		release_note(release, "%s", keyboard->notes.text[i]);
}

static int run(struct release_order *order, const struct source *source, const struct outputs *to,
	       struct pogo_error *err)
{
	struct release release;
	struct qmk_keyboard keyboard;
	if (source->tree != NULL && release_from_qmk(source->tree, source->keyboard, !source->crystal_given,
						     &keyboard, order, err) != 0)
		return -1;
	if (release_make(order, &release, err) != 0)
		return -1;
	if (source->tree != NULL)
		keep_notes(&release, &keyboard);
	int rc = write_outputs(&release, to, err);
	for (size_t i = 0; rc == 0 && i < release.note_count; i++)
		cmd_note(release.notes[i]);
	release_finish(&release);
	return rc;
}

int cmd_release(int argc, char **argv, struct pogo_error *err)
{
	struct release_order order = {.crystal_hz = 16000000};
	struct outputs to = {.json = false};
	struct source source = {.tree = NULL};
	const char *crystal = NULL, *given = NULL;
	bool want_help = false;
	const struct option_spec specs[] = {
		{"help", 'h', NULL, &want_help},
		{"part", 0, &order.part, NULL},
		{"bootloader", 0, &order.bootloader, NULL},
		{"app", 0, &order.application, NULL},
		{"boot-only", 0, NULL, &order.boot_only},
		{"qmk", 0, &source.tree, NULL},
		{"keyboard", 0, &source.keyboard, NULL},
		{"eeprom", 0, &order.eeprom, NULL},
		{"output", 'o', &to.image, NULL},
		{"fuses", 0, &order.fuses, NULL},
		{"lock", 0, &order.lock, NULL},
		{"crystal", 0, &crystal, NULL},
		{"external-clock", 0, NULL, &order.external_clock},
		{"manifest", 0, &to.manifest, NULL},
		{"recipe", 0, &to.recipe, NULL},
		{"product", 0, &to.product, NULL},
		{"json", 0, NULL, &to.json},
		{"configs", 0, &given, NULL},
		FORMAT_READ_SPECS(order.reading),
		{NULL, 0, NULL, NULL},
	};
	char configs[PATH_MAX];
	int64_t hz = order.crystal_hz;
	int words;
	if (options_parse(specs, argc, argv, &words, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (check_words(&order, &source, &to, words, argv, err) != 0)
		return -1;
	if (crystal != NULL && options_number(crystal, "--crystal", 0, 100000000, &hz, err) != 0)
		return -1;
	order.crystal_hz = (uint32_t)hz;
	order.clock_given = crystal != NULL || order.external_clock;
	source.crystal_given = crystal != NULL;
	if (conf_dir(given, configs, sizeof configs, err) != 0)
		return -1;
	order.configs = configs;
	return run(&order, &source, &to, err);
}
