#include "hextools/fit.h"

#include <inttypes.h>

int fit_check(const struct part *part, const struct hex_image *image, const char *name,
	      struct pogo_error *err)
{
	for (size_t i = 0; i < image->count; i++) {
		const struct hex_segment *segment = &image->segments[i];
		uint64_t start = segment->addr, last = start + segment->len - 1;
		bool eeprom = start >= AVR_EEPROM_BASE;
		uint64_t base = eeprom ? AVR_EEPROM_BASE : 0;
		uint64_t size = eeprom ? part->eeprom_bytes : part->flash_bytes;
		if (last < base + size)
			continue;
		if (start < base + size)
			start = base + size;
		return pogo_fail(err, POGO_NO,
				 "\"%.150s\" does not fit the %s: 0x%05" PRIX64 "-0x%05" PRIX64
				 " lies outside the flash (0x00000-0x%05" PRIX32
				 ") and the EEPROM (0x%06X-0x%06X)",
				 name, part->title, start, last, part->flash_bytes - 1, AVR_EEPROM_BASE,
				 AVR_EEPROM_BASE + (part->eeprom_bytes > 0 ? part->eeprom_bytes - 1 : 0));
	}
	return 0;
}
