#ifndef POGO_HEXTOOLS_FIT_H
#define POGO_HEXTOOLS_FIT_H

#include "hextools/image.h"
#include "hextools/part.h"

/* Does every byte have a place in the part's flash or (from AVR_EEPROM_BASE) EEPROM? If not: POGO_NO
 * with the first range that has none. `name` is what the message calls the image. */
int fit_check(const struct part *part, const struct hex_image *image, const char *name,
	      struct pogo_error *err);

#endif
