#include "hextools/ihex.h"

#include <stdlib.h>
#include <string.h>

#include "hextools/cpu.h"
#include "hextools/digest.h"
#include "hextools/hexdigits.h"
#if CPU_X86
#include "hextools/hexdigits_avx2.h"
#include "hextools/sha256_x86.h"
#endif

enum {
	AHEAD = 2048, /* the data of a big image comes from memory, not from a cache */
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

/* Where the text goes. */
struct text {
	struct sink *sink;
	struct sha256 *sha; /* what the sink is flushed into, if that is it; else NULL */
};

#if CPU_X86
enum {
	LINE = 1 + 2 * (5 + IHEX_CANONICAL_WIDTH) + 1,
	BATCH = 700, /* lines: under the 32 KiB of sink_room */
	SPARE = 32,  /* more is written over */
};

/* One data record of the canonical width. */
__attribute__((target("avx2"), always_inline)) static inline uint8_t *put_line(uint8_t *to, uint32_t offset,
									      const uint8_t *data)
{
	__builtin_prefetch(data + AHEAD);
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
	uint32_t head = IHEX_CANONICAL_WIDTH | (offset & 0xFF00) | (offset & 0xFF) << 16;
	unsigned sum = IHEX_CANONICAL_WIDTH + (offset >> 8) + (offset & 0xFF) + hex_sum16(bytes);
	*to = ':';
	hex_encode16(to + 1, _mm_cvtsi32_si128((int)head)); /* what is too much is written over */
	hex_encode16(to + 9, bytes);
	to = hex_encode_byte(to + 9 + 2 * IHEX_CANONICAL_WIDTH, 0u - sum);
	*to++ = '\n';
	return to;
}

/* `count` of them, one after the other. */
__attribute__((target("avx2"))) static void put_many(struct sink *sink, uint32_t offset, const uint8_t *data, size_t count)
{
	uint8_t *to = sink_room(sink, count * LINE + SPARE);
	for (size_t i = 0; i < count; i++)
		to = put_line(to, offset + (uint32_t)i * IHEX_CANONICAL_WIDTH, data + i * IHEX_CANONICAL_WIDTH);
	sink->at = to;
}

/* The same for a digest: each block is hashed some lines behind where the text is written. The hash waits for itself
 * nearly all the time, so the processor writes the text meanwhile. */
__attribute__((target("avx2,sha"))) static void hash_many(struct text *text, uint32_t offset, const uint8_t *data,
							  size_t count)
{
	enum { BLOCK = sizeof text->sha->block, LEAD = 8 * BLOCK };
	struct sha256 *sha = text->sha;
	sink_flush(text->sink);
	size_t begun = sha->length % BLOCK;
	uint8_t *from = sink_room(text->sink, BLOCK + count * LINE + SPARE), *to = from + begun;
	memcpy(from, sha->block, begun);
	struct sha256_x86 state = sha256_x86_load(sha->state);
	sha->length += count * LINE;
	for (;; from += BLOCK) {
		for (; count > 0 && to - from < LEAD; count--) {
			to = put_line(to, offset, data);
			offset += IHEX_CANONICAL_WIDTH;
			data += IHEX_CANONICAL_WIDTH;
		}
		if (to - from < BLOCK)
			break;
		sha256_x86_block(&state, from);
	}
	sha256_x86_store(&state, sha->state);
	memcpy(sha->block, from, (size_t)(to - from));
}

/* Data records of the canonical width from `offset` on, up to the next 64 KiB or what is shorter than one, or until
 * it is a batch; returns the bytes that it wrote, one record at least. */
static size_t put_usual(struct text *text, uint32_t offset, const uint8_t *data, size_t len)
{
	size_t count = (0x10000 - offset) / IHEX_CANONICAL_WIDTH;
	if (count > len / IHEX_CANONICAL_WIDTH)
		count = len / IHEX_CANONICAL_WIDTH;
	if (count > BATCH)
		count = BATCH;
	if (text->sha != NULL && text->sha->instructions)
		hash_many(text, offset, data, count);
	else
		put_many(text->sink, offset, data, count);
	return count * IHEX_CANONICAL_WIDTH;
}
#endif

static void put_data(struct text *text, uint32_t begin, const uint8_t *bytes, size_t all, unsigned width,
		     uint32_t *upper)
{
	size_t done = 0;
	bool fast = cpu_has_avx2();
	while (done < all && text->sink->error == 0) {
		uint32_t addr = begin + (uint32_t)done;
		if (addr >> 16 != *upper) {
			*upper = addr >> 16;
			const uint8_t base[2] = {(uint8_t)(*upper >> 8), (uint8_t)*upper};
			put_record(text->sink, 4, 0, base, sizeof base);
		}
		size_t len = all - done < width ? all - done : width;
		size_t to_edge = 0x10000 - (addr & 0xFFFF);
		if (len > to_edge)
			len = to_edge;
#if CPU_X86
		if (fast && len == IHEX_CANONICAL_WIDTH) {
			done += put_usual(text, addr & 0xFFFF, bytes + done, all - done);
			continue;
		}
#endif
		put_record(text->sink, 0, addr & 0xFFFF, bytes + done, len);
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

/* All but the first `known` bytes: they lie in the first segment and end at a multiple of 64 KiB. */
static void put_image(struct text *text, const struct hex_image *image, size_t known, unsigned width)
{
	uint32_t upper = 0;
	for (size_t i = 0; i < image->count; i++, known = 0) {
		const struct hex_segment *segment = &image->segments[i];
		put_data(text, segment->addr + (uint32_t)known, segment->bytes + known, segment->len - known, width,
			 &upper);
	}
	put_start(text->sink, image);
	put_record(text->sink, 1, 0, NULL, 0);
}

int ihex_write(const struct hex_image *image, unsigned width, struct sink *sink, struct pogo_error *err)
{
	if (width < 1 || width > 255)
		return pogo_fail(err, POGO_INPUT, "%u data bytes a record, allowed are 1 to 255", width);
	struct text text = {.sink = sink};
	put_image(&text, image, 0, width);
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

int ihex_digest_begin(struct ihex_running_digest *digest, struct pogo_error *err)
{
	sha256_init(&digest->sha);
	return sink_init(&digest->sink, sink_to_digest, &digest->sha, err);
}

/* Each piece begins a 64 KiB of its own, so every one but that at 0 begins with its upper half. */
void ihex_digest_more(struct ihex_running_digest *digest, uint32_t addr, const uint8_t *bytes, size_t len)
{
	struct text text = {&digest->sink, &digest->sha};
	uint32_t upper = 0;
	put_data(&text, addr, bytes, len, IHEX_CANONICAL_WIDTH, &upper);
}

void ihex_digest_end(struct ihex_running_digest *digest, const struct hex_image *image, size_t known, char hex[65])
{
	struct text text = {&digest->sink, &digest->sha};
	put_image(&text, image, known, IHEX_CANONICAL_WIDTH);
	sink_finish(&digest->sink);
	sha256_final_hex(&digest->sha, hex);
}

void ihex_digest_abandon(struct ihex_running_digest *digest)
{
	sink_finish(&digest->sink);
}

int ihex_digest(const struct hex_image *image, char hex[65], struct pogo_error *err)
{
	struct ihex_running_digest digest;
	if (ihex_digest_begin(&digest, err) != 0)
		return -1;
	ihex_digest_end(&digest, image, 0, hex);
	return 0;
}
