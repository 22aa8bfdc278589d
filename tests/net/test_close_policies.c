/* SPDX-License-Identifier: MIT */
/*
 * Every policy against every kind of peer: what we say is held against what the peer's application got. What a policy
 * promises is checked for itself; what none may do is checked for all: claim more than there was.
 */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE   300000
#define EARLY  1000
#define SECOND INT64_C(1000000000)

static const struct lb_ending by_drain = {.policy = LB_POLICY_DRAIN};
static const struct lb_ending by_acked = {.policy = LB_POLICY_ACKED};
static const struct lb_ending by_finish = {.policy = LB_POLICY_FINISH};
static const struct lb_ending by_linger_finish = {.policy = LB_POLICY_LINGER_FINISH};
static const struct lb_ending by_linger = {.policy = LB_POLICY_LINGER};
static const struct lb_ending by_plain = {.policy = LB_POLICY_PLAIN};
static const struct lb_ending by_abort = {.policy = LB_POLICY_ABORT};

static const struct lb_ending *const policies[] = {
	&by_drain, &by_acked, &by_finish, &by_linger_finish, &by_linger, &by_plain, &by_abort};
/* Those that leave the queue to the kernel: by shutdown(2) first, or not. */
static const struct lb_ending *const leaving[] = {&by_finish, &by_linger_finish, &by_linger, &by_plain};

/* A connection of its own within a test of one side. */
static struct tcp *connection(struct tcp *tcp, const struct tcp_side *side)
{
	tcp_connect(tcp, side, 0, 0);
	return tcp;
}

static void done_with(struct tcp *tcp)
{
	tcp_join(tcp);
	tcp_peer_close(&tcp->peer);
	close(tcp->peer.go);
}

/* Once the peer has read all that it can get. Its Linux keeps what had come before a reset. */
static void assert_truth(const struct tcp *tcp, const struct lb_outcome *end)
{
	const struct tcp_peer *peer = &tcp->peer;

	assert_true(peer->intact);
	assert_int_equal(end->verdict, LB_VERDICT_UNPROVEN);
	assert_int_not_equal(end->how, LB_END_OPEN);
	assert_int_equal(end->accepted, tcp->written);
	assert_in_range(end->acked, 0, end->accepted);
	assert_in_range(peer->got, end->acked, tcp->written);
	if (end->lost != LB_UNKNOWN)
		assert_int_equal(end->acked + end->lost, end->accepted);
	if (end->rung >= LB_RUNG_ACKED) {
		assert_int_equal(end->lost, 0);
		assert_int_equal(peer->got, tcp->written);
	}
	if (end->rung == LB_RUNG_ENDED)
		assert_true(peer->ended);
	if (peer->got < tcp->written)
		assert_true(end->lost == LB_UNKNOWN || end->lost > 0);
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void reads_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
}

static void sends_in_the_middle(struct tcp_peer *peer)
{
	tcp_peer_read(peer, SIZE / 2);
	tcp_peer_send(peer, EARLY);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void reads_slowly(struct tcp_peer *peer)
{
	while (tcp_peer_read(peer, 1460))
		continue;
	tcp_peer_close(peer);
}

static void uploads_first(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 8 << 20);
	tcp_peer_read_all(peer);
}

static void floods(struct tcp_peer *peer)
{
	tcp_peer_read(peer, SIZE);
	while (tcp_peer_send(peer, 65536))
		continue;
	tcp_peer_read_all(peer);
}

static const struct {
	void (*play)(struct tcp_peer *peer);
	bool sends;
} kinds[] = {
	{reads_all, false},
	{reads_when_told, false},
	{reads_slowly, false},
	{sends_in_the_middle, true},
	{uploads_first, true},
	{floods, true},
};

static void no_policy_claims_more_than_there_was(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
			struct lb_ending ending = *policies[p];
			struct lb_outcome end;
			struct tcp tcp;

			ending.limits = (struct lb_limits){.idle = SECOND / 50, .drain_bytes = 16 << 20};
			connection(&tcp, given->side);
			tcp_write(&tcp, SIZE);
			tcp_play(&tcp, kinds[k].play);
			/* else it would begin only after the call, and lingering would be waiting for it */
			tcp_go(&tcp);
			assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(20000), &end), 0);
			tcp_join(&tcp);
			assert_truth(&tcp, &end);
			if (ending.policy == LB_POLICY_DRAIN || ending.policy == LB_POLICY_ACKED) {
				assert_int_equal(tcp.peer.got, SIZE);
				assert_in_range(end.rung, LB_RUNG_ACKED, LB_RUNG_ENDED);
			}
			/* of those that send, the error may be told to their send(2): then an end follows it */
			if (ending.policy == LB_POLICY_ABORT && !kinds[k].sends)
				assert_int_equal(tcp.peer.error, ECONNRESET);
			if (ending.policy == LB_POLICY_ABORT)
				assert_int_equal(end.how, LB_END_LOCAL_ABORT);
			done_with(&tcp);
		}
	}
}

static void leave_and_read(
	const struct tcp_side *side, const struct lb_ending *ending, struct lb_outcome *end)
{
	struct tcp tcp;

	connection(&tcp, side);
	tcp_stuff(&tcp);
	assert_int_equal(tcp_end(&tcp, ending, lb_in_ms(500), end), 0);
	tcp_peer_read_all(&tcp.peer);
	assert_peer_has_all(&tcp);
	assert_truth(&tcp, end);
	assert_int_equal(end->how, LB_END_DETACHED);
	assert_int_equal(end->by, LB_PARTY_SELF);
	assert_int_equal(end->rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end->lost, LB_UNKNOWN);
	done_with(&tcp);
}

static void what_is_left_to_the_kernel_is_not_known(void **state)
{
	struct tcp *given = *state;
	struct lb_outcome end;

	leave_and_read(given->side, &by_finish, &end);
	leave_and_read(given->side, &by_plain, &end);
}

/* Whole seconds, rounded up; and the kernel goes on after them. */
static void lingering_waits_until_the_deadline(void **state)
{
	struct lb_outcome end;

	(void)state;
	leave_and_read(&tcp_sides[0], &by_linger, &end);
	assert_in_range(end.took, SECOND, 60 * SECOND);
	leave_and_read(&tcp_sides[3], &by_linger_finish, &end);
	assert_in_range(end.took, SECOND, 60 * SECOND);
}

/* The peer's kernel has it all when the call returns: nothing is acked but what came, and this has waited. */
static void lingering_waits_for_the_ack_of_everything(void **state)
{
	static const struct lb_ending *const lingering[] = {&by_linger, &by_linger_finish};
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof lingering / sizeof *lingering; p++) {
		struct tcp_info info;
		socklen_t len = sizeof info;
		struct lb_outcome end;
		struct tcp tcp;

		connection(&tcp, given->side);
		assert_return_code(fcntl(tcp.ours, F_SETFL, O_NONBLOCK), errno);
		tcp_play(&tcp, reads_when_told);
		tcp_stuff(&tcp);
		tcp_go(&tcp);
		assert_int_equal(tcp_end(&tcp, lingering[p], lb_in_ms(60000), &end), 0);
		assert_return_code(getsockopt(tcp.peer.fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
		assert_int_equal(info.tcpi_state, TCP_CLOSE_WAIT);
		tcp_join(&tcp);
		assert_peer_has_all(&tcp);
		assert_truth(&tcp, &end);
		assert_int_equal(end.how, LB_END_DETACHED);
		/* the peer may have been so fast that all was acked before the close(2) */
		assert_int_equal(end.lost, end.rung == LB_RUNG_ACKED ? 0 : LB_UNKNOWN);
		done_with(&tcp);
	}
}

static void what_is_acked_already_is_known(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof leaving / sizeof *leaving; p++) {
		struct lb_outcome end;
		struct tcp tcp;

		connection(&tcp, given->side);
		tcp_write(&tcp, 1000);
		tcp_wait_acked(&tcp);
		assert_int_equal(tcp_end(&tcp, leaving[p], lb_in_ms(20000), &end), 0);
		tcp_peer_read_all(&tcp.peer);
		assert_peer_has_all(&tcp);
		assert_int_equal(end.how, LB_END_DETACHED);
		assert_int_equal(end.rung, LB_RUNG_ACKED);
		assert_counts(&end, 1000, 1000, 0);
		done_with(&tcp);
	}
}

/* The last close(2) of the socket resets then, and any other does nothing: which one it was, nobody can tell. */
static void leave_unread(const struct tcp_side *side, const struct lb_ending *ending, bool shared)
{
	struct lb_outcome end;
	struct pollfd arrived;
	struct tcp tcp;
	int copy;

	connection(&tcp, side);
	copy = shared ? dup(tcp.ours) : -1;
	arrived = (struct pollfd){.fd = tcp.ours, .events = POLLIN};
	tcp_peer_send(&tcp.peer, EARLY);
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	tcp_stuff(&tcp);
	assert_int_equal(tcp_end(&tcp, ending, lb_in_ms(20000), &end), 0);
	if (shared)
		shutdown(copy, SHUT_WR);
	tcp_peer_read_all(&tcp.peer);
	if (shared)
		assert_peer_has_all(&tcp);
	else
		assert_int_equal(tcp.peer.error, ECONNRESET);
	assert_truth(&tcp, &end);
	assert_int_equal(end.how, LB_END_DETACHED);
	assert_int_equal(end.by, LB_PARTY_SELF);
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end.discarded, EARLY);
	assert_int_equal(end.lost, LB_UNKNOWN);
	done_with(&tcp);
	if (shared)
		close(copy);
}

static void what_lies_unread_may_make_close_a_reset_and_that_is_not_known(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof leaving / sizeof *leaving; p++) {
		leave_unread(given->side, leaving[p], false);
		leave_unread(given->side, leaving[p], true);
	}
}

/* SIOCINQ counts up to it only, and yet it has close(2) reset, though MSG_OOB has taken it. */
static void an_urgent_byte_lies_unread_too(void **state)
{
	struct tcp *given = *state;

	for (size_t i = 0; i < 2 * sizeof leaving / sizeof *leaving; i++) {
		struct lb_outcome end;
		struct pollfd arrived;
		struct tcp tcp;
		char byte;

		connection(&tcp, given->side);
		arrived = (struct pollfd){.fd = tcp.ours, .events = POLLPRI};
		assert_int_equal(send(tcp.peer.fd, "!", 1, MSG_OOB), 1);
		assert_int_equal(poll(&arrived, 1, 20000), 1);
		if (i % 2 == 1)
			assert_int_equal(recv(tcp.ours, &byte, 1, MSG_OOB), 1);
		tcp_stuff(&tcp);
		assert_int_equal(tcp_end(&tcp, leaving[i / 2], lb_in_ms(20000), &end), 0);
		tcp_peer_read_all(&tcp.peer);
		assert_int_equal(tcp.peer.error, ECONNRESET);
		assert_truth(&tcp, &end);
		assert_int_equal(end.how, LB_END_DETACHED);
		assert_int_equal(end.discarded, 1);
		assert_int_equal(end.lost, LB_UNKNOWN);
		done_with(&tcp);
	}
}

/* TCP_LINGER2, which listeners pass on. A reset that follows our FIN would be no harm to what lies there, but be seen. */
static void who_has_everything_is_left_in_peace(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
		struct lb_ending ending = *policies[p];
		struct pollfd peer = {.events = POLLRDHUP};
		const int at_once = -1;
		struct lb_outcome end;
		struct tcp tcp;

		if (ending.policy == LB_POLICY_ABORT)
			continue;
		ending.limits.idle = SECOND / 50;
		connection(&tcp, given->side);
		assert_return_code(
			setsockopt(tcp.ours, IPPROTO_TCP, TCP_LINGER2, &at_once, sizeof at_once), errno);
		tcp_write(&tcp, 1000);
		assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(20000), &end), 0);
		tcp_peer_read_all(&tcp.peer);
		assert_peer_has_all(&tcp);
		peer.fd = tcp.peer.fd;
		assert_int_equal(poll(&peer, 1, 20000), 1);
		assert_int_equal(peer.revents, POLLRDHUP);
		done_with(&tcp);
	}
}

static void what_has_ended_already_is_seen_by_every_policy(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
		struct pollfd over;
		struct lb_outcome end;
		struct tcp tcp;

		connection(&tcp, given->side);
		tcp_write(&tcp, 1000);
		shutdown(tcp.ours, SHUT_WR);
		tcp_peer_read_all(&tcp.peer);
		tcp_peer_close(&tcp.peer);
		over = (struct pollfd){.fd = tcp.ours};
		assert_int_equal(poll(&over, 1, 20000), 1);
		assert_int_equal(tcp_end(&tcp, policies[p], lb_in_ms(20000), &end), 0);
		assert_int_equal(end.how, LB_END_FIN);
		assert_int_equal(end.by, LB_PARTY_PEER);
		assert_counts(&end, 1000, 1000, 0);
		done_with(&tcp);
	}
}

/* A reset whose error somebody has read: recv(2) says 0 now, as at an end. */
static void a_false_end_is_not_believed_by_any_policy(void **state)
{
	struct tcp *given = *state;

	for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
		struct lb_outcome end;
		struct pollfd broken;
		struct tcp tcp;
		char byte;

		connection(&tcp, given->side);
		tcp_stuff(&tcp);
		tcp_peer_read(&tcp.peer, 1000);
		tcp_peer_reset(&tcp.peer);
		broken = (struct pollfd){.fd = tcp.ours};
		assert_int_equal(poll(&broken, 1, 20000), 1);
		assert_int_equal(recv(tcp.ours, &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(recv(tcp.ours, &byte, 1, 0), 0);
		assert_int_equal(tcp_end(&tcp, policies[p], lb_in_ms(20000), &end), 0);
		assert_ending(&end, "accepted: rst by peer in data");
		assert_int_equal(end.accepted, tcp.written);
		assert_int_equal(end.acked + end.lost, tcp.written);
		assert_true(end.lost > 0);
		done_with(&tcp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(no_policy_claims_more_than_there_was),
		ON_EVERY_SIDE(what_is_left_to_the_kernel_is_not_known),
		cmocka_unit_test(lingering_waits_until_the_deadline),
		ON_EVERY_SIDE(lingering_waits_for_the_ack_of_everything),
		ON_EVERY_SIDE(what_is_acked_already_is_known),
		ON_EVERY_SIDE(what_lies_unread_may_make_close_a_reset_and_that_is_not_known),
		ON_EVERY_SIDE(an_urgent_byte_lies_unread_too),
		ON_EVERY_SIDE(who_has_everything_is_left_in_peace),
		ON_EVERY_SIDE(what_has_ended_already_is_seen_by_every_policy),
		ON_EVERY_SIDE(a_false_end_is_not_believed_by_any_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
