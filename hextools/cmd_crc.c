#include "hextools/commands.h"

#include <inttypes.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/crc.h"
#include "hextools/outfile.h"

static const char help[] =
	"pogo-hex crc [--algorithm NAME] [--range RANGE] [--fill BYTE] IN[@OFFSET]\n"
	"pogo-hex crc --insert ADDRESS --endian le|be -o OUT [...] IN[@OFFSET]\n"
	"pogo-hex crc --list\n"
	"\n"
	"Prints the checksum of a range, or puts it into the image. Checksum and range are always printed, on\n"
	"standard error if the image goes to standard output; without --range it goes from the lowest to the\n"
	"highest data byte.\n" EDIT_RANGE_HELP "\n"
	"  --algorithm NAME   a name of --list (default CRC-32/ISO-HDLC, which is zip's and zlib's)\n"
	"  --range RANGE      what is summed\n"
	"  --fill BYTE        what bytes without data count as (else a hole is refused), like 0xFF\n"
	"  --insert ADDRESS   where the checksum goes\n"
	"  --endian le|be     its lowest or its highest byte first (8 bits and SHA-256 have no choice)\n"
	"  --self skip|BYTE   the range contains the checksum's own place, which is left out or counts\n"
	"                     as BYTE (else such a range is refused)\n"
	"  --over             the place may hold data that is not 0xFF\n"
	"  --list             every algorithm with its parameters\n" EDIT_OUTPUT_HELP EDIT_PART_HELP
		FORMAT_READ_HELP EDIT_JSON_HELP;

enum { REPORT = 300 };

struct crc_job {
	struct edit_job common;
	const char *algorithm_name, *range_text, *fill, *insert, *endian, *self;
	bool over, list;
	const struct crc_algorithm *algorithm;
	struct hex_range range;
	struct crc_holes holes;
	uint8_t value[CRC_MAX_BYTES];
};

/* ---- the list --------------------------------------------------------------------------------------- */

static void list_text(FILE *out, const struct crc_algorithm *list, size_t count)
{
	fprintf(out, "%-27s %-10s %-10s %-6s %-6s %-10s %s\n", "name", "poly", "init", "refin", "refout",
		"xorout", "check of 123456789");
	for (size_t i = 0; i < count; i++) {
		int digits = list[i].width / 4;
		if (list[i].kind == CRC_POLYNOMIAL)
			fprintf(out, "%-27s 0x%-8.*X 0x%-8.*X %-6s %-6s 0x%-8.*X 0x%.*X\n", list[i].name, digits,
				list[i].poly, digits, list[i].init, list[i].refin ? "true" : "false",
				list[i].refout ? "true" : "false", digits, list[i].xorout, digits,
				list[i].check);
		else if (list[i].kind != CRC_SHA256)
			fprintf(out, "%-27s %-46s 0x%.*X\n", list[i].name, "", digits, list[i].check);
		else
			fprintf(out, "%s\n", list[i].name);
	}
}

static int print_list(bool want_json, struct pogo_error *err)
{
	size_t count;
	const struct crc_algorithm *list = crc_algorithms(&count);
	if (!want_json) {
		struct edit_text text;
		if (edit_text_open(&text, err) != 0)
			return -1;
		list_text(text.out, list, count);
		return edit_text_print(&text, NULL, err);
	}
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_open(&json, "algorithms", '[');
	for (size_t i = 0; i < count; i++) {
		jsonw_open(&json, NULL, '{');
		jsonw_str(&json, "name", list[i].name);
		jsonw_int(&json, "bytes", crc_bytes(&list[i]));
		if (list[i].kind == CRC_POLYNOMIAL) {
			jsonw_int(&json, "poly", list[i].poly);
			jsonw_int(&json, "init", list[i].init);
			jsonw_bool(&json, "refin", list[i].refin);
			jsonw_bool(&json, "refout", list[i].refout);
			jsonw_int(&json, "xorout", list[i].xorout);
		}
		if (list[i].kind != CRC_SHA256)
			jsonw_int(&json, "check", list[i].check);
		jsonw_close(&json, '}');
	}
	jsonw_close(&json, ']');
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

/* ---- options ---------------------------------------------------------------------------------------- */

static int read_insert(struct crc_job *job, struct pogo_error *err)
{
	unsigned bytes = crc_bytes(job->algorithm);
	int64_t addr, self_byte;
	if (job->insert == NULL) {
		if (job->endian != NULL || job->self != NULL || job->over || job->common.output != NULL)
			return pogo_fail(err, POGO_INPUT,
					 "-o, --endian, --self and --over go with --insert ADDRESS");
		return 0;
	}
	if (edit_need_output(job->common.output, job->common.json, "crc --insert", err) != 0 ||
	    edit_number(job->insert, "--insert", 0, (int64_t)UINT32_MAX - bytes + 1, 0, &addr, err) != 0)
		return -1;
	job->holes.self = (struct hex_range){(uint32_t)addr, (uint32_t)(addr + bytes - 1)};
	bool choice = bytes > 1 && bytes <= 4;
	if (choice && job->endian == NULL)
		return pogo_fail(err, POGO_INPUT, "--insert of %s needs --endian le or be", job->algorithm->name);
	if (!choice && job->endian != NULL)
		return pogo_fail(err, POGO_INPUT, "--endian says nothing for %s", job->algorithm->name);
	if (choice && strcmp(job->endian, "le") != 0 && strcmp(job->endian, "be") != 0)
		return pogo_fail(err, POGO_INPUT, "--endian \"%.40s\" is none of le, be", job->endian);
	if (job->self == NULL)
		return 0;
	job->holes.has_self = true;
	job->holes.self_byte = -1;
	if (strcmp(job->self, "skip") == 0)
		return 0;
	if (edit_number(job->self, "--self", 0, 255, 0, &self_byte, err) != 0)
		return -1;
	job->holes.self_byte = (int)self_byte;
	return 0;
}

static int read_options(struct crc_job *job, struct pogo_error *err)
{
	const char *name = job->algorithm_name != NULL ? job->algorithm_name : "CRC-32/ISO-HDLC";
	int64_t fill;
	job->algorithm = crc_find(name);
	if (job->algorithm == NULL)
		return pogo_fail(err, POGO_INPUT, "unknown algorithm \"%.60s\"; --list tells them", name);
	if (edit_number(job->fill, "--fill", 0, 255, -1, &fill, err) != 0)
		return -1;
	job->holes.fill = (int)fill;
	return read_insert(job, err);
}

static int check_place(const struct crc_job *job, struct pogo_error *err)
{
	const struct hex_range *self = &job->holes.self;
	uint32_t at = 0;
	bool inside = self->first <= job->range.last && self->last >= job->range.first;
	if (inside && !job->holes.has_self)
		return pogo_fail(err, POGO_INPUT,
				 "the range 0x%05" PRIX32 "-0x%05" PRIX32 " contains the checksum's own place 0x%05" PRIX32
				 "-0x%05" PRIX32 ": give a --range without it, or --self skip or --self BYTE",
				 job->range.first, job->range.last, self->first, self->last);
	if (!inside && job->holes.has_self)
		return pogo_fail(err, POGO_INPUT, "--self is wrong: the checksum's place is outside the range");
	if (!job->over && !edit_blank(&job->common.image, self, &at))
		return pogo_fail(err, POGO_NO,
				 "the checksum's place has data that is not 0xFF, at 0x%05" PRIX32
				 "; --over overwrites it", at);
	return 0;
}

/* ---- result ----------------------------------------------------------------------------------------- */

static void value_text(const struct crc_job *job, char out[2 * CRC_MAX_BYTES + 3])
{
	bool sha = job->algorithm->kind == CRC_SHA256;
	int at = sprintf(out, "%s", sha ? "" : "0x");
	for (unsigned i = 0; i < crc_bytes(job->algorithm); i++)
		at += sprintf(out + at, sha ? "%02x" : "%02X", job->value[i]);
}

/* One line, with its end. */
static void report_text(const struct crc_job *job, char line[REPORT])
{
	char value[2 * CRC_MAX_BYTES + 3];
	value_text(job, value);
	int at = snprintf(line, REPORT, "%s  %s  0x%05" PRIX32 "-0x%05" PRIX32 " (%" PRIu64 " bytes%s", value,
			  job->algorithm->name, job->range.first, job->range.last, range_len(&job->range),
			  job->holes.fill >= 0 ? ", holes as " : "");
	if (job->holes.fill >= 0)
		at += snprintf(line + at, REPORT - (size_t)at, "0x%02X", job->holes.fill);
	snprintf(line + at, REPORT - (size_t)at, ")\n");
}

static void report_json(const struct crc_job *job, struct jsonw *json)
{
	char value[2 * CRC_MAX_BYTES + 3];
	value_text(job, value);
	jsonw_init(json, 2);
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "algorithm", job->algorithm->name);
	jsonw_str(json, "value", value);
	jsonw_open(json, "range", '{');
	edit_json_range(json, &job->range);
	jsonw_close(json, '}');
	if (job->holes.fill >= 0)
		jsonw_int(json, "fill", job->holes.fill);
	if (job->insert != NULL) {
		jsonw_int(json, "inserted_at", job->holes.self.first);
		jsonw_str(json, "endian", job->endian);
		jsonw_str(json, "output", job->common.output);
	}
	jsonw_close(json, '}');
}

static int print_report(const struct crc_job *job, struct pogo_error *err)
{
	char line[REPORT];
	struct jsonw json;
	if (job->common.json) {
		report_json(job, &json);
		return edit_print_json(&json, err);
	}
	report_text(job, line);
	return cmd_print(line, err);
}

static int write_with_json(const struct crc_job *job, struct pogo_error *err)
{
	const struct edit_job *common = &job->common;
	struct jsonw json;
	report_json(job, &json);
	const char *text = edit_json_text(&json, err);
	int rc = text != NULL ? edit_write(common->output, &common->image, &common->writing, text, err) : -1;
	jsonw_finish(&json);
	return rc;
}

/* Where the image goes to standard output the report is a note. */
static int write_with_text(const struct crc_job *job, struct pogo_error *err)
{
	const struct edit_job *common = &job->common;
	bool to_stdout = outfile_is_stdout(common->output);
	char line[REPORT];
	report_text(job, line);
	if (edit_write(common->output, &common->image, &common->writing, to_stdout ? NULL : line, err) != 0)
		return -1;
	line[strcspn(line, "\n")] = '\0';
	if (to_stdout)
		cmd_note(line);
	return 0;
}

static int insert_value(struct crc_job *job, struct pogo_error *err)
{
	uint8_t bytes[CRC_MAX_BYTES];
	unsigned n = crc_bytes(job->algorithm);
	bool little = job->endian != NULL && strcmp(job->endian, "le") == 0;
	for (unsigned i = 0; i < n; i++)
		bytes[i] = job->value[little ? n - 1 - i : i];
	if (edit_put(&job->common.image, job->holes.self.first, bytes, n, err) != 0)
		return -1;
	return job->common.json ? write_with_json(job, err) : write_with_text(job, err);
}

/* Without --range: all of the image. */
static int find_range(struct crc_job *job, struct pogo_error *err)
{
	enum { MOST_SPAN = 64 << 20 }; /* no chip here has more, so it is no mistake only if it is said */
	const struct edit_job *common = &job->common;
	if (job->range_text != NULL)
		return edit_job_range(common, job->range_text, &job->range, err);
	if (!range_of_image(&common->image, &job->range))
		return pogo_fail(err, POGO_INPUT, "\"%.200s\" has no data", common->path);
	if (job->holes.fill >= 0 && range_len(&job->range) > MOST_SPAN &&
	    range_len(&job->range) / 2 > hex_image_bytes(&common->image))
		return pogo_fail(err, POGO_INPUT,
				 "0x%05" PRIX32 "-0x%05" PRIX32 " are %" PRIu64 " bytes, most of them hole; --range says which "
				 "of them are meant", job->range.first, job->range.last, range_len(&job->range));
	return 0;
}

static int sum_up(struct crc_job *job, char **argv, int count, struct pogo_error *err)
{
	struct edit_job *common = &job->common;
	if (read_options(job, err) != 0 || edit_job_open(common, argv, count, 0, err) != 0 ||
	    find_range(job, err) != 0)
		return -1;
	if (job->insert != NULL && check_place(job, err) != 0)
		return -1;
	if (crc_image(job->algorithm, &common->image, &job->range, &job->holes, job->value, err) != 0)
		return -1;
	return job->insert == NULL ? print_report(job, err) : insert_value(job, err);
}

int cmd_crc(int argc, char **argv, struct pogo_error *err)
{
	struct crc_job job = {.over = false};
	const struct option_spec specs[] = {EDIT_SPECS(job.common),
					    EDIT_OUTPUT_SPECS(job.common),
					    EDIT_PART_SPECS(job.common),
					    {"algorithm", 'a', &job.algorithm_name, NULL},
					    {"range", 0, &job.range_text, NULL},
					    {"fill", 0, &job.fill, NULL},
					    {"insert", 0, &job.insert, NULL},
					    {"endian", 0, &job.endian, NULL},
					    {"self", 0, &job.self, NULL},
					    {"over", 0, NULL, &job.over},
					    {"list", 0, NULL, &job.list},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	if (job.list)
		return print_list(job.common.json, err);
	int rc = sum_up(&job, argv, count, err);
	edit_job_finish(&job.common);
	return rc;
}
