#ifndef POGO_HEXTOOLS_RELEASE_QMK_H
#define POGO_HEXTOOLS_RELEASE_QMK_H

#include "hextools/qmk.h"
#include "hextools/release.h"

/* Fills an order from a QMK tree: part, bootloader family and size, and (with `crystal`) the crystal. What
 * stands in *order before is kept if it agrees and refused (POGO_NO) if not. order->configs must be set. The
 * strings live in *keyboard. An order without a bootloader's file is POGO_INPUT with the file's name,
 * a BOOTLOADER that QMK would not build with POGO_INPUT with its right spelling or the names that QMK knows. */
int release_from_qmk(const char *tree, const char *name, bool crystal, struct qmk_keyboard *keyboard,
		     struct release_order *order, struct pogo_error *err);

#endif
