#ifndef POGO_STATION_CMD_H
#define POGO_STATION_CMD_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/err.h"

/* The commands of pogo-station. Each reads its own words (argv[0] is the command's name), prints results
 * on stdout and messages on stderr, and returns the exit code. */

int cmd_run(int argc, char **argv);
int cmd_pods(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_learn(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_unlock(int argc, char **argv);

/* "pogo-station: …" on stderr; returns the exit code that belongs to the error. */
int cmd_fail(const struct pogo_error *err);
/* The same for a wrong word on the command line: 2, and where to read on. */
int cmd_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* After getopt_long said '?' or ':'. */
int cmd_bad_option(const char *command, char **argv, int opt);
/* A whole number from low to high. */
bool cmd_number(const char *text, uint64_t low, uint64_t high, uint64_t *out);

#endif
