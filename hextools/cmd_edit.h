#ifndef POGO_HEXTOOLS_CMD_EDIT_H
#define POGO_HEXTOOLS_CMD_EDIT_H

#include <stdio.h>

#include "hextools/edit.h"
#include "hextools/format.h"
#include "hextools/jsonw.h"
#include "hextools/options.h"
#include "hextools/outfile.h"

/* What the editing and looking commands share: their common options, an input, ranges of words, and
 * outputs that appear together. */

struct edit_job {
	bool help, json, quiet; /* quiet: what is odd with an input is not said */
	const char *output, *part_name, *configs, *fuses;
	struct format_reading reading;
	struct format_writing writing;

	char *path;             /* of the input, without its @OFFSET */
	struct hex_image image; /* the input */
	struct part *part;      /* NULL without --part */
	struct range_words words;
	struct hex_range *ranges;
	size_t range_count;
};

/* The rows of an option table, and their lines of help. */
#define EDIT_PART_SPECS(job)                                                                         \
	{"part", 0, &(job).part_name, NULL}, {"configs", 0, &(job).configs, NULL},                   \
		{"fuses", 0, &(job).fuses, NULL}
#define EDIT_SPECS(job)                                                                              \
	{"help", 'h', NULL, &(job).help}, {"json", 0, NULL, &(job).json}, FORMAT_READ_SPECS((job).reading)
#define EDIT_OUTPUT_SPECS(job)                                                                       \
	{"output", 'o', &(job).output, NULL}, {"to-format", 0, &(job).writing.format, NULL},         \
		{"to-family", 0, &(job).writing.family, NULL}

#define EDIT_RANGE_HELP                                                                              \
	"A RANGE is 0x7000-0x7FFF (the last byte is inside), 0x7000+4096 (begin and length), 0x7000 (one\n" \
	"byte), or with --part one of flash, eeprom, boot, app (boot and app need --fuses).\n"
#define EDIT_PART_HELP                                                                               \
	"  --part P           a part of configs/parts, like atmega32u4\n"                               \
	"  --fuses L,H,E      its fuse bytes: BOOTSZ says where the boot section begins\n"              \
	"  --configs DIR      folder with parts/ (else $POGOLINE_CONFIGS, else found)\n"
#define EDIT_OUTPUT_HELP                                                                             \
	"  -o, --output OUT   where to write (\"-\": standard output); its extension says the format\n" \
	"  --to-format NAME   write ihex, srec, uf2 or binary (else by OUT's name, else Intel HEX)\n"   \
	"  --to-family NAME   UF2's family\n"
#define EDIT_JSON_HELP "  --json             one JSON object on standard output\n"

/* Loads the part, if one is named, and what range words need. */
int edit_job_part(struct edit_job *job, struct pogo_error *err);

/* Reads one input ("IN[@OFFSET]"), and says what was odd with it on standard error. */
int edit_read_input(const struct edit_job *job, const char *word, struct hex_image *image, char **path,
		    struct pogo_error *err);

/* The last word is the input, those before it (`most` at most) are ranges. */
int edit_job_open(struct edit_job *job, char **words, int count, int most, struct pogo_error *err);

int edit_job_range(const struct edit_job *job, const char *text, struct hex_range *range,
		   struct pogo_error *err);

/* Writes an image, with a note if its start address finds no place there. The report (NULL: none) goes to standard
 * output when the file is ready, before it takes its place: if it cannot be printed nothing has changed. */
int edit_write(const char *output, const struct hex_image *image, const struct format_writing *writing,
	       const char *report, struct pogo_error *err);

/* The same; the report is the open JSON object, with what comes out as its last members. Finishes it. */
int edit_write_json(struct jsonw *json, const char *output, const struct hex_image *image,
		    const struct format_writing *writing, struct pogo_error *err);

/* Writes the image to job->output and, with --json, prints what comes out. */
int edit_job_write(const struct edit_job *job, struct pogo_error *err);

void edit_job_finish(struct edit_job *job);

/* -o is needed; "-" and --json would both go to standard output. */
int edit_need_output(const char *output, bool json, const char *command, struct pogo_error *err);

/* A number of --name, or `missing` if the option was not given. */
int edit_number(const char *text, const char *what, int64_t low, int64_t high, int64_t missing,
		int64_t *out, struct pogo_error *err);

/* A number that is `len` characters of a longer word. */
int edit_number_of(const char *text, size_t len, const char *what, int64_t low, int64_t high, int64_t *out,
		   struct pogo_error *err);

/* "01 FF", "01FF", "0x01FF": hex digits in pairs. *bytes is malloc'ed. */
int edit_hex_bytes(const char *text, const char *what, uint8_t **bytes, size_t *len,
		   struct pogo_error *err);

enum { EDIT_NOTE = 200 };

/* Outputs that appear together or not at all: zero it, add, then commit or discard the set. */
struct edit_outputs {
	const char *input;    /* "IN[@OFFSET]", which none of them may be */
	char note[EDIT_NOTE]; /* that a start address finds no place */
	struct outfile_set set;
};
int edit_outputs_add(struct edit_outputs *outputs, const char *path, const struct hex_image *image,
		     const struct format_writing *writing, struct pogo_error *err);

/* With the closed JSON object, unless it is NULL, as a report like that of edit_write. */
int edit_outputs_commit(struct edit_outputs *outputs, struct jsonw *json, struct pogo_error *err);

/* One range as members of the open JSON object: start, end, bytes. */
void edit_json_range(struct jsonw *json, const struct hex_range *range);
/* The closed object's text; NULL if memory ran out. */
const char *edit_json_text(struct jsonw *json, struct pogo_error *err);
/* Prints and finishes the text. */
int edit_print_json(struct jsonw *json, struct pogo_error *err);

/* Text that is printed whole: open, fprintf, print. */
struct edit_text {
	FILE *out;
	char *text;
	size_t len;
};
int edit_text_open(struct edit_text *text, struct pogo_error *err);
int edit_text_print(struct edit_text *text, const char *output, struct pogo_error *err);

/* Standard output is a terminal that wants colour (NO_COLOR, https://no-color.org); knows UTF-8. */
bool edit_colour(void);
bool edit_utf8(void);

#endif
