#ifndef POGO_TESTS_VIRTUAL_CLOCK_H
#define POGO_TESTS_VIRTUAL_CLOCK_H

#include "station/clock.h"

/* Time that passes only when somebody waits: these definitions stand before those of the library. A look at the clock
 * takes a little as well, so that nobody waits for ever by looking. */

static int64_t virtual_now = 1000000000;

static void virtual_pass_us(int64_t us)
{
	virtual_now += us * 1000;
}

int64_t clock_now(void)
{
	return virtual_now += 100;
}

deadline_t deadline_in_ms(int64_t ms)
{
	return clock_now() + ms * 1000000;
}

int deadline_left_ms(deadline_t deadline)
{
	int64_t left = deadline - clock_now();

	return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

void clock_sleep_us(int64_t us)
{
	virtual_pass_us(us > 0 ? us : 0);
}

int64_t clock_wall_ms(void)
{
	return virtual_now / 1000000;
}

#endif
