/* SPDX-License-Identifier: MIT */
/* What the files of the real machine share: host.c puts their tables together. */
#ifndef LOOP_REAL_H
#define LOOP_REAL_H

#include "loop/host.h"
#include <limits.h>

extern const struct lb_net_ops lb_net_real;
extern const struct lb_disk_ops lb_disk_real;

/* The time-out for poll(2) and epoll_wait(2), in milliseconds. Rounded up: one that ends before the deadline
 * would have its caller spin until then. */
static inline int lb_timeout_ms(lb_time now, lb_time deadline)
{
	int64_t ms;

	if (deadline == LB_NEVER)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now - 1) / 1000000 + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

#endif
