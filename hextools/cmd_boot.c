#include "hextools/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/boot.h"
#include "hextools/bootloader.h"
#include "hextools/cmd_edit.h"
#include "hextools/conf.h"
#include "hextools/fit.h"
#include "hextools/format.h"
#include "hextools/fuses.h"

static const char help[] =
	"pogo-hex boot --part P [--fuses L,H,E | --bootloader NAME|FILE] IMAGE[@OFFSET]\n"
	"\n"
	"Runs a merged image on a simulated chip from reset and tells whether it reaches the bootloader, then\n"
	"the application's main loop: a loop in which nothing new is executed for a quarter of a second, nor\n"
	"for a period of a running watchdog, or sleep. What restarts three times with nothing new executed does\n"
	"not start: a watchdog's reset, or a jump to the first address. Where the fuses start the application,\n"
	"the bootloader is then started by itself, as its pin does. Needs simavr, which does not know all parts.\n"
	"Exit 1: it does not start.\n"
	"\n"
	"  --part P           a part of configs/parts, like atmega328p\n"
	"  --fuses L,H,E      the fuse bytes (else the bootloader's, else those of a new chip)\n"
	"  --bootloader B     take the fuses published for this bootloader: a name like caterina, or a released file\n"
	"  --pin B2=0,D4=1    levels at pins, like a button that is held (one option, with commas)\n"
	"  --crystal HZ       crystal on the board (default 16000000)\n"
	"  --cycles N         give up after so many CPU cycles (default: twelve seconds)\n"
	"  --configs DIR      folder with parts/ (else $POGOLINE_CONFIGS, else found)\n" FORMAT_READ_HELP EDIT_JSON_HELP;

struct boot_job {
	struct edit_job common;
	const char *family, *crystal, *cycles, *pins;
	struct boot_order order;
	struct boot_result reset, pin; /* from reset; from the boot section */
	bool expects_loader;           /* a reset leads there */
	bool tried_pin, started, pin_started;
	char sentence[400], pin_sentence[400];
};

/* ---- what to run */

/* A family's name, or else a released file of one. */
static int find_family(const struct boot_job *job, const struct bootloader_set *set, const struct bootloader **family,
		       const struct bootloader_file **file, struct pogo_error *err)
{
	struct hex_image image;
	*file = NULL;
	*family = bootloader_find(set, job->family);
	if (*family != NULL)
		return 0;
	if (strpbrk(job->family, "./") == NULL)
		return pogo_fail(err, POGO_INPUT, "unknown bootloader \"%.40s\"; known are the files of configs/bootloaders",
				 job->family);
	hex_image_init(&image);
	int rc = format_read_file(job->family, NULL, &image, NULL, err);
	if (rc == 0 && !bootloader_recognise(set, &image, family, file))
		rc = pogo_fail(err, POGO_INPUT, "\"%.150s\" is no released bootloader whose fuses are known; give --fuses",
			       job->family);
	hex_image_finish(&image);
	return rc;
}

static int family_fuses(struct boot_job *job, struct pogo_error *err)
{
	struct bootloader_set set = {.count = 0};
	const struct bootloader *family;
	const struct bootloader_file *file;
	char configs[4096];
	int rc = -1;
	if (conf_dir(job->common.configs, configs, sizeof configs, err) != 0 ||
	    bootloader_load_all(configs, &set, err) != 0)
		return -1;
	if (find_family(job, &set, &family, &file, err) != 0) {
		bootloader_set_finish(&set);
		return -1;
	}
	const uint8_t *fuses = bootloader_fuses(family, file, job->common.part->name);
	if (fuses == NULL)
		pogo_fail(err, POGO_INPUT, "no fuses are published for %s on the %s; give --fuses", family->title,
			  job->common.part->title);
	else
		rc = 0;
	if (rc == 0)
		memcpy(job->order.fuses, fuses, PART_FUSES);
	bootloader_set_finish(&set);
	return rc;
}

static int choose_fuses(struct boot_job *job, struct pogo_error *err)
{
	const struct edit_job *common = &job->common;
	if (common->fuses != NULL && job->family != NULL)
		return pogo_fail(err, POGO_INPUT, "--fuses and --bootloader both say the fuses; give one");
	if (common->fuses != NULL)
		return fuses_parse(common->part, common->fuses, job->order.fuses, err);
	if (job->family != NULL)
		return family_fuses(job, err);
	memcpy(job->order.fuses, common->part->fuse_factory, PART_FUSES);
	return 0;
}

/* "B2=0,D4=1" */
static int take_pins(struct boot_job *job, struct pogo_error *err)
{
	struct boot_order *order = &job->order;
	for (const char *at = job->pins; at != NULL; at = *at == ',' ? at + 1 : NULL) {
		char port, bit, level;
		int len = 0;
		if (sscanf(at, "%c%c=%c%n", &port, &bit, &level, &len) != 3 || len != 4 || port < 'A' || port > 'L' ||
		    bit < '0' || bit > '7' || (level != '0' && level != '1') || (at[4] != ',' && at[4] != '\0') ||
		    order->pin_count == BOOT_PINS)
			return pogo_fail(err, POGO_INPUT, "--pin \"%.40s\": pins are written like B2=0,D4=1, %d at most",
					 job->pins, BOOT_PINS);
		order->pins[order->pin_count++] =
			(struct boot_pin){.port = port, .bit = (uint8_t)(bit - '0'), .level = level == '1'};
		at += 4;
	}
	return 0;
}

/* "B0-B7, C6-C7, …" */
static void list_pins(const struct part *part, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (int port = 'A'; port < 'A' + PART_PORTS; port++)
		for (unsigned bit = 0; bit < 8 && used < size; bit++) {
			unsigned first = bit;
			while (bit < 8 && part_has_pin(part, (char)port, bit))
				bit++;
			if (bit == first)
				continue;
			used += (size_t)snprintf(out + used, size - used, "%s%c%u", used > 0 ? ", " : "", port, first);
			if (bit - first > 1 && used < size)
				used += (size_t)snprintf(out + used, size - used, "-%c%u", port, bit - 1);
		}
}

static int check_pins(const struct boot_job *job, struct pogo_error *err)
{
	const struct part *part = job->common.part;
	const struct boot_order *order = &job->order;
	char pins[120];
	for (size_t i = 0; i < order->pin_count; i++) {
		const struct boot_pin *pin = &order->pins[i];
		for (size_t k = 0; k < i; k++)
			if (order->pins[k].port == pin->port && order->pins[k].bit == pin->bit)
				return pogo_fail(err, POGO_INPUT, "--pin \"%.80s\": %c%u is there twice", job->pins,
						 pin->port, pin->bit);
		if (part_has_pin(part, pin->port, pin->bit))
			continue;
		list_pins(part, pins, sizeof pins);
		return pogo_fail(err, POGO_INPUT, "--pin \"%.80s\": the %s has no pin %c%u; it has %s", job->pins,
				 part->title, pin->port, pin->bit, pins);
	}
	return 0;
}

static int prepare(struct boot_job *job, char **words, int count, struct pogo_error *err)
{
	struct edit_job *common = &job->common;
	int64_t crystal, cycles;
	if (common->part_name == NULL)
		return pogo_fail(err, POGO_INPUT, "boot needs --part P");
	if (take_pins(job, err) != 0)
		return -1;
	if (edit_number(job->crystal, "--crystal", 0, 100000000, 16000000, &crystal, err) != 0 ||
	    edit_number(job->cycles, "--cycles", 1, INT64_MAX, 0, &cycles, err) != 0 ||
	    edit_job_open(common, words, count, 0, err) != 0)
		return -1;
	if (!part_is_avr(common->part))
		return pogo_fail(err, POGO_SYSTEM, "simavr simulates AVRs, and the %s is none; check can tell whether it may "
				 "start", common->part->title);
	if (check_pins(job, err) != 0)
		return -1;
	if (fit_check(common->part, &common->image, common->path, err) != 0 || choose_fuses(job, err) != 0)
		return -1;
	job->order.part = common->part;
	job->order.image = &common->image;
	job->order.crystal_hz = (uint32_t)crystal;
	job->order.cycles = (uint64_t)cycles;
	return 0;
}

/* ---- what came out */

static double ms(const struct boot_result *result, uint64_t cycles)
{
	return (double)cycles * 1000 / result->frequency;
}

/* How the run ended, as a verb. */
static void put_end(const struct boot_result *r, char *out, size_t size)
{
	static const char *const words[] = {
		[BOOT_LOOPS] = "settles in a loop",
		[BOOT_SLEEPS] = "sleeps with interrupts off",
		[BOOT_BUDGET] = "has not settled within the cycles",
		[BOOT_BLANK] = "comes to a place without code",
		[BOOT_CRASHED] = "crashes",
	};
	if (r->end == BOOT_RESTARTS && r->restart_by_reset)
		snprintf(out, size, "is reset again and again (by the watchdog, at 0x%05" PRIX32 ")", r->restart_from);
	else if (r->end == BOOT_RESTARTS)
		snprintf(out, size, "restarts again and again (from 0x%05" PRIX32 ")", r->restart_from);
	else if (r->end == BOOT_BUDGET && r->resets > 0)
		snprintf(out, size, "%s, with %u reset%s by the watchdog,", words[r->end], r->resets,
			 r->resets > 1 ? "s" : "");
	else
		snprintf(out, size, "%s", words[r->end]);
}

/* Where the run ended, or what restarts: a reset of the application leads to the bootloader. */
static bool ends_in_loader(const struct boot_result *r)
{
	return r->end == BOOT_RESTARTS ? r->restart_of_loader : r->in_loader;
}

static bool rests(const struct boot_result *result)
{
	return result->end == BOOT_LOOPS || result->end == BOOT_SLEEPS;
}

static void put_trail(const struct boot_result *result, char *out, size_t size)
{
	size_t used = 0;
	out[0] = '\0';
	for (unsigned i = BOOT_TRAIL - result->trail_count; i < BOOT_TRAIL && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s0x%05" PRIX32, used > 0 ? " " : "",
					 result->trail[i]);
}

static void judge_reset(struct boot_job *job)
{
	const struct boot_result *r = &job->reset;
	char loader[80] = "", trail[BOOT_TRAIL * 10], end[100];
	put_end(r, end, sizeof end);
	job->started = (!job->expects_loader || r->loader_entered) && r->application_entered && !r->in_loader && rests(r);
	if (r->loader_entered)
		snprintf(loader, sizeof loader, "the bootloader after %.3f ms, ", ms(r, r->loader_cycle));
	if (job->started) {
		snprintf(job->sentence, sizeof job->sentence,
			 "starts: %sthe application after %.3f ms, which %s (0x%05" PRIX32 ")", loader,
			 ms(r, r->application_cycle), end, r->trail[BOOT_TRAIL - 1]);
		return;
	}
	put_trail(r, trail, sizeof trail);
	snprintf(job->sentence, sizeof job->sentence, "does not start: %s%s %s after %.3f ms; last addresses %s", loader,
		 ends_in_loader(r) ? "and that" : r->application_entered ? "the application" : "the chip", end,
		 ms(r, r->cycles), r->trail_count > 0 ? trail : "none");
}

static void judge_pin(struct boot_job *job)
{
	const struct boot_result *r = &job->pin;
	char trail[BOOT_TRAIL * 10], end[100];
	put_end(r, end, sizeof end);
	job->pin_started = r->loader_entered && rests(r);
	put_trail(r, trail, sizeof trail);
	if (job->pin_started)
		snprintf(job->pin_sentence, sizeof job->pin_sentence, "the bootloader, started by its pin, %s%s (0x%05" PRIX32 ")",
			 end, r->in_loader ? "" : " of the application", r->trail[BOOT_TRAIL - 1]);
	else
		snprintf(job->pin_sentence, sizeof job->pin_sentence,
			 "the bootloader, started by its pin, %s%s after %.3f ms; last addresses %s",
			 ends_in_loader(r) || !r->application_entered ? "" : "starts the application, which ", end,
			 ms(r, r->cycles), r->trail_count > 0 ? trail : "none");
}

static void json_run(struct jsonw *json, const char *key, const struct boot_result *r, bool started, const char *sentence)
{
	static const char *const ends[] = {"loops", "sleeps", "budget", "blank", "crashed", "restarts"};
	jsonw_open(json, key, '{');
	jsonw_bool(json, "started", started);
	jsonw_str(json, "end", ends[r->end]);
	jsonw_int(json, "cpu_hz", r->frequency);
	jsonw_int(json, "cycles", (int64_t)r->cycles);
	jsonw_int(json, "resets", r->resets);
	jsonw_bool(json, "bootloader", r->loader_entered);
	jsonw_int(json, "bootloader_cycle", (int64_t)r->loader_cycle);
	jsonw_bool(json, "application", r->application_entered);
	jsonw_int(json, "application_cycle", (int64_t)r->application_cycle);
	jsonw_open(json, "last_addresses", '[');
	for (unsigned i = BOOT_TRAIL - r->trail_count; i < BOOT_TRAIL; i++)
		jsonw_int(json, NULL, r->trail[i]);
	jsonw_close(json, ']');
	jsonw_str(json, "text", sentence);
	jsonw_close(json, '}');
}

static int report_json(const struct boot_job *job, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "path", job->common.path);
	jsonw_str(&json, "part", job->common.part->name);
	json_run(&json, "reset", &job->reset, job->started, job->sentence);
	if (job->tried_pin)
		json_run(&json, "pin", &job->pin, job->pin_started, job->pin_sentence);
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

static int report_text(const struct boot_job *job, struct pogo_error *err)
{
	struct edit_text text;
	if (edit_text_open(&text, err) != 0)
		return -1;
	fprintf(text.out, "%s on the %s at %g MHz %s\n", job->common.path, job->common.part->title,
		job->reset.frequency / 1e6, job->sentence);
	if (job->tried_pin)
		fprintf(text.out, "%s\n", job->pin_sentence);
	return edit_text_print(&text, NULL, err);
}

/* ---- the command */

/* A bootloader that a reset does not lead to is entered by a pin (HWBE) or by a jump. */
static bool has_other_entry(const struct boot_job *job)
{
	uint32_t start, bytes;
	uint8_t first;
	return !job->expects_loader && fuses_boot_section(job->order.part, job->order.fuses, &start, &bytes) &&
	       part_bit(job->order.part, "HWBE") != NULL &&
	       hex_image_read(job->order.image, start, &first, 1, 0xFF) == 1;
}

static int run_both(struct boot_job *job, struct pogo_error *err)
{
	job->expects_loader = fuses_boot_reset(job->order.part, job->order.fuses);
	if (boot_run(&job->order, &job->reset, err) != 0)
		return -1;
	judge_reset(job);
	if (!has_other_entry(job))
		return 0;
	job->tried_pin = true;
	job->order.from_boot = true;
	if (boot_run(&job->order, &job->pin, err) != 0)
		return -1;
	judge_pin(job);
	return 0;
}

static int boot(struct boot_job *job, char **words, int count, struct pogo_error *err)
{
	if (prepare(job, words, count, err) != 0 || run_both(job, err) != 0)
		return -1;
	if ((job->common.json ? report_json : report_text)(job, err) != 0)
		return -1;
	if (job->started && (!job->tried_pin || job->pin_started))
		return 0;
	return pogo_fail(err, POGO_NO, "\"%.200s\" does not start as it should on the %s", job->common.path,
			 job->common.part->title);
}

int cmd_boot(int argc, char **argv, struct pogo_error *err)
{
	struct boot_job job = {.family = NULL};
	const struct option_spec specs[] = {EDIT_SPECS(job.common),
					    EDIT_PART_SPECS(job.common),
					    {"bootloader", 0, &job.family, NULL},
					    {"crystal", 0, &job.crystal, NULL},
					    {"cycles", 0, &job.cycles, NULL},
					    {"pin", 0, &job.pins, NULL},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	int rc = boot(&job, argv, count, err);
	edit_job_finish(&job.common);
	return rc;
}
