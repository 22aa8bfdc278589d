/* SPDX-License-Identifier: MIT */
/* lb_close on connections that break: who broke them, when, and what that leaves proven. */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int take_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;

	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), errno);
	return error;
}

static void wait_for(int fd, short event)
{
	struct pollfd poll_fd = {.fd = fd, .events = event};

	do
		assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	while ((poll_fd.revents & event) == 0);
}

/* The peer reads `some`, and resets; everything that was sent until then is in its kernel, or still in ours. */
static void reset_by_peer(struct tcp *tcp, uint64_t some)
{
	assert_true(tcp_peer_read(&tcp->peer, some));
	tcp_peer_reset(&tcp->peer);
	wait_for(tcp->ours, POLLERR);
}

static void a_reset_before_the_call_is_the_peers(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	reset_by_peer(tcp, 10000);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "accepted: rst by peer in data");
	assert_int_equal(end.err, ECONNRESET);
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_true(end.acked >= 10000);
	assert_true(end.lost > 0);
}

static void a_reset_with_nothing_unsent_is_counted_exactly(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	reset_by_peer(tcp, 10);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "acked: rst by peer in data");
	assert_counts(&end, 1000, 1000, 0);
}

static void a_reset_of_a_connection_that_sent_nothing_proves_nothing(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	reset_by_peer(tcp, 0);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "nothing: rst by peer in data");
	assert_counts(&end, 0, 0, 0);
}

static void an_error_that_was_taken_before_does_not_make_an_end(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	reset_by_peer(tcp, 10);
	assert_int_equal(take_error(tcp->ours), ECONNRESET);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "acked: rst by peer in data");
	assert_int_equal(end.err, 0);
	assert_counts(&end, 1000, 1000, 0);
}

static void an_error_that_a_send_has_taken_does_not_make_an_end(void **state)
{
	struct tcp *tcp = *state;
	const struct lb_ending ending = {.last = "QUIT", .last_len = 4};
	struct lb_outcome end;

	tcp_stuff(tcp);
	reset_by_peer(tcp, 10);
	assert_int_equal(send(tcp->ours, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "accepted: rst by peer in data");
	assert_int_equal(end.accepted, tcp->written);
}

static void a_reset_after_the_peers_fin_is_not_hidden_by_it(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	shutdown(tcp->peer.fd, SHUT_WR);
	wait_for(tcp->ours, POLLRDHUP);
	reset_by_peer(tcp, 10);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "acked: rst by peer in data");
	assert_int_equal(end.err, EPIPE);
	assert_counts(&end, 1000, 1000, 0);
}

static void a_reset_after_the_peers_fin_whose_error_was_taken_makes_no_end(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	shutdown(tcp->peer.fd, SHUT_WR);
	wait_for(tcp->ours, POLLRDHUP);
	reset_by_peer(tcp, 10);
	assert_int_equal(take_error(tcp->ours), EPIPE);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	/* on the connecting side nothing is left that tells it from an orderly end */
	assert_ending(
		&end, tcp->side->accepting ? "acked: rst by peer in data" : "acked: fin by peer in data");
	assert_counts(&end, 1000, 1000, 0);
}

/* The peer's FIN had come, and everything before it was read: but its reset took what was not acked. */
static void a_reset_after_both_ends_fins_says_what_was_lost(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;

	tcp_stuff(tcp);
	shutdown(tcp->peer.fd, SHUT_WR);
	wait_for(tcp->ours, POLLRDHUP);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	reset_by_peer(tcp, 10000);
	assert_int_equal(take_error(tcp->ours), ECONNRESET);
	tcp->ours = -1;
	assert_true(lb_ending_step(&run, lb_now(), &end));
	assert_ending(&end, "accepted: rst by peer in flush");
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_true(end.lost > 0);
}

static void a_reset_while_the_queue_empties_says_what_was_lost(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;

	tcp_stuff(tcp);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	reset_by_peer(tcp, 10000);
	tcp->ours = -1;
	assert_true(lb_ending_step(&run, lb_now(), &end));
	assert_int_equal(run.result, 0);
	assert_ending(&end, "accepted: rst by peer in flush");
	assert_int_equal(end.err, ECONNRESET);
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_true(end.acked >= 10000);
	assert_true(end.lost > 0);
}

static void acked_is_not_read(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;

	tcp_write(tcp, 20000);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	tcp_wait_acked(tcp);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	tcp_peer_read(&tcp->peer, 10000);
	tcp_peer_close(&tcp->peer);
	wait_for(tcp->ours, POLLERR);
	tcp->ours = -1;
	assert_true(lb_ending_step(&run, lb_now(), &end));
	assert_ending(&end, "acked: rst by peer in drain");
	assert_int_equal(end.err, ECONNRESET);
	assert_counts(&end, 20000, 20000, 0);
}

static void resets_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read(peer, 10000);
	tcp_peer_reset(peer);
}

static void a_reset_wakes_the_call(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, resets_when_told);
	tcp_stuff(tcp);
	tcp_go(tcp);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	assert_int_equal(end.how, LB_END_RST);
	assert_int_equal(end.by, LB_PARTY_PEER);
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
}

/* A peer that never reads: our window probes are answered, and TCP_USER_TIMEOUT counts all the same. */
static void time_out_by_network(struct tcp *tcp)
{
	unsigned ms = 1;

	tcp_stuff(tcp);
	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms), errno);
}

static void the_kernels_time_out_is_the_networks(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	time_out_by_network(tcp);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	assert_ending(&end, "accepted: timeout by network in flush");
	assert_int_equal(end.err, ETIMEDOUT);
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
}

static void a_time_out_whose_error_was_taken_is_not_the_peers(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	time_out_by_network(tcp);
	wait_for(tcp->ours, POLLERR);
	assert_int_equal(take_error(tcp->ours), ETIMEDOUT);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	assert_ending(&end, "accepted: net_error by network in data");
	assert_int_equal(end.accepted, tcp->written);
}

static void a_copy_that_disconnects_is_our_own_abort(void **state)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;

	tcp_stuff(tcp);
	lb_ending_start(&run, tcp->ours, NULL, lb_now(), LB_NEVER);
	assert_false(lb_ending_step(&run, lb_now(), &end));
	assert_return_code(connect(tcp->ours, &nobody, sizeof nobody), errno);
	tcp->ours = -1;
	assert_true(lb_ending_step(&run, lb_now(), &end));
	assert_int_equal(end.how, LB_END_LOCAL_ABORT);
	assert_int_equal(end.by, LB_PARTY_SELF);
	assert_true(end.accepted == LB_UNKNOWN && end.lost == LB_UNKNOWN);
}

/* On a busy machine loopback is slow enough for that. */
static bool sent_twice(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return info.tcpi_total_retrans > 0;
}

static void a_caller_that_had_finished_and_read_to_the_end_is_done(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	bool unsure;
	char byte;

	tcp_write(tcp, 1000);
	shutdown(tcp->ours, SHUT_WR);
	tcp_peer_read_all(&tcp->peer);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(recv(tcp->ours, &byte, 1, 0), 0);
	unsure = tcp->side->accepting && sent_twice(tcp->ours);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_peer_has_all(tcp);
	assert_ending(&end, unsure ? "acked: fin by peer in data" : "ended: fin by peer in done");
	assert_counts(&end, 1000, 1000, 0);
}

static void a_fin_in_the_last_packet_may_not_be_known(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	char bytes[1000];

	tcp_pattern(bytes, 0, sizeof bytes);
	assert_int_equal(send(tcp->ours, bytes, sizeof bytes, MSG_MORE), sizeof bytes);
	tcp->written = sizeof bytes;
	shutdown(tcp->ours, SHUT_WR);
	tcp_peer_read_all(&tcp->peer);
	tcp_peer_close(&tcp->peer);
	wait_for(tcp->ours, POLLHUP);
	tcp_wait_acked(tcp);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	assert_peer_has_all(tcp);
	/* on the accepting side it could as well be a reset after the peer's FIN, its error taken */
	assert_ending(
		&end, tcp->side->accepting ? "acked: fin by peer in data" : "ended: fin by peer in done");
	assert_counts(&end, 1000, 1000, 0);
}

static void a_caller_that_had_finished_may_still_wait(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	shutdown(tcp->ours, SHUT_WR);
	tcp_play(tcp, tcp_peer_read_all);
	assert_int_equal(tcp_end(tcp, &(struct lb_ending){.limits = {.idle = 1}}, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void last_words_after_the_callers_own_fin_are_not_claimed(void **state)
{
	struct tcp *tcp = *state;
	const struct lb_ending ending = {.last = "QUIT", .last_len = 4};
	struct lb_outcome end;

	tcp_play(tcp, tcp_peer_read_all);
	tcp_write(tcp, 1000);
	shutdown(tcp->ours, SHUT_WR);
	tcp_join(tcp);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(10000), &end), 0);
	assert_ending(&end, "accepted: fin by peer in done");
	assert_int_equal(end.err, EPIPE);
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_reset_before_the_call_is_the_peers),
		ON_EVERY_SIDE(a_reset_with_nothing_unsent_is_counted_exactly),
		ON_EVERY_SIDE(a_reset_of_a_connection_that_sent_nothing_proves_nothing),
		ON_EVERY_SIDE(an_error_that_was_taken_before_does_not_make_an_end),
		ON_EVERY_SIDE(an_error_that_a_send_has_taken_does_not_make_an_end),
		ON_EVERY_SIDE(a_reset_after_the_peers_fin_is_not_hidden_by_it),
		ON_EVERY_SIDE(a_reset_after_the_peers_fin_whose_error_was_taken_makes_no_end),
		ON_EVERY_SIDE(a_reset_after_both_ends_fins_says_what_was_lost),
		ON_EVERY_SIDE(a_reset_while_the_queue_empties_says_what_was_lost),
		ON_EVERY_SIDE(acked_is_not_read),
		ON_EVERY_SIDE(a_reset_wakes_the_call),
		ON_EVERY_SIDE(the_kernels_time_out_is_the_networks),
		ON_EVERY_SIDE(a_time_out_whose_error_was_taken_is_not_the_peers),
		ON_EVERY_SIDE(a_copy_that_disconnects_is_our_own_abort),
		ON_EVERY_SIDE(a_caller_that_had_finished_and_read_to_the_end_is_done),
		ON_EVERY_SIDE(a_fin_in_the_last_packet_may_not_be_known),
		ON_EVERY_SIDE(a_caller_that_had_finished_may_still_wait),
		ON_EVERY_SIDE(last_words_after_the_callers_own_fin_are_not_claimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
