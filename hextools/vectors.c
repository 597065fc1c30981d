#include "hextools/vectors.h"

#include <string.h>

#include "hextools/avr_code.h"

unsigned vectors_bytes(const struct part *part)
{
	/* AVR instruction set manual: RJMP reaches 4 KiB of words, so larger parts need JMP. */
	if (part->vector_bytes != 0)
		return part->vector_bytes;
	return part->flash_bytes > 8192 ? 4 : 2;
}

const char *vector_kind_name(enum vector_kind kind)
{
	static const char *const names[] = {"missing", "blank", "jmp",    "rjmp",
					    "other",   "stack", "address"};
	return names[kind];
}

const char *vector_place_name(enum vector_place place)
{
	static const char *const names[] = {"none", "application", "boot",    "flash",    "table", "self",
					    "blank", "outside",     "no-thumb", "ram", "bad-stack"};
	return names[place];
}

static uint32_t word16(const uint8_t *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8;
}

static bool blank_at(const struct hex_image *image, uint32_t addr)
{
	uint8_t bytes[2];
	return hex_image_read(image, addr, bytes, 2, 0xFF) == 0 || word16(bytes) == 0xFFFF;
}

/* ---- AVR -------------------------------------------------------------------------------------------- */

static enum vector_place place_of(const struct hex_image *image, const struct vector_view *view,
				  const struct vector *vector, uint32_t table_end)
{
	uint32_t target = vector->target;
	if (target >= view->part->flash_bytes)
		return PLACE_OUTSIDE;
	if (target == vector->addr)
		return PLACE_SELF;
	if (blank_at(image, target))
		return PLACE_BLANK;
	if (target >= view->base && target < table_end)
		return PLACE_TABLE;
	if (!view->has_boot)
		return PLACE_FLASH;
	return target >= view->boot_start ? PLACE_BOOT : PLACE_APPLICATION;
}

/* JMP is 1001 010k kkkk 110k and 16 more bits of k, RJMP 1100 kkkk kkkk kkkk with a signed k; both count
 * words (AVR instruction set manual). The program counter wraps at the end of the flash. */
static void decode_avr(const struct hex_image *image, const struct part *part, struct vector *vector)
{
	uint8_t bytes[4];
	size_t have = hex_image_read(image, vector->addr, bytes, 2, 0xFF);
	size_t second = hex_image_read(image, vector->addr + 2, bytes + 2, 2, 0xFF);
	uint32_t word = word16(bytes);
	vector->word = word;
	vector->place = PLACE_NONE;
	if (have < 2) {
		vector->kind = VECTOR_MISSING;
	} else if (word == 0xFFFF) {
		vector->kind = VECTOR_BLANK;
	} else if (avr_is_jump(word)) {
		vector->kind = avr_is_rjmp(word) ? VECTOR_RJMP : second < 2 ? VECTOR_MISSING : VECTOR_JMP;
		vector->target = avr_jump_target(word, word16(bytes + 2), vector->addr, part->flash_bytes);
	} else {
		vector->kind = VECTOR_OTHER;
	}
}

static bool is_jump(const struct vector *vector)
{
	return vector->kind == VECTOR_JMP || vector->kind == VECTOR_RJMP;
}

/* avr-gcc lays data and code behind the table, so the table ends at the lowest place that a vector
 * leads to, at the latest; and before the first word that is no jump. */
static size_t guess_count(const struct vector *list, size_t most)
{
	uint32_t lowest = UINT32_MAX;
	size_t count = 1;
	for (size_t i = 0; i < most; i++) {
		if (i > 0 && (!is_jump(&list[i]) || list[i].addr >= lowest))
			break;
		count = i + 1;
		if (is_jump(&list[i]) && list[i].target > list[i].addr && list[i].target < lowest)
			lowest = list[i].target;
	}
	return count;
}

size_t vectors_avr(const struct hex_image *image, const struct vector_view *view,
		   struct vector list[VECTORS_MAX])
{
	unsigned size = vectors_bytes(view->part);
	size_t known = view->count != 0 ? view->count : view->part->vector_count;
	size_t most = known != 0 ? known : 128; /* no AVR has more */
	for (size_t i = 0; i < most; i++) {
		list[i] = (struct vector){.number = (unsigned)i, .addr = view->base + (uint32_t)i * size};
		list[i].name = i == 0 ? "reset" : NULL;
		decode_avr(image, view->part, &list[i]);
	}
	size_t count = known != 0 ? known : guess_count(list, most);
	for (size_t i = 0; i < count; i++)
		if (is_jump(&list[i]))
			list[i].place = place_of(image, view, &list[i],
						 view->base + (uint32_t)count * size);
	return count;
}

/* ---- Cortex-M --------------------------------------------------------------------------------------- */

/* ARMv7-M Architecture Reference Manual, B1.5.2: exception numbers. */
static const char *cortex_name(size_t i)
{
	static const char *const names[16] = {"initial SP", "reset",      "NMI",     "HardFault",
					      "MemManage",  "BusFault",   "UsageFault", NULL,
					      NULL,         NULL,         NULL,      "SVCall",
					      "DebugMonitor", NULL,       "PendSV",  "SysTick"};
	return i < 16 ? names[i] : NULL;
}

static void decode_cortex(const struct hex_image *image, struct vector *vector)
{
	uint8_t bytes[4];
	size_t have = hex_image_read(image, vector->addr, bytes, 4, 0xFF);
	vector->word = word16(bytes) | word16(bytes + 2) << 16;
	vector->target = vector->number == 0 ? vector->word : vector->word & ~UINT32_C(1);
	vector->place = PLACE_NONE;
	if (have < 4)
		vector->kind = VECTOR_MISSING;
	else if (vector->word == UINT32_MAX)
		vector->kind = VECTOR_BLANK;
	else if (vector->number == 0)
		vector->kind = VECTOR_STACK;
	else
		vector->kind = vector->word == 0 ? VECTOR_OTHER : VECTOR_ADDRESS;
}

/* A full stack begins above the end of the RAM. Without a part: the SRAM regions of the architecture's memory map. */
static bool is_stack(const struct part *part, uint32_t word)
{
	if (word % 4 != 0)
		return false;
	if (part != NULL)
		return word > part->sram_start && word - part->sram_start <= part->sram_bytes;
	return word > 0x10000000 && word <= 0x40000000;
}

static enum vector_place cortex_place(const struct hex_image *image, const struct part *part,
				      const struct vector *vector, uint32_t base, uint32_t table_end)
{
	if (vector->kind == VECTOR_STACK)
		return is_stack(part, vector->word) ? PLACE_RAM : PLACE_BAD_STACK;
	if ((vector->word & 1) == 0)
		return PLACE_NO_THUMB;
	uint8_t bytes[2];
	if (hex_image_read(image, vector->target, bytes, 2, 0xFF) < 2)
		return PLACE_OUTSIDE;
	if (word16(bytes) == 0xFFFF)
		return PLACE_BLANK;
	if (vector->target >= base && vector->target < table_end)
		return vector->target == vector->addr ? PLACE_SELF : PLACE_TABLE;
	return PLACE_FLASH;
}

/* The table has 16 entries at least; further ones as long as they look like code addresses or zeros, and
 * lie below every target. */
static size_t guess_cortex(const struct hex_image *image, struct vector *list)
{
	uint32_t lowest = UINT32_MAX;
	size_t count = 0;
	uint8_t byte;
	for (; count < VECTORS_MAX; count++) {
		struct vector *v = &list[count];
		bool code = v->kind == VECTOR_ADDRESS && (v->word & 1) == 1 &&
			    hex_image_read(image, v->target, &byte, 1, 0) == 1;
		if (count >= 16 && (v->addr >= lowest || (!code && v->kind != VECTOR_OTHER)))
			break;
		if (code && v->target > v->addr && v->target < lowest)
			lowest = v->target;
	}
	while (count > 16 && list[count - 1].kind == VECTOR_OTHER)
		count--;
	return count;
}

size_t vectors_cortex_m(const struct hex_image *image, const struct vector_view *view,
			struct vector list[VECTORS_MAX])
{
	for (size_t i = 0; i < VECTORS_MAX; i++) {
		list[i] = (struct vector){.number = (unsigned)i, .addr = view->base + (uint32_t)i * 4};
		list[i].name = cortex_name(i);
		decode_cortex(image, &list[i]);
	}
	size_t known = view->count == 0 && view->part != NULL ? view->part->vector_count : view->count;
	size_t count = known != 0 ? known : guess_cortex(image, list);
	for (size_t i = 0; i < count; i++)
		if (list[i].kind == VECTOR_STACK || list[i].kind == VECTOR_ADDRESS)
			list[i].place = cortex_place(image, view->part, &list[i], view->base,
						     view->base + (uint32_t)count * 4);
	return count;
}
