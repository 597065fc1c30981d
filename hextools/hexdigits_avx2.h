#ifndef POGO_HEXTOOLS_HEXDIGITS_AVX2_H
#define POGO_HEXTOOLS_HEXDIGITS_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* Sixteen bytes of text at a time, for x86 processors with AVX2 only: call from functions of that target, after
 * cpu_has_avx2 (cpu.h) said yes. */

#define HEX_AVX2 __attribute__((target("avx2"), always_inline)) static inline

/* The sum of 16 bytes. */
HEX_AVX2 unsigned hex_sum16(__m128i bytes)
{
	__m128i halves = _mm_sad_epu8(bytes, _mm_setzero_si128());
	return (unsigned)_mm_cvtsi128_si32(halves) + (unsigned)_mm_extract_epi16(halves, 4);
}

/* 32 digits as 16 bytes; false if one is no digit. */
HEX_AVX2 bool hex_decode16(const uint8_t *digits, __m128i *bytes)
{
	/* By a character's high half: 3 may be a digit (bit 0), 4 and 6 a letter (bit 1); by its low half: 0 is only a
	 * digit, 1 to 6 both, 7 to 9 only a digit. It is one of them when a bit is left in both. */
	const __m256i by_high = _mm256_setr_epi8(0, 0, 0, 1, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 2, 0,
						 0, 0, 0, 0, 0, 0, 0, 0);
	const __m256i by_low = _mm256_setr_epi8(1, 3, 3, 3, 3, 3, 3, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 3, 3, 3, 3, 3, 3, 1,
						1, 1, 0, 0, 0, 0, 0, 0);
	const __m256i low_half = _mm256_set1_epi8(15);
	__m256i text = _mm256_loadu_si256((const __m256i *)(const void *)digits);
	__m256i high = _mm256_and_si256(_mm256_srli_epi16(text, 4), low_half);
	__m256i low = _mm256_and_si256(text, low_half);
	__m256i valid = _mm256_and_si256(_mm256_shuffle_epi8(by_high, high), _mm256_shuffle_epi8(by_low, low));
	/* A letter is 9 more than its low half. */
	__m256i letter = _mm256_cmpgt_epi8(high, _mm256_set1_epi8(3));
	__m256i nibbles = _mm256_add_epi8(low, _mm256_and_si256(letter, _mm256_set1_epi8(9)));
	__m256i words = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(0x0110)); /* 16 * first + second */
	*bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
	return _mm256_movemask_epi8(_mm256_cmpeq_epi8(valid, _mm256_setzero_si256())) == 0;
}

/* 16 bytes to 32 upper-case digits. */
HEX_AVX2 void hex_encode16(uint8_t *to, __m128i bytes)
{
	const __m128i digits =
		_mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F');
	const __m128i low_half = _mm_set1_epi8(15);
	__m128i high = _mm_shuffle_epi8(digits, _mm_and_si128(_mm_srli_epi16(bytes, 4), low_half));
	__m128i low = _mm_shuffle_epi8(digits, _mm_and_si128(bytes, low_half));
	_mm_storeu_si128((__m128i *)(void *)to, _mm_unpacklo_epi8(high, low));
	_mm_storeu_si128((__m128i *)(void *)(to + 16), _mm_unpackhi_epi8(high, low));
}

#endif
