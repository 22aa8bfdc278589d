/* SPDX-License-Identifier: MIT */
/* lb_close when patience is at an end: what the caller has chosen for then, and which limit it was. */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND     INT64_C(1000000000)
#define LONG_WORDS (6u << 20)

static const struct lb_ending detaching = {.on_expiry = LB_EXPIRY_DETACH};
static const struct lb_ending keeping = {.on_expiry = LB_EXPIRY_KEEP};

static int user_timeout(int fd)
{
	int ms = 0;
	socklen_t len = sizeof ms;

	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &len), errno);
	return ms;
}

static void peer_has_sent(struct tcp *tcp, int bytes)
{
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};

	assert_true(tcp_peer_send(&tcp->peer, (uint64_t)bytes));
	assert_int_equal(poll(&arrived, 1, 20000), 1);
}

/* The tail of what is stuffed in: pattern bytes that lb_close writes itself. */
static char *words_of(struct tcp *tcp)
{
	char *words = malloc(LONG_WORDS);

	assert_non_null(words);
	tcp_pattern(words, tcp->written, LONG_WORDS);
	return words;
}

static void what_is_detached_comes_through_by_itself(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	peer_has_sent(tcp, 1000);
	tcp_stuff(tcp);
	assert_int_equal(tcp_end(tcp, &detaching, lb_now() - 1, &end), 0);
	assert_ending(&end, "accepted: detached by self in flush");
	assert_int_equal(end.accepted, tcp->written);
	assert_in_range(end.acked, 0, tcp->written - 1);
	assert_int_equal(end.lost, LB_UNKNOWN);
	assert_int_equal(end.discarded, 1000);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
}

static void what_is_detached_is_bounded(void **state)
{
	static const struct {
		lb_time orphan;
		int ms;
	} bounds[] = {{0, 60000}, {1, 1}, {5 * SECOND + 1, 5001}, {LB_NEVER, INT_MAX}};
	struct tcp *given = *state;

	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		struct lb_ending ending = detaching;
		struct lb_outcome end;
		struct tcp tcp;
		int copy;

		tcp_connect(&tcp, given->side, 0, 0);
		tcp_stuff(&tcp);
		copy = dup(tcp.ours);
		ending.limits.orphan = bounds[i].orphan;
		assert_int_equal(tcp_end(&tcp, &ending, lb_now(), &end), 0);
		assert_int_equal(end.how, LB_END_DETACHED);
		assert_int_equal(user_timeout(copy), bounds[i].ms);
		close(copy);
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
	}
}

static void what_is_all_acked_needs_no_detaching(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	assert_int_equal(tcp_end(tcp, &detaching, lb_now() - 1, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_int_equal(end.how, LB_END_TIMEOUT);
	assert_counts(&end, 1000, 1000, 0);
}

/* A FIN after a part of it would look like the end of the whole. */
static void last_words_that_are_written_in_part_are_not_detached(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending ending = detaching;
	struct lb_outcome end;
	char *words;

	tcp_stuff(tcp);
	ending.last = words = words_of(tcp);
	ending.last_len = LONG_WORDS;
	assert_int_equal(tcp_end(tcp, &ending, lb_now(), &end), 0);
	free(words);
	assert_ending(&end, "accepted: timeout by self in data");
	assert_int_equal(end.acked + end.lost, end.accepted);
	tcp_peer_read_all(&tcp->peer);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

/* close(2) would reset anyhow, and say nothing. */
static void what_lies_unread_past_the_cap_is_not_detached(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending ending = {.on_expiry = LB_EXPIRY_DETACH, .limits = {.drain_bytes = 999}};
	struct lb_outcome end;

	tcp_stuff(tcp);
	peer_has_sent(tcp, 1000);
	assert_int_equal(tcp_end(tcp, &ending, lb_now(), &end), 0);
	assert_ending(&end, "accepted: timeout by self in flush");
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_true(end.lost > 0);
	assert_int_equal(end.discarded, 1000);
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

/* The fd is the caller's again; the rest of the test gives it up. */
static void keep(struct tcp *tcp, const struct lb_ending *ending, const char *how, struct lb_outcome *endp)
{
	int fd = tcp->ours;

	assert_int_equal(tcp_end(tcp, ending, lb_now(), endp), -EAGAIN);
	assert_ending(endp, how);
	assert_int_equal(endp->lost, LB_UNKNOWN);
	assert_int_equal(endp->err, 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(user_timeout(fd), 0);
	tcp->ours = fd;
}

static void what_is_kept_goes_on_where_it_stopped(void **state)
{
	struct tcp *tcp = *state;
	struct linger linger = {.l_onoff = 1, .l_linger = 7};
	socklen_t len = sizeof linger;
	struct lb_outcome end;

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_LINGER, &linger, len), errno);
	tcp_stuff(tcp);
	for (int i = 0; i < 3; i++) {
		keep(tcp, &keeping, "accepted: open by none in flush", &end);
		assert_int_equal(end.accepted, tcp->written);
		assert_in_range(end.acked, 0, tcp->written - 1);
	}
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_LINGER, &linger, &len), errno);
	assert_true(linger.l_onoff == 1 && linger.l_linger == 7);
	assert_int_equal(send(tcp->ours, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	tcp_play(tcp, tcp_peer_read_all);
	assert_int_equal(tcp_end(tcp, &(struct lb_ending){.limits = {.idle = 1}}, LB_NEVER, &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void what_is_kept_can_be_reset(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	keep(tcp, &keeping, "accepted: open by none in flush", &end);
	assert_int_equal(lb_abort(tcp->ours, &end), 0);
	tcp->ours = -1;
	assert_ending(&end, "accepted: local_abort by self in flush");
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

/* What `accepted` has more than the caller wrote is what of `last` is written. */
static void last_words_that_are_written_in_part_can_be_gone_on_with(void **state)
{
	struct tcp *tcp = *state;
	struct lb_ending ending = keeping;
	uint64_t before = tcp_stuff(tcp), all = before + LONG_WORDS;
	char *words = words_of(tcp);
	struct lb_outcome end = {0};

	ending.last = words;
	ending.last_len = LONG_WORDS;
	tcp_peer_read(&tcp->peer, before / 2);
	keep(tcp, &ending, "accepted: open by none in data", &end);
	assert_in_range(end.accepted, before, all - 1);
	ending.last = words + (end.accepted - before);
	ending.last_len = all - end.accepted;
	tcp_play(tcp, tcp_peer_read_all);
	ending.limits.idle = 1;
	assert_int_equal(tcp_end(tcp, &ending, LB_NEVER, &end), 0);
	tcp_join(tcp);
	free(words);
	tcp->written = all;
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, all, all, 0);
}

static void what_is_all_acked_is_not_kept(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	assert_int_equal(tcp_end(tcp, &keeping, lb_now() - 1, &end), 0);
	assert_int_equal(end.rung, LB_RUNG_ACKED);
	assert_int_equal(end.how, LB_END_TIMEOUT);
}

static void what_broke_is_not_kept(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd broken = {.fd = tcp->ours};
	struct lb_outcome end;

	tcp_stuff(tcp);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&broken, 1, 20000), 1);
	assert_int_equal(tcp_end(tcp, &keeping, lb_now() - 1, &end), 0);
	assert_ending(&end, "accepted: rst by peer in data");
}

/* A linger time of 0 would be a reset that nobody has asked for. */
static void lingering_past_its_deadline_does_as_the_caller_has_chosen(void **state)
{
	struct lb_ending ending = {.policy = LB_POLICY_LINGER, .on_expiry = LB_EXPIRY_KEEP};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	keep(tcp, &ending, "accepted: open by none in data", &end);
	ending.policy = LB_POLICY_LINGER_FINISH;
	keep(tcp, &ending, "accepted: open by none in flush", &end);
	ending.on_expiry = LB_EXPIRY_DETACH;
	assert_int_equal(tcp_end(tcp, &ending, lb_now(), &end), 0);
	assert_ending(&end, "accepted: detached by self in flush");
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
}

static void lingering_past_its_deadline_resets_nothing_that_is_acked(void **state)
{
	static const struct lb_ending ending = {.policy = LB_POLICY_LINGER};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	assert_int_equal(tcp_end(tcp, &ending, lb_now() - 1, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(what_is_detached_comes_through_by_itself),
		ON_EVERY_SIDE(what_is_detached_is_bounded),
		ON_EVERY_SIDE(what_is_all_acked_needs_no_detaching),
		ON_EVERY_SIDE(last_words_that_are_written_in_part_are_not_detached),
		ON_EVERY_SIDE(what_lies_unread_past_the_cap_is_not_detached),
		ON_EVERY_SIDE(what_is_kept_goes_on_where_it_stopped),
		ON_EVERY_SIDE(what_is_kept_can_be_reset),
		ON_EVERY_SIDE(last_words_that_are_written_in_part_can_be_gone_on_with),
		ON_EVERY_SIDE(what_is_all_acked_is_not_kept),
		ON_EVERY_SIDE(what_broke_is_not_kept),
		ON_EVERY_SIDE(lingering_past_its_deadline_does_as_the_caller_has_chosen),
		ON_EVERY_SIDE(lingering_past_its_deadline_resets_nothing_that_is_acked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
