/* SPDX-License-Identifier: MIT */
/* The connections and peers of tcp.h. */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000 /* a test that waits for longer has failed */

const struct tcp_side tcp_sides[4] = {{AF_INET, false}, {AF_INET, true}, {AF_INET6, false}, {AF_INET6, true}};

/* The machine's default may be bbr, whose pacing makes loopback slow and uneven. */
static void use_reno(int fd)
{
	assert_return_code(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), errno);
}

void tcp_connect(struct tcp *tcp, const struct tcp_side *side, int linger_on, int seconds)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *addr = side->family == AF_INET ? (struct sockaddr *)&in : (struct sockaddr *)&in6;
	socklen_t len = side->family == AF_INET ? sizeof in : sizeof in6;
	struct linger linger = {.l_onoff = linger_on, .l_linger = seconds};
	int listener = socket(side->family, SOCK_STREAM | SOCK_CLOEXEC, 0), connected, accepted;

	assert_return_code(listener, errno);
	use_reno(listener);
	assert_return_code(setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), errno);
	assert_return_code(bind(listener, addr, len), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(getsockname(listener, addr, &len), errno);
	connected = socket(side->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(connected, errno);
	use_reno(connected);
	assert_return_code(connect(connected, addr, len), errno);
	accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_return_code(accepted, errno);
	close(listener);
	tcp_adopt(tcp, side, connected, accepted);
}

void tcp_adopt(struct tcp *tcp, const struct tcp_side *side, int connected, int accepted)
{
	memset(tcp, 0, sizeof *tcp);
	tcp->side = side;
	tcp->ours = side->accepting ? accepted : connected;
	tcp->peer.fd = side->accepting ? connected : accepted;
	tcp->peer.intact = true;
	tcp->peer.go = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	assert_return_code(tcp->peer.go, errno);
}

int tcp_open(void **state)
{
	const struct tcp_side *side = *state;
	struct tcp *tcp = malloc(sizeof *tcp);

	assert_non_null(tcp);
	tcp_connect(tcp, side, 0, 0);
	*state = tcp;
	return 0;
}

void tcp_release(struct tcp *tcp)
{
	tcp_join(tcp);
	if (tcp->ours >= 0)
		close(tcp->ours);
	tcp_peer_close(&tcp->peer);
	close(tcp->peer.go);
}

int tcp_close(void **state)
{
	tcp_release(*state);
	free(*state);
	return 0;
}

static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)((offset * 167) ^ (offset >> 8) ^ (offset >> 17));
}

void tcp_pattern(void *buf, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((unsigned char *)buf)[i] = byte_at(offset + i);
}

static uint64_t write_pattern(struct tcp *tcp, uint64_t len, int flags)
{
	char buf[65536];

	while (len > 0) {
		size_t part = len < sizeof buf ? len : sizeof buf;
		ssize_t n;

		tcp_pattern(buf, tcp->written, part);
		n = send(tcp->ours, buf, part, flags | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		assert_return_code(n, errno);
		tcp->written += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return tcp->written;
}

uint64_t tcp_write(struct tcp *tcp, uint64_t len)
{
	return write_pattern(tcp, len, 0);
}

uint64_t tcp_offer(struct tcp *tcp, uint64_t len)
{
	return write_pattern(tcp, len, MSG_DONTWAIT);
}

uint64_t tcp_stuff(struct tcp *tcp)
{
	return tcp_offer(tcp, UINT64_MAX);
}

int tcp_end(struct tcp *tcp, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep)
{
	int fd = tcp->ours;

	tcp->ours = -1;
	return lb_close(fd, ending, deadline, outcomep);
}

uint64_t tcp_unacked(struct tcp *tcp)
{
	int n = 0;

	assert_return_code(ioctl(tcp->ours, SIOCOUTQ, &n), errno);
	return (uint64_t)n;
}

void tcp_wait_below(struct tcp *tcp, uint64_t bytes)
{
	lb_time limit = lb_in_ms(PATIENCE_MS);

	while (tcp_unacked(tcp) >= bytes) {
		assert_true(lb_now() < limit);
		sched_yield();
	}
}

/* SIOCOUTQ takes no lock, and may show an ack that is still being worked on; TCP_INFO waits until it is done. */
void tcp_wait_acked(struct tcp *tcp)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	tcp_wait_below(tcp, 1);
	assert_return_code(getsockopt(tcp->ours, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
}

static void *run_peer(void *arg)
{
	struct tcp_peer *peer = arg;

	peer->play(peer);
	return NULL;
}

void tcp_play(struct tcp *tcp, void (*play)(struct tcp_peer *peer))
{
	tcp->peer.play = play;
	assert_int_equal(pthread_create(&tcp->peer.thread, NULL, run_peer, &tcp->peer), 0);
}

static void let_go(struct tcp *tcp, uint64_t times)
{
	assert_int_equal(write(tcp->peer.go, &times, sizeof times), sizeof times);
}

void tcp_go(struct tcp *tcp)
{
	let_go(tcp, 1);
}

void tcp_join(struct tcp *tcp)
{
	if (tcp->peer.play == NULL)
		return;
	let_go(tcp, 1000);
	assert_int_equal(pthread_join(tcp->peer.thread, NULL), 0);
	tcp->peer.play = NULL;
}

/* On the peer's thread nothing is asserted: what it sees is for the test to judge. */
static bool ready(struct tcp_peer *peer, short events)
{
	struct pollfd poll_fd = {.fd = peer->fd, .events = events};

	if (poll(&poll_fd, 1, PATIENCE_MS) == 1)
		return true;
	peer->error = ETIME;
	return false;
}

bool tcp_peer_read(struct tcp_peer *peer, uint64_t len)
{
	unsigned char buf[65536];

	while (len > 0) {
		ssize_t n;

		if (!ready(peer, POLLIN))
			return false;
		n = recv(peer->fd, buf, len < sizeof buf ? len : sizeof buf, 0);
		if (n <= 0) {
			peer->ended = n == 0;
			peer->error = n < 0 ? errno : 0;
			return false;
		}
		for (ssize_t i = 0; i < n; i++)
			peer->intact = peer->intact && buf[i] == byte_at(peer->got + (uint64_t)i);
		peer->got += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

void tcp_peer_read_all(struct tcp_peer *peer)
{
	while (tcp_peer_read(peer, UINT64_MAX))
		continue;
}

bool tcp_peer_send(struct tcp_peer *peer, uint64_t len)
{
	static const char zeros[65536];

	while (len > 0) {
		ssize_t n;

		if (!ready(peer, POLLOUT))
			return false;
		n = send(peer->fd, zeros, len < sizeof zeros ? len : sizeof zeros,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0) {
			peer->error = errno;
			return false;
		}
		peer->sent += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return true;
}

void tcp_peer_await(struct tcp_peer *peer)
{
	uint64_t one;

	if (read(peer->go, &one, sizeof one) < 0)
		peer->error = errno;
}

void tcp_peer_close(struct tcp_peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

void tcp_peer_reset(struct tcp_peer *peer)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	tcp_peer_close(peer);
}

const char *tcp_how(const struct lb_outcome *outcome)
{
	static char text[128];

	snprintf(text, sizeof text, "%s: %s by %s in %s", lb_rung_word(outcome->rung),
		lb_end_word(outcome->how), lb_party_word(outcome->by), lb_phase_word(outcome->phase));
	return text;
}

void tcp_each_no_connection(void (*refuses)(int fd, int error))
{
	int pair[2], pipes[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	assert_return_code(pipe(pipes), errno);
	refuses(-1, -EBADF);
	refuses(open("/dev/null", O_RDWR), -ENOTSOCK);
	refuses(pipes[0], -ENOTSOCK);
	refuses(pair[0], -EOPNOTSUPP);
	refuses(socket(AF_INET, SOCK_DGRAM, 0), -EOPNOTSUPP);
	refuses(socket(AF_INET6, SOCK_DGRAM, 0), -EOPNOTSUPP);
	refuses(socket(AF_INET, SOCK_STREAM, 0), -ENOTCONN);
	refuses(socket(AF_INET6, SOCK_STREAM, 0), -ENOTCONN);
	close(pair[1]);
	close(pipes[1]);
}
