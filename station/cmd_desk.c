#include "station/cmd_desk.h"

#include <getopt.h>
#include <stdio.h>

#include "station/cmd.h"

bool cmd_desk_option(int opt, const char *value, struct desk_options *options)
{
	switch (opt) {
	case 'b':
		options->host_url = value;
		return true;
	case 's':
		options->station_path = value;
		return true;
	case 'c':
		options->configs = value;
		return true;
	default:
		return false;
	}
}

int cmd_desk_slot(const char *command, int argc, char **argv, struct desk_options *options)
{
	if (optind == argc)
		return cmd_usage(command, "which slot? `pogo-station pods` lists what is plugged");
	if (argc - optind > 1)
		return cmd_usage(command, "\"%s\" is one word too many", argv[optind + 1]);
	options->slot = argv[optind];
	return 0;
}

void cmd_desk_title(const struct desk *desk, char *text, size_t size)
{
	const struct programmer_info *info = &desk->programmer->info;

	snprintf(text, size, "slot %s (%s): %s, firmware %s%s%s", desk->place.name, desk->place.port, info->kind,
	         info->firmware, info->label[0] != '\0' ? ", serial " : "", info->label);
}
