#include "station/chip/stm32f1_make.h"

#include <stddef.h>

/* Ids: Black Magic Probe's stm32f1.c, its pull requests 784 and 1821 and issues 1148 and 1200; stlink issues 756, 1082 and
 * 1462. */
static const struct stm32f1_make original = {"STM32F103", 1, true, ""};
static const struct stm32f1_make gd32 = {"GD32F103 (clone)", 4, true,
                                         "its flash is slower than the original's: waits are longer"};
static const struct stm32f1_make hk32 = {"HK32F103 (clone)", 2, false, "waits are longer, for want of facts"};
static const struct stm32f1_make cs32 = {"CS32F103 (clone)", 2, false, "its debug port has another id, which some tools refuse"};
static const struct stm32f1_make apm32 = {
        "APM32F103 (clone)", 2, true, "loses half-words that are written while the flash is busy: only the loader may write"};
static const struct stm32f1_make cks32 = {
        "CKS32F103 or another clone", 2, false, "some do not enter SWD at once: they are tried again, and under reset"};

/* JEP106 code of the ROM table's designer. Two makers left Arm's own there, with its part number. */
static const struct {
	uint8_t bank, designer;
	const struct stm32f1_make *make;
} designers[] = {{0, 0x20, &original}, {7, 0x51, &gd32}, {5, 0x55, &hk32}};

enum {
	CLONE_PORT = 0x2BA01477, /* DPIDR; the original's is 1BA01477 */
	CLONE_CORE = 0x412FC231, /* CPUID, Cortex-M3 r2p1; the original's is 411FC231 */
	ARM_BANK = 4,
	ARM_DESIGNER = 0x3B,
	ARM_M3_PART = 0x4C3,
};

const struct stm32f1_make *stm32f1_make_of(const struct stm32f1_ids *ids)
{
	bool clone = ids->port_id == CLONE_PORT || ids->core_id == CLONE_CORE;

	if (ids->device_id >> 16 == STM32F1_GD32_REVISION)
		return &gd32;
	if (ids->designer_bank == ARM_BANK && ids->designer == ARM_DESIGNER && ids->rom_part == ARM_M3_PART)
		return ids->has_etm ? &cs32 : &apm32;
	for (size_t i = 0; i < sizeof designers / sizeof designers[0]; i++)
		if (designers[i].bank == ids->designer_bank && designers[i].designer == ids->designer &&
		    !(clone && designers[i].make == &original))
			return designers[i].make;
	return clone || ids->designer != 0 ? &cks32 : &original;
}

const char *stm32f1_density(uint32_t device_id)
{
	/* RM0008, 31.6.1; DBGMCU_IDCODE. */
	static const struct {
		uint16_t id;
		const char *title;
	} densities[] = {
	        {0x412, "STM32F10x low density"},  {0x410, "STM32F10x medium density"},
	        {0x414, "STM32F10x high density"}, {0x430, "STM32F10x XL density"},
	        {0x418, "STM32F105/107"},          {0x420, "STM32F100 low/medium density"},
	        {0x428, "STM32F100 high density"},
	};

	for (size_t i = 0; i < sizeof densities / sizeof densities[0]; i++)
		if (densities[i].id == (device_id & 0xFFF))
			return densities[i].title;
	return "unknown device";
}
