#ifndef POGO_STATION_CMD_DESK_H
#define POGO_STATION_CMD_DESK_H

#include "station/desk.h"

/* What probe, read and unlock have in common on the command line: SLOT, --bench, --station, --configs. */

#define CMD_DESK_OPTIONS                                                                                               \
	{"bench", required_argument, NULL, 'b'}, {"station", required_argument, NULL, 's'},                           \
	        {"configs", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}

#define CMD_DESK_HELP                                                                                                  \
	"  --bench URL     the programmers at usbip://HOST[:PORT] instead of this machine's USB\n"                    \
	"  --station FILE  slots by the names of this file (else numbered by port)\n"                                 \
	"  --configs DIR   folder of parts\n"

/* Takes one of these options; false: it is none of them. */
bool cmd_desk_option(int opt, const char *value, struct desk_options *options);

/* The slot: exactly one word. 0, or the exit code with the message printed. */
int cmd_desk_slot(const char *command, int argc, char **argv, struct desk_options *options);

/* "usbasp, firmware 1.07 (2011)" in slot and port, for people. */
void cmd_desk_title(const struct desk *desk, char *text, size_t size);

#endif
