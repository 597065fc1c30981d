#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hextools/digest.h"

/* FIPS 180-4 examples of NIST, and the CRC catalogue's check value. */
static void known_sha256(void **state)
{
	(void)state;
	char hex[65];
	sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	sha256_hex(two_blocks, strlen(two_blocks), hex);
	assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_million_in_odd_pieces(void **state)
{
	(void)state;
	char piece[97];
	memset(piece, 'a', sizeof piece);
	struct sha256 sha;
	sha256_init(&sha);
	size_t left = 1000000;
	while (left > 0) {
		size_t len = left < sizeof piece ? left : sizeof piece;
		sha256_update(&sha, piece, len);
		left -= len;
	}
	uint8_t digest[32];
	static const uint8_t wanted[4] = {0xcd, 0xc7, 0x6e, 0x5c};
	sha256_final(&sha, digest);
	assert_memory_equal(digest, wanted, 4);
}

/* The processor's own instructions, where it has them, and plain C: two that must agree. */
static void both_ways_agree(void **state)
{
	(void)state;
	static uint8_t text[5000];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
	for (size_t len = 0; len <= sizeof text; len += 1 + len / 7) {
		struct sha256 fast, plain;
		uint8_t a[32], b[32];
		sha256_init(&fast);
		sha256_init(&plain);
		plain.instructions = false;
		sha256_update(&fast, text, len);
		sha256_update(&plain, text, len);
		sha256_final(&fast, a);
		sha256_final(&plain, b);
		assert_memory_equal(a, b, sizeof a);
	}
}

static void padding_at_every_length(void **state)
{
	(void)state;
	/* One update and byte-wise updates agree for all lengths around the block edges. */
	char text[200];
	memset(text, 'x', sizeof text);
	for (size_t len = 0; len < sizeof text; len++) {
		struct sha256 once, bytewise;
		uint8_t a[32], b[32];
		sha256_init(&once);
		sha256_update(&once, text, len);
		sha256_final(&once, a);
		sha256_init(&bytewise);
		for (size_t i = 0; i < len; i++)
			sha256_update(&bytewise, text + i, 1);
		sha256_final(&bytewise, b);
		assert_memory_equal(a, b, 32);
	}
}

/* Bit by bit, as the polynomial is defined. */
static uint32_t slow_crc32(const uint8_t *at, size_t len)
{
	uint32_t crc = 0xFFFFFFFF;
	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	return ~crc;
}

static void crc32_of_every_length(void **state)
{
	(void)state;
	static uint8_t text[5000];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)(i * 37 + (i >> 8) * 11 + 3);
	for (size_t len = 0; len <= sizeof text; len += 1 + len / 40)
		for (size_t from = 0; from < 3; from++)
			if (from <= len)
				assert_int_equal(crc32_update(0, text + from, len - from),
						 slow_crc32(text + from, len - from));
	assert_int_equal(crc32_update(crc32_update(0, text, 777), text + 777, 3000), slow_crc32(text, 3777));
}

static void known_crc32(void **state)
{
	(void)state;
	assert_int_equal(crc32_update(0, "123456789", 9), 0xCBF43926);
	assert_int_equal(crc32_update(crc32_update(0, "1234", 4), "56789", 5), 0xCBF43926);
	assert_int_equal(crc32_update(0, "", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_sha256),
		cmocka_unit_test(a_million_in_odd_pieces),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(padding_at_every_length),
		cmocka_unit_test(known_crc32),
		cmocka_unit_test(crc32_of_every_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
