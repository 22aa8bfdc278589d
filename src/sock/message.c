/* SPDX-License-Identifier: MIT */
/*
 * Coalescing: what is sent in few segments, and when what was held back goes out. Owns no descriptor and no bytes:
 * what the kernel has taken is the kernel's, what it has not is the caller's.
 *
 * Bytes are held back by MSG_MORE, and let go by TCP_NODELAY: tcp(7), "setting this option forces an explicit flush of
 * pending output, even if TCP_CORK is currently set", and so past Nagle's algorithm too. RFC 9293, section 3.7.4: "A
 * TCP implementation MUST allow an application to disable the Nagle algorithm on an individual connection".
 */
#include "sock/tcp.h"
#include <errno.h>
#include <lastbyte/message.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

/* TCP_NODELAY: 0, 1, or a negative errno; what is not TCP has no such option. */
static int nodelay_of(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;

	if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0)
		return on != 0;
	return errno == ENOPROTOOPT ? -EOPNOTSUPP : -errno;
}

/* Lets go what is held back, and leaves TCP_NODELAY as it was. */
static void push(int fd, int nodelay)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (!nodelay)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay);
}

/* What is left of a message. */
struct rest {
	const struct iovec *iov;
	int n;
	size_t offset; /* into the first part */
};

static void skip(struct rest *rest, size_t len)
{
	rest->offset += len;
	while (rest->n > 0 && rest->offset >= rest->iov->iov_len) {
		rest->offset -= rest->iov->iov_len;
		rest->iov++;
		rest->n--;
	}
}

/* As many parts as one call takes; of a part that was sent by half, the other half. MSG_MORE where more follows. */
static ssize_t send_some(int fd, const struct rest *rest, int flags)
{
	struct iovec half = {.iov_base = (char *)rest->iov->iov_base + rest->offset,
		.iov_len = rest->iov->iov_len - rest->offset};
	struct msghdr msg = {.msg_iov = &half, .msg_iovlen = 1};

	if (rest->offset == 0) {
		msg.msg_iov = (struct iovec *)rest->iov;
		msg.msg_iovlen = rest->n < IOV_MAX ? (size_t)rest->n : IOV_MAX;
	}
	if (msg.msg_iovlen < (size_t)rest->n)
		flags |= MSG_MORE;
	return sendmsg(fd, &msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int send_rest(int fd, struct rest *rest, int flags, int nodelay, lb_time deadline, size_t *sentp)
{
	struct lb_tcp_wait wait = {0};

	skip(rest, 0);
	while (rest->n > 0) {
		ssize_t n = send_some(fd, rest, flags);

		if (n >= 0) {
			*sentp += (size_t)n;
			skip(rest, (size_t)n);
		} else if (errno == EAGAIN) {
			/* what is held back may be what there is no room beside */
			push(fd, nodelay);
			if (lb_now() >= deadline)
				return -EAGAIN;
			lb_tcp_await(&wait, fd, POLLOUT, deadline, *sentp);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int lb_nodelay(int fd, bool on)
{
	int nodelay = nodelay_of(fd), value = on;

	if (nodelay < 0)
		return nodelay;
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value) == 0 ? 0 : -errno;
}

struct lb_cork lb_cork(int fd, lb_time deadline)
{
	return (struct lb_cork){.fd = fd, .deadline = deadline};
}

int lb_cork_send(struct lb_cork *cork, const struct iovec *iov, int n, lb_time deadline, size_t *sentp)
{
	struct rest rest = {.iov = iov, .n = n};
	int nodelay = nodelay_of(cork->fd), flags = lb_now() < cork->deadline ? MSG_MORE : 0, error;

	*sentp = 0;
	if (nodelay < 0)
		return nodelay;
	if (n < 0)
		return -EINVAL;
	error = send_rest(cork->fd, &rest, flags, nodelay, deadline, sentp);
	cork->holding = cork->holding || *sentp > 0;
	if (error < 0 || lb_now() >= cork->deadline) {
		push(cork->fd, nodelay);
		cork->holding = false;
	}
	return error;
}

lb_time lb_cork_deadline(const struct lb_cork *cork)
{
	return cork->holding ? cork->deadline : LB_NEVER;
}

void lb_uncork(struct lb_cork *cork)
{
	int nodelay = cork->holding ? nodelay_of(cork->fd) : -EBADF;

	if (nodelay >= 0)
		push(cork->fd, nodelay);
	cork->fd = -1;
	cork->holding = false;
}

/* A scope whose deadline has passed. */
int lb_send_message(int fd, const struct iovec *iov, int n, lb_time deadline, size_t *sentp)
{
	struct lb_cork cork = lb_cork(fd, 0);

	return lb_cork_send(&cork, iov, n, deadline, sentp);
}
