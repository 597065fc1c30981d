#ifndef POGO_HEXTOOLS_UF2_H
#define POGO_HEXTOOLS_UF2_H

#include <stdint.h>

#include "hextools/err.h"

/* Families of UF2 files: "RP2040" is 0xE48BFF56. */

const char *uf2_family_name(uint32_t family); /* NULL: not a known one */

/* A known name, in any case, or 0x and up to 8 digits. */
int uf2_family(const char *text, uint32_t *family, struct pogo_error *err);

#endif
