/* SPDX-License-Identifier: MIT */
/* The real loop, with pipes. */
#include "lib/cmocka.h"
#include "loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MS INT64_C(1000000)

/* A pipe whose reading end is watched. */
struct pipe_watch {
	struct lb_watch watch; /* first */
	struct lb_loop *loop;
	int writer;
	int calls;
	uint32_t seen;
	void *other;
};

struct alarm {
	struct lb_timer timer; /* first */
	struct lb_loop *loop;
	char name;
	char *order; /* of those that expired */
	struct lb_timer *cancel;
	bool last;
	void *other;
};

static struct lb_loop *new_loop(void)
{
	struct lb_loop *loop;

	assert_int_equal(lb_loop_new(lb_host_real(), &loop), 0);
	return loop;
}

static struct pipe_watch *new_pipe(struct lb_loop *loop, void (*ready)(struct lb_watch *, uint32_t))
{
	struct pipe_watch *pw = calloc(1, sizeof *pw);
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	*pw = (struct pipe_watch){
		.watch = {.fd = fds[0], .events = EPOLLIN, .ready = ready}, .loop = loop, .writer = fds[1]};
	assert_int_equal(loop->ops->watch(loop, &pw->watch), 0);
	return pw;
}

static void free_pipe(struct pipe_watch *pw)
{
	pw->loop->ops->unwatch(pw->loop, &pw->watch);
	close(pw->watch.fd);
	close(pw->writer);
	free(pw);
}

static void put_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void take_byte(int fd)
{
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
}

static void run(struct lb_loop *loop)
{
	assert_int_equal(lb_loop_run(loop), 0);
}

/* Takes one byte at each call, and quits at the third. */
static void take_one(struct lb_watch *watch, uint32_t events)
{
	struct pipe_watch *pw = (struct pipe_watch *)watch;

	assert_int_equal(events, EPOLLIN);
	take_byte(watch->fd);
	if (++pw->calls == 3)
		lb_loop_quit(pw->loop);
}

static void a_watch_is_called_as_long_as_it_is_ready(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *pw = new_pipe(loop, take_one);

	(void)state;
	for (int i = 0; i < 3; i++)
		put_byte(pw->writer);
	run(loop);
	assert_int_equal(pw->calls, 3);
	free_pipe(pw);
	lb_loop_free(loop);
}

static void remember(struct lb_watch *watch, uint32_t events)
{
	struct pipe_watch *pw = (struct pipe_watch *)watch;

	pw->calls++;
	pw->seen |= events;
	lb_loop_quit(pw->loop);
}

static void a_hang_up_comes_unasked(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *pw = new_pipe(loop, remember);

	(void)state;
	pw->watch.events = EPOLLRDHUP; /* which a pipe never has */
	assert_int_equal(loop->ops->rewatch(loop, &pw->watch), 0);
	close(pw->writer);
	pw->writer = -1;
	run(loop);
	assert_int_equal(pw->calls, 1);
	assert_int_equal(pw->seen, EPOLLHUP);
	free_pipe(pw);
	lb_loop_free(loop);
}

static void watch_again(struct lb_timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;
	struct pipe_watch *pw = alarm->other;

	assert_int_equal(pw->calls, 0);
	pw->watch.events = EPOLLIN;
	assert_int_equal(pw->loop->ops->rewatch(pw->loop, &pw->watch), 0);
}

static void a_watch_for_nothing_is_not_even_told_of_a_hang_up(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *pw = new_pipe(loop, remember);
	struct alarm later = {.timer.expired = watch_again, .other = pw};

	(void)state;
	pw->watch.events = 0;
	assert_int_equal(loop->ops->rewatch(loop, &pw->watch), 0);
	close(pw->writer);
	pw->writer = -1;
	lb_timer_set(&loop->wheel, &later.timer, lb_now() + 2 * MS);
	run(loop);
	assert_int_equal(pw->calls, 1);
	assert_int_equal(pw->seen, EPOLLHUP);
	pw->watch.events = 0; /* and from the start */
	pw->calls = 0;
	loop->ops->unwatch(loop, &pw->watch);
	assert_int_equal(loop->ops->watch(loop, &pw->watch), 0);
	lb_timer_set(&loop->wheel, &later.timer, lb_now() + 2 * MS);
	run(loop);
	assert_int_equal(pw->calls, 1);
	free_pipe(pw);
	lb_loop_free(loop);
}

static void what_cannot_be_watched_is_an_error(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *pw = new_pipe(loop, remember);
	struct lb_watch file = {.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), .events = EPOLLIN};

	(void)state;
	assert_true(file.fd >= 0);
	assert_int_equal(loop->ops->watch(loop, &file), -EPERM);
	close(file.fd);
	assert_int_equal(loop->ops->watch(loop, &file), -EBADF);
	assert_int_equal(loop->ops->watch(loop, &pw->watch), -EEXIST);
	assert_int_equal(loop->ops->rewatch(loop, &file), -EBADF);
	free_pipe(pw);
	lb_loop_free(loop);
}

static void forget_the_other(struct lb_watch *watch, uint32_t events)
{
	struct pipe_watch *pw = (struct pipe_watch *)watch, *other = pw->other;

	(void)events;
	pw->calls++;
	if (other == NULL)
		return;
	free_pipe(other);
	pw->other = NULL;
	lb_loop_quit(pw->loop);
}

/* Both are ready in one batch. Whichever comes first frees the other: a stale event would read freed memory, call
 * the second one, or free the first. */
static void a_watch_that_was_unwatched_is_not_called_again(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *a = new_pipe(loop, forget_the_other), *b = new_pipe(loop, forget_the_other),
			  *first;
	int a_reader = a->watch.fd;

	(void)state;
	a->other = b;
	b->other = a;
	put_byte(a->writer);
	put_byte(b->writer);
	run(loop);
	first = fcntl(a_reader, F_GETFD) >= 0 ? a : b;
	assert_int_equal(first->calls, 1);
	free_pipe(first);
	lb_loop_free(loop);
}

static void cease_the_other(struct lb_watch *watch, uint32_t events)
{
	struct pipe_watch *pw = (struct pipe_watch *)watch, *other = pw->other;

	(void)events;
	pw->calls++;
	other->watch.events = 0;
	assert_int_equal(pw->loop->ops->rewatch(pw->loop, &other->watch), 0);
	lb_loop_quit(pw->loop);
}

static void an_event_that_is_no_longer_watched_for_is_not_given(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *a = new_pipe(loop, cease_the_other), *b = new_pipe(loop, cease_the_other);

	(void)state;
	a->other = b;
	b->other = a;
	put_byte(a->writer);
	put_byte(b->writer);
	run(loop);
	assert_int_equal(a->calls + b->calls, 1);
	free_pipe(a);
	free_pipe(b);
	lb_loop_free(loop);
}

static void watch_another_pipe(struct lb_watch *watch, uint32_t events)
{
	struct pipe_watch *pw = (struct pipe_watch *)watch, *other = pw->other;
	int fds[2];

	(void)events;
	pw->calls++;
	if (other == NULL) {
		lb_loop_quit(pw->loop);
		return;
	}
	pw->other = NULL;
	/* the other struct now watches a pipe that has nothing to read */
	pw->loop->ops->unwatch(pw->loop, &other->watch);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	close(other->watch.fd);
	close(other->writer);
	other->watch.fd = fds[0];
	other->writer = fds[1];
	other->other = NULL;
	assert_int_equal(pw->loop->ops->watch(pw->loop, &other->watch), 0);
}

static void a_watch_that_is_used_again_gets_no_event_of_its_former_fd(void **state)
{
	struct lb_loop *loop = new_loop();
	struct pipe_watch *a = new_pipe(loop, watch_another_pipe), *b = new_pipe(loop, watch_another_pipe);

	(void)state;
	a->other = b;
	b->other = a;
	put_byte(a->writer);
	put_byte(b->writer);
	run(loop);
	assert_int_equal(a->calls + b->calls, 2);
	assert_true(a->calls == 2 || b->calls == 2);
	free_pipe(a);
	free_pipe(b);
	lb_loop_free(loop);
}

static void ring(struct lb_timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer;

	assert_true(lb_now() >= timer->at);
	alarm->order[strlen(alarm->order)] = alarm->name;
	if (alarm->cancel != NULL)
		lb_timer_cancel(&alarm->loop->wheel, alarm->cancel);
	if (alarm->last)
		lb_loop_quit(alarm->loop);
}

static struct alarm new_alarm(struct lb_loop *loop, char name, char *order)
{
	return (struct alarm){.timer.expired = ring, .loop = loop, .name = name, .order = order};
}

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

/* The real host, with a clock that counts how often it is asked. */
static int readings;

static lb_time count_reading(struct lb_host *host)
{
	(void)host;
	readings++;
	return lb_now();
}

static void waiting_for_a_timer_is_not_busy(void **state)
{
	const struct lb_clock_ops clock = {.now = count_reading};
	struct lb_host host = {.clock = &clock};
	struct lb_loop *loop;
	char order[8] = "";
	struct alarm end = {0};

	(void)state;
	assert_int_equal(lb_loop_new(&host, &loop), 0);
	end = new_alarm(loop, '.', order);
	end.last = true;
	lb_timer_set(&loop->wheel, &end.timer, lb_now() + 20 * MS + 1);
	readings = 0;
	run(loop);
	/* twice for each turn; a wheel turns a few times on the way to a timer */
	assert_true(readings <= 8);
	lb_loop_free(loop);
}

struct job {
	struct lb_job job; /* first */
	struct lb_loop *loop;
	char name;
	int again; /* times to submit it again when done */
};

/* What each thread saw. */
struct record {
	pthread_t loop_thread;
	char worked[64]; /* the worker's: the names of each list, in parentheses */
	char done[64];   /* the loop's: the names in capitals */
	/* Before it works on a list it writes a byte to tell_fd and reads one from wait_fd, unless they are -1. */
	int tell_fd, wait_fd;
	bool on_loop_thread, signals_open;
};

static struct record record;

static void note(char text[64], char c)
{
	size_t len = strlen(text);

	if (len == 63)
		abort();
	text[len] = c;
}

static void work(void *arg, struct lb_job *list)
{
	struct record *r = arg;
	sigset_t mask;
	char byte;

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	r->signals_open |=
		!sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGCHLD) || !sigismember(&mask, SIGRTMIN);
	r->on_loop_thread |= pthread_equal(pthread_self(), r->loop_thread);
	if (r->tell_fd >= 0 && write(r->tell_fd, "x", 1) != 1)
		abort();
	if (r->wait_fd >= 0 && read(r->wait_fd, &byte, 1) != 1)
		abort();
	note(r->worked, '(');
	for (; list != NULL; list = list->next)
		note(r->worked, ((struct job *)list)->name);
	note(r->worked, ')');
}

static void job_done(struct lb_job *job)
{
	struct job *own = (struct job *)job;

	assert_true(pthread_equal(pthread_self(), record.loop_thread));
	note(record.done, (char)(own->name - 'a' + 'A'));
	if (own->again > 0) {
		own->again--;
		own->loop->ops->submit(own->loop, job);
		return;
	}
	if (own->name == 'z')
		lb_loop_quit(own->loop);
	free(own);
}

static struct lb_loop *new_working_loop(void)
{
	struct lb_loop *loop = new_loop();

	record = (struct record){.loop_thread = pthread_self(), .wait_fd = -1, .tell_fd = -1};
	loop->work = work;
	loop->work_arg = &record;
	return loop;
}

static struct job *submit(struct lb_loop *loop, char name)
{
	struct job *job = calloc(1, sizeof *job);

	*job = (struct job){.job.done = job_done, .loop = loop, .name = name};
	loop->ops->submit(loop, &job->job);
	return job;
}

/* Two pipes between the loop's thread and the worker, so that each goes on when it is told. */
static void tie_worker(int started[2], int go[2])
{
	assert_int_equal(pipe2(started, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	record.tell_fd = started[1];
	record.wait_fd = go[0];
}

static void untie_worker(int started[2], int go[2])
{
	for (int i = 0; i < 2; i++) {
		close(started[i]);
		close(go[i]);
	}
}

/* Run on the loop's thread: lets it submit and wait in the order that a test is about. */
struct script {
	struct lb_timer timer; /* first */
	struct lb_loop *loop;
	int started, go;
};

/* The worker is in its first job: five more, then it may go on with both lists. */
static void submit_more(struct lb_timer *timer)
{
	struct script *script = (struct script *)timer;

	take_byte(script->started);
	for (const char *name = "bcdez"; *name != '\0'; name++)
		submit(script->loop, *name);
	put_byte(script->go);
	put_byte(script->go);
}

static void what_is_submitted_while_the_worker_works_comes_as_one_list(void **state)
{
	struct lb_loop *loop = new_working_loop();
	struct script script = {.timer.expired = submit_more, .loop = loop};
	int started[2], go[2];

	(void)state;
	tie_worker(started, go);
	script.started = started[0];
	script.go = go[1];
	submit(loop, 'a');
	lb_timer_set(&loop->wheel, &script.timer, 0);
	run(loop);
	assert_string_equal(record.worked, "(a)(bcdez)");
	assert_string_equal(record.done, "ABCDEZ");
	assert_false(record.on_loop_thread);
	assert_false(record.signals_open);
	untie_worker(started, go);
	lb_loop_free(loop);
}

/* The worker begins its third list before the loop can look at the first. */
static void let_lists_gather(struct lb_timer *timer)
{
	struct script *script = (struct script *)timer;

	take_byte(script->started);
	submit(script->loop, 'c');
	submit(script->loop, 'd');
	put_byte(script->go);
	take_byte(script->started);
	submit(script->loop, 'z');
	put_byte(script->go);
	take_byte(script->started);
	put_byte(script->go);
}

static void jobs_of_several_lists_are_done_in_the_order_in_which_they_were_submitted(void **state)
{
	struct lb_loop *loop = new_working_loop();
	struct script script = {.timer.expired = let_lists_gather, .loop = loop};
	int started[2], go[2];

	(void)state;
	tie_worker(started, go);
	script.started = started[0];
	script.go = go[1];
	submit(loop, 'a');
	submit(loop, 'b');
	lb_timer_set(&loop->wheel, &script.timer, 0);
	run(loop);
	assert_string_equal(record.worked, "(ab)(cd)(z)");
	assert_string_equal(record.done, "ABCDZ");
	untie_worker(started, go);
	lb_loop_free(loop);
}

static void a_job_may_be_submitted_again_when_it_is_done(void **state)
{
	struct lb_loop *loop = new_working_loop();

	(void)state;
	submit(loop, 'a')->again = 2;
	lb_loop_quit(loop);
	run(loop);
	assert_string_equal(record.worked, "(a)(a)(a)");
	assert_string_equal(record.done, "AAA");
	lb_loop_free(loop);
}

static void release_worker(struct lb_timer *timer)
{
	struct script *script = (struct script *)timer;

	note(record.done, '!');
	put_byte(script->go);
}

/* quit comes while the job waits for what only a timer of the loop will do. */
static void quit_waits_for_jobs_and_the_loop_goes_on_meanwhile(void **state)
{
	struct lb_loop *loop = new_working_loop();
	struct script script = {.timer.expired = release_worker, .loop = loop};
	int started[2], go[2];

	(void)state;
	tie_worker(started, go);
	script.go = go[1];
	submit(loop, 'a');
	lb_timer_set(&loop->wheel, &script.timer, lb_now() + 2 * MS);
	lb_loop_quit(loop);
	run(loop);
	assert_string_equal(record.worked, "(a)");
	assert_string_equal(record.done, "!A");
	untie_worker(started, go);
	lb_loop_free(loop);
}

static void a_loop_that_was_quit_can_run_again(void **state)
{
	struct lb_loop *loop = new_working_loop();

	(void)state;
	lb_loop_quit(loop);
	run(loop);
	assert_string_equal(record.done, "");
	submit(loop, 'z');
	run(loop);
	assert_string_equal(record.done, "Z");
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

static void no_loop_can_be_freed(void **state)
{
	(void)state;
	lb_loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watch_is_called_as_long_as_it_is_ready),
		cmocka_unit_test(a_hang_up_comes_unasked),
		cmocka_unit_test(a_watch_for_nothing_is_not_even_told_of_a_hang_up),
		cmocka_unit_test(what_cannot_be_watched_is_an_error),
		cmocka_unit_test(a_watch_that_was_unwatched_is_not_called_again),
		cmocka_unit_test(an_event_that_is_no_longer_watched_for_is_not_given),
		cmocka_unit_test(a_watch_that_is_used_again_gets_no_event_of_its_former_fd),
		cmocka_unit_test(timers_expire_in_order_and_none_early),
		cmocka_unit_test(a_timer_that_another_cancels_does_not_expire),
		cmocka_unit_test(waiting_for_a_timer_is_not_busy),
		cmocka_unit_test(what_is_submitted_while_the_worker_works_comes_as_one_list),
		cmocka_unit_test(jobs_of_several_lists_are_done_in_the_order_in_which_they_were_submitted),
		cmocka_unit_test(a_job_may_be_submitted_again_when_it_is_done),
		cmocka_unit_test(quit_waits_for_jobs_and_the_loop_goes_on_meanwhile),
		cmocka_unit_test(a_loop_that_was_quit_can_run_again),
		cmocka_unit_test(a_signal_handler_wakes_the_loop_once),
		cmocka_unit_test(a_wake_from_another_thread_or_before_the_run_is_not_lost),
		cmocka_unit_test(no_loop_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
