#include "hextools/format_list.h"

#include <ctype.h>
#include <string.h>

#include "hextools/ihex.h"

enum { LOOK = 11 /* characters of the shortest record */ };

/* The mark, the two digits of a length, and text behind them: a raw image may well begin with ":3". Perhaps behind
 * blanks and blank lines; a saved "save as UTF-8" does not hide it either. */
static bool ihex_detect(const uint8_t *head, size_t len)
{
	size_t i = len >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
	while (i < len && strchr(" \t\r\n", head[i]) != NULL && head[i] != '\0')
		i++;
	if (i + 2 >= len || head[i] != ':' || !isxdigit(head[i + 1]) || !isxdigit(head[i + 2]))
		return false;
	for (size_t k = i + 3; k < len && k < i + LOOK; k++)
		if (!isprint(head[k]) && strchr("\t\r\n", head[k]) == NULL)
			return false;
	return true;
}

static int read_ihex(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		     struct format_origin *origin, struct pogo_error *err)
{
	return ihex_read_stream(in, reading->lenient, reading->watch, image, &origin->notes, err);
}

static int write_ihex(const struct hex_image *image, const struct format_writing *writing,
		      struct sink *sink, struct pogo_error *err)
{
	return ihex_write(image, writing->width != 0 ? writing->width : 16, sink, err);
}

const struct format format_ihex = {
	.name = "ihex",
	.title = "Intel HEX",
	.extensions = " hex ihex ihx eep ",
	.text = true,
	.keeps_linear = true,
	.keeps_segment = true,
	.detect = ihex_detect,
	.read = read_ihex,
	.write = write_ihex,
};
