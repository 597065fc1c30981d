#ifndef POGO_HEXTOOLS_QMK_JSON_H
#define POGO_HEXTOOLS_QMK_JSON_H

#include <jansson.h>

#include "hextools/err.h"

/* Reads JSON as QMK's tools do (they use Hjson): with comments (//, #, block comments), trailing and missing
 * commas, and keys without quotes. Errors (POGO_INPUT) name file and line. NULL on failure; the caller
 * calls json_decref. */
json_t *qmk_json_load(const char *path, struct pogo_error *err);

/* The same text as strict JSON, lines kept; malloc'ed. NULL: out of memory. */
char *qmk_json_strict(const char *text, size_t len);

#endif
