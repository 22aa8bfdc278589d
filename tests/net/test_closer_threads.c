/* SPDX-License-Identifier: MIT */
/* lb_closer_run in a thread, while others add, read the queue and stop it. ThreadSanitizer looks on. */
#include "lib/closing.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDERS  4
#define OF_EACH 40

static struct lb_closer *closer;
static atomic_int told, by_fin;

static int open_closer(void **state)
{
	(void)state;
	told = by_fin = 0;
	return lb_closer_new(NULL, &closer);
}

static int free_closer(void **state)
{
	(void)state;
	lb_closer_free(closer);
	return 0;
}

static void *run(void *arg)
{
	lb_closer_run(closer);
	return arg;
}

static pthread_t start(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	return thread;
}

static void stop(pthread_t thread)
{
	lb_closer_stop(closer);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void tell(void *arg, const struct lb_outcome *end)
{
	int *of_this = arg;

	(*of_this)++;
	if (end->how == LB_END_FIN && end->rung == LB_RUNG_ENDED)
		by_fin++;
	told++;
}

static void wait_for(int count)
{
	lb_time limit = lb_in_ms(20000);

	while (told < count) {
		assert_true(lb_now() < limit);
		sched_yield();
	}
}

struct adder {
	pthread_t thread;
	struct tcp tcps[OF_EACH];
	int told[OF_EACH];
	int failed;
};

static void *add_all(void *arg)
{
	struct adder *adder = arg;

	for (int i = 0; i < OF_EACH; i++) {
		if (lb_closer_add(closer, adder->tcps[i].ours, NULL, LB_NEVER, tell, &adder->told[i]) < 0)
			adder->failed++;
		if (i % 2 == 0)
			tcp_peer_close(&adder->tcps[i].peer);
		if (lb_closer_deadline(closer) < 0)
			adder->failed++;
	}
	for (int i = 1; i < OF_EACH; i += 2)
		tcp_peer_close(&adder->tcps[i].peer);
	return NULL;
}

static void any_thread_may_add_and_each_is_told_once(void **state)
{
	static struct adder adders[ADDERS];
	pthread_t thread = start();

	(void)state;
	for (int a = 0; a < ADDERS; a++)
		for (int i = 0; i < OF_EACH; i++)
			tcp_connect(&adders[a].tcps[i], &tcp_sides[(a + i) % 4], 0, 0);
	for (int a = 0; a < ADDERS; a++)
		assert_int_equal(pthread_create(&adders[a].thread, NULL, add_all, &adders[a]), 0);
	for (int a = 0; a < ADDERS; a++)
		assert_int_equal(pthread_join(adders[a].thread, NULL), 0);
	wait_for(ADDERS * OF_EACH);
	stop(thread);
	assert_int_equal(told, ADDERS * OF_EACH);
	assert_int_equal(by_fin, ADDERS * OF_EACH);
	for (int a = 0; a < ADDERS; a++) {
		assert_int_equal(adders[a].failed, 0);
		for (int i = 0; i < OF_EACH; i++) {
			assert_int_equal(adders[a].told[i], 1);
			close(adders[a].tcps[i].peer.go);
		}
	}
}

static void another_thread_may_read_the_queue(void **state)
{
	static struct tcp tcps[20];
	lb_time limit = lb_in_ms(20000);
	struct lb_closed closed;
	pthread_t thread = start();
	int read = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		tcp_connect(&tcps[i], &tcp_sides[i % 4], 0, 0);
		assert_int_equal(lb_closer_add(closer, tcps[i].ours, NULL, LB_NEVER, NULL, &tcps[i]), 0);
		tcp_peer_close(&tcps[i].peer);
		close(tcps[i].peer.go);
	}
	while (read < 20) {
		if (lb_closer_next(closer, &closed) == 0) {
			assert_int_equal(closed.outcome.how, LB_END_FIN);
			read++;
		}
		assert_true(lb_now() < limit);
		sched_yield();
	}
	stop(thread);
}

static void stopping_ends_the_next_run_if_there_is_none(void **state)
{
	(void)state;
	lb_closer_stop(closer);
	lb_closer_run(closer);
	stop(start());
	lb_closer_step(closer);
	assert_int_equal(lb_closer_deadline(closer), LB_NEVER);
}

static void what_a_stopped_run_leaves_goes_on_in_the_next(void **state)
{
	pthread_t thread = start();
	struct tcp tcp;
	int once = 0;

	(void)state;
	tcp_connect(&tcp, &tcp_sides[0], 0, 0);
	assert_int_equal(lb_closer_add(closer, tcp.ours, NULL, LB_NEVER, tell, &once), 0);
	stop(thread);
	assert_int_equal(told, 0);
	tcp_peer_close(&tcp.peer);
	thread = start();
	wait_for(1);
	stop(thread);
	assert_int_equal(once, 1);
	assert_int_equal(by_fin, 1);
	close(tcp.peer.go);
}

static void stops(void *arg, const struct lb_outcome *end)
{
	tell(arg, end);
	lb_closer_stop(closer);
}

static void a_callback_may_stop_the_run(void **state)
{
	struct tcp tcp;
	int once = 0;

	(void)state;
	tcp_connect(&tcp, &tcp_sides[0], 0, 0);
	tcp_peer_close(&tcp.peer);
	assert_int_equal(lb_closer_add(closer, tcp.ours, NULL, LB_NEVER, stops, &once), 0);
	lb_closer_run(closer);
	assert_int_equal(once, 1);
	close(tcp.peer.go);
}

#define THREAD_TEST(test) cmocka_unit_test_setup_teardown(test, open_closer, free_closer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		THREAD_TEST(any_thread_may_add_and_each_is_told_once),
		THREAD_TEST(another_thread_may_read_the_queue),
		THREAD_TEST(stopping_ends_the_next_run_if_there_is_none),
		THREAD_TEST(what_a_stopped_run_leaves_goes_on_in_the_next),
		THREAD_TEST(a_callback_may_stop_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
