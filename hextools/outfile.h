#ifndef POGO_HEXTOOLS_OUTFILE_H
#define POGO_HEXTOOLS_OUTFILE_H

#include <stddef.h>

#include "hextools/err.h"

/* Files appear whole or not at all: a temporary beside the target, fsync, rename, fsync of the folder.
 * "-" writes to standard output. A target that is a device or a pipe is written directly. */
int outfile_write(const char *path, const void *data, size_t len, struct pogo_error *err);

/* Reads a whole file ("-": standard input) into a malloc'ed, NUL-terminated buffer that the caller
 * frees; *len excludes the NUL. */
int infile_read(const char *path, char **data, size_t *len, struct pogo_error *err);

#endif
