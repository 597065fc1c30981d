#include "hextools/digest.h"

#include <string.h>

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constant[64] = {
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

/* FIPS 180-4, 6.2.2, with the working variables a..h in v[0..7]. */
static void compress(uint32_t state[8], const uint8_t *block)
{
	uint32_t w[64], v[8];
	for (unsigned t = 0; t < 16; t++)
		w[t] = load_be32(block + 4 * (size_t)t);
	for (unsigned t = 16; t < 64; t++) {
		uint32_t x = w[t - 15], y = w[t - 2];
		uint32_t s0 = rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
		uint32_t s1 = rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10;
		w[t] = s1 + w[t - 7] + s0 + w[t - 16];
	}
	memcpy(v, state, sizeof v);
	for (unsigned t = 0; t < 64; t++) {
		uint32_t s1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
		uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t t1 = v[7] + s1 + choose + round_constant[t] + w[t];
		uint32_t s0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
		uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		memmove(v + 1, v, 7 * sizeof v[0]);
		v[4] += t1;
		v[0] = t1 + s0 + majority;
	}
	for (unsigned i = 0; i < 8; i++)
		state[i] += v[i];
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
}

void sha256_update(struct sha256 *sha, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t filled = sha->length % sizeof sha->block;
	sha->length += len;
	while (len > 0) {
		if (filled == 0 && len >= sizeof sha->block) {
			compress(sha->state, from);
			from += sizeof sha->block;
			len -= sizeof sha->block;
			continue;
		}
		size_t part = sizeof sha->block - filled < len ? sizeof sha->block - filled : len;
		memcpy(sha->block + filled, from, part);
		from += part;
		len -= part;
		filled += part;
		if (filled == sizeof sha->block) {
			compress(sha->state, sha->block);
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

void sha256_hex(const void *data, size_t len, char hex[65])
{
	static const char digits[] = "0123456789abcdef";
	struct sha256 sha;
	uint8_t digest[32];
	sha256_init(&sha);
	sha256_update(&sha, data, len);
	sha256_final(&sha, digest);
	for (unsigned i = 0; i < 32; i++) {
		hex[2 * i] = digits[digest[i] >> 4];
		hex[2 * i + 1] = digits[digest[i] & 15];
	}
	hex[64] = '\0';
}

uint32_t crc32_update(uint32_t crc, const void *data, size_t len)
{
	/* The reflected polynomial 0xEDB88320 worked over four bits at a time. */
	static const uint32_t nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const uint8_t *byte = data;
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= byte[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}
