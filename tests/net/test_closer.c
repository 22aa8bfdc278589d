/* SPDX-License-Identifier: MIT */
/* lb_closer as its users see it: what it takes, how it ends that, and that it consumes what it takes. */
#include "lib/closing.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void every_byte_and_the_end_arrive_and_are_told_once(void **state)
{
	(void)state;
	for (int side = 0; side < 4; side++) {
		struct tcp *tcp = closing_connected(0, side);
		int fd = tcp->ours;

		closing_open(NULL);
		tcp_play(tcp, closing_reads_all);
		tcp_write(tcp, 500000);
		closing_add(tcp, NULL);
		closing_until(1);
		tcp_join(tcp);
		assert_closed(fd);
		assert_peer_has_all(tcp);
		assert_ptr_equal(closing.told.args[0], tcp);
		assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
		assert_counts(&closing.told.ends[0], 500000, 500000, 0);
		lb_closer_step(closing.closer);
		assert_int_equal(closing.told.count, 1);
		assert_int_equal(lb_closer_deadline(closing.closer), LB_NEVER);
		assert_false(closing_readable(0));
		closing_over(tcp);
	}
}

static void what_needs_no_waiting_is_closed_at_once_and_told_by_the_next_step(void **state)
{
	struct tcp *tcp = closing_connected(0, 0);
	int fd = tcp->ours;

	(void)state;
	tcp_peer_close(&tcp->peer);
	closing_await_end(tcp);
	closing_add(tcp, NULL);
	assert_closed(fd);
	assert_int_equal(closing.told.count, 0);
	assert_true(closing_readable(0));
	assert_true(lb_closer_deadline(closing.closer) <= closing.now);
	lb_closer_step(closing.closer);
	assert_int_equal(closing.told.count, 1);
	assert_int_equal(closing.told.ends[0].how, LB_END_FIN);
	assert_int_equal(closing.watches, 0);
	assert_false(closing_readable(0));
	closing_over(tcp);
}

static void what_ends_in_its_first_turns_is_not_registered(void **state)
{
	struct tcp *quick = closing_connected(0, 0), *slow = closing_connected(1, 0);
	struct pollfd ended = {.fd = quick->ours, .events = POLLRDHUP};
	int fd = slow->ours;

	(void)state;
	closing_add(quick, NULL);
	closing_add(slow, NULL);
	assert_int_equal(closing.steps[ended.fd] + closing.steps[fd], 0);
	tcp_peer_close(&quick->peer);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	closing_later(5 * MS);
	assert_int_equal(closing.told.count, 1);
	assert_ptr_equal(closing.told.args[0], quick);
	assert_int_equal(closing.steps[fd], 1);
	assert_int_equal(closing.watches, 0);
	closing_later(13 * MS);
	assert_int_equal(closing.steps[fd], 2);
	assert_int_equal(closing.watches, 1);
	closing_over(quick);
	closing_over(slow);
}

static void policies_that_do_not_wait_close_at_once(void **state)
{
	static const struct {
		enum lb_policy policy;
		const char *end;
	} cases[] = {{LB_POLICY_PLAIN, "acked: detached by self in data"},
		{LB_POLICY_FINISH, "acked: detached by self in flush"},
		{LB_POLICY_ABORT, "acked: local_abort by self in data"}};

	(void)state;
	for (int i = 0; i < 3; i++) {
		const struct lb_ending ending = {.policy = cases[i].policy};
		struct tcp *tcp = closing_connected(0, 1);
		int fd = tcp->ours;

		tcp_write(tcp, 1000);
		tcp_wait_acked(tcp);
		closing_add(tcp, &ending);
		assert_closed(fd);
		assert_int_equal(closing.told.count, i);
		lb_closer_step(closing.closer);
		assert_int_equal(closing.told.count, i + 1);
		/* on loopback the FIN may be acked before it is looked at */
		if (i != 1)
			assert_ending(&closing.told.ends[i], cases[i].end);
		assert_int_equal(closing.told.ends[i].lost, 0);
		closing_over(tcp);
	}
	assert_int_equal(closing.watches, 0);
}

static void lingering_policies_wait_for_the_ack_and_do_not_block(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct lb_ending ending = {
			.policy = i == 0 ? LB_POLICY_LINGER : LB_POLICY_LINGER_FINISH};
		struct tcp *tcp = closing_connected(0, 0);

		tcp_stuff(tcp);
		closing_add(tcp, &ending);
		closing_later(20 * MS);
		closing_later(20 * MS);
		assert_int_equal(closing.told.count, i);
		tcp_play(tcp, tcp_peer_read_all);
		closing_until(i + 1);
		tcp_join(tcp);
		assert_peer_has_all(tcp);
		assert_int_equal(closing.told.ends[i].rung, LB_RUNG_ACKED);
		assert_counts(&closing.told.ends[i], tcp->written, tcp->written, 0);
		closing_over(tcp);
	}
}

static void one_that_is_not_taken_is_closed_and_never_told(void **state)
{
	int pipes[2], pair[2], udp = socket(AF_INET, SOCK_DGRAM, 0), fresh = socket(AF_INET, SOCK_STREAM, 0);
	struct lb_closer *closer = closing.closer;

	(void)state;
	assert_return_code(pipe(pipes), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
	assert_int_equal(lb_closer_add(closer, -1, NULL, LB_NEVER, closing_tell, NULL), -EBADF);
	assert_int_equal(lb_closer_add(closer, pipes[0], NULL, LB_NEVER, closing_tell, NULL), -ENOTSOCK);
	assert_int_equal(lb_closer_add(closer, pair[0], NULL, LB_NEVER, closing_tell, NULL), -EOPNOTSUPP);
	assert_int_equal(lb_closer_add(closer, udp, NULL, LB_NEVER, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(lb_closer_add(closer, fresh, NULL, LB_NEVER, NULL, NULL), -ENOTCONN);
	assert_closed(pipes[0]);
	assert_closed(pair[0]);
	assert_closed(udp);
	assert_closed(fresh);
	close(pipes[1]);
	close(pair[1]);
	lb_closer_step(closer);
	assert_int_equal(closing.told.count, 0);
	assert_int_equal(lb_closer_next(closer, &(struct lb_closed){0}), -EAGAIN);
}

static void nothing_can_be_kept(void **state)
{
	const struct lb_ending keep = {.on_expiry = LB_EXPIRY_KEEP};
	const struct lb_closer_options options = {.ending = &keep};
	struct tcp *tcp = closing_connected(0, 0);
	struct lb_closer *closer;
	int fd = tcp->ours;

	(void)state;
	assert_int_equal(lb_closer_new(&options, &closer), -EINVAL);
	assert_null(closer);
	tcp->ours = -1;
	tcp_write(tcp, 0);
	assert_int_equal(lb_closer_add(closing.closer, fd, &keep, LB_NEVER, closing_tell, NULL), -EINVAL);
	assert_closed(fd);
	lb_closer_step(closing.closer);
	assert_int_equal(closing.told.count, 0);
	tcp_peer_read_all(&tcp->peer);
	assert_true(tcp->peer.ended || tcp->peer.error == ECONNRESET);
	closing_over(tcp);
}

static void by_default_a_quarter_of_the_descriptors_linger(void **state)
{
	const struct lb_closer_options many = {.sockets = SIZE_MAX};
	struct lb_closer *closer;
	struct rlimit limit;

	(void)state;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_int_equal(closing.closer->sockets, limit.rlim_cur / 4);
	assert_int_equal(lb_closer_new(&many, &closer), -EINVAL);
	assert_null(closer);
	lb_closer_free(NULL);
}

static void what_is_given_is_copied(void **state)
{
	static char words[200000];
	struct lb_ending *ending = malloc(sizeof *ending);
	struct tcp *tcp = closing_connected(0, 0);
	char *last = malloc(sizeof words);

	(void)state;
	assert_non_null(ending);
	assert_non_null(last);
	tcp_stuff(tcp);
	tcp_pattern(last, tcp->written, sizeof words);
	*ending = (struct lb_ending){.last = last, .last_len = sizeof words};
	closing_add(tcp, ending);
	tcp->written += sizeof words;
	memset(last, 'x', sizeof words);
	memset(ending, 'x', sizeof *ending);
	free(last);
	free(ending);
	tcp_play(tcp, closing_reads_all);
	closing_until(1);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
	closing_over(tcp);
}

static void the_closers_own_ending_is_copied_too(void **state)
{
	char words[] = "over and out";
	struct lb_ending ending = {.last = words, .last_len = 12, .policy = LB_POLICY_ACKED};
	const struct lb_closer_options options = {.ending = &ending};
	char got[13] = {0};
	struct tcp *tcp = closing_connected(0, 0);

	(void)state;
	closing_open(&options);
	memset(words, 'x', sizeof words);
	memset(&ending, 'x', sizeof ending);
	closing_add(tcp, NULL);
	assert_int_equal(recv(tcp->peer.fd, got, 12, MSG_WAITALL), 12);
	assert_string_equal(got, "over and out");
	closing_until(1);
	assert_ending(&closing.told.ends[0], "acked: detached by self in drain");
	closing_over(tcp);
}

#define CLOSING_TEST(test) cmocka_unit_test_setup_teardown(test, closing_setup, closing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLOSING_TEST(every_byte_and_the_end_arrive_and_are_told_once),
		CLOSING_TEST(what_needs_no_waiting_is_closed_at_once_and_told_by_the_next_step),
		CLOSING_TEST(what_ends_in_its_first_turns_is_not_registered),
		CLOSING_TEST(policies_that_do_not_wait_close_at_once),
		CLOSING_TEST(lingering_policies_wait_for_the_ack_and_do_not_block),
		CLOSING_TEST(one_that_is_not_taken_is_closed_and_never_told),
		CLOSING_TEST(nothing_can_be_kept),
		CLOSING_TEST(by_default_a_quarter_of_the_descriptors_linger),
		CLOSING_TEST(what_is_given_is_copied),
		CLOSING_TEST(the_closers_own_ending_is_copied_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
