#include "station/clock.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void time_only_goes_forward(void **state)
{
	(void)state;
	int64_t last = clock_now();
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_now();
		assert_true(now >= last);
		last = now;
	}
}

static void deadline_counts_down_rounded_up(void **state)
{
	(void)state;
	deadline_t far = deadline_in_ms(3600 * 1000);
	int left = deadline_left_ms(far);
	assert_true(left > 3500 * 1000 && left <= 3600 * 1000);
	assert_int_equal(
	        deadline_left_ms(clock_now() + INT64_C(3600000000001000)) > 3600000 - 100000, 1);
	/* A part of a millisecond left is not "past": poll(0) would spin. */
	deadline_t soon = clock_now() + 999999;
	int soon_left = deadline_left_ms(soon);
	assert_true(soon_left == 1 || (soon_left == 0 && clock_now() >= soon));
}

static void past_is_zero(void **state)
{
	(void)state;
	assert_int_equal(deadline_left_ms(clock_now()), 0);
	assert_int_equal(deadline_left_ms(clock_now() - 1), 0);
	assert_int_equal(deadline_left_ms(0), 0);
	assert_int_equal(deadline_left_ms(INT64_MIN), 0);
	assert_int_equal(deadline_left_ms(deadline_in_ms(-5)), 0);
}

static void never_does_not_overflow(void **state)
{
	(void)state;
	assert_int_equal(deadline_left_ms(INT64_MAX), INT_MAX);
	assert_true(deadline_in_ms(INT64_MAX) == INT64_MAX);
}

static void sleep_is_never_short(void **state)
{
	(void)state;
	int64_t begin = clock_now();
	clock_sleep_us(2000);
	assert_true(clock_now() - begin >= 2000 * 1000);
	clock_sleep_us(0);
	clock_sleep_us(-1);
}

static void wall_clock_is_unix_time(void **state)
{
	(void)state;
	int64_t before = (int64_t)time(NULL) * 1000;
	int64_t wall = clock_wall_ms();
	assert_true(wall >= before - 2000);
	assert_true(wall <= (int64_t)time(NULL) * 1000 + 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(time_only_goes_forward),
	        cmocka_unit_test(deadline_counts_down_rounded_up),
	        cmocka_unit_test(past_is_zero),
	        cmocka_unit_test(never_does_not_overflow),
	        cmocka_unit_test(sleep_is_never_short),
	        cmocka_unit_test(wall_clock_is_unix_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
