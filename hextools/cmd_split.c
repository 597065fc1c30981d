#include "hextools/commands.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"

static const char help[] =
	"pogo-hex split -o PREFIX (--at ADDRESS[,ADDRESS]... | --size N) IN[@OFFSET]\n"
	"\n"
	"Writes the pieces to PREFIX-ADDRESS.hex, where ADDRESS is a piece's first data byte in eight hex\n"
	"digits. A piece without data is not written. The start record goes to the piece that it points\n"
	"into, else to the first. All files appear, or none.\n"
	"\n"
	"  -o, --output PREFIX\n"
	"  --at ADDRESS,...   a new piece begins at each of these addresses\n"
	"  --size N           a new piece begins at each multiple of N\n"
	"  --to-format NAME   write ihex, srec, uf2 or binary; the files get its extension\n"
	"  --to-family NAME   UF2's family\n" FORMAT_READ_HELP EDIT_JSON_HELP;

enum { MAX_CUTS = 1024 };

struct split {
	const char *at, *size;
	uint32_t cuts[MAX_CUTS]; /* ascending */
	size_t cut_count;
	int64_t step; /* of --size; else 0 */
	struct edit_outputs outputs;
	struct jsonw json;
	size_t pieces;
};

static int by_address(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int read_cuts(struct split *split, struct pogo_error *err)
{
	if ((split->at == NULL) == (split->size == NULL))
		return pogo_fail(err, POGO_INPUT, "split needs one of --at ADDRESS,... and --size N");
	if (split->size != NULL)
		return options_number(split->size, "--size", 1, UINT32_MAX, &split->step, err);
	for (const char *at = split->at;;) {
		size_t len = strcspn(at, ",");
		int64_t value;
		if (edit_number_of(at, len, "address", 0, UINT32_MAX, &value, err) != 0)
			return -1;
		if (split->cut_count == MAX_CUTS)
			return pogo_fail(err, POGO_INPUT, "more than %d addresses", MAX_CUTS);
		split->cuts[split->cut_count++] = (uint32_t)value;
		if (at[len] == '\0')
			break;
		at += len + 1;
	}
	qsort(split->cuts, split->cut_count, sizeof split->cuts[0], by_address);
	return 0;
}

/* The last address of the piece that addr is in. */
static uint32_t piece_end(const struct split *split, uint32_t addr)
{
	if (split->step > 0) {
		uint64_t next = (addr / (uint64_t)split->step + 1) * (uint64_t)split->step;
		return next > UINT32_MAX ? UINT32_MAX : (uint32_t)(next - 1);
	}
	for (size_t i = 0; i < split->cut_count; i++)
		if (split->cuts[i] > addr)
			return split->cuts[i] - 1;
	return UINT32_MAX;
}

static uint32_t start_address(const struct hex_image *image)
{
	if (image->start_kind == HEX_START_SEGMENT)
		return (image->start >> 16) * 16 + (image->start & 0xFFFF);
	return image->start;
}

static const char *extension_of(const struct format_writing *writing)
{
	if (writing->format == NULL || strcmp(writing->format, "ihex") == 0)
		return "hex";
	return strcmp(writing->format, "binary") == 0 ? "bin" : writing->format;
}

static int write_piece(const struct edit_job *job, struct split *split, const struct hex_range *range,
		       bool has_start, struct pogo_error *err)
{
	struct hex_image piece;
	char path[PATH_MAX];
	hex_image_init(&piece);
	int rc = edit_copy(&piece, &job->image, range, err);
	if (rc == 0 && has_start) {
		piece.start_kind = job->image.start_kind;
		piece.start = job->image.start;
	}
	struct hex_range span = *range;
	if (rc == 0)
		range_of_image(&piece, &span);
	int len = snprintf(path, sizeof path, "%s-%08" PRIX32 ".%s", job->output, span.first,
			   extension_of(&job->writing));
	if (rc == 0 && (len < 0 || len >= (int)sizeof path))
		rc = pogo_fail(err, POGO_INPUT, "prefix \"%.60s…\" is too long", job->output);
	if (rc == 0)
		rc = edit_outputs_add(&split->outputs, path, &piece, &job->writing, err);
	if (rc == 0) {
		jsonw_open(&split->json, NULL, '{');
		jsonw_str(&split->json, "output", path);
		jsonw_int(&split->json, "first", span.first);
		jsonw_int(&split->json, "last", span.last);
		jsonw_int(&split->json, "bytes", (int64_t)hex_image_bytes(&piece));
		jsonw_close(&split->json, '}');
		split->pieces++;
	}
	hex_image_finish(&piece);
	return rc;
}

/* Whether the start record's address is in some piece at all. */
static bool has_data_at(const struct hex_image *image, uint32_t addr)
{
	uint8_t byte;
	return hex_image_read(image, addr, &byte, 1, 0) == 1;
}

static int commit_pieces(const struct edit_job *job, struct split *split, struct pogo_error *err)
{
	jsonw_close(&split->json, ']');
	jsonw_close(&split->json, '}');
	return edit_outputs_commit(&split->outputs, job->json ? &split->json : NULL, err);
}

static int write_pieces(const struct edit_job *job, struct split *split, struct pogo_error *err)
{
	enum { MOST = 10000 };
	uint32_t start = start_address(&job->image);
	bool inside = has_data_at(&job->image, start);
	for (uint64_t at = 0; at <= UINT32_MAX;) {
		const struct hex_segment *next = hex_image_from(&job->image, (uint32_t)at);
		if (next == NULL)
			break;
		uint32_t first = next->addr > at ? next->addr : (uint32_t)at;
		struct hex_range range = {first, piece_end(split, first)};
		if (split->pieces == MOST)
			return pogo_fail(err, POGO_INPUT, "that makes more than %d files", MOST);
		bool has_start = inside ? range_has(&range, start) : split->pieces == 0;
		if (write_piece(job, split, &range, has_start, err) != 0)
			return -1;
		at = (uint64_t)range.last + 1;
	}
	return commit_pieces(job, split, err);
}

static int split_all(struct edit_job *job, struct split *split, char **argv, int count,
		     struct pogo_error *err)
{
	if (job->output == NULL || strcmp(job->output, "-") == 0)
		return pogo_fail(err, POGO_INPUT, "split needs -o PREFIX of the files to write");
	if (read_cuts(split, err) != 0 || edit_job_open(job, argv, count, 0, err) != 0)
		return -1;
	split->outputs.input = argv[count - 1];
	return write_pieces(job, split, err);
}

int cmd_split(int argc, char **argv, struct pogo_error *err)
{
	struct edit_job job = {.output = NULL};
	struct split split = {.at = NULL};
	const struct option_spec specs[] = {EDIT_SPECS(job),
					    EDIT_OUTPUT_SPECS(job),
					    {"at", 0, &split.at, NULL},
					    {"size", 0, &split.size, NULL},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.help)
		return cmd_print(help, err);
	jsonw_init(&split.json, 2);
	jsonw_open(&split.json, NULL, '{');
	jsonw_open(&split.json, "pieces", '[');
	int rc = split_all(&job, &split, argv, count, err);
	outfile_discard(&split.outputs.set);
	edit_job_finish(&job);
	jsonw_finish(&split.json);
	return rc;
}
