#ifndef POGO_STATION_CLOCK_H
#define POGO_STATION_CLOCK_H

#include <stdint.h>

/* Monotonic time in nanoseconds. A deadline is an instant, not a time-out per call: it travels down the
 * layers and every call spends from it. */

typedef int64_t deadline_t; /* clock_now() value after which nothing may wait any more */

int64_t clock_now(void);
deadline_t deadline_in_ms(int64_t ms);
int deadline_left_ms(deadline_t deadline); /* rounded up, 0 when past */
void clock_sleep_us(int64_t us);
/* Wall clock, milliseconds since 1970 UTC: for records, never for waiting. */
int64_t clock_wall_ms(void);

#endif
