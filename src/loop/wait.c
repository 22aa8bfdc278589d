/* SPDX-License-Identifier: MIT */
/* The wait of the machine that we run on, for whoever has no loop. Owns no state. */
#include "loop/real.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

_Static_assert(
	EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLRDHUP == POLLRDHUP, "poll(2) takes epoll's bits");

int lb_wait_until(int fd, uint32_t events, int fd2, int fd3, lb_time deadline)
{
	/* poll(2) passes over an fd of -1, and reports a hang-up whether it was asked for or not */
	struct pollfd fds[3] = {
		{.fd = events != 0 ? fd : -1, .events = (short)events},
		{.fd = fd2, .events = POLLIN},
		{.fd = fd3, .events = POLLIN},
	};

	for (;;) {
		int n = poll(fds, 3, lb_timeout_ms(lb_now(), deadline)), ready = 0;

		for (int i = 0; n > 0 && i < 3; i++)
			if (fds[i].revents != 0)
				ready |= 1 << i;
		if (ready != 0)
			return ready;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (lb_now() >= deadline)
			return 0;
	}
}
