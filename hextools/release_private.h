#ifndef POGO_HEXTOOLS_RELEASE_PRIVATE_H
#define POGO_HEXTOOLS_RELEASE_PRIVATE_H

#include "hextools/release.h"

/* The parts of release.c, and what both families of chips need. */

/* Reads the next input of the release; what was odd with it becomes notes. */
int release_read_input(struct release *release, const char *role, const char *path,
                       const struct format_reading *reading, struct pogo_error *err);
int release_find_family(const struct release_order *order, struct release *release,
                        struct pogo_error *err);
/* A known file that is for another part or board. */
int release_refuse_file(const struct release *release, const struct bootloader *found,
                        const struct bootloader_file *file, struct pogo_error *err);
/* All inputs into one image, with its digests. */
int release_join(struct release *release, struct pogo_error *err);

/* The whole of it for an STM32F1, from the part on. */
int release_make_stm32(const struct release_order *order, struct release *release,
                       struct pogo_error *err);

#endif
