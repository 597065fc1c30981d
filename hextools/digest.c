#include "hextools/digest.h"

#include <string.h>

#include "hextools/cpu.h"
#if CPU_X86
#include "hextools/crc32_x86.h"
#include "hextools/sha256_x86.h"
#endif

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const uint32_t sha256_round_constant[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t value, unsigned by)
{
	return value >> by | value << (32 - by);
}

static uint32_t load_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t schedule_sum0(uint32_t x)
{
	return rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
}

static uint32_t schedule_sum1(uint32_t x)
{
	return rotate_right(x, 17) ^ rotate_right(x, 19) ^ x >> 10;
}

/* One round of FIPS 180-4, 6.2.2. The working variables stay where they are: the caller names them
 * shifted by one each time, so that no round copies them. */
#define ROUND(a, b, c, d, e, f, g, h, constant, word)                                                  \
	do {                                                                                           \
		uint32_t t1 = (h) + (constant) + (word) + ((g) ^ ((e) & ((f) ^ (g)))) +                \
			      (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25));        \
		(d) += t1;                                                                             \
		(h) = t1 + (((a) & (b)) | ((c) & ((a) | (b)))) +                                       \
		      (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22));                \
	} while (0)

/* Eight rounds, with constants k[0..7] and message words w[0..7]; the names are then as before. */
#define EIGHT_ROUNDS(k, w)                                                                             \
	do {                                                                                           \
		ROUND(a, b, c, d, e, f, g, h, (k)[0], (w)[0]);                                         \
		ROUND(h, a, b, c, d, e, f, g, (k)[1], (w)[1]);                                         \
		ROUND(g, h, a, b, c, d, e, f, (k)[2], (w)[2]);                                         \
		ROUND(f, g, h, a, b, c, d, e, (k)[3], (w)[3]);                                         \
		ROUND(e, f, g, h, a, b, c, d, (k)[4], (w)[4]);                                         \
		ROUND(d, e, f, g, h, a, b, c, (k)[5], (w)[5]);                                         \
		ROUND(c, d, e, f, g, h, a, b, (k)[6], (w)[6]);                                         \
		ROUND(b, c, d, e, f, g, h, a, (k)[7], (w)[7]);                                         \
	} while (0)

/* FIPS 180-4, 6.2.2, over whole blocks. */
static void compress_plain(uint32_t state[8], const uint8_t *block, size_t count)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	for (; count > 0; count--, block += 64) {
		uint32_t w[64];
		for (unsigned t = 0; t < 16; t++)
			w[t] = load_be32(block + 4 * (size_t)t);
		for (unsigned t = 16; t < 64; t++)
			w[t] = schedule_sum1(w[t - 2]) + w[t - 7] + schedule_sum0(w[t - 15]) + w[t - 16];
		for (unsigned t = 0; t < 64; t += 8)
			EIGHT_ROUNDS(sha256_round_constant + t, w + t);
		a = state[0] += a, b = state[1] += b, c = state[2] += c, d = state[3] += d;
		e = state[4] += e, f = state[5] += f, g = state[6] += g, h = state[7] += h;
	}
}

#if CPU_X86
__attribute__((target("sha,sse4.1,ssse3"))) static void compress_x86(uint32_t state[8], const uint8_t *block, size_t count)
{
	struct sha256_x86 sha = sha256_x86_load(state);
	for (; count > 0; count--, block += 64)
		sha256_x86_block(&sha, block);
	sha256_x86_store(&sha, state);
}
#endif

static void compress(const struct sha256 *sha, uint32_t state[8], const uint8_t *block, size_t count)
{
#if CPU_X86
	if (sha->instructions) {
		compress_x86(state, block, count);
		return;
	}
#else
	(void)sha;
#endif
	compress_plain(state, block, count);
}

void sha256_init(struct sha256 *sha)
{
	/* FIPS 180-4, 5.3.3 */
	static const uint32_t initial[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	memset(sha, 0, sizeof *sha);
	memcpy(sha->state, initial, sizeof initial);
	sha->instructions = cpu_has_sha();
}

void sha256_update(struct sha256 *sha, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t filled = sha->length % sizeof sha->block;
	sha->length += len;
	while (len > 0) {
		if (filled == 0 && len >= sizeof sha->block) {
			size_t blocks = len / sizeof sha->block;
			compress(sha, sha->state, from, blocks);
			from += blocks * sizeof sha->block;
			len -= blocks * sizeof sha->block;
			continue;
		}
		size_t part = sizeof sha->block - filled < len ? sizeof sha->block - filled : len;
		memcpy(sha->block + filled, from, part);
		from += part;
		len -= part;
		filled += part;
		if (filled == sizeof sha->block) {
			compress(sha, sha->state, sha->block, 1);
			filled = 0;
		}
	}
}

void sha256_final(struct sha256 *sha, uint8_t digest[32])
{
	static const uint8_t padding[64] = {0x80};
	uint64_t bits = sha->length * 8;
	size_t filled = sha->length % 64;
	sha256_update(sha, padding, filled < 56 ? 56 - filled : 120 - filled);
	uint8_t length[8];
	for (unsigned i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_update(sha, length, sizeof length);
	for (unsigned i = 0; i < 32; i++)
		digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_final_hex(struct sha256 *sha, char hex[65])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[32];
	sha256_final(sha, digest);
	for (unsigned i = 0; i < 32; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
}

void sha256_hex(const void *data, size_t len, char hex[65])
{
	struct sha256 sha;
	sha256_init(&sha);
	sha256_update(&sha, data, len);
	sha256_final_hex(&sha, hex);
}

/* ---- CRC-32: the reflected polynomial 0xEDB88320 ------------------------------------------------------ */

static uint32_t crc32_byte(uint32_t crc)
{
	/* What four bits at a time do to the register. */
	static const uint32_t nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	crc = crc >> 4 ^ nibble[crc & 15];
	return crc >> 4 ^ nibble[crc & 15];
}

/* Eight bytes at a time. table[n][b] is what byte b does to the register n bytes later. */
static uint32_t crc32_eights(uint32_t crc, const uint8_t *at, size_t len)
{
	uint32_t table[8][256];
	for (uint32_t b = 0; b < 256; b++) {
		table[0][b] = crc32_byte(b);
		for (unsigned n = 1; n < 8; n++)
			table[n][b] = crc32_byte(table[n - 1][b]);
	}
	for (; len >= 8; at += 8, len -= 8) {
		crc ^= at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		crc = table[7][crc & 0xFF] ^ table[6][crc >> 8 & 0xFF] ^ table[5][crc >> 16 & 0xFF] ^
		      table[4][crc >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
		      table[0][at[7]];
	}
	return crc;
}

uint32_t crc32_update(uint32_t crc, const void *data, size_t len)
{
	/* Building the tables costs about as much as this many bytes without them. */
	enum { WORTH_TABLES = 4096 };
	const uint8_t *at = data;
	crc = ~crc;
#if CPU_X86
	if (len >= 64 && cpu_has_clmul()) {
		crc = crc32_clmul(crc, at, len & ~(size_t)15);
		at += len & ~(size_t)15;
		len &= 15;
	}
#endif
	if (len >= WORTH_TABLES) {
		crc = crc32_eights(crc, at, len);
		at += len & ~(size_t)7;
		len &= 7;
	}
	for (; len > 0; at++, len--)
		crc = crc32_byte(crc ^ *at);
	return ~crc;
}
