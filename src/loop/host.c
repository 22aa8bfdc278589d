/* SPDX-License-Identifier: MIT */
/*
 * The machine that we run on: its clock and its randomness, and the tables of net.c and disk.c beside them.
 * Owns nothing; one constant host serves every caller and every thread.
 */
#include "loop/real.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static lb_time clock_now(struct lb_host *host)
{
	(void)host;
	return lb_now();
}

static int64_t clock_wall(struct lb_host *host)
{
	struct timespec ts;

	(void)host;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void fill_random(struct lb_host *host, void *buf, size_t len)
{
	unsigned char *at = buf;

	(void)host;
	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* Two clients or two ledgers with one identity would make a double commit possible: better
		 * to stop. */
		if (n <= 0)
			abort();
		at += n;
		len -= (size_t)n;
	}
}

static const struct lb_clock_ops clock_real = {
	.now = clock_now,
	.wall = clock_wall,
	.random = fill_random,
};

struct lb_host *lb_host_real(void)
{
	/* not const in the interface, because other machines have a state; nobody writes to this one */
	static const struct lb_host real = {.clock = &clock_real, .net = &lb_net_real, .disk = &lb_disk_real};

	return (struct lb_host *)&real;
}
