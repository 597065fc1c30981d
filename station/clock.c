#include "station/clock.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_US INT64_C(1000)

static int64_t read_clock(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

deadline_t deadline_in_ms(int64_t ms)
{
	int64_t now = clock_now();

	/* "For ever" arrives as a huge number: it must not wrap into the past. */
	if (ms > (INT64_MAX - now) / NS_PER_MS)
		return INT64_MAX;
	return now + ms * NS_PER_MS;
}

int deadline_left_ms(deadline_t deadline)
{
	int64_t now = clock_now();

	if (deadline <= now)
		return 0;
	/* Split before rounding up: adding first would overflow for a deadline of "never". */
	int64_t left = deadline - now;
	int64_t ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

void clock_sleep_us(int64_t us)
{
	if (us <= 0)
		return;
	/* An absolute end: a signal in between neither shortens nor stretches the sleep. */
	int64_t end = clock_now() + us * NS_PER_US;
	struct timespec until = {.tv_sec = (time_t)(end / NS_PER_S),
	                         .tv_nsec = (long)(end % NS_PER_S)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME) / NS_PER_MS;
}
