#include "hextools/fit.h"

#include <inttypes.h>
#include <stdio.h>

/* "the flash (0x00000-0x07FFF) and the EEPROM (0x810000-0x8103FF)" */
static void name_memories(const struct part *part, char *out, size_t size)
{
	int used = snprintf(out, size, "the flash (0x%0*" PRIX32 "-0x%0*" PRIX32 ")",
			    hex_digits(part->flash_start), part->flash_start, hex_digits(part->flash_start),
			    part->flash_start + part->flash_bytes - 1);
	if (part->eeprom_bytes > 0)
		snprintf(out + used, size - (size_t)used, " and the EEPROM (0x%06X-0x%06X)", AVR_EEPROM_BASE,
			 AVR_EEPROM_BASE + part->eeprom_bytes - 1);
}

int fit_check(const struct part *part, const struct hex_image *image, const char *name,
	      struct pogo_error *err)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		uint64_t start = segment->addr, last = start + segment->len - 1;
		bool eeprom = part_in_eeprom(part, segment->addr);
		uint64_t base = eeprom ? AVR_EEPROM_BASE : part->flash_start;
		uint64_t end = base + (eeprom ? part->eeprom_bytes : part->flash_bytes);
		char memories[120];
		if (start >= base && last < end)
			continue;
		if (start >= base && start < end)
			start = end; /* the part of it that is outside */
		name_memories(part, memories, sizeof memories);
		return pogo_fail(err, POGO_NO,
				 "\"%.150s\" does not fit the %s: 0x%0*" PRIX64 "-0x%0*" PRIX64
				 " lies outside %s",
				 name, part->title, hex_digits(start), start, hex_digits(start), last, memories);
	}
	return 0;
}
