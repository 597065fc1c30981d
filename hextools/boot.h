#ifndef POGO_HEXTOOLS_BOOT_H
#define POGO_HEXTOOLS_BOOT_H

#include "hextools/image.h"
#include "hextools/part.h"

/* Runs an image on a simulated AVR (simavr) from reset: does it start? The simulator runs in a process of its own, whose
 * end and messages are not the caller's. */

enum { BOOT_TRAIL = 8, BOOT_PINS = 16 };

struct boot_pin { /* held at a level from outside, as a button does */
	char port; /* 'A' … */
	uint8_t bit;
	bool level;
};

struct boot_order {
	const struct part *part;       /* borrowed, as is the image */
	const struct hex_image *image; /* flash, and EEPROM from AVR_EEPROM_BASE */
	uint8_t fuses[PART_FUSES];     /* decide where a reset leads and how fast the clock is */
	uint32_t crystal_hz;
	uint64_t cycles;    /* budget of CPU cycles; 0 = twelve seconds of the part's clock */
	struct boot_pin pins[BOOT_PINS];
	size_t pin_count;
	bool from_boot;     /* start in the boot section, as the HWB pin does, whatever BOOTRST says */
};

enum boot_end {
	BOOT_LOOPS,     /* settled in a loop: nothing new executed and no restart for a quarter of a second, nor for a
			 * period of a running watchdog */
	BOOT_SLEEPS,    /* sleeps with interrupts off: for ever */
	BOOT_BUDGET,    /* still on its way when the cycles were used up */
	BOOT_BLANK,     /* came to a place without code */
	BOOT_CRASHED,   /* an instruction that does not exist, or an access outside the part */
	BOOT_RESTARTS,  /* restarted three times or more, over a quarter of a second, with nothing new executed */
};

struct boot_result {
	enum boot_end end;
	bool loader_entered, application_entered;
	uint64_t loader_cycle, application_cycle; /* when first */
	bool in_loader;                           /* where it was at the end */
	uint64_t cycles;                          /* used */
	uint32_t frequency;                       /* of the CPU, Hz */
	unsigned resets;                          /* on the way, all by the watchdog */
	uint32_t restart_from;                    /* where it was before it last restarted */
	bool restart_of_loader;                   /* that place is in the boot section */
	bool restart_by_reset;                    /* by the watchdog; else by a jump */
	uint32_t trail[BOOT_TRAIL];               /* byte addresses of the last instructions, oldest first */
	unsigned trail_count;
};

/* 0 with *result; -1: POGO_SYSTEM when the simulator lacks the part, fails itself or is not there at all, POGO_INPUT
 * when the fuses give no clock. */
int boot_run(const struct boot_order *order, struct boot_result *result, struct pogo_error *err);

#endif
