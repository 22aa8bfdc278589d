/* SPDX-License-Identifier: MIT */
/* The real loop, with pipes that it watches and timers that tell their order. */
#ifndef LOOP_LOOP_FIXTURE_H
#define LOOP_LOOP_FIXTURE_H

#include "lib/cmocka.h"
#include "loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MS INT64_C(1000000)

/* A pipe whose reading end is watched. */
struct pipe_watch {
	struct lb_watch watch; /* first */
	struct lb_loop *loop;
	int             writer;
	int             calls;
	uint32_t        seen;
	void           *other;
};

struct alarm {
	struct lb_timer  timer; /* first */
	struct lb_loop  *loop;
	char             name;
	char            *order; /* of those that expired */
	struct lb_timer *cancel;
	bool             last;
	void            *other;
};

static inline struct lb_loop *new_loop(void)
{
	struct lb_loop *loop;

	assert_int_equal(lb_loop_new(lb_host_real(), &loop), 0);
	return loop;
}

static inline struct pipe_watch *new_pipe(struct lb_loop *loop, void (*ready)(struct lb_watch *, uint32_t))
{
	struct pipe_watch *pw = calloc(1, sizeof *pw);
	int                fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	*pw = (struct pipe_watch){
		.watch = {.fd = fds[0], .events = EPOLLIN, .ready = ready}, .loop = loop, .writer = fds[1]};
	assert_int_equal(loop->ops->watch(loop, &pw->watch), 0);
	return pw;
}

static inline void free_pipe(struct pipe_watch *pw)
{
	pw->loop->ops->unwatch(pw->loop, &pw->watch);
	close(pw->watch.fd);
	close(pw->writer);
	free(pw);
}

static inline void put_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static inline void take_byte(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
}

static inline void run(struct lb_loop *loop)
{
	assert_int_equal(lb_loop_run(loop), 0);
}

static inline void ring(struct lb_timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;

	assert_true(lb_now() >= timer->at);
	alarm->order[strlen(alarm->order)] = alarm->name;
	if (alarm->cancel != NULL)
		lb_timer_cancel(&alarm->loop->wheel, alarm->cancel);
	if (alarm->last)
		lb_loop_quit(alarm->loop);
}

static inline struct alarm new_alarm(struct lb_loop *loop, char name, char *order)
{
	return (struct alarm){.timer.expired = ring, .loop = loop, .name = name, .order = order};
}

#endif
