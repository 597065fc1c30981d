#ifndef POGO_HEXTOOLS_CMD_MAP_H
#define POGO_HEXTOOLS_CMD_MAP_H

#include <stdbool.h>

#include "hextools/bootloader.h"
#include "hextools/image.h"
#include "hextools/options.h"

/* The map that info draws behind its report. */

struct map_options {
	const char *part, *fuses;
	bool wanted;
	const struct bootloader *family; /* the known bootloader in the images, or NULL */
};

#define MAP_SPECS(map)                                                                               \
	{"map", 0, NULL, &(map).wanted}, {"part", 0, &(map).part, NULL}, {"fuses", 0, &(map).fuses, NULL}
#define MAP_HELP                                                                                     \
	"  --map              draw the memories of --part, and where two files collide\n"               \
	"  --part P           a part of configs/parts, like atmega32u4\n"                               \
	"  --fuses L,H,E      its fuse bytes: BOOTSZ says where the boot section begins\n"

/* Whether the options fit each other. */
int cmd_map_check(const struct map_options *options, bool json, struct pogo_error *err);

/* Draws on standard output. `configs` is the folder. */
int cmd_map_print(const struct map_options *options, const char *configs,
		  const struct hex_image *const images[], size_t count, struct pogo_error *err);

#endif
