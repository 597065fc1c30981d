#include "hextools/ihex.h"

#include <stdlib.h>

#include "hextools/digest.h"
#include "hextools/hexdigits.h"

enum {
	CANONICAL_WIDTH = 16,
	LONGEST = 1 + 2 * (5 + 255) + 1 /* mark, digits, LF */
};

static void put_record(struct sink *sink, unsigned type, unsigned offset, const uint8_t *data, size_t len)
{
	const uint8_t head[4] = {(uint8_t)len, (uint8_t)(offset >> 8), (uint8_t)offset, (uint8_t)type};
	unsigned sum = 0;
	uint8_t *to = sink_room(sink, LONGEST);
	*to++ = ':';
	to = hex_encode(to, head, sizeof head, &sum);
	to = hex_encode(to, data, len, &sum);
	to = hex_encode_byte(to, 0u - sum);
	*to++ = '\n';
	sink->at = to;
}

static void put_segment(struct sink *sink, const struct hex_segment *segment, unsigned width,
			uint32_t *upper)
{
	size_t done = 0;
	while (done < segment->len && sink->error == 0) {
		uint32_t addr = segment->addr + (uint32_t)done;
		if (addr >> 16 != *upper) {
			*upper = addr >> 16;
			const uint8_t base[2] = {(uint8_t)(*upper >> 8), (uint8_t)*upper};
			put_record(sink, 4, 0, base, sizeof base);
		}
		size_t len = segment->len - done < width ? segment->len - done : width;
		size_t to_edge = 0x10000 - (addr & 0xFFFF);
		if (len > to_edge)
			len = to_edge;
		put_record(sink, 0, addr & 0xFFFF, segment->bytes + done, len);
		done += len;
	}
}

static void put_start(struct sink *sink, const struct hex_image *image)
{
	const uint8_t start[4] = {(uint8_t)(image->start >> 24), (uint8_t)(image->start >> 16),
				  (uint8_t)(image->start >> 8), (uint8_t)image->start};
	if (image->start_kind != HEX_START_NONE)
		put_record(sink, image->start_kind == HEX_START_LINEAR ? 5 : 3, 0, start, sizeof start);
}

int ihex_write(const struct hex_image *image, unsigned width, struct sink *sink, struct pogo_error *err)
{
	uint32_t upper = 0;
	if (width < 1 || width > 255)
		return pogo_fail(err, POGO_INPUT, "%u data bytes a record, allowed are 1 to 255", width);
	for (size_t i = 0; i < image->count; i++)
		put_segment(sink, &image->segments[i], width, &upper);
	put_start(sink, image);
	put_record(sink, 1, 0, NULL, 0);
	return 0;
}

int ihex_format(const struct hex_image *image, unsigned width, char **text, size_t *len,
		struct pogo_error *err)
{
	struct sink_memory memory = {.data = NULL};
	struct sink sink;
	if (sink_init(&sink, sink_to_memory, &memory, err) != 0)
		return -1;
	int rc = ihex_write(image, width, &sink, err);
	if (sink_finish(&sink) != 0 && rc == 0)
		rc = pogo_fail(err, POGO_SYSTEM, "out of memory for the Intel HEX text");
	if (rc != 0) {
		free(memory.data);
		return -1;
	}
	*text = (char *)memory.data;
	*len = memory.len;
	return 0;
}

static int sink_to_digest(void *sha, const void *data, size_t len)
{
	sha256_update(sha, data, len);
	return 0;
}

int ihex_digest(const struct hex_image *image, char hex[65], struct pogo_error *err)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[32];
	struct sha256 sha;
	struct sink sink;
	sha256_init(&sha);
	if (sink_init(&sink, sink_to_digest, &sha, err) != 0)
		return -1;
	int rc = ihex_write(image, CANONICAL_WIDTH, &sink, err);
	sink_finish(&sink);
	sha256_final(&sha, digest);
	for (size_t i = 0; i < sizeof digest; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
	return rc;
}
