/* SPDX-License-Identifier: MIT */
/* The closer in an epoll(7) loop: its descriptor is one more to watch, and a step is all that it asks for. */
#include "example.h"
#include <sys/epoll.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int listener = begin(argc, argv), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
	struct lb_closer *closer;

	if (epoll < 0 || lb_closer_new(NULL, &closer) < 0)
		return 1;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	event = (struct epoll_event){.events = lb_closer_events(closer), .data.fd = lb_closer_fd(closer)};
	epoll_ctl(epoll, EPOLL_CTL_ADD, lb_closer_fd(closer), &event);
	while (left > 0) {
		if (epoll_wait(epoll, &event, 1, -1) < 1)
			continue;
		if (event.data.fd == listener)
			serve(closer, listener);
		else
			lb_closer_step(closer);
	}
	lb_closer_free(closer);
	close(listener);
	close(epoll);
	return 0;
}
