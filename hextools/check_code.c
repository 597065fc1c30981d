#include "hextools/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the first instructions of an application tell, without a disassembler: AVR instruction set
 * manual DS40002198 (JMP, RJMP, LDI, OUT), and the start-up code of avr-libc (gcrt1). */

enum { RETI = 0x9518, SCAN_WORDS = 64 };

static bool is_jmp(uint16_t word)
{
	return (word & 0xFE0E) == 0x940C;
}

static bool is_rjmp(uint16_t word)
{
	return (word & 0xF000) == 0xC000;
}

/* The byte address that the jump at `at` leads to. RJMP wraps at the flash's end. */
static uint32_t target_of(const struct check *check, uint32_t at)
{
	uint16_t word = check_word(check, at);
	if (is_rjmp(word)) {
		int32_t offset = (word & 0xFFF) >= 0x800 ? (int32_t)(word & 0xFFF) - 0x1000 : word & 0xFFF;
		int64_t to = (int64_t)at + 2 + (int64_t)offset * 2, size = check->part->flash_bytes;
		return (uint32_t)((to + size) % size);
	}
	uint32_t high = (uint32_t)((word >> 4 & 0x1F) << 1 | (word & 1));
	return (high << 16 | check_word(check, at + 2)) * 2;
}

/* ---- reset vector --------------------------------------------------------------------------------- */

/* True if there is code to look at behind it; *start is where it begins. */
static bool check_reset_vector(struct check *check, uint32_t *start)
{
	uint16_t word = check_word(check, 0);
	uint32_t limit = check->has_boot ? check->boot_start : check->part->flash_bytes, first;
	if (!check_first(&check->image, 0, limit, &first)) {
		check_find(check, "no-application", CHECK_WARNING, 0, "join it with pogo-hex release",
			   "the image has no application");
		return false;
	}
	if (!check_has(check, 0) || word == 0xFFFF) {
		check_find(check, "reset-blank", CHECK_ERROR, 0,
			   "look for a lost first record, or an application that is linked to another address",
			   "the reset vector is blank; the application's first data is at 0x%05" PRIX32, first);
		return false;
	}
	if (!is_jmp(word) && !is_rjmp(word)) {
		check_find(check, "reset-no-jump", CHECK_WARNING, 0, "is this AVR code?",
			   "the reset vector has 0x%04X, which is no jump", word);
		return false;
	}
	*start = target_of(check, 0);
	if (*start >= check->part->flash_bytes || !check_has(check, *start)) {
		check_find(check, "reset-nowhere", CHECK_ERROR, 0,
			   "is the file whole, and built for this part?",
			   "the reset vector leads to 0x%05" PRIX32 ", where the image has nothing", *start);
		return false;
	}
	if (check->has_boot && *start >= check->boot_start)
		check_find(check, "reset-into-boot", CHECK_WARNING, 0,
			   "an application starts in its own part of the flash",
			   "the reset vector leads into the boot section, to 0x%05" PRIX32, *start);
	return true;
}

/* ---- vector table --------------------------------------------------------------------------------- */

/* How many vectors of `size` bytes stand at 0. The linker may shorten a JMP to RJMP and NOP. */
static unsigned count_vectors(const struct check *check, unsigned size)
{
	unsigned count = 0;
	for (; count < 200; count++) {
		uint32_t at = count * size;
		uint16_t word = check_word(check, at);
		bool whole = size == 2 ? is_rjmp(word) || word == RETI
				       : is_jmp(word) || ((is_rjmp(word) || word == RETI) &&
							  check_word(check, at + 2) == 0);
		if (!whole)
			break;
	}
	return count;
}

/* Titles of the parts with such a table. */
static void parts_with_vectors(struct part *const *parts, size_t part_count, unsigned count,
			       unsigned size, char *out, size_t room)
{
	out[0] = '\0';
	for (size_t i = 0; i < part_count; i++) {
		size_t used = strlen(out);
		if (part_is_avr(parts[i]) && parts[i]->vector_count == count && parts[i]->vector_bytes == size)
			snprintf(out + used, room - used, "%s%s", used > 0 ? ", " : "", parts[i]->title);
	}
}

static void check_vectors(struct check *check, struct part *const *parts, size_t part_count)
{
	const struct part *part = check->part;
	char others[240];
	if (part->vector_count == 0)
		return;
	unsigned size = count_vectors(check, 4) > 1 ? 4 : 2, count = count_vectors(check, size);
	if (count < 2 || (count == part->vector_count && size == part->vector_bytes))
		return;
	parts_with_vectors(parts, part_count, count, size, others, sizeof others);
	if (others[0] != '\0')
		check_find(check, "vector-table", CHECK_ERROR, 0, "build for the part, or name the part it is for",
			   "%u interrupt vectors of %u bytes stand at 0, the %s has %d of %d: built for %s", count,
			   size, part->title, part->vector_count, part->vector_bytes, others);
	else
		check_find(check, "vector-table", CHECK_NOTE, 0, "nothing, if it was written so",
			   "%u interrupt vectors of %u bytes stand at 0, the %s has %d of %d", count, size,
			   part->title, part->vector_count, part->vector_bytes);
}

/* ---- stack pointer -------------------------------------------------------------------------------- */

/* The start-up code loads r29:r28 with the last address of the RAM and puts them out to SPH and SPL. */
static bool find_stack(const struct check *check, uint32_t start, uint32_t *at, uint32_t *stack)
{
	int low = -1, high = -1;
	for (uint32_t i = 0; i < SCAN_WORDS; i++) {
		uint16_t word = check_word(check, start + i * 2);
		int value = (word >> 4 & 0xF0) | (word & 0xF);
		if ((word & 0xF0F0) == 0xE0C0) /* LDI r28 */
			low = value;
		else if ((word & 0xF0F0) == 0xE0D0) /* LDI r29 */
			high = value;
		else if (word == 0xBFCD && low >= 0 && high >= 0) { /* OUT SPL, r28 */
			*at = start + i * 2;
			*stack = (uint32_t)(high << 8 | low);
			return true;
		}
	}
	return false;
}

static void check_stack(struct check *check, uint32_t start, struct part *const *parts,
			size_t part_count)
{
	const struct part *part = check->part;
	uint32_t at, stack, end = part->sram_start + part->sram_bytes - 1;
	char others[240] = "";
	if (!find_stack(check, start, &at, &stack) || stack == end)
		return;
	for (size_t i = 0; i < part_count; i++) {
		size_t used = strlen(others);
		if (part_is_avr(parts[i]) &&
		    parts[i]->sram_start + parts[i]->sram_bytes - 1 == stack)
			snprintf(others + used, sizeof others - used, "%s%s", used > 0 ? ", " : ": as on the ",
				 parts[i]->title);
	}
	if (stack > end)
		check_find(check, "stack-beyond-ram", CHECK_ERROR, at,
			   "build for the part, or name the part it is for",
			   "the start-up code sets the stack to 0x%04" PRIX32 ", the RAM of the %s ends at 0x%04" PRIX32
			   "%s", stack, part->title, end, others);
	else if (others[0] != '\0')
		check_find(check, "stack-of-other-part", CHECK_WARNING, at,
			   "build for the part, or name the part it is for",
			   "the start-up code sets the stack to 0x%04" PRIX32 ", the RAM of the %s ends at 0x%04" PRIX32
			   "%s", stack, part->title, end, others);
}

/* ---- jumps to another boot start ------------------------------------------------------------------- */

/* QMK enters a bootloader by a jump to the start that its BOOTLOADER_SIZE gives. */
static void check_boot_jumps(struct check *check)
{
	const struct part *part = check->part;
	uint32_t at = 0;
	if (!check->has_boot)
		return;
	while (check_first(&check->image, at, check->boot_start, &at)) {
		uint16_t word = check_word(check, at);
		uint32_t to = is_jmp(word) || (word & 0xFE0E) == 0x940E ? target_of(check, at) : 0;
		for (unsigned i = 0; to != 0 && to != check->boot_start && i < 4; i++) {
			if (to != part->boot_start[i])
				continue;
			check_find(check, "jump-elsewhere", CHECK_WARNING, at,
				   "build it with the BOOTLOADER that the board has",
				   "the application jumps to 0x%05" PRIX32 ", a boot section's start, but the bootloader "
				   "begins at 0x%05" PRIX32 ": built for another bootloader", to, check->boot_start);
			return;
		}
		at = (at | 1) + 1;
	}
}

int check_code(struct check *check, const char *configs, struct pogo_error *err)
{
	struct part **parts;
	size_t count;
	uint32_t start;
	if (!check_reset_vector(check, &start))
		return 0;
	if (part_load_all(configs, &parts, &count, err) != 0)
		return -1;
	check_vectors(check, parts, count);
	check_stack(check, start, parts, count);
	check_boot_jumps(check);
	part_free_all(parts, count);
	return 0;
}
