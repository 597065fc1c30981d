#ifndef POGO_HEXTOOLS_FORMAT_H
#define POGO_HEXTOOLS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/image.h"
#include "hextools/notes.h"

/* The file formats around one image type. A file is recognised by its content, never by its name
 * alone; the one format without a mark of its own, raw binary, wants "@ADDRESS". Reading is all or
 * nothing, strict, and takes memory in proportion to the data. */

struct format;
struct builder_watch;

/* How to read. Zeroed (or NULL) is: by content, strict. Fits an option table, see FORMAT_READ_SPECS. */
struct format_reading {
	const char *format; /* a name of the list; NULL: recognise it */
	const char *family; /* UF2: the family to take, name or number; NULL: the only one of the file */
	bool lenient;       /* accept the harmless oddities of the text formats, with a note for each */
	bool has_place;     /* a raw binary without an @ADDRESS belongs at `place`, and a note says so */
	uint32_t place;
	const struct builder_watch *watch; /* not owned: told of the data while it is read, see builder.h */
};

#define FORMAT_READ_SPECS(reading)                                                                   \
	{"format", 0, &(reading).format, NULL}, {"family", 0, &(reading).family, NULL},              \
		{"lenient", 0, NULL, &(reading).lenient}

/* The lines that these options need in a command's help. */
#define FORMAT_READ_HELP                                                                             \
	"  --format NAME      the inputs are ihex, srec, elf, uf2 or binary (else seen by their content)\n" \
	"  --family NAME      take this family of a UF2 file that has several\n"                        \
	"  --lenient          accept harmless oddities of Intel HEX and S-records, and say each one\n"

/* The last 16 bytes of a file for USB DFU ("DFU suffix", USB DFU 1.1, appendix B). 0xFFFF: any. */
struct dfu_ids {
	uint16_t vendor, product, device;
};

/* What a file told beside its data. */
struct format_origin {
	const struct format *format;
	struct notes notes;
	bool has_family, has_dfu;
	uint32_t family;    /* UF2 */
	struct dfu_ids dfu; /* a DFU suffix was there, its CRC was right, and it is no data */
};

/* Reads "FILE" or "FILE@OFFSET" ("-": standard input) into *image, which is initialised and empty.
 * OFFSET (decimal or 0x…, may be negative) moves the data; of a raw binary it is the address. The last
 * @ counts, and only if a number follows it. `origin` and `reading` may be NULL. A defect is POGO_INPUT
 * and "FILE:LINE:COLUMN: …" in text, "FILE: offset 0x…: …" elsewhere. */
int format_read_file(const char *word, const struct format_reading *reading, struct hex_image *image,
		     struct format_origin *origin, struct pogo_error *err);

/* The same from memory; `word` names it and may have an @OFFSET. */
int format_read_memory(const void *data, size_t len, const char *word,
		       const struct format_reading *reading, struct hex_image *image,
		       struct format_origin *origin, struct pogo_error *err);

/* The FILE of "FILE@OFFSET": how many characters of word it has. *offset may be NULL; *given (may be
 * NULL) says whether there was one. POGO_INPUT if what follows the @ begins like a number and is none. */
int format_split_word(const char *word, size_t *path_len, int64_t *offset, bool *given,
		      struct pogo_error *err);

/* How to write. Zeroed is: the format that the name's extension says, else Intel HEX. */
struct format_writing {
	const char *format;
	const char *family;     /* UF2 needs one */
	unsigned width;         /* data bytes a record; 0: 16 */
	unsigned address_bytes; /* S-record: 2, 3 or 4; 0: the fewest that hold every address */
	bool has_dfu;           /* raw binary: end with a DFU suffix of these ids */
	struct dfu_ids dfu;
	bool force;             /* allow a raw binary with a span above 64 MiB */
};

/* Whole or not at all (outfile.h); "-" is standard output. What the format cannot hold is POGO_INPUT. */
int format_write_file(const char *path, const struct hex_image *image,
		      const struct format_writing *writing, struct pogo_error *err);

/* The same as one file of a set. */
struct outfile_set;
int format_stage_file(struct outfile_set *set, const char *path, const struct hex_image *image,
		      const struct format_writing *writing, struct pogo_error *err);

/* Whether the format that would be written has no place for the image's start address (it is then left
 * out, and a command says so). */
int format_loses_start(const char *path, const struct hex_image *image,
		       const struct format_writing *writing, bool *loses, struct pogo_error *err);

/* The title of the format that would be written; NULL: none can. */
const char *format_of_output(const char *path, const struct format_writing *writing);

/* The same into malloc'ed memory, which the caller frees; `path` gives the extension and may be NULL. */
int format_write_memory(const char *path, const struct hex_image *image,
			const struct format_writing *writing, uint8_t **data, size_t *len,
			struct pogo_error *err);

const char *format_name(const struct format *format);  /* "ihex" */
const char *format_title(const struct format *format); /* "Intel HEX" */

#endif
