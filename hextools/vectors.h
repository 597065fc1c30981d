#ifndef POGO_HEXTOOLS_VECTORS_H
#define POGO_HEXTOOLS_VECTORS_H

#include "hextools/image.h"
#include "hextools/part.h"

/* The table of reset and interrupt vectors at the begin of a firmware, and where each one leads. */

enum vector_kind {
	VECTOR_MISSING, /* no data there (or not all of it) */
	VECTOR_BLANK,   /* 0xFF, erased memory */
	VECTOR_JMP,
	VECTOR_RJMP,
	VECTOR_OTHER,   /* AVR: another instruction stands there. Cortex-M: a word of 0, unused */
	VECTOR_STACK,   /* Cortex-M: the first word is the initial stack pointer */
	VECTOR_ADDRESS, /* Cortex-M: a code address */
};

enum vector_place {
	PLACE_NONE,        /* it leads nowhere: no address in it */
	PLACE_APPLICATION,
	PLACE_BOOT,        /* in the boot section */
	PLACE_FLASH,       /* data is there; the boot section is not known */
	PLACE_TABLE,       /* in the table itself, at another vector */
	PLACE_SELF,        /* at itself: it hangs there */
	PLACE_BLANK,       /* no data or 0xFF at the target */
	PLACE_OUTSIDE,     /* beyond the flash (AVR), or not in the image (Cortex-M) */
	PLACE_NO_THUMB,    /* Cortex-M: bit 0 is 0, which faults */
	PLACE_RAM,         /* Cortex-M: a plausible stack pointer … */
	PLACE_BAD_STACK,   /* … and one that is not: no RAM there, or no multiple of 4 */
};

struct vector {
	unsigned number;
	uint32_t addr;   /* where the vector stands */
	const char *name; /* "reset", …; NULL: only the number is known */
	enum vector_kind kind;
	uint32_t word;   /* AVR: the first instruction word; Cortex-M: the 32 bits */
	uint32_t target; /* byte address, without the Thumb bit */
	enum vector_place place;
};

/* What one looks at. */
struct vector_view {
	const struct part *part; /* AVR; of a Cortex-M its memories, or NULL */
	bool has_boot;           /* the boot section is known */
	uint32_t boot_start;
	uint32_t base;           /* where the table stands */
	unsigned count;          /* 0: as the part says, else up to what is no jump or is jumped to */
};

enum { VECTORS_MAX = 256 };

unsigned vectors_bytes(const struct part *part); /* of one vector: 4 above 8 KiB of flash, else 2 */

/* Fill list[] and return how many vectors there are. */
size_t vectors_avr(const struct hex_image *image, const struct vector_view *view,
		   struct vector list[VECTORS_MAX]);
size_t vectors_cortex_m(const struct hex_image *image, const struct vector_view *view,
			struct vector list[VECTORS_MAX]);

const char *vector_kind_name(enum vector_kind kind);
const char *vector_place_name(enum vector_place place);

#endif
