#include "hextools/commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/dump.h"
#include "hextools/outfile.h"

static const char help[] =
	"pogo-hex dump [--strings N] [RANGE...] IN[@OFFSET]\n"
	"\n"
	"Shows the bytes of the ranges (else all) in hex and ASCII, by address. A hole is one line, and so\n"
	"is a run of equal lines.\n" EDIT_RANGE_HELP "\n"
	"  --strings N        instead: every run of at least N printable ASCII characters, in one byte\n"
	"                     each or two (UTF-16LE), with its address; USB string descriptors are marked\n"
	"  --all              equal lines too\n"
	"  -o, --output OUT   where to write the text (\"-\": standard output, the default)\n" EDIT_PART_HELP
		FORMAT_READ_HELP EDIT_JSON_HELP;

struct dump_job {
	struct edit_job common;
	const char *strings;
	bool all;
	int64_t least; /* 0: bytes */
	FILE *out;
	struct jsonw json;
};

static const char *output_of(const struct dump_job *job)
{
	return job->common.output != NULL ? job->common.output : "-";
}

static const char *encoding_name(const struct dump_string *string)
{
	if (string->encoding == DUMP_ASCII)
		return "ascii";
	return string->usb ? "usb" : "utf16";
}

static int put_string(void *context, const struct dump_string *string)
{
	struct dump_job *job = context;
	size_t step = string->encoding == DUMP_UTF16LE ? 2 : 1;
	fprintf(job->out, "%08" PRIX32 "  %-5s  ", string->addr, encoding_name(string));
	for (size_t i = 0; i < string->characters; i++)
		fputc(string->bytes[i * step], job->out);
	fputc('\n', job->out);
	return ferror(job->out);
}

static int json_string(void *context, const struct dump_string *string)
{
	struct dump_job *job = context;
	char *text = NULL;
	size_t len = 0, step = string->encoding == DUMP_UTF16LE ? 2 : 1;
	FILE *memory = open_memstream(&text, &len);
	if (memory == NULL)
		return -1;
	for (size_t i = 0; i < string->characters; i++)
		fputc(string->bytes[i * step], memory);
	if (fclose(memory) != 0) {
		free(text);
		return -1;
	}
	jsonw_open(&job->json, NULL, '{');
	jsonw_int(&job->json, "address", string->addr);
	jsonw_str(&job->json, "encoding", encoding_name(string));
	jsonw_str(&job->json, "text", text);
	jsonw_close(&job->json, '}');
	free(text);
	return 0;
}

static void json_bytes(struct dump_job *job, const struct hex_range *range)
{
	const struct hex_image *image = &job->common.image;
	const struct hex_segment *end = image->segments + image->count;
	for (const struct hex_segment *s = hex_image_from(image, range->first);
	     s != NULL && s < end && s->addr <= range->last; s++) {
		uint32_t from = s->addr > range->first ? s->addr : range->first;
		uint64_t stop = (uint64_t)s->addr + s->len;
		if (stop > (uint64_t)range->last + 1)
			stop = (uint64_t)range->last + 1;
		jsonw_open(&job->json, NULL, '{');
		jsonw_int(&job->json, "address", from);
		jsonw_int(&job->json, "bytes", (int64_t)(stop - from));
		jsonw_hex(&job->json, "data", s->bytes + (from - s->addr), (size_t)(stop - from));
		jsonw_close(&job->json, '}');
	}
}

static int show_json(struct dump_job *job, struct pogo_error *err)
{
	int rc = 0;
	jsonw_init(&job->json, 2);
	jsonw_open(&job->json, NULL, '{');
	jsonw_str(&job->json, "path", job->common.path);
	jsonw_open(&job->json, job->least > 0 ? "strings" : "data", '[');
	for (size_t i = 0; i < job->common.range_count && rc == 0; i++) {
		const struct hex_range *range = &job->common.ranges[i];
		if (job->least == 0)
			json_bytes(job, range);
		else
			rc = dump_strings(&job->common.image, range, (size_t)job->least, json_string, job);
	}
	jsonw_close(&job->json, ']');
	jsonw_close(&job->json, '}');
	jsonw_newline(&job->json);
	if (rc != 0 || !jsonw_ok(&job->json))
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory");
	else
		rc = outfile_write(output_of(job), job->json.text, job->json.len, err);
	jsonw_finish(&job->json);
	return rc;
}

static ssize_t to_sink(void *cookie, const char *data, size_t len)
{
	sink_put(cookie, data, len);
	return (ssize_t)len;
}

/* The text goes out as it is made: that of 16 MiB is five times as long. */
static int write_text(void *context, struct sink *sink, struct pogo_error *err)
{
	struct dump_job *job = context;
	job->out = fopencookie(sink, "w", (cookie_io_functions_t){.write = to_sink});
	if (job->out == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	for (size_t i = 0; i < job->common.range_count; i++) {
		const struct hex_range *range = &job->common.ranges[i];
		if (job->least > 0) {
			dump_strings(&job->common.image, range, (size_t)job->least, put_string, job);
			continue;
		}
		if (i > 0)
			fputc('\n', job->out);
		dump_bytes(job->out, &job->common.image, range, job->all);
	}
	/* What the sink could not write its owner tells. */
	return fclose(job->out) == 0 ? 0 : pogo_fail(err, POGO_SYSTEM, "out of memory");
}

static int show(struct dump_job *job, char **argv, int count, struct pogo_error *err)
{
	struct edit_job *common = &job->common;
	if (edit_number(job->strings, "--strings", 2, 4096, 0, &job->least, err) != 0 ||
	    edit_job_open(common, argv, count, count, err) != 0)
		return -1;
	for (size_t i = 0; i < common->range_count; i++)
		if (range_count(&common->image, &common->ranges[i], NULL) == 0)
			return pogo_fail(err, POGO_NO, "no data in 0x%05" PRIX32 "-0x%05" PRIX32,
					 common->ranges[i].first, common->ranges[i].last);
	if (common->range_count == 0) /* there is room for one more than there are words */
		common->ranges[common->range_count++] = (struct hex_range){0, UINT32_MAX};
	if (common->json)
		return show_json(job, err);
	return outfile_write_from(output_of(job), write_text, job, err);
}

int cmd_dump(int argc, char **argv, struct pogo_error *err)
{
	struct dump_job job = {.strings = NULL};
	const struct option_spec specs[] = {EDIT_SPECS(job.common),
					    EDIT_PART_SPECS(job.common),
					    {"output", 'o', &job.common.output, NULL},
					    {"strings", 0, &job.strings, NULL},
					    {"all", 0, NULL, &job.all},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	int rc = show(&job, argv, count, err);
	edit_job_finish(&job.common);
	return rc;
}
