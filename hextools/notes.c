#include "hextools/notes.h"

#include <stdarg.h>
#include <stdio.h>

void notes_add(struct notes *notes, const char *format, ...)
{
	if (notes == NULL)
		return;
	if (notes->count < NOTES_KEPT) {
		va_list ap;
		va_start(ap, format);
		vsnprintf(notes->text[notes->count], sizeof notes->text[0], format, ap);
		va_end(ap);
	}
	notes->count++;
}
