/* SPDX-License-Identifier: MIT */
/* The closer in a libevent loop: a persistent read event for its descriptor, and no timer. */
#include "example.h"
#include <event2/event.h>
#include <unistd.h>

static struct lb_closer *closer;

static void step(evutil_socket_t fd, short what, void *base)
{
	(void)fd;
	(void)what;
	lb_closer_step(closer);
	if (left <= 0)
		event_base_loopbreak(base);
}

static void incoming(evutil_socket_t listener, short what, void *arg)
{
	(void)what;
	(void)arg;
	serve(closer, listener);
}

int main(int argc, char **argv)
{
	int listener = begin(argc, argv);
	struct event_base *base = event_base_new();
	struct event *endings, *arrivals;

	if (base == NULL || lb_closer_new(NULL, &closer) < 0)
		return 1;
	arrivals = event_new(base, listener, EV_READ | EV_PERSIST, incoming, NULL);
	endings = event_new(base, lb_closer_fd(closer), EV_READ | EV_PERSIST, step, base);
	if (arrivals == NULL || endings == NULL)
		return 1;
	event_add(arrivals, NULL);
	event_add(endings, NULL);
	event_base_dispatch(base);
	event_free(arrivals);
	event_free(endings);
	event_base_free(base);
	lb_closer_free(closer);
	close(listener);
	return 0;
}
