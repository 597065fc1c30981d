#include "station/chip/cortex.h"

#include <stdio.h>
#include <string.h>

enum { /* register numbers of DCRSR */
	CORE_SP = 13,
	CORE_PC = 15,
	CORE_XPSR = 16,
};

/* Addresses and bits: ARMv7-M, C1.6 and B3.2. */
#define AIRCR 0xE000ED0Cu
#define DFSR  0xE000ED30u
#define DHCSR 0xE000EDF0u
#define DEMCR 0xE000EDFCu

#define DHCSR_KEY          0xA05F0000u
#define DHCSR_C_DEBUGEN    0x00000001u
#define DHCSR_C_HALT       0x00000002u
#define DHCSR_C_MASKINTS   0x00000008u
#define DHCSR_S_HALT       0x00020000u
#define DHCSR_S_LOCKUP     0x00080000u
#define DHCSR_S_RESET_ST   0x02000000u
#define DEMCR_VC_CORERESET 0x00000001u
#define DEMCR_TRCENA       0x01000000u
#define AIRCR_SYSRESETREQ  0x05FA0004u
#define DFSR_ALL           0x0000001Fu
#define DFSR_BKPT          0x00000002u
#define XPSR_THUMB         0x01000000u

enum {
	RESET_MS = 200,     /* a reset takes microseconds; boards stretch NRST by some milliseconds */
	MIN_POLLS = 5,      /* on a slow machine two polls may be further apart than that */
	POLL_US = 500,
	RELEASE_MS = 300,
};

static const struct swd_ops *swd_of(const struct chip *chip)
{
	return chip->programmer->swd;
}

int cortex_may_go(const struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (!chip->attached || chip->programmer == NULL)
		return fault_set(fault, FAIL_CONTACT, "no board is connected");
	if (deadline_left_ms(deadline) == 0)
		return fault_set(fault, FAIL_TIMEOUT, "the time of this step ran out");
	return 0;
}

int cortex_may_go_on(const struct chip *chip, deadline_t deadline, struct fault *fault)
{
	if (chip->progress.stop != NULL && atomic_load(chip->progress.stop))
		return fault_set(fault, FAIL_ABORTED, "the operator stopped the run");
	return cortex_may_go(chip, deadline, fault);
}

int cortex_done(struct chip *chip, int result, const struct fault *fault)
{
	if (result != 0 && fault->code == FAIL_PROGRAMMER_LOST)
		chip->attached = false;
	return result;
}

int cortex_get(struct chip *chip, uint32_t address, uint32_t *word, deadline_t deadline, struct fault *fault)
{
	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	return cortex_done(chip, swd_of(chip)->get(chip->programmer, address, word, deadline, fault), fault);
}

int cortex_set(struct chip *chip, uint32_t address, uint32_t word, deadline_t deadline, struct fault *fault)
{
	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	return cortex_done(chip, swd_of(chip)->set(chip->programmer, address, word, deadline, fault), fault);
}

int cortex_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
                struct fault *fault)
{
	uint8_t words[1032] = {0};

	while (len > 0) {
		uint32_t before = address & 3;
		size_t n = len < 1024 ? len : 1024, whole = (before + n + 3) / 4 * 4;
		bool aligned = before == 0 && len % 4 == 0;
		if (aligned)
			n = whole = len; /* the programmer cuts it as it likes best */
		if (cortex_may_go(chip, deadline, fault) != 0 ||
		    cortex_done(chip,
		                swd_of(chip)->read(chip->programmer, address - before, aligned ? bytes : words, whole,
		                                   deadline, fault),
		                fault) != 0)
			return -1;
		if (!aligned)
			memcpy(bytes, words + before, n);
		bytes += n;
		address += (uint32_t)n;
		len -= n;
	}
	return 0;
}

int cortex_write(struct chip *chip, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                 struct fault *fault)
{
	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	return cortex_done(chip, swd_of(chip)->write(chip->programmer, address, bytes, len, deadline, fault), fault);
}

int cortex_register(struct chip *chip, unsigned number, uint32_t *value, deadline_t deadline, struct fault *fault)
{
	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	return cortex_done(chip, swd_of(chip)->get_core(chip->programmer, number, value, deadline, fault), fault);
}

int cortex_halted(struct chip *chip, bool *halted, deadline_t deadline, struct fault *fault)
{
	uint32_t state = 0;

	if (cortex_get(chip, DHCSR, &state, deadline, fault) != 0)
		return -1;
	*halted = (state & DHCSR_S_HALT) != 0;
	return 0;
}

/* S_RESET_ST stays set until it was read once outside of a reset. */
static int await_reset_halt(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	deadline_t end = deadline_in_ms(RESET_MS);
	unsigned polls = 0;
	uint32_t state = 0;

	do {
		if (cortex_get(chip, DHCSR, &state, deadline, fault) != 0) {
			/* The port may be silent for a moment while the chip is in reset. */
			if (fault->code != FAIL_CONTACT && fault->code != FAIL_VERIFY)
				return -1;
			state = 0;
		}
		if ((state & DHCSR_S_HALT) && !(state & DHCSR_S_RESET_ST))
			return 0;
		clock_sleep_us(POLL_US);
	} while ((++polls < MIN_POLLS || clock_now() < end) && deadline_left_ms(deadline) > 0);
	return fault_set(fault, FAIL_CONTACT,
	                 "the core does not halt after a reset (DHCSR %08X): check BOOT0 and the supply", (unsigned)state);
}

int cortex_halt_at_reset(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct fault ignored;

	if (cortex_set(chip, DHCSR, DHCSR_KEY | DHCSR_C_DEBUGEN | DHCSR_C_HALT, deadline, fault) != 0 ||
	    cortex_set(chip, DEMCR, DEMCR_TRCENA | DEMCR_VC_CORERESET, deadline, fault) != 0 ||
	    cortex_done(chip, swd_of(chip)->nrst(chip->programmer, false, deadline, fault), fault) != 0)
		return -1;
	/* The answer to this write may get lost in the very reset that it asks for. */
	if (cortex_set(chip, AIRCR, AIRCR_SYSRESETREQ, deadline, &ignored) != 0 &&
	    ignored.code == FAIL_PROGRAMMER_LOST) {
		*fault = ignored;
		return -1;
	}
	if (await_reset_halt(chip, deadline, fault) != 0)
		return -1;
	return cortex_set(chip, DEMCR, DEMCR_TRCENA, deadline, fault);
}

int cortex_start(struct chip *chip, const struct cortex_start *start, deadline_t deadline, struct fault *fault)
{
	const uint32_t halted = DHCSR_KEY | DHCSR_C_DEBUGEN | DHCSR_C_HALT | DHCSR_C_MASKINTS;
	const struct {
		unsigned number;
		uint32_t value;
	} rest[] = {{CORE_SP, start->sp}, {CORE_PC, start->pc}, {CORE_XPSR, XPSR_THUMB}};

	if (cortex_may_go(chip, deadline, fault) != 0)
		return -1;
	for (unsigned i = 0; i < start->count + 3; i++) {
		unsigned number = i < start->count ? i : rest[i - start->count].number;
		uint32_t value = i < start->count ? start->registers[i] : rest[i - start->count].value;
		if (cortex_done(chip, swd_of(chip)->set_core(chip->programmer, number, value, deadline, fault), fault) != 0)
			return -1;
	}
	/* C_MASKINTS may change only while the core is halted, and not together with C_HALT (C1.6.2). */
	if (cortex_set(chip, DFSR, DFSR_ALL, deadline, fault) != 0 ||
	    cortex_set(chip, DHCSR, halted, deadline, fault) != 0)
		return -1;
	return cortex_set(chip, DHCSR, halted & ~DHCSR_C_HALT, deadline, fault);
}

int cortex_stop(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	deadline_t end = deadline_in_ms(RESET_MS);
	unsigned polls = 0;
	bool halted = false;

	if (cortex_set(chip, DHCSR, DHCSR_KEY | DHCSR_C_DEBUGEN | DHCSR_C_HALT | DHCSR_C_MASKINTS, deadline, fault) != 0)
		return -1;
	do {
		if (cortex_halted(chip, &halted, deadline, fault) != 0)
			return -1;
	} while (!halted && (++polls < MIN_POLLS || clock_now() < end));
	return halted ? 0 : fault_set(fault, FAIL_CONTACT, "the core does not halt");
}

int cortex_await(struct chip *chip, int64_t limit_us, enum fail_code code, deadline_t deadline, struct fault *fault)
{
	int64_t end = clock_now() + limit_us * 1000;
	uint32_t state = 0, why = 0;

	for (;;) {
		if (cortex_get(chip, DHCSR, &state, deadline, fault) != 0)
			return -1;
		if (state & (DHCSR_S_HALT | DHCSR_S_LOCKUP))
			break;
		if (clock_now() >= end)
			return fault_set(fault, code, "the code in the chip's SRAM does not end (DHCSR %08X)",
			                 (unsigned)state);
		clock_sleep_us(POLL_US);
	}
	if (cortex_get(chip, DFSR, &why, deadline, fault) != 0)
		return -1;
	if ((state & DHCSR_S_LOCKUP) || !(why & DFSR_BKPT))
		return fault_set(fault, code, "the code in the chip's SRAM crashed (DHCSR %08X, DFSR %02X)", (unsigned)state,
		                 (unsigned)why);
	return 0;
}

int cortex_reset_and_run(struct chip *chip, deadline_t deadline, struct fault *fault)
{
	struct fault ignored;

	if (cortex_set(chip, DEMCR, 0, deadline, fault) != 0 || cortex_set(chip, DHCSR, DHCSR_KEY, deadline, fault) != 0)
		return -1;
	if (cortex_set(chip, AIRCR, AIRCR_SYSRESETREQ, deadline, &ignored) != 0 &&
	    ignored.code == FAIL_PROGRAMMER_LOST) {
		*fault = ignored;
		return -1;
	}
	return 0;
}

void cortex_release(struct chip *chip, deadline_t deadline)
{
	deadline_t least = deadline_in_ms(RELEASE_MS), end = deadline > least ? deadline : least;
	struct fault ignored;

	if (cortex_set(chip, DEMCR, 0, end, &ignored) == 0)
		cortex_set(chip, DHCSR, DHCSR_KEY, end, &ignored);
}
