#ifndef POGO_HEXTOOLS_AVR_CODE_H
#define POGO_HEXTOOLS_AVR_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* The jumps of an AVR, which vectors are made of: instruction set manual DS40002198. An instruction is one or two
 * words of the flash. */

static inline bool avr_is_jmp(unsigned word)
{
	return (word & 0xFE0E) == 0x940C;
}

static inline bool avr_is_call(unsigned word)
{
	return (word & 0xFE0E) == 0x940E;
}

static inline bool avr_is_rjmp(unsigned word)
{
	return (word & 0xF000) == 0xC000;
}

static inline bool avr_is_jump(unsigned word)
{
	return avr_is_jmp(word) || avr_is_rjmp(word);
}

/* The byte address where the JMP, CALL or RJMP at byte address `at` leads; `second` is the word behind it. An RJMP wraps
 * at the flash's end. */
static inline uint32_t avr_jump_target(unsigned word, unsigned second, uint32_t at, uint32_t flash_bytes)
{
	if (!avr_is_rjmp(word))
		return ((word & 0x01F0) << 13 | (word & 1) << 16 | second) * 2;
	int64_t words = (int64_t)(word & 0xFFF) - ((word & 0x800) != 0 ? 0x1000 : 0);
	return (uint32_t)(((int64_t)at + 2 + words * 2 + flash_bytes) % flash_bytes);
}

#endif
