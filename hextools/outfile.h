#ifndef POGO_HEXTOOLS_OUTFILE_H
#define POGO_HEXTOOLS_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"
#include "hextools/sink.h"

/* Files appear whole or not at all: a temporary beside the target, fsync, rename, fsync of the folder.
 * "-" writes to standard output. A target that is a device or a pipe is written directly. */
int outfile_write(const char *path, const void *data, size_t len, struct pogo_error *err);

/* Whether that path is standard output, also under another name (/dev/stdout). */
bool outfile_is_stdout(const char *path);

/* Is the output the very file that is an input, under whatever name? Then POGO_INPUT: what was released by somebody
 * else would be gone. An input may be NULL or carry an @OFFSET. */
int outfile_not_over(const char *output, const char *input, struct pogo_error *err);

/* The same for bytes that a writer makes piece by piece, so that the whole is never in memory. What the
 * writer can refuse it refuses before its first byte, which on standard output nobody takes back. */
typedef int outfile_writer(void *context, struct sink *sink, struct pogo_error *err);
int outfile_write_from(const char *path, outfile_writer *writer, void *context, struct pogo_error *err);

/* Any number of files that belong together: stage each (everything that can fail early fails here, and no
 * target has changed yet), then commit all, or discard. After either the set is empty again; a zeroed
 * set is empty. Data for "-" and for devices is kept and written at commit, before the first rename.
 * When a rename fails, the files that are in their places already are taken back, and the old ones return; only on a
 * file system that cannot swap two files do those stay that have replaced another, and the error names one.
 * From the first temporary to the end of the set, the signals that would end the thread's process wait (INT, TERM,
 * HUP, QUIT); one that waits makes the next stage fail, and takes effect when the temporaries are gone. */
enum outfile_place { OUTFILE_WAITS, OUTFILE_NEW, OUTFILE_SWAPPED, OUTFILE_OVER };

struct outfile {
	char *target;       /* NULL for standard output */
	uint32_t name_hash; /* of its last component */
	char *temporary;    /* NULL if written directly; once swapped it is the old file */
	enum outfile_place placed; /* private: how it came to its place */
	void *data;         /* kept for a direct write */
	size_t len;
};

struct outfile_set {
	struct outfile *files;
	size_t count, room;
	struct outfile_signals *signals; /* private: those that wait; NULL: none do */
};

int outfile_stage(struct outfile_set *set, const char *path, const void *data, size_t len,
		  struct pogo_error *err);
int outfile_stage_from(struct outfile_set *set, const char *path, outfile_writer *writer, void *context,
		       struct pogo_error *err);
int outfile_commit(struct outfile_set *set, struct pogo_error *err);
void outfile_discard(struct outfile_set *set);

/* Reads a whole file ("-": standard input) into a malloc'ed, NUL-terminated buffer that the caller
 * frees; *len excludes the NUL. A file that cannot be opened or is a folder is POGO_INPUT. */
int infile_read(const char *path, char **data, size_t *len, struct pogo_error *err);

#endif
