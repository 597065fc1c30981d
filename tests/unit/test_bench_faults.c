#include "fixtures/bench/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { FLASH = 32768 };

static struct bench_faults *plan(const char *spec)
{
	struct bench_faults *out = NULL;
	struct pogo_error err = {0};
	if (bench_faults_parse(spec, 8, FLASH, &out, &err) != 0)
		fail_msg("%s", err.text);
	return out;
}

static void every_fault_reaches_its_board(void **state)
{
	(void)state;
	struct bench_faults *faults =
	        plan("3.2:stuck=0x1234.5.1;5.1:no-contact;6.1:wrong-chip;2.*:slow-page=150;"
	             "4.1:bad-byte=0x100.0x01;7.2:contact-lost=500;1.1:unplug=3000;"
	             "1.2:stall=900;8.3:hang=1200;*.1:slow-pod=300;2.2:fuse-stuck;"
	             "2.3:lock-stuck; 2.4:no-erase ;");
	struct bench_fault_set set;
	bench_faults_for(faults, 1, 3, 2, &set);
	assert_true(set.board.stuck);
	assert_int_equal(set.board.stuck_address, 0x1234);
	assert_int_equal(set.board.stuck_bit, 5);
	assert_int_equal(set.board.stuck_value, 1);
	assert_string_equal(set.text, "stuck=0x1234.5.1");
	bench_faults_for(faults, 1, 3, 3, &set);
	assert_string_equal(set.text, "");
	bench_faults_for(faults, 1, 5, 1, &set);
	assert_true(set.board.no_contact);
	assert_int_equal(set.pod.slow_percent, 300);
	assert_string_equal(set.text, "no-contact,slow-pod=300");
	bench_faults_for(faults, 1, 6, 1, &set);
	assert_true(set.board.wrong_chip);
	bench_faults_for(faults, 1, 4, 1, &set);
	assert_true(set.board.bad_byte && set.board.bad_address == 0x100 && set.board.bad_xor == 1);
	bench_faults_for(faults, 1, 7, 2, &set);
	assert_int_equal(set.board.contact_lost_after, 500);
	bench_faults_for(faults, 1, 1, 1, &set);
	assert_int_equal(set.pod.unplug_after, 3000);
	bench_faults_for(faults, 1, 1, 2, &set);
	assert_int_equal(set.pod.stall_after, 900);
	bench_faults_for(faults, 1, 8, 3, &set);
	assert_int_equal(set.pod.hang_after, 1200);
	bench_faults_for(faults, 1, 2, 2, &set);
	assert_true(set.board.fuse_stuck && set.board.slow_page_percent == 150);
	bench_faults_for(faults, 1, 2, 3, &set);
	assert_true(set.board.lock_stuck);
	bench_faults_for(faults, 1, 2, 4, &set);
	assert_true(set.board.no_erase);
	bench_faults_destroy(faults);
}

static void errors_name_the_item(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "9.1:no-contact",
	        "0.1:no-contact",
	        "x.1:no-contact",
	        "1:no-contact",
	        "1.0:no-contact",
	        "1.1",
	        "1.1:",
	        "1.1:nonsense",
	        "1.1:stuck",
	        "1.1:stuck=1.2",
	        "1.1:stuck=1.8.0",
	        "1.1:stuck=0x8000.1.0",
	        "1.1:stuck=1.2.2",
	        "1.1:stuck=1.2.1.1",
	        "1.1:no-contact=1",
	        "1.1:unplug=0",
	        "1.1:unplug=-4",
	        "1.1:stall=5x",
	        "random=101",
	        "random=",
	        "1.1:bad-byte=3.0",
	        "*:hang=4",
	        "1.*hang=4",
	        "1.1:stuck=99999999999999999999.1.1",
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct bench_faults *out = NULL;
		struct pogo_error err = {0};
		char spec[100] = "2.2:no-erase;";
		strcat(spec, bad[i]);
		if (bench_faults_parse(spec, 8, FLASH, &out, &err) == 0)
			fail_msg("'%s' was accepted", bad[i]);
		assert_int_equal(err.kind, POGO_INPUT);
		if (strstr(err.text, bad[i]) == NULL)
			fail_msg("'%s' is not in: %s", bad[i], err.text);
		assert_null(out);
	}
}

static void nothing_is_no_fault(void **state)
{
	(void)state;
	struct bench_faults *faults = plan(NULL);
	struct bench_fault_set set;
	bench_faults_for(faults, 1, 1, 1, &set);
	assert_string_equal(set.text, "");
	bench_faults_destroy(faults);
	bench_faults_for(NULL, 1, 1, 1, &set);
	assert_string_equal(set.text, "");
	bench_faults_destroy(NULL);
}

static void chance_is_reproducible(void **state)
{
	(void)state;
	struct bench_faults *faults = plan("random=20"), *again = plan("random=20");
	unsigned hit = 0, differs = 0;
	for (unsigned ordinal = 1; ordinal <= 1000; ordinal++) {
		struct bench_fault_set a, b, other;
		bench_faults_for(faults, 7, 3, ordinal, &a);
		bench_faults_for(again, 7, 3, ordinal, &b);
		bench_faults_for(faults, 8, 3, ordinal, &other);
		assert_memory_equal(&a, &b, sizeof a);
		assert_false(a.has_pod);
		hit += a.text[0] != '\0';
		differs += strcmp(a.text, other.text) != 0;
	}
	assert_in_range(hit, 140, 260);
	assert_true(differs > 100);
	bench_faults_destroy(faults);
	bench_faults_destroy(again);
}

static void one_fault_too_many_changes_nothing(void **state)
{
	(void)state;
	struct bench_fault_set set = {0}, before;
	while (before = set, bench_fault_add(&set, "contact-lost=1000000", FLASH, NULL) == 0)
		;
	assert_memory_equal(&set, &before, sizeof set);
	assert_int_equal(bench_fault_add(&set, "wrong", FLASH, NULL), -1);
	assert_memory_equal(&set, &before, sizeof set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_fault_reaches_its_board),
	        cmocka_unit_test(errors_name_the_item),
	        cmocka_unit_test(nothing_is_no_fault),
	        cmocka_unit_test(chance_is_reproducible),
	        cmocka_unit_test(one_fault_too_many_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
