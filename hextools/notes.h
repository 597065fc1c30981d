#ifndef POGO_HEXTOOLS_NOTES_H
#define POGO_HEXTOOLS_NOTES_H

#include <stddef.h>

/* Sentences about an input that was accepted all the same. All are counted, the first few are kept,
 * so that a million oddities are no million messages. A zeroed list is empty. */

enum { NOTES_KEPT = 12 };

struct notes {
	size_t count;
	char text[NOTES_KEPT][300];
};

/* `notes` may be NULL. */
void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
