#ifndef POGO_HEXTOOLS_QMK_H
#define POGO_HEXTOOLS_QMK_H

#include <stdbool.h>
#include <stdint.h>

#include "hextools/err.h"
#include "hextools/notes.h"

/* What a QMK source tree says of a keyboard's chip and bootloader. Follows QMK's code
 * (builddefs/build_keyboard.mk, lib/python/qmk/info.py, 2026-07), also where its documentation says
 * otherwise, and tells so. Precedence, lowest first: JSON files from the keyboard's folder up (a parent's
 * value beats the child's), development_board for what is missing, rules.mk from the top down, the
 * keymap's rules.mk, the keymap.json's config, users/KEYMAP/rules.mk and post_rules.mk (BOOTLOADER only). */

struct qmk_value {
	char text[64];
	char from[240]; /* the file below the tree that said it; empty: QMK's default */
	bool set;
};

struct qmk_keyboard {
	char name[200];  /* as resolved: aliases and DEFAULT_FOLDER followed */
	char keymap[64]; /* empty: none named */
	struct qmk_value mcu, bootloader, bootloader_size, f_cpu;
	char development_board[64]; /* empty: none */
	struct notes notes;         /* contradictions, and what was decided */
};

/* `name` is NAME or NAME:KEYMAP. A keyboard that is not there, is not buildable, or uses CONVERT_TO:
 * POGO_INPUT. */
int qmk_read(const char *tree, const char *name, struct qmk_keyboard *keyboard, struct pogo_error *err);

#endif
