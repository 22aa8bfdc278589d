/* SPDX-License-Identifier: MIT */
/*
 * lb_close, and reading, beside errors that are not what they seem: with IP_RECVERR each ICMP message is told once, by
 * whichever call comes first, and a reset may be our own machine's. The calls are wrapped here, so that they fail when they are to.
 */
#include "lib/tcp.h"
#include "sock/ending.h"
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

/* Calls on fd that fail with an error of the network's, though nothing has ended: IP_RECVERR. Ours alone do, and not
 * those of the peer's thread. */
static _Thread_local struct {
	int fd, times;
} soft = {.fd = -1};

/* The errno by which an administrator ends a connection, SOCK_DESTROY of sock_diag(7), instead of a reset by the peer. */
static _Thread_local bool destroyed;

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
	ssize_t n = fails_softly(fd) ? -1 : __real_recvmsg(fd, msg, flags);

	if (n < 0 && errno == ECONNRESET && destroyed)
		errno = ECONNABORTED;
	return n;
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

static void an_administrator_of_this_machine_is_not_the_network(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd over = {.fd = tcp->ours};
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&over, 1, 20000), 1);
	destroyed = true;
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	destroyed = false;
	assert_ending(&end, "acked: local_abort by self in data");
	assert_int_equal(end.err, ECONNABORTED);
	assert_counts(&end, 1000, 1000, 0);
}

static void says_something_when_our_fin_has_come(struct tcp_peer *peer)
{
	struct pollfd fin = {.fd = peer->fd, .events = POLLRDHUP};

	poll(&fin, 1, 20000);
	tcp_peer_await(peer);
	tcp_peer_send(peer, 5);
}

/* It has not reset: its data met an end that does not read. */
static void a_peer_is_not_blamed_for_the_reset_of_our_own_kernel(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;
	struct pollfd over;

	tcp_play(tcp, says_something_when_our_fin_has_come);
	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	shutdown(tcp->ours, SHUT_RD);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	tcp_join(tcp);
	over = (struct pollfd){.fd = tcp->ours};
	do
		assert_int_equal(poll(&over, 1, 20000), 1);
	while ((over.revents & POLLERR) == 0);
	tcp->ours = -1;
	assert_true(lb_ending_step(&run, lb_now(), &end));
	assert_ending(&end, "acked: rst by none in drain");
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(an_error_that_ends_nothing_blocks_nothing),
		ON_EVERY_SIDE(an_error_that_ends_nothing_cuts_no_exchange),
		ON_EVERY_SIDE(an_error_that_does_not_go_away_blocks),
		ON_EVERY_SIDE(an_administrator_of_this_machine_is_not_the_network),
		ON_EVERY_SIDE(a_peer_is_not_blamed_for_the_reset_of_our_own_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
