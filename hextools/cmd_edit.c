#include "hextools/cmd_edit.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hextools/commands.h"
#include "hextools/conf.h"
#include "hextools/fuses.h"
#include "hextools/ihex.h"
#include "hextools/outfile.h"

int edit_job_part(struct edit_job *job, struct pogo_error *err)
{
	char configs[PATH_MAX];
	uint8_t fuses[PART_FUSES];
	if (job->part_name == NULL) {
		if (job->fuses != NULL)
			return pogo_fail(err, POGO_INPUT, "--fuses needs --part, whose bytes they are");
		return 0;
	}
	if (conf_dir(job->configs, configs, sizeof configs, err) != 0 ||
	    part_load(configs, job->part_name, &job->part, err) != 0)
		return -1;
	job->words.part = job->part;
	if (job->fuses == NULL)
		return 0;
	if (fuses_parse(job->part, job->fuses, fuses, err) != 0)
		return -1;
	job->words.has_boot =
		fuses_boot_section(job->part, fuses, &job->words.boot_start, &job->words.boot_bytes);
	return 0;
}

int edit_read_input(const struct edit_job *job, const char *word, struct hex_image *image, char **path,
		    struct pogo_error *err)
{
	struct format_origin origin = {.format = NULL};
	size_t len;
	if (format_split_word(word, &len, NULL, NULL, err) != 0)
		return -1;
	*path = strndup(word, len);
	if (*path == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	if (format_read_file(word, &job->reading, image, &origin, err) != 0)
		return -1;
	if (!job->quiet)
		cmd_notes(&origin.notes);
	return 0;
}

int edit_job_range(const struct edit_job *job, const char *text, struct hex_range *range,
		   struct pogo_error *err)
{
	return range_parse(text, &job->words, range, err);
}

int edit_job_open(struct edit_job *job, char **words, int count, int most, struct pogo_error *err)
{
	if (count == 0)
		return pogo_fail(err, POGO_INPUT, "which file? see --help");
	if (count - 1 > most)
		return pogo_fail(err, POGO_INPUT, "\"%.60s\" is one word too many; see --help", words[most]);
	if (outfile_not_over(job->output, words[count - 1], err) != 0 || edit_job_part(job, err) != 0)
		return -1;
	job->ranges = calloc((size_t)count, sizeof *job->ranges);
	if (job->ranges == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	for (; (int)job->range_count < count - 1; job->range_count++)
		if (edit_job_range(job, words[job->range_count], &job->ranges[job->range_count], err) != 0)
			return -1;
	return edit_read_input(job, words[count - 1], &job->image, &job->path, err);
}

void edit_job_finish(struct edit_job *job)
{
	free(job->path);
	free(job->part);
	free(job->ranges);
	hex_image_finish(&job->image);
}

int edit_need_output(const char *output, bool json, const char *command, struct pogo_error *err)
{
	if (output == NULL)
		return pogo_fail(err, POGO_INPUT, "%s needs -o OUT", command);
	if (json && outfile_is_stdout(output))
		return pogo_fail(err, POGO_INPUT, "two outputs go to standard output: -o - and --json");
	return 0;
}

int edit_number(const char *text, const char *what, int64_t low, int64_t high, int64_t missing,
		int64_t *out, struct pogo_error *err)
{
	*out = missing;
	return text == NULL ? 0 : options_number(text, what, low, high, out, err);
}

int edit_number_of(const char *text, size_t len, const char *what, int64_t low, int64_t high, int64_t *out,
		   struct pogo_error *err)
{
	char *word = strndup(text, len);
	if (word == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int rc = options_number(word, what, low, high, out, err);
	free(word);
	return rc;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

int edit_hex_bytes(const char *text, const char *what, uint8_t **bytes, size_t *len,
		   struct pogo_error *err)
{
	const char *at = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
	*bytes = malloc(strlen(text) + 1);
	*len = 0;
	if (*bytes == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	while (*at != '\0') {
		int high = hex_digit(at[0]), low = high < 0 ? -1 : hex_digit(at[1]);
		if (low < 0) {
			*len = 0;
			break;
		}
		(*bytes)[(*len)++] = (uint8_t)(high << 4 | low);
		at += at[2] == ' ' || at[2] == ',' ? 3 : 2;
	}
	if (*len > 0)
		return 0;
	free(*bytes);
	*bytes = NULL;
	return pogo_fail(err, POGO_INPUT, "%s \"%.60s\" is no row of bytes: pairs of hex digits like FF or DEADBEEF",
			 what, text);
}

/* ---- outputs ---------------------------------------------------------------------------------------- */

void edit_json_range(struct jsonw *json, const struct hex_range *range)
{
	jsonw_int(json, "start", range->first);
	jsonw_int(json, "end", range->last);
	jsonw_int(json, "bytes", (int64_t)range_len(range));
}

const char *edit_json_text(struct jsonw *json, struct pogo_error *err)
{
	jsonw_newline(json);
	if (jsonw_ok(json))
		return json->text;
	pogo_fail(err, POGO_SYSTEM, "out of memory");
	return NULL;
}

int edit_print_json(struct jsonw *json, struct pogo_error *err)
{
	const char *text = edit_json_text(json, err);
	int rc = text != NULL ? cmd_print(text, err) : -1;
	jsonw_finish(json);
	return rc;
}

/* What the format has no place for; "" if nothing. It is a note only once the output is there. */
static int lost_start(const char *output, const struct hex_image *image, const struct format_writing *writing,
		      char note[EDIT_NOTE], struct pogo_error *err)
{
	bool loses;
	note[0] = '\0';
	if (format_loses_start(output, image, writing, &loses, err) != 0)
		return -1;
	if (loses)
		snprintf(note, EDIT_NOTE, "the start address %08" PRIX32 " is left out, %s has no place for it",
			 image->start, format_of_output(output, writing));
	return 0;
}

/* A set writes to standard output before it renames. */
static int write_with_report(const char *output, const struct hex_image *image, const struct format_writing *writing,
			     const char *report, struct pogo_error *err)
{
	struct outfile_set set = {.count = 0};
	if (format_stage_file(&set, output, image, writing, err) != 0 ||
	    outfile_stage(&set, "-", report, strlen(report), err) != 0) {
		outfile_discard(&set);
		return -1;
	}
	return outfile_commit(&set, err);
}

int edit_write(const char *output, const struct hex_image *image, const struct format_writing *writing,
	       const char *report, struct pogo_error *err)
{
	char note[EDIT_NOTE];
	if (lost_start(output, image, writing, note, err) != 0)
		return -1;
	int rc = report == NULL ? format_write_file(output, image, writing, err)
				: write_with_report(output, image, writing, report, err);
	if (rc == 0 && note[0] != '\0')
		cmd_note(note);
	return rc;
}

static int json_of_output(struct jsonw *json, const char *output, const struct hex_image *image,
			  const struct format_writing *writing, struct pogo_error *err)
{
	struct hex_range span;
	char digest[65];
	if (ihex_digest(image, digest, err) != 0)
		return -1;
	jsonw_str(json, "output", output);
	jsonw_str(json, "format", format_of_output(output, writing));
	jsonw_int(json, "bytes", (int64_t)hex_image_bytes(image));
	jsonw_int(json, "ranges", (int64_t)image->count);
	if (range_of_image(image, &span)) {
		jsonw_int(json, "first", span.first);
		jsonw_int(json, "last", span.last);
	}
	jsonw_str(json, "digest", digest);
	return 0;
}

int edit_write_json(struct jsonw *json, const char *output, const struct hex_image *image,
		    const struct format_writing *writing, struct pogo_error *err)
{
	int rc = json_of_output(json, output, image, writing, err);
	jsonw_close(json, '}');
	const char *text = rc == 0 ? edit_json_text(json, err) : NULL;
	rc = text != NULL ? edit_write(output, image, writing, text, err) : -1;
	jsonw_finish(json);
	return rc;
}

int edit_job_write(const struct edit_job *job, struct pogo_error *err)
{
	struct jsonw json;
	if (!job->json)
		return edit_write(job->output, &job->image, &job->writing, NULL, err);
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	return edit_write_json(&json, job->output, &job->image, &job->writing, err);
}

int edit_outputs_add(struct edit_outputs *outputs, const char *path, const struct hex_image *image,
		     const struct format_writing *writing, struct pogo_error *err)
{
	char note[EDIT_NOTE];
	if (outfile_not_over(path, outputs->input, err) != 0 || lost_start(path, image, writing, note, err) != 0 ||
	    format_stage_file(&outputs->set, path, image, writing, err) != 0)
		return -1;
	if (outputs->note[0] == '\0')
		memcpy(outputs->note, note, sizeof note);
	return 0;
}

int edit_outputs_commit(struct edit_outputs *outputs, struct jsonw *json, struct pogo_error *err)
{
	const char *report = json != NULL ? edit_json_text(json, err) : NULL;
	if (json != NULL && (report == NULL || outfile_stage(&outputs->set, "-", report, strlen(report), err) != 0))
		return -1;
	int rc = outfile_commit(&outputs->set, err);
	if (rc == 0 && outputs->note[0] != '\0')
		cmd_note(outputs->note);
	return rc;
}

/* ---- text ------------------------------------------------------------------------------------------- */

int edit_text_open(struct edit_text *text, struct pogo_error *err)
{
	*text = (struct edit_text){.out = NULL};
	text->out = open_memstream(&text->text, &text->len);
	return text->out != NULL ? 0 : pogo_fail(err, POGO_SYSTEM, "out of memory");
}

int edit_text_print(struct edit_text *text, const char *output, struct pogo_error *err)
{
	int rc;
	if (fclose(text->out) != 0)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory");
	else
		rc = outfile_write(output != NULL ? output : "-", text->text, text->len, err);
	free(text->text);
	return rc;
}

bool edit_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return (no == NULL || *no == '\0') && (term == NULL || strcmp(term, "dumb") != 0) &&
	       isatty(STDOUT_FILENO);
}

bool edit_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = getenv(names[i]);
		if (value != NULL && *value != '\0')
			return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL ||
			       strstr(value, "utf-8") != NULL;
	}
	return false;
}
