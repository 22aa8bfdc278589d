/* SPDX-License-Identifier: MIT */
/*
 * The steps behind lb_close, as a loop sees them: limits against a clock that the test turns itself, the bounds of
 * one step, and that waiting as told does not spin.
 */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SECOND INT64_C(1000000000)

static struct lb_outcome end; /* of the run that the test is about */

/* Our end belongs to the run from here on. */
static void start(
	struct tcp *tcp, struct lb_ending_run *run, const struct lb_ending *ending, lb_time deadline)
{
	lb_ending_start(run, tcp->ours, ending, 0, deadline);
	assert_int_equal(run->fd, tcp->ours);
}

static bool step(struct tcp *tcp, struct lb_ending_run *run, lb_time now)
{
	bool done = lb_ending_step(run, now, &end);

	assert_int_equal(run->fd < 0, done);
	assert_true(done || (lb_ending_next(run, now) > now && lb_ending_next(run, now) <= run->deadline));
	if (done)
		tcp->ours = -1;
	return done;
}

static void a_peer_that_reads_slowly_is_not_cut_off(void **state)
{
	const struct lb_ending ending = {.limits = {.cap = LB_NEVER}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	lb_time now = 0;
	int small = 65536;

	assert_return_code(setsockopt(tcp->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), errno);
	tcp_stuff(tcp);
	start(tcp, &run, &ending, LB_NEVER);
	assert_false(step(tcp, &run, now));
	while (tcp_unacked(tcp) > 0) {
		uint64_t before = tcp_unacked(tcp);

		now += 10 * SECOND - 1;
		tcp_peer_read(&tcp->peer, 1 << 18);
		tcp_wait_below(tcp, before);
		assert_false(step(tcp, &run, now));
	}
	assert_true(now > 60 * SECOND);
	tcp_peer_read_all(&tcp->peer);
	tcp_peer_close(&tcp->peer);
	assert_true(step(tcp, &run, now));
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_int_equal(end.took, now);
}

static void a_queue_that_stalls_is_reset_after_ten_seconds(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	lb_time now = 10 * SECOND - 1;
	uint64_t queued;

	tcp_stuff(tcp);
	queued = tcp_unacked(tcp) + 1;
	start(tcp, &run, NULL, LB_NEVER);
	assert_false(step(tcp, &run, now));
	for (now = 10 * SECOND; !step(tcp, &run, now); now += 10 * SECOND) {
		/* an ack was still on its way */
		assert_true(tcp_unacked(tcp) < queued);
		queued = tcp_unacked(tcp);
	}
	assert_ending(&end, "accepted: timeout by self in flush");
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void slow_progress_ends_at_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	uint64_t before;

	tcp_stuff(tcp);
	start(tcp, &run, NULL, 12 * SECOND);
	assert_false(step(tcp, &run, 0));
	before = tcp_unacked(tcp);
	tcp_peer_read(&tcp->peer, 1 << 18);
	tcp_wait_below(tcp, before);
	assert_false(step(tcp, &run, 12 * SECOND - 1));
	assert_true(step(tcp, &run, 12 * SECOND));
	assert_ending(&end, "accepted: timeout by self in flush");
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void the_idle_time_begins_when_all_is_acked(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	start(tcp, &run, NULL, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_false(step(tcp, &run, 9 * SECOND));
	assert_int_equal(lb_ending_next(&run, 9 * SECOND), 11 * SECOND);
	assert_int_equal(lb_ending_events(&run), EPOLLIN | EPOLLRDHUP);
	assert_false(step(tcp, &run, 11 * SECOND - 1));
	assert_true(step(tcp, &run, 11 * SECOND));
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, 1000, 1000, 0);
}

static void set_low_water(struct tcp *tcp, int bytes)
{
	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes), errno);
}

/* The peer sends so much, and it lies there unread. The low-water mark makes room for it, too. */
static void peer_has_sent(struct tcp *tcp, int bytes)
{
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};

	set_low_water(tcp, bytes);
	assert_true(tcp_peer_send(&tcp->peer, (uint64_t)bytes));
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	set_low_water(tcp, 1);
}

#define MORE (300 << 10)

static void one_step_throws_a_bounded_number_of_bytes_away(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	peer_has_sent(tcp, MORE);
	start(tcp, &run, NULL, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	assert_int_equal(run.discarded, 256 << 10);
	assert_true(lb_ending_limit(&run) <= 0); /* no edge wakes for the rest */
	assert_true((lb_ending_events(&run) & EPOLLIN) != 0);
	assert_false(step(tcp, &run, 0));
	assert_int_equal(run.discarded, MORE);
	assert_true(lb_ending_limit(&run) > 0);
}

static void one_step_writes_a_bounded_number_of_bytes(void **state)
{
	static char words[MORE];
	static const struct lb_ending ending = {.last = words, .last_len = sizeof words};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	start(tcp, &run, &ending, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	assert_int_equal(run.last_sent, 256 << 10);
	assert_true(lb_ending_limit(&run) <= 0);
	assert_false(step(tcp, &run, 0));
	assert_int_equal(run.last_sent, MORE);
	assert_true(lb_ending_limit(&run) > 0);
}

static void a_peer_that_sends_just_the_cap_and_ends_has_ended(void **state)
{
	const struct lb_ending ending = {.limits = {.drain_bytes = 5000}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	peer_has_sent(tcp, 5000);
	start(tcp, &run, &ending, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	tcp_peer_read_all(&tcp->peer);
	tcp_peer_close(&tcp->peer);
	assert_true(step(tcp, &run, 0));
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_int_equal(end.discarded, 5000);
}

static void past_the_cap_nothing_is_read_and_nothing_is_reset_until_ours_is_acked(void **state)
{
	const struct lb_ending ending = {.limits = {.drain_bytes = 5000}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	peer_has_sent(tcp, 5001);
	start(tcp, &run, &ending, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	assert_int_equal(run.discarded, 5000);
	assert_int_equal(lb_ending_events(&run) & EPOLLIN, 0);
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_peer_has_all(tcp);
	assert_true(step(tcp, &run, 0));
	assert_ending(&end, "acked: local_abort by self in drain");
	assert_counts(&end, tcp->written, tcp->written, 0);
	assert_int_equal(end.discarded, 5001);
	assert_false(tcp_peer_send(&tcp->peer, 1));
	assert_int_equal(tcp->peer.error, EPIPE);
}

/* Waits as a level-triggered loop does, and counts. */
static unsigned run_on_poll(struct tcp *tcp, struct lb_ending_run *run)
{
	unsigned steps = 1;

	while (!lb_ending_step(run, lb_now(), &end)) {
		struct pollfd fd = {.fd = run->fd, .events = (short)lb_ending_events(run)};
		lb_time now = lb_now(), left = lb_ending_next(run, now) - now;

		poll(&fd, fd.events != 0, left > 0 ? (int)((left + 999999) / 1000000) : 0);
		steps++;
	}
	tcp->ours = -1;
	return steps;
}

/* A spin makes tens of thousands of steps in 200 ms. */
#define FEW 100

static void waiting_for_acks_does_not_spin(void **state)
{
	const struct lb_ending ending = {.limits = {.send_stall = SECOND / 5}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_in_range(run_on_poll(tcp, &run), 2, FEW);
	assert_ending(&end, "accepted: timeout by self in flush");
}

static void peer_has_ended(struct tcp *tcp)
{
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};

	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&ended, 1, 20000), 1);
}

static void a_peer_that_ended_before_it_had_every_byte_has_not_answered_them(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	peer_has_ended(tcp);
	start(tcp, &run, NULL, LB_NEVER);
	assert_false(step(tcp, &run, 0));
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_true(step(tcp, &run, 0));
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: fin by peer in done");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void last_words_to_a_peer_that_has_ended_are_only_acked(void **state)
{
	const struct lb_ending ending = {.last = "QUIT", .last_len = 4};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	peer_has_ended(tcp);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_in_range(run_on_poll(tcp, &run), 1, FEW);
	assert_ending(&end, "acked: fin by peer in done");
	assert_counts(&end, 4, 4, 0);
}

static void a_hang_up_that_cannot_be_masked_does_not_spin(void **state)
{
	const struct lb_ending ending = {.limits = {.send_stall = SECOND / 5}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	peer_has_ended(tcp);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_in_range(run_on_poll(tcp, &run), 2, FEW);
	assert_ending(&end, "accepted: timeout by self in flush");
}

static void last_words_wait_for_room_and_do_not_spin(void **state)
{
	static char words[8 << 20];
	const struct lb_ending ending = {
		.last = words, .last_len = sizeof words, .limits = {.send_stall = SECOND / 5}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	peer_has_ended(tcp);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_in_range(run_on_poll(tcp, &run), 2, FEW);
	assert_ending(&end, "accepted: timeout by self in data");
}

static void a_caller_that_had_shut_down_reading_does_not_spin(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = SECOND / 5}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	shutdown(tcp->ours, SHUT_RD);
	lb_ending_start(&run, tcp->ours, &ending, lb_now(), LB_NEVER);
	assert_in_range(run_on_poll(tcp, &run), 2, FEW);
	assert_ending(&end, "acked: timeout by self in drain");
}

static void a_run_that_is_done_stays_done(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_peer_close(&tcp->peer);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	run_on_poll(tcp, &run);
	assert_ending(&end, "ended: fin by peer in done");
	assert_true(step(tcp, &run, lb_now()));
	assert_int_equal(lb_ending_events(&run), 0);
	assert_int_equal(lb_ending_next(&run, lb_now()), LB_NEVER);
	assert_int_equal(lb_ending_limit(&run), LB_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_peer_that_reads_slowly_is_not_cut_off),
		ON_EVERY_SIDE(a_queue_that_stalls_is_reset_after_ten_seconds),
		ON_EVERY_SIDE(slow_progress_ends_at_the_deadline),
		ON_EVERY_SIDE(the_idle_time_begins_when_all_is_acked),
		ON_EVERY_SIDE(one_step_throws_a_bounded_number_of_bytes_away),
		ON_EVERY_SIDE(one_step_writes_a_bounded_number_of_bytes),
		ON_EVERY_SIDE(a_peer_that_sends_just_the_cap_and_ends_has_ended),
		ON_EVERY_SIDE(past_the_cap_nothing_is_read_and_nothing_is_reset_until_ours_is_acked),
		ON_EVERY_SIDE(waiting_for_acks_does_not_spin),
		ON_EVERY_SIDE(a_peer_that_ended_before_it_had_every_byte_has_not_answered_them),
		ON_EVERY_SIDE(last_words_to_a_peer_that_has_ended_are_only_acked),
		ON_EVERY_SIDE(a_hang_up_that_cannot_be_masked_does_not_spin),
		ON_EVERY_SIDE(last_words_wait_for_room_and_do_not_spin),
		ON_EVERY_SIDE(a_caller_that_had_shut_down_reading_does_not_spin),
		ON_EVERY_SIDE(a_run_that_is_done_stays_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
