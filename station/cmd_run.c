#include "station/cmd.h"

#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "station/station.h"

static const char help[] =
        "usage: pogo-station run RECIPE [RECIPE] [options]\n"
        "\n"
        "Flashes every board that is set on a slot, until the count is reached or you end it.\n"
        "Ctrl-C once (q in the tui) finishes the boards in work, twice (Q) aborts them.\n"
        "Two recipes, one for AVRs and one for STM32F1: each slot takes the one that its programmer\n"
        "can do, and each has a run of its own in the log.\n"
        "\n"
        "  --station FILE    which slot is at which USB port (`pogo-station learn` writes one);\n"
        "                    without it every known programmer that is plugged is a slot\n"
        "  --db FILE         the log (default pogoline.db in the current folder)\n"
        "  --ui KIND         tui, plain or json (default tui on a terminal, else plain)\n"
        "  --count N         end after N boards (default 0: no end)\n"
        "  --operator NAME   who is at the line (default: the user)\n"
        "  --bench URL       programmers behind usbip://HOST[:PORT] instead of this machine's USB\n"
        "  --events PATH     the JSON lines of --ui json also to a file, pipe or listening Unix "
        "socket\n"
        "  --configs DIR     folder of parts and bootloaders\n"
        "\n"
        "Exit code: 0 all boards passed; 1 some did not; 2 wrong words or unusable files; 3 the\n"
        "device or the system failed, which includes a log that cannot be written.\n";

/* The one thing a signal handler can reach; atomic, for it runs on any thread. */
static atomic_int stop_signals;

static void on_stop(int signal_number)
{
	(void)signal_number;
	atomic_fetch_add(&stop_signals, 1);
}

static void catch_signals(void)
{
	struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(&stop.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	/* A closed terminal window must not kill a board in work; nohup's wish is kept. */
	struct sigaction hang_up;
	if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &stop, NULL);
	/* A reader that goes away and a file that may not grow are errors of write(), told where
	 * they happen, and no reason to die in the middle of a board. */
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
}

static const char *default_operator(void)
{
	const char *user = getenv("USER");

	if (user != NULL && user[0] != '\0')
		return user;
	const struct passwd *entry = getpwuid(getuid());
	return entry != NULL ? entry->pw_name : "unknown";
}

struct words {
	struct station_options options;
	const char *ui;
	bool help;
};

enum {
	OPT_STATION = 256,
	OPT_DB,
	OPT_UI,
	OPT_COUNT,
	OPT_OPERATOR,
	OPT_BENCH,
	OPT_EVENTS,
	OPT_CONFIGS
};

static const struct option long_options[] = {
        {"station", required_argument, NULL, OPT_STATION},
        {"db", required_argument, NULL, OPT_DB},
        {"ui", required_argument, NULL, OPT_UI},
        {"count", required_argument, NULL, OPT_COUNT},
        {"operator", required_argument, NULL, OPT_OPERATOR},
        {"bench", required_argument, NULL, OPT_BENCH},
        {"events", required_argument, NULL, OPT_EVENTS},
        {"configs", required_argument, NULL, OPT_CONFIGS},
        {"help", no_argument, NULL, 'h'},
        {0},
};

static int read_option(struct words *words, int opt, char **argv)
{
	switch (opt) {
	case OPT_STATION:
		words->options.station_path = optarg;
		return 0;
	case OPT_DB:
		words->options.db_path = optarg;
		return 0;
	case OPT_UI:
		words->ui = optarg;
		return 0;
	case OPT_OPERATOR:
		words->options.operator_name = optarg;
		return 0;
	case OPT_BENCH:
		words->options.host_url = optarg;
		return 0;
	case OPT_EVENTS:
		words->options.events_path = optarg;
		return 0;
	case OPT_CONFIGS:
		words->options.configs = optarg;
		return 0;
	case OPT_COUNT:
		if (!cmd_number(optarg, 0, INT64_MAX, &words->options.count))
			return cmd_usage("run", "--count %s is not a number of boards", optarg);
		return 0;
	case 'h':
		words->help = true;
		return 0;
	default:
		return cmd_bad_option("run", argv, opt);
	}
}

static int read_words(struct words *words, int argc, char **argv)
{
	int opt, code = 0;

	while (code == 0 && (opt = getopt_long(argc, argv, ":h", long_options, NULL)) != -1)
		code = read_option(words, opt, argv);
	if (code != 0 || words->help)
		return code;
	if (argc == optind)
		return cmd_usage("run", "which recipe?");
	if (argc - optind > SLOT_JOBS)
		return cmd_usage("run", "\"%s\" is one recipe too many: one for ISP and one for SWD programmers",
		                 argv[optind + SLOT_JOBS]);
	for (int i = optind; i < argc; i++)
		words->options.recipe_paths[words->options.recipe_count++] = argv[i];
	if (strcmp(words->ui, "tui") != 0 && strcmp(words->ui, "plain") != 0 &&
	    strcmp(words->ui, "json") != 0)
		return cmd_usage("run", "--ui %s is none of tui, plain, json", words->ui);
	return 0;
}

static struct view *open_view(const char *ui, struct pogo_error *err)
{
	struct view *view;

	if (strcmp(ui, "tui") == 0)
		return view_tui_create(err);
	view = strcmp(ui, "json") == 0 ? view_json_create(stdout) : view_plain_create(stdout);
	if (view == NULL)
		pogo_fail(err, POGO_SYSTEM, "no memory for the view");
	return view;
}

int cmd_run(int argc, char **argv)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct words words = {.ui = terminal ? "tui" : "plain",
	                      .options = {.db_path = "pogoline.db"}};
	struct station_summary summary;
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	int code;

	words.options.operator_name = default_operator();
	code = read_words(&words, argc, argv);
	if (code != 0)
		return code;
	if (words.help) {
		fputs(help, stdout);
		return 0;
	}
	catch_signals();
	struct view *view = open_view(words.ui, &err);
	if (view == NULL)
		return cmd_fail(&err);
	int result = station_run(&words.options, view, &stop_signals, &summary, &err);
	view->ops->destroy(view);
	/* The screen is gone with the view: leave the figures behind. */
	if (strcmp(words.ui, "tui") == 0)
		printf("%" PRIu64 " boards: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64
		       " station errors\n",
		       summary.attempts, summary.passed, summary.failed, summary.errors);
	if (result != 0)
		return cmd_fail(&err);
	return summary.failed + summary.errors > 0 ? POGO_NO : 0;
}
