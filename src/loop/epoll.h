/* SPDX-License-Identifier: MIT */
/* Which fds a loop watches, and what epoll(7) says of them. */
#ifndef LOOP_EPOLL_H
#define LOOP_EPOLL_H

#include "loop/loop.h"
#include <sys/epoll.h>

#define LB_EPOLL_BATCH 128

struct lb_epoll {
	int                fd;
	struct epoll_event batch[LB_EPOLL_BATCH]; /* what the last wait gave, from `next` on not told yet */
	int                next, end;
};

int  lb_epoll_init(struct lb_epoll *epoll); /* deinit is allowed after an error too */
void lb_epoll_deinit(struct lb_epoll *epoll);

/* As in struct lb_loop_ops. */
int  lb_epoll_watch(struct lb_epoll *epoll, struct lb_watch *watch);
int  lb_epoll_rewatch(struct lb_epoll *epoll, struct lb_watch *watch);
void lb_epoll_unwatch(struct lb_epoll *epoll, struct lb_watch *watch);

/* Waits so long at most (-1: for ever) or until a signal, and calls `ready` of the watches that are, and `after` each. */
int lb_epoll_turn(struct lb_epoll *epoll, int timeout_ms, void (*after)(void *arg), void *arg);

#endif
