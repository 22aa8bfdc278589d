/* SPDX-License-Identifier: MIT */
/* lb_closer: sockets that others hold, too; its own end; and when it wakes. */
#include "lib/closing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

/* The copy keeps socket and registration alive past our close(2), and the next one has the same place in the table. */
static void events_of_a_socket_that_others_hold_do_not_reach_the_next(void **state)
{
	static const struct lb_ending acked = {.policy = LB_POLICY_ACKED};
	struct tcp *first = closing_connected(0, 0), *second = closing_connected(1, 0);
	int steps, fd = second->ours, copy = dup(first->ours);
	struct pollfd old = {.fd = copy, .events = POLLIN};

	(void)state;
	tcp_stuff(first);
	closing_add(first, &acked);
	closing_later(20 * MS);
	closing_later(20 * MS);
	assert_int_equal(closing.watches, 1);
	tcp_play(first, tcp_peer_read_all);
	closing_until(1);
	tcp_join(first);
	closing_add(second, NULL);
	closing_later(20 * MS);
	while (closing_readable(0))
		lb_closer_step(closing.closer);
	steps = closing.steps[fd];
	assert_true(tcp_peer_send(&first->peer, 100));
	assert_int_equal(poll(&old, 1, 20000), 1);
	assert_true(closing_readable(20000));
	lb_closer_step(closing.closer);
	assert_int_equal(closing.steps[fd], steps);
	assert_int_equal(closing.told.count, 1);
	tcp_peer_close(&second->peer);
	closing_until(2);
	assert_ending(&closing.told.ends[1], "ended: fin by peer in done");
	close(copy);
	closing_over(first);
	closing_over(second);
}

/* The registration is found again under the same number. */
static void a_socket_that_comes_back_under_its_number_is_registered_anew(void **state)
{
	static const struct lb_ending acked = {.policy = LB_POLICY_ACKED};
	struct tcp *tcp = closing_connected(0, 0);
	int fd = tcp->ours, copy = dup(fd);

	(void)state;
	tcp_stuff(tcp);
	closing_add(tcp, &acked);
	closing_later(20 * MS);
	closing_later(20 * MS);
	tcp_play(tcp, tcp_peer_read_all);
	closing_until(1);
	tcp_join(tcp);
	assert_int_equal(dup2(copy, fd), fd);
	close(copy);
	tcp->ours = fd;
	closing_add(tcp, NULL);
	closing_later(20 * MS);
	assert_int_equal(closing.watches, 2);
	tcp_peer_close(&tcp->peer);
	/* the clock stands: it is an event that ends it */
	for (int i = 0; closing.told.count < 2; i++) {
		assert_true(i < 10);
		assert_true(closing_readable(20000));
		lb_closer_step(closing.closer);
	}
	assert_ending(&closing.told.ends[1], "ended: fin by peer in done");
	closing_over(tcp);
}

static void a_child_that_holds_the_socket_keeps_nothing_from_ending(void **state)
{
	struct tcp *tcp = closing_connected(0, 1);
	int hold[2];
	char byte;
	pid_t child;

	(void)state;
	assert_return_code(pipe2(hold, O_CLOEXEC), errno);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		close(hold[1]);
		close(tcp->peer.fd);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
	}
	tcp_play(tcp, closing_reads_all);
	tcp_write(tcp, 100000);
	closing_add(tcp, NULL);
	closing_until(1);
	tcp_join(tcp);
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_peer_has_all(tcp);
	assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
	closing_over(tcp);
}

static void freeing_resets_the_rest_and_tells_each(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		tcp_stuff(closing_connected(i, i));
		closing_add(&closing_tcps[i], NULL);
	}
	closing_later(20 * MS);
	lb_closer_free(closing.closer);
	closing.closer = NULL;
	assert_int_equal(closing.told.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(closing.told.args[i], &closing_tcps[i]);
		assert_ending(&closing.told.ends[i], "accepted: local_abort by self in flush");
		assert_int_equal(
			closing.told.ends[i].acked + closing.told.ends[i].lost, closing_tcps[i].written);
		tcp_peer_read_all(&closing_tcps[i].peer);
		assert_int_equal(closing_tcps[i].peer.error, ECONNRESET);
		closing_over(&closing_tcps[i]);
	}
}

static int open_real(void **state)
{
	lb_closer_free(closing.closer);
	memset(&closing, 0, sizeof closing);
	*state = NULL;
	return lb_closer_new(NULL, &closing.closer);
}

static void draining_waits_for_all(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct tcp *tcp = closing_connected(i, i);

		tcp_write(tcp, 300000);
		tcp_play(tcp, closing_reads_all);
		closing_add(tcp, NULL);
	}
	assert_int_equal(lb_closer_drain(closing.closer, LB_NEVER), 0);
	assert_int_equal(closing.told.count, 4);
	for (int i = 0; i < 4; i++) {
		tcp_join(&closing_tcps[i]);
		assert_peer_has_all(&closing_tcps[i]);
		assert_ending(&closing.told.ends[i], "ended: fin by peer in done");
		closing_over(&closing_tcps[i]);
	}
	assert_int_equal(lb_closer_drain(closing.closer, lb_now() - 1), 0);
}

static void draining_gives_up_the_rest_at_its_deadline(void **state)
{
	struct tcp *quick = closing_connected(0, 0), *stuck = closing_connected(1, 0),
		   *open = closing_connected(2, 1);
	struct lb_closed closed;
	int fd = open->ours;

	(void)state;
	tcp_stuff(stuck);
	closing_add(stuck, NULL);
	tcp_write(open, 10);
	open->ours = -1;
	assert_int_equal(lb_closer_add(closing.closer, fd, NULL, LB_NEVER, NULL, open), 0);
	tcp_peer_close(&quick->peer);
	closing_add(quick, NULL);
	assert_int_equal(lb_closer_drain(closing.closer, lb_in_ms(100)), -ETIMEDOUT);
	assert_int_equal(closing.told.count, 2);
	assert_ptr_equal(closing.told.args[0], quick);
	assert_int_equal(closing.told.ends[0].how, LB_END_FIN);
	assert_ptr_equal(closing.told.args[1], stuck);
	assert_ending(&closing.told.ends[1], "accepted: timeout by self in flush");
	assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
	assert_ptr_equal(closed.arg, open);
	assert_ending(&closed.outcome, "acked: timeout by self in drain");
	tcp_peer_read_all(&open->peer);
	assert_peer_has_all(open);
	closing_over(quick);
	closing_over(stuck);
	closing_over(open);
}

static void the_descriptor_alone_tells_when_to_step(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = 30 * MS}};
	int outer = epoll_create1(EPOLL_CLOEXEC), wakes = 0;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct tcp *tcp = closing_connected(0, 0);

	(void)state;
	assert_int_equal(lb_closer_events(closing.closer), EPOLLIN);
	assert_return_code(epoll_ctl(outer, EPOLL_CTL_ADD, lb_closer_fd(closing.closer), &event), errno);
	tcp_write(tcp, 10);
	closing_add(tcp, &ending);
	while (closing.told.count == 0) {
		assert_int_equal(epoll_wait(outer, &event, 1, 20000), 1);
		lb_closer_step(closing.closer);
		assert_true(++wakes < 50);
	}
	assert_ending(&closing.told.ends[0], "acked: timeout by self in drain");
	assert_true(closing.told.ends[0].took >= 30 * MS);
	close(outer);
	closing_over(tcp);
}

static void it_sleeps_while_nothing_happens(void **state)
{
	int steps;

	(void)state;
	for (int i = 0; i < 8; i++) {
		tcp_stuff(closing_connected(i, i % 4));
		closing_add(&closing_tcps[i], NULL);
	}
	closing_later(20 * MS);
	closing_later(20 * MS);
	while (closing_readable(0))
		lb_closer_step(closing.closer);
	steps = 0;
	for (int i = 0; i < 1024; i++)
		steps -= closing.steps[i];
	/* five seconds, as often as it wants to be called */
	for (lb_time end = closing.now + 5 * SECOND; lb_closer_deadline(closing.closer) < end;) {
		closing.now = lb_closer_deadline(closing.closer);
		lb_closer_step(closing.closer);
		assert_true(++steps < 10);
	}
	for (int i = 0; i < 1024; i++)
		steps += closing.steps[i];
	assert_true(steps < 20);
	for (int i = 0; i < 8; i++)
		closing_over(&closing_tcps[i]);
}

#define CLOSING_TEST(test) cmocka_unit_test_setup_teardown(test, closing_setup, closing_teardown)
#define REAL_TEST(test)    cmocka_unit_test_setup_teardown(test, open_real, closing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLOSING_TEST(events_of_a_socket_that_others_hold_do_not_reach_the_next),
		CLOSING_TEST(a_socket_that_comes_back_under_its_number_is_registered_anew),
		CLOSING_TEST(a_child_that_holds_the_socket_keeps_nothing_from_ending),
		CLOSING_TEST(freeing_resets_the_rest_and_tells_each),
		REAL_TEST(draining_waits_for_all),
		REAL_TEST(draining_gives_up_the_rest_at_its_deadline),
		REAL_TEST(the_descriptor_alone_tells_when_to_step),
		CLOSING_TEST(it_sleeps_while_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
