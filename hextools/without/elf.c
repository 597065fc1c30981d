#include <elf.h>
#include <string.h>

#include "hextools/format_list.h"

/* Stands in for hextools/elf.c where libelf is not installed: ELF files are recognised and refused. */

static bool detect_elf(const uint8_t *head, size_t len)
{
	return len >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
}

static int read_elf(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		    struct format_origin *origin, struct pogo_error *err)
{
	(void)reading;
	(void)image;
	(void)origin;
	return pogo_fail(err, POGO_INPUT,
			 "%.200s: an ELF file, and this pogo-hex was built without libelf: install libelf-dev and "
			 "build again, or make Intel HEX of it with objcopy",
			 in->name);
}

const struct format format_elf = {
	.name = "elf",
	.title = "ELF",
	.extensions = " elf axf out ",
	.detect = detect_elf,
	.read = read_elf,
};
