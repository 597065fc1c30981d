#ifndef POGO_STATION_STATION_FILE_H
#define POGO_STATION_STATION_FILE_H

#include <stddef.h>

#include "hextools/err.h"

/* The station file: which slot is which USB port path. Written by `pogo-station learn`, or by hand. */

enum { STATION_SLOTS = 64 };

struct slot_place {
	char name[16];   /* what stands on the jig: "1", "A3" */
	char port[64];   /* USB port path, "1-4.2", or the device file of a serial line, "/dev/ttyS0" */
	char kind[16];   /* programmer kind, "usbasp"; "" = whatever is there and known */
};

struct station_file {
	char path[512];
	char station[48];
	struct slot_place slots[STATION_SLOTS];
	size_t slot_count;
	unsigned no_board_s; /* an armed slot without a board for so long logs NO_BOARD; 0 = waits for ever */
};

int station_file_load(const char *path, struct station_file *out, struct pogo_error *err);
int station_file_save(const struct station_file *file, struct pogo_error *err);

#endif
