/* SPDX-License-Identifier: MIT */
/* lb_close as a call: whatever fd it is given is consumed, nothing blocks past the deadline, no signal comes out. */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void refused(int fd, int error)
{
	struct lb_outcome end;

	assert_int_equal(lb_close(fd, NULL, LB_NEVER, &end), error);
	assert_ending(&end, "nothing: no_connection by none in connect");
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

static void what_is_not_open_is_ebadf(void **state)
{
	int fd = dup(STDERR_FILENO);

	(void)state;
	close(fd);
	refused(fd, -EBADF);
	refused(-1, -EBADF);
}

static void what_is_not_a_socket_is_closed(void **state)
{
	int fds[2];

	(void)state;
	assert_return_code(pipe(fds), errno);
	refused(fds[0], -ENOTSOCK);
	refused(fds[1], -ENOTSOCK);
	refused(open("/dev/null", O_RDWR), -ENOTSOCK);
	refused(open("/dev/null", O_PATH), -ENOTSOCK);
}

static void a_socket_of_another_kind_is_closed(void **state)
{
	int fds[2], mptcp = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), errno);
	refused(fds[0], -EOPNOTSUPP);
	refused(fds[1], -EOPNOTSUPP);
	refused(socket(AF_INET, SOCK_DGRAM, 0), -EOPNOTSUPP);
	if (mptcp >= 0)
		refused(mptcp, -EOPNOTSUPP);
}

static int state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return info.tcpi_state;
}

static void what_was_never_connected_is_closed(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fds[8];

	(void)state;
	refused(socket(AF_INET, SOCK_STREAM, 0), -ENOTCONN);
	refused(socket(AF_INET6, SOCK_STREAM, 0), -ENOTCONN);
	assert_return_code(bind(listener, (struct sockaddr *)&addr, len), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&addr, &len), errno);
	assert_return_code(listen(listener, 0), errno);
	/* what the backlog has no room for goes on connecting */
	for (int i = 0; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&addr, len);
	}
	assert_int_equal(state_of(fds[7]), 2);
	refused(fds[7], -ENOTCONN);
	refused(listener, -ENOTCONN);
	for (int i = 0; i < 7; i++)
		close(fds[i]);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&addr, len), -1);
	refused(fds[0], -ENOTCONN);
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void the_end_comes_although_a_copy_is_open(void **state)
{
	struct tcp *tcp = *state;
	int fd = tcp->ours, copy = dup(fd);
	struct lb_outcome end;

	tcp_play(tcp, reads_all);
	tcp_write(tcp, 100000);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close(copy);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 100000, 100000, 0);
}

static void the_end_comes_although_a_child_holds_the_socket(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	int hold[2];
	pid_t child;
	char byte;

	assert_return_code(pipe2(hold, O_CLOEXEC), errno);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		close(hold[1]);
		close(tcp->peer.fd);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	tcp_play(tcp, reads_all);
	tcp_write(tcp, 100000);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
}

static void reads_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_non_blocking_socket_is_waited_for_as_well(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	tcp_play(tcp, reads_when_told);
	tcp_stuff(tcp);
	tcp_go(tcp);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void a_deadline_that_has_passed_resets_what_is_unacked(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	assert_int_equal(tcp_end(tcp, NULL, lb_now() - 1, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	assert_ending(&end, "accepted: timeout by self in flush");
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_in_range(tcp->peer.got, end.acked, tcp->written);
}

static void a_deadline_does_not_reset_what_is_acked(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	assert_int_equal(tcp_end(tcp, NULL, lb_now() - 1, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_int_equal(end.rung, LB_RUNG_ACKED);
	assert_int_equal(end.how, LB_END_TIMEOUT);
	assert_int_equal(end.by, LB_PARTY_SELF);
	assert_counts(&end, 1000, 1000, 0);
}

static void what_is_over_needs_no_time(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_peer_close(&tcp->peer);
	assert_int_equal(tcp_end(tcp, NULL, lb_now() - 1, &end), 0);
	assert_true(end.took >= 0);
	assert_int_equal(end.how == LB_END_FIN ? end.rung : LB_RUNG_ENDED, LB_RUNG_ENDED);
}

static void an_inherited_linger_neither_resets_nor_blocks(void **state)
{
	(void)state;
	for (int seconds = 0; seconds <= 30; seconds += 30) {
		const struct lb_ending ending = {.limits = {.idle = 1}};
		struct linger linger;
		socklen_t len = sizeof linger;
		struct lb_outcome end;
		struct tcp tcp;
		int copy;

		tcp_connect(&tcp, &tcp_sides[1], 1, seconds);
		copy = dup(tcp.ours);
		assert_return_code(getsockopt(copy, SOL_SOCKET, SO_LINGER, &linger, &len), errno);
		assert_int_equal(linger.l_onoff, 1);
		tcp_write(&tcp, 100000);
		tcp_play(&tcp, tcp_peer_read_all);
		assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(10000), &end), 0);
		assert_return_code(getsockopt(copy, SOL_SOCKET, SO_LINGER, &linger, &len), errno);
		assert_int_equal(linger.l_onoff, 0);
		close(copy);
		tcp_join(&tcp);
		assert_peer_has_all(&tcp);
		assert_ending(&end, "acked: timeout by self in drain");
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
	}
}

static pthread_t caller;
static volatile sig_atomic_t signals;

static void count(int signal)
{
	(void)signal;
	signals++;
}

static void interrupts_all_the_while(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	for (int i = 0; i < 300; i++) {
		pthread_kill(caller, SIGUSR1);
		tcp_peer_read(peer, 4096);
	}
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void signals_change_nothing(void **state)
{
	struct sigaction action = {.sa_handler = count}, before;
	struct tcp *tcp = *state;
	struct lb_outcome end;

	caller = pthread_self();
	signals = 0;
	assert_return_code(sigaction(SIGUSR1, &action, &before), errno);
	tcp_play(tcp, interrupts_all_the_while);
	tcp_stuff(tcp);
	tcp_go(tcp);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	tcp_join(tcp);
	assert_return_code(sigaction(SIGUSR1, &before, NULL), errno);
	assert_true(signals > 0);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
}

/* send(2) raises it only for EPIPE, which is how a reset after the peer's FIN is reported. */
static void no_sigpipe_is_raised(void **state)
{
	static char words[8 << 20];
	const struct lb_ending ending = {.last = words, .last_len = sizeof words};
	struct sigaction action = {.sa_handler = count}, before;
	struct tcp *tcp = *state;
	struct pollfd event = {.fd = tcp->ours, .events = POLLRDHUP};
	struct lb_ending_run run;
	struct lb_outcome end;

	signals = 0;
	assert_return_code(sigaction(SIGPIPE, &action, &before), errno);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&event, 1, 20000), 1);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	tcp_peer_reset(&tcp->peer);
	event.events = 0;
	assert_int_equal(poll(&event, 1, 20000), 1);
	assert_true(lb_ending_step(&run, lb_now(), &end));
	tcp->ours = -1;
	assert_return_code(sigaction(SIGPIPE, &before, NULL), errno);
	assert_int_equal(signals, 0);
	assert_ending(&end, "accepted: rst by peer in data");
	assert_int_equal(end.err, EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_open_is_ebadf),
		cmocka_unit_test(what_is_not_a_socket_is_closed),
		cmocka_unit_test(a_socket_of_another_kind_is_closed),
		cmocka_unit_test(what_was_never_connected_is_closed),
		ON_EVERY_SIDE(the_end_comes_although_a_copy_is_open),
		ON_EVERY_SIDE(the_end_comes_although_a_child_holds_the_socket),
		ON_EVERY_SIDE(a_non_blocking_socket_is_waited_for_as_well),
		ON_EVERY_SIDE(a_deadline_that_has_passed_resets_what_is_unacked),
		ON_EVERY_SIDE(a_deadline_does_not_reset_what_is_acked),
		ON_EVERY_SIDE(what_is_over_needs_no_time),
		cmocka_unit_test(an_inherited_linger_neither_resets_nor_blocks),
		ON_EVERY_SIDE(signals_change_nothing),
		ON_EVERY_SIDE(no_sigpipe_is_raised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
