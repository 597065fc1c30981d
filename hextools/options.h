#ifndef POGO_HEXTOOLS_OPTIONS_H
#define POGO_HEXTOOLS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/err.h"

/* Command lines: a table of options, each with a value or a flag. "--name value", "--name=value",
 * "-n value", "-nvalue"; options and words in any order; "--" ends the options; "-" is a word, and so is "-@OFFSET". An option
 * given twice or unknown is POGO_INPUT. */

struct option_spec {
	const char *name;   /* long name without the dashes; NULL ends a table */
	char letter;        /* 0: no short form */
	const char **value; /* takes a value … */
	bool *flag;         /* … or is a flag */
};

/* argv[0] is the first word after the command. Afterwards argv[0 .. *words - 1] are what is no option. */
int options_parse(const struct option_spec specs[], int argc, char **argv, int *words,
		  struct pogo_error *err);

/* A number in decimal or, with 0x, hexadecimal; the whole text. `what` is what a message calls it. */
int options_number(const char *text, const char *what, int64_t low, int64_t high, int64_t *out,
		   struct pogo_error *err);

#endif
