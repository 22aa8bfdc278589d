/* SPDX-License-Identifier: MIT */
/* The wait of the real machine, for connections and pipes. */
#include "net_fixture.h"
#include "loop/real.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

static void a_time_out_is_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(lb_timeout_ms(0, 1), 1);
	assert_int_equal(lb_timeout_ms(0, MS), 1);
	assert_int_equal(lb_timeout_ms(0, MS + 1), 2);
	assert_int_equal(lb_timeout_ms(5 * MS, 5 * MS), 0);
	assert_int_equal(lb_timeout_ms(5 * MS, 0), 0);
	assert_int_equal(lb_timeout_ms(5 * MS, LB_NEVER), -1);
	assert_int_equal(lb_timeout_ms(5 * MS, LB_NEVER - 1), INT_MAX);
}

static void a_wait_does_not_end_before_its_deadline(void **state)
{
	int pair[2];

	(void)state;
	new_pair(pair);
	for (lb_time length = 1; length < 5 * MS; length *= 3) {
		lb_time deadline = lb_now() + length;

		assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, -1, -1, deadline), 0);
		assert_true(lb_now() >= deadline);
	}
	assert_int_equal(NET->wait(HOST, -1, 0, -1, -1, lb_now() + MS), 0);
	close_pair(pair);
}

static void a_wait_after_its_deadline_still_looks(void **state)
{
	int pair[2], pipes[2];

	(void)state;
	new_pair(pair);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, pipes[0], -1, 0), 0);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLOUT, pipes[0], -1, 0), 1);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, pipes[0], -1, 0), 2);
	assert_int_equal(NET->wait(HOST, -1, 0, pipes[0], -1, 0), 2);
	assert_int_equal(NET->wait(HOST, -1, 0, -1, pipes[0], 0), 4);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN | EPOLLOUT, pipes[0], -1, LB_NEVER), 3);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLOUT, pipes[0], pipes[0], LB_NEVER), 7);
	close(pipes[0]);
	close(pipes[1]);
	close_pair(pair);
}

static void a_wait_for_nothing_is_not_ended_by_a_hang_up(void **state)
{
	int pair[2];

	(void)state;
	new_pair(pair);
	reset(pair[0]);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->wait(HOST, pair[1], 0, -1, -1, lb_in_ms(1)), 0);
	close(pair[1]);
}

static volatile int interrupt;

static void on_alarm(int number)
{
	(void)number;
	if (write(interrupt, "x", 1) < 0)
		abort();
}

/* Without SA_RESTART and with it: poll(2) ends with EINTR either way. */
static void a_signal_ends_no_wait_but_what_it_writes_does(void **state)
{
	struct itimerval soon = {.it_value = {.tv_usec = 2000}};
	struct sigaction action = {.sa_handler = on_alarm};
	int pair[2], pipes[2];

	(void)state;
	new_pair(pair);
	assert_int_equal(pipe(pipes), 0);
	interrupt = pipes[1];
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, pipes[0], -1, LB_NEVER), 2);
	/* and one that writes elsewhere ends it neither */
	interrupt = open("/dev/null", O_WRONLY | O_CLOEXEC);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, -1, -1, lb_in_ms(6)), 0);
	signal(SIGALRM, SIG_DFL);
	close(interrupt);
	close(pipes[0]);
	close(pipes[1]);
	close_pair(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_out_is_rounded_up),
		cmocka_unit_test(a_wait_does_not_end_before_its_deadline),
		cmocka_unit_test(a_wait_after_its_deadline_still_looks),
		cmocka_unit_test(a_wait_for_nothing_is_not_ended_by_a_hang_up),
		cmocka_unit_test(a_signal_ends_no_wait_but_what_it_writes_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
