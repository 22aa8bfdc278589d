/* SPDX-License-Identifier: MIT */
/* The closer under test of closing.h. */
#include "lib/closing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct closing closing;

static lb_time now(void)
{
	return closing.now;
}

static bool step(struct lb_ending_run *run, lb_time at, struct lb_outcome *outcomep)
{
	uint64_t before = run->discarded;
	int fd = run->fd;
	bool done = lb_ending_step(run, at, outcomep);

	if (fd >= 0 && fd < 1024)
		closing.steps[fd]++;
	if (!done)
		closing.discarded += run->discarded - before;
	return done;
}

static int watch(int epoll, int fd, uint64_t token)
{
	closing.watches++;
	return lb_closer_linux.watch(epoll, fd, token);
}

void closing_open(const struct lb_closer_options *options)
{
	static struct lb_closer_port port;

	port = lb_closer_linux;
	port.now = now;
	port.step = step;
	port.watch = watch;
	lb_closer_free(closing.closer);
	memset(&closing, 0, sizeof closing);
	closing.now = lb_now();
	assert_int_equal(lb_closer_open(options, &port, &closing.closer), 0);
}

int closing_setup(void **state)
{
	(void)state;
	closing_open(NULL);
	return 0;
}

int closing_teardown(void **state)
{
	(void)state;
	lb_closer_free(closing.closer);
	closing.closer = NULL;
	return 0;
}

void closing_tell(void *arg, const struct lb_outcome *end)
{
	struct told *told = &closing.told;

	if (told->count < 64) {
		told->args[told->count] = arg;
		told->ends[told->count] = *end;
	}
	told->count++;
}

void closing_add(struct tcp *tcp, const struct lb_ending *ending)
{
	int fd = tcp->ours;

	tcp->ours = -1;
	assert_int_equal(lb_closer_add(closing.closer, fd, ending, LB_NEVER, closing_tell, tcp), 0);
}

bool closing_readable(int timeout_ms)
{
	struct pollfd fd = {.fd = lb_closer_fd(closing.closer), .events = POLLIN};

	return poll(&fd, 1, timeout_ms) == 1;
}

void closing_until(int count)
{
	lb_time limit = lb_in_ms(PATIENCE_MS);

	while (closing.told.count < count) {
		assert_true(lb_now() < limit);
		closing_readable(1);
		closing.now += MS;
		lb_closer_step(closing.closer);
	}
	assert_int_equal(closing.told.count, count);
}

void closing_later(lb_time by)
{
	closing.now += by;
	lb_closer_step(closing.closer);
}

void assert_closed(int fd)
{
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

struct tcp closing_tcps[12];

struct tcp *closing_connected(int number, int side)
{
	tcp_connect(&closing_tcps[number], &tcp_sides[side], 0, 0);
	return &closing_tcps[number];
}

void closing_over(struct tcp *tcp)
{
	tcp_join(tcp);
	tcp_peer_close(&tcp->peer);
	close(tcp->peer.go);
	if (tcp->ours >= 0)
		close(tcp->ours);
}

void closing_await_end(struct tcp *tcp)
{
	struct pollfd fd = {.fd = tcp->ours, .events = POLLRDHUP};

	assert_int_equal(poll(&fd, 1, 20000), 1);
}

void closing_reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}
