/* SPDX-License-Identifier: MIT */
/* The ways of ways.h to send a request, the other end, and the measuring. What is recorded is the play's owner's. */
#include "lab/ways.h"
#include <errno.h>
#include <lastbyte/message.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HEAD     120
#define TAIL     500 /* each of the other six parts */
#define RUNS_MAX 100
#define HELD     INT64_C(100000000) /* below the 200 ms or so after which the kernel sends what a cork holds */

_Static_assert(HEAD + (WAYS_PARTS - 1) * TAIL == WAYS_BYTES, "the parts make the request");

const char *const ways_names[WAYS] = {
	[WAY_NAGLE] = "nagle",
	[WAY_NODELAY] = "nodelay",
	[WAY_TCP_CORK] = "cork",
	[WAY_MSG_MORE] = "msg_more",
	[WAY_WRITEV] = "writev",
	[WAY_CORK] = "lb_cork",
	[WAY_MESSAGE] = "lb_message",
	[WAY_CORK_HELD] = "cork_held",
	[WAY_CORK_KEPT] = "cork_kept",
};

/* Who sends, and where that is recorded. */
struct sender {
	int fd;
	struct lab_play *play;
	struct iovec iov[WAYS_PARTS];
};

#define BEGIN(play, ...) ((play) != NULL ? lab_call_begin(play, __VA_ARGS__) : NULL)

static int end(const struct sender *sender, struct lab_call *call, ssize_t n)
{
	int64_t result = n < 0 ? -errno : n;

	lab_call_end(sender->play, call, result);
	return n < 0 ? (int)result : 0;
}

static int switch_option(const struct sender *sender, int name, const char *word, int on)
{
	struct lab_call *call = BEGIN(sender->play, false, "setsockopt(fd, %s, %d)", word, on);

	return end(sender, call, setsockopt(sender->fd, IPPROTO_TCP, name, &on, sizeof on));
}

/* A request fits into the send queue, and the socket blocks: each write takes all of it. */
static int write_parts(const struct sender *sender, int first, int n)
{
	size_t len = 0;
	struct lab_call *call;

	for (int i = first; i < first + n; i++)
		len += sender->iov[i].iov_len;
	call = BEGIN(sender->play, false, "writev(fd, %zu bytes in %d)", len, n);
	return end(sender, call, writev(sender->fd, sender->iov + first, n));
}

static int send_each(const struct sender *sender, int flags)
{
	int error = 0;

	for (int i = 0; i < WAYS_PARTS && error == 0; i++) {
		const struct iovec *part = &sender->iov[i];
		int now = i < WAYS_PARTS - 1 ? flags : 0;
		struct lab_call *call = BEGIN(sender->play, false, "send(fd, %zu bytes%s)", part->iov_len,
			now != 0 ? ", MSG_MORE" : "");

		error = end(sender, call, send(sender->fd, part->iov_base, part->iov_len, now));
	}
	return error;
}

static int send_corked(const struct sender *sender)
{
	int error = switch_option(sender, TCP_CORK, "TCP_CORK", 1);

	return error < 0 ? error : send_each(sender, 0);
}

static int hold(const struct sender *sender)
{
	const struct timespec held = {.tv_nsec = HELD};
	struct lab_call *call = BEGIN(sender->play, false, "clock_nanosleep(100 ms)");
	int error = -clock_nanosleep(CLOCK_MONOTONIC, 0, &held, NULL);

	lab_call_end(sender->play, call, error);
	return error;
}

static int send_in_scope(const struct sender *sender)
{
	LB_CORKED(cork, sender->fd, lb_in_ms(1000));
	int error = 0;
	size_t sent;

	for (int i = 0; i < WAYS_PARTS && error == 0; i++) {
		struct lab_call *call =
			BEGIN(sender->play, false, "lb_cork_send(&cork, %zu bytes)", sender->iov[i].iov_len);

		error = lb_cork_send(&cork, &sender->iov[i], 1, LB_NEVER, &sent);
		lab_call_end(sender->play, call, error);
	}
	if (error == 0) {
		struct lab_call *call = BEGIN(sender->play, false, "lb_uncork(&cork)");

		lb_uncork(&cork);
		lab_call_end(sender->play, call, 0);
	}
	return error;
}

static int send_message(const struct sender *sender)
{
	size_t sent;
	struct lab_call *call =
		BEGIN(sender->play, false, "lb_send_message(fd, %d bytes in %d)", WAYS_BYTES, WAYS_PARTS);
	int error = lb_send_message(sender->fd, sender->iov, WAYS_PARTS, LB_NEVER, &sent);

	lab_call_end(sender->play, call, error);
	return error;
}

int ways_send(int fd, enum way way, struct lab_play *play)
{
	static char bytes[WAYS_BYTES];
	struct sender sender = {.fd = fd, .play = play, .iov = {{.iov_base = bytes, .iov_len = HEAD}}};
	int error = 0;

	for (int i = 1; i < WAYS_PARTS; i++)
		sender.iov[i] = (struct iovec){.iov_base = bytes + HEAD + (i - 1) * TAIL, .iov_len = TAIL};
	switch (way) {
	case WAY_NAGLE:
		error = write_parts(&sender, 0, 1);
		return error < 0 ? error : write_parts(&sender, 1, WAYS_PARTS - 1);
	case WAY_NODELAY:
		error = switch_option(&sender, TCP_NODELAY, "TCP_NODELAY", 1);
		return error < 0 ? error : send_each(&sender, 0);
	case WAY_MSG_MORE:
		return send_each(&sender, MSG_MORE);
	case WAY_WRITEV:
		return write_parts(&sender, 0, WAYS_PARTS);
	case WAY_CORK:
		return send_in_scope(&sender);
	case WAY_MESSAGE:
		return send_message(&sender);
	default:
		break;
	}
	error = send_corked(&sender);
	if (error == 0 && way == WAY_CORK_HELD)
		error = hold(&sender);
	if (error == 0 && way != WAY_CORK_KEPT)
		error = switch_option(&sender, TCP_CORK, "TCP_CORK", 0);
	return error;
}

/* MSG_WAITALL: a call that returns less has met the end of the stream, or an error after that. */
static void *answer(void *arg)
{
	const struct ways_peer *peer = arg;
	struct lab_play *play = peer->play;
	char request[WAYS_BYTES];

	for (;;) {
		struct lab_call *call = BEGIN(play, true, "recv(fd, %zu bytes, MSG_WAITALL)", sizeof request);
		ssize_t n = recv(peer->fd, request, sizeof request, MSG_WAITALL);

		lab_call_end(play, call, n < 0 ? -errno : n);
		if (play != NULL && n >= 0)
			play->peer_bytes += (uint64_t)n;
		if (play != NULL && n < (ssize_t)sizeof request)
			play->peer_end = n < 0 ? LAB_RESET : LAB_EOF;
		if (n < (ssize_t)sizeof request)
			return NULL;
		call = BEGIN(play, true, "send(fd, 1 byte)");
		n = send(peer->fd, "", 1, MSG_NOSIGNAL);
		lab_call_end(play, call, n < 0 ? -errno : n);
		if (n != 1)
			return NULL;
	}
}

int ways_peer_start(struct ways_peer *peer)
{
	return -pthread_create(&peer->thread, NULL, answer, peer);
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

static int run_once(struct link *link, int fd, enum way way, lb_time *tookp, struct ways_result *resultp)
{
	struct segments before, after;
	lb_time began;
	int error = count(link, fd, &before);
	uint64_t n;
	char byte;

	if (error < 0)
		return error;
	began = lb_now();
	error = ways_send(fd, way, NULL);
	if (error < 0)
		return error;
	if (recv(fd, &byte, 1, 0) != 1)
		return -EPIPE;
	*tookp = lb_now() - began;
	error = count(link, fd, &after);
	n = after.data - before.data;
	if (error < 0 || after.bytes - before.bytes != WAYS_BYTES)
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
	struct ways_peer peer = {.fd = fds[1]};
	lb_time took[RUNS_MAX];
	int error = ways_peer_start(&peer);

	if (error < 0)
		return error;
	for (int i = 0; i < runs && error == 0; i++)
		error = run_once(link, fds[0], way, &took[i], resultp);
	shutdown(fds[0], SHUT_RDWR);
	pthread_join(peer.thread, NULL);
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
	error = run(link, fds, way, runs, resultp);
	close(fds[0]);
	close(fds[1]);
	return error;
}
