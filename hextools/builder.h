#ifndef POGO_HEXTOOLS_BUILDER_H
#define POGO_HEXTOOLS_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/flat.h"
#include "hextools/image.h"

/* Collects a file's bytes in the order in which they come and makes an image of them at the end: no
 * search and no copy for what comes ascending. What does not is put in its place at once where it lies dense, else
 * listed and sorted once. */

struct builder_block; /* memory for short pieces */
struct builder_piece;

/* Somebody who begins to work on the data while the rest of the file is read: shown the whole of what the first piece
 * has so far, [addr, addr + len), again whenever it has grown. The bytes are right during the call only. If reading
 * ends well, the image has those bytes at those addresses; it may have others in front of them. */
struct builder_watch {
	void (*grown)(void *context, uint32_t addr, const uint8_t *bytes, size_t len);
	void *context;
};

struct builder {
	uint8_t *put, *limit;  /* the open piece grows here */
	uint64_t next;         /* the address that continues it; none open: above 2^32 */
	uint64_t expected;     /* at most so many bytes are still to come; a hint for big pieces */
	const struct builder_watch *watch; /* not owned; NULL: nobody */

	/* private */
	uint32_t open_addr;
	uint8_t *open_bytes;
	size_t open_room;           /* 0: lies in a block */
	uint8_t *last_own;          /* of the newest piece with memory of its own, */
	size_t last_room;           /* and how much that is */
	struct builder_piece *pieces;
	size_t count, room;
	struct flat flat;           /* instead of pieces, once there are many out of order */
	size_t flat_at;             /* of so many pieces this is asked next */
	bool sorted;                /* ascending and apart */
	struct builder_block *blocks;
	uint8_t *block_put;         /* next free byte of the newest block */
};

void builder_init(struct builder *builder);
void builder_abandon(struct builder *builder); /* after an error; harmless after finish */

/* [addr, addr + len) must lie below 2^32. */
int builder_add(struct builder *builder, uint32_t addr, const void *bytes, size_t len,
		struct pogo_error *err);

/* The fast way for a reader that decodes in place: if true, len bytes may be written at builder->put
 * and are part of the image once builder_advance was called. */
static inline bool builder_continues(const struct builder *builder, uint32_t addr, size_t len)
{
	return builder->next == addr && (size_t)(builder->limit - builder->put) >= len;
}

static inline void builder_advance(struct builder *builder, size_t len)
{
	builder->put += len;
	builder->next += len;
}

/* Shows the watch what there is, if that is worth a look; builder_add does it by itself. */
void builder_show(const struct builder *builder);

bool builder_empty(const struct builder *builder);

/* Moves all into *image (initialised, empty). An address with two different values: POGO_NO and
 * *conflict. The builder is empty afterwards in any case. */
int builder_finish(struct builder *builder, struct hex_image *image, struct hex_conflict *conflict,
		   struct pogo_error *err);

#endif
