#ifndef POGO_HEXTOOLS_CONF_H
#define POGO_HEXTOOLS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/err.h"

/* The only user of libconfig: a checked reader for every .cfg file. Each getter names file, line and key
 * in its error (POGO_INPUT). A key nobody announced is an error: call conf_only in every group.
 * Nodes and strings are borrowed from the file and die with conf_close. */

struct conf;      /* one parsed file */
struct conf_node; /* a group, list or array in it */

int conf_open(const char *path, struct conf **out, struct pogo_error *err);
void conf_close(struct conf *conf); /* NULL is fine */
const struct conf_node *conf_root(const struct conf *conf);

/* Every key of the group must be in the NULL-ended list. */
int conf_only(const struct conf_node *group, const char *const keys[], struct pogo_error *err);

/* With `required` false a missing key leaves *out as it was (set the default first). */
int conf_str(const struct conf_node *group, const char *key, bool required, const char **out, struct pogo_error *err);
int conf_int(const struct conf_node *group, const char *key, bool required, int64_t low, int64_t high, int64_t *out,
	     struct pogo_error *err);
int conf_bool(const struct conf_node *group, const char *key, bool required, bool *out, struct pogo_error *err);
/* A child that is a group { }, or a list ( ) or array [ ]. Missing and not required: *out = NULL. */
int conf_group(const struct conf_node *group, const char *key, bool required, const struct conf_node **out,
	       struct pogo_error *err);
int conf_list(const struct conf_node *group, const char *key, bool required, const struct conf_node **out,
	      struct pogo_error *err);

size_t conf_len(const struct conf_node *list);                                    /* 0 for NULL */
const struct conf_node *conf_at(const struct conf_node *list, size_t i);          /* element i, a group or list */
int conf_int_at(const struct conf_node *list, size_t i, int64_t low, int64_t high, int64_t *out, struct pogo_error *err);
int conf_str_at(const struct conf_node *list, size_t i, const char **out, struct pogo_error *err);

/* An error of the caller's own rule about `node`: "FILE:LINE: " and the sentence; returns -1. */
int conf_fail(const struct conf_node *node, struct pogo_error *err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__ /* see err.h */
#define conf_fail(...) pogo_failed(conf_fail(__VA_ARGS__))
#endif

/* The configs folder: `given` (an option) if not NULL, else $POGOLINE_CONFIGS, else a configs/parts
 * found beside or above the running program's folder, else the installed one. */
int conf_dir(const char *given, char *out, size_t size, struct pogo_error *err);

#endif
