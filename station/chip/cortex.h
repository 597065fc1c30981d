#ifndef POGO_STATION_CHIP_CORTEX_H
#define POGO_STATION_CHIP_CORTEX_H

#include "station/chip/chip.h"
#include "station/programmer/swd.h"

/* Private to station/chip: a Cortex-M core behind a debug port (ARMv7-M Architecture Reference Manual, C1). Each call
 * checks its deadline, and forgets the board when the programmer is lost. */

int cortex_get(struct chip *chip, uint32_t address, uint32_t *word, deadline_t deadline, struct fault *fault);
int cortex_set(struct chip *chip, uint32_t address, uint32_t word, deadline_t deadline, struct fault *fault);
/* Any address and length; reads whole words around them. */
int cortex_read(struct chip *chip, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
                struct fault *fault);
/* Whole words. */
int cortex_write(struct chip *chip, uint32_t address, const uint8_t *bytes, size_t len, deadline_t deadline,
                 struct fault *fault);

/* Resets the chip by the core's own request and halts it before its first instruction: clocks, watchdogs and DMA are as
 * after power-up. Works also while NRST is held, which is then released. */
int cortex_halt_at_reset(struct chip *chip, deadline_t deadline, struct fault *fault);
/* Is it halted? */
int cortex_halted(struct chip *chip, bool *halted, deadline_t deadline, struct fault *fault);

/* Runs code in SRAM with interrupts masked; it goes on while memory is read and written. */
struct cortex_start {
	uint32_t pc, sp;
	uint32_t registers[8]; /* r0 … r7 */
	unsigned count;        /* of them that matter */
};
int cortex_start(struct chip *chip, const struct cortex_start *start, deadline_t deadline, struct fault *fault);
int cortex_stop(struct chip *chip, deadline_t deadline, struct fault *fault);
/* Waits for the breakpoint that ends the code. A crash, or none within limit_us: `code`. */
int cortex_await(struct chip *chip, int64_t limit_us, enum fail_code code, deadline_t deadline, struct fault *fault);
int cortex_register(struct chip *chip, unsigned number, uint32_t *value, deadline_t deadline, struct fault *fault);

/* Reset, and the firmware runs as without a debugger. */
int cortex_reset_and_run(struct chip *chip, deadline_t deadline, struct fault *fault);
/* Lets the firmware go on from where it is. Never fails: for boards that may be gone. */
void cortex_release(struct chip *chip, deadline_t deadline);

/* FAIL_CONTACT unless attached; FAIL_TIMEOUT when the deadline is past. */
int cortex_may_go(const struct chip *chip, deadline_t deadline, struct fault *fault);
/* The same, and FAIL_ABORTED when the run is being stopped: for places where stopping is safe. */
int cortex_may_go_on(const struct chip *chip, deadline_t deadline, struct fault *fault);

/* Programmer calls end here: a lost programmer or contact leaves nothing to speak to. Returns result. */
int cortex_done(struct chip *chip, int result, const struct fault *fault);

#endif
