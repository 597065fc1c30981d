#include "station/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	enum fail_code code;
	const char *name;
	bool error;
} codes[] = {
        {FAIL_NONE, "NONE", false},           {FAIL_NO_BOARD, "NO_BOARD", true},
        {FAIL_CONTACT, "CONTACT", false},     {FAIL_POWER, "POWER", false},
        {FAIL_SIGNATURE, "SIGNATURE", false}, {FAIL_PROTECTED, "PROTECTED", false},
        {FAIL_ERASE, "ERASE", false},         {FAIL_WRITE, "WRITE", false},
        {FAIL_VERIFY, "VERIFY", false},       {FAIL_FUSE, "FUSE", false},
        {FAIL_LOCK, "LOCK", false},           {FAIL_SERIAL, "SERIAL", false},
        {FAIL_TIMEOUT, "TIMEOUT", false},     {FAIL_PROGRAMMER_LOST, "PROGRAMMER_LOST", true},
        {FAIL_ABORTED, "ABORTED", true},      {FAIL_RECORD, "RECORD", true},
};

/* The names are in logs that outlive this program: they must not change. */
static void names_and_classes_are_stable(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
		assert_int_equal(codes[i].code, i);
		assert_string_equal(fail_name(codes[i].code), codes[i].name);
		assert_int_equal(fail_is_error(codes[i].code), codes[i].error);
	}
	assert_string_equal(fail_name((enum fail_code)99), "UNKNOWN");
}

static void set_fills_everything(void **state)
{
	(void)state;
	struct fault fault;
	memset(&fault, 0xA5, sizeof fault);
	assert_int_equal(fault_set(&fault, FAIL_ERASE, "erase took %d ms", 12), -1);
	assert_int_equal(fault.code, FAIL_ERASE);
	assert_false(fault.has_address);
	assert_int_equal(fault.address, 0);
	assert_string_equal(fault.text, "erase took 12 ms");
}

static void byte_carries_the_place(void **state)
{
	(void)state;
	struct fault fault;
	memset(&fault, 0xA5, sizeof fault);
	assert_int_equal(fault_byte(&fault, FAIL_VERIFY, 0x7E00, 0x12, 0x13, "flash differs"), -1);
	assert_int_equal(fault.code, FAIL_VERIFY);
	assert_true(fault.has_address);
	assert_int_equal(fault.address, 0x7E00);
	assert_int_equal(fault.expected, 0x12);
	assert_int_equal(fault.found, 0x13);
	assert_string_equal(fault.text, "flash differs");
}

static void long_texts_are_cut_not_overrun(void **state)
{
	(void)state;
	struct fault fault;
	char big[500];
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	fault_set(&fault, FAIL_WRITE, "%s", big);
	assert_int_equal(strlen(fault.text), sizeof fault.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_and_classes_are_stable),
	        cmocka_unit_test(set_fills_everything),
	        cmocka_unit_test(byte_carries_the_place),
	        cmocka_unit_test(long_texts_are_cut_not_overrun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
