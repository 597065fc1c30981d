#ifndef POGO_TESTS_STEER_CRC_H
#define POGO_TESTS_STEER_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hextools/digest.h"

/* Sets the four bytes at `at` so that the CRC-32 of all bytes is `want`: a stand-in for a released file
 * that a test may not carry. The register is run backwards from the end to behind the four. */
static inline void steer_crc(uint8_t *bytes, size_t len, size_t at, uint32_t want)
{
	uint32_t table[256], end = want ^ 0xFFFFFFFF;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] = table[i] >> 1 ^ ((table[i] & 1) != 0 ? 0xEDB88320 : 0);
	}
	uint32_t now = crc32_update(0, bytes, at) ^ 0xFFFFFFFF;
	memset(bytes + at, 0, 4);
	for (const uint8_t *byte = bytes + len; byte != bytes + at;) {
		uint32_t index = 0;
		while (table[index] >> 24 != end >> 24)
			index++;
		end = (end ^ table[index]) << 8 | (index ^ *--byte);
	}
	for (unsigned i = 0; i < 4; i++)
		bytes[at + i] = (uint8_t)((end ^ now) >> (8 * i));
}

#endif
