/* SPDX-License-Identifier: MIT */
/*
 * lb_close, and reading, beside errors that are none of the connection's: with IP_RECVERR each ICMP message is told once,
 * by whichever call comes first. The calls are wrapped here, so that they fail when they are to.
 */
#include "lib/tcp.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);

/* Calls on fd that fail with an error of the network's, though nothing has ended: IP_RECVERR. */
static struct {
	int fd, times;
} soft = {.fd = -1};

static bool fails_softly(int fd)
{
	if (fd != soft.fd || soft.times == 0)
		return false;
	soft.times--;
	errno = EHOSTUNREACH;
	return true;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	return fails_softly(fd) ? -1 : __real_recv(fd, buf, len, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fails_softly(fd) ? -1 : __real_recvmsg(fd, msg, flags);
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	return fails_softly(fd) ? -1 : __real_send(fd, buf, len, flags);
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void sends_and_reads_all(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_send(peer, 1000);
	reads_all(peer);
}

static void an_error_that_ends_nothing_blocks_nothing(void **state)
{
	const struct lb_ending endings[] = {{0}, {.last = "QUIT", .last_len = 4}};
	struct tcp *given = *state;

	for (size_t i = 0; i < 2; i++) {
		struct lb_outcome end;
		struct tcp tcp;

		tcp_connect(&tcp, given->side, 0, 0);
		tcp_play(&tcp, sends_and_reads_all);
		tcp_stuff(&tcp);
		tcp_go(&tcp);
		soft.times = 2;
		soft.fd = tcp.ours;
		assert_int_equal(tcp_end(&tcp, &endings[i], lb_in_ms(20000), &end), 0);
		soft.fd = -1;
		tcp_join(&tcp);
		assert_int_equal(soft.times, 0);
		assert_true(tcp.peer.ended);
		assert_int_equal(tcp.peer.got, tcp.written + endings[i].last_len);
		assert_ending(&end, "ended: fin by peer in done");
		assert_int_equal(end.err, 0);
		assert_int_equal(end.discarded, 1000);
		tcp_release(&tcp);
	}
}

static void an_error_that_ends_nothing_cuts_no_exchange(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	char reply[1000];
	size_t got;
	int fd = tcp->ours, result;

	tcp_play(tcp, sends_and_reads_all);
	tcp_go(tcp);
	soft.times = 5; /* of the request, of the reply */
	soft.fd = fd;
	tcp->ours = -1;
	result = lb_exchange(fd, "HELLO", 5, reply, sizeof reply, &got, lb_in_ms(20000), &end);
	soft.fd = -1;
	tcp_join(tcp);
	assert_int_equal(soft.times, 0);
	assert_int_equal(result, 0);
	assert_int_equal(got, 1000);
	assert_int_equal(tcp->peer.got, 5);
	assert_ending(&end, "ended: fin by peer in done");
}

/* What cannot be read for good is unread: the peer's kernel has every byte, and then it is reset. */
static void an_error_that_does_not_go_away_blocks(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	soft.times = INT_MAX;
	soft.fd = tcp->ours;
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	soft.fd = -1;
	assert_ending(&end, "acked: local_abort by self in drain");
	assert_int_equal(end.err, EHOSTUNREACH);
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(an_error_that_ends_nothing_blocks_nothing),
		ON_EVERY_SIDE(an_error_that_ends_nothing_cuts_no_exchange),
		ON_EVERY_SIDE(an_error_that_does_not_go_away_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
