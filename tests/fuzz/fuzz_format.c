#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "hextools/format.h"

/* One harness for every reader: FORMAT is what the build of each one defines. What is accepted must come
 * back equal from Intel HEX; a refusal must leave no data behind. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct hex_image *image)
{
	const struct format_writing writing = {.format = "ihex"};
	struct hex_image back;
	uint8_t *text;
	size_t len;
	if (format_write_memory(NULL, image, &writing, &text, &len, NULL) != 0)
		abort();
	hex_image_init(&back);
	if (format_read_memory(text, len, "again", NULL, &back, NULL, NULL) != 0 || !hex_image_equal(image, &back))
		abort();
	hex_image_finish(&back);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int lenient = 0; lenient < 2; lenient++) {
		const struct format_reading reading = {.format = FORMAT, .lenient = lenient != 0};
		struct format_origin origin;
		struct pogo_error err = {.text = ""};
		struct hex_image image;
		hex_image_init(&image);
		if (format_read_memory(data, size, "fuzz@0", &reading, &image, &origin, &err) == 0)
			check_round_trip(&image);
		else if (image.count != 0 || err.text[0] == '\0' || err.kind != POGO_INPUT)
			abort();
		hex_image_finish(&image);
	}
	return 0;
}
