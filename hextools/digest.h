#ifndef POGO_HEXTOOLS_DIGEST_H
#define POGO_HEXTOOLS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-256 (FIPS 180-4) and CRC-32 (IEEE 802.3, as zlib: reflected 0xEDB88320). */

struct sha256 {
	uint32_t state[8];
	uint64_t length;
	uint8_t block[64];
	bool instructions; /* the processor has some for this; init looks, a test may say no */
};

void sha256_init(struct sha256 *sha);
void sha256_update(struct sha256 *sha, const void *data, size_t len);
void sha256_final(struct sha256 *sha, uint8_t digest[32]);
void sha256_final_hex(struct sha256 *sha, char hex[65]); /* lower case and a NUL */
void sha256_hex(const void *data, size_t len, char hex[65]);

extern const uint32_t sha256_round_constant[64]; /* FIPS 180-4, 4.2.2; for those who do the rounds themselves */

/* Continues from `crc` (start with 0); returns the new value. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t len);

#endif
