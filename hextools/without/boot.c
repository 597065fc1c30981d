#include "hextools/boot.h"

/* Stands in for hextools/boot.c where simavr is not installed. */

int boot_run(const struct boot_order *order, struct boot_result *result, struct pogo_error *err)
{
	(void)order;
	(void)result;
	return pogo_fail(err, POGO_SYSTEM,
			 "this pogo-hex was built without simavr: install libsimavr-dev and build again");
}
