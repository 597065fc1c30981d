#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "db/cmd.h"
#include "db/report_json.h"
#include "db/unit_life.h"

static const char usage[] =
	"usage: pogo-yield unit SERIAL [--db FILE] [--product NAME] [--json]\n"
	"Tells the whole life of one unit: every attempt, its steps, measures and result, and its serial number's states.\n"
	"  SERIAL          a serial number, or unit-N for a board that failed before it got one\n"
	"  --db FILE       the log (pogoline.db)\n"
	"  --product NAME  when several products have that serial number\n"
	"  --json          for programs\n"
	"Exit: 0 done, 1 no such unit, 2 usage or unreadable log, 3 the system failed.\n";

static const char *or_dash(const char *text)
{
	return text && *text ? text : "-";
}

/* Breaks a sentence at spaces so that it stays within 80 columns behind a label of 13. */
static void print_wrapped(const char *label, const char *text)
{
	const size_t room = 80 - 14;

	printf("  %-11s ", label);
	while (strlen(text) > room) {
		size_t cut = room;

		while (cut > room / 2 && text[cut] != ' ')
			cut--;
		if (text[cut] != ' ')
			cut = room;
		printf("%.*s\n%14s", (int)cut, text, "");
		text += cut;
		while (*text == ' ')
			text++;
	}
	puts(text);
}

static void print_duration(int64_t us)
{
	if (us < 0)
		printf("%12s", "-");
	else
		printf("%9.3f ms", (double)us / 1000);
}

static void print_verdict(const struct life_attempt *attempt)
{
	printf("\nAttempt %" PRId64 " (log %" PRId64 ", run %" PRId64 "): %s", attempt->number, attempt->id, attempt->run,
	       attempt->status ? attempt->status : "running");
	if (attempt->code)
		printf(" %s", attempt->code);
	if (attempt->step)
		printf(" in %s", attempt->step);
	if (attempt->duration_us >= 0)
		printf(", %.3f s", (double)attempt->duration_us / 1e6);
	puts(attempt->interrupted ? ", interrupted" : "");
	if (attempt->sentence)
		print_wrapped("said", attempt->sentence);
	if (attempt->address >= 0)
		printf("  %-11s address 0x%" PRIx64 ", expected 0x%02" PRIx64 ", found 0x%02" PRIx64 "\n", "where",
		       (uint64_t)attempt->address, (uint64_t)attempt->expected, (uint64_t)attempt->found);
}

static void print_circumstances(const struct life_attempt *attempt)
{
	char from[32], to[32];

	cmd_time(attempt->opened_ms, from, sizeof(from));
	cmd_time(attempt->closed_ms < 0 ? 0 : attempt->closed_ms, to, sizeof(to));
	printf("  %-11s %s to %s\n", "time", from, to);
	printf("  %-11s %s at port %s of station %s\n", "slot", attempt->slot, or_dash(attempt->port),
	       or_dash(attempt->station));
	printf("  %-11s %s\n", "operator", or_dash(attempt->operator_name));
	printf("  %-11s %s, firmware %s, USB %s\n", "programmer", or_dash(attempt->programmer), or_dash(attempt->firmware),
	       or_dash(attempt->usb));
	printf("  %-11s %.12s for %s\n", "image", or_dash(attempt->image_digest), or_dash(attempt->part));
	printf("  %-11s %s, Pogoline %s\n", "recipe", or_dash(attempt->recipe_path), or_dash(attempt->tool_version));
}

static void print_details(const struct life_attempt *attempt)
{
	for (size_t i = 0; i < attempt->step_count; i++) {
		const struct life_step *step = &attempt->steps[i];

		printf("  %-11s %-12s ", i ? "" : "steps", step->name);
		print_duration(step->duration_us);
		printf("  %s\n", step->result ? step->result : "running");
	}
	for (size_t i = 0; i < attempt->measure_count; i++) {
		const struct life_measure *measure = &attempt->measures[i];

		printf("  %-11s %-18s ", i ? "" : "measures", measure->name);
		if (measure->text)
			puts(measure->text);
		else
			printf("%" PRId64 "\n", measure->number);
	}
}

static void print_life(const struct unit_life *life)
{
	printf("Unit %s, product %s\n", life->name, life->product);
	if (life->state)
		printf("Serial number: %s\n", life->state);
	else
		puts("It never got a serial number.");
	for (size_t i = 0; i < life->attempt_count; i++) {
		print_verdict(&life->attempts[i]);
		print_circumstances(&life->attempts[i]);
		print_details(&life->attempts[i]);
	}
	if (life->state_count)
		printf("\nHistory of the serial number\n");
	for (size_t i = 0; i < life->state_count; i++) {
		char at[32];

		cmd_time(life->states[i].at_ms, at, sizeof(at));
		printf("  %s  %-10s log %" PRId64 "\n", at, life->states[i].state, life->states[i].attempt);
	}
}

static void json_number(struct report_json *json, const char *key, int64_t value)
{
	if (value < 0)
		report_json_null(json, key);
	else
		report_json_int(json, key, value);
}

static void json_verdict(struct report_json *json, const struct life_attempt *attempt)
{
	report_json_int(json, "id", attempt->id);
	report_json_int(json, "number", attempt->number);
	report_json_int(json, "run", attempt->run);
	json_number(json, "opened_ms", attempt->opened_ms);
	json_number(json, "closed_ms", attempt->closed_ms);
	json_number(json, "duration_us", attempt->duration_us);
	report_json_text(json, "status", attempt->status);
	report_json_text(json, "code", attempt->code);
	report_json_text(json, "step", attempt->step);
	report_json_text(json, "sentence", attempt->sentence);
	json_number(json, "address", attempt->address);
	json_number(json, "expected", attempt->expected);
	json_number(json, "found", attempt->found);
	report_json_bool(json, "interrupted", attempt->interrupted);
}

static void json_circumstances(struct report_json *json, const struct life_attempt *attempt)
{
	report_json_text(json, "station", attempt->station);
	report_json_text(json, "operator", attempt->operator_name);
	report_json_text(json, "slot", attempt->slot);
	report_json_text(json, "port", attempt->port);
	report_json_text(json, "programmer", attempt->programmer);
	report_json_text(json, "programmer_firmware", attempt->firmware);
	report_json_text(json, "programmer_usb", attempt->usb);
	report_json_text(json, "part", attempt->part);
	report_json_text(json, "image_digest", attempt->image_digest);
	report_json_text(json, "recipe", attempt->recipe_path);
	report_json_text(json, "tool_version", attempt->tool_version);
}

static void json_details(struct report_json *json, const struct life_attempt *attempt)
{
	report_json_open(json, "steps", '[');
	for (size_t i = 0; i < attempt->step_count; i++) {
		report_json_open(json, NULL, '{');
		report_json_text(json, "name", attempt->steps[i].name);
		json_number(json, "begun_ms", attempt->steps[i].begun_ms);
		json_number(json, "duration_us", attempt->steps[i].duration_us);
		report_json_text(json, "result", attempt->steps[i].result);
		report_json_close(json, '}');
	}
	report_json_close(json, ']');
	report_json_open(json, "measures", '{');
	for (size_t i = 0; i < attempt->measure_count; i++) {
		if (attempt->measures[i].text)
			report_json_text(json, attempt->measures[i].name, attempt->measures[i].text);
		else
			report_json_int(json, attempt->measures[i].name, attempt->measures[i].number);
	}
	report_json_close(json, '}');
}

static void print_json(const struct unit_life *life)
{
	struct report_json json = {.out = stdout};

	report_json_open(&json, NULL, '{');
	report_json_text(&json, "unit", life->name);
	report_json_text(&json, "product", life->product);
	report_json_text(&json, "serial_state", life->state);
	report_json_open(&json, "attempts", '[');
	for (size_t i = 0; i < life->attempt_count; i++) {
		report_json_open(&json, NULL, '{');
		json_verdict(&json, &life->attempts[i]);
		json_circumstances(&json, &life->attempts[i]);
		json_details(&json, &life->attempts[i]);
		report_json_close(&json, '}');
	}
	report_json_close(&json, ']');
	report_json_open(&json, "serial_history", '[');
	for (size_t i = 0; i < life->state_count; i++) {
		report_json_open(&json, NULL, '{');
		report_json_int(&json, "at_ms", life->states[i].at_ms);
		report_json_text(&json, "state", life->states[i].state);
		report_json_int(&json, "attempt", life->states[i].attempt);
		report_json_close(&json, '}');
	}
	report_json_close(&json, ']');
	report_json_close(&json, '}');
}

static int tell(const struct cmd_options *options, const char *name)
{
	struct log_error err = {0};
	struct reader reader;
	struct unit_life life;
	int status = (int)cmd_open(options, &reader);

	if (status == READER_OK) {
		int found = unit_life_load(&reader.sql, name, options->product, &life, &err);

		if (found != 1) {
			fprintf(stderr, "pogo-yield: %s\n", err.text);
			status = found == 0 ? 1 : READER_SYSTEM;
		} else {
			if (options->json)
				print_json(&life);
			else
				print_life(&life);
			unit_life_free(&life);
		}
	}
	reader_close(&reader);
	return status;
}

int cmd_unit(int argc, char **argv)
{
	struct cmd_options options;
	int rest = cmd_options_parse(argc, argv, 0, &options);

	if (rest < 0)
		return READER_INPUT;
	if (options.help) {
		fputs(usage, stdout);
		return cmd_finish(0);
	}
	if (rest != argc - 1) {
		fprintf(stderr, "pogo-yield: unit takes one serial number; see pogo-yield unit --help\n");
		return READER_INPUT;
	}
	return cmd_finish(tell(&options, argv[rest]));
}
