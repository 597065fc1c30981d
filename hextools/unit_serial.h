#ifndef POGO_HEXTOOLS_UNIT_SERIAL_H
#define POGO_HEXTOOLS_UNIT_SERIAL_H

#include "hextools/edit.h"

/* The data of one unit (serial number, calibration, address) in an image that is otherwise the same for
 * all. Nothing is cut, padded or left out unless the field says how. */

enum unit_format {
	UNIT_ASCII,
	UNIT_USB_STRING, /* a USB string descriptor: bLength, 0x03, UTF-16LE (USB 2.0, 9.6.7) */
	UNIT_BCD,        /* two decimal digits a byte */
	UNIT_U8,
	UNIT_U16,
	UNIT_U32,
	UNIT_U64,
};

enum { UNIT_MAX = 255 }; /* bytes of a field */

struct unit_field {
	enum unit_format format;
	uint32_t addr;
	bool big_endian; /* of BCD: the leading digits first */
	size_t length;   /* 0: as long as the value. Text and BCD: a longer value is refused … */
	int pad;         /* … and a shorter one filled up behind with this byte; -1: refused too */
	bool over;       /* may stand on data that is not 0xFF … */
	const uint8_t *expect; /* … or NULL, or what that data must be, of expect_len bytes */
	size_t expect_len;
};

/* False: no such format. */
bool unit_format_find(const char *name, enum unit_format *format);
const char *unit_format_name(enum unit_format format);

/* The bytes of the value, UNIT_MAX at most. POGO_INPUT says which character is wrong and why. */
int unit_encode(const struct unit_field *field, const char *value, uint8_t bytes[UNIT_MAX],
		size_t *len, struct pogo_error *err);

/* Encodes the value and puts it into the image. Data in the way is POGO_NO. *len may be NULL. */
int unit_patch(struct hex_image *image, const struct unit_field *field, const char *value, size_t *len,
	       struct pogo_error *err);

/* PREFIX and the number, with leading zeros up to `width` digits; more digits than that (0: any number)
 * is POGO_INPUT. */
int unit_number(const char *prefix, uint64_t number, unsigned width, char *out, size_t size,
		struct pogo_error *err);

/* A table with a line of names, as spreadsheets write it (RFC 4180; a UTF-8 mark at the begin is skipped). */
struct unit_table;
int unit_table_parse(const char *text, size_t len, const char *name, char separator,
		     struct unit_table **out, struct pogo_error *err);
void unit_table_free(struct unit_table *table); /* NULL is fine */
size_t unit_table_rows(const struct unit_table *table); /* without the names */

/* The cell of row 1 … rows; an empty one, or one with blanks around it, is POGO_INPUT. */
int unit_table_cell(const struct unit_table *table, const char *column, size_t row, const char **value,
		    struct pogo_error *err);

/* The line that the row begins in, for messages. */
size_t unit_table_line(const struct unit_table *table, size_t row);

/* What is written for one unit of many. */
struct unit_written {
	uint8_t bytes[UNIT_MAX];
	size_t len, number; /* number: the caller's, of the unit */
};

/* Sorts the list; the first of two neighbours that are written the same, lower number first. NULL: all differ. */
const struct unit_written *unit_find_same(struct unit_written *list, size_t count);

/* The pattern with {serial} and {row} replaced. A serial that cannot stand in a file name is POGO_INPUT. */
int unit_file_name(const char *pattern, const char *serial, uint64_t row, char *out, size_t size,
		   struct pogo_error *err);

#endif
