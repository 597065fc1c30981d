#include "station/cmd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/conf.h"
#include "hextools/fuses.h"
#include "station/chip/chip.h"
#include "station/place.h"
#include "station/recipe.h"

static const char help[] =
        "usage: pogo-station check RECIPE [--station FILE] [--configs DIR]\n"
        "\n"
        "Proves the recipe (keys, image digest, image against chip, fuses, serial field) and the\n"
        "station file, and prints what `pogo-station run` would do. Touches no device.\n"
        "\n"
        "Exit code: 0 all is well; 1 a check says no; 2 wrong words or unusable files.\n";

static void print_image(const struct recipe *recipe)
{
	printf("image      %s\n", recipe->image_path);
	printf("           sha256 %s, crc32 %08" PRIX32 ", %" PRIu64 " bytes\n",
	       recipe->image_digest, recipe->image_crc32, hex_image_bytes(&recipe->image));
	for (size_t i = 0; i < recipe->image.count; i++) {
		const struct hex_segment *segment = &recipe->image.segments[i];
		bool eeprom = part_in_eeprom(recipe->part, segment->addr);
		uint32_t first = eeprom ? segment->addr - AVR_EEPROM_BASE : segment->addr;
		printf("           %-6s 0x%04" PRIX32 "..0x%04" PRIX32 " %8zu bytes\n",
		       eeprom ? "EEPROM" : "flash", first, first + (uint32_t)(segment->len - 1),
		       segment->len);
	}
}

static void print_clock(const struct recipe *recipe, const char *when,
                        const uint8_t fuses[PART_FUSES])
{
	uint32_t cpu_hz = fuses_cpu_hz(recipe->part, fuses, recipe->crystal_hz);

	printf("%s CPU %" PRIu32 " Hz, SCK up to %" PRIu32 " Hz\n", when, cpu_hz,
	       fuses_sck_limit(cpu_hz));
}

static void print_fuses(const struct recipe *recipe)
{
	const struct part *part = recipe->part;

	printf("fuses      low 0x%02X, high 0x%02X", recipe->fuses[FUSE_LOW],
	       recipe->fuses[FUSE_HIGH]);
	if (part->fuse_count > 2)
		printf(", ext 0x%02X", recipe->fuses[FUSE_EXT]);
	uint32_t start, bytes;
	if (fuses_boot_section(part, recipe->fuses, &start, &bytes))
		printf("; boot section 0x%04" PRIX32 ", %" PRIu32 " bytes, reset goes to %s", start,
		       bytes,
		       fuses_boot_reset(part, recipe->fuses) ? "the bootloader"
		                                             : "the application");
	if (recipe->write_lock)
		printf("\nlock       0x%02X\n", recipe->lock);
	else
		printf("\nlock       left open\n");
	print_clock(recipe, "fresh chip:", part->fuse_factory);
	if (recipe->fast_clock)
		print_clock(recipe, "fast phase:", recipe->fast_fuses);
	print_clock(recipe, "then:      ", recipe->fuses);
}

static void print_options(const struct recipe *recipe)
{
	const struct option_bytes *options = &recipe->options;

	if (options->wanted)
		printf("options    user 0x%02X, data 0x%02X 0x%02X, write protection 0x%02X 0x%02X 0x%02X 0x%02X\n",
		       options->user, options->data[0], options->data[1], options->wrp[0], options->wrp[1],
		       options->wrp[2], options->wrp[3]);
	else
		printf("options    left as they are\n");
	printf("protection %s; a protected board is %s\n", recipe->protect ? "switched on at the end" : "left off",
	       recipe->allow_unlock ? "unprotected, which erases it" : "refused");
	printf("verify by  %s\n", recipe->full_readback ? "reading every byte back"
	                                               : "a CRC that the chip computes over its flash");
}

static void print_serial(const struct recipe *recipe)
{
	const struct serial_rule *rule = &recipe->serial;
	bool eeprom = part_in_eeprom(recipe->part, rule->address);

	if (!rule->wanted) {
		printf("serial     none\n");
		return;
	}
	printf("serial     %s%0*" PRIu64 " and up, %u characters at %s 0x%04" PRIX32 "\n",
	       rule->prefix, (int)rule->width, rule->first, rule->length,
	       eeprom ? "EEPROM" : "flash",
	       eeprom ? rule->address - AVR_EEPROM_BASE : rule->address);
}

static void print_plan(const struct recipe *recipe)
{
	const struct part *part = recipe->part;
	bool avr = strcmp(part->family, "avr") == 0;

	printf("recipe     %s\n           sha256 %s\n", recipe->path, recipe->digest);
	printf("product    %s\n", recipe->product);
	if (avr)
		printf("part       %s, signature %02X %02X %02X", part->title, part->signature[0],
		       part->signature[1], part->signature[2]);
	else
		printf("part       %s, device id 0x%03X", part->title, part->device_id);
	printf("%s\n", part->confirmed ? "" : " (data not yet confirmed on real hardware)");
	print_image(recipe);
	if (avr)
		print_fuses(recipe);
	else
		print_options(recipe);
	print_serial(recipe);
	printf("each board identify%s, erase, %sprogram, verify, %s\n",
	       recipe->serial.wanted ? ", serial" : "", avr ? "clock fuses, " : "",
	       avr ? "fuses, lock" : "option bytes, reset");
	if (recipe->note[0] != '\0')
		printf("note       %s\n", recipe->note);
}

static int check_station(const char *path, struct pogo_error *err)
{
	struct station_file file;

	if (path == NULL)
		return 0;
	if (station_file_load(path, &file, err) != 0)
		return -1;
	printf("station    %s, %zu slots\n", file.station, file.slot_count);
	for (size_t i = 0; i < file.slot_count; i++)
		printf("           slot %-8s %s %-12s %s\n", file.slots[i].name,
		       place_is_line(&file.slots[i]) ? "line" : "port", file.slots[i].port,
		       file.slots[i].kind[0] != '\0' ? file.slots[i].kind : "any known programmer");
	return 0;
}

static int check(const char *given_configs, const char *recipe_path, const char *station_path)
{
	char configs[512];
	struct recipe *recipe = NULL;
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	int code = 0;

	if (conf_dir(given_configs, configs, sizeof configs, &err) != 0 ||
	    recipe_load(configs, recipe_path, &recipe, &err) != 0)
		return cmd_fail(&err);
	if (chip_find(recipe->part->family) == NULL) {
		pogo_fail(&err, POGO_INPUT,
		          "%s: part \"%s\" is of the family \"%s\", which this station cannot "
		          "program",
		          recipe->path, recipe->part->name, recipe->part->family);
		code = cmd_fail(&err);
	} else {
		print_plan(recipe);
		if (check_station(station_path, &err) != 0)
			code = cmd_fail(&err);
	}
	recipe_free(recipe);
	return code;
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
	        {"station", required_argument, NULL, 's'},
	        {"configs", required_argument, NULL, 'c'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	const char *station_path = NULL, *configs = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			station_path = optarg;
			break;
		case 'c':
			configs = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return cmd_bad_option("check", argv, opt);
		}
	}
	if (argc - optind != 1)
		return cmd_usage("check", "%s",
		                 argc == optind ? "which recipe?" : "one recipe, not several");
	return check(configs, argv[optind], station_path);
}
