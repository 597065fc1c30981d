#ifndef POGO_DB_CMD_H
#define POGO_DB_CMD_H

#include <stddef.h>
#include <stdint.h>

#include "db/reader.h"

/* The subcommands of pogo-yield. Each takes argv from its own name on and returns the exit status:
 * 0 done, 1 the answer is no, 2 usage or unreadable input, 3 the system failed. */
int cmd_summary(int argc, char **argv);
int cmd_unit(int argc, char **argv);

struct cmd_options {
	const char *db;
	const char *product; /* NULL = all */
	const char *run;     /* NULL = not given */
	int json, help;
};

/* --db, --product, --json, --help, and --run where `with_run`. The index of the first argument that is no option, or
 * -1 after a message on stderr. */
int cmd_options_parse(int argc, char **argv, int with_run, struct cmd_options *options);
/* Opens; says on stderr what went wrong, or that the log was read as finished. */
enum reader_result cmd_open(const struct cmd_options *options, struct reader *reader);
/* Flushes the results; `status`, or 3 when standard output could not take them. */
int cmd_finish(int status);
void cmd_time(int64_t ms, char *out, size_t size); /* local "2026-01-31 09:15:02", "-" for 0 */

#endif
