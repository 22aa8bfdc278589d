/* SPDX-License-Identifier: MIT */
/* What the real loop watches. */
#include "loop_fixture.h"

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
	other->watch.events = EPOLLRDHUP;
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
