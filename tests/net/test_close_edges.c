/* SPDX-License-Identifier: MIT */
/*
 * The steps behind lb_close as a program with very many of them takes them: edge-triggered, never polling; limits
 * against a clock that the test turns itself.
 */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define FEW    40

static struct lb_outcome end; /* of the run that the test is about */

static void start(struct tcp *tcp, struct lb_ending_run *run, const struct lb_ending *ending)
{
	lb_ending_start(run, tcp->ours, ending, 0, LB_NEVER);
	assert_int_equal(run->fd, tcp->ours);
}

/* Only an event wakes, or what is to be done at once: the clock stands still. */
static unsigned run_on_edges(struct tcp *tcp, struct lb_ending_run *run)
{
	struct epoll_event event = {.events = LB_ENDING_EDGES};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned steps = 0;

	assert_return_code(epoll, errno);
	assert_return_code(epoll_ctl(epoll, EPOLL_CTL_ADD, run->fd, &event), errno);
	do {
		if (lb_ending_limit(run) > 0)
			assert_int_equal(epoll_wait(epoll, &event, 1, 20000), 1);
		steps++;
	} while (!lb_ending_step(run, 0, &end));
	close(epoll);
	tcp->ours = -1;
	return steps;
}

static void reads_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
}

static void reads_and_closes_when_told(struct tcp_peer *peer)
{
	reads_when_told(peer);
	tcp_peer_close(peer);
}

static void the_ack_of_our_fin_wakes(void **state)
{
	static const struct lb_ending ending = {.policy = LB_POLICY_ACKED};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_play(tcp, reads_when_told);
	tcp_stuff(tcp);
	start(tcp, &run, &ending);
	tcp_go(tcp);
	assert_in_range(run_on_edges(tcp, &run), 1, FEW);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: detached by self in drain");
}

static void the_peers_end_wakes(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_play(tcp, reads_and_closes_when_told);
	tcp_stuff(tcp);
	start(tcp, &run, NULL);
	tcp_go(tcp);
	assert_in_range(run_on_edges(tcp, &run), 1, FEW);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void ends_when_told(struct tcp_peer *peer)
{
	shutdown(peer->fd, SHUT_WR);
	reads_when_told(peer);
}

/* Both have ended, and a level-triggered hang-up would hold. */
static void the_last_ack_wakes_after_the_peers_end(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};
	struct lb_ending_run run;

	tcp_play(tcp, ends_when_told);
	tcp_stuff(tcp);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	start(tcp, &run, NULL);
	tcp_go(tcp);
	assert_in_range(run_on_edges(tcp, &run), 1, FEW);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: fin by peer in done");
}

static void resets_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_reset(peer);
}

static void a_reset_wakes(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_play(tcp, resets_when_told);
	tcp_stuff(tcp);
	start(tcp, &run, NULL);
	assert_false(lb_ending_step(&run, 0, &end));
	tcp_go(tcp);
	assert_in_range(run_on_edges(tcp, &run), 1, FEW);
	assert_ending(&end, "accepted: rst by peer in flush");
	assert_int_equal(end.acked + end.lost, tcp->written);
}

#define MUCH (3u << 20)

static void sends_much_and_closes(struct tcp_peer *peer)
{
	tcp_peer_send(peer, MUCH);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* Nothing wakes for what a step has left over: the limit says so. */
static void what_a_step_leaves_over_is_read_at_once(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_write(tcp, 1000);
	tcp_play(tcp, sends_much_and_closes);
	start(tcp, &run, NULL);
	run_on_edges(tcp, &run);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_int_equal(end.discarded, MUCH);
}

static void last_words_are_written_as_room_comes(void **state)
{
	struct tcp *tcp = *state;
	char *words = malloc(MUCH);
	const struct lb_ending ending = {.last = words, .last_len = MUCH};
	struct lb_ending_run run;

	assert_non_null(words);
	tcp_play(tcp, reads_and_closes_when_told);
	tcp_stuff(tcp);
	tcp_pattern(words, tcp->written, MUCH);
	tcp->written += MUCH;
	start(tcp, &run, &ending);
	tcp_go(tcp);
	run_on_edges(tcp, &run);
	tcp_join(tcp);
	free(words);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
}

static void the_limit_is_the_stall_and_moves_when_the_queue_has_shrunk(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	uint64_t before;

	tcp_stuff(tcp);
	start(tcp, &run, NULL);
	assert_false(lb_ending_step(&run, SECOND, &end));
	assert_true(lb_ending_limit(&run) >= 10 * SECOND && lb_ending_limit(&run) <= 11 * SECOND);
	before = tcp_unacked(tcp);
	tcp_peer_read(&tcp->peer, 1 << 18);
	tcp_wait_below(tcp, before);
	assert_false(lb_ending_step(&run, lb_ending_limit(&run), &end));
	assert_true(lb_ending_limit(&run) >= 20 * SECOND);
	assert_false(lb_ending_acked(&run));
	lb_ending_stop(&run, 20 * SECOND, LB_END_LOCAL_ABORT, &end);
	tcp->ours = -1;
}

static void the_cap_ends_what_goes_on_slowly(void **state)
{
	static const struct lb_ending capped = {.limits = {.cap = 30 * SECOND, .send_stall = HOUR}};
	static const struct lb_ending uncapped = {.limits = {.send_stall = HOUR}};
	struct tcp *tcp = *state;
	struct lb_ending_run run;

	tcp_stuff(tcp);
	lb_ending_start(&run, tcp->ours, &capped, 0, HOUR);
	assert_int_equal(lb_ending_limit(&run), 30 * SECOND);
	lb_ending_start(&run, tcp->ours, &capped, 0, 5 * SECOND);
	assert_int_equal(lb_ending_limit(&run), 5 * SECOND);
	lb_ending_start(&run, tcp->ours, &uncapped, 0, HOUR / 2);
	assert_int_equal(lb_ending_limit(&run), HOUR / 2);
	lb_ending_start(&run, tcp->ours, &uncapped, SECOND, LB_NEVER);
	assert_int_equal(lb_ending_limit(&run), 121 * SECOND);
	assert_false(lb_ending_step(&run, 121 * SECOND - 1, &end));
	assert_true(lb_ending_step(&run, 121 * SECOND, &end));
	tcp->ours = -1;
	assert_ending(&end, "accepted: timeout by self in flush");
}

static void all_acked(struct tcp *tcp, struct lb_ending_run *run, const struct lb_ending *ending)
{
	tcp_write(tcp, 1000);
	start(tcp, run, ending);
	assert_false(lb_ending_acked(run));
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_false(lb_ending_step(run, HOUR, &end));
	assert_true(lb_ending_acked(run));
}

/* Neither the deadline's cap nor the stall is for what is acked. */
static void what_comes_once_all_is_acked_prolongs_idle_up_to_total(void **state)
{
	static const struct lb_ending ending = {.limits = {.cap = 2 * HOUR, .send_stall = 2 * HOUR}};
	struct tcp *tcp = *state;
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};
	struct lb_ending_run run;
	lb_time now = HOUR;

	all_acked(tcp, &run, &ending);
	assert_int_equal(lb_ending_limit(&run), now + 2 * SECOND);
	for (int i = 0; i < 14; i++) {
		now += 2 * SECOND - 1;
		assert_true(tcp_peer_send(&tcp->peer, 10));
		assert_int_equal(poll(&arrived, 1, 20000), 1);
		assert_false(lb_ending_step(&run, now, &end));
		assert_int_equal(lb_ending_limit(&run), now + 2 * SECOND);
	}
	now += 2 * SECOND - 1;
	assert_true(tcp_peer_send(&tcp->peer, 10));
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	assert_false(lb_ending_step(&run, now, &end));
	assert_int_equal(lb_ending_limit(&run), HOUR + 30 * SECOND);
	assert_true(lb_ending_step(&run, HOUR + 30 * SECOND, &end));
	tcp->ours = -1;
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_int_equal(end.discarded, 150);
}

/* After our FIN, and with its error taken by somebody else: recv(2) says 0, and only the kernel knows of no FIN. */
static void a_false_end_while_it_is_waited_for_is_a_reset(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd broken = {.fd = tcp->ours};
	struct lb_ending_run run;
	char byte;

	all_acked(tcp, &run, &(struct lb_ending){.limits = {.send_stall = 2 * HOUR, .cap = 2 * HOUR}});
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&broken, 1, 20000), 1);
	assert_int_equal(recv(tcp->ours, &byte, 1, 0), -1);
	assert_int_equal(recv(tcp->ours, &byte, 1, 0), 0);
	assert_true(lb_ending_step(&run, HOUR, &end));
	tcp->ours = -1;
	assert_ending(&end, "acked: rst by peer in drain");
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(the_ack_of_our_fin_wakes),
		ON_EVERY_SIDE(the_peers_end_wakes),
		ON_EVERY_SIDE(the_last_ack_wakes_after_the_peers_end),
		ON_EVERY_SIDE(a_reset_wakes),
		ON_EVERY_SIDE(what_a_step_leaves_over_is_read_at_once),
		ON_EVERY_SIDE(last_words_are_written_as_room_comes),
		ON_EVERY_SIDE(the_limit_is_the_stall_and_moves_when_the_queue_has_shrunk),
		ON_EVERY_SIDE(the_cap_ends_what_goes_on_slowly),
		ON_EVERY_SIDE(what_comes_once_all_is_acked_prolongs_idle_up_to_total),
		ON_EVERY_SIDE(a_false_end_while_it_is_waited_for_is_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
