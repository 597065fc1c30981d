#ifndef POGO_STATION_FAULT_H
#define POGO_STATION_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* Why an attempt did not pass. Codes are few and stable: quality people count them for years. They
 * are made by the layer that knows (link, programmer, chip) and carried up unchanged. */

enum fail_code {
	FAIL_NONE,
	FAIL_NO_BOARD,        /* nobody set a board within the station's limit */
	FAIL_CONTACT,         /* a board was there and stopped answering, or answers garbage */
	FAIL_POWER,           /* target voltage missing or wrong (programmers that can tell) */
	FAIL_SIGNATURE,       /* another chip */
	FAIL_PROTECTED,       /* lock or read-out protection in the way */
	FAIL_ERASE,
	FAIL_WRITE,           /* the programmer or chip refused or failed a write */
	FAIL_VERIFY,          /* read back differs */
	FAIL_FUSE,
	FAIL_LOCK,
	FAIL_SERIAL,          /* no number to give, or the board's own number contradicts the log */
	FAIL_TIMEOUT,         /* a step's deadline ran out */
	FAIL_PROGRAMMER_LOST, /* unplugged, or hung until unplugged */
	FAIL_ABORTED,         /* the operator stopped the run */
	FAIL_RECORD,          /* the log could not be written */
};

struct fault {
	enum fail_code code;
	bool has_address;
	uint32_t address, expected, found; /* expected and found are bytes (or words) at address */
	char text[200];                    /* what happened, without slot and step; no newline */
};

/* "VERIFY", "PROGRAMMER_LOST", … exactly as in the log. */
const char *fail_name(enum fail_code code);
/* Lost programmers, aborts, missing boards and record errors say nothing about the board: status
 * ERROR, outside every yield. All others are FAIL. */
bool fail_is_error(enum fail_code code);

/* Fill *fault and return -1. */
int fault_set(struct fault *fault, enum fail_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int fault_byte(struct fault *fault, enum fail_code code, uint32_t address, uint32_t expected, uint32_t found,
	       const char *format, ...) __attribute__((format(printf, 6, 7)));

#endif
