#ifndef POGO_HEXTOOLS_COMMANDS_H
#define POGO_HEXTOOLS_COMMANDS_H

#include "hextools/err.h"
#include "hextools/notes.h"

/* pogo-hex itself, callable by a test: argv as main gets it, returns the exit code. */
int pogo_hex_run(int argc, char **argv);

/* The commands. argv[0] is the first word behind the command's name. 0, or -1 with *err; its text may be empty, where
 * the exit code alone is the answer. */
int cmd_boot(int argc, char **argv, struct pogo_error *err);
int cmd_check(int argc, char **argv, struct pogo_error *err);
int cmd_convert(int argc, char **argv, struct pogo_error *err);
int cmd_crc(int argc, char **argv, struct pogo_error *err);
int cmd_crop(int argc, char **argv, struct pogo_error *err);
int cmd_diff(int argc, char **argv, struct pogo_error *err);
int cmd_dump(int argc, char **argv, struct pogo_error *err);
int cmd_exclude(int argc, char **argv, struct pogo_error *err);
int cmd_fill(int argc, char **argv, struct pogo_error *err);
int cmd_fuses(int argc, char **argv, struct pogo_error *err);
int cmd_info(int argc, char **argv, struct pogo_error *err);
int cmd_merge(int argc, char **argv, struct pogo_error *err);
int cmd_move(int argc, char **argv, struct pogo_error *err);
int cmd_release(int argc, char **argv, struct pogo_error *err);
int cmd_serial(int argc, char **argv, struct pogo_error *err);
int cmd_split(int argc, char **argv, struct pogo_error *err);
int cmd_vectors(int argc, char **argv, struct pogo_error *err);

/* A line on stderr for what is worth knowing but wrong with nothing: "pogo-hex: " and the sentence. */
void cmd_note(const char *sentence);

/* The same for what reading an input had to say. */
void cmd_notes(const struct notes *notes);

/* Writes a text to standard output, whole. */
int cmd_print(const char *text, struct pogo_error *err);

#endif
