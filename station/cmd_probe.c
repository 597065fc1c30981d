#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hextools/fuse_words.h"
#include "hextools/jsonw.h"
#include "station/chip/stm32f1_make.h"
#include "station/cmd.h"
#include "station/cmd_desk.h"

static const char help[] =
        "usage: pogo-station probe SLOT [option …]\n"
        "\n"
        "Tells what is in a slot: the programmer, the chip that answers, its ids, fuses and lock bits\n"
        "or option bytes, whether it is protected and whether it is blank. Changes nothing; the\n"
        "board's program is stopped meanwhile and starts again.\n"
        "\n"
        "  SLOT            a slot's name, or a USB port as `pogo-station pods` shows it\n" CMD_DESK_HELP
        "  --crystal HZ    of the board, for the clock that the fuses choose (16000000)\n"
        "  --json          for programs\n"
        "\n"
        "Exit code: 0 a chip answers; 1 none does, or an unknown one; 2 wrong words or files; 3 the\n"
        "programmer cannot be opened or does not answer.\n";

enum { CALIBRATION_MS = 1000 };

struct probe {
	struct desk desk;
	uint32_t crystal_hz;
	uint8_t fuse_bytes[PART_FUSES]; /* AVR: bits that the part has not read as anything, here as 1 */
	struct fuse_report fuses;     /* AVR */
	uint8_t calibration;          /* AVR: OSCCAL at the first RC frequency */
	bool has_calibration, readable, blank;
	uint32_t used;                /* the first address that is not FF */
	struct fault unread;          /* why it is not readable */
};

static const struct chip_facts *facts_of(const struct probe *probe)
{
	return &probe->desk.chip.facts;
}

static bool is_avr(const struct probe *probe)
{
	return part_is_avr(probe->desk.chip.part);
}

/* ---- asking */

static int look_at_avr(struct probe *probe, struct fault *fault)
{
	static const uint8_t read_calibration[4] = {0x38, 0, 0, 0}; /* data sheets, serial programming instruction set */
	struct programmer *programmer = probe->desk.programmer;
	uint8_t answer[4];

	for (unsigned i = 0; i < PART_FUSES; i++)
		probe->fuse_bytes[i] = facts_of(probe)->fuses_found[i] | (uint8_t)~probe->desk.chip.part->fuse_mask[i];
	fuse_report_make(probe->desk.chip.part, probe->fuse_bytes, probe->crystal_hz, false, &probe->fuses);
	if (programmer->isp->command(programmer, read_calibration, answer, deadline_in_ms(CALIBRATION_MS), fault) != 0)
		return -1;
	probe->calibration = answer[3];
	probe->has_calibration = true;
	return 0;
}

static int look(struct probe *probe, struct pogo_error *err)
{
	struct fault fault = {.code = FAIL_NONE};

	if (desk_meet(&probe->desk, err) != 0)
		return -1;
	if (is_avr(probe) && look_at_avr(probe, &fault) != 0)
		return desk_fail(&probe->desk, &fault, err);
	probe->readable = desk_blank(&probe->desk, &probe->blank, &probe->used, &probe->unread) == 0;
	/* VERIFY: it refuses an address, where its size word promises flash. Both say something about the chip. */
	if (!probe->readable && probe->unread.code != FAIL_PROTECTED && probe->unread.code != FAIL_VERIFY)
		return desk_fail(&probe->desk, &probe->unread, err);
	return 0;
}

/* ---- telling people */

static void print_id(const struct chip_facts *facts)
{
	if (facts->silicon_id_bytes == 0)
		return;
	printf("  silicon id    ");
	for (unsigned i = 0; i < facts->silicon_id_bytes; i++)
		printf("%02X", facts->silicon_id[i]);
	printf("%s\n", facts->silicon_id_unique ? "" : " (not promised to be unique)");
}

static void print_fuses(const struct probe *probe)
{
	static const char *const names[PART_FUSES] = {"low", "high", "ext"};
	const struct part *part = probe->desk.chip.part;
	const struct fuse_report *report = &probe->fuses;

	printf("  fuses         ");
	for (unsigned i = 0; i < part->fuse_count && i < PART_FUSES; i++)
		printf("%s%s %02X", i > 0 ? ", " : "", names[i], report->fuses[i]);
	printf("\n");
	for (size_t i = 0; i < report->word_count; i++)
		printf("    %-10s  %s\n", report->words[i].bit->name, report->words[i].text);
	for (size_t i = 0; i < report->remark_count; i++)
		if (report->remarks[i].weight != FUSE_NOTE)
			printf("  %-12s  %s\n", fuse_weight_name(report->remarks[i].weight), report->remarks[i].text);
}

static void print_avr(const struct probe *probe)
{
	const struct part *part = probe->desk.chip.part;
	const struct chip_facts *facts = facts_of(probe);

	printf("  signature     %02X %02X %02X\n", facts->signature[0], facts->signature[1], facts->signature[2]);
	print_id(facts);
	printf("  SCK           %g kHz\n", probe->desk.chip.sck_hz / 1000.0);
	print_fuses(probe);
	printf("  lock bits     %02X%s\n", facts->lock_found | (uint8_t)~part->lock_mask,
	       (facts->lock_found | (uint8_t)~part->lock_mask) == 0xFF ? " (open)" : "");
	printf("  calibration   %02X\n", probe->calibration);
	printf("  memories      flash %" PRIu32 " bytes in pages of %u, EEPROM %" PRIu32 " bytes, SRAM %" PRIu32 " bytes\n",
	       part->flash_bytes, part->flash_page, part->eeprom_bytes, part->sram_bytes);
}

static void print_stm32(const struct probe *probe)
{
	const struct part *part = probe->desk.chip.part;
	const struct stm32f1_facts *facts = &facts_of(probe)->stm32f1;

	printf("  chip id       0x%04" PRIX32 " (%s, IDCODE %08" PRIX32 ")\n", facts->device_id & 0xFFF,
	       stm32f1_density(facts->device_id), facts->device_id);
	printf("  core          %08" PRIX32 ", debug port %08" PRIX32 ": %s%s%s\n", facts->core_id, facts->port_id,
	       facts->make->title, facts->make->quirk[0] != '\0' ? "; " : "", facts->make->quirk);
	print_id(facts_of(probe));
	if (facts->millivolts > 0)
		printf("  supply        %.2f V\n", facts->millivolts / 1000.0);
	printf("  SWCLK         %g kHz\n", probe->desk.chip.sck_hz / 1000.0);
	printf("  flash         %u KiB by the chip's size word", facts->flash_kib);
	if (facts->flash_kib * 1024u != part->flash_bytes)
		printf(", taken for %" PRIu32, part->flash_bytes / 1024);
	printf(", pages of %u bytes; SRAM %" PRIu32 " bytes\n", part->flash_page, part->sram_bytes);
	printf("  option bytes  USER %02X, data %02X %02X, write protection %02X %02X %02X %02X\n", facts->options_found[1],
	       facts->options_found[2], facts->options_found[3], facts->options_found[4], facts->options_found[5],
	       facts->options_found[6], facts->options_found[7]);
	printf("  starts        %s\n", facts->starts_rom ? "the boot loader in its ROM: set the BOOT0 jumper to 0" : "its flash");
	printf("  protection    %s\n", facts->protected_found
	                                       ? "read-out protected (other tools say \"unknown memory region\"); "
	                                         "`pogo-station unlock` takes that away and erases the chip"
	                                       : "none");
}

static void print_people(const struct probe *probe)
{
	char title[160];

	cmd_desk_title(&probe->desk, title, sizeof title);
	printf("%s\n%s\n", title, probe->desk.chip.part->title);
	if (is_avr(probe))
		print_avr(probe);
	else
		print_stm32(probe);
	if (!probe->readable)
		printf("  contents      %s\n", probe->unread.text);
	else if (probe->blank)
		printf("  contents      blank\n");
	else
		printf("  contents      used from 0x%0*" PRIX32 " on\n", hex_digits(probe->used), probe->used);
}

/* ---- telling programs */

static void json_avr(struct jsonw *json, const struct probe *probe)
{
	const struct chip_facts *facts = facts_of(probe);

	jsonw_hex(json, "signature", facts->signature, 3);
	jsonw_open(json, "fuses", '[');
	for (unsigned i = 0; i < probe->desk.chip.part->fuse_count; i++)
		jsonw_int(json, NULL, probe->fuse_bytes[i]);
	jsonw_close(json, ']');
	jsonw_int(json, "lock", facts->lock_found | (uint8_t)~probe->desk.chip.part->lock_mask);
	jsonw_int(json, "calibration", probe->calibration);
	jsonw_int(json, "cpu_hz", probe->fuses.cpu_hz);
}

static void json_stm32(struct jsonw *json, const struct probe *probe)
{
	const struct stm32f1_facts *facts = &facts_of(probe)->stm32f1;

	jsonw_int(json, "device_id", facts->device_id & 0xFFF);
	jsonw_int(json, "idcode", facts->device_id);
	jsonw_int(json, "core_id", facts->core_id);
	jsonw_int(json, "port_id", facts->port_id);
	jsonw_str(json, "make", facts->make->title);
	jsonw_int(json, "flash_kib", facts->flash_kib);
	jsonw_int(json, "millivolts", facts->millivolts);
	jsonw_bool(json, "protected", facts->protected_found);
	jsonw_bool(json, "starts_rom", facts->starts_rom);
	jsonw_hex(json, "options", facts->options_found, sizeof facts->options_found);
}

static int print_json(const struct probe *probe)
{
	const struct chip *chip = &probe->desk.chip;
	const char *label = probe->desk.programmer->info.label;
	struct jsonw json;

	jsonw_init(&json, 2);
	jsonw_open(&json, NULL, '{');
	jsonw_str(&json, "slot", probe->desk.place.name);
	jsonw_str(&json, "port", probe->desk.place.port);
	jsonw_str(&json, "kind", probe->desk.programmer->info.kind);
	jsonw_str(&json, "firmware", probe->desk.programmer->info.firmware);
	jsonw_str(&json, "serial", label[0] != '\0' ? label : probe->desk.identity.serial);
	jsonw_str(&json, "part", chip->part->name);
	jsonw_int(&json, "flash_bytes", chip->part->flash_bytes);
	jsonw_int(&json, "flash_page", chip->part->flash_page);
	jsonw_int(&json, "sram_bytes", chip->part->sram_bytes);
	jsonw_int(&json, "clock_hz", chip->sck_hz);
	if (chip->facts.silicon_id_bytes > 0)
		jsonw_hex(&json, "silicon_id", chip->facts.silicon_id, chip->facts.silicon_id_bytes);
	else
		jsonw_null(&json, "silicon_id");
	if (is_avr(probe))
		json_avr(&json, probe);
	else
		json_stm32(&json, probe);
	if (probe->readable)
		jsonw_bool(&json, "blank", probe->blank);
	else
		jsonw_null(&json, "blank");
	jsonw_close(&json, '}');
	bool good = jsonw_ok(&json);
	if (good)
		printf("%s\n", json.text);
	jsonw_finish(&json);
	return good ? 0 : POGO_SYSTEM;
}

/* ---- the command */

static int probe_slot(const struct desk_options *options, uint32_t crystal_hz, bool as_json)
{
	struct probe probe = {.crystal_hz = crystal_hz};
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	int code = 0;

	if (desk_open(options, &probe.desk, &err) != 0 || look(&probe, &err) != 0)
		code = cmd_fail(&err);
	else if (as_json)
		code = print_json(&probe);
	else
		print_people(&probe);
	desk_close(&probe.desk);
	return code;
}

int cmd_probe(int argc, char **argv)
{
	static const struct option words[] = {
	        CMD_DESK_OPTIONS,
	        {"crystal", required_argument, NULL, 'x'},
	        {"json", no_argument, NULL, 'j'},
	        {0},
	};
	struct desk_options options = {.slot = NULL};
	uint64_t crystal_hz = 16000000;
	bool as_json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", words, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (opt == 'j')
			as_json = true;
		else if (opt == 'x' && !cmd_number(optarg, 0, 100000000, &crystal_hz))
			return cmd_usage("probe", "--crystal \"%s\" is no frequency of 0 to 100000000 Hz", optarg);
		else if (opt != 'x' && !cmd_desk_option(opt, optarg, &options))
			return cmd_bad_option("probe", argv, opt);
	}
	int code = cmd_desk_slot("probe", argc, argv, &options);
	return code != 0 ? code : probe_slot(&options, (uint32_t)crystal_hz, as_json);
}
