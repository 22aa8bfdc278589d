/* SPDX-License-Identifier: MIT */
/* The processes of holder.h. Owns the one that forks the others, and the socket on which it is told to. */
#include "lib/holder.h"
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int requests = -1;

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(2 * sizeof(int))];
};

/* Works on a socket like a program that ends without closing it. */
static void write_all(int fd, uint64_t len)
{
	char buf[65536];

	for (uint64_t done = 0; done < len;) {
		size_t part = len - done < sizeof buf ? (size_t)(len - done) : sizeof buf;
		ssize_t n;

		tcp_pattern(buf, done, part);
		n = send(fd, buf, part, MSG_NOSIGNAL);
		if (n < 0)
			_exit(1);
		done += (uint64_t)n;
	}
}

/* len 0: hold fd until the other end of `until` is closed. */
static void serve(int fd, int until, uint64_t len)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (len > 0)
		write_all(fd, len);
	else
		while (read(until, &byte, 1) < 0 && errno == EINTR)
			continue;
	_exit(0);
}

static void fork_on_request(int from)
{
	for (;;) {
		union control control = {0};
		uint64_t len;
		struct iovec iov = {.iov_base = &len, .iov_len = sizeof len};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof control};
		int fds[2];

		if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != sizeof len || CMSG_FIRSTHDR(&msg) == NULL)
			_exit(0);
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fds);
		if (fork() == 0)
			serve(fds[0], fds[1], len);
		close(fds[0]);
		close(fds[1]);
	}
}

int holder_start(void)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		close(ends[1]);
		fork_on_request(ends[0]);
	}
	close(ends[0]);
	requests = ends[1];
	return 0;
}

static int request(int fd, int until, uint64_t len)
{
	const int fds[2] = {fd, until};
	union control control = {
		.header = {
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)}};
	struct iovec iov = {.iov_base = &len, .iov_len = sizeof len};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
	return sendmsg(requests, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int holder_hold(int fd)
{
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	result = request(fd, ends[0], 0);
	close(ends[0]);
	if (result == 0)
		return ends[1];
	close(ends[1]);
	return result;
}

int holder_write_and_exit(int fd, uint64_t len)
{
	int result = request(fd, STDERR_FILENO, len);

	close(fd);
	return result;
}
