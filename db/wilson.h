#ifndef POGO_DB_WILSON_H
#define POGO_DB_WILSON_H

#include <stdint.h>

/* A share and its Wilson score interval at 95 % (E. B. Wilson 1927, J. Am. Stat. Assoc. 22, 209-212): right also
 * for few boards and for yields next to 0 or 1, where the textbook p ± 2s leaves the scale. */
struct wilson {
	uint64_t good, total;
	double share, low, high; /* 0..1; all NAN when total is 0 */
};

struct wilson wilson_95(uint64_t good, uint64_t total);

#endif
