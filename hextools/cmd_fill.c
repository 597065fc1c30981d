#include "hextools/commands.h"

#include <stdlib.h>
#include <string.h>

#include "hextools/cmd_edit.h"

static const char help[] =
	"pogo-hex fill -o OUT --with BYTES RANGE... IN[@OFFSET]\n"
	"\n"
	"Gives data to the bytes of the ranges that have none.\n" EDIT_RANGE_HELP "\n"
	"  --with BYTES       FF, DEADBEEF (repeated from the range's first byte on), or random\n"
	"  --seed N           needed by random: each byte follows from N and its own address\n"
	"  --over             write over data too\n" EDIT_OUTPUT_HELP EDIT_PART_HELP FORMAT_READ_HELP
		EDIT_JSON_HELP;

struct fill {
	const char *with, *seed;
	bool over;
	uint8_t *pattern;
	struct edit_filler filler;
};

static int read_filler(struct fill *fill, struct pogo_error *err)
{
	int64_t seed;
	if (fill->with == NULL)
		return pogo_fail(err, POGO_INPUT, "fill needs --with BYTES (like FF) or --with random --seed N");
	bool noise = strcmp(fill->with, "random") == 0;
	if (noise && fill->seed == NULL)
		return pogo_fail(err, POGO_INPUT,
				 "--with random needs --seed N: the same seed makes the same image again");
	if (!noise && fill->seed != NULL)
		return pogo_fail(err, POGO_INPUT, "--seed goes with --with random only");
	if (edit_number(fill->seed, "--seed", 0, INT64_MAX, 0, &seed, err) != 0)
		return -1;
	fill->filler.seed = (uint64_t)seed;
	if (noise)
		return 0;
	if (edit_hex_bytes(fill->with, "--with", &fill->pattern, &fill->filler.len, err) != 0)
		return -1;
	fill->filler.pattern = fill->pattern;
	return 0;
}

static int fill_all(struct edit_job *job, struct fill *fill, char **argv, int count,
		    struct pogo_error *err)
{
	if (edit_need_output(job->output, job->json, "fill", err) != 0 || read_filler(fill, err) != 0)
		return -1;
	if (count < 2)
		return pogo_fail(err, POGO_INPUT, "fill needs at least one range and a file");
	if (edit_job_open(job, argv, count, count, err) != 0)
		return -1;
	for (size_t i = 0; i < job->range_count; i++)
		if (edit_fill(&job->image, &job->ranges[i], &fill->filler, fill->over, NULL, err) != 0)
			return -1;
	return edit_job_write(job, err);
}

int cmd_fill(int argc, char **argv, struct pogo_error *err)
{
	struct edit_job job = {.output = NULL};
	struct fill fill = {.with = NULL};
	const struct option_spec specs[] = {EDIT_SPECS(job),
					    EDIT_OUTPUT_SPECS(job),
					    EDIT_PART_SPECS(job),
					    {"with", 0, &fill.with, NULL},
					    {"seed", 0, &fill.seed, NULL},
					    {"over", 0, NULL, &fill.over},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.help)
		return cmd_print(help, err);
	int rc = fill_all(&job, &fill, argv, count, err);
	free(fill.pattern);
	edit_job_finish(&job);
	return rc;
}
