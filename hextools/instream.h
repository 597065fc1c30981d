#ifndef POGO_HEXTOOLS_INSTREAM_H
#define POGO_HEXTOOLS_INSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"

/* An input that is read in pieces, from a file, a pipe or memory. The bytes from `at` to `end` are in
 * view; a reader moves `at` and asks for more. A file is never held whole: a window of 120 KiB slides
 * over it. Only what cannot be read twice (a pipe) is kept as far as it was read. */

#define INSTREAM_MAX (UINT64_C(1) << 30) /* of what is kept whole: pipes, ELF files */

struct instream {
	const char *name; /* what messages call it; not owned */
	const uint8_t *at, *end;
	bool last;        /* nothing comes behind `end` */

	/* private */
	int fd;           /* -1: memory */
	bool close_fd, keep;
	uint64_t base;    /* where in the file descriptor offset 0 is */
	uint64_t seen;    /* offset of `end` */
	uint64_t limit;   /* offset at which the input ends for its reader */
	uint8_t *buffer;
	const uint8_t *memory;
	size_t room;
};

/* "-" is standard input. What cannot be opened or is a folder is POGO_INPUT. Opened or failed, close
 * may be called. */
int instream_open(struct instream *in, const char *path, struct pogo_error *err);
void instream_memory(struct instream *in, const void *data, size_t len, const char *name);
void instream_close(struct instream *in);

/* Brings at least `want` bytes (at most 64 KiB) into view, fewer only if the input ends (then `last` is
 * set). Bytes in view may move: only `at` and `end` are right afterwards. */
int instream_ahead(struct instream *in, size_t want, struct pogo_error *err);

/* Where in the input `at` is. */
uint64_t instream_offset(const struct instream *in);

int instream_rewind(struct instream *in, struct pogo_error *err);

/* Everything from offset 0, in view at once; at most INSTREAM_MAX. */
int instream_whole(struct instream *in, struct pogo_error *err);

/* How long the input is; UINT64_MAX: a pipe, nobody knows yet. */
uint64_t instream_length(const struct instream *in);

/* The last `len` bytes; the length is known and not less. Does not move `at`. */
int instream_tail(struct instream *in, uint8_t *out, size_t len, struct pogo_error *err);

/* Makes the input end at this offset; only after rewind, before reading. */
void instream_cut(struct instream *in, uint64_t length);

#endif
