/* SPDX-License-Identifier: MIT */
/* The worker, driven by a thread that stands for the loop's. */
#include "lib/cmocka.h"
#include "loop/worker.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
	struct lb_worker worker;
	pthread_t starter;
	char worked[32]; /* the worker's: the names of each list, in parentheses */
	char done[32];   /* the names in the order in which they came back */
	/* With `tied`, it writes a byte to began[1] before it works on a list, and reads one from go[0]. */
	bool tied;
	int began[2], go[2];
	bool on_starter, signals_open;
};

struct job {
	struct lb_job job; /* first */
	struct record *record;
	char name;
	int again; /* times to submit it again when done */
};

static void put_byte(int fd)
{
	if (write(fd, "x", 1) != 1)
		abort();
}

static void take_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		abort();
}

static void note(char text[32], char c)
{
	size_t len = strlen(text);

	if (len == 31)
		abort();
	text[len] = c;
}

static void work(void *arg, struct lb_job *list)
{
	struct record *record = arg;
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	record->signals_open |=
		!sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGCHLD) || !sigismember(&mask, SIGRTMIN);
	record->on_starter |= pthread_equal(pthread_self(), record->starter);
	if (record->tied) {
		put_byte(record->began[1]);
		take_byte(record->go[0]);
	}
	note(record->worked, '(');
	for (; list != NULL; list = list->next)
		note(record->worked, ((struct job *)list)->name);
	note(record->worked, ')');
}

static void job_done(struct lb_job *job)
{
	struct job *own = (struct job *)job;

	assert_true(pthread_equal(pthread_self(), own->record->starter));
	note(own->record->done, own->name);
	if (own->again > 0) {
		own->again--;
		lb_worker_submit(&own->record->worker, job);
		lb_worker_hand_over(&own->record->worker);
	} else {
		free(own);
	}
}

static struct job *gather(struct record *record, char name)
{
	struct job *job = calloc(1, sizeof *job);

	*job = (struct job){.job.done = job_done, .record = record, .name = name};
	lb_worker_submit(&record->worker, &job->job);
	return job;
}

static struct job *submit(struct record *record, char name)
{
	struct job *job = gather(record, name);

	lb_worker_hand_over(&record->worker);
	return job;
}

static void start(struct record *record)
{
	assert_int_equal(lb_worker_start(&record->worker, work, record), 0);
}

/* Takes jobs back until none is under way. */
static void finish_all(struct record *record)
{
	struct pollfd poll_fd = {.fd = record->worker.fd, .events = POLLIN};

	while (record->worker.under_way > 0) {
		assert_int_equal(poll(&poll_fd, 1, -1), 1);
		lb_worker_finish(&record->worker);
	}
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

static int new_record(void **state)
{
	struct record *record = calloc(1, sizeof *record);

	*state = record;
	record->starter = pthread_self();
	if (lb_worker_init(&record->worker) < 0)
		return -1;
	return pipe2(record->began, O_CLOEXEC) < 0 || pipe2(record->go, O_CLOEXEC) < 0 ? -1 : 0;
}

static int free_record(void **state)
{
	struct record *record = *state;

	lb_worker_deinit(&record->worker);
	for (int i = 0; i < 2; i++) {
		close(record->began[i]);
		close(record->go[i]);
	}
	free(record);
	return 0;
}

static void what_is_submitted_while_it_works_comes_as_one_list(void **state)
{
	struct record *record = *state;

	record->tied = true;
	start(record);
	submit(record, 'a');
	take_byte(record->began[0]);
	for (const char *name = "bcdef"; *name != '\0'; name++)
		submit(record, *name);
	put_byte(record->go[1]);
	put_byte(record->go[1]);
	finish_all(record);
	lb_worker_stop(&record->worker);
	assert_string_equal(record->worked, "(a)(bcdef)");
	assert_string_equal(record->done, "abcdef");
}

static void what_is_handed_over_together_comes_as_one_list(void **state)
{
	struct record *record = *state;

	start(record);
	for (const char *name = "abc"; *name != '\0'; name++)
		gather(record, *name);
	lb_worker_hand_over(&record->worker);
	finish_all(record);
	gather(record, 'd'); /* handed over by stop */
	lb_worker_stop(&record->worker);
	finish_all(record);
	assert_string_equal(record->worked, "(abc)(d)");
	assert_string_equal(record->done, "abcd");
}

static void jobs_of_several_lists_come_back_together_and_in_order(void **state)
{
	struct record *record = *state;

	record->tied = true;
	submit(record, 'a');
	submit(record, 'b');
	start(record);
	take_byte(record->began[0]);
	submit(record, 'c');
	submit(record, 'd');
	put_byte(record->go[1]);
	take_byte(record->began[0]);
	submit(record, 'e');
	put_byte(record->go[1]);
	/* it has begun the third list: so the first two wait to be finished */
	take_byte(record->began[0]);
	lb_worker_finish(&record->worker);
	assert_string_equal(record->done, "abcd");
	put_byte(record->go[1]);
	finish_all(record);
	lb_worker_stop(&record->worker);
	assert_string_equal(record->worked, "(ab)(cd)(e)");
	assert_string_equal(record->done, "abcde");
}

static void a_job_may_be_submitted_again_when_it_is_done(void **state)
{
	struct record *record = *state;

	start(record);
	submit(record, 'a')->again = 2;
	finish_all(record);
	lb_worker_stop(&record->worker);
	assert_string_equal(record->worked, "(a)(a)(a)");
	assert_string_equal(record->done, "aaa");
}

static void stop_waits_for_what_was_submitted(void **state)
{
	struct record *record = *state;

	start(record);
	submit(record, 'a');
	submit(record, 'b');
	lb_worker_stop(&record->worker);
	assert_int_equal(record->worker.under_way, 2);
	finish_all(record);
	assert_string_equal(record->done, "ab");
}

static void it_can_be_started_again(void **state)
{
	struct record *record = *state;

	for (int i = 0; i < 2; i++) {
		start(record);
		submit(record, 'a');
		finish_all(record);
		submit(record, 'b'); /* it has not stopped when there was nothing left to do */
		finish_all(record);
		lb_worker_stop(&record->worker);
	}
	assert_string_equal(record->done, "abab");
}

static void it_works_on_a_thread_of_its_own_without_signals(void **state)
{
	struct record *record = *state;
	sigset_t mask;

	start(record);
	submit(record, 'a');
	finish_all(record);
	lb_worker_stop(&record->worker);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
	assert_false(record->on_starter);
	assert_false(record->signals_open);
}

#define WITH_WORKER(test) cmocka_unit_test_setup_teardown(test, new_record, free_record)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WORKER(what_is_submitted_while_it_works_comes_as_one_list),
		WITH_WORKER(what_is_handed_over_together_comes_as_one_list),
		WITH_WORKER(jobs_of_several_lists_come_back_together_and_in_order),
		WITH_WORKER(a_job_may_be_submitted_again_when_it_is_done),
		WITH_WORKER(stop_waits_for_what_was_submitted),
		WITH_WORKER(it_can_be_started_again),
		WITH_WORKER(it_works_on_a_thread_of_its_own_without_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
