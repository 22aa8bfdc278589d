/* SPDX-License-Identifier: MIT */
/* The ways of ways.h to send a request, and the other end, which is a thread. */
#include "lab/ways.h"
#include <errno.h>
#include <lastbyte/message.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD     120
#define TAIL     500 /* each of the other six parts */
#define REQUEST  (HEAD + (WAYS_PARTS - 1) * TAIL)
#define RUNS_MAX 100

const char *const ways_names[WAYS] = {
	[WAY_NAGLE] = "two writes, Nagle",
	[WAY_NODELAY] = "TCP_NODELAY, 7 writes",
	[WAY_TCP_CORK] = "TCP_CORK, 7 writes",
	[WAY_MSG_MORE] = "MSG_MORE, 7 sends",
	[WAY_WRITEV] = "one writev",
	[WAY_CORK] = "lb_cork, 7 sends",
	[WAY_MESSAGE] = "lb_send_message",
};

static int switch_option(int fd, int name, int on)
{
	return setsockopt(fd, IPPROTO_TCP, name, &on, sizeof on) < 0 ? -errno : 0;
}

/* A request fits into the send queue, and the socket blocks: each write takes all of it. */
static int write_parts(int fd, const struct iovec *iov, int n)
{
	return writev(fd, iov, n) < 0 ? -errno : 0;
}

static int send_each(int fd, const struct iovec *iov, int flags)
{
	for (int i = 0; i < WAYS_PARTS; i++)
		if (send(fd, iov[i].iov_base, iov[i].iov_len, i < WAYS_PARTS - 1 ? flags : 0) < 0)
			return -errno;
	return 0;
}

static int send_in_scope(int fd, const struct iovec *iov)
{
	LB_CORKED(cork, fd, lb_in_ms(1000));
	int error = 0;
	size_t sent;

	for (int i = 0; i < WAYS_PARTS && error == 0; i++)
		error = lb_cork_send(&cork, &iov[i], 1, LB_NEVER, &sent);
	return error;
}

static int send_request(int fd, enum way way, const struct iovec *iov)
{
	size_t sent;
	int error;

	switch (way) {
	case WAY_NAGLE:
		error = write_parts(fd, iov, 1);
		return error < 0 ? error : write_parts(fd, iov + 1, WAYS_PARTS - 1);
	case WAY_TCP_CORK:
		error = switch_option(fd, TCP_CORK, 1);
		if (error == 0)
			error = send_each(fd, iov, 0);
		return error < 0 ? error : switch_option(fd, TCP_CORK, 0);
	case WAY_MSG_MORE:
		return send_each(fd, iov, MSG_MORE);
	case WAY_WRITEV:
		return write_parts(fd, iov, WAYS_PARTS);
	case WAY_CORK:
		return send_in_scope(fd, iov);
	case WAY_MESSAGE:
		return lb_send_message(fd, iov, WAYS_PARTS, LB_NEVER, &sent);
	default:
		return send_each(fd, iov, 0);
	}
}

/* Until the stream ends. */
static void *answer(void *arg)
{
	const int *fd = arg;
	char request[REQUEST];

	while (recv(*fd, request, sizeof request, MSG_WAITALL) == sizeof request)
		if (send(*fd, "", 1, MSG_NOSIGNAL) != 1)
			break;
	return NULL;
}

/* As they are on the wire, where the link counts them; else as the kernel does, which is the same on loopback. */
static int count(struct link *link, int fd, struct segments *segmentsp)
{
	struct tcp_info info;
	socklen_t len = sizeof info;
	int error = link_count(link, LINK_LEFT, segmentsp);

	if (error < 0 && error != -EOPNOTSUPP)
		return error;
	if (error == 0)
		return segmentsp->missed > 0 ? -ENOBUFS : 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*segmentsp = (struct segments){.data = info.tcpi_data_segs_out, .bytes = info.tcpi_bytes_sent};
	return 0;
}

static int run_once(struct link *link, int fd, enum way way, const struct iovec *iov, lb_time *tookp,
	struct ways_result *resultp)
{
	struct segments before, after;
	lb_time began;
	int error = count(link, fd, &before);
	uint64_t n;
	char byte;

	if (error < 0)
		return error;
	began = lb_now();
	error = send_request(fd, way, iov);
	if (error < 0)
		return error;
	if (recv(fd, &byte, 1, 0) != 1)
		return -EPIPE;
	*tookp = lb_now() - began;
	error = count(link, fd, &after);
	n = after.data - before.data;
	if (error < 0 || after.bytes - before.bytes != REQUEST)
		return error;
	resultp->least = resultp->least != 0 && resultp->least < n ? resultp->least : n;
	resultp->most = resultp->most > n ? resultp->most : n;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const lb_time *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int run(struct link *link, int fds[2], enum way way, int runs, struct ways_result *resultp)
{
	static char bytes[REQUEST];
	struct iovec iov[WAYS_PARTS] = {{.iov_base = bytes, .iov_len = HEAD}};
	lb_time took[RUNS_MAX];
	pthread_t thread;
	int error;

	for (int i = 1; i < WAYS_PARTS; i++)
		iov[i] = (struct iovec){.iov_base = bytes + HEAD + (i - 1) * TAIL, .iov_len = TAIL};
	error = -pthread_create(&thread, NULL, answer, &fds[1]);
	if (error < 0)
		return error;
	for (int i = 0; i < runs && error == 0; i++)
		error = run_once(link, fds[0], way, iov, &took[i], resultp);
	shutdown(fds[0], SHUT_RDWR);
	pthread_join(thread, NULL);
	if (error < 0)
		return error;
	qsort(took, (size_t)runs, sizeof *took, compare);
	resultp->best = took[0];
	resultp->median = took[runs / 2];
	return 0;
}

int ways_measure(struct link *link, int family, enum way way, int runs, struct ways_result *resultp)
{
	int fds[2],
		error = runs < 1 || runs > RUNS_MAX ? -EINVAL : link_connect(link, LINK_LEFT, family, fds);

	*resultp = (struct ways_result){0};
	if (error < 0)
		return error;
	if (way == WAY_NODELAY)
		error = switch_option(fds[0], TCP_NODELAY, 1);
	if (error == 0)
		error = run(link, fds, way, runs, resultp);
	close(fds[0]);
	close(fds[1]);
	return error;
}
