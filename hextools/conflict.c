#include "hextools/conflict.h"

#include <inttypes.h>

int conflict_refuse(const char *before, const char *later, const struct hex_conflict *run, const char *way_out,
		    struct pogo_error *err)
{
	uint64_t last = run->addr + run->len - 1;
	if (run->differing == 0)
		return pogo_fail(err, POGO_INPUT,
				 "\"%.120s\" and \"%.120s\" both have 0x%05" PRIX32 "-0x%05" PRIX64 " (%" PRIu64
				 " bytes, all equal); %.150s",
				 before, later, run->addr, last, run->len, way_out);
	return pogo_fail(err, POGO_INPUT,
			 "\"%.120s\" and \"%.120s\" both have 0x%05" PRIX32 "-0x%05" PRIX64 " (%" PRIu64 " bytes) and %" PRIu64
			 " differ, first at 0x%05" PRIX32 ": %02X against %02X; %.150s",
			 before, later, run->addr, last, run->len, run->differing, run->first_differing, run->old_byte,
			 run->new_byte, way_out);
}
