#include <stdio.h>
#include <string.h>

#include "hextools/version.h"
#include "station/cmd.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
        {"run", cmd_run},
        {"pods", cmd_pods},
        {"check", cmd_check},
        {"learn", cmd_learn},
        {"probe", cmd_probe},
        {"read", cmd_read},
        {"unlock", cmd_unlock},
};

static const char help[] =
        "usage: pogo-station COMMAND …\n"
        "\n"
        "Flashes boards on a line of USB programmers, one slot per programmer.\n"
        "\n"
        "  pods           what is plugged: ports, programmers, what they can do\n"
        "  learn STATION  teach which slot is at which USB port, by plugging\n"
        "  check RECIPE   prove a recipe and say what would be done\n"
        "  run RECIPE     run the line\n"
        "  probe SLOT     what the chip in a slot is, its fuses and protection\n"
        "  read SLOT      a chip's memory into a file\n"
        "  unlock SLOT    take a chip's lock or protection away, which erases it\n"
        "\n"
        "  --help         this text; `pogo-station COMMAND --help` tells about a command\n"
        "  --version      the version\n"
        "\n"
        "Exit code: 0 done; 1 it worked and the answer is no (a board failed); 2 wrong words or\n"
        "unusable files; 3 the device or the system failed.\n";

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("pogo-station: which command? pods, learn, check, run, probe, read or unlock; `pogo-station "
		      "--help` tells more\n",
		      stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("pogo-station %s\n", POGO_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr,
	        "pogo-station: there is no command \"%s\"; `pogo-station --help` lists them\n",
	        argv[1]);
	return 2;
}
