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

static void interrupts_until_told(struct tcp_peer *peer)
{
	struct pollfd told = {.fd = peer->go, .events = POLLIN};

	while (poll(&told, 1, 1) == 0)
		pthread_kill(caller, SIGUSR1);
	tcp_peer_read_all(peer);
}

/* close(2) returns early then, and as always 0: the kernel goes on. */
static void a_signal_ends_the_lingering_and_nothing_is_claimed(void **state)
{
	static const struct lb_ending ending = {.policy = LB_POLICY_LINGER_FINISH};
	struct sigaction action = {.sa_handler = count}, before;
	struct tcp *tcp = *state;
	struct lb_outcome end;

	caller = pthread_self();
	signals = 0;
	assert_return_code(sigaction(SIGUSR1, &action, &before), errno);
	tcp_stuff(tcp);
	tcp_play(tcp, interrupts_until_told);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(100000), &end), 0);
	tcp_join(tcp);
	assert_return_code(sigaction(SIGUSR1, &before, NULL), errno);
	assert_true(signals > 0);
	assert_true(end.took < 50000 * INT64_C(1000000));
	assert_ending(&end, "accepted: detached by self in flush");
	assert_int_equal(end.lost, LB_UNKNOWN);
	assert_peer_has_all(tcp);
}

static void a_copy_keeps_no_fin_back_unless_there_is_none(void **state)
{
	struct tcp *given = *state;

	for (int policy = 0; policy < LB_POLICY_ABORT; policy++) {
		const struct lb_ending ending = {.policy = (enum lb_policy)policy, .limits = {.idle = 1}};
		bool silent = policy == LB_POLICY_PLAIN || policy == LB_POLICY_LINGER;
		struct lb_outcome end;
		struct pollfd ended;
		struct tcp tcp;
		int copy;

		tcp_connect(&tcp, given->side, 0, 0);
		copy = dup(tcp.ours);
		tcp_write(&tcp, 1000);
		tcp_wait_acked(&tcp);
		assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(20000), &end), 0);
		assert_int_equal(end.rung, LB_RUNG_ACKED);
		assert_counts(&end, 1000, 1000, 0);
		ended = (struct pollfd){.fd = tcp.peer.fd, .events = POLLRDHUP};
		assert_int_equal(poll(&ended, 1, silent ? 0 : 20000), !silent);
		close(copy);
		tcp_peer_read_all(&tcp.peer);
		assert_peer_has_all(&tcp);
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
	}
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
		ON_EVERY_SIDE(the_end_comes_although_a_copy_is_open),
		ON_EVERY_SIDE(the_end_comes_although_a_child_holds_the_socket),
		ON_EVERY_SIDE(a_non_blocking_socket_is_waited_for_as_well),
		ON_EVERY_SIDE(a_deadline_that_has_passed_resets_what_is_unacked),
		ON_EVERY_SIDE(a_deadline_does_not_reset_what_is_acked),
		ON_EVERY_SIDE(what_is_over_needs_no_time),
		cmocka_unit_test(an_inherited_linger_neither_resets_nor_blocks),
		ON_EVERY_SIDE(signals_change_nothing),
		ON_EVERY_SIDE(a_signal_ends_the_lingering_and_nothing_is_claimed),
		ON_EVERY_SIDE(a_copy_keeps_no_fin_back_unless_there_is_none),
		ON_EVERY_SIDE(no_sigpipe_is_raised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
