#ifndef POGO_STATION_SWD_H
#define POGO_STATION_SWD_H

#include <stdbool.h>
#include <stdint.h>

#include "station/programmer/programmer.h"

/* A port to an Arm core's debug access: its memory, its core registers, its reset pin. Addresses are those that the
 * core sees. As isp_ops: calls block, spend from the deadline, return 0 or -1 with *fault. FAIL_CONTACT: the target does
 * not answer (any more), enter again. FAIL_VERIFY or FAIL_WRITE: it refused this address. */

struct swd_target {
	uint32_t port_id;    /* DPIDR of the debug port */
	uint32_t used_hz;    /* SWCLK in force */
	uint32_t millivolts; /* of the target; 0 = this programmer cannot tell */
};

struct swd_ops {
	/* Connects to the debug port with SWCLK at the fastest step <= hz. under_reset: NRST is pulled low before, for firmware
	 * that switches SWD off, and stays low. FAIL_CONTACT: nobody answers; FAIL_POWER: the voltage says why. */
	int (*enter)(struct programmer *programmer, uint32_t hz, bool under_reset, struct swd_target *target,
	             deadline_t deadline, struct fault *fault);
	/* Lets NRST and SWD go. Does not touch the core: release it before. Fine when not entered. */
	void (*leave)(struct programmer *programmer, deadline_t deadline);
	/* Another SWCLK while entered. */
	int (*speed)(struct programmer *programmer, uint32_t hz, uint32_t *used_hz, deadline_t deadline, struct fault *fault);
	int (*nrst)(struct programmer *programmer, bool low, deadline_t deadline, struct fault *fault);
	/* One aligned word, one bus access. */
	int (*get)(struct programmer *programmer, uint32_t address, uint32_t *word, deadline_t deadline,
	           struct fault *fault);
	int (*set)(struct programmer *programmer, uint32_t address, uint32_t word, deadline_t deadline,
	           struct fault *fault);
	/* Blocks by word accesses, ascending: address and len are multiples of 4. The driver cuts them. */
	int (*read)(struct programmer *programmer, uint32_t address, uint8_t *bytes, size_t len, deadline_t deadline,
	            struct fault *fault);
	int (*write)(struct programmer *programmer, uint32_t address, const uint8_t *bytes, size_t len,
	             deadline_t deadline, struct fault *fault);
	/* Core registers by their number in DCRSR (ARMv7-M, C1.6.3), the core halted. */
	int (*get_core)(struct programmer *programmer, unsigned number, uint32_t *value, deadline_t deadline,
	                struct fault *fault);
	int (*set_core)(struct programmer *programmer, unsigned number, uint32_t value, deadline_t deadline,
	                struct fault *fault);
};

#endif
