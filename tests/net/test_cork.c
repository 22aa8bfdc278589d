/* SPDX-License-Identifier: MIT */
/* lb_cork, lb_send_message and lb_nodelay: what is held back, until when, and what is not. */
#include "lib/message.h"
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* With something unacked, Nagle's algorithm holds the second of two writes; the peer never acks the first. */
static void nagles_algorithm_delays_no_tail(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 120);
	assert_int_equal(message_held(tcp), 0);
	tcp_write(tcp, 300);
	assert_int_equal(message_held(tcp), 300);
	assert_int_equal(message_send(tcp, 3000, 7, MESSAGE_SOON), 0);
	assert_int_equal(message_held(tcp), 0);
	tcp_write(tcp, 300);
	assert_int_equal(message_held(tcp), 300);
	assert_int_equal(message_send(tcp, 3000, 3 * IOV_MAX, 0), 0);
	assert_int_equal(message_held(tcp), 0);
	message_undeafen(tcp);
	message_finish(tcp);
}

static void a_cork_of_somebody_elses_delays_nothing_and_stays(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	message_set_option(tcp, TCP_CORK, 1);
	tcp_write(tcp, 100);
	assert_int_equal(message_held(tcp), 100);
	for (int on = 0; on <= 1; on++) {
		message_set_option(tcp, TCP_NODELAY, on);
		assert_int_equal(message_send(tcp, 300, 7, MESSAGE_SOON), 0);
		assert_int_equal(message_held(tcp), 0);
		assert_int_equal(message_option(tcp, TCP_CORK), 1);
	}
	message_undeafen(tcp);
	message_finish(tcp);
}

static void what_is_held_back_goes_out_with_the_scope(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	for (int on = 0; on <= 1; on++) {
		unsigned before = message_segments(tcp);
		lb_time deadline = MESSAGE_SOON;
		size_t sent;

		message_set_option(tcp, TCP_NODELAY, on);
		{
			LB_CORKED(cork, tcp->ours, deadline);

			assert_true(lb_cork_deadline(&cork) == LB_NEVER);
			for (int i = 1; i <= 7; i++) {
				assert_int_equal(message_hold(tcp, &cork, 100), 0);
				assert_int_equal(message_held(tcp), 100 * i);
				assert_true(lb_cork_deadline(&cork) == deadline);
			}
			assert_int_equal(
				message_send_parts(tcp, &cork, 5 * IOV_MAX, 3 * IOV_MAX, MESSAGE_SOON), 0);
			assert_int_equal(lb_cork_send(&cork, NULL, 0, MESSAGE_SOON, &sent), 0);
			assert_true(lb_cork_deadline(&cork) == deadline);
			assert_int_equal(message_held(tcp), 700 + 5 * IOV_MAX);
			assert_int_equal(message_segments(tcp), before);
		}
		assert_int_equal(message_held(tcp), 0);
		assert_int_equal(message_segments(tcp), before + 1);
	}
	message_undeafen(tcp);
	message_finish(tcp);
}

static int leave_early(struct tcp *tcp, int how)
{
	for (int i = 0; i < 2; i++) {
		LB_CORKED(cork, tcp->ours, MESSAGE_SOON);

		assert_int_equal(message_hold(tcp, &cork, 10), 0);
		if (how == 0)
			return 1;
		if (how == 1)
			goto out;
		if (how == 2)
			break;
		assert_int_equal(message_held(tcp), 10);
	}
out:
	return 0;
}

static void however_the_scope_is_left(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	for (int how = 0; how < 4; how++) {
		leave_early(tcp, how);
		assert_int_equal(message_held(tcp), 0);
	}
	message_undeafen(tcp);
	message_finish(tcp);
}

static void past_its_deadline_a_scope_holds_nothing_back(void **state)
{
	struct tcp *tcp = *state;
	size_t sent;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	for (int with_bytes = 0; with_bytes <= 1; with_bytes++) {
		LB_CORKED(cork, tcp->ours, MESSAGE_SOON);

		assert_int_equal(message_hold(tcp, &cork, 100), 0);
		assert_int_equal(message_held(tcp), 100);
		cork.deadline = lb_now();
		if (with_bytes)
			assert_int_equal(message_hold(tcp, &cork, 100), 0);
		else
			assert_int_equal(lb_cork_send(&cork, NULL, 0, 0, &sent), 0);
		assert_int_equal(message_held(tcp), 0);
		assert_true(lb_cork_deadline(&cork) == LB_NEVER);
		assert_int_equal(message_hold(tcp, &cork, 100), 0);
		assert_int_equal(message_held(tcp), 0);
	}
	message_undeafen(tcp);
	message_finish(tcp);
}

static void the_inner_of_two_scopes_sends_for_both(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	{
		LB_CORKED(outer, tcp->ours, MESSAGE_SOON);

		assert_int_equal(message_hold(tcp, &outer, 100), 0);
		{
			LB_CORKED(inner, tcp->ours, MESSAGE_SOON);

			assert_int_equal(message_hold(tcp, &inner, 100), 0);
			assert_int_equal(message_held(tcp), 200);
		}
		assert_int_equal(message_held(tcp), 0);
		assert_int_equal(message_hold(tcp, &outer, 100), 0);
		assert_int_equal(message_held(tcp), 100);
	}
	assert_int_equal(message_held(tcp), 0);
	message_undeafen(tcp);
	message_finish(tcp);
}

static void a_message_within_a_scope_takes_along_what_was_held(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	LB_CORKED(cork, tcp->ours, MESSAGE_SOON);
	assert_int_equal(message_hold(tcp, &cork, 100), 0);
	assert_int_equal(message_send(tcp, 100, 3, MESSAGE_SOON), 0);
	assert_int_equal(message_held(tcp), 0);
	message_undeafen(tcp);
	message_finish(tcp);
}

static void a_scope_that_fails_holds_nothing_back(void **state)
{
	const struct iovec bad[2] = {{.iov_base = "x", .iov_len = 1}, {.iov_base = "y", .iov_len = SIZE_MAX}};
	struct tcp *tcp = *state;
	size_t sent = 1;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	{
		LB_CORKED(cork, tcp->ours, MESSAGE_SOON);

		assert_int_equal(message_hold(tcp, &cork, 100), 0);
		assert_int_equal(message_held(tcp), 100);
		assert_int_equal(lb_cork_send(&cork, bad, 2, MESSAGE_SOON, &sent), -EINVAL);
		assert_int_equal(sent, 0);
		assert_int_equal(message_held(tcp), 0);
		assert_true(lb_cork_deadline(&cork) == LB_NEVER);
		assert_int_equal(message_hold(tcp, &cork, 100), 0);
		lb_uncork(&cork);
		assert_int_equal(message_held(tcp), 0);
		assert_int_equal(lb_cork_send(&cork, bad, 1, MESSAGE_SOON, &sent), -EBADF);
		lb_uncork(&cork);
	}
	message_undeafen(tcp);
	message_finish(tcp);
}

static struct tcp *held_back;

static void resets_once_nothing_is_held(struct tcp_peer *peer)
{
	lb_time limit = lb_in_ms(MESSAGE_RETRANSMISSION_MS * 3 / 4);
	int n = 1;

	tcp_peer_await(peer);
	while (n > 0 && lb_now() < limit) {
		sched_yield();
		ioctl(held_back->ours, SIOCOUTQNSD, &n);
	}
	peer->error = n > 0 ? ETIME : 0;
	tcp_peer_reset(peer);
}

/*
 * The queue is small and no ack makes room. What is held back fills it if its parts lie apart in the kernel's memory,
 * because another connection's come in between: a segment has room for 17 of these.
 */
static void nothing_is_held_back_while_waiting_for_room(void **state)
{
	struct tcp *tcp = *state, other;
	int least = 1, error = 0;

	held_back = tcp;
	tcp_connect(&other, tcp->side, 0, 0);
	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), errno);
	message_deafen(tcp);
	tcp_write(tcp, 1);
	tcp_play(tcp, resets_once_nothing_is_held);
	{
		LB_CORKED(cork, tcp->ours, MESSAGE_SOON);

		assert_int_equal(message_hold(tcp, &cork, 10), 0);
		tcp_go(tcp);
		while (error == 0) {
			tcp_write(&other, 10);
			error = message_hold(tcp, &cork, 10);
		}
	}
	assert_int_equal(error, -ECONNRESET);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, 0);
	close(other.ours);
	tcp_peer_close(&other.peer);
	close(other.peer.go);
}

/* A process dies within the scope. Another one has the socket as well, and goes on. */
static void a_crash_leaves_no_mark_on_the_socket(void **state)
{
	struct tcp *tcp = *state;
	pid_t child;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		LB_CORKED(cork, tcp->ours, MESSAGE_SOON);
		_exit(message_hold(tcp, &cork, 100) == 0 && message_held(tcp) == 100 ? raise(SIGKILL) : 1);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(message_held(tcp), 100);
	assert_int_equal(message_option(tcp, TCP_CORK), 0);
	assert_int_equal(message_option(tcp, TCP_NODELAY), 0);
	tcp->written += 100;
	message_set_option(tcp, TCP_NODELAY, 1);
	tcp_write(tcp, 10);
	assert_int_equal(message_held(tcp), 0);
	message_undeafen(tcp);
	message_finish(tcp);
}

/* It takes a retransmission time-out. */
static void reads_101(struct tcp_peer *peer)
{
	tcp_peer_read(peer, 101);
}

static void a_scope_that_is_never_left_delays_but_does_not_keep(void **state)
{
	struct tcp *tcp = *state;
	struct lb_cork forgotten = lb_cork(tcp->ours, MESSAGE_SOON);

	tcp_write(tcp, 1);
	tcp_wait_acked(tcp);
	assert_int_equal(message_hold(tcp, &forgotten, 100), 0);
	assert_int_equal(message_held(tcp), 100);
	tcp_play(tcp, reads_101);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.got, 101);
	assert_true(tcp->peer.intact);
	assert_int_equal(tcp->peer.error, 0);
}

static void nodelay_is_switched_and_sends_what_waits(void **state)
{
	struct tcp *tcp = *state;

	message_deafen(tcp);
	tcp_write(tcp, 1);
	tcp_write(tcp, 100);
	assert_int_equal(message_held(tcp), 100);
	assert_int_equal(lb_nodelay(tcp->ours, true), 0);
	assert_int_equal(message_option(tcp, TCP_NODELAY), 1);
	assert_int_equal(message_held(tcp), 0);
	tcp_write(tcp, 100);
	assert_int_equal(message_held(tcp), 0);
	assert_int_equal(lb_nodelay(tcp->ours, false), 0);
	assert_int_equal(message_option(tcp, TCP_NODELAY), 0);
	message_undeafen(tcp);
	message_finish(tcp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(nagles_algorithm_delays_no_tail),
		ON_EVERY_SIDE(a_cork_of_somebody_elses_delays_nothing_and_stays),
		ON_EVERY_SIDE(what_is_held_back_goes_out_with_the_scope),
		ON_EVERY_SIDE(however_the_scope_is_left),
		ON_EVERY_SIDE(past_its_deadline_a_scope_holds_nothing_back),
		ON_EVERY_SIDE(the_inner_of_two_scopes_sends_for_both),
		ON_EVERY_SIDE(a_message_within_a_scope_takes_along_what_was_held),
		ON_EVERY_SIDE(a_scope_that_fails_holds_nothing_back),
		ON_EVERY_SIDE(nothing_is_held_back_while_waiting_for_room),
		ON_EVERY_SIDE(a_crash_leaves_no_mark_on_the_socket),
		ON_SIDE(0, "IPv4, connecting", a_scope_that_is_never_left_delays_but_does_not_keep),
		ON_EVERY_SIDE(nodelay_is_switched_and_sends_what_waits),
	};

	return cmocka_run_group_tests(tests, message_network, NULL);
}
