#include "hextools/ihex.h"

#include <stdlib.h>

#include "hextools/digest.h"

enum {
	CANONICAL_WIDTH = 16,
	OVERHEAD = 12,   /* mark, length, offset, type, checksum, LF */
	BASE_RECORD = 16 /* a 04 record with its LF */
};

static char *put_byte(char *to, unsigned value, unsigned *sum)
{
	static const char digits[] = "0123456789ABCDEF";
	*sum += value;
	*to++ = digits[value >> 4 & 15];
	*to++ = digits[value & 15];
	return to;
}

static char *put_record(char *to, unsigned type, unsigned offset, const uint8_t *data, size_t len)
{
	unsigned sum = 0;
	*to++ = ':';
	to = put_byte(to, (unsigned)len, &sum);
	to = put_byte(to, offset >> 8 & 0xFF, &sum);
	to = put_byte(to, offset & 0xFF, &sum);
	to = put_byte(to, type, &sum);
	for (size_t i = 0; i < len; i++)
		to = put_byte(to, data[i], &sum);
	to = put_byte(to, (0u - sum) & 0xFF, &sum);
	*to++ = '\n';
	return to;
}

static char *put_segment(char *to, const struct hex_segment *segment, unsigned width, uint32_t *upper)
{
	size_t done = 0;
	while (done < segment->len) {
		uint32_t addr = segment->addr + (uint32_t)done;
		if (addr >> 16 != *upper) {
			*upper = addr >> 16;
			uint8_t base[2] = {(uint8_t)(*upper >> 8), (uint8_t)*upper};
			to = put_record(to, 4, 0, base, sizeof base);
		}
		size_t len = segment->len - done < width ? segment->len - done : width;
		size_t to_edge = 0x10000 - (addr & 0xFFFF);
		if (len > to_edge)
			len = to_edge;
		to = put_record(to, 0, addr & 0xFFFF, segment->bytes + done, len);
		done += len;
	}
	return to;
}

static char *put_start(char *to, const struct hex_image *image)
{
	uint8_t start[4] = {(uint8_t)(image->start >> 24), (uint8_t)(image->start >> 16),
			    (uint8_t)(image->start >> 8), (uint8_t)image->start};
	if (image->start_kind == HEX_START_NONE)
		return to;
	return put_record(to, image->start_kind == HEX_START_LINEAR ? 5 : 3, 0, start, sizeof start);
}

/* An upper bound: every record's frame, every byte's digits, every base record. */
static size_t longest_text(const struct hex_image *image, unsigned width)
{
	size_t size = (OVERHEAD + 8) + OVERHEAD + 1;
	for (size_t i = 0; i < image->count; i++) {
		size_t len = image->segments[i].len, edges = len / 0x10000 + 2;
		size += 2 * len + (len / width + 1 + edges) * OVERHEAD + edges * BASE_RECORD;
	}
	return size;
}

int ihex_format(const struct hex_image *image, unsigned width, char **text, size_t *len,
		struct pogo_error *err)
{
	if (width < 1 || width > 255)
		return pogo_fail(err, POGO_INPUT, "%u data bytes a record, allowed are 1 to 255", width);
	char *buffer = malloc(longest_text(image, width));
	if (buffer == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the Intel HEX text");
	char *to = buffer;
	uint32_t upper = 0;
	for (size_t i = 0; i < image->count; i++)
		to = put_segment(to, &image->segments[i], width, &upper);
	to = put_start(to, image);
	to = put_record(to, 1, 0, NULL, 0);
	*to = '\0';
	*text = buffer;
	*len = (size_t)(to - buffer);
	return 0;
}

int ihex_digest(const struct hex_image *image, char hex[65], struct pogo_error *err)
{
	char *text;
	size_t len;
	if (ihex_format(image, CANONICAL_WIDTH, &text, &len, err) != 0)
		return -1;
	sha256_hex(text, len, hex);
	free(text);
	return 0;
}
