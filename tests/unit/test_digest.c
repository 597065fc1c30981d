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
		cmocka_unit_test(padding_at_every_length),
		cmocka_unit_test(known_crc32),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
