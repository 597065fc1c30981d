#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hextools/cmd_digest.h"
#include "hextools/ihex.h"
#include "hextools/outfile.h"
#include "tests/unit/scratch.h"

/* The digest of a big file is that of its image, whether its bytes already are the canonical text or not. */

static char folder[256], path[300], *text, wanted[65];
static size_t text_len;
static struct hex_image image;

static int setup(void **state)
{
	(void)state;
	enum { BYTES = 600 * 1024 + 5 };
	uint8_t *data = malloc(BYTES);
	if (data == NULL)
		return -1;
	for (size_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 11);
	scratch_make(folder);
	snprintf(path, sizeof path, "%s/big.hex", folder);
	hex_image_init(&image);
	int rc = hex_image_add(&image, 0x1234, data, BYTES, HEX_OVERLAP_ERROR, NULL, NULL);
	free(data);
	if (rc != 0 || ihex_format(&image, IHEX_CANONICAL_WIDTH, &text, &text_len, NULL) != 0)
		return -1;
	return ihex_digest(&image, wanted, NULL);
}

static int teardown(void **state)
{
	(void)state;
	hex_image_finish(&image);
	free(text);
	scratch_remove(folder);
	return 0;
}

/* As info does: the file is read between begin and end. */
static void assert_digest_of(const char *content, size_t len)
{
	char hex[65];
	struct hex_image again;
	hex_image_init(&again);
	assert_int_equal(outfile_write(path, content, len, NULL), 0);
	struct file_digest *digest = file_digest_begin(path);
	assert_int_equal(ihex_read_file(path, &again, NULL), 0);
	assert_true(hex_image_equal(&again, &image));
	assert_int_equal(file_digest_end(digest, &again, hex, NULL), 0);
	assert_string_equal(hex, wanted);
	hex_image_finish(&again);
}

static void canonical_text(void **state)
{
	(void)state;
	assert_digest_of(text, text_len);
}

static void a_letter_in_lower_case(void **state)
{
	(void)state;
	char *letter = text + text_len / 2;
	while (*letter < 'A' || *letter > 'F')
		letter++;
	*letter |= 0x20;
	assert_digest_of(text, text_len);
}

static void a_longer_and_a_shorter_end(void **state)
{
	(void)state;
	text[text_len] = '\n'; /* in the place of its NUL */
	assert_digest_of(text, text_len + 1);
	assert_digest_of(text, text_len - 1);
	text[text_len] = '\0';
}

static void other_line_ends(void **state)
{
	(void)state;
	char *crlf = malloc(2 * text_len), *to = crlf;
	assert_non_null(crlf);
	for (size_t i = 0; i < text_len; i++) {
		if (text[i] == '\n')
			*to++ = '\r';
		*to++ = text[i];
	}
	assert_digest_of(crlf, (size_t)(to - crlf));
	free(crlf);
}

/* A file that is written to between the hash and the comparison says nothing. */
static void a_file_that_changes(void **state)
{
	(void)state;
	char hex[65];
	text[1] = '0'; /* one record is another for a moment */
	assert_int_equal(outfile_write(path, text, text_len, NULL), 0);
	struct file_digest *digest = file_digest_begin(path);
	text[1] = '1';
	FILE *file = fopen(path, "r+");
	assert_true(file != NULL && fwrite(text, 1, text_len, file) == text_len && fclose(file) == 0);
	assert_int_equal(file_digest_end(digest, &image, hex, NULL), 0);
	assert_string_equal(hex, wanted);
}

static void not_worth_it(void **state)
{
	(void)state;
	assert_null(file_digest_begin("-"));
	assert_null(file_digest_begin("no/such.hex"));
	assert_null(file_digest_begin("/dev/null"));
	assert_null(file_digest_begin(folder));
	assert_null(file_digest_begin("fixtures/images/demo_firmware.hex"));
	file_digest_abandon(NULL);
	assert_int_equal(outfile_write(path, text, text_len, NULL), 0);
	file_digest_abandon(file_digest_begin(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(canonical_text, setup, teardown),
		cmocka_unit_test_setup_teardown(a_letter_in_lower_case, setup, teardown),
		cmocka_unit_test_setup_teardown(a_longer_and_a_shorter_end, setup, teardown),
		cmocka_unit_test_setup_teardown(other_line_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(not_worth_it, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
