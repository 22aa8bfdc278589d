/* SPDX-License-Identifier: MIT */
/* lb_closer: in which order outcomes are told, by callbacks and by the queue. */
#include "lib/closing.h"
#include <errno.h>

static void callbacks_come_in_the_order_in_which_connections_end(void **state)
{
	static const int order[] = {3, 0, 2, 4, 1};

	(void)state;
	for (int i = 0; i < 5; i++)
		closing_add(closing_connected(i, i % 4), NULL);
	closing_later(20 * MS);
	closing_later(20 * MS);
	assert_int_equal(closing.told.count, 0);
	for (int i = 0; i < 5; i++) {
		tcp_peer_close(&closing_tcps[order[i]].peer);
		closing_until(i + 1);
		assert_ptr_equal(closing.told.args[i], &closing_tcps[order[i]]);
	}
	for (int i = 0; i < 5; i++)
		closing_over(&closing_tcps[i]);
}

static void add_next(void *arg, const struct lb_outcome *end)
{
	struct tcp *tcp = arg;

	closing_tell(arg, end);
	if (tcp != &closing_tcps[4])
		assert_int_equal(
			lb_closer_add(closing.closer, tcp[1].ours, NULL, LB_NEVER, add_next, tcp + 1), 0);
	tcp[1].ours = -1;
}

static void a_callback_may_add_and_its_own_is_told_by_a_later_step(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		closing_connected(i, 0);
		tcp_peer_close(&closing_tcps[i].peer);
		closing_await_end(&closing_tcps[i]);
	}
	assert_int_equal(lb_closer_add(closing.closer, closing_tcps[0].ours, NULL, LB_NEVER, add_next,
				 &closing_tcps[0]),
		0);
	closing_tcps[0].ours = -1;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(closing.told.count, i);
		assert_true(closing_readable(0));
		lb_closer_step(closing.closer);
	}
	assert_int_equal(closing.told.count, 5);
	assert_false(closing_readable(0));
	for (int i = 0; i < 5; i++)
		closing_over(&closing_tcps[i]);
}

static void what_callbacks_add_while_it_is_freed_meets_the_same_end(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		closing_connected(i, 0);
	assert_int_equal(lb_closer_add(closing.closer, closing_tcps[0].ours, NULL, LB_NEVER, add_next,
				 &closing_tcps[0]),
		0);
	closing_tcps[0].ours = -1;
	lb_closer_free(closing.closer);
	closing.closer = NULL;
	assert_int_equal(closing.told.count, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(closing.told.ends[i].how, LB_END_LOCAL_ABORT);
		closing_over(&closing_tcps[i]);
	}
}

static void without_a_callback_outcomes_are_queued(void **state)
{
	struct lb_closed closed;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct tcp *tcp = closing_connected(i, 0);
		int fd = tcp->ours;

		tcp_write(tcp, 10);
		tcp->ours = -1;
		assert_int_equal(lb_closer_add(closing.closer, fd, NULL, LB_NEVER, NULL, tcp), 0);
		assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
	}
	for (int i = 2; i >= 0; i--) {
		tcp_peer_read(&closing_tcps[i].peer, 10);
		tcp_peer_close(&closing_tcps[i].peer);
		while (closing.closer->unread < (size_t)(3 - i))
			closing_later(MS);
	}
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
		assert_ptr_equal(closed.arg, &closing_tcps[i]);
		assert_ending(&closed.outcome, "ended: fin by peer in done");
		assert_counts(&closed.outcome, 10, 10, 0);
		closing_over(&closing_tcps[i]);
	}
	assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
}

static int add_ended(int number, bool queued)
{
	struct tcp *tcp = closing_connected(number, 0);
	int fd = tcp->ours, result;

	tcp_peer_close(&tcp->peer);
	closing_await_end(tcp);
	tcp->ours = -1;
	result = lb_closer_add(closing.closer, fd, NULL, LB_NEVER, queued ? NULL : closing_tell, tcp);
	assert_closed(fd);
	closing_over(tcp);
	return result;
}

static void a_queue_that_nobody_reads_takes_no_more_but_loses_none(void **state)
{
	const struct lb_closer_options options = {.sockets = 2};
	struct lb_closed closed;

	(void)state;
	closing_open(&options);
	assert_int_equal(add_ended(0, true), 0);
	assert_int_equal(add_ended(1, true), 0);
	assert_true(closing_readable(0));
	assert_int_equal(add_ended(2, true), -ENOBUFS);
	assert_int_equal(add_ended(3, false), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
		assert_ptr_equal(closed.arg, &closing_tcps[i]);
	}
	assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
	assert_int_equal(add_ended(4, true), 0);
	assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
	assert_ptr_equal(closed.arg, &closing_tcps[4]);
	lb_closer_step(closing.closer);
	assert_int_equal(closing.told.count, 1);
}

#define CLOSING_TEST(test) cmocka_unit_test_setup_teardown(test, closing_setup, closing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLOSING_TEST(callbacks_come_in_the_order_in_which_connections_end),
		CLOSING_TEST(a_callback_may_add_and_its_own_is_told_by_a_later_step),
		CLOSING_TEST(what_callbacks_add_while_it_is_freed_meets_the_same_end),
		CLOSING_TEST(without_a_callback_outcomes_are_queued),
		CLOSING_TEST(a_queue_that_nobody_reads_takes_no_more_but_loses_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
