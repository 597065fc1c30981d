#ifndef POGO_HEXTOOLS_DFU_SUFFIX_H
#define POGO_HEXTOOLS_DFU_SUFFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/format.h"
#include "hextools/instream.h"

/* The suffix of a file for USB DFU: USB Device Class Specification for Device Firmware Upgrade 1.1,
 * appendix B. It is no data: a programmer that writes it writes 16 stray bytes. */

enum { DFU_SUFFIX = 16 };

/* If the input (before its first byte is taken; its length known) ends with a suffix, checks it, makes
 * the input end before it and tells its ids. A suffix that contradicts the file is POGO_INPUT. */
int dfu_suffix_take(struct instream *in, bool *found, struct dfu_ids *ids, struct pogo_error *err);

/* Do these bytes end with what a suffix is known by? */
bool dfu_suffix_ends(const uint8_t *bytes, size_t len);

/* The suffix of a file whose CRC-32 (as crc32_update counts it, from 0) is `crc`. */
void dfu_suffix_make(const struct dfu_ids *ids, uint32_t crc, uint8_t out[DFU_SUFFIX]);

/* "VID:PID" in hexadecimal, perhaps ":DEVICE". */
int dfu_suffix_ids(const char *text, struct dfu_ids *ids, struct pogo_error *err);

#endif
