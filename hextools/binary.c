#include "hextools/format_list.h"

#include <inttypes.h>
#include <string.h>

#include "hextools/builder.h"
#include "hextools/dfu_suffix.h"
#include "hextools/digest.h"

/* Raw binary: bytes and nothing else. Read at address 0 and then moved by the word's @ADDRESS. */

#define MOST_SPAN (UINT64_C(64) << 20)

static int copy_all(struct instream *in, struct builder *builder, struct pogo_error *err)
{
	uint64_t at = 0;
	for (;;) {
		if (instream_ahead(in, 1, err) != 0)
			return -1;
		size_t len = (size_t)(in->end - in->at);
		if (len == 0)
			return at > 0 ? 0
				      : pogo_fail(err, POGO_INPUT, "%.200s:1:1: the file is empty", in->name);
		if (at + len > INSTREAM_MAX)
			return pogo_fail(err, POGO_INPUT, "\"%.200s\" is larger than 1 GiB: not an input file",
					 in->name);
		if (builder_add(builder, (uint32_t)at, in->at, len, err) != 0)
			return -1;
		at += len;
		in->at = in->end;
	}
}

static int binary_read(struct instream *in, const struct format_reading *reading,
		       struct hex_image *image, struct format_origin *origin, struct pogo_error *err)
{
	struct builder builder;
	(void)origin;
	builder_init(&builder);
	builder.watch = reading->watch;
	builder.expected = instream_length(in) <= INSTREAM_MAX ? instream_length(in) : 0;
	if (copy_all(in, &builder, err) == 0)
		return builder_finish(&builder, image, NULL, err);
	builder_abandon(&builder);
	return -1;
}

struct output {
	struct sink *sink;
	bool summed;
	uint32_t crc;
};

static void put(struct output *out, const uint8_t *bytes, size_t len)
{
	if (out->summed)
		out->crc = crc32_update(out->crc, bytes, len);
	sink_put(out->sink, bytes, len);
}

static void put_blank(struct output *out, uint64_t len)
{
	uint8_t blank[4096];
	memset(blank, 0xFF, sizeof blank);
	for (; len > 0 && out->sink->error == 0; len -= len < sizeof blank ? len : sizeof blank)
		put(out, blank, len < sizeof blank ? (size_t)len : sizeof blank);
}

static int binary_write(const struct hex_image *image, const struct format_writing *writing,
			struct sink *sink, struct pogo_error *err)
{
	struct output out = {.sink = sink, .summed = writing->has_dfu};
	if (image->count == 0)
		return pogo_fail(err, POGO_INPUT, "no data: a raw binary of it would be an empty file");
	const struct hex_segment *last = &image->segments[image->count - 1];
	uint64_t at = image->segments[0].addr, end = (uint64_t)last->addr + last->len;
	if (end - at > MOST_SPAN && end - at > 2 * hex_image_bytes(image) && !writing->force)
		return pogo_fail(err, POGO_INPUT,
				 "a raw binary from 0x%" PRIX64 " to 0x%" PRIX64 " would have %" PRIu64
				 " bytes, most of them hole; crop the image, or write it with \"pogo-hex convert "
				 "--force\"", at, end - 1, end - at);
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		put_blank(&out, segment->addr - at);
		put(&out, segment->bytes, segment->len);
		at = (uint64_t)segment->addr + segment->len;
	}
	if (writing->has_dfu) {
		uint8_t suffix[DFU_SUFFIX];
		dfu_suffix_make(&writing->dfu, out.crc, suffix);
		sink_put(sink, suffix, sizeof suffix);
	}
	return 0;
}

const struct format format_binary = {
	.name = "binary",
	.title = "raw binary",
	.extensions = " bin ",
	.read = binary_read,
	.write = binary_write,
};
