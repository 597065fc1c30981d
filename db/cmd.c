#include "db/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int cmd_options_parse(int argc, char **argv, int with_run, struct cmd_options *options)
{
	/* --run is last so that a command without it passes a table that ends before. */
	struct option known[] = {
		{"db", required_argument, NULL, 'd'}, {"product", required_argument, NULL, 'p'},
		{"json", no_argument, NULL, 'j'},     {"help", no_argument, NULL, 'h'},
		{"run", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0},
	};
	int option;

	if (!with_run)
		known[4] = known[5];
	*options = (struct cmd_options){.db = "pogoline.db"};
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
		switch (option) {
		case 'd':
			options->db = optarg;
			break;
		case 'p':
			options->product = optarg;
			break;
		case 'r':
			options->run = optarg;
			break;
		case 'j':
			options->json = 1;
			break;
		case 'h':
			options->help = 1;
			break;
		default:
			fprintf(stderr, "pogo-yield: %s: %s %s; see pogo-yield %s --help\n", argv[0],
				option == ':' ? "a value is missing behind" : "there is no option", argv[optind - 1], argv[0]);
			return -1;
		}
	}
	return optind;
}

enum reader_result cmd_open(const struct cmd_options *options, struct reader *reader)
{
	struct log_error err = {0};
	enum reader_result result = reader_open(options->db, reader, &err);

	if (result != READER_OK)
		fprintf(stderr, "pogo-yield: %s\n", err.text);
	else if (reader->frozen)
		fprintf(stderr, "pogo-yield: the folder of %s is read-only: the log is read as a finished one\n", options->db);
	return result;
}

int cmd_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "pogo-yield: cannot write the result: %s\n", strerror(errno));
	return READER_SYSTEM;
}

void cmd_time(int64_t ms, char *out, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm parts;

	if (ms == 0 || !localtime_r(&seconds, &parts) || strftime(out, size, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(out, size, "-");
}
