#include "hextools/commands.h"

#include <inttypes.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/vectors.h"

static const char help[] =
	"pogo-hex vectors --part P [--fuses L,H,E] [--base ADDRESS] IN[@OFFSET]\n"
	"pogo-hex vectors --cortex-m [--base ADDRESS] IN[@OFFSET]\n"
	"\n"
	"Shows the reset and interrupt vectors and what each leads to. Vectors in a row that lead to one\n"
	"place are one line: mostly the handler of unused interrupts.\n"
	"\n"
	"  --base ADDRESS     where the table stands (default: where the flash begins; --cortex-m 0x08000000)\n"
	"  --count N          how many vectors (else what the part says, or what looks like a table)\n"
	"  --cortex-m         an ARM Cortex-M table: initial stack pointer, reset, ...\n"
	"  --all              every vector on a line of its own\n" EDIT_PART_HELP FORMAT_READ_HELP EDIT_JSON_HELP;

struct vectors_job {
	struct edit_job common;
	const char *base, *count_text;
	bool cortex_m, all;
	struct vector_view view;
	struct vector list[VECTORS_MAX];
	size_t count;
};

static const char *place_text(const struct vector *vector)
{
	static const char *const texts[] = {
		[PLACE_NONE] = "",
		[PLACE_APPLICATION] = "in the application",
		[PLACE_BOOT] = "in the boot section",
		[PLACE_FLASH] = "data is there",
		[PLACE_TABLE] = "another vector",
		[PLACE_SELF] = "ITSELF: hangs",
		[PLACE_BLANK] = "BLANK: no code there",
		[PLACE_OUTSIDE] = "OUTSIDE: no data or flash there",
		[PLACE_NO_THUMB] = "NO THUMB BIT: faults",
		[PLACE_RAM] = "RAM",
		[PLACE_BAD_STACK] = "NO RAM THERE, or not aligned",
	};
	return texts[vector->place];
}

static bool has_target(const struct vector *vector)
{
	return vector->kind == VECTOR_JMP || vector->kind == VECTOR_RJMP ||
	       vector->kind == VECTOR_STACK || vector->kind == VECTOR_ADDRESS;
}

static bool alike(const struct vector *a, const struct vector *b)
{
	if (a->name != NULL || b->name != NULL || a->kind != b->kind || a->place != b->place)
		return false;
	return has_target(a) ? a->target == b->target : a->word == b->word || a->kind == VECTOR_MISSING;
}

static void put_vector(FILE *out, const struct vector *first, const struct vector *last)
{
	char numbers[32], what[40];
	if (first == last)
		snprintf(numbers, sizeof numbers, "%u", first->number);
	else
		snprintf(numbers, sizeof numbers, "%u-%u", first->number, last->number);
	if (has_target(first))
		snprintf(what, sizeof what, "%-7s 0x%0*" PRIX32, vector_kind_name(first->kind),
			 hex_digits(first->target), first->target);
	else if (first->kind == VECTOR_OTHER)
		snprintf(what, sizeof what, "%-7s %04" PRIX32, first->word == 0 ? "zero" : "no jump",
			 first->word);
	else
		snprintf(what, sizeof what, "%s", vector_kind_name(first->kind));
	fprintf(out, "%-8s 0x%0*" PRIX32 "  %-12s %-18s  %s\n", numbers, hex_digits(first->addr), first->addr,
		first->name != NULL ? first->name : "", what, place_text(first));
}

static int report_text(const struct vectors_job *job, struct pogo_error *err)
{
	struct edit_text text;
	if (edit_text_open(&text, err) != 0)
		return -1;
	for (size_t i = 0, end; i < job->count; i = end) {
		for (end = i + 1; !job->all && end < job->count && alike(&job->list[i], &job->list[end]);)
			end++;
		put_vector(text.out, &job->list[i], &job->list[end - 1]);
	}
	return edit_text_print(&text, NULL, err);
}

static int report_json(const struct vectors_job *job, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "path", job->common.path);
	jsonw_str(&json, "core", job->cortex_m ? "cortex-m" : "avr");
	jsonw_int(&json, "base", job->view.base);
	jsonw_int(&json, "vector_bytes", job->cortex_m ? 4 : vectors_bytes(job->view.part));
	jsonw_open(&json, "vectors", '[');
	for (size_t i = 0; i < job->count; i++) {
		const struct vector *v = &job->list[i];
		jsonw_open(&json, NULL, '{');
		jsonw_int(&json, "number", v->number);
		jsonw_int(&json, "address", v->addr);
		jsonw_str(&json, "name", v->name);
		jsonw_str(&json, "kind", vector_kind_name(v->kind));
		if (has_target(v))
			jsonw_int(&json, "target", v->target);
		else
			jsonw_null(&json, "target");
		jsonw_str(&json, "place", vector_place_name(v->place));
		jsonw_close(&json, '}');
	}
	jsonw_close(&json, ']');
	jsonw_close(&json, '}');
	return edit_print_json(&json, err);
}

static int read_view(struct vectors_job *job, struct pogo_error *err)
{
	int64_t base, count;
	const struct part *part = job->common.part;
	if (part != NULL && !part_is_avr(part))
		job->cortex_m = true;
	/* 4 bytes a vector at most. */
	if (edit_number(job->base, "--base", 0, (int64_t)UINT32_MAX - 4 * VECTORS_MAX,
			part != NULL ? part->flash_start : 0x08000000, &base, err) != 0 ||
	    edit_number(job->count_text, "--count", 1, VECTORS_MAX, 0, &count, err) != 0)
		return -1;
	job->view.base = (uint32_t)base;
	job->view.count = (unsigned)count;
	return 0;
}

static int look(struct vectors_job *job, char **argv, int count, struct pogo_error *err)
{
	uint8_t byte;
	if (job->cortex_m == (job->common.part_name != NULL))
		return pogo_fail(err, POGO_INPUT, "vectors needs one of --part P and --cortex-m");
	if (edit_job_open(&job->common, argv, count, 0, err) != 0 || read_view(job, err) != 0)
		return -1;
	job->view.part = job->common.part;
	job->view.has_boot = job->common.words.has_boot;
	job->view.boot_start = job->common.words.boot_start;
	if (hex_image_read(&job->common.image, job->view.base, &byte, 1, 0) == 0)
		return pogo_fail(err, POGO_NO, "\"%.200s\" has no data at 0x%05" PRIX32 ", where the table begins%s",
				 job->common.path, job->view.base, job->base == NULL ? "; --base says where else" : "");
	job->count = job->cortex_m ? vectors_cortex_m(&job->common.image, &job->view, job->list)
				   : vectors_avr(&job->common.image, &job->view, job->list);
	return job->common.json ? report_json(job, err) : report_text(job, err);
}

int cmd_vectors(int argc, char **argv, struct pogo_error *err)
{
	struct vectors_job job = {.base = NULL};
	const struct option_spec specs[] = {EDIT_SPECS(job.common),
					    EDIT_PART_SPECS(job.common),
					    {"base", 0, &job.base, NULL},
					    {"count", 0, &job.count_text, NULL},
					    {"cortex-m", 0, NULL, &job.cortex_m},
					    {"all", 0, NULL, &job.all},
					    {NULL, 0, NULL, NULL}};
	int count;
	if (options_parse(specs, argc, argv, &count, err) != 0)
		return -1;
	if (job.common.help)
		return cmd_print(help, err);
	int rc = look(&job, argv, count, err);
	edit_job_finish(&job.common);
	return rc;
}
