#ifndef POGO_HEXTOOLS_SHA256_X86_H
#define POGO_HEXTOOLS_SHA256_X86_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "hextools/digest.h"

/* FIPS 180-4, 6.2.2, with the SHA instructions of x86 processors (Intel Software Developer's Manual volume 2:
 * SHA256RNDS2, SHA256MSG1, SHA256MSG2). Call from functions of that target, after cpu_has_sha (cpu.h) said yes.
 *
 * The instructions keep the state as two registers, ABEF and CDGH, A and C highest, and do two rounds at a time, with
 * the sums of message word and constant in the low half of a third. */

#define SHA256_X86 __attribute__((target("sha,sse4.1,ssse3"), always_inline)) static inline

struct sha256_x86 {
	__m128i abef, cdgh;
};

SHA256_X86 struct sha256_x86 sha256_x86_load(const uint32_t state[8])
{
	__m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)state);
	__m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
	__m128i badc = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
	return (struct sha256_x86){_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xF0)};
}

SHA256_X86 void sha256_x86_store(const struct sha256_x86 *sha, uint32_t state[8])
{
	__m128i feba = _mm_shuffle_epi32(sha->abef, 0x1B), dchg = _mm_shuffle_epi32(sha->cdgh, 0xB1);
	_mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(feba, dchg, 0xF0));
	_mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

SHA256_X86 void sha256_x86_block(struct sha256_x86 *sha, const uint8_t *block)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	__m128i abef = sha->abef, cdgh = sha->cdgh, word[4];
	for (int i = 0; i < 4; i++)
		word[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(block + 16 * (size_t)i)),
					   big_endian);
	/* Four rounds each time; word[0] is of these rounds, and becomes the word of sixteen rounds later. */
	for (int t = 0; t < 64; t += 4) {
		__m128i sum = _mm_add_epi32(
			word[0], _mm_loadu_si128((const __m128i *)(const void *)(sha256_round_constant + t)));
		cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
		abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
		__m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(word[0], word[1]),
					     _mm_alignr_epi8(word[3], word[2], 4));
		next = _mm_sha256msg2_epu32(next, word[3]);
		word[0] = word[1], word[1] = word[2], word[2] = word[3], word[3] = next;
	}
	sha->abef = _mm_add_epi32(abef, sha->abef);
	sha->cdgh = _mm_add_epi32(cdgh, sha->cdgh);
}

#endif
