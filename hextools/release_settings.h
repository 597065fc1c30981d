#ifndef POGO_HEXTOOLS_RELEASE_SETTINGS_H
#define POGO_HEXTOOLS_RELEASE_SETTINGS_H

#include "hextools/release.h"

/* What an Atmel "production ELF" carries besides code: the fuses, lock byte and signature that its source asked for
 * (avr-libc, <avr/fuse.h>, <avr/lock.h>, <avr/signature.h>). Moves them out of the input's image into
 * release->asked. Another part's signature, or two inputs that ask for different things: POGO_NO. */
int release_take_settings(struct release *release, struct release_input *input, struct pogo_error *err);

#endif
