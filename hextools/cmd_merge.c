#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/conf.h"
#include "hextools/conflict.h"
#include "hextools/fit.h"
#include "hextools/format.h"
#include "hextools/part.h"

static const char help[] =
	"pogo-hex merge -o OUT [options] IN[@OFFSET]...\n"
	"\n"
	"Joins files into one. Each is Intel HEX, S-record, ELF, UF2 (seen by their content) or raw binary\n"
	"(IN@ADDRESS). OFFSET (decimal or 0x..., may be negative) moves a file's data; its start record stays\n"
	"as it is.\n"
	"\n"
	"  -o, --output OUT   where to write (\"-\": standard output)\n"
	"  --to-format NAME   write ihex, srec, uf2 or binary (else by OUT's name, else Intel HEX); --to is\n"
	"                     the same\n"
	"  --to-family NAME   UF2's family\n"
	"  --part P           the result must fit this part's flash and EEPROM\n"
	"  --overlap RULE     bytes that are in two files: error (default) refuses them, same allows equal\n"
	"                     ones, first or last says which file wins\n"
	"  --start RULE       start records that differ: equal (default) refuses them, first or last says which\n"
	"                     file wins, drop leaves every start record out\n" FORMAT_READ_HELP EDIT_JSON_HELP
	"  --configs DIR      folder with parts/ (else $POGOLINE_CONFIGS, else found)\n";

enum start_rule { START_EQUAL, START_FIRST, START_LAST, START_DROP };

/* Where a file's bytes were, so that a conflict can name it after they became part of the result. */
struct range {
	uint32_t addr;
	uint64_t end;
};

struct source {
	char *path; /* without the offset */
	struct hex_image image;
	struct range *ranges;
	size_t range_count;
};

struct merge {
	enum hex_overlap overlap;
	enum start_rule start;
	const char *output, *part, *configs;
	bool json;
	struct format_reading reading;
	struct format_writing writing;
	struct source *sources;
	int count;
	struct hex_image result;
};

/* Index of the word in the list, -1 with a message. */
static int one_of(const char *text, const char *option, const char *const words[], const char *list,
		  struct pogo_error *err)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return pogo_fail(err, POGO_INPUT, "--%s \"%.40s\" is none of %s", option, text, list);
}

static int read_rules(struct merge *merge, const char *overlap, const char *start,
		      struct pogo_error *err)
{
	static const char *const overlaps[] = {"error", "same", "first", "last", NULL};
	static const char *const starts[] = {"equal", "first", "last", "drop", NULL};
	int o = overlap == NULL ? HEX_OVERLAP_ERROR
				: one_of(overlap, "overlap", overlaps, "error, same, first, last", err);
	if (o < 0)
		return -1;
	int s = start == NULL ? START_EQUAL : one_of(start, "start", starts, "equal, first, last, drop", err);
	if (s < 0)
		return -1;
	merge->overlap = (enum hex_overlap)o;
	merge->start = (enum start_rule)s;
	return 0;
}

static int remember_ranges(struct source *source, struct pogo_error *err)
{
	size_t count = source->image.count;
	source->ranges = malloc((count > 0 ? count : 1) * sizeof *source->ranges);
	if (source->ranges == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	source->range_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct hex_segment *segment = &source->image.segments[i];
		source->ranges[i] = (struct range){segment->addr, (uint64_t)segment->addr + segment->len};
	}
	return 0;
}

static int read_source(const struct merge *merge, const char *word, struct source *source,
		       struct pogo_error *err)
{
	struct format_origin origin;
	if (format_read_file(word, &merge->reading, &source->image, &origin, err) != 0)
		return -1;
	cmd_notes(&origin.notes);
	return remember_ranges(source, err);
}

static bool had(const struct source *source, uint32_t addr)
{
	size_t low = 0, high = source->range_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (source->ranges[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < source->range_count && source->ranges[low].addr <= addr;
}

/* Which earlier source brought the byte that stands at addr. */
static const char *owner(const struct merge *merge, int before, uint32_t addr)
{
	const char *path = "an earlier file";
	for (int i = 0; i < before; i++) {
		if (!had(&merge->sources[i], addr))
			continue;
		path = merge->sources[i].path;
		if (merge->overlap != HEX_OVERLAP_LAST)
			break;
	}
	return path;
}

static int conflict_between(const struct merge *merge, int later, const struct hex_conflict *run,
			    struct pogo_error *err)
{
	bool equal = run->differing == 0;
	return conflict_refuse(owner(merge, later, equal ? run->addr : run->first_differing), merge->sources[later].path,
			       run,
			       equal ? "--overlap same allows that" : "--overlap first or last says which file wins", err);
}

/* The earlier file whose start record stands in the result. */
static const char *start_owner(const struct merge *merge, int before)
{
	for (int i = 0; i < before; i++) {
		const struct hex_image *image = &merge->sources[i].image;
		if (image->start_kind == merge->result.start_kind && image->start == merge->result.start)
			return merge->sources[i].path;
	}
	return "an earlier file";
}

static int join_start(struct merge *merge, int i, struct pogo_error *err)
{
	const struct hex_image *from = &merge->sources[i].image;
	struct hex_image *to = &merge->result;
	if (merge->start == START_DROP || from->start_kind == HEX_START_NONE)
		return 0;
	bool none = to->start_kind == HEX_START_NONE;
	bool equal = to->start_kind == from->start_kind && to->start == from->start;
	if (!none && !equal && merge->start == START_EQUAL)
		return pogo_fail(err, POGO_INPUT,
				 "\"%.150s\" has start record %08" PRIX32 ", \"%.150s\" has %08" PRIX32
				 "; --start first, last or drop says what to keep",
				 start_owner(merge, i), to->start, merge->sources[i].path, from->start);
	if (none || merge->start == START_LAST) {
		to->start_kind = from->start_kind;
		to->start = from->start;
	}
	return 0;
}

static int join_source(struct merge *merge, int i, struct pogo_error *err)
{
	struct hex_conflict run = {.len = 0};
	if (hex_image_absorb(&merge->result, &merge->sources[i].image, merge->overlap, &run, err) != 0)
		return run.len > 0 ? conflict_between(merge, i, &run, err) : -1;
	return join_start(merge, i, err);
}

static int check_part(const struct merge *merge, struct pogo_error *err)
{
	char configs[PATH_MAX];
	struct part *part;
	if (merge->part == NULL)
		return 0;
	if (conf_dir(merge->configs, configs, sizeof configs, err) != 0 ||
	    part_load(configs, merge->part, &part, err) != 0)
		return -1;
	int rc = fit_check(part, &merge->result, merge->output, err);
	free(part);
	return rc;
}

/* Splits the words, so that what is wrong with them is told before anything is read. */
static int name_sources(struct merge *merge, char **words, struct pogo_error *err)
{
	int from_stdin = 0;
	for (int i = 0; i < merge->count; i++) {
		size_t len;
		if (format_split_word(words[i], &len, NULL, NULL, err) != 0)
			return -1;
		merge->sources[i].path = strndup(words[i], len);
		if (merge->sources[i].path == NULL)
			return pogo_fail(err, POGO_SYSTEM, "out of memory");
		from_stdin += strcmp(merge->sources[i].path, "-") == 0;
		if (outfile_not_over(merge->output, words[i], err) != 0)
			return -1;
	}
	if (from_stdin > 1)
		return pogo_fail(err, POGO_INPUT, "standard input can be read only once");
	return 0;
}

static int write_reported(const struct merge *merge, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_open(&json, "inputs", '[');
	for (int i = 0; i < merge->count; i++) {
		const struct source *source = &merge->sources[i];
		uint64_t bytes = 0;
		for (size_t r = 0; r < source->range_count; r++)
			bytes += source->ranges[r].end - source->ranges[r].addr;
		jsonw_open(&json, NULL, '{');
		jsonw_str(&json, "path", source->path);
		jsonw_int(&json, "bytes", (int64_t)bytes);
		jsonw_close(&json, '}');
	}
	jsonw_close(&json, ']');
	return edit_write_json(&json, merge->output, &merge->result, &merge->writing, err);
}

static int merge_all(struct merge *merge, char **words, struct pogo_error *err)
{
	if (name_sources(merge, words, err) != 0)
		return -1;
	for (int i = 0; i < merge->count; i++)
		if (read_source(merge, words[i], &merge->sources[i], err) != 0 || join_source(merge, i, err) != 0)
			return -1;
	if (check_part(merge, err) != 0)
		return -1;
	return merge->json ? write_reported(merge, err)
			   : edit_write(merge->output, &merge->result, &merge->writing, NULL, err);
}

int cmd_merge(int argc, char **argv, struct pogo_error *err)
{
	struct merge merge = {.count = 0};
	const char *overlap = NULL, *start = NULL;
	bool want_help = false;
	const struct option_spec specs[] = {
		{"help", 'h', NULL, &want_help},	{"output", 'o', &merge.output, NULL},
		{"part", 0, &merge.part, NULL},		{"overlap", 0, &overlap, NULL},
		{"start", 0, &start, NULL},		{"configs", 0, &merge.configs, NULL},
		{"to-format", 0, &merge.writing.format, NULL}, {"to", 0, &merge.writing.format, NULL},
		{"to-family", 0, &merge.writing.family, NULL}, {"json", 0, NULL, &merge.json},
		FORMAT_READ_SPECS(merge.reading),
		{NULL, 0, NULL, NULL},
	};
	if (options_parse(specs, argc, argv, &merge.count, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (edit_need_output(merge.output, merge.json, "merge", err) != 0)
		return -1;
	if (merge.count == 0)
		return pogo_fail(err, POGO_INPUT, "merge needs at least one file");
	if (read_rules(&merge, overlap, start, err) != 0)
		return -1;
	merge.sources = calloc((size_t)merge.count, sizeof *merge.sources);
	if (merge.sources == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory");
	int rc = merge_all(&merge, argv, err);
	for (int i = 0; i < merge.count; i++) {
		hex_image_finish(&merge.sources[i].image);
		free(merge.sources[i].path);
		free(merge.sources[i].ranges);
	}
	free(merge.sources);
	hex_image_finish(&merge.result);
	return rc;
}
