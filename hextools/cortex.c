#include "hextools/cortex.h"

#include <inttypes.h>
#include <stdio.h>

/* The core's own; behind them a table may end. */
enum { CORE_VECTORS = 16 };

static bool read_word(const struct hex_image *image, uint32_t addr, uint32_t *word)
{
	uint8_t b[4];
	bool whole = hex_image_read(image, addr, b, sizeof b, 0xFF) == sizeof b;
	*word = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	return whole;
}

static bool in_sram(const struct part *part, uint32_t addr)
{
	return addr >= part->sram_start && addr - part->sram_start < part->sram_bytes;
}

static bool is_own(const struct hex_image *image, const struct hex_range *own, uint32_t addr)
{
	uint8_t byte;
	return range_has(own, addr) && hex_image_read(image, addr, &byte, 1, 0xFF) == 1;
}

static enum cortex_fault look_at_stack(const struct part *part, uint32_t word)
{
	if (word == UINT32_MAX)
		return CORTEX_BLANK;
	/* It counts down before it stores, so it may begin right above the SRAM. */
	return word % 4 == 0 && in_sram(part, word - 4) ? CORTEX_SOUND : CORTEX_STACK;
}

static enum cortex_fault look_at_handler(const struct hex_image *image, const struct part *part,
                                         const struct hex_range *own, unsigned vector,
                                         uint32_t word)
{
	if (vector > 1 && (word == 0 || word == UINT32_MAX || in_sram(part, word)))
		return CORTEX_SOUND;
	if ((word & 1) == 0)
		return CORTEX_NO_THUMB;
	return is_own(image, own, word & ~UINT32_C(1)) ? CORTEX_SOUND : CORTEX_NOWHERE;
}

/* A table that is shorter than the part's ends, at the latest, where the lowest handler begins. */
static unsigned table_length(const struct hex_image *image, const struct part *part, uint32_t table)
{
	unsigned count = part->vector_count > CORE_VECTORS ? part->vector_count : CORE_VECTORS;
	for (unsigned i = 1; i < count; i++) {
		uint32_t word, target;
		if (!read_word(image, table + 4 * i, &word))
			return i < 2 ? 2 : i;
		target = word & ~UINT32_C(1);
		if (target > table && (target - table) / 4 < count)
			count = (target - table) / 4 > i ? (target - table) / 4 : i + 1;
	}
	return count;
}

bool cortex_look(const struct hex_image *image, const struct part *part, uint32_t table,
                 const struct hex_range *own, struct cortex_report *report)
{
	unsigned count = table_length(image, part, table);
	*report = (struct cortex_report){.table = table};
	for (unsigned i = 0; i < count; i++) {
		if (!range_has(own, table + 4 * i + 3) ||
		    !read_word(image, table + 4 * i, &report->word)) {
			report->fault = i < 2 ? CORTEX_NO_TABLE : CORTEX_SOUND;
			break;
		}
		report->vector = i;
		report->fault = i == 0 ? look_at_stack(part, report->word)
		                       : look_at_handler(image, part, own, i, report->word);
		if (report->fault != CORTEX_SOUND)
			return false;
	}
	return report->fault == CORTEX_SOUND;
}

void cortex_words(const struct cortex_report *report, const struct part *part, char *out,
                  size_t size)
{
	static const char *const names[] = {"initial stack pointer", "reset vector", "NMI vector",
	                                    "HardFault vector"};
	char name[32];
	if (report->vector < sizeof names / sizeof names[0])
		snprintf(name, sizeof name, "%s", names[report->vector]);
	else
		snprintf(name, sizeof name, "vector %u", report->vector);
	switch (report->fault) {
	case CORTEX_SOUND:
		snprintf(out, size, "the vector table at 0x%08" PRIX32 " is sound", report->table);
		break;
	case CORTEX_NO_TABLE:
		snprintf(out, size, "no vector table stands at 0x%08" PRIX32, report->table);
		break;
	case CORTEX_BLANK:
		snprintf(out, size, "the vector table at 0x%08" PRIX32 " is blank", report->table);
		break;
	case CORTEX_STACK:
		snprintf(out, size,
		         "the %s is 0x%08" PRIX32 ", outside the SRAM of the %s (0x%08" PRIX32
		         "-0x%08" PRIX32 ")",
		         name, report->word, part->title, part->sram_start,
		         part->sram_start + (part->sram_bytes - 1));
		break;
	case CORTEX_NO_THUMB:
		snprintf(out, size,
		         "the %s is 0x%08" PRIX32 ", which is no Thumb code (bit 0 is clear)", name,
		         report->word);
		break;
	case CORTEX_NOWHERE:
		snprintf(out, size,
		         "the %s leads to 0x%08" PRIX32
		         ", which is not in the program at 0x%08" PRIX32
		         ": it is linked for another address, or was cut",
		         name, report->word & ~UINT32_C(1), report->table);
		break;
	}
}
