#ifndef POGO_HEXTOOLS_CHECK_PRIVATE_H
#define POGO_HEXTOOLS_CHECK_PRIVATE_H

#include "hextools/check.h"

/* The parts of check.c. Each looks at one side of the image and files findings. */

#define CHECK_NOWHERE UINT32_MAX /* a finding without an address */

/* `way_out` is borrowed for the call only. */
void check_find(struct check *check, const char *id, enum check_severity severity, uint32_t address,
		const char *way_out, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The image's bytes; holes are 0xFF. */
uint16_t check_word(const struct check *check, uint32_t address);
/* First data byte in [from, until); false: none. */
bool check_first(const struct hex_image *image, uint32_t from, uint32_t until, uint32_t *address);
/* The same for code: the first even address whose word is not 0xFFFF. Erased flash reads so, and raw binaries and
 * what was read back have it where nothing is. */
bool check_first_code(const struct hex_image *image, uint32_t from, uint32_t until, uint32_t *address);
bool check_has_code(const struct check *check, uint32_t address); /* such a word is there */

/* Well-formed Intel HEX whose records tell of a careless concatenation. Returns true if every line is a
 * sound record (or the text is no Intel HEX at all: then *ihex is false); *has_data: one has data. */
bool check_text(struct check *check, const char *text, size_t len, bool *ihex, bool *has_data);

void check_places(struct check *check);  /* part's memories, ELF's fuse and signature pages */
void check_boot(struct check *check);    /* boot section, bootloader, fuses that lead there */
void check_fuses(struct check *check, uint32_t crystal_hz, bool external_clock);
void check_lock(struct check *check);
void check_eeprom(struct check *check);
void check_recognise(struct check *check); /* which known bootloader the image has */
void check_boot_file(struct check *check); /* --bootloader FILE against the image */
void check_stm32(struct check *check);     /* all of it, for that family */
int check_code(struct check *check, const char *configs, struct pogo_error *err); /* vectors, stack */

#endif
