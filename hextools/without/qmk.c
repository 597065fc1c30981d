#include "hextools/qmk.h"

/* Stands in for hextools/qmk.c where jansson is not installed. */

int qmk_read(const char *tree, const char *name, struct qmk_keyboard *keyboard, struct pogo_error *err)
{
	(void)keyboard;
	return pogo_fail(err, POGO_INPUT,
			 "%.200s: cannot look up %.100s, this pogo-hex was built without jansson: install "
			 "libjansson-dev and build again, or give --part and --bootloader yourself",
			 tree, name);
}
