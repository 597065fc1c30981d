#ifndef POGO_STATION_CHIP_STM32F1_MAKE_H
#define POGO_STATION_CHIP_STM32F1_MAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Whose silicon answers as an STM32F103. Clones carry the same device id; they differ in the ids of their debug port, of
 * their core and of their ROM table. None of that refuses a board: what counts is that every byte reads back. */

struct stm32f1_ids {
	uint32_t port_id, core_id, device_id; /* DPIDR, CPUID, DBGMCU_IDCODE */
	uint8_t designer_bank, designer;      /* JEP106 of the ROM table; 0, 0: it could not be read */
	uint16_t rom_part;
	bool has_etm; /* the ROM table lists a trace macrocell */
};

struct stm32f1_make {
	const char *title;
	unsigned slowness; /* how many times the times of the data sheet one may have to wait */
	bool unique_id;    /* its maker promises that no two chips have the same unique id */
	const char *quirk; /* "" = none known */
};

const struct stm32f1_make *stm32f1_make_of(const struct stm32f1_ids *ids);

/* "STM32F10x medium density" for bits 11:0 of DBGMCU_IDCODE, or "unknown device". */
const char *stm32f1_density(uint32_t device_id);

/* RAM of a GD32 stands above the size of its flash. */
enum { STM32F1_GD32_REVISION = 0x1303 };

#endif
