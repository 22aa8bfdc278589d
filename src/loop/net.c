/* SPDX-License-Identifier: MIT */
/*
 * The sockets of the machine that we run on. Every fd is non-blocking and closed on exec. Owns no state. How
 * a connection ends is not decided here but in sock/ending.c.
 */
#include "loop/real.h"
#include "sock/tcp.h"
#include <lastbyte/conn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static int new_socket(const struct lb_endpoint *endpoint)
{
	int fd = socket(endpoint->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* A COMMIT or its answer is one small frame after others: Nagle would hold it back until those are acked,
 * which a peer that delays its ACK makes 40 ms and more. Everything is sent in pieces as large as there is
 * to send, so nothing is gained by waiting either. That the option could not be set ends no connection. Of a
 * listener, accepted connections inherit it. */
static void send_at_once(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int resolve_address(
	struct lb_host *host, const char *address, struct lb_endpoint *endpoints, int max, const char **whyp)
{
	(void)host;
	return lb_address_resolve(address, LB_PORT, endpoints, max, whyp);
}

static int bind_and_listen(int fd, const struct lb_endpoint *endpoint, struct lb_endpoint *boundp)
{
	int on = 1;

	/* a server that starts again must not wait for the TIME_WAIT of its former connections */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -errno;
	/* else "[::]" would take the IPv4 port too, on some machines and not on others */
	if (endpoint->addr.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
		return -errno;
	send_at_once(fd);
	if (bind(fd, (const struct sockaddr *)&endpoint->addr, endpoint->len) < 0 ||
		listen(fd, SOMAXCONN) < 0)
		return -errno;
	*boundp = (struct lb_endpoint){.len = sizeof boundp->addr};
	if (getsockname(fd, (struct sockaddr *)&boundp->addr, &boundp->len) < 0)
		return -errno;
	return 0;
}

static int listen_at(struct lb_host *host, const struct lb_endpoint *endpoint, struct lb_endpoint *boundp)
{
	int fd = new_socket(endpoint), r;

	(void)host;
	if (fd < 0)
		return fd;
	r = bind_and_listen(fd, endpoint, boundp);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Errors that accept(2) may report of one connection, which is gone, and which say nothing of those behind it
 * in the queue. Whoever stops listening accepts until nobody is left, and must not stop at these. */
static bool is_of_one_connection(int err)
{
	switch (err) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	default:
		return false;
	}
}

static int accept_one(struct lb_host *host, int listener, struct lb_endpoint *peerp)
{
	int fd;

	(void)host;
	do {
		*peerp = (struct lb_endpoint){.len = sizeof peerp->addr};
		fd = accept4(
			listener, (struct sockaddr *)&peerp->addr, &peerp->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && is_of_one_connection(errno));
	if (fd < 0)
		return -errno;
	return fd;
}

static void close_agreed(struct lb_host *host, int fd)
{
	(void)host;
	close(fd);
}

static void close_listener(struct lb_host *host, int listener)
{
	(void)host;
	/* resets those that were not accepted yet: its owner accepts until -EAGAIN first */
	close(listener);
}

static int start_connect(struct lb_host *host, const struct lb_endpoint *endpoint)
{
	int fd = new_socket(endpoint);

	(void)host;
	if (fd < 0)
		return fd;
	send_at_once(fd);
	/* after EINTR it goes on connecting, as after EINPROGRESS: connect(2) */
	if (connect(fd, (const struct sockaddr *)&endpoint->addr, endpoint->len) < 0 &&
		errno != EINPROGRESS && errno != EINTR) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

static int end_of_connect(struct lb_host *host, int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	struct sockaddr_storage own = {0}, peer = {0};
	socklen_t own_len = sizeof own, peer_len = sizeof peer;
	int err;

	(void)host;
	if (poll(&poll_fd, 1, 0) == 0)
		return -EINPROGRESS;
	err = lb_tcp_take_error(fd);
	if (err != 0)
		return -err;
	/* the error is told only once; asked again, a connect that failed is known by its having no peer */
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
		getsockname(fd, (struct sockaddr *)&own, &own_len) < 0)
		return -errno;
	/* A connect to a free port of this machine's ephemeral range may be given that very port to come
	 * from. Its SYN then meets itself (RFC 9293 section 3.5, simultaneous open), and it is connected
	 * to itself: nobody listens there. */
	if (own_len == peer_len && memcmp(&own, &peer, own_len) == 0)
		return -ECONNREFUSED;
	return 0;
}

static ssize_t recv_some(struct lb_host *host, int fd, void *buf, size_t len)
{
	ssize_t n;

	(void)host;
	do
		n = recv(fd, buf, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t send_some(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)(n < IOV_MAX ? n : IOV_MAX)};
	ssize_t sent;

	(void)host;
	do
		sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static int wait_for(struct lb_host *host, int fd, uint32_t events, int fd2, int fd3, lb_time deadline)
{
	(void)host;
	return lb_wait_until(fd, events, fd2, fd3, deadline);
}

static void start_ending(struct lb_host *host, struct lb_ending_run *run, int fd, lb_time deadline)
{
	(void)host;
	lb_ending_start(run, fd, NULL, lb_now(), deadline);
}

static bool step_ending(struct lb_host *host, struct lb_ending_run *run, struct lb_outcome *outcomep)
{
	(void)host;
	return lb_ending_step(run, lb_now(), outcomep);
}

static void abort_connection(struct lb_host *host, int fd, struct lb_outcome *outcomep)
{
	(void)host;
	lb_abort(fd, outcomep);
}

const struct lb_net_ops lb_net_real = {
	.resolve = resolve_address,
	.listen = listen_at,
	.accept = accept_one,
	.unlisten = close_listener,
	.connect = start_connect,
	.connected = end_of_connect,
	.recv = recv_some,
	.send = send_some,
	.wait = wait_for,
	.end_start = start_ending,
	.end_step = step_ending,
	.abort = abort_connection,
	.close = close_agreed,
};
