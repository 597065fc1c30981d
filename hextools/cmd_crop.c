#include "hextools/commands.h"

#include <string.h>

#include "hextools/cmd_edit.h"

static const char crop_help[] =
	"pogo-hex crop -o OUT RANGE... IN[@OFFSET]\n"
	"\n"
	"Keeps the bytes of the ranges and drops all others.\n" EDIT_RANGE_HELP "\n" EDIT_OUTPUT_HELP
	"  --drop-start       leave the start record out\n" EDIT_PART_HELP FORMAT_READ_HELP EDIT_JSON_HELP;

static const char exclude_help[] =
	"pogo-hex exclude -o OUT RANGE... IN[@OFFSET]\n"
	"\n"
	"Drops the bytes of the ranges and keeps all others.\n" EDIT_RANGE_HELP "\n" EDIT_OUTPUT_HELP
	"  --drop-start       leave the start record out\n" EDIT_PART_HELP FORMAT_READ_HELP EDIT_JSON_HELP;

static const char move_help[] =
	"pogo-hex move -o OUT (--by N | --to ADDRESS) [RANGE] IN[@OFFSET]\n"
	"\n"
	"Moves the bytes of the range (else all) to other addresses; the start record stays as it is.\n"
	"Bytes are never moved onto others.\n" EDIT_RANGE_HELP "\n"
	"  --by N             add N, which may be negative, to each address\n"
	"  --to ADDRESS       the lowest byte that moves goes there\n" EDIT_OUTPUT_HELP
	"  --drop-start       leave the start record out\n" EDIT_PART_HELP FORMAT_READ_HELP EDIT_JSON_HELP;

typedef int edit_function(struct hex_image *image, const struct hex_range *ranges, size_t count,
			  struct pogo_error *err);

static int keep_or_drop(struct edit_job *job, const char *name, edit_function *edit, char **argv,
			int count, bool drop_start, struct pogo_error *err)
{
	if (edit_need_output(job->output, job->json, name, err) != 0)
		return -1;
	if (count < 2)
		return pogo_fail(err, POGO_INPUT, "%s needs at least one range and a file", name);
	if (edit_job_open(job, argv, count, count, err) != 0 ||
	    edit(&job->image, job->ranges, job->range_count, err) != 0)
		return -1;
	if (drop_start)
		job->image.start_kind = HEX_START_NONE;
	return edit_job_write(job, err);
}

static int run_ranges(const char *name, const char *help, edit_function *edit, int argc, char **argv,
		      struct pogo_error *err)
{
	struct edit_job job = {.output = NULL};
	bool drop_start = false;
	const struct option_spec specs[] = {EDIT_SPECS(job),
					    EDIT_OUTPUT_SPECS(job),
					    EDIT_PART_SPECS(job),
					    {"drop-start", 0, NULL, &drop_start},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.help)
		return cmd_print(help, err);
	int rc = keep_or_drop(&job, name, edit, argv, count, drop_start, err);
	edit_job_finish(&job);
	return rc;
}

int cmd_crop(int argc, char **argv, struct pogo_error *err)
{
	return run_ranges("crop", crop_help, edit_crop, argc, argv, err);
}

int cmd_exclude(int argc, char **argv, struct pogo_error *err)
{
	return run_ranges("exclude", exclude_help, edit_exclude, argc, argv, err);
}

static int move_all(struct edit_job *job, char **argv, int count, const char *by, const char *to,
		    struct pogo_error *err)
{
	const int64_t most = (int64_t)1 << 32;
	int64_t offset = 0, target = 0;
	if (edit_need_output(job->output, job->json, "move", err) != 0)
		return -1;
	if ((by == NULL) == (to == NULL))
		return pogo_fail(err, POGO_INPUT, "move needs one of --by N and --to ADDRESS");
	if (edit_number(by, "--by", -most, most, 0, &offset, err) != 0 ||
	    edit_number(to, "--to", 0, most - 1, 0, &target, err) != 0 ||
	    edit_job_open(job, argv, count, 1, err) != 0)
		return -1;
	const struct hex_range *range = job->range_count > 0 ? &job->ranges[0] : NULL;
	if (to != NULL) {
		uint32_t from = range != NULL ? range->first : 0;
		const struct hex_segment *lowest = hex_image_from(&job->image, from);
		if (lowest != NULL)
			offset = target - (lowest->addr > from ? lowest->addr : from);
	}
	return edit_move(&job->image, range, offset, err);
}

int cmd_move(int argc, char **argv, struct pogo_error *err)
{
	struct edit_job job = {.output = NULL};
	const char *by = NULL, *to = NULL;
	bool drop_start = false;
	const struct option_spec specs[] = {EDIT_SPECS(job),
					    EDIT_OUTPUT_SPECS(job),
					    EDIT_PART_SPECS(job),
					    {"by", 0, &by, NULL},
					    {"to", 0, &to, NULL},
					    {"drop-start", 0, NULL, &drop_start},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.help)
		return cmd_print(move_help, err);
	int rc = move_all(&job, argv, count, by, to, err);
	if (rc == 0 && drop_start)
		job.image.start_kind = HEX_START_NONE;
	if (rc == 0)
		rc = edit_job_write(&job, err);
	edit_job_finish(&job);
	return rc;
}
