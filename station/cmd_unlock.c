#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "station/cmd.h"
#include "station/cmd_desk.h"

static const char help[] =
        "usage: pogo-station unlock SLOT [option …]\n"
        "\n"
        "Takes away what keeps a chip from being read and written: lock bits of an AVR, read-out and\n"
        "write protection of an STM32F1. The chip erases itself with that. Asks before.\n"
        "\n"
        "  SLOT            a slot's name, or a USB port as `pogo-station pods` shows it\n"
        "  --yes           do not ask\n" CMD_DESK_HELP "\n"
        "Exit code: 0 the chip is open and erased; 1 it is not, or nobody said yes; 2 wrong words or\n"
        "files; 3 the programmer or the system failed.\n";

enum { ERASE_MS = 20000 };

static bool is_open(const struct chip *chip)
{
	const uint8_t *options = chip->facts.stm32f1.options_found;

	if (part_is_avr(chip->part))
		return (chip->facts.lock_found | (uint8_t)~chip->part->lock_mask) == 0xFF;
	return !chip->facts.stm32f1.protected_found && (options[4] & options[5] & options[6] & options[7]) == 0xFF;
}

/* What will be lost, and the question. */
static bool agreed(const struct desk *desk)
{
	const struct chip *chip = &desk->chip;
	char title[160], answer[16];

	cmd_desk_title(desk, title, sizeof title);
	printf("%s\n%s, %s\n", title, chip->part->title, is_open(chip) ? "open already" : "locked or protected");
	printf("All that is in it will be erased%s. Go on? Type yes: ",
	       part_is_avr(chip->part) ? ", the EEPROM too unless a fuse keeps it" : "");
	fflush(stdout);
	return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

static int unlock_chip(struct desk *desk, struct pogo_error *err)
{
	struct chip *chip = &desk->chip;
	struct fault fault = {.code = FAIL_NONE};

	desk->recipe.allow_unlock = true;
	if (chip->driver->erase(chip, deadline_in_ms(ERASE_MS), &fault) != 0)
		return desk_fail(desk, &fault, err);
	/* What the chip says after a new start counts. */
	chip->driver->detach(chip);
	if (desk_meet(desk, err) != 0)
		return -1;
	if (!is_open(chip))
		return pogo_fail(err, POGO_NO, "slot %s: the chip was erased and is still locked: take the board off its power, "
		                 "then look again with `pogo-station probe`", desk->place.name);
	return 0;
}

static int unlock_slot(const struct desk_options *options, bool yes)
{
	struct pogo_error err = {.kind = POGO_SYSTEM, .text = ""};
	struct desk desk = {.host = NULL};
	int code = 0;

	if (desk_open(options, &desk, &err) != 0 || desk_meet(&desk, &err) != 0) {
		code = cmd_fail(&err);
	} else if (!yes && !agreed(&desk)) {
		printf("nothing was changed\n");
		code = POGO_NO;
	} else if (unlock_chip(&desk, &err) != 0) {
		code = cmd_fail(&err);
	} else {
		printf("slot %s: the %s is open and erased\n", desk.place.name, desk.chip.part->title);
	}
	desk_close(&desk);
	return code;
}

int cmd_unlock(int argc, char **argv)
{
	static const struct option words[] = {
	        CMD_DESK_OPTIONS,
	        {"yes", no_argument, NULL, 'y'},
	        {0},
	};
	struct desk_options options = {.slot = NULL};
	bool yes = false;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", words, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (opt == 'y')
			yes = true;
		else if (!cmd_desk_option(opt, optarg, &options))
			return cmd_bad_option("unlock", argv, opt);
	}
	int code = cmd_desk_slot("unlock", argc, argv, &options);
	if (code != 0)
		return code;
	if (!yes && !isatty(STDIN_FILENO))
		return cmd_usage("unlock", "this erases the chip and nobody is here to be asked; --yes says so");
	return unlock_slot(&options, yes);
}
