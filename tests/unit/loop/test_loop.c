/* SPDX-License-Identifier: MIT */
/* How the real loop runs, keeps time, sleeps, wakes and ends. */
#include "loop_fixture.h"
#include <pthread.h>
#include <signal.h>

static void timers_expire_in_order_and_none_early(void **state)
{
	struct lb_loop *loop = new_loop();
	char order[8] = "";
	struct alarm a = new_alarm(loop, 'a', order), b = new_alarm(loop, 'b', order),
		     c = new_alarm(loop, 'c', order);
	lb_time now = lb_now();

	(void)state;
	c.last = true;
	lb_timer_set(&loop->wheel, &c.timer, now + 9 * MS);
	lb_timer_set(&loop->wheel, &a.timer, now + 2 * MS + 1);
	lb_timer_set(&loop->wheel, &b.timer, now + 5 * MS + 999999);
	run(loop);
	assert_string_equal(order, "abc");
	lb_loop_free(loop);
}

static void a_timer_that_another_cancels_does_not_expire(void **state)
{
	struct lb_loop *loop = new_loop();
	char order[8] = "";
	struct alarm a = new_alarm(loop, 'a', order), b = new_alarm(loop, 'b', order),
		     end = new_alarm(loop, '.', order);
	lb_time now = lb_now();

	(void)state;
	a.cancel = &b.timer;
	b.cancel = &a.timer;
	end.last = true;
	lb_timer_set(&loop->wheel, &a.timer, now + 2 * MS); /* both at once */
	lb_timer_set(&loop->wheel, &b.timer, now + 2 * MS);
	lb_timer_set(&loop->wheel, &end.timer, now + 4 * MS);
	run(loop);
	assert_int_equal(strlen(order), 2);
	assert_int_equal(order[1], '.');
	lb_loop_free(loop);
}

static void no_loop_can_be_freed(void **state)
{
	(void)state;
	lb_loop_free(NULL);
}

/* Called on the loop when it is done: counts, and quits if it is to. */
struct job {
	struct lb_job job; /* first */
	struct lb_loop *loop;
	int done;
	bool quit;
};

static void job_done(struct lb_job *job)
{
	struct job *own = (struct job *)job;

	own->done++;
	if (own->quit)
		lb_loop_quit(own->loop);
}

/* Works until it is told to go on, by a byte; at once if there is no fd. */
static void work(void *arg, struct lb_job *list)
{
	int *go = arg;

	(void)list;
	if (go != NULL)
		take_byte(*go);
}

static struct lb_loop *new_working_loop(int *go)
{
	struct lb_loop *loop = new_loop();

	loop->work = work;
	loop->work_arg = go;
	return loop;
}

/* The real host, with a clock that counts how often it is asked. */
static int readings;

static lb_time count_reading(struct lb_host *host)
{
	(void)host;
	readings++;
	return lb_now();
}

static void count_one(void *arg)
{
	++*(int *)arg;
}

static void never_ready(struct lb_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	fail();
}

/* Neither a job that is done, nor a wake, nor a hang-up that nobody watches for keeps it from sleeping. */
static void waiting_for_a_timer_is_not_busy(void **state)
{
	const struct lb_clock_ops clock = {.now = count_reading};
	struct lb_host host = {.clock = &clock};
	struct lb_loop *loop = new_working_loop(NULL);
	struct pipe_watch *a = new_pipe(loop, never_ready), *b = new_pipe(loop, never_ready);
	struct job job = {.job.done = job_done};
	char order[8] = "";
	struct alarm end = new_alarm(loop, '.', order);
	int woken = 0;

	(void)state;
	loop->ops->unwatch(loop, &a->watch);
	a->watch.events = b->watch.events = 0;
	assert_int_equal(loop->ops->watch(loop, &a->watch), 0);
	assert_int_equal(loop->ops->rewatch(loop, &b->watch), 0);
	close(a->writer);
	close(b->writer);
	a->writer = b->writer = -1;
	loop->ops->submit(loop, &job.job);
	loop->woken = count_one;
	loop->woken_arg = &woken;
	lb_loop_wake(loop);
	loop->host = &host;
	end.last = true;
	lb_timer_set(&loop->wheel, &end.timer, lb_now() + 20 * MS + 1);
	readings = 0;
	run(loop);
	/* twice for each turn: one for the job, one for the wake, and a few of the wheel on the way to the timer */
	assert_true(readings <= 12);
	assert_int_equal(job.done, 1);
	assert_int_equal(woken, 1);
	free_pipe(a);
	free_pipe(b);
	lb_loop_free(loop);
}

struct release {
	struct lb_timer timer; /* first */
	struct job *job;
	int go;
};

static void release_worker(struct lb_timer *timer)
{
	struct release *release = (struct release *)timer;

	assert_int_equal(release->job->done, 0);
	put_byte(release->go);
}

/* quit comes while the job waits for what only a timer of the loop will do. */
static void quit_waits_for_jobs_and_the_loop_goes_on_meanwhile(void **state)
{
	struct job job = {.job.done = job_done};
	struct release release = {.timer.expired = release_worker, .job = &job};
	struct lb_loop *loop;
	int go[2];

	(void)state;
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	release.go = go[1];
	loop = new_working_loop(&go[0]);
	loop->ops->submit(loop, &job.job);
	lb_timer_set(&loop->wheel, &release.timer, lb_now() + 2 * MS);
	lb_loop_quit(loop);
	run(loop);
	assert_int_equal(job.done, 1);
	close(go[0]);
	close(go[1]);
	lb_loop_free(loop);
}

static void a_loop_that_was_quit_can_run_again(void **state)
{
	struct lb_loop *loop = new_working_loop(NULL);
	struct job job = {.job.done = job_done, .loop = loop, .quit = true};

	(void)state;
	lb_loop_quit(loop);
	run(loop);
	for (int i = 1; i <= 2; i++) {
		loop->ops->submit(loop, &job.job);
		run(loop);
		assert_int_equal(job.done, i);
	}
	lb_loop_free(loop);
}

static struct lb_loop *signalled_loop;

static void on_signal(int number)
{
	(void)number;
	lb_loop_wake(signalled_loop);
}

struct wakes {
	struct lb_loop *loop;
	struct alarm *end;
	int count;
};

static void count_wake(void *arg)
{
	struct wakes *wakes = arg;

	wakes->count++;
	if (wakes->end == NULL)
		lb_loop_quit(wakes->loop);
	else if (wakes->count == 1)
		lb_timer_set(&wakes->loop->wheel, &wakes->end->timer, lb_now() + 2 * MS);
}

static void raise_signals(struct lb_timer *timer)
{
	(void)timer;
	raise(SIGUSR1);
	raise(SIGUSR1);
}

static void a_signal_handler_wakes_the_loop_once(void **state)
{
	struct lb_loop *loop = new_loop();
	struct lb_timer timer = {.expired = raise_signals};
	struct sigaction action = {.sa_handler = on_signal}, before;
	char order[8] = "";
	struct alarm end = new_alarm(loop, '.', order);
	struct wakes wakes = {.loop = loop, .end = &end};

	(void)state;
	signalled_loop = loop;
	loop->woken = count_wake;
	loop->woken_arg = &wakes;
	end.last = true;
	sigaction(SIGUSR1, &action, &before);
	lb_timer_set(&loop->wheel, &timer, lb_now() + MS);
	run(loop);
	assert_int_equal(wakes.count, 1); /* for both, and not again in the turns until `end` */
	sigaction(SIGUSR1, &before, NULL);
	lb_loop_free(loop);
}

static void *wake_it(void *arg)
{
	lb_loop_wake(arg);
	return NULL;
}

static void a_wake_from_another_thread_or_before_the_run_is_not_lost(void **state)
{
	struct lb_loop *loop = new_loop();
	struct wakes wakes = {.loop = loop};
	pthread_t thread;

	(void)state;
	loop->woken = count_wake;
	loop->woken_arg = &wakes;
	lb_loop_wake(loop);
	run(loop);
	assert_int_equal(wakes.count, 1);
	assert_int_equal(pthread_create(&thread, NULL, wake_it, loop), 0);
	run(loop);
	assert_int_equal(wakes.count, 2);
	pthread_join(thread, NULL);
	lb_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_expire_in_order_and_none_early),
		cmocka_unit_test(a_timer_that_another_cancels_does_not_expire),
		cmocka_unit_test(no_loop_can_be_freed),
		cmocka_unit_test(waiting_for_a_timer_is_not_busy),
		cmocka_unit_test(quit_waits_for_jobs_and_the_loop_goes_on_meanwhile),
		cmocka_unit_test(a_loop_that_was_quit_can_run_again),
		cmocka_unit_test(a_signal_handler_wakes_the_loop_once),
		cmocka_unit_test(a_wake_from_another_thread_or_before_the_run_is_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
