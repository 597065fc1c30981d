#ifndef POGO_HEXTOOLS_FORMAT_LIST_H
#define POGO_HEXTOOLS_FORMAT_LIST_H

#include "hextools/format.h"
#include "hextools/instream.h"
#include "hextools/sink.h"

/* Private to format.c and the formats: one constant table for each, in its own file. */

struct format {
	const char *name;       /* "ihex" */
	const char *title;      /* "Intel HEX" */
	const char *extensions; /* " hex ihex ": a word of it, between blanks */
	bool text;
	bool keeps_linear, keeps_segment; /* start addresses that it can hold */
	/* Whether a file that begins with these bytes (4 KiB or the whole file) is one; NULL: never. */
	bool (*detect)(const uint8_t *head, size_t len);
	/* *image is initialised and empty, and stays so on failure. */
	int (*read)(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		    struct format_origin *origin, struct pogo_error *err);
	/* Refuses before the first byte. NULL: this format is only read. */
	int (*write)(const struct hex_image *image, const struct format_writing *writing,
		     struct sink *sink, struct pogo_error *err);
};

extern const struct format format_ihex;
extern const struct format format_srec;
extern const struct format format_elf;
extern const struct format format_uf2;
extern const struct format format_binary;

#endif
