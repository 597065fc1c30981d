#include "hextools/cmd_map.h"

#include "hextools/cmd_edit.h"
#include "hextools/map.h"

int cmd_map_check(const struct map_options *options, bool json, struct pogo_error *err)
{
	if (options->wanted && options->part == NULL)
		return pogo_fail(err, POGO_INPUT, "--map needs --part, whose memories it draws");
	if (!options->wanted && (options->part != NULL || options->fuses != NULL))
		return pogo_fail(err, POGO_INPUT, "--part and --fuses go with --map");
	if (options->wanted && json)
		return pogo_fail(err, POGO_INPUT, "--map is a drawing; --json has the ranges");
	return 0;
}

/* An STM32's fuses do not say where a bootloader ends, but a known one does. */
static void take_family(const struct bootloader *family, struct edit_job *job)
{
	const struct bootloader_part *entry = family != NULL ? bootloader_part(family, job->part->name) : NULL;
	if (part_is_avr(job->part) || entry == NULL)
		return;
	job->words.has_boot = true;
	job->words.boot_start = entry->section_start;
	job->words.boot_bytes = entry->reserved_bytes;
}

int cmd_map_print(const struct map_options *options, const char *configs,
		  const struct hex_image *const images[], size_t count, struct pogo_error *err)
{
	struct edit_job job = {.part_name = options->part, .fuses = options->fuses, .configs = configs};
	struct edit_text text;
	int rc = edit_job_part(&job, err);
	if (rc == 0)
		rc = edit_text_open(&text, err);
	if (rc == 0) {
		take_family(options->family, &job);
		const struct map_view view = {
			job.part, job.words.has_boot, job.words.boot_start, job.words.boot_bytes, images,
			count,	  edit_utf8(),	      edit_colour()};
		map_draw(text.out, &view);
		rc = edit_text_print(&text, NULL, err);
	}
	edit_job_finish(&job);
	return rc;
}
