#ifndef POGO_HEXTOOLS_SINK_H
#define POGO_HEXTOOLS_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"

/* Where a writer puts its bytes: a buffer that is flushed to a file, a digest or memory. The writer
 * asks for room, fills some of it, and goes on; a failed flush is remembered and told by finish. */

struct sink {
	uint8_t *at;     /* next free byte */
	uint8_t *limit;  /* private from here on */
	uint8_t *buffer;
	int (*flush)(void *context, const void *data, size_t len); /* 0 or an errno value */
	void *context;
	int error;
};

/* 0, or -1 with POGO_SYSTEM if there is no memory for the buffer. */
int sink_init(struct sink *sink, int (*flush)(void *context, const void *data, size_t len),
	      void *context, struct pogo_error *err);

/* Sees to `len` (at most 32 KiB) free bytes at sink->at. */
void sink_make_room(struct sink *sink, size_t len);

static inline uint8_t *sink_room(struct sink *sink, size_t len)
{
	if ((size_t)(sink->limit - sink->at) < len)
		sink_make_room(sink, len);
	return sink->at;
}

/* Hands over what is in the buffer. */
void sink_flush(struct sink *sink);

void sink_put(struct sink *sink, const void *data, size_t len);

/* Flushes and frees; 0, or the errno value of the first flush that failed. */
int sink_finish(struct sink *sink);

/* A sink's flush into growing memory, NUL-terminated; data is malloc'ed, the owner frees it. */
struct sink_memory {
	uint8_t *data;
	size_t len, room;
};
int sink_to_memory(void *memory, const void *data, size_t len);

#endif
