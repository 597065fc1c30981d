#ifndef POGO_HEXTOOLS_SHA256_X86_H
#define POGO_HEXTOOLS_SHA256_X86_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* FIPS 180-4, 6.2.2 over whole blocks with the SHA instructions of x86 processors (Intel Software Developer's Manual
 * volume 2: SHA256RNDS2, SHA256MSG1, SHA256MSG2). Call only after cpu_has_sha (cpu.h) said yes.
 *
 * The instructions keep the state as two registers, ABEF and CDGH, A and C highest, and do two rounds at a time, with
 * the sums of message word and constant in the low half of a third. */
__attribute__((target("sha,sse4.1,ssse3"))) static inline void
sha256_compress_x86(uint32_t state[8], const uint8_t *block, size_t count, const uint32_t constant[64])
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	__m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)state);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
	__m128i badc = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
	__m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
	for (; count > 0; count--, block += 64) {
		__m128i was_abef = abef, was_cdgh = cdgh, word[4];
		for (int i = 0; i < 4; i++)
			word[i] = _mm_shuffle_epi8(
				_mm_loadu_si128((const __m128i *)(const void *)(block + 16 * (size_t)i)), big_endian);
		/* Four rounds each time; word[0] is of these rounds, and becomes the word of sixteen rounds later. */
		for (int t = 0; t < 64; t += 4) {
			__m128i sum = _mm_add_epi32(
				word[0], _mm_loadu_si128((const __m128i *)(const void *)(constant + t)));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
			__m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(word[0], word[1]),
						     _mm_alignr_epi8(word[3], word[2], 4));
			next = _mm_sha256msg2_epu32(next, word[3]);
			word[0] = word[1], word[1] = word[2], word[2] = word[3], word[3] = next;
		}
		abef = _mm_add_epi32(abef, was_abef);
		cdgh = _mm_add_epi32(cdgh, was_cdgh);
	}
	__m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#endif
