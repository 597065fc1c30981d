#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hextools/ihex.h"
#include "hextools/outfile.h"
#include "station/cmd.h"
#include "station/cmd_desk.h"

static const char help[] =
        "usage: pogo-station read SLOT -o FILE [option …]\n"
        "\n"
        "Reads a board's memory into a file, which appears whole or not at all. Changes nothing on the\n"
        "board. A chip that is locked or protected is not read.\n"
        "\n"
        "  SLOT              a slot's name, or a USB port as `pogo-station pods` shows it\n"
        "  -o, --output FILE where to write (\"-\": standard output)\n"
        "  --memory NAME     flash (default), eeprom (at 0x810000), or all: both in one file\n"
        "  --trim            leave out the blank end of the memory (at least one byte stays)\n"
        "  --to-format NAME  ihex (default) or binary: the bytes alone, of one memory\n" CMD_DESK_HELP "\n"
        "Exit code: 0 done; 1 no chip answers, or it does not let itself be read; 2 wrong words or\n"
        "files; 3 the programmer or the system failed.\n";

enum { BLOCK = 1024, BLOCK_MS = 20000 };

struct reading {
	struct desk_options desk;
	const char *output, *memory;
	bool trim, binary;
};

static int read_memory(struct desk *desk, uint32_t address, uint32_t bytes, bool trim, struct hex_image *image,
                       struct pogo_error *err)
{
	struct fault fault = {.code = FAIL_NONE};
	uint8_t *cells = malloc(bytes);
	uint32_t len = bytes;
	int result = 0;

	if (cells == NULL)
		return pogo_fail(err, POGO_SYSTEM, "no memory for %" PRIu32 " bytes", bytes);
	for (uint32_t at = 0; at < bytes && result == 0; at += BLOCK) {
		uint32_t part = bytes - at < BLOCK ? bytes - at : BLOCK;
		result = desk->chip.driver->read(&desk->chip, address + at, cells + at, part, deadline_in_ms(BLOCK_MS), &fault);
	}
	while (trim && len > 1 && cells[len - 1] == 0xFF)
		len--;
	if (result == 0)
		result = hex_image_add(image, address, cells, len, HEX_OVERLAP_ERROR, NULL, err);
	else
		result = desk_fail(desk, &fault, err);
	free(cells);
	return result;
}

static int read_chip(const struct reading *reading, struct desk *desk, struct hex_image *image, struct pogo_error *err)
{
	bool all = strcmp(reading->memory, "all") == 0, flash = all || strcmp(reading->memory, "flash") == 0;
	const struct part *part;

	if (desk_open(&reading->desk, desk, err) != 0 || desk_meet(desk, err) != 0)
		return -1;
	part = desk->chip.part;
	if (!flash && part->eeprom_bytes == 0)
		return pogo_fail(err, POGO_INPUT, "--memory eeprom: the %s has none", part->title);
	if (flash && read_memory(desk, part->flash_start, part->flash_bytes, reading->trim, image, err) != 0)
		return -1;
	if ((all || !flash) && part->eeprom_bytes > 0)
		return read_memory(desk, AVR_EEPROM_BASE, part->eeprom_bytes, reading->trim, image, err);
	return 0;
}

static int write_ihex(void *context, struct sink *sink, struct pogo_error *err)
{
	return ihex_write(context, 16, sink, err);
}

static int write_file(const struct reading *reading, struct hex_image *image, struct pogo_error *err)
{
	if (reading->binary)
		return outfile_write(reading->output, image->segments[0].bytes, image->segments[0].len, err);
	return outfile_write_from(reading->output, write_ihex, image, err);
}

static int read_slot(const struct reading *reading)
{
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	struct desk desk = {.host = NULL};
	struct hex_image image;
	int code = 0;

	hex_image_init(&image);
	if (read_chip(reading, &desk, &image, &err) != 0 ||
	    write_file(reading, &image, &err) != 0)
		code = cmd_fail(&err);
	else if (!outfile_is_stdout(reading->output))
		printf("%s: %" PRIu64 " bytes of the %s\n", reading->output, hex_image_bytes(&image), desk.chip.part->title);
	hex_image_finish(&image);
	desk_close(&desk);
	return code;
}

static bool is_memory(const char *name)
{
	return strcmp(name, "flash") == 0 || strcmp(name, "eeprom") == 0 || strcmp(name, "all") == 0;
}

int cmd_read(int argc, char **argv)
{
	static const struct option words[] = {
	        CMD_DESK_OPTIONS,
	        {"output", required_argument, NULL, 'o'},
	        {"memory", required_argument, NULL, 'm'},
	        {"to-format", required_argument, NULL, 'f'},
	        {"trim", no_argument, NULL, 't'},
	        {0},
	};
	struct reading reading = {.memory = "flash"};
	const char *format = "ihex";
	int opt;

	while ((opt = getopt_long(argc, argv, ":ho:", words, NULL)) != -1) {
		switch (opt) {
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'o':
			reading.output = optarg;
			break;
		case 'm':
			reading.memory = optarg;
			break;
		case 'f':
			format = optarg;
			break;
		case 't':
			reading.trim = true;
			break;
		default:
			if (!cmd_desk_option(opt, optarg, &reading.desk))
				return cmd_bad_option("read", argv, opt);
		}
	}
	if (!is_memory(reading.memory))
		return cmd_usage("read", "--memory \"%s\" is none of flash, eeprom and all", reading.memory);
	reading.binary = strcmp(format, "binary") == 0;
	if (!reading.binary && strcmp(format, "ihex") != 0)
		return cmd_usage("read", "--to-format \"%s\" is none of ihex and binary; `pogo-hex convert` writes others", format);
	if (reading.binary && strcmp(reading.memory, "all") == 0)
		return cmd_usage("read", "--to-format binary has no addresses: it holds flash or eeprom, not both");
	if (reading.output == NULL)
		return cmd_usage("read", "-o FILE says where to write");
	int code = cmd_desk_slot("read", argc, argv, &reading.desk);
	return code != 0 ? code : read_slot(&reading);
}
