#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/cmd.h"
#include "db/report_json.h"
#include "db/yield.h"

static const char usage[] =
	"usage: pogo-yield summary [--db FILE] [--run N|all|last] [--product NAME] [--json]\n"
	"Counts attempts and units, and tells the yields with their 95 % intervals.\n"
	"  --db FILE       the log (pogoline.db)\n"
	"  --run N         one run, `last`, or `all` (the default)\n"
	"  --product NAME  only this product\n"
	"  --json          for programs; shares are 0..1\n"
	"Exit: 0 done, 1 no such run or product, 2 usage or unreadable log, 3 the system failed.\n";

static int parse_run(const char *text, int64_t *run)
{
	char *end = NULL;

	*run = YIELD_ALL_RUNS;
	if (!text || strcmp(text, "all") == 0)
		return 0;
	if (strcmp(text, "last") == 0) {
		*run = YIELD_LAST_RUN;
		return 0;
	}
	*run = strtoll(text, &end, 10);
	return *text < '0' || *text > '9' || *end != '\0' || *run < 1 ? -1 : 0;
}

/* "33.3 %    9.7-70.0 %", fixed width; "-" when there is nothing to divide. */
static void share_text(const struct wilson *rate, char *out, size_t size)
{
	char interval[32];

	if (rate->total == 0) {
		snprintf(out, size, "%7s  %13s", "-", "-");
		return;
	}
	snprintf(interval, sizeof(interval), "%.1f-%.1f %%", rate->low * 100, rate->high * 100);
	snprintf(out, size, "%5.1f %%  %13s", rate->share * 100, interval);
}

static void print_rate(const char *name, const struct wilson *rate)
{
	char share[64];

	share_text(rate, share, sizeof(share));
	printf("%-18s %8" PRIu64 " of %-8" PRIu64 " %s\n", name, rate->good, rate->total, share);
}

static void print_head(const struct cmd_options *options, const struct yield *yield)
{
	char from[32], to[32];

	cmd_time(yield->begun_ms, from, sizeof(from));
	cmd_time(yield->ended_ms, to, sizeof(to));
	if (yield->run)
		printf("Log %s, run %" PRId64, options->db, yield->run);
	else
		printf("Log %s, %" PRIu64 " run%s", options->db, yield->runs, yield->runs == 1 ? "" : "s");
	if (options->product)
		printf(", product %s", options->product);
	printf("\n%s to %s\n\n", from, to);
}

static void print_counts(const struct yield *yield)
{
	printf("attempts %8" PRIu64 "   passed %" PRIu64 ", failed %" PRIu64 ", station errors %" PRIu64, yield->attempts,
	       yield->passed, yield->failed, yield->errors);
	if (yield->open)
		printf(", running %" PRIu64, yield->open);
	printf("\nunits    %8" PRIu64 "   retested %" PRIu64 ", failed first and passed later %" PRIu64 "\n\n",
	       yield->first.total, yield->retested, yield->false_failed);
}

static void print_rates(const struct yield *yield)
{
	printf("%-18s %20s %8s  %13s\n", "yield", "", "share", "95 % interval");
	print_rate("first pass", &yield->first);
	print_rate("by 2nd attempt", &yield->second);
	print_rate("final", &yield->final);
	print_rate("per attempt", &yield->attempt);
	fputs("\nfirst pass: units whose first attempt passed / units.\n"
	      "by 2nd attempt: units that passed at their first or second attempt / units.\n"
	      "final: units whose latest attempt passed / units, whenever that was.\n"
	      "per attempt: passed / passed + failed attempts.\n"
	      "unit: a serial number, or a board that was judged before it got one;\n"
	      "  it belongs to the run and slot of its first attempt.\n"
	      "station errors (ERROR) are the station's own trouble: listed, in no yield.\n"
	      "interval: Wilson score, where the true share lies with 95 % confidence.\n", stdout);
}

static void print_slots(const struct yield *yield)
{
	if (!yield->slot_count)
		return;
	printf("\n%-12s %-10s %-10s %8s %6s %5s  %s\n", "station", "slot", "port", "attempts", "errors", "units",
	       "first pass, 95 %");
	for (size_t i = 0; i < yield->slot_count; i++) {
		const struct yield_slot *slot = &yield->slots[i];
		char share[64];

		share_text(&slot->first, share, sizeof(share));
		printf("%-12.12s %-10.10s %-10.10s %8" PRIu64 " %6" PRIu64 " %5" PRIu64 " %s\n", slot->station, slot->name,
		       slot->port, slot->attempts, slot->errors, slot->first.total, share);
	}
}

static void print_codes(const struct yield *yield)
{
	if (!yield->code_count)
		return;
	printf("\n%-18s %-8s %8s\n", "code", "status", "attempts");
	for (size_t i = 0; i < yield->code_count; i++)
		printf("%-18s %-8s %8" PRIu64 "\n", yield->codes[i].code, yield->codes[i].status, yield->codes[i].count);
}

static void json_rate(struct report_json *json, const char *key, const struct wilson *rate)
{
	report_json_open(json, key, '{');
	report_json_int(json, "good", (int64_t)rate->good);
	report_json_int(json, "total", (int64_t)rate->total);
	report_json_number(json, "share", rate->share);
	report_json_number(json, "low", rate->low);
	report_json_number(json, "high", rate->high);
	report_json_close(json, '}');
}

static void json_lists(struct report_json *json, const struct yield *yield)
{
	report_json_open(json, "slots", '[');
	for (size_t i = 0; i < yield->slot_count; i++) {
		const struct yield_slot *slot = &yield->slots[i];

		report_json_open(json, NULL, '{');
		report_json_text(json, "station", slot->station);
		report_json_text(json, "slot", slot->name);
		report_json_text(json, "port", slot->port);
		report_json_int(json, "attempts", (int64_t)slot->attempts);
		report_json_int(json, "errors", (int64_t)slot->errors);
		json_rate(json, "first_pass", &slot->first);
		report_json_close(json, '}');
	}
	report_json_close(json, ']');
	report_json_open(json, "codes", '[');
	for (size_t i = 0; i < yield->code_count; i++) {
		report_json_open(json, NULL, '{');
		report_json_text(json, "code", yield->codes[i].code);
		report_json_text(json, "status", yield->codes[i].status);
		report_json_int(json, "attempts", (int64_t)yield->codes[i].count);
		report_json_close(json, '}');
	}
	report_json_close(json, ']');
}

static void print_json(const struct cmd_options *options, const struct yield *yield)
{
	struct report_json json = {.out = stdout};

	report_json_open(&json, NULL, '{');
	report_json_text(&json, "db", options->db);
	if (yield->run)
		report_json_int(&json, "run", yield->run);
	else
		report_json_null(&json, "run");
	report_json_text(&json, "product", options->product);
	report_json_int(&json, "runs", (int64_t)yield->runs);
	report_json_int(&json, "begun_ms", yield->begun_ms);
	report_json_int(&json, "ended_ms", yield->ended_ms);
	report_json_int(&json, "attempts", (int64_t)yield->attempts);
	report_json_int(&json, "passed", (int64_t)yield->passed);
	report_json_int(&json, "failed", (int64_t)yield->failed);
	report_json_int(&json, "errors", (int64_t)yield->errors);
	report_json_int(&json, "running", (int64_t)yield->open);
	report_json_int(&json, "units", (int64_t)yield->first.total);
	report_json_int(&json, "units_retested", (int64_t)yield->retested);
	report_json_int(&json, "attempts_beyond_first", (int64_t)yield->extra);
	report_json_int(&json, "units_failed_then_passed", (int64_t)yield->false_failed);
	json_rate(&json, "first_pass", &yield->first);
	json_rate(&json, "second_pass", &yield->second);
	json_rate(&json, "final", &yield->final);
	json_rate(&json, "per_attempt", &yield->attempt);
	json_lists(&json, yield);
	report_json_close(&json, '}');
}

static int summarize(const struct cmd_options *options, int64_t run)
{
	struct yield_wish wish = {.run = run, .product = options->product};
	struct log_error err = {0};
	struct reader reader;
	struct yield yield;
	int status = (int)cmd_open(options, &reader);

	if (status == READER_OK) {
		int found = yield_load(&reader.sql, &wish, &yield, &err);

		if (found != 1) {
			fprintf(stderr, "pogo-yield: %s\n", err.text);
			status = found == 0 ? 1 : READER_SYSTEM;
		} else if (options->json) {
			print_json(options, &yield);
		} else {
			print_head(options, &yield);
			print_counts(&yield);
			print_rates(&yield);
			print_slots(&yield);
			print_codes(&yield);
		}
		if (found == 1)
			yield_free(&yield);
	}
	reader_close(&reader);
	return status;
}

int cmd_summary(int argc, char **argv)
{
	struct cmd_options options;
	int64_t run = 0;
	int rest = cmd_options_parse(argc, argv, 1, &options);

	if (rest < 0)
		return READER_INPUT;
	if (options.help) {
		fputs(usage, stdout);
		return cmd_finish(0);
	}
	if (rest < argc) {
		fprintf(stderr, "pogo-yield: summary takes no \"%s\"; see pogo-yield summary --help\n", argv[rest]);
		return READER_INPUT;
	}
	if (parse_run(options.run, &run) < 0) {
		fprintf(stderr, "pogo-yield: --run %s: a run's number, all or last is needed\n", options.run);
		return READER_INPUT;
	}
	return cmd_finish(summarize(&options, run));
}
