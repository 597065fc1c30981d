#include "hextools/format_list.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/ihex.h"

/* The mark, perhaps behind blanks and blank lines; a saved "save as UTF-8" does not hide it either. */
static bool ihex_detect(const uint8_t *head, size_t len)
{
	size_t i = len >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
	while (i < len && strchr(" \t\r\n", head[i]) != NULL && head[i] != '\0')
		i++;
	return i + 1 < len && head[i] == ':' && isxdigit(head[i + 1]);
}

static int ihex_read(struct instream *in, const struct format_reading *reading, struct hex_image *image,
		     struct format_origin *origin, struct pogo_error *err)
{
	(void)reading;
	(void)origin;
	if (instream_whole(in, err) != 0)
		return -1;
	return ihex_parse((const char *)in->at, (size_t)(in->end - in->at), in->name, image, err);
}

static int ihex_write(const struct hex_image *image, const struct format_writing *writing,
		      struct sink *sink, struct pogo_error *err)
{
	char *text;
	size_t len;
	if (ihex_format(image, writing->width != 0 ? writing->width : 16, &text, &len, err) != 0)
		return -1;
	sink_put(sink, text, len);
	free(text);
	return 0;
}

const struct format format_ihex = {
	.name = "ihex",
	.title = "Intel HEX",
	.extensions = " hex ihex ihx eep ",
	.text = true,
	.detect = ihex_detect,
	.read = ihex_read,
	.write = ihex_write,
};
