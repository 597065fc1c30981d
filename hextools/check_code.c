#include "hextools/avr_code.h"
#include "hextools/check_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the first instructions of an application tell, without a disassembler: AVR instruction set
 * manual DS40002198 (JMP, RJMP, LDI, OUT), and the start-up code of avr-libc (gcrt1). */

enum { RETI = 0x9518, SCAN_WORDS = 64 };

/* The byte address that the jump at `at` leads to. */
static uint32_t target_of(const struct check *check, uint32_t at)
{
	return avr_jump_target(check_word(check, at), check_word(check, at + 2), at, check->part->flash_bytes);
}

/* ---- reset vector --------------------------------------------------------------------------------- */

/* True if there is code to look at behind it; *start is where it begins. */
static bool check_reset_vector(struct check *check, uint32_t *start)
{
	uint16_t word = check_word(check, 0);
	uint32_t limit = check->has_boot ? check->boot_start : check->part->flash_bytes, first;
	if (!check_first_code(&check->image, 0, limit, &first)) {
		check_find(check, "no-application", CHECK_WARNING, 0, "join it with pogo-hex release",
			   "the image has no application");
		return false;
	}
	if (word == 0xFFFF) {
		check_find(check, "reset-blank", CHECK_ERROR, 0,
			   "look for a lost first record, or an application that is linked to another address",
			   "the reset vector is blank; the application's first data is at 0x%05" PRIX32, first);
		return false;
	}
	if (!avr_is_jump(word)) {
		check_find(check, "reset-no-jump", CHECK_WARNING, 0, "is this AVR code?",
			   "the reset vector has 0x%04X, which is no jump", word);
		return false;
	}
	*start = target_of(check, 0);
	if (*start >= check->part->flash_bytes || !check_has_code(check, *start)) {
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

/* A program in the image: the application at 0, or the bootloader. */
struct program {
	const char *name; /* "the application" */
	uint32_t base;
};

/* Whether a vector of `size` bytes can stand at `at`. The linker may shorten a JMP to RJMP and NOP. */
static bool is_vector(const struct check *check, uint32_t at, unsigned size)
{
	uint16_t word = check_word(check, at);
	if (size == 2)
		return avr_is_rjmp(word) || word == RETI;
	return avr_is_jmp(word) || ((avr_is_rjmp(word) || word == RETI) && check_word(check, at + 2) == 0);
}

/* Where it leads; NOWHERE: it returns at once. */
static uint32_t vector_target(const struct check *check, uint32_t at)
{
	return check_word(check, at) == RETI ? CHECK_NOWHERE : target_of(check, at);
}

/* How many vectors stand at `base`. Behind the part's own ones lie constants that may look like jumps, so more count
 * only if they all lead to code and one of them to where most of the part's do: to the place for unused interrupts. */
static unsigned count_vectors(const struct check *check, uint32_t base, unsigned size)
{
	enum { MOST = 200 };
	unsigned own = (unsigned)check->part->vector_count, count = 0, all, most = 0;
	uint32_t unused = 0;
	bool shared = false;
	while (count < own && is_vector(check, base + count * size, size))
		count++;
	if (count < own)
		return count;
	for (unsigned i = 1; i < own; i++) { /* 0 is the reset vector */
		unsigned same = 0;
		for (unsigned k = 1; k < own; k++)
			same += vector_target(check, base + i * size) == vector_target(check, base + k * size);
		if (same > most) {
			most = same;
			unused = vector_target(check, base + i * size);
		}
	}
	for (all = own; all < MOST && is_vector(check, base + all * size, size); all++) {
		uint32_t to = vector_target(check, base + all * size);
		if (to != CHECK_NOWHERE && (to >= check->part->flash_bytes || !check_has_code(check, to)))
			break;
		shared = shared || to == unused;
	}
	return shared ? all : own;
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

static void check_vectors(struct check *check, const struct program *program, struct part *const *parts,
			  size_t part_count)
{
	const struct part *part = check->part;
	char others[240];
	if (part->vector_count == 0)
		return;
	unsigned size = is_vector(check, program->base, 4) && is_vector(check, program->base + 4, 4) ? 4 : 2;
	unsigned count = count_vectors(check, program->base, size);
	if (count < 2 || (count == part->vector_count && size == part->vector_bytes))
		return;
	parts_with_vectors(parts, part_count, count, size, others, sizeof others);
	if (others[0] != '\0')
		check_find(check, "vector-table", CHECK_ERROR, program->base, "build for the part, or name the part it is for",
			   "%u interrupt vectors of %u bytes begin %s, the %s has %d of %d: built for %s", count, size,
			   program->name, part->title, part->vector_count, part->vector_bytes, others);
	else if (program->base == 0) /* a bootloader may do with fewer */
		check_find(check, "vector-table", CHECK_NOTE, program->base, "nothing, if it was written so",
			   "%u interrupt vectors of %u bytes begin %s, the %s has %d of %d", count, size, program->name,
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

static void check_stack(struct check *check, const struct program *program, uint32_t start,
			struct part *const *parts, size_t part_count)
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
	char text[400];
	static const char way_out[] = "build for the part, or name the part it is for";
	snprintf(text, sizeof text,
		 "the start-up code of %s sets the stack to 0x%04" PRIX32 ", the RAM of the %s ends at 0x%04" PRIX32 "%s",
		 program->name, stack, part->title, end, others);
	if (stack > end)
		check_find(check, "stack-beyond-ram", CHECK_ERROR, at, way_out, "%s", text);
	else if (others[0] != '\0') /* else it is its own choice */
		check_find(check, "stack-of-other-part", CHECK_WARNING, at, way_out, "%s", text);
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
		uint32_t to = avr_is_jmp(word) || avr_is_call(word) ? target_of(check, at) : 0;
		/* What lies there may be the application's own. */
		bool own = to < check->boot_start && check_has_code(check, to);
		for (unsigned i = 0; to != 0 && to != check->boot_start && !own && i < 4; i++) {
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

/* A bootloader that no file of the known ones is: built by somebody, perhaps for another part. */
static void check_boot_code(struct check *check, struct part *const *parts, size_t part_count)
{
	const struct program program = {"the bootloader", check->boot_start};
	uint16_t word = check_word(check, check->boot_start);
	if (!check->has_boot || check->file != NULL)
		return;
	check_vectors(check, &program, parts, part_count);
	check_stack(check, &program,
		    avr_is_jump(word) ? target_of(check, check->boot_start) : check->boot_start, parts,
		    part_count);
}

int check_code(struct check *check, const char *configs, struct pogo_error *err)
{
	const struct program application = {"the application", 0};
	struct part **parts;
	size_t count;
	uint32_t start;
	if (part_load_all(configs, &parts, &count, err) != 0)
		return -1;
	if (check_reset_vector(check, &start)) {
		check_vectors(check, &application, parts, count);
		check_stack(check, &application, start, parts, count);
		check_boot_jumps(check);
	}
	check_boot_code(check, parts, count);
	part_free_all(parts, count);
	return 0;
}
