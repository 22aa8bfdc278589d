/* SPDX-License-Identifier: MIT */
/* The monotonic clock and deadlines on it. Owns no state. */
#include <lastbyte/base.h>
#include <time.h>

lb_time lb_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (lb_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

lb_time lb_in_ms(int64_t ms)
{
	lb_time now = lb_now();

	if (ms > (LB_NEVER - now) / 1000000)
		return LB_NEVER;
	return ms < 0 ? now : now + ms * 1000000;
}
