#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/outfile.h"
#include "hextools/unit_serial.h"

static const char help[] =
	"pogo-hex serial --address A --format FORMAT (--value V | --counter START[+STEP] | --csv FILE\n"
	"                --column NAME) -o OUT IN[@OFFSET]\n"
	"\n"
	"Puts the data of one unit into the image, or of many units into a file each. Nothing is cut or\n"
	"padded unless you say so; bytes that are not blank (0xFF) are not overwritten unless you say so.\n"
	"\n"
	"  --address A        where the first byte goes\n"
	"  --memory NAME      flash (default) or eeprom, whose address 0 is 0x810000 of the image\n"
	"  --format FORMAT    ascii, utf16le-usb (a whole USB string descriptor: length, 0x03, UTF-16LE),\n"
	"                     bcd (two digits a byte), u8, u16, u32, u64\n"
	"  --endian le|be     of integers (default le) and bcd (default be: as it is read)\n"
	"  --length N         bytes of the field (else as long as the value, or as --expect)\n"
	"  --pad BYTE         what fills the rest of the field, like 0; else a shorter value is refused, as\n"
	"                     integers always are\n"
	"  --expect VALUE     the placeholder that must stand there, in the same format; or hex:FF00...\n"
	"  --over             overwrite whatever stands there\n"
	"\n"
	"  --value V          one unit\n"
	"  --counter S[+N]    numbers from S in steps of N (1)\n"
	"  --count N          how many units (default 1)\n"
	"  --prefix TEXT      before the number\n"
	"  --width N          digits of the number, with leading zeros; more digits are refused\n"
	"  --csv FILE         a table with a line of names\n"
	"  --column NAME      where in it the value stands\n"
	"  --row N            the unit of row N (1 is the first below the names), or\n"
	"  --all              one file for each row\n"
	"  --separator C      of the cells (default ,)\n"
	"\n"
	"  -o, --output OUT   a name, in which {serial} and {row} are replaced; several units need one of\n"
	"                     them. All files appear, or none\n"
	"  --in-format NAME   the input is ihex, srec, elf, uf2 or binary (else seen by its content)\n"
	"  --family NAME      take this family of a UF2 file that has several\n"
	"  --to-format NAME   write ihex, srec, uf2 or binary (else by OUT's name, else Intel HEX)\n"
	"  --to-family NAME   UF2's family\n"
	"  --lenient          accept harmless oddities of the input, and say each one\n" EDIT_JSON_HELP;

enum { MAX_UNITS = 100000 };

struct serial_job {
	struct edit_job common;
	const char *address, *memory, *format, *endian, *length, *pad, *expect;
	const char *value, *counter, *count_text, *prefix, *width;
	const char *csv, *column, *row, *separator;
	bool over, all;

	struct unit_field field;
	uint8_t *expect_hex, expect_bytes[UNIT_MAX];
	int64_t first, step, count, digits;
	struct unit_table *table;
	size_t first_row;
	struct edit_outputs outputs;
	struct jsonw json;
};

/* ---- the field -------------------------------------------------------------------------------------- */

static int read_endian(struct serial_job *job, struct pogo_error *err)
{
	struct unit_field *field = &job->field;
	bool one_byte_order = field->format == UNIT_ASCII || field->format == UNIT_USB_STRING ||
			      field->format == UNIT_U8;
	field->big_endian = field->format == UNIT_BCD;
	if (job->endian == NULL)
		return 0;
	if (one_byte_order)
		return pogo_fail(err, POGO_INPUT, "--endian says nothing for %s", job->format);
	if (strcmp(job->endian, "le") != 0 && strcmp(job->endian, "be") != 0)
		return pogo_fail(err, POGO_INPUT, "--endian \"%.40s\" is none of le, be", job->endian);
	field->big_endian = strcmp(job->endian, "be") == 0;
	return 0;
}

static int read_expect(struct serial_job *job, struct pogo_error *err)
{
	struct unit_field *field = &job->field;
	if (job->expect == NULL)
		return 0;
	if (strncmp(job->expect, "hex:", 4) == 0) {
		if (edit_hex_bytes(job->expect + 4, "--expect", &job->expect_hex, &field->expect_len, err) != 0)
			return -1;
		field->expect = job->expect_hex;
	} else {
		struct unit_field plain = {.format = field->format, .big_endian = field->big_endian, .pad = -1};
		struct pogo_error why = {.text = ""};
		if (unit_encode(&plain, job->expect, job->expect_bytes, &field->expect_len, &why) != 0)
			return pogo_fail(err, why.kind, "--expect: %.500s", why.text);
		field->expect = job->expect_bytes;
	}
	if (field->expect_len > UNIT_MAX)
		return pogo_fail(err, POGO_INPUT, "--expect is longer than %d bytes", UNIT_MAX);
	if (field->length == 0)
		field->length = field->expect_len;
	/* What is left of a placeholder would pass as part of the value. */
	if (field->expect_len > field->length)
		return pogo_fail(err, POGO_INPUT, "--expect has %zu bytes, the field only %zu: the rest would stay",
				 field->expect_len, field->length);
	return 0;
}

static int read_field(struct serial_job *job, struct pogo_error *err)
{
	struct unit_field *field = &job->field;
	int64_t addr, length, pad;
	bool eeprom = job->memory != NULL && strcmp(job->memory, "eeprom") == 0;
	if (job->address == NULL || job->format == NULL)
		return pogo_fail(err, POGO_INPUT, "serial needs --address A and --format FORMAT");
	if (!unit_format_find(job->format, &field->format))
		return pogo_fail(err, POGO_INPUT,
				 "--format \"%.40s\" is none of ascii, utf16le-usb, bcd, u8, u16, u32, u64 "
				 "(the input's format is --in-format)", job->format);
	if (job->memory != NULL && !eeprom && strcmp(job->memory, "flash") != 0)
		return pogo_fail(err, POGO_INPUT, "--memory \"%.40s\" is none of flash, eeprom", job->memory);
	if (edit_number(job->address, "--address", 0, eeprom ? 0xFFFF : UINT32_MAX, 0, &addr, err) != 0 ||
	    edit_number(job->length, "--length", 1, UNIT_MAX, 0, &length, err) != 0 ||
	    edit_number(job->pad, "--pad", 0, 255, -1, &pad, err) != 0)
		return -1;
	field->addr = (uint32_t)addr + (eeprom ? AVR_EEPROM_BASE : 0);
	field->length = (size_t)length;
	field->pad = (int)pad;
	field->over = job->over;
	if (job->over && job->expect != NULL)
		return pogo_fail(err, POGO_INPUT, "--over and --expect contradict each other");
	return read_endian(job, err) != 0 ? -1 : read_expect(job, err);
}

/* ---- the values ------------------------------------------------------------------------------------- */

/* "START" or "START+STEP". */
static int read_counter(struct serial_job *job, struct pogo_error *err)
{
	size_t len = strcspn(job->counter, "+");
	job->step = 1;
	if (edit_number_of(job->counter, len, "--counter", 0, INT64_MAX, &job->first, err) != 0)
		return -1;
	if (job->counter[len] == '+' && options_number(job->counter + len + 1, "step of --counter", 1,
						       UINT32_MAX, &job->step, err) != 0)
		return -1;
	if (edit_number(job->count_text, "--count", 1, MAX_UNITS, 1, &job->count, err) != 0 ||
	    edit_number(job->width, "--width", 1, 20, 0, &job->digits, err) != 0)
		return -1;
	if (job->first > INT64_MAX - job->step * job->count)
		return pogo_fail(err, POGO_INPUT, "--counter runs past %" PRId64, INT64_MAX);
	if (job->field.format >= UNIT_U8 && (job->prefix != NULL || job->width != NULL))
		return pogo_fail(err, POGO_INPUT, "%s holds a number alone: no --prefix and no --width",
				 job->format);
	return 0;
}

static const char *csv_name(const struct serial_job *job)
{
	return strcmp(job->csv, "-") == 0 ? "standard input" : job->csv;
}

static int read_csv(struct serial_job *job, struct pogo_error *err)
{
	char *text;
	size_t len;
	int64_t row;
	const char *separator = job->separator != NULL ? job->separator : ",";
	if (job->column == NULL)
		return pogo_fail(err, POGO_INPUT, "--csv needs --column NAME");
	if ((job->row != NULL) == job->all)
		return pogo_fail(err, POGO_INPUT, "--csv needs one of --row N and --all");
	if (strlen(separator) != 1 || strchr("\"\r\n", separator[0]) != NULL)
		return pogo_fail(err, POGO_INPUT, "--separator is one character, like , or ;");
	if (edit_number(job->row, "--row", 1, INT32_MAX, 1, &row, err) != 0 ||
	    infile_read(job->csv, &text, &len, err) != 0)
		return -1;
	int rc = unit_table_parse(text, len, csv_name(job), separator[0], &job->table, err);
	free(text);
	if (rc != 0)
		return -1;
	job->first_row = (size_t)row;
	job->count = job->all ? (int64_t)unit_table_rows(job->table) : 1;
	return job->count <= MAX_UNITS ? 0 : pogo_fail(err, POGO_INPUT, "more than %d rows", MAX_UNITS);
}

static int refuse_stray(const struct serial_job *job, struct pogo_error *err)
{
	bool counter = job->counter != NULL, csv = job->csv != NULL;
	if ((job->value != NULL) + counter + csv != 1)
		return pogo_fail(err, POGO_INPUT, "serial needs one of --value, --counter and --csv");
	if (!counter && (job->count_text != NULL || job->prefix != NULL || job->width != NULL))
		return pogo_fail(err, POGO_INPUT, "--count, --prefix and --width go with --counter");
	if (!csv && (job->column != NULL || job->row != NULL || job->all || job->separator != NULL))
		return pogo_fail(err, POGO_INPUT, "--column, --row, --all and --separator go with --csv");
	return 0;
}

static int read_values(struct serial_job *job, struct pogo_error *err)
{
	job->count = 1;
	job->first_row = 1;
	if (refuse_stray(job, err) != 0)
		return -1;
	if (job->counter != NULL)
		return read_counter(job, err);
	return job->csv != NULL ? read_csv(job, err) : 0;
}

static int value_of(const struct serial_job *job, int64_t i, char *room, size_t size, const char **value,
		    struct pogo_error *err)
{
	*value = job->value != NULL ? job->value : room;
	if (job->table != NULL)
		return unit_table_cell(job->table, job->column, job->first_row + (size_t)i, value, err);
	if (job->counter == NULL)
		return 0;
	return unit_number(job->prefix != NULL ? job->prefix : "", (uint64_t)(job->first + i * job->step),
			   (unsigned)job->digits, room, size, err);
}

/* ---- no two alike ----------------------------------------------------------------------------------- */

/* "FILE.csv:LINE" or "unit N". */
static void place_of(const struct serial_job *job, size_t i, char *out, size_t size)
{
	size_t row = job->first_row + i;
	if (job->table != NULL)
		snprintf(out, size, "%.150s:%zu", csv_name(job), unit_table_line(job->table, row));
	else
		snprintf(out, size, "unit %zu", row);
}

static int refuse_same(const struct serial_job *job, const struct unit_written *same, struct pogo_error *err)
{
	char room_a[600], room_b[600], a_at[180], b_at[180];
	const char *a, *b, *kind = unit_format_name(job->field.format);
	if (value_of(job, (int64_t)same[0].number, room_a, sizeof room_a, &a, err) != 0 ||
	    value_of(job, (int64_t)same[1].number, room_b, sizeof room_b, &b, err) != 0)
		return -1;
	place_of(job, same[1].number, b_at, sizeof b_at);
	if (job->table != NULL)
		snprintf(a_at, sizeof a_at, "line %zu", unit_table_line(job->table, job->first_row + same[0].number));
	else
		place_of(job, same[0].number, a_at, sizeof a_at);
	if (strcmp(a, b) == 0)
		return pogo_fail(err, POGO_INPUT, "%s: \"%.80s\" stands in %s already", b_at, b, a_at);
	return pogo_fail(err, POGO_INPUT, "%s: \"%.80s\" is written as the same bytes of %s as \"%.80s\" in %s", b_at,
			 b, kind, a, a_at);
}

static int write_down(const struct serial_job *job, struct unit_written *list, struct pogo_error *err)
{
	for (size_t i = 0; i < (size_t)job->count; i++) {
		char room[600], at[180];
		const char *value;
		struct pogo_error why = {.text = ""};
		list[i].number = i;
		if (value_of(job, (int64_t)i, room, sizeof room, &value, err) != 0)
			return -1;
		if (unit_encode(&job->field, value, list[i].bytes, &list[i].len, &why) == 0)
			continue;
		place_of(job, i, at, sizeof at);
		return pogo_fail(err, why.kind, "%s: %.500s", at, why.text);
	}
	return 0;
}

/* Two boards with one number are worse than no board: by what is written, as 0x1F and 31 are one number. */
static int refuse_twins(const struct serial_job *job, struct pogo_error *err)
{
	struct unit_written *list = calloc((size_t)job->count, sizeof *list);
	if (list == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the units");
	int rc = write_down(job, list, err);
	const struct unit_written *same = rc == 0 ? unit_find_same(list, (size_t)job->count) : NULL;
	if (same != NULL)
		rc = refuse_same(job, same, err);
	free(list);
	return rc;
}

/* ---- the files -------------------------------------------------------------------------------------- */

static int write_unit(struct serial_job *job, int64_t i, struct pogo_error *err)
{
	char room[600], path[PATH_MAX];
	const char *value;
	struct hex_image image;
	struct pogo_error why = {.text = ""};
	size_t len = 0, row = job->first_row + (size_t)i;
	if (value_of(job, i, room, sizeof room, &value, err) != 0 ||
	    unit_file_name(job->common.output, value, row, path, sizeof path, err) != 0 ||
	    outfile_not_over(path, job->csv, err) != 0)
		return -1;
	hex_image_init(&image);
	if (hex_image_copy(&image, &job->common.image, err) != 0)
		return -1;
	int rc = unit_patch(&image, &job->field, value, &len, &why);
	if (rc != 0 && job->count > 1)
		rc = pogo_fail(err, why.kind, "unit %zu: %.550s", row, why.text);
	else if (rc != 0)
		rc = pogo_fail(err, why.kind, "%s", why.text);
	if (rc == 0)
		rc = edit_outputs_add(&job->outputs, path, &image, &job->common.writing, err);
	hex_image_finish(&image);
	if (rc != 0)
		return -1;
	jsonw_open(&job->json, NULL, '{');
	jsonw_int(&job->json, "row", (int64_t)row);
	jsonw_str(&job->json, "serial", value);
	jsonw_str(&job->json, "output", path);
	jsonw_int(&job->json, "address", job->field.addr);
	jsonw_int(&job->json, "bytes", (int64_t)len);
	jsonw_close(&job->json, '}');
	return 0;
}

static bool has_place(const char *pattern)
{
	return strstr(pattern, "{serial}") != NULL || strstr(pattern, "{row}") != NULL;
}

static int write_units(struct serial_job *job, char **argv, int count, struct pogo_error *err)
{
	struct edit_job *common = &job->common;
	if (edit_need_output(common->output, common->json, "serial", err) != 0 || read_field(job, err) != 0 ||
	    read_values(job, err) != 0)
		return -1;
	if (job->count > 1 && !has_place(common->output))
		return pogo_fail(err, POGO_INPUT,
				 "%" PRId64 " units need {serial} or {row} in the name \"%.100s\"", job->count,
				 common->output);
	if (count == 1 && job->csv != NULL && strcmp(argv[0], "-") == 0 && strcmp(job->csv, "-") == 0)
		return pogo_fail(err, POGO_INPUT, "standard input can be read only once");
	if ((job->count > 1 && refuse_twins(job, err) != 0) || edit_job_open(common, argv, count, 0, err) != 0)
		return -1;
	job->outputs.input = argv[0];
	for (int64_t i = 0; i < job->count; i++)
		if (write_unit(job, i, err) != 0)
			return -1;
	jsonw_close(&job->json, ']');
	jsonw_close(&job->json, '}');
	return edit_outputs_commit(&job->outputs, common->json ? &job->json : NULL, err);
}

static void serial_finish(struct serial_job *job)
{
	outfile_discard(&job->outputs.set);
	jsonw_finish(&job->json);
	unit_table_free(job->table);
	free(job->expect_hex);
	edit_job_finish(&job->common);
}

int cmd_serial(int argc, char **argv, struct pogo_error *err)
{
	struct serial_job job = {.over = false};
	const struct option_spec specs[] = {{"help", 'h', NULL, &job.common.help},
					    {"json", 0, NULL, &job.common.json},
					    {"in-format", 0, &job.common.reading.format, NULL},
					    {"family", 0, &job.common.reading.family, NULL},
					    {"lenient", 0, NULL, &job.common.reading.lenient},
					    EDIT_OUTPUT_SPECS(job.common),
					    {"address", 0, &job.address, NULL},
					    {"memory", 0, &job.memory, NULL},
					    {"format", 0, &job.format, NULL},
					    {"endian", 0, &job.endian, NULL},
					    {"length", 0, &job.length, NULL},
					    {"pad", 0, &job.pad, NULL},
					    {"expect", 0, &job.expect, NULL},
					    {"over", 0, NULL, &job.over},
					    {"value", 0, &job.value, NULL},
					    {"counter", 0, &job.counter, NULL},
					    {"count", 0, &job.count_text, NULL},
					    {"prefix", 0, &job.prefix, NULL},
					    {"width", 0, &job.width, NULL},
					    {"csv", 0, &job.csv, NULL},
					    {"column", 0, &job.column, NULL},
					    {"row", 0, &job.row, NULL},
					    {"all", 0, NULL, &job.all},
					    {"separator", 0, &job.separator, NULL},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	jsonw_init(&job.json, 2);
	jsonw_open(&job.json, NULL, '{');
	jsonw_open(&job.json, "units", '[');
	int rc = write_units(&job, argv, count, err);
	serial_finish(&job);
	return rc;
}
