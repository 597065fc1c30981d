#include "hextools/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef pogo_fail
#undef pogo_fail_errno

static void fill(struct pogo_error *err, enum pogo_error_class kind, const char *format, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void fill(struct pogo_error *err, enum pogo_error_class kind, const char *format, va_list ap)
{
	err->kind = kind;
	vsnprintf(err->text, sizeof err->text, format, ap);
}

int pogo_fail(struct pogo_error *err, enum pogo_error_class kind, const char *format, ...)
{
	if (err != NULL) {
		va_list ap;
		va_start(ap, format);
		fill(err, kind, format, ap);
		va_end(ap);
	}
	return -1;
}

int pogo_fail_errno(struct pogo_error *err, int number, const char *format, ...)
{
	if (err != NULL) {
		char reason[128];
		va_list ap;
		va_start(ap, format);
		fill(err, POGO_SYSTEM, format, ap);
		va_end(ap);
		/* GNU strerror_r returns the text, which need not be in the buffer. */
		const char *why = strerror_r(number, reason, sizeof reason);
		size_t used = strlen(err->text);
		snprintf(err->text + used, sizeof err->text - used, ": %s", why);
	}
	return -1;
}
