/* SPDX-License-Identifier: MIT */
/* Endings that are stopped before they are over: to make room for others, or by lb_abort. */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lb_outcome end; /* of the run that the test is about */

static void start(struct tcp *tcp, struct lb_ending_run *run, const struct lb_ending *ending)
{
	lb_ending_start(run, tcp->ours, ending, 0, LB_NEVER);
	assert_int_equal(run->fd, tcp->ours);
}

static void wait_for(int fd, short event)
{
	struct pollfd poll_fd = {.fd = fd, .events = event};

	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_true((poll_fd.revents & event) != 0);
}

static void one_that_is_acked_is_evicted_without_a_reset(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	start(tcp, &run, NULL);
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_false(lb_ending_step(&run, 5, &end));
	assert_true(lb_ending_acked(&run));
	lb_ending_stop(&run, 7, LB_END_EVICTED, &end);
	tcp->ours = -1;
	assert_int_equal(run.fd, -1);
	assert_ending(&end, "acked: evicted by self in drain");
	assert_counts(&end, 1000, 1000, 0);
	assert_int_equal(end.took, 7);
	assert_peer_has_all(tcp);
	assert_int_equal(send(tcp->peer.fd, "x", 1, MSG_NOSIGNAL), 1);
}

/* What came since the last step lies unread, and close(2) would reset for it. */
static void one_that_was_never_stepped_is_stopped_as_well(void **state)
{
	static const enum lb_end ways[] = {LB_END_EVICTED, LB_END_TIMEOUT, LB_END_LOCAL_ABORT};
	struct tcp *given = *state;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct lb_ending_run run;
		struct tcp tcp;

		tcp_connect(&tcp, given->side, 0, 0);
		tcp_write(&tcp, 1000);
		start(&tcp, &run, NULL);
		tcp_peer_read_all(&tcp.peer);
		tcp_wait_acked(&tcp);
		tcp_peer_send(&tcp.peer, 77);
		wait_for(tcp.ours, POLLIN);
		lb_ending_stop(&run, 0, ways[i], &end);
		assert_int_equal(end.how, ways[i]);
		assert_int_equal(end.discarded, 77);
		assert_counts(&end, 1000, 1000, 0);
		assert_peer_has_all(&tcp);
		assert_int_equal(
			send(tcp.peer.fd, "x", 1, MSG_NOSIGNAL), ways[i] == LB_END_LOCAL_ABORT ? -1 : 1);
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
	}
}

static void one_that_is_not_acked_is_evicted_as_at_its_deadline(void **state)
{
	static const struct {
		enum lb_on_expiry on_expiry;
		const char *how;
		int result;
	} choices[] = {
		{LB_EXPIRY_ABORT, "accepted: evicted by self in flush", 0},
		{LB_EXPIRY_DETACH, "accepted: evicted by self in flush", 0},
		{LB_EXPIRY_KEEP, "accepted: open by none in flush", -EAGAIN},
	};
	struct tcp *given = *state;

	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
		struct lb_ending ending = {.on_expiry = choices[i].on_expiry};
		struct lb_ending_run run;
		struct tcp tcp;

		tcp_connect(&tcp, given->side, 0, 0);
		tcp_stuff(&tcp);
		start(&tcp, &run, &ending);
		lb_ending_stop(&run, 0, LB_END_EVICTED, &end);
		assert_ending(&end, choices[i].how);
		assert_int_equal(run.result, choices[i].result);
		assert_int_equal(run.fd, -1);
		assert_int_equal(end.accepted, tcp.written);
		assert_int_equal(fcntl(tcp.ours, F_GETFD) >= 0, choices[i].on_expiry == LB_EXPIRY_KEEP);
		if (choices[i].on_expiry == LB_EXPIRY_KEEP)
			close(tcp.ours);
		if (choices[i].on_expiry == LB_EXPIRY_ABORT)
			assert_int_equal(end.acked + end.lost, tcp.written);
		else
			assert_int_equal(end.lost, LB_UNKNOWN);
		tcp_peer_read_all(&tcp.peer);
		assert_int_equal(tcp.peer.error, choices[i].on_expiry == LB_EXPIRY_ABORT ? ECONNRESET : 0);
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
	}
}

static void one_that_has_ended_meanwhile_is_not_called_evicted(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd over = {.fd = tcp->ours};
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	start(tcp, &run, NULL);
	tcp_peer_read_all(&tcp->peer);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(poll(&over, 1, 20000), 1);
	lb_ending_stop(&run, 0, LB_END_EVICTED, &end);
	tcp->ours = -1;
	assert_ending(&end, "ended: fin by peer in done");
}

/* Its kernel has taken all that was written, and must not take it for all. */
static void one_whose_last_words_are_written_in_part_is_reset(void **state)
{
	static char words[1 << 20];
	static const struct lb_ending ending = {.last = words, .last_len = sizeof words};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	start(tcp, &run, &ending);
	lb_ending_stop(&run, 0, LB_END_EVICTED, &end);
	tcp->ours = -1;
	assert_int_equal(end.how, LB_END_EVICTED);
	assert_int_equal(end.phase, LB_PHASE_DATA);
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_in_range(end.accepted, 1, sizeof words - 1);
	tcp_peer_read_all(&tcp->peer);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void one_that_was_refused_says_so_when_it_is_stopped(void **state)
{
	struct lb_ending_run run;

	(void)state;
	lb_ending_start(&run, -1, NULL, 0, LB_NEVER);
	assert_int_equal(run.fd, -1);
	assert_int_equal(lb_ending_limit(&run), LB_NEVER);
	lb_ending_stop(&run, 0, LB_END_EVICTED, &end);
	assert_int_equal(run.result, -EBADF);
	assert_ending(&end, "nothing: no_connection by none in connect");
}

static void an_abort_resets_and_counts(void **state)
{
	struct tcp *tcp = *state;

	tcp_peer_send(&tcp->peer, 77);
	wait_for(tcp->ours, POLLIN);
	tcp_stuff(tcp);
	assert_int_equal(lb_abort(tcp->ours, &end), 0);
	tcp->ours = -1;
	tcp_peer_read_all(&tcp->peer);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	assert_ending(&end, "accepted: local_abort by self in data");
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_in_range(tcp->peer.got, end.acked, end.accepted);
	assert_int_equal(end.discarded, 77);
}

static void an_abort_of_what_the_peer_has_reset_is_the_peers(void **state)
{
	struct tcp *tcp = *state;

	tcp_peer_reset(&tcp->peer);
	wait_for(tcp->ours, POLLERR);
	assert_int_equal(lb_abort(tcp->ours, &end), 0);
	tcp->ours = -1;
	assert_ending(&end, "nothing: rst by peer in data");
}

static void an_abort_reaches_the_peer_although_a_copy_is_open(void **state)
{
	struct tcp *tcp = *state;
	int copy = dup(tcp->ours);

	assert_int_equal(lb_abort(tcp->ours, &end), 0);
	tcp->ours = copy;
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(one_that_is_acked_is_evicted_without_a_reset),
		ON_EVERY_SIDE(one_that_was_never_stepped_is_stopped_as_well),
		ON_EVERY_SIDE(one_that_is_not_acked_is_evicted_as_at_its_deadline),
		ON_EVERY_SIDE(one_that_has_ended_meanwhile_is_not_called_evicted),
		ON_EVERY_SIDE(one_whose_last_words_are_written_in_part_is_reset),
		cmocka_unit_test(one_that_was_refused_says_so_when_it_is_stopped),
		ON_EVERY_SIDE(an_abort_resets_and_counts),
		ON_EVERY_SIDE(an_abort_of_what_the_peer_has_reset_is_the_peers),
		ON_EVERY_SIDE(an_abort_reaches_the_peer_although_a_copy_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
