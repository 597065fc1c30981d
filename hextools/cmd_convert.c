#include "hextools/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/cmd_edit.h"
#include "hextools/dfu_suffix.h"
#include "hextools/format.h"
#include "hextools/uf2.h"

static const char help[] =
	"pogo-hex convert [--to-format NAME] -o OUT [options] IN[@OFFSET]\n"
	"\n"
	"Reads one file and writes its image in another format. What IN is, is seen by its content; raw binary\n"
	"wants its address, IN@ADDRESS. An .eep file counts from 0: IN@0x810000 makes it an AVR's EEPROM.\n"
	"\n"
	"  -o, --output OUT   where to write (\"-\": standard output)\n"
	"  --to-format NAME   write ihex, srec, uf2 or binary (else by OUT's name, else Intel HEX); ELF is only\n"
	"                     read; --to is the same\n"
	"  --width N          data bytes a record: 1 to 255 (ihex), or to 252, 251, 250 with addresses of 2, 3,\n"
	"                     4 bytes (srec); 16\n"
	"  --address-bytes N  2, 3 or 4 (srec); else the fewest that hold every address\n"
	"  --to-family NAME   the chip family of a UF2 file: a name like RP2040, or its id as 0x...\n"
	"  --dfu-suffix IDS   VID:PID or VID:PID:DEVICE in hexadecimal: a suffix for USB DFU (binary)\n"
	"  --force            allow a raw binary with more than 64 MiB of span, most of it hole\n"
	"  --json             a report on standard output\n" FORMAT_READ_HELP
	"\n"
	"Raw binary gets holes as 0xFF, UF2 whole pages of 256 bytes. A start address that the format cannot\n"
	"hold is left out, with a note.\n";

struct convert {
	struct format_reading reading;
	struct format_writing writing;
	const char *output, *input;
	char family[16]; /* the input's */
	bool json;
	struct hex_image image;
	struct format_origin origin;
};

static void json_origin(struct jsonw *json, const struct format_origin *origin)
{
	char text[16];
	jsonw_open(json, "input", '{');
	jsonw_str(json, "format", format_name(origin->format));
	if (origin->has_family) {
		snprintf(text, sizeof text, "0x%08" PRIX32, origin->family);
		jsonw_str(json, "family", text);
		jsonw_str(json, "family_name", uf2_family_name(origin->family));
	}
	if (origin->has_dfu) {
		snprintf(text, sizeof text, "%04X:%04X:%04X", origin->dfu.vendor, origin->dfu.product,
			 origin->dfu.device);
		jsonw_str(json, "dfu_suffix", text);
	}
	jsonw_open(json, "notes", '[');
	for (size_t i = 0; i < origin->notes.count && i < NOTES_KEPT; i++)
		jsonw_str(json, NULL, origin->notes.text[i]);
	jsonw_close(json, ']');
	jsonw_close(json, '}');
}

static int write_reported(const struct convert *convert, struct pogo_error *err)
{
	struct jsonw json;
	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "path", convert->input);
	json_origin(&json, &convert->origin);
	return edit_write_json(&json, convert->output, &convert->image, &convert->writing, err);
}

static int convert_one(struct convert *convert, struct pogo_error *err)
{
	if (format_read_file(convert->input, &convert->reading, &convert->image, &convert->origin, err) != 0)
		return -1;
	cmd_notes(&convert->origin.notes);
	/* A family that the input had is the output's, too. */
	if (convert->writing.family == NULL && convert->origin.has_family) {
		snprintf(convert->family, sizeof convert->family, "0x%08" PRIX32, convert->origin.family);
		convert->writing.family = convert->family;
	}
	return convert->json ? write_reported(convert, err)
			     : edit_write(convert->output, &convert->image, &convert->writing, NULL, err);
}

static int read_numbers(struct convert *convert, const char *width, const char *address_bytes,
			const char *dfu, struct pogo_error *err)
{
	int64_t number;
	if (width != NULL) {
		if (options_number(width, "--width", 1, 255, &number, err) != 0)
			return -1;
		convert->writing.width = (unsigned)number;
	}
	if (address_bytes != NULL) {
		if (options_number(address_bytes, "--address-bytes", 2, 4, &number, err) != 0)
			return -1;
		convert->writing.address_bytes = (unsigned)number;
	}
	convert->writing.has_dfu = dfu != NULL;
	return dfu != NULL ? dfu_suffix_ids(dfu, &convert->writing.dfu, err) : 0;
}

int cmd_convert(int argc, char **argv, struct pogo_error *err)
{
	struct convert convert = {.output = NULL};
	const char *width = NULL, *address_bytes = NULL, *dfu = NULL;
	bool want_help = false;
	int words;
	const struct option_spec specs[] = {
		{"help", 'h', NULL, &want_help},
		{"output", 'o', &convert.output, NULL},
		{"to-format", 0, &convert.writing.format, NULL},
		{"to", 0, &convert.writing.format, NULL}, /* what it was called here at first */
		{"width", 0, &width, NULL},
		{"address-bytes", 0, &address_bytes, NULL},
		{"to-family", 0, &convert.writing.family, NULL},
		{"dfu-suffix", 0, &dfu, NULL},
		{"force", 0, NULL, &convert.writing.force},
		{"json", 0, NULL, &convert.json},
		FORMAT_READ_SPECS(convert.reading),
		{NULL, 0, NULL, NULL},
	};
	if (options_parse(specs, argc, argv, &words, err) != 0)
		return -1;
	if (want_help)
		return cmd_print(help, err);
	if (edit_need_output(convert.output, convert.json, "convert", err) != 0)
		return -1;
	if (words != 1)
		return pogo_fail(err, POGO_INPUT, "convert takes one file, not %d; merge joins several", words);
	convert.input = argv[0];
	if (outfile_not_over(convert.output, convert.input, err) != 0)
		return -1;
	if (read_numbers(&convert, width, address_bytes, dfu, err) != 0)
		return -1;
	int rc = convert_one(&convert, err);
	hex_image_finish(&convert.image);
	return rc;
}
