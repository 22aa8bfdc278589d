/* SPDX-License-Identifier: MIT */
/*
 * What is no connection: lb_close by every policy, lb_abort and lb_finish say which error it is, and the fd is closed, or
 * as it was.
 */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define LAST_POLICY LB_POLICY_ABORT
#define BACKLOG     8

/* A listener whose backlog is full, so that what connects to it goes on connecting. */
static struct {
	int listener, filling[BACKLOG];
	struct sockaddr_in addr;
} full;

static int open_full(void **state)
{
	socklen_t len = sizeof full.addr;

	(void)state;
	full.addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	full.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_return_code(bind(full.listener, (struct sockaddr *)&full.addr, len), errno);
	assert_return_code(getsockname(full.listener, (struct sockaddr *)&full.addr, &len), errno);
	assert_return_code(listen(full.listener, 0), errno);
	for (int i = 0; i < BACKLOG; i++) {
		full.filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(full.filling[i], (struct sockaddr *)&full.addr, len);
	}
	return 0;
}

static int close_full(void **state)
{
	(void)state;
	for (int i = 0; i < BACKLOG; i++)
		close(full.filling[i]);
	close(full.listener);
	return 0;
}

static int closed(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static int none(void)
{
	return -1;
}

/* One end of two; the other is closed. */
static int end_of(const int fds[2], int which)
{
	close(fds[1 - which]);
	return fds[which];
}

static int pipe_to_read(void)
{
	int fds[2];

	assert_return_code(pipe(fds), errno);
	return end_of(fds, 0);
}

static int pipe_to_write(void)
{
	int fds[2];

	assert_return_code(pipe(fds), errno);
	return end_of(fds, 1);
}

static int device(void)
{
	return open("/dev/null", O_RDWR);
}

static int path(void)
{
	return open("/dev/null", O_PATH);
}

static int unix_stream(void)
{
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), errno);
	return end_of(fds, 0);
}

static int udp(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_return_code(connect(fd, (struct sockaddr *)&full.addr, sizeof full.addr), errno);
	return fd;
}

static int mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
}

static int unconnected(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int unconnected6(void)
{
	return socket(AF_INET6, SOCK_STREAM, 0);
}

static int listening(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_return_code(listen(fd, 1), errno);
	return fd;
}

static int connecting(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&full.addr, sizeof full.addr), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

/* Nobody has asked what came of the connect(2) yet. */
static int refused(void)
{
	struct sockaddr_in addr = full.addr;
	socklen_t len = sizeof addr;
	int bound = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd over = {.fd = fd};

	addr.sin_port = 0;
	assert_return_code(bind(bound, (struct sockaddr *)&addr, len), errno);
	assert_return_code(getsockname(bound, (struct sockaddr *)&addr, &len), errno);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), -1);
	assert_int_equal(poll(&over, 1, 20000), 1);
	close(bound);
	return fd;
}

static const struct {
	int (*make)(void);
	int error;
	int why;
} kinds[] = {
	{closed, -EBADF, EBADF},
	{none, -EBADF, EBADF},
	{pipe_to_read, -ENOTSOCK, ENOTSOCK},
	{pipe_to_write, -ENOTSOCK, ENOTSOCK},
	{device, -ENOTSOCK, ENOTSOCK},
	{path, -ENOTSOCK, ENOTSOCK},
	{unix_stream, -EOPNOTSUPP, EOPNOTSUPP},
	{udp, -EOPNOTSUPP, EOPNOTSUPP},
	{mptcp, -EOPNOTSUPP, EOPNOTSUPP},
	{unconnected, -ENOTCONN, ENOTCONN},
	{unconnected6, -ENOTCONN, ENOTCONN},
	{listening, -ENOTCONN, ENOTCONN},
	{connecting, -ENOTCONN, ENOTCONN},
	{refused, -ENOTCONN, ECONNREFUSED},
};

#define KINDS (sizeof kinds / sizeof *kinds)

/* A kernel without MPTCP has one kind less. */
static bool made(size_t kind, int *fdp)
{
	*fdp = kinds[kind].make();
	return kinds[kind].make != mptcp || *fdp >= 0;
}

static void judge(size_t kind, int fd, int result, const struct lb_outcome *end)
{
	uint64_t bytes = kinds[kind].error == -ENOTCONN ? 0 : LB_UNKNOWN;

	assert_int_equal(result, kinds[kind].error);
	assert_ending(end, "nothing: no_connection by none in connect");
	assert_int_equal(end->err, kinds[kind].why);
	assert_counts(end, bytes, bytes, bytes);
	assert_int_equal(end->discarded, 0);
	assert_true(end->took >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

static void lb_close_closes_it_whatever_the_policy(void **state)
{
	int fd;

	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		for (int policy = 0; policy <= LAST_POLICY; policy++) {
			const struct lb_ending ending = {.policy = (enum lb_policy)policy,
				.on_expiry = LB_EXPIRY_KEEP,
				.last = "QUIT",
				.last_len = 4};
			struct lb_outcome end;

			memset(&end, 0x5a, sizeof end);
			if (made(kind, &fd))
				judge(kind, fd, lb_close(fd, &ending, LB_NEVER, &end), &end);
			memset(&end, 0x5a, sizeof end);
			if (made(kind, &fd))
				judge(kind, fd, lb_close(fd, NULL, 0, &end), &end);
		}
	}
}

static void lb_abort_closes_it(void **state)
{
	struct lb_outcome end;
	int fd;

	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		memset(&end, 0x5a, sizeof end);
		if (made(kind, &fd))
			judge(kind, fd, lb_abort(fd, &end), &end);
	}
}

static int state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ? -errno : info.tcpi_state;
}

/* shutdown(2) says 0 to a listener, and ends a connect(2) that is under way. */
static void lb_finish_changes_nothing(void **state)
{
	int fd, before, flags;

	(void)state;
	for (size_t kind = 0; kind < KINDS; kind++) {
		if (!made(kind, &fd))
			continue;
		before = state_of(fd);
		flags = fcntl(fd, F_GETFD);
		assert_int_equal(lb_finish(fd), kinds[kind].error);
		assert_int_equal(fcntl(fd, F_GETFD), flags);
		assert_int_equal(state_of(fd), before);
		if (flags >= 0)
			close(fd);
	}
}

static void lb_finish_ends_our_side_and_leaves_the_other(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	char byte;

	tcp_write(tcp, 1000);
	assert_int_equal(lb_finish(tcp->ours), 0);
	assert_int_equal(lb_finish(tcp->ours), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_int_equal(send(tcp->ours, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(tcp_peer_send(&tcp->peer, 1));
	assert_int_equal(recv(tcp->ours, &byte, 1, 0), 1);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_counts(&end, 1000, 1000, 0);
}

static void lb_finish_of_what_was_reset_is_not_connected(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd broken = {.fd = tcp->ours};
	char byte;

	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&broken, 1, 20000), 1);
	assert_int_equal(lb_finish(tcp->ours), -ENOTCONN);
	/* and the error is still there for who reads */
	assert_int_equal(recv(tcp->ours, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lb_close_closes_it_whatever_the_policy, open_full, close_full),
		cmocka_unit_test_setup_teardown(lb_abort_closes_it, open_full, close_full),
		cmocka_unit_test_setup_teardown(lb_finish_changes_nothing, open_full, close_full),
		ON_EVERY_SIDE(lb_finish_ends_our_side_and_leaves_the_other),
		ON_EVERY_SIDE(lb_finish_of_what_was_reset_is_not_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
