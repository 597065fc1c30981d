#include <stdio.h>
#include <string.h>

#include "db/cmd.h"
#include "db/version.h"

static const struct {
	const char *name, *does;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"summary", "attempts, units, yields with intervals, per slot", cmd_summary},
	{"unit", "the whole life of one unit", cmd_unit},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
	puts("usage: pogo-yield COMMAND [--db FILE] …\n"
	     "Reads the production log, also while a station writes it, and never changes it.\n");
	for (int i = 0; i < COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].does);
	puts("\n`pogo-yield COMMAND --help` tells the options. Without --db the log is pogoline.db.");
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		print_help();
		return cmd_finish(0);
	}
	if (strcmp(word, "--version") == 0) {
		puts("pogo-yield " POGO_VERSION);
		return cmd_finish(0);
	}
	for (int i = 0; i < COMMANDS; i++) {
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	if (*word)
		fprintf(stderr, "pogo-yield: there is no command %s; see pogo-yield --help\n", word);
	else
		fprintf(stderr, "pogo-yield: a command is missing; see pogo-yield --help\n");
	return READER_INPUT;
}
