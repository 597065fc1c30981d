#include "hextools/commands.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/diff.h"

static const char help[] =
	"pogo-hex diff A[@OFFSET] B[@OFFSET]\n"
	"\n"
	"Compares the bytes and start records of two images, whatever their files look like. Exit 0: the\n"
	"same, 1: different; a start record that differs, or that only one has, is a difference.\n"
	"The first 40 ranges are listed, and 64 lines side by side of bytes that are in both and differ. One\n"
	"that differs is coloured on a terminal (NO_COLOR is respected), else marked with \">\"; \"--\"\n"
	"stands where there is no data.\n"
	"\n"
	"  --all              show every range and every line\n"
	"  -q, --quiet        show nothing: the exit code is the answer\n"
	"  --pages            count the flash pages to write again (needs --part)\n" EDIT_PART_HELP
		FORMAT_READ_HELP EDIT_JSON_HELP;

enum { SHOWN_RANGES = 40, SHOWN_LINES = 64, JSON_RANGES = 10000, COLUMNS = 8, JOIN_GAP = 16 };

struct diff_job {
	struct edit_job common;
	bool all, pages, colour;
	struct hex_image other;
	char *other_path;
	struct diff_total total;
	struct diff_pages page_count;
	struct jsonw json;
	FILE *out;
	uint64_t ranges, lines, next_line; /* next_line: lines below this address are written */
};

static const char *kind_name(enum diff_kind kind)
{
	static const char *const names[] = {"only-a", "only-b", "differ"};
	return names[kind];
}

/* ---- text ------------------------------------------------------------------------------------------- */

static int put_range(void *context, const struct diff_range *range)
{
	struct diff_job *job = context;
	uint64_t last = range->first + range->len - 1;
	if (!job->all && job->ranges++ >= SHOWN_RANGES)
		return 1;
	if (range->kind == DIFF_BYTES)
		fprintf(job->out, "differ     0x%05" PRIX32 "-0x%05" PRIX64 "  %" PRIu64 " of %" PRIu64 " byte%s\n",
			range->first, last, range->differing, range->len, range->len == 1 ? "" : "s");
	else
		fprintf(job->out, "only in %s  0x%05" PRIX32 "-0x%05" PRIX64 "  %" PRIu64 " byte%s\n",
			range->kind == DIFF_ONLY_A ? "A" : "B", range->first, last, range->len,
			range->len == 1 ? "" : "s");
	return 0;
}

struct side {
	uint8_t bytes[COLUMNS];
	bool there[COLUMNS];
};

static void read_side(const struct hex_image *image, uint32_t addr, struct side *side)
{
	for (uint32_t i = 0; i < COLUMNS; i++)
		side->there[i] = hex_image_read(image, addr + i, &side->bytes[i], 1, 0) == 1;
}

static void put_side(const struct diff_job *job, const struct side *side, const struct side *other,
		     const char *colour)
{
	char text[COLUMNS + 1] = "";
	for (int i = 0; i < COLUMNS; i++) {
		bool unlike = side->there[i] != other->there[i] ||
			      (side->there[i] && side->bytes[i] != other->bytes[i]);
		const char *on = unlike && job->colour ? colour : "", *off = *on != '\0' ? "\033[0m" : "";
		char mark = unlike && !job->colour ? '>' : ' ';
		uint8_t byte = side->bytes[i];
		if (side->there[i])
			fprintf(job->out, "%c%s%02X%s", mark, on, byte, off);
		else
			fprintf(job->out, "%c%s--%s", mark, on, off);
		text[i] = (char)(!side->there[i] ? ' ' : byte >= 0x20 && byte < 0x7F ? byte : '.');
	}
	fprintf(job->out, "  %s", text);
}

static int put_lines(void *context, const struct diff_range *range)
{
	struct diff_job *job = context;
	uint64_t end = range->first + range->len, at = range->first / COLUMNS * COLUMNS;
	if (!job->all && range->kind != DIFF_BYTES)
		return 0; /* the range says enough, and would crowd out what really differs */
	for (at = at > job->next_line ? at : job->next_line; at < end; at += COLUMNS) {
		struct side a, b;
		if (!job->all && job->lines++ >= SHOWN_LINES)
			return 1;
		read_side(&job->common.image, (uint32_t)at, &a);
		read_side(&job->other, (uint32_t)at, &b);
		fprintf(job->out, "0x%05" PRIX64 " ", at);
		put_side(job, &a, &b, "\033[1;31m");
		fputs("  |", job->out);
		put_side(job, &b, &a, "\033[1;32m");
		fputc('\n', job->out);
		job->next_line = at + COLUMNS;
	}
	return 0;
}

static void put_start(FILE *out, const char *which, const struct hex_image *image)
{
	if (image->start_kind == HEX_START_NONE)
		fprintf(out, "%s has no start record", which);
	else if (image->start_kind == HEX_START_SEGMENT)
		fprintf(out, "%s starts at %04X:%04X", which, image->start >> 16, image->start & 0xFFFF);
	else
		fprintf(out, "%s starts at 0x%08" PRIX32, which, image->start);
}

static void put_totals(struct diff_job *job)
{
	const struct diff_total *total = &job->total;
	if (total->start_differs) {
		put_start(job->out, "A", &job->common.image);
		put_start(job->out, ", B", &job->other);
		fputc('\n', job->out);
	}
	fprintf(job->out, "%" PRIu64 " bytes differ, %" PRIu64 " only in A, %" PRIu64 " only in B, %" PRIu64
		" equal%s\n", total->differing, total->only_a, total->only_b, total->equal,
		total->start_differs ? "; the start records differ" : "");
	if (job->pages)
		fprintf(job->out, "%" PRIu64 " of %" PRIu64 " pages of %u bytes to write again\n",
			job->page_count.differing, job->page_count.used, job->common.part->flash_page);
}

static int report_text(struct diff_job *job, struct pogo_error *err)
{
	struct edit_text text;
	struct diff_total joined, ignored;
	if (edit_text_open(&text, err) != 0)
		return -1;
	job->out = text.out;
	fprintf(job->out, "A  %s\nB  %s\n", job->common.path, job->other_path);
	if (diff_walk(&job->common.image, &job->other, JOIN_GAP, put_range, job, &ignored) != 0) {
		diff_walk(&job->common.image, &job->other, JOIN_GAP, NULL, NULL, &joined);
		fprintf(job->out, "… and %" PRIu64 " more ranges (--all shows them)\n",
			joined.ranges - SHOWN_RANGES);
	}
	bool lines = job->all ? job->total.ranges > 0 : job->total.differing > 0;
	if (lines)
		fputc('\n', job->out);
	if (diff_walk(&job->common.image, &job->other, 0, put_lines, job, &ignored) != 0)
		fputs("… and more lines (--all shows them)\n", job->out);
	if (lines)
		fputc('\n', job->out);
	put_totals(job);
	return edit_text_print(&text, NULL, err);
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static int json_range(void *context, const struct diff_range *range)
{
	struct diff_job *job = context;
	if (!job->all && job->ranges++ >= JSON_RANGES)
		return 1;
	jsonw_open(&job->json, NULL, '{');
	jsonw_str(&job->json, "kind", kind_name(range->kind));
	jsonw_int(&job->json, "start", range->first);
	jsonw_int(&job->json, "end", (int64_t)(range->first + range->len - 1));
	jsonw_int(&job->json, "bytes", (int64_t)range->len);
	if (range->kind == DIFF_BYTES && range->len <= COLUMNS * 2) {
		uint8_t bytes[COLUMNS * 2];
		hex_image_read(&job->common.image, range->first, bytes, (size_t)range->len, 0xFF);
		jsonw_hex(&job->json, "a", bytes, (size_t)range->len);
		hex_image_read(&job->other, range->first, bytes, (size_t)range->len, 0xFF);
		jsonw_hex(&job->json, "b", bytes, (size_t)range->len);
	}
	jsonw_close(&job->json, '}');
	return 0;
}

static void json_start(struct jsonw *json, const char *key, const struct hex_image *image)
{
	char text[16];
	snprintf(text, sizeof text, image->start_kind == HEX_START_SEGMENT ? "%04X:%04X" : "%04X%04X",
		 image->start >> 16, image->start & 0xFFFF);
	jsonw_str(json, key, image->start_kind != HEX_START_NONE ? text : NULL);
}

static int report_json(struct diff_job *job, struct pogo_error *err)
{
	struct jsonw *json = &job->json;
	struct diff_total ignored;
	jsonw_init(json, 2);
	jsonw_open(json, NULL, '{');
	jsonw_str(json, "a", job->common.path);
	jsonw_str(json, "b", job->other_path);
	jsonw_bool(json, "same", diff_same(&job->total));
	jsonw_int(json, "differing", (int64_t)job->total.differing);
	jsonw_int(json, "only_a", (int64_t)job->total.only_a);
	jsonw_int(json, "only_b", (int64_t)job->total.only_b);
	jsonw_int(json, "equal", (int64_t)job->total.equal);
	jsonw_bool(json, "start_differs", job->total.start_differs);
	json_start(json, "start_a", &job->common.image);
	json_start(json, "start_b", &job->other);
	if (job->pages) {
		jsonw_open(json, "pages", '{');
		jsonw_int(json, "size", job->common.part->flash_page);
		jsonw_int(json, "used", (int64_t)job->page_count.used);
		jsonw_int(json, "differing", (int64_t)job->page_count.differing);
		jsonw_close(json, '}');
	}
	jsonw_int(json, "range_count", (int64_t)job->total.ranges);
	jsonw_open(json, "ranges", '[');
	bool cut = diff_walk(&job->common.image, &job->other, 0, json_range, job, &ignored) != 0;
	jsonw_close(json, ']');
	jsonw_bool(json, "cut", cut);
	jsonw_close(json, '}');
	return edit_print_json(json, err);
}

/* ---- command ---------------------------------------------------------------------------------------- */

static void count_pages(struct diff_job *job)
{
	const struct part *part = job->common.part;
	const struct hex_range flash = {part->flash_start, part->flash_start + (part->flash_bytes - 1)};
	diff_count_pages(&job->common.image, &job->other, part->flash_page, &flash, &job->page_count);
}

static int answer(const struct diff_job *job, struct pogo_error *err)
{
	if (diff_same(&job->total))
		return 0;
	if (job->common.quiet)
		return pogo_fail(err, POGO_NO, "%s", ""); /* the exit code says it */
	return pogo_fail(err, POGO_NO, "\"%.200s\" and \"%.200s\" differ%s", job->common.path, job->other_path,
			 job->total.ranges == 0 ? ", in the start record only" : "");
}

static int compare(struct diff_job *job, char **argv, int count, struct pogo_error *err)
{
	struct edit_job *common = &job->common;
	if (count != 2)
		return pogo_fail(err, POGO_INPUT, "diff needs two files");
	if (common->quiet && common->json)
		return pogo_fail(err, POGO_INPUT, "--quiet shows nothing and --json an object: one of them");
	if (job->pages && common->part_name == NULL)
		return pogo_fail(err, POGO_INPUT, "--pages needs --part, whose pages they are");
	if (edit_job_part(common, err) != 0 ||
	    edit_read_input(common, argv[0], &common->image, &common->path, err) != 0 ||
	    edit_read_input(common, argv[1], &job->other, &job->other_path, err) != 0)
		return -1;
	if (strcmp(common->path, "-") == 0 && strcmp(job->other_path, "-") == 0)
		return pogo_fail(err, POGO_INPUT, "standard input can be read only once");
	diff_walk(&common->image, &job->other, 0, NULL, NULL, &job->total);
	if (job->pages)
		count_pages(job);
	job->colour = edit_colour();
	if (!common->quiet && (common->json ? report_json(job, err) : report_text(job, err)) != 0)
		return -1;
	return answer(job, err);
}

int cmd_diff(int argc, char **argv, struct pogo_error *err)
{
	struct diff_job job = {.all = false};
	const struct option_spec specs[] = {EDIT_SPECS(job.common),
					    EDIT_PART_SPECS(job.common),
					    {"all", 0, NULL, &job.all},
					    {"quiet", 'q', NULL, &job.common.quiet},
					    {"pages", 0, NULL, &job.pages},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	int rc = compare(&job, argv, count, err);
	hex_image_finish(&job.other);
	free(job.other_path);
	edit_job_finish(&job.common);
	return rc;
}
