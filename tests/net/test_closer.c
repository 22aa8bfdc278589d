/* SPDX-License-Identifier: MIT */
/* lb_closer as its users see it: what it takes, when and in which order it tells, and that it consumes what it takes. */
#include "lib/closing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tcp tcps[8];

static struct tcp *connected(int number, int side)
{
	tcp_connect(&tcps[number], &tcp_sides[side], 0, 0);
	return &tcps[number];
}

static void over(struct tcp *tcp)
{
	tcp_join(tcp);
	tcp_peer_close(&tcp->peer);
	close(tcp->peer.go);
	if (tcp->ours >= 0)
		close(tcp->ours);
}

static void await_end(struct tcp *tcp)
{
	struct pollfd fd = {.fd = tcp->ours, .events = POLLRDHUP};

	assert_int_equal(poll(&fd, 1, 20000), 1);
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void every_byte_and_the_end_arrive_and_are_told_once(void **state)
{
	(void)state;
	for (int side = 0; side < 4; side++) {
		struct tcp *tcp = connected(0, side);
		int fd = tcp->ours;

		closing_open(NULL);
		tcp_play(tcp, reads_all);
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
		over(tcp);
	}
}

static void what_needs_no_waiting_is_closed_at_once_and_told_by_the_next_step(void **state)
{
	struct tcp *tcp = connected(0, 0);
	int fd = tcp->ours;

	(void)state;
	tcp_peer_close(&tcp->peer);
	await_end(tcp);
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
	over(tcp);
}

static void what_ends_in_its_first_turns_is_not_registered(void **state)
{
	struct tcp *quick = connected(0, 0), *slow = connected(1, 0);
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
	over(quick);
	over(slow);
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
		struct tcp *tcp = connected(0, 1);
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
		over(tcp);
	}
	assert_int_equal(closing.watches, 0);
}

static void lingering_policies_wait_for_the_ack_and_do_not_block(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct lb_ending ending = {
			.policy = i == 0 ? LB_POLICY_LINGER : LB_POLICY_LINGER_FINISH};
		struct tcp *tcp = connected(0, 0);

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
		over(tcp);
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
	struct tcp *tcp = connected(0, 0);
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
	over(tcp);
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
	struct tcp *tcp = connected(0, 0);
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
	tcp_play(tcp, reads_all);
	closing_until(1);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
	over(tcp);
}

static void the_closers_own_ending_is_copied_too(void **state)
{
	char words[] = "over and out";
	struct lb_ending ending = {.last = words, .last_len = 12, .policy = LB_POLICY_ACKED};
	const struct lb_closer_options options = {.ending = &ending};
	char got[13] = {0};
	struct tcp *tcp = connected(0, 0);

	(void)state;
	closing_open(&options);
	memset(words, 'x', sizeof words);
	memset(&ending, 'x', sizeof ending);
	closing_add(tcp, NULL);
	assert_int_equal(recv(tcp->peer.fd, got, 12, MSG_WAITALL), 12);
	assert_string_equal(got, "over and out");
	closing_until(1);
	assert_ending(&closing.told.ends[0], "acked: detached by self in drain");
	over(tcp);
}

static void callbacks_come_in_the_order_in_which_connections_end(void **state)
{
	static const int order[] = {3, 0, 2, 4, 1};

	(void)state;
	for (int i = 0; i < 5; i++)
		closing_add(connected(i, i % 4), NULL);
	closing_later(20 * MS);
	closing_later(20 * MS);
	assert_int_equal(closing.told.count, 0);
	for (int i = 0; i < 5; i++) {
		tcp_peer_close(&tcps[order[i]].peer);
		closing_until(i + 1);
		assert_ptr_equal(closing.told.args[i], &tcps[order[i]]);
	}
	for (int i = 0; i < 5; i++)
		over(&tcps[i]);
}

static void add_next(void *arg, const struct lb_outcome *end)
{
	struct tcp *tcp = arg;

	closing_tell(arg, end);
	if (tcp != &tcps[4])
		assert_int_equal(
			lb_closer_add(closing.closer, tcp[1].ours, NULL, LB_NEVER, add_next, tcp + 1), 0);
	tcp[1].ours = -1;
}

static void a_callback_may_add_and_its_own_is_told_by_a_later_step(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		connected(i, 0);
		tcp_peer_close(&tcps[i].peer);
		await_end(&tcps[i]);
	}
	assert_int_equal(lb_closer_add(closing.closer, tcps[0].ours, NULL, LB_NEVER, add_next, &tcps[0]), 0);
	tcps[0].ours = -1;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(closing.told.count, i);
		assert_true(closing_readable(0));
		lb_closer_step(closing.closer);
	}
	assert_int_equal(closing.told.count, 5);
	assert_false(closing_readable(0));
	for (int i = 0; i < 5; i++)
		over(&tcps[i]);
}

static void without_a_callback_outcomes_are_queued(void **state)
{
	struct lb_closed closed;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct tcp *tcp = connected(i, 0);
		int fd = tcp->ours;

		tcp_write(tcp, 10);
		tcp->ours = -1;
		assert_int_equal(lb_closer_add(closing.closer, fd, NULL, LB_NEVER, NULL, tcp), 0);
		assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
	}
	for (int i = 2; i >= 0; i--) {
		tcp_peer_read(&tcps[i].peer, 10);
		tcp_peer_close(&tcps[i].peer);
		while (closing.closer->unread < (size_t)(3 - i))
			closing_later(MS);
	}
	for (int i = 2; i >= 0; i--) {
		assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
		assert_ptr_equal(closed.arg, &tcps[i]);
		assert_ending(&closed.outcome, "ended: fin by peer in done");
		assert_counts(&closed.outcome, 10, 10, 0);
		over(&tcps[i]);
	}
	assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
}

static int add_ended(int number, bool queued)
{
	struct tcp *tcp = connected(number, 0);
	int fd = tcp->ours, result;

	tcp_peer_close(&tcp->peer);
	await_end(tcp);
	tcp->ours = -1;
	result = lb_closer_add(closing.closer, fd, NULL, LB_NEVER, queued ? NULL : closing_tell, tcp);
	assert_closed(fd);
	over(tcp);
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
		assert_ptr_equal(closed.arg, &tcps[i]);
	}
	assert_int_equal(lb_closer_next(closing.closer, &closed), -EAGAIN);
	assert_int_equal(add_ended(4, true), 0);
	assert_int_equal(lb_closer_next(closing.closer, &closed), 0);
	assert_ptr_equal(closed.arg, &tcps[4]);
	lb_closer_step(closing.closer);
	assert_int_equal(closing.told.count, 1);
}

/* The copy keeps socket and registration alive past our close(2), and the next one has the same place in the table. */
static void events_of_a_socket_that_others_hold_do_not_reach_the_next(void **state)
{
	static const struct lb_ending acked = {.policy = LB_POLICY_ACKED};
	struct tcp *first = connected(0, 0), *second = connected(1, 0);
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
	over(first);
	over(second);
}

/* The registration is found again under the same number. */
static void a_socket_that_comes_back_under_its_number_is_registered_anew(void **state)
{
	static const struct lb_ending acked = {.policy = LB_POLICY_ACKED};
	struct tcp *tcp = connected(0, 0);
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
	over(tcp);
}

static void a_child_that_holds_the_socket_keeps_nothing_from_ending(void **state)
{
	struct tcp *tcp = connected(0, 1);
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
	tcp_play(tcp, reads_all);
	tcp_write(tcp, 100000);
	closing_add(tcp, NULL);
	closing_until(1);
	tcp_join(tcp);
	close(hold[0]);
	close(hold[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_peer_has_all(tcp);
	assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
	over(tcp);
}

static void freeing_resets_the_rest_and_tells_each(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		tcp_stuff(connected(i, i));
		closing_add(&tcps[i], NULL);
	}
	closing_later(20 * MS);
	lb_closer_free(closing.closer);
	closing.closer = NULL;
	assert_int_equal(closing.told.count, 3);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(closing.told.args[i], &tcps[i]);
		assert_ending(&closing.told.ends[i], "accepted: local_abort by self in flush");
		assert_int_equal(closing.told.ends[i].acked + closing.told.ends[i].lost, tcps[i].written);
		tcp_peer_read_all(&tcps[i].peer);
		assert_int_equal(tcps[i].peer.error, ECONNRESET);
		over(&tcps[i]);
	}
}

static void what_callbacks_add_while_it_is_freed_meets_the_same_end(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		connected(i, 0);
	assert_int_equal(lb_closer_add(closing.closer, tcps[0].ours, NULL, LB_NEVER, add_next, &tcps[0]), 0);
	tcps[0].ours = -1;
	lb_closer_free(closing.closer);
	closing.closer = NULL;
	assert_int_equal(closing.told.count, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(closing.told.ends[i].how, LB_END_LOCAL_ABORT);
		over(&tcps[i]);
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
		struct tcp *tcp = connected(i, i);

		tcp_write(tcp, 300000);
		tcp_play(tcp, reads_all);
		closing_add(tcp, NULL);
	}
	assert_int_equal(lb_closer_drain(closing.closer, LB_NEVER), 0);
	assert_int_equal(closing.told.count, 4);
	for (int i = 0; i < 4; i++) {
		tcp_join(&tcps[i]);
		assert_peer_has_all(&tcps[i]);
		assert_ending(&closing.told.ends[i], "ended: fin by peer in done");
		over(&tcps[i]);
	}
	assert_int_equal(lb_closer_drain(closing.closer, lb_now() - 1), 0);
}

static void draining_gives_up_the_rest_at_its_deadline(void **state)
{
	struct tcp *quick = connected(0, 0), *stuck = connected(1, 0), *open = connected(2, 1);
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
	over(quick);
	over(stuck);
	over(open);
}

static void the_descriptor_alone_tells_when_to_step(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = 30 * MS}};
	int outer = epoll_create1(EPOLL_CLOEXEC), wakes = 0;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct tcp *tcp = connected(0, 0);

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
	over(tcp);
}

static void it_sleeps_while_nothing_happens(void **state)
{
	int steps;

	(void)state;
	for (int i = 0; i < 8; i++) {
		tcp_stuff(connected(i, i % 4));
		closing_add(&tcps[i], NULL);
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
		over(&tcps[i]);
}

#define CLOSING_TEST(test) cmocka_unit_test_setup_teardown(test, closing_setup, closing_teardown)
#define REAL_TEST(test)    cmocka_unit_test_setup_teardown(test, open_real, closing_teardown)

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
		CLOSING_TEST(callbacks_come_in_the_order_in_which_connections_end),
		CLOSING_TEST(a_callback_may_add_and_its_own_is_told_by_a_later_step),
		CLOSING_TEST(without_a_callback_outcomes_are_queued),
		CLOSING_TEST(a_queue_that_nobody_reads_takes_no_more_but_loses_none),
		CLOSING_TEST(events_of_a_socket_that_others_hold_do_not_reach_the_next),
		CLOSING_TEST(a_socket_that_comes_back_under_its_number_is_registered_anew),
		CLOSING_TEST(a_child_that_holds_the_socket_keeps_nothing_from_ending),
		CLOSING_TEST(freeing_resets_the_rest_and_tells_each),
		CLOSING_TEST(what_callbacks_add_while_it_is_freed_meets_the_same_end),
		REAL_TEST(draining_waits_for_all),
		REAL_TEST(draining_gives_up_the_rest_at_its_deadline),
		REAL_TEST(the_descriptor_alone_tells_when_to_step),
		CLOSING_TEST(it_sleeps_while_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
