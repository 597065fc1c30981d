#ifndef POGO_HEXTOOLS_CORTEX_H
#define POGO_HEXTOOLS_CORTEX_H

#include "hextools/edit.h"
#include "hextools/image.h"
#include "hextools/part.h"

/* Does a program for a Cortex-M stand where it was linked for? Its vector table tells: ARMv7-M
 * Architecture Reference Manual, B1.5.3: the first word is the stack pointer, the second the reset
 * handler with bit 0 set. */

enum cortex_fault {
	CORTEX_SOUND,
	CORTEX_NO_TABLE, /* no data there, or not all of the two words */
	CORTEX_BLANK,    /* erased memory */
	CORTEX_STACK,    /* the stack would not be in the part's SRAM */
	CORTEX_NO_THUMB, /* a handler's bit 0 is clear */
	CORTEX_NOWHERE,  /* a handler is not in the program's own data */
};

struct cortex_report {
	enum cortex_fault fault;
	uint32_t table;
	unsigned vector; /* the number of the one at fault */
	uint32_t word;   /* and what stands there */
};

/* Looks at the table at `table`; the program is the image's data in `own`. Handlers in the SRAM are
 * fine except that of reset, unused ones (all bits 0 or 1) too. True: it is sound. */
bool cortex_look(const struct hex_image *image, const struct part *part, uint32_t table,
                 const struct hex_range *own, struct cortex_report *report);

/* What is at fault, as the end of a sentence: "the initial stack pointer is 0x…, outside …". */
void cortex_words(const struct cortex_report *report, const struct part *part, char *out,
                  size_t size);

#endif
