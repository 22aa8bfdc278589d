/* SPDX-License-Identifier: MIT */
/*
 * The watches of a loop, on epoll(7). Owns the epoll fd and a batch of events; the watches and their fds are
 * their owners'.
 */
#include "loop/epoll.h"
#include <errno.h>
#include <unistd.h>

int lb_epoll_init(struct lb_epoll *epoll)
{
	epoll->next = epoll->end = 0;
	epoll->fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll->fd < 0 ? -errno : 0;
}

void lb_epoll_deinit(struct lb_epoll *epoll)
{
	if (epoll->fd >= 0)
		close(epoll->fd);
}

static int control(struct lb_epoll *epoll, int operation, struct lb_watch *watch)
{
	struct epoll_event event = {.events = watch->events, .data.ptr = watch};

	return epoll_ctl(epoll->fd, operation, watch->fd, &event) < 0 ? -errno : 0;
}

/* An fd in the set always reports EPOLLERR and EPOLLHUP: with events 0 it must not be there at all. */
int lb_epoll_watch(struct lb_epoll *epoll, struct lb_watch *watch)
{
	return watch->events == 0 ? 0 : control(epoll, EPOLL_CTL_ADD, watch);
}

int lb_epoll_rewatch(struct lb_epoll *epoll, struct lb_watch *watch)
{
	int r = control(epoll, watch->events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, watch);

	/* it had no events before */
	return r == -ENOENT ? lb_epoll_watch(epoll, watch) : r;
}

void lb_epoll_unwatch(struct lb_epoll *epoll, struct lb_watch *watch)
{
	(void)control(epoll, EPOLL_CTL_DEL, watch);
	/* The rest of the batch may still hold an event of this watch, whose owner may free it now. */
	for (int i = epoll->next; i < epoll->end; i++)
		if (epoll->batch[i].data.ptr == watch)
			epoll->batch[i].data.ptr = NULL;
}

int lb_epoll_turn(struct lb_epoll *epoll, int timeout_ms, void (*after)(void *arg), void *arg)
{
	int n = epoll_wait(epoll->fd, epoll->batch, LB_EPOLL_BATCH, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	epoll->next = 0;
	epoll->end = n > 0 ? n : 0;
	while (epoll->next < epoll->end) {
		struct epoll_event *event = &epoll->batch[epoll->next++];
		struct lb_watch *watch = event->data.ptr;
		uint32_t events;

		if (watch == NULL)
			continue;
		/* not what a callback of this batch has ceased to watch for */
		events = event->events & (watch->events | EPOLLERR | EPOLLHUP);
		if (events != 0 && watch->events != 0) {
			watch->ready(watch, events);
			after(arg);
		}
	}
	return 0;
}
