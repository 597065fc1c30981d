#include "hextools/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 120 * 1024 }; /* as in instream.c, so that malloc gives the one for the other */

int sink_init(struct sink *sink, int (*flush)(void *context, const void *data, size_t len),
	      void *context, struct pogo_error *err)
{
	uint8_t *buffer = malloc(BUFFER);
	*sink = (struct sink){.at = buffer, .buffer = buffer, .flush = flush, .context = context};
	if (buffer == NULL)
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the output");
	sink->limit = buffer + BUFFER;
	return 0;
}

void sink_flush(struct sink *sink)
{
	if (sink->error == 0 && sink->at > sink->buffer)
		sink->error = sink->flush(sink->context, sink->buffer, (size_t)(sink->at - sink->buffer));
	sink->at = sink->buffer;
}

void sink_make_room(struct sink *sink, size_t len)
{
	if ((size_t)(sink->limit - sink->at) < len)
		sink_flush(sink);
}

void sink_put(struct sink *sink, const void *data, size_t len)
{
	const uint8_t *from = data;
	if (len >= BUFFER) { /* big pieces need no buffer */
		sink_flush(sink);
		if (sink->error == 0)
			sink->error = sink->flush(sink->context, from, len);
		return;
	}
	while (len > 0) {
		size_t room = (size_t)(sink->limit - sink->at), part = len < room ? len : room;
		memcpy(sink->at, from, part);
		sink->at += part;
		from += part;
		len -= part;
		if (sink->at == sink->limit)
			sink_flush(sink);
	}
}

int sink_finish(struct sink *sink)
{
	sink_flush(sink);
	free(sink->buffer);
	sink->buffer = sink->at = sink->limit = NULL;
	return sink->error;
}

int sink_to_memory(void *memory, const void *data, size_t len)
{
	struct sink_memory *to = memory;
	if (to->room - to->len <= len) {
		size_t room = to->room * 2 > to->len + len + 1 ? to->room * 2 : to->len + len + 1;
		uint8_t *grown = realloc(to->data, room);
		if (grown == NULL)
			return ENOMEM;
		to->data = grown;
		to->room = room;
	}
	memcpy(to->data + to->len, data, len);
	to->len += len;
	to->data[to->len] = '\0';
	return 0;
}
