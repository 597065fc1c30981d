#include "station/fault.h"

#include <stdarg.h>
#include <stdio.h>

const char *fail_name(enum fail_code code)
{
	switch (code) {
	case FAIL_NONE:
		return "NONE";
	case FAIL_NO_BOARD:
		return "NO_BOARD";
	case FAIL_CONTACT:
		return "CONTACT";
	case FAIL_POWER:
		return "POWER";
	case FAIL_SIGNATURE:
		return "SIGNATURE";
	case FAIL_PROTECTED:
		return "PROTECTED";
	case FAIL_ERASE:
		return "ERASE";
	case FAIL_WRITE:
		return "WRITE";
	case FAIL_VERIFY:
		return "VERIFY";
	case FAIL_FUSE:
		return "FUSE";
	case FAIL_LOCK:
		return "LOCK";
	case FAIL_SERIAL:
		return "SERIAL";
	case FAIL_TIMEOUT:
		return "TIMEOUT";
	case FAIL_PROGRAMMER_LOST:
		return "PROGRAMMER_LOST";
	case FAIL_ABORTED:
		return "ABORTED";
	case FAIL_RECORD:
		return "RECORD";
	}
	return "UNKNOWN";
}

bool fail_is_error(enum fail_code code)
{
	return code == FAIL_NO_BOARD || code == FAIL_PROGRAMMER_LOST || code == FAIL_ABORTED ||
	       code == FAIL_RECORD;
}

int fault_set(struct fault *fault, enum fail_code code, const char *format, ...)
{
	va_list ap;

	*fault = (struct fault){.code = code};
	va_start(ap, format);
	vsnprintf(fault->text, sizeof fault->text, format, ap);
	va_end(ap);
	return -1;
}

int fault_byte(struct fault *fault, enum fail_code code, uint32_t address, uint32_t expected,
               uint32_t found, const char *format, ...)
{
	va_list ap;

	*fault = (struct fault){.code = code,
	                        .has_address = true,
	                        .address = address,
	                        .expected = expected,
	                        .found = found};
	va_start(ap, format);
	vsnprintf(fault->text, sizeof fault->text, format, ap);
	va_end(ap);
	return -1;
}
