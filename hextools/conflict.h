#ifndef POGO_HEXTOOLS_CONFLICT_H
#define POGO_HEXTOOLS_CONFLICT_H

#include "hextools/err.h"
#include "hextools/image.h"

/* Two inputs have the same addresses: names both files, the addresses and the bytes, and the way out. Class
 * POGO_INPUT, as of every defect of what was given. Returns -1. */
int conflict_refuse(const char *before, const char *later, const struct hex_conflict *run, const char *way_out,
		    struct pogo_error *err);

#endif
