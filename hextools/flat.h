#ifndef POGO_HEXTOOLS_FLAT_H
#define POGO_HEXTOOLS_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/image.h"

/* A stretch of the address space, every byte at its place and a bit that says whether it is there: for a file
 * whose records come in any order and leave few holes between them. Nothing is listed and nothing is sorted; what
 * is never touched costs address space only. Zeroed it is closed. */

struct flat {
	uint64_t base, end;           /* [base, end) */
	uint64_t unused, used;        /* of its bytes none before and none behind were ever put */
	uint8_t *bytes;               /* NULL: closed */
	uint64_t *there;              /* a bit for each byte, the lowest first */
	struct hex_conflict conflict; /* the lowest address that was given two values; len 0: none */
};

/* false: there is no memory for it, and it stays closed. base is a multiple of 64. */
bool flat_open(struct flat *flat, uint64_t base, uint64_t end);
void flat_close(struct flat *flat);

static inline bool flat_holds(const struct flat *flat, uint64_t addr, size_t len)
{
	return flat->bytes != NULL && addr >= flat->base && addr + len <= flat->end;
}

/* Is that memory the stretch's own? */
static inline bool flat_owns(const struct flat *flat, const uint8_t *bytes)
{
	return flat->bytes != NULL && bytes >= flat->bytes && bytes < flat->bytes + (flat->end - flat->base);
}

/* Only what it holds. A byte that is there already stays as it was. */
void flat_put(struct flat *flat, uint64_t addr, const uint8_t *bytes, size_t len);

/* The first run of bytes at or above *addr: true, and *addr and *len are its place. */
bool flat_next_run(const struct flat *flat, uint64_t *addr, uint64_t *len);

/* When all runs are known: gives the bits back. Nothing may be put from now on. */
void flat_forget_runs(struct flat *flat);

/* Copies some of its memory away, giving it back to the system on the way. */
void flat_move_out(uint8_t *to, uint8_t *from, size_t len);

#endif
