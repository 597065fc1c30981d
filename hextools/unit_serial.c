#include "hextools/unit_serial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {"ascii", "utf16le-usb", "bcd", "u8", "u16", "u32", "u64"};

bool unit_format_find(const char *name, enum unit_format *format)
{
	for (size_t i = 0; i < sizeof format_names / sizeof format_names[0]; i++) {
		if (strcmp(format_names[i], name) != 0)
			continue;
		*format = (enum unit_format)i;
		return true;
	}
	return false;
}

const char *unit_format_name(enum unit_format format)
{
	return format_names[format];
}

/* ---- text into bytes -------------------------------------------------------------------------------- */

/* "character 'x'" or, if it does not print, "byte 0xNN", of a message. */
static const char *show(char c, char out[24])
{
	if (c >= 0x20 && c < 0x7F)
		snprintf(out, 24, "character '%c'", c);
	else
		snprintf(out, 24, "byte 0x%02X", (unsigned char)c);
	return out;
}

static int encode_ascii(const char *value, uint8_t *bytes, size_t *len, struct pogo_error *err)
{
	char what[24];
	for (size_t i = 0; value[i] != '\0'; i++) {
		if (value[i] < 0x20 || value[i] >= 0x7F)
			return pogo_fail(err, POGO_INPUT, "%s at position %zu of \"%.80s\" is no printable ASCII",
					 show(value[i], what), i + 1, value);
		if (i == UNIT_MAX)
			return pogo_fail(err, POGO_INPUT, "\"%.40s…\" is longer than %d bytes", value,
					 UNIT_MAX);
		bytes[i] = (uint8_t)value[i];
		*len = i + 1;
	}
	return 0;
}

/* One character of UTF-8; 0 if it is none (overlong forms and surrogates are none). */
static size_t take_utf8(const char *text, uint32_t *character)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t value = len == 1 ? at[0] : at[0] & (0x7Fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		value = value << 6 | (at[i] & 0x3F);
	}
	bool surrogate = value >= 0xD800 && value < 0xE000;
	*character = value;
	return len == 0 || value < least[len] || value > 0x10FFFF || surrogate ? 0 : len;
}

static void put_utf16(uint8_t *bytes, size_t *len, uint32_t unit)
{
	bytes[(*len)++] = (uint8_t)unit;
	bytes[(*len)++] = (uint8_t)(unit >> 8);
}

static int encode_usb_string(const char *value, uint8_t *bytes, size_t *len, struct pogo_error *err)
{
	char what[24];
	*len = 2;
	for (const char *at = value; *at != '\0';) {
		uint32_t c;
		size_t step = take_utf8(at, &c);
		if (step == 0 || c < 0x20 || c == 0x7F)
			return pogo_fail(err, POGO_INPUT,
					 "%s at position %zu of \"%.80s\" is no printable UTF-8",
					 show(*at, what), (size_t)(at - value) + 1, value);
		/* bLength is one byte, and even. */
		if (*len + (c > 0xFFFF ? 4 : 2) > 254)
			return pogo_fail(err, POGO_INPUT,
					 "\"%.40s…\" is longer than the 126 characters of a USB string", value);
		if (c > 0xFFFF) {
			put_utf16(bytes, len, 0xD800 + ((c - 0x10000) >> 10));
			put_utf16(bytes, len, 0xDC00 + ((c - 0x10000) & 0x3FF));
		} else {
			put_utf16(bytes, len, c);
		}
		at += step;
	}
	bytes[0] = (uint8_t)*len;
	bytes[1] = 0x03;
	return 0;
}

static int refuse_no_digit(const char *value, enum unit_format format, struct pogo_error *err)
{
	size_t at = strspn(value, "0123456789");
	char what[24];
	if (value[at] == '\0')
		return 0;
	return pogo_fail(err, POGO_INPUT,
			 "%s at position %zu of \"%.80s\" is no digit: %s takes %s (text fits --format ascii or "
			 "utf16le-usb)", show(value[at], what), at + 1, value, unit_format_name(format),
			 format == UNIT_BCD ? "decimal digits only" : "decimal digits, or 0x and hexadecimal ones");
}

static int encode_bcd(const char *value, bool big_endian, uint8_t *bytes, size_t *len,
		      struct pogo_error *err)
{
	size_t digits = strlen(value);
	if (refuse_no_digit(value, UNIT_BCD, err) != 0)
		return -1;
	if (digits % 2 != 0)
		return pogo_fail(err, POGO_INPUT,
				 "\"%.80s\" has %zu digits, bcd holds two a byte: write a leading zero", value,
				 digits);
	if (digits > 2 * UNIT_MAX)
		return pogo_fail(err, POGO_INPUT, "\"%.40s…\" is longer than %d bytes of bcd", value, UNIT_MAX);
	*len = digits / 2;
	for (size_t i = 0; i < *len; i++)
		bytes[big_endian ? i : *len - 1 - i] =
			(uint8_t)((value[i * 2] - '0') << 4 | (value[i * 2 + 1] - '0'));
	return 0;
}

static int encode_integer(enum unit_format format, const char *value, bool big_endian, uint8_t *bytes,
			  size_t *len, struct pogo_error *err)
{
	static const size_t sizes[] = {[UNIT_U8] = 1, [UNIT_U16] = 2, [UNIT_U32] = 4, [UNIT_U64] = 8};
	const char *name = unit_format_name(format);
	bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
	size_t size = sizes[format];
	char *end;
	if (!hex && refuse_no_digit(value, format, err) != 0)
		return -1;
	if (!hex && value[0] == '0' && value[1] != '\0')
		return pogo_fail(err, POGO_INPUT,
				 "the leading zeros of \"%.80s\" would be lost in %s: write the number without "
				 "them, or use --format ascii or bcd", value, name);
	const char *digits = hex ? value + 2 : value;
	if (hex && (digits[0] == '\0' || digits[strspn(digits, "0123456789ABCDEFabcdef")] != '\0'))
		return pogo_fail(err, POGO_INPUT, "\"%.80s\" is no hexadecimal number", value);
	errno = 0;
	uint64_t number = strtoull(digits, &end, hex ? 16 : 10);
	uint64_t most = size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
	if (errno != 0 || number > most)
		return pogo_fail(err, POGO_INPUT, "%.80s is more than %s holds, %" PRIu64, value, name, most);
	for (size_t i = 0; i < size; i++)
		bytes[big_endian ? size - 1 - i : i] = (uint8_t)(number >> i * 8);
	*len = size;
	return 0;
}

static int encode_raw(const struct unit_field *field, const char *value, uint8_t *bytes, size_t *len,
		      struct pogo_error *err)
{
	*len = 0;
	if (value[0] == '\0')
		return pogo_fail(err, POGO_INPUT, "the value is empty");
	if (field->format == UNIT_ASCII)
		return encode_ascii(value, bytes, len, err);
	if (field->format == UNIT_USB_STRING)
		return encode_usb_string(value, bytes, len, err);
	if (field->format == UNIT_BCD)
		return encode_bcd(value, field->big_endian, bytes, len, err);
	return encode_integer(field->format, value, field->big_endian, bytes, len, err);
}

int unit_encode(const struct unit_field *field, const char *value, uint8_t bytes[UNIT_MAX],
		size_t *len, struct pogo_error *err)
{
	if (encode_raw(field, value, bytes, len, err) != 0)
		return -1;
	if (field->length == 0 || field->length == *len)
		return 0;
	const char *name = unit_format_name(field->format);
	if (*len > field->length)
		return pogo_fail(err, POGO_INPUT, "\"%.80s\" takes %zu bytes as %s, the field has %zu", value,
				 *len, name, field->length);
	if (field->format >= UNIT_U8)
		return pogo_fail(err, POGO_INPUT,
				 "\"%.80s\" takes %zu bytes as %s, the field has %zu; integers are not padded: a wider "
				 "--format, or --length and --expect of %zu bytes", value, *len, name, field->length,
				 *len);
	if (field->pad < 0)
		return pogo_fail(err, POGO_INPUT,
				 "\"%.80s\" takes %zu bytes as %s, the field has %zu; --pad BYTE would say what follows "
				 "it", value, *len, name, field->length);
	memset(bytes + *len, field->pad, field->length - *len);
	*len = field->length;
	return 0;
}

/* ---- into the image --------------------------------------------------------------------------------- */

static void show_bytes(const uint8_t *bytes, size_t len, char *out, size_t size)
{
	size_t at = 0;
	for (size_t i = 0; i < len && at + 6 < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%02X", i > 0 ? " " : "", bytes[i]);
	if (at / 3 + 1 < len)
		snprintf(out + at, size - at, " …");
}

static int refuse_what_stands(const struct hex_image *image, const struct unit_field *field, size_t len,
			      struct pogo_error *err)
{
	struct hex_range range = {field->addr, (uint32_t)(field->addr + (len - 1))};
	uint8_t found[UNIT_MAX];
	char text[80] = "";
	uint32_t at = field->addr;
	if (field->expect != NULL) {
		struct hex_range wanted = {field->addr, (uint32_t)(field->addr + (field->expect_len - 1))};
		size_t have = hex_image_read(image, field->addr, found, field->expect_len, 0xFF);
		if (have > 0 && have < field->expect_len) {
			range_count(image, &wanted, &at);
			return pogo_fail(err, POGO_NO, "nothing stands at 0x%05" PRIX32 ", where --expect wants %02X",
					 at, field->expect[at - field->addr]);
		}
		if (have == field->expect_len && memcmp(found, field->expect, have) == 0 &&
		    (field->expect_len >= len ||
		     edit_blank(image, &(struct hex_range){wanted.last + 1, range.last}, &at)))
			return 0;
		show_bytes(found, field->expect_len, text, sizeof text);
		return pogo_fail(err, POGO_NO, "at 0x%05" PRIX32 " stands %s%s, not what is expected",
				 field->addr, have == 0 ? "nothing" : text,
				 field->expect_len < len ? " (or more behind it)" : "");
	}
	if (field->over || edit_blank(image, &range, &at))
		return 0;
	hex_image_read(image, field->addr, found, len, 0xFF);
	show_bytes(found, len, text, sizeof text);
	return pogo_fail(err, POGO_NO,
			 "0x%05" PRIX32 "-0x%05" PRIX32 " is not blank (%s): --expect VALUE if that is the "
			 "placeholder, --over to overwrite anything", range.first, range.last, text);
}

int unit_patch(struct hex_image *image, const struct unit_field *field, const char *value, size_t *len,
	       struct pogo_error *err)
{
	uint8_t bytes[UNIT_MAX];
	size_t count;
	if (unit_encode(field, value, bytes, &count, err) != 0)
		return -1;
	if (count > (UINT64_C(1) << 32) - field->addr)
		return pogo_fail(err, POGO_INPUT, "%zu bytes at 0x%08" PRIX32 " run past 4 GiB", count,
				 field->addr);
	if (refuse_what_stands(image, field, count, err) != 0 ||
	    edit_put(image, field->addr, bytes, count, err) != 0)
		return -1;
	if (len != NULL)
		*len = count;
	return 0;
}

int unit_number(const char *prefix, uint64_t number, unsigned width, char *out, size_t size,
		struct pogo_error *err)
{
	char digits[24];
	int count = snprintf(digits, sizeof digits, "%" PRIu64, number);
	if (width > 0 && (unsigned)count > width)
		return pogo_fail(err, POGO_INPUT, "%s has more than the %u digits of --width", digits, width);
	unsigned zeros = width > 0 ? width - (unsigned)count : 0;
	if (strlen(prefix) + zeros + (unsigned)count >= size)
		return pogo_fail(err, POGO_INPUT, "prefix \"%.40s\" with %u digits is too long", prefix, width);
	sprintf(out, "%s%0*d%s", prefix, (int)zeros, 0, digits);
	if (zeros == 0)
		sprintf(out, "%s%s", prefix, digits);
	return 0;
}

/* ---- tables ----------------------------------------------------------------------------------------- */

/* Cells are strings in `text`, unquoted in place; cells[row * columns + column], row 0 the names. */
struct unit_table {
	char *name, *text;
	const char **cells;
	size_t *lines; /* of each row, for messages */
	size_t columns, rows, room;
};

void unit_table_free(struct unit_table *table)
{
	if (table == NULL)
		return;
	free(table->name);
	free(table->text);
	free(table->cells);
	free(table->lines);
	free(table);
}

size_t unit_table_rows(const struct unit_table *table)
{
	return table->rows - 1;
}

struct csv_reader {
	struct unit_table *table;
	char *at, *end;
	char separator;
	size_t line;
	struct pogo_error *err;
};

static int csv_fail(const struct csv_reader *in, const char *what)
{
	return pogo_fail(in->err, POGO_INPUT, "%.150s:%zu: %s", in->table->name, in->line, what);
}

/* A quoted cell: "" is one quote, line ends are text. It is moved together where it stands. */
static int take_quoted(struct csv_reader *in, const char **cell)
{
	char *to = ++in->at;
	size_t begun = in->line;
	*cell = to;
	for (;; in->at++) {
		if (in->at >= in->end) {
			in->line = begun;
			return csv_fail(in, "a quote is never closed");
		}
		if (*in->at == '\n')
			in->line++;
		if (*in->at == '"' && (++in->at >= in->end || *in->at != '"'))
			break;
		*to++ = *in->at;
	}
	if (in->at < in->end && *in->at != in->separator && *in->at != '\n' && *in->at != '\r')
		return csv_fail(in, "text follows a closing quote");
	*to = '\0';
	return 0;
}

static int take_plain(struct csv_reader *in, const char **cell)
{
	*cell = in->at;
	while (in->at < in->end && *in->at != in->separator && *in->at != '\n' && *in->at != '\r') {
		if (*in->at == '"')
			return csv_fail(in, "a quote stands inside a cell that does not begin with one");
		in->at++;
	}
	return 0;
}

/* What ends a cell; afterwards it is NUL, so that the cell is a string. */
static int take_end(struct csv_reader *in, bool *row_ends)
{
	if (in->at >= in->end) {
		*row_ends = true;
		return 0;
	}
	char c = *in->at;
	*in->at++ = '\0';
	*row_ends = c != in->separator;
	if (c == '\r') {
		if (in->at < in->end && *in->at == '\n')
			in->at++;
	}
	in->line += *row_ends;
	return 0;
}

static int add_cell(struct csv_reader *in, size_t index, const char *cell)
{
	struct unit_table *table = in->table;
	if (index == table->room) {
		size_t room = table->room == 0 ? 64 : table->room * 2;
		const char **grown = realloc(table->cells, room * sizeof *grown);
		if (grown == NULL)
			return pogo_fail(in->err, POGO_SYSTEM, "out of memory for the table");
		table->cells = grown;
		table->room = room;
	}
	table->cells[index] = cell;
	return 0;
}

static int take_row(struct csv_reader *in)
{
	struct unit_table *table = in->table;
	size_t line = in->line, count = 0, base = table->rows * table->columns;
	for (bool ends = false; !ends; count++) {
		const char *cell;
		bool quoted = in->at < in->end && *in->at == '"';
		if ((quoted ? take_quoted(in, &cell) : take_plain(in, &cell)) != 0 || take_end(in, &ends) != 0 ||
		    add_cell(in, base + count, cell) != 0)
			return -1;
	}
	if (table->rows == 0)
		table->columns = count;
	if (count != table->columns) {
		char text[80];
		in->line = line;
		snprintf(text, sizeof text, "%zu cells, the first line has %zu", count, table->columns);
		return csv_fail(in, text);
	}
	size_t *lines = realloc(table->lines, (table->rows + 1) * sizeof *lines);
	if (lines == NULL)
		return pogo_fail(in->err, POGO_SYSTEM, "out of memory for the table");
	table->lines = lines;
	lines[table->rows++] = line;
	return 0;
}

static bool blank_line(struct csv_reader *in)
{
	if (*in->at != '\n' && *in->at != '\r')
		return false;
	in->at += *in->at == '\r' && in->at + 1 < in->end && in->at[1] == '\n' ? 2 : 1;
	in->line++;
	return true;
}

int unit_table_parse(const char *text, size_t len, const char *name, char separator,
		     struct unit_table **out, struct pogo_error *err)
{
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
		text += 3;
		len -= 3;
	}
	struct unit_table *table = calloc(1, sizeof *table);
	if (table == NULL || (table->text = malloc(len + 1)) == NULL || (table->name = strdup(name)) == NULL) {
		unit_table_free(table);
		return pogo_fail(err, POGO_SYSTEM, "out of memory for the table");
	}
	memcpy(table->text, text, len);
	table->text[len] = '\0';
	struct csv_reader in = {table, table->text, table->text + len, separator, 1, err};
	int rc = memchr(text, '\0', len) != NULL ? csv_fail(&in, "a NUL byte: this is no CSV text") : 0;
	while (rc == 0 && in.at < in.end)
		if (!blank_line(&in))
			rc = take_row(&in);
	if (rc == 0 && table->rows < 2)
		rc = csv_fail(&in, "no row below the line of names");
	if (rc != 0) {
		unit_table_free(table);
		return -1;
	}
	*out = table;
	return 0;
}

static int find_column(const struct unit_table *table, const char *column, size_t *index,
		       struct pogo_error *err)
{
	char list[300] = "";
	size_t at = 0, found = 0;
	for (size_t i = 0; i < table->columns; i++) {
		if (strcmp(table->cells[i], column) == 0 && found++ == 0)
			*index = i;
		if (at + 1 < sizeof list) /* snprintf says what it wanted to write */
			at += (size_t)snprintf(list + at, sizeof list - at, "%s\"%.60s\"", i > 0 ? ", " : "",
					       table->cells[i]);
	}
	if (found == 1)
		return 0;
	return pogo_fail(err, POGO_INPUT, "%.150s has %s column \"%.40s\"; its columns are %s%s", table->name,
			 found == 0 ? "no" : "more than one", column, list,
			 table->columns == 1 ? " (is it separated by --separator ';'?)" : "");
}

static int cell_of(const struct unit_table *table, size_t column, size_t row, const char **value,
		   struct pogo_error *err)
{
	const char *cell = table->cells[row * table->columns + column];
	size_t len = strlen(cell);
	const char *wrong = len == 0				 ? "is empty"
			    : strchr(" \t\r\n", cell[0]) != NULL ? "begins with a blank"
			    : strchr(" \t\r\n", cell[len - 1]) != NULL ? "ends with a blank"
								       : NULL;
	if (wrong != NULL)
		return pogo_fail(err, POGO_INPUT, "%.150s:%zu: column \"%.40s\" %s", table->name,
				 table->lines[row], table->cells[column], wrong);
	*value = cell;
	return 0;
}

int unit_table_cell(const struct unit_table *table, const char *column, size_t row, const char **value,
		    struct pogo_error *err)
{
	size_t index = 0;
	if (find_column(table, column, &index, err) != 0)
		return -1;
	if (row < 1 || row >= table->rows)
		return pogo_fail(err, POGO_INPUT, "%.150s has rows 1 to %zu, not %zu", table->name,
				 table->rows - 1, row);
	return cell_of(table, index, row, value, err);
}

size_t unit_table_line(const struct unit_table *table, size_t row)
{
	return table->lines[row];
}

/* ---- units that would be one -------------------------------------------------------------------------- */

static bool same_bytes(const struct unit_written *a, const struct unit_written *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static int by_bytes(const void *a, const void *b)
{
	const struct unit_written *x = a, *y = b;
	int order = x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->bytes, y->bytes, x->len);
	return order != 0 ? order : x->number < y->number ? -1 : x->number > y->number;
}

const struct unit_written *unit_find_same(struct unit_written *list, size_t count)
{
	qsort(list, count, sizeof *list, by_bytes);
	for (size_t i = 1; i < count; i++)
		if (same_bytes(&list[i - 1], &list[i]))
			return &list[i - 1];
	return NULL;
}

/* ---- file names ------------------------------------------------------------------------------------- */

static int refuse_in_name(const char *serial, struct pogo_error *err)
{
	char what[24];
	for (size_t i = 0; serial[i] != '\0'; i++)
		if (serial[i] == '/' || (unsigned char)serial[i] < 0x20 || (i == 0 && serial[i] == '.'))
			return pogo_fail(err, POGO_INPUT,
					 "%s at position %zu of \"%.80s\" cannot stand in a file name: use {row}",
					 show(serial[i], what), i + 1, serial);
	return 0;
}

int unit_file_name(const char *pattern, const char *serial, uint64_t row, char *out, size_t size,
		   struct pogo_error *err)
{
	size_t at = 0;
	for (const char *p = pattern; *p != '\0';) {
		char number[24];
		const char *piece = p;
		size_t len = 1;
		if (strncmp(p, "{serial}", 8) == 0) {
			if (refuse_in_name(serial, err) != 0)
				return -1;
			piece = serial;
			len = strlen(serial);
			p += 8;
		} else if (strncmp(p, "{row}", 5) == 0) {
			len = (size_t)snprintf(number, sizeof number, "%" PRIu64, row);
			piece = number;
			p += 5;
		} else {
			p++;
		}
		if (at + len >= size)
			return pogo_fail(err, POGO_INPUT, "file name \"%.80s…\" is too long", pattern);
		memcpy(out + at, piece, len);
		at += len;
	}
	out[at] = '\0';
	return 0;
}
