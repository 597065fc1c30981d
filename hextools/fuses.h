#ifndef POGO_HEXTOOLS_FUSES_H
#define POGO_HEXTOOLS_FUSES_H

#include "hextools/part.h"

/* What a set of fuse bytes means for a part. */

/* "0xFF,0xD8,0xCB" (2 or 3 bytes as the part has; hex with or without 0x). Missing = 0xFF. */
int fuses_parse(const struct part *part, const char *text, uint8_t fuses[PART_FUSES], struct pogo_error *err);

/* CPU clock in Hz while the part is held in programming mode; crystal_hz is what the board has (0:
 * none). 0 = no clock would run. CKDIV8 is counted. */
uint32_t fuses_cpu_hz(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz);

/* Highest legal SCK: below f/4, from 12 MHz CPU clock below f/6 (data sheets, serial programming
 * characteristics: high and low phase above 2 or 3 CPU clocks). */
uint32_t fuses_sck_limit(uint32_t cpu_hz);

/* First byte of the boot section that BOOTSZ selects; false: the part has none. */
bool fuses_boot_section(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t *start, uint32_t *bytes);
bool fuses_boot_reset(const struct part *part, const uint8_t fuses[PART_FUSES]); /* BOOTRST programmed */

/* Refuses values that would end ISP for ever or need a clock that is not there (POGO_NO). */
int fuses_check_safe(const struct part *part, const uint8_t fuses[PART_FUSES], uint32_t crystal_hz, bool external_clock,
		     struct pogo_error *err);

#endif
