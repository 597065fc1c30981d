#ifndef POGO_HEXTOOLS_DUMP_H
#define POGO_HEXTOOLS_DUMP_H

#include <stdio.h>

#include "hextools/edit.h"

/* The bytes of a range as lines of address, 16 bytes in hex and in ASCII, at addresses that are
 * multiples of 16. A hole is one line, and so is a run of equal lines unless `all`. */
void dump_bytes(FILE *out, const struct hex_image *image, const struct hex_range *range, bool all);

enum dump_encoding { DUMP_ASCII, DUMP_UTF16LE };

struct dump_string {
	uint32_t addr; /* of its first character */
	enum dump_encoding encoding;
	const uint8_t *bytes; /* as they stand in the image */
	size_t characters;    /* printable ASCII, of one byte or two */
	bool usb;             /* UTF-16LE behind its length and 0x03: a USB string descriptor */
};

/* Every run of at least `least` printable characters; visit returns non-zero to end, which returns it. */
int dump_strings(const struct hex_image *image, const struct hex_range *range, size_t least,
		 int (*visit)(void *context, const struct dump_string *string), void *context);

#endif
