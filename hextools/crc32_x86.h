#ifndef POGO_HEXTOOLS_CRC32_X86_H
#define POGO_HEXTOOLS_CRC32_X86_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* CRC-32 by carry-less multiplication, 64 bytes at a time, after V. Gopal et al., "Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction", Intel 2009: the constants are those of its bit-reflected IEEE polynomial.
 * `len` is a multiple of 16 and at least 64; crc is the register itself (before and after the usual inversions). Call
 * only after cpu_has_clmul (cpu.h) said yes. */
__attribute__((target("pclmul,sse4.1"))) static inline uint32_t crc32_clmul(uint32_t crc, const uint8_t *at, size_t len)
{
	const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4), by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
	const __m128i by_8 = _mm_set_epi64x(0, 0x163cd6124), barrett = _mm_set_epi64x(0x1f7011641, 0x1db710641);
	const __m128i low_32 = _mm_set_epi32(0, 0, 0, -1);
	__m128i fold[4];
	for (int i = 0; i < 4; i++)
		fold[i] = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * (size_t)i));
	fold[0] = _mm_xor_si128(fold[0], _mm_cvtsi32_si128((int)crc));
	for (at += 64, len -= 64; len >= 64; at += 64, len -= 64)
		for (int i = 0; i < 4; i++) {
			__m128i low = _mm_clmulepi64_si128(fold[i], by_64, 0x00);
			__m128i high = _mm_clmulepi64_si128(fold[i], by_64, 0x11);
			__m128i next = _mm_loadu_si128((const __m128i *)(const void *)(at + 16 * (size_t)i));
			fold[i] = _mm_xor_si128(_mm_xor_si128(low, high), next);
		}
	__m128i all = fold[0];
	for (int i = 1; i < 4; i++)
		all = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(all, by_16, 0x00),
						  _mm_clmulepi64_si128(all, by_16, 0x11)),
				    fold[i]);
	for (; len >= 16; at += 16, len -= 16)
		all = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(all, by_16, 0x00),
						  _mm_clmulepi64_si128(all, by_16, 0x11)),
				    _mm_loadu_si128((const __m128i *)(const void *)at));
	/* 128 bits to 64, to 32 with zeros, and Barrett's reduction to the remainder. */
	all = _mm_xor_si128(_mm_srli_si128(all, 8), _mm_clmulepi64_si128(all, by_16, 0x10));
	all = _mm_xor_si128(_mm_srli_si128(all, 4), _mm_clmulepi64_si128(_mm_and_si128(all, low_32), by_8, 0x00));
	__m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(all, low_32), barrett, 0x10);
	__m128i product = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00);
	return (uint32_t)_mm_extract_epi32(_mm_xor_si128(all, product), 1);
}

#endif
