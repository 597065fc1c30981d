#include "station/chip/chip.h"

#include <stdio.h>
#include <string.h>

#include "station/chip/cortex.h"
#include "station/chip/stm32f1_flash.h"
#include "station/chip/stm32f1_make.h"

/* The STM32F103 and its clones. Ids: RM0008, 30 (device signature) and 31 (debug port); ARMv7-M, B3.2 (CPUID) and
 * C1.2 (ROM table). */

#define CPUID         0xE000ED00u
#define DBGMCU_IDCODE 0xE0042000u
#define DBGMCU_CR     0xE0042004u
#define FLASH_SIZE    0x1FFFF7E0u
#define UNIQUE_ID     0x1FFFF7E8u
#define SYSTEM_MEMORY 0x1FFFF000u
#define START         0x00000000u
#define ROM_ETM       0xE00FF014u
#define ROM_PIDR4     0xE00FFFD0u
#define ROM_PIDR0     0xE00FFFE0u

enum {
	FIRST_HZ = 1800000,  /* every cable and every firmware can */
	SLOW_HZ = 480000,    /* long or bad cables */
	FAST_HZ = 4000000,   /* half of the 8 MHz that the chip runs at after a reset */
	POLLS_PER_RESET_TRY = 4, /* every fourth poll in vain holds NRST: firmware that switches SWD off */
	POLLS_PER_SLOW_TRY = 12, /* and every twelfth is slow */
	BOUNCE_US = 30000,
	PATTERN = 256,
	START_BYTES = 16,
};

static const struct swd_ops *swd_of(const struct chip *chip)
{
	return chip->programmer->swd;
}

/* ---- contact */

static void leave(struct chip *chip)
{
	if (chip->attached)
		swd_of(chip)->leave(chip->programmer, 0);
	chip->attached = false;
}

static int connect(struct chip *chip, uint32_t hz, bool under_reset, deadline_t deadline, struct fault *fault)
{
	struct swd_target target = {0};

	if (swd_of(chip) == NULL)
		return fault_set(fault, FAIL_PROGRAMMER_LOST, "a %s has no SWD: use an ST-Link for this chip",
		                 chip->programmer->info.kind);
	if (swd_of(chip)->enter(chip->programmer, hz, under_reset, &target, deadline, fault) != 0)
		return -1;
	chip->attached = true;
	chip->sck_hz = target.used_hz;
	chip->facts.stm32f1.port_id = target.port_id;
	chip->facts.stm32f1.millivolts = target.millivolts;
	/* It stays halted at its first instruction then: its firmware would switch SWD off again. */
	if (under_reset && stm32f1_take_over(chip, deadline, fault) != 0) {
		leave(chip);
		return -1;
	}
	return 0;
}

static int read_core_id(struct chip *chip, uint32_t *id, deadline_t deadline, struct fault *fault)
{
	if (cortex_get(chip, CPUID, id, deadline, fault) != 0)
		return -1;
	if (*id == 0 || *id == UINT32_MAX)
		return fault_set(fault, FAIL_CONTACT, "the debug port answers, the core behind it does not");
	return 0;
}

/* One lucky answer may be a bouncing contact. */
static int settle(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint32_t once = 0, again = 0;

	clock_sleep_us(BOUNCE_US);
	if (read_core_id(chip, &once, deadline, fault) != 0 || read_core_id(chip, &again, deadline, fault) != 0)
		return -1;
	if (once != again)
		return fault_set(fault, FAIL_CONTACT, "a board answers unsteadily (core %08X, then %08X)", (unsigned)once,
		                 (unsigned)again);
	return 0;
}

static int first_contact(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	unsigned poll = chip->polls % POLLS_PER_SLOW_TRY;
	bool under_reset = poll % POLLS_PER_RESET_TRY == POLLS_PER_RESET_TRY - 1;
	bool slow = poll == POLLS_PER_SLOW_TRY - 2;

	memset(&chip->facts.stm32f1, 0, sizeof chip->facts.stm32f1);
	if (connect(chip, slow ? SLOW_HZ : FIRST_HZ, under_reset, deadline, fault) != 0) {
		chip->polls++;
		return -1;
	}
	struct stm32f1_facts found = chip->facts.stm32f1;
	if (settle(chip, deadline, fault) != 0) {
		leave(chip);
		chip->polls++;
		return -1;
	}
	memset(&chip->facts, 0, sizeof chip->facts);
	chip->facts.stm32f1 = found;
	chip->facts.sck_first_hz = chip->sck_hz;
	chip->facts.retries = slow;
	chip->polls = 0;
	return 0;
}

static int read_unique_id(struct chip *chip, uint8_t id[SILICON_ID_BYTES], deadline_t deadline, struct fault *fault)
{
	return cortex_read(chip, UNIQUE_ID, id, SILICON_ID_BYTES, deadline, fault);
}

/* The firmware that was just flashed may have switched SWD off, or the board was taken off, or another one was set. Only the
 * unique id tells. A board that was found by a reset only stays halted: running it would hide it again. */
static int find_again(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	const struct chip_facts before = chip->facts;
	uint8_t id[SILICON_ID_BYTES];
	uint32_t core;

	for (unsigned tries = 0; tries < 2; tries++) {
		leave(chip);
		if (connect(chip, FIRST_HZ, tries > 0, deadline, fault) == 0 &&
		    read_core_id(chip, &core, deadline, fault) == 0 && read_unique_id(chip, id, deadline, fault) == 0) {
			bool same = before.silicon_id_bytes == 0 || memcmp(id, before.silicon_id, sizeof id) == 0;
			chip->facts = before;
			if (same)
				return 0;
			fault_set(fault, FAIL_CONTACT, "another board took its place");
			break;
		}
		chip->facts = before;
		if (fault->code == FAIL_PROGRAMMER_LOST || fault->code == FAIL_TIMEOUT)
			break;
	}
	leave(chip);
	return -1;
}

static int still_there(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint32_t core = 0, known = chip->facts.stm32f1.core_id;

	if (read_core_id(chip, &core, deadline, fault) == 0 && (known == 0 || core == known))
		return 0;
	if (fault->code == FAIL_PROGRAMMER_LOST || fault->code == FAIL_TIMEOUT)
		return -1;
	return find_again(chip, deadline, fault);
}

static int stm32f1_attach(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	return chip->attached ? still_there(chip, deadline, fault) : first_contact(chip, deadline, fault);
}

static void stm32f1_detach(struct chip *chip)
{
	if (chip->attached)
		cortex_release(chip, 0);
	leave(chip);
}

/* ---- identify */

/* A part of the ROM table that cannot be read leaves the maker open, no more. */
static int rom_word(struct chip *chip, uint32_t address, uint32_t *word, deadline_t deadline, struct fault *fault)
{
	*word = 0;
	if (cortex_get(chip, address, word, deadline, fault) == 0 || fault->code == FAIL_VERIFY)
		return 0;
	return -1;
}

static int read_make(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct stm32f1_facts *facts = &chip->facts.stm32f1;
	uint32_t pidr[3] = {0}, pidr4 = 0, etm = 0;

	for (unsigned i = 0; i < 3; i++)
		if (rom_word(chip, ROM_PIDR0 + 4 * i, &pidr[i], deadline, fault) != 0)
			return -1;
	if (rom_word(chip, ROM_PIDR4, &pidr4, deadline, fault) != 0 || rom_word(chip, ROM_ETM, &etm, deadline, fault) != 0)
		return -1;
	/* Arm Debug Interface v5, 13.2: JEP106 code, number of continuations, part number. */
	const struct stm32f1_ids ids = {
	        .port_id = facts->port_id,
	        .core_id = facts->core_id,
	        .device_id = facts->device_id,
	        .designer_bank = pidr4 & 0xF,
	        .designer = (uint8_t)((pidr[1] >> 4 & 0xF) | (pidr[2] & 7) << 4),
	        .rom_part = (uint16_t)((pidr[0] & 0xFF) | (pidr[1] & 0xF) << 8),
	        .has_etm = (etm & 1) != 0,
	};
	facts->make = stm32f1_make_of(&ids);
	return 0;
}

/* What the core starts stands also at address 0: the flash, or with the BOOT0 jumper at 1 the ROM (RM0008, 3.4). Where
 * either cannot be read the question stays open. */
static int read_start(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t start[START_BYTES], rom[START_BYTES];
	bool blank = true;

	chip->facts.stm32f1.starts_rom = false;
	if (cortex_read(chip, START, start, sizeof start, deadline, fault) != 0 ||
	    cortex_read(chip, SYSTEM_MEMORY, rom, sizeof rom, deadline, fault) != 0)
		return fault->code == FAIL_VERIFY ? 0 : -1;
	for (unsigned i = 0; i < START_BYTES; i++)
		blank = blank && rom[i] == rom[0];
	chip->facts.stm32f1.starts_rom = !blank && memcmp(start, rom, sizeof rom) == 0;
	return 0;
}

static int refuse_rom(struct fault *fault)
{
	return fault_set(fault, FAIL_FUSE,
	                 "the board starts the boot loader in the chip's ROM and not its program: set its BOOT0 jumper to 0");
}

struct reading { /* all that identifies a chip, to be read twice */
	uint32_t core, device, size;
	uint8_t id[SILICON_ID_BYTES];
};

static int read_ids(struct chip *chip, struct reading *r, deadline_t deadline, struct fault *fault)
{
	memset(r, 0, sizeof *r);
	if (read_core_id(chip, &r->core, deadline, fault) != 0 ||
	    cortex_get(chip, DBGMCU_IDCODE, &r->device, deadline, fault) != 0 ||
	    cortex_get(chip, FLASH_SIZE, &r->size, deadline, fault) != 0)
		return -1;
	return read_unique_id(chip, r->id, deadline, fault);
}

static bool is_id(const uint8_t id[SILICON_ID_BYTES])
{
	uint8_t all = 0xFF, any = 0;

	for (unsigned i = 0; i < SILICON_ID_BYTES; i++) {
		all &= id[i];
		any |= id[i];
	}
	return all != 0xFF && any != 0;
}

static void note_ids(struct chip_facts *facts, const struct reading *r)
{
	facts->stm32f1.core_id = r->core;
	facts->stm32f1.device_id = r->device;
	facts->stm32f1.flash_kib = (uint16_t)r->size;
	memcpy(facts->silicon_id, r->id, sizeof r->id);
	facts->silicon_id_bytes = is_id(r->id) ? SILICON_ID_BYTES : 0;
}

static int stm32f1_identify(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct stm32f1_facts *facts = &chip->facts.stm32f1;
	uint16_t wanted = chip->part->device_id;
	struct reading once, again;

	if (cortex_may_go(chip, deadline, fault) != 0 || read_ids(chip, &once, deadline, fault) != 0 ||
	    read_ids(chip, &again, deadline, fault) != 0)
		return -1;
	if (memcmp(&once, &again, sizeof once) != 0)
		return fault_set(fault, FAIL_CONTACT,
		                 "the chip's ids read differently twice: bad contact on SWDIO or SWCLK, or unstable power");
	note_ids(&chip->facts, &once);
	if (read_make(chip, deadline, fault) != 0)
		return -1;
	chip->facts.silicon_id_unique = chip->facts.silicon_id_bytes > 0 && facts->make->unique_id;
	if ((once.device & 0xFFF) != wanted)
		return fault_set(fault, FAIL_SIGNATURE, "expected device id %03X (%s), found %03X (%s, IDCODE %08X)", wanted,
		                 chip->part->title, (unsigned)once.device & 0xFFF, stm32f1_density(once.device),
		                 (unsigned)once.device);
	if (stm32f1_options_read(chip, facts->options_found, &facts->protected_found, deadline, fault) != 0)
		return -1;
	memcpy(facts->options_left, facts->options_found, sizeof facts->options_left);
	facts->protected_left = facts->protected_found;
	return read_start(chip, deadline, fault);
}

/* ---- erase */

static bool write_protected(const uint8_t options[OPTION_BYTES])
{
	for (unsigned i = OPTION_WRP0; i < OPTION_BYTES; i++)
		if (options[i] != 0xFF)
			return true;
	return false;
}

/* Takes read-out and write protection away. The chip erases itself when the former goes. */
static int unprotect(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct stm32f1_facts *facts = &chip->facts.stm32f1;
	uint8_t open[OPTION_BYTES];

	memcpy(open, facts->options_left, sizeof open);
	open[OPTION_RDP] = RDP_OPEN;
	memset(open + OPTION_WRP0, 0xFF, 4);
	if (stm32f1_options_write(chip, open, FAIL_PROTECTED, deadline, fault) != 0)
		return -1;
	if (facts->protected_left)
		return fault_set(fault, FAIL_PROTECTED,
		                 "the read-out protection is still on after it was taken away and the chip was reset: take the "
		                 "board off its power and try again");
	return 0;
}

static int refuse_protected(const struct stm32f1_facts *facts, struct fault *fault)
{
	return fault_set(fault, FAIL_PROTECTED,
	                 "the chip is %s protected (other tools say \"unknown memory region\"); allow_unlock = true in the "
	                 "recipe lets the station take that away, which erases the chip",
	                 facts->protected_left ? "read-out" : "write");
}

static int stm32f1_erase(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct stm32f1_facts *facts = &chip->facts.stm32f1;

	if (cortex_may_go_on(chip, deadline, fault) != 0)
		return -1;
	if (facts->protected_left || write_protected(facts->options_left)) {
		if (!chip->recipe->allow_unlock)
			return refuse_protected(facts, fault);
		if (stm32f1_take_over(chip, deadline, fault) != 0 || unprotect(chip, deadline, fault) != 0)
			return -1;
	} else if (stm32f1_take_over(chip, deadline, fault) != 0) {
		return -1;
	}
	return stm32f1_flash_erase(chip, deadline, fault);
}

/* ---- clock: the speed of SWD */

static int prove_speed(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t out[PATTERN], in[PATTERN];

	for (unsigned i = 0; i < PATTERN; i++)
		out[i] = (uint8_t)(i % 2 ? i * 37 : ~(i * 11));
	for (unsigned turn = 0; turn < 2; turn++) {
		if (cortex_write(chip, chip->part->sram_start, out, sizeof out, deadline, fault) != 0 ||
		    cortex_read(chip, chip->part->sram_start, in, sizeof in, deadline, fault) != 0)
			return -1;
		if (memcmp(in, out, sizeof in) != 0)
			return fault_set(fault, FAIL_CONTACT, "SRAM reads back differently at %u kHz",
			                 (unsigned)chip->sck_hz / 1000);
		for (unsigned i = 0; i < PATTERN; i++)
			out[i] = (uint8_t)~out[i];
	}
	return 0;
}

/* The next slower step of the programmer; 0 = none that is above the first contact's. */
static uint32_t slower(const struct chip *chip)
{
	const struct programmer_info *info = &chip->programmer->info;

	for (size_t i = 0; i < sizeof info->sck_steps / sizeof info->sck_steps[0] && info->sck_steps[i] != 0; i++)
		if (info->sck_steps[i] < chip->sck_hz)
			return info->sck_steps[i] > chip->facts.sck_first_hz ? info->sck_steps[i] : chip->facts.sck_first_hz;
	return 0;
}

/* As fast as the wires to this very board carry; down again to what first contact had when they do not. */
static int stm32f1_clock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint32_t hz = chip->programmer->info.sck_control ? FAST_HZ : chip->sck_hz;

	if (cortex_may_go_on(chip, deadline, fault) != 0)
		return -1;
	for (;;) {
		if (chip->programmer->info.sck_control &&
		    cortex_done(chip, swd_of(chip)->speed(chip->programmer, hz, &chip->sck_hz, deadline, fault), fault) != 0)
			return -1;
		if (prove_speed(chip, deadline, fault) == 0) {
			chip->facts.sck_fast_hz = chip->sck_hz;
			return 0;
		}
		if (fault->code != FAIL_CONTACT || chip->sck_hz <= chip->facts.sck_first_hz)
			return -1;
		hz = slower(chip);
		/* What went wrong at that speed may have left the core running or the port in error. */
		if (hz == 0 || find_again(chip, deadline, fault) != 0 || stm32f1_take_over(chip, deadline, fault) != 0)
			return -1;
	}
}

/* ---- option bytes and protection */

static void wanted_options(const struct chip *chip, uint8_t options[OPTION_BYTES])
{
	const struct option_bytes *wish = &chip->recipe->options;

	memcpy(options, chip->facts.stm32f1.options_left, OPTION_BYTES);
	if (!wish->wanted)
		return;
	options[OPTION_USER] = wish->user;
	options[OPTION_DATA0] = wish->data[0];
	options[OPTION_DATA1] = wish->data[1];
	memcpy(options + OPTION_WRP0, wish->wrp, 4);
}

static int stm32f1_configure(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t options[OPTION_BYTES];

	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	if (chip->facts.stm32f1.starts_rom)
		return refuse_rom(fault);
	wanted_options(chip, options);
	if (memcmp(options, chip->facts.stm32f1.options_left, sizeof options) == 0)
		return 0;
	return stm32f1_options_write(chip, options, FAIL_FUSE, deadline, fault);
}

static int protect(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	uint8_t options[OPTION_BYTES];

	memcpy(options, chip->facts.stm32f1.options_left, sizeof options);
	options[OPTION_RDP] = RDP_PROTECTED;
	if (stm32f1_options_write(chip, options, FAIL_LOCK, deadline, fault) != 0)
		return -1;
	if (!chip->facts.stm32f1.protected_left)
		return fault_set(fault, FAIL_LOCK, "the read-out protection was written and is not in force after a reset");
	return 0;
}

/* Last of all: the board starts as it will at the customer's, and still answers. */
static int stm32f1_lock(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	if (chip->recipe->protect && !chip->facts.stm32f1.protected_left && protect(chip, deadline, fault) != 0)
		return -1;
	if (cortex_set(chip, DBGMCU_CR, 0, deadline, fault) != 0 || cortex_reset_and_run(chip, deadline, fault) != 0)
		return -1;
	return still_there(chip, deadline, fault);
}

const struct chip_driver chip_stm32f1 = {
        .family = "stm32f1",
        .port = PORT_SWD,
        .attach = stm32f1_attach,
        .identify = stm32f1_identify,
        .read = stm32f1_flash_read,
        .erase = stm32f1_erase,
        .clock = stm32f1_clock,
        .program = stm32f1_flash_program,
        .verify = stm32f1_flash_verify,
        .configure = stm32f1_configure,
        .lock = stm32f1_lock,
        .detach = stm32f1_detach,
};
