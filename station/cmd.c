#include "station/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int cmd_fail(const struct pogo_error *err)
{
	fprintf(stderr, "pogo-station: %s\n", err->text);
	return (int)err->kind;
}

int cmd_usage(const char *command, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "pogo-station: %s: ", command);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; `pogo-station %s --help` tells more\n", command);
	return POGO_INPUT;
}

int cmd_bad_option(const char *command, char **argv, int opt)
{
	if (opt == ':')
		return cmd_usage(command, "%s wants a value", argv[optind - 1]);
	return cmd_usage(command, "there is no option %s", argv[optind - 1]);
}

bool cmd_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < low ||
	    value > high)
		return false;
	*out = value;
	return true;
}
