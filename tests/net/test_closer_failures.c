/* SPDX-License-Identifier: MIT */
/* lb_closer when memory or descriptors run out: each allocation and each call fails in turn. */
#include "lib/closing.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The one that fails; counted down by each call. The linker puts these in front of the real ones (--wrap). */
static int fail_at, fail_with;

static bool fails(void)
{
	if (fail_at == 0 || --fail_at > 0)
		return false;
	errno = fail_with;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_epoll_create1(int flags);
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __real_timerfd_create(int clock, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_timerfd_create(int clock, int flags);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

int __wrap_epoll_create1(int flags)
{
	return fails() ? -1 : __real_epoll_create1(flags);
}

static int registrations;

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	registrations++;
	return fails() ? -1 : __real_epoll_ctl(epoll, op, fd, event);
}

int __wrap_timerfd_create(int clock, int flags)
{
	return fails() ? -1 : __real_timerfd_create(clock, flags);
}

static int descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

static void making_one_fails_whole_or_not_at_all(void **state)
{
	static const struct lb_ending ending = {.last = "bye", .last_len = 3};
	const struct lb_closer_options options = {.ending = &ending, .sockets_per_peer = 3};
	struct lb_closer *closer;
	int before = descriptors();

	(void)state;
	for (int n = 1;; n++) {
		int error;

		fail_at = n;
		fail_with = ENOMEM;
		error = lb_closer_new(&options, &closer);
		if (error == 0)
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(closer);
		assert_int_equal(fail_at, 0);
		assert_int_equal(descriptors(), before);
		assert_true(n <= 6);
	}
	/* calloc, two mallocs, epoll_create1, timerfd_create, epoll_ctl */
	assert_int_equal(fail_at, 1);
	fail_at = 0;
	lb_closer_free(closer);
	assert_int_equal(descriptors(), before);
}

static void without_a_descriptor_there_is_no_closer(void **state)
{
	struct lb_closer *closer;

	(void)state;
	fail_at = 2;
	fail_with = EMFILE;
	assert_int_equal(lb_closer_new(NULL, &closer), -EMFILE);
	fail_at = 3;
	fail_with = ENFILE;
	assert_int_equal(lb_closer_new(NULL, &closer), -ENFILE);
	assert_null(closer);
}

/* With all of ours acked, the peer has it and a clean end, whatever fails. */
static void what_cannot_be_kept_is_ended_at_once(void **state)
{
	static const struct lb_ending ending = {.last = "bye", .last_len = 3};
	const struct lb_closer_options options = {.sockets_per_peer = 100};
	int before, n, added;

	(void)state;
	closing_open(&options);
	before = descriptors();
	for (n = 1, added = 0; added == 0; n++) {
		struct tcp tcp;
		int fd, error;

		assert_true(n <= 6);
		tcp_connect(&tcp, &tcp_sides[n % 4], 0, 0);
		fd = tcp.ours;
		tcp_write(&tcp, 1000);
		tcp_peer_read(&tcp.peer, 1000);
		shutdown(tcp.peer.fd, SHUT_WR);
		fail_at = n;
		fail_with = ENOMEM;
		error = lb_closer_add(closing.closer, fd, &ending, LB_NEVER, closing_tell, NULL);
		added = fail_at > 0;
		fail_at = 0;
		assert_int_equal(error, added ? 0 : -ENOMEM);
		if (!added)
			assert_closed(fd);
		closing_until(added);
		assert_int_equal(tcp.peer.got, 1000);
		assert_true(tcp.peer.intact);
		tcp_peer_close(&tcp.peer);
		close(tcp.peer.go);
		assert_int_equal(descriptors(), before);
	}
	/* the copy of the ending, two arrays of chunks, two chunks */
	assert_int_equal(n, 7);
}

static void what_cannot_be_registered_is_looked_at_by_time(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = 300 * MS}};
	struct tcp tcps[2];

	(void)state;
	closing_setup(NULL);
	for (int i = 0; i < 2; i++) {
		tcp_connect(&tcps[i], &tcp_sides[i], 0, 0);
		tcp_write(&tcps[i], 1000);
		tcp_peer_read(&tcps[i].peer, 1000);
		tcp_wait_acked(&tcps[i]);
		closing_add(&tcps[i], i == 0 ? NULL : &ending);
	}
	registrations = 0;
	for (int i = 0; i < 30; i++) {
		fail_at = 1;
		fail_with = ENOSPC;
		closing_later(10 * MS);
	}
	assert_in_range(registrations, 4, 30);
	fail_at = 0;
	assert_int_equal(closing.closer->open + (size_t)closing.told.count, 2);
	tcp_peer_close(&tcps[0].peer);
	closing_until(2);
	for (int i = 0; i < 2; i++) {
		int peer = closing.told.args[i] == &tcps[0] ? 0 : 1;

		assert_ending(&closing.told.ends[i],
			peer == 0 ? "ended: fin by peer in done" : "acked: timeout by self in drain");
		close(tcps[i].peer.go);
	}
	tcp_peer_close(&tcps[1].peer);
}

static int none_left(void **state)
{
	return closing_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making_one_fails_whole_or_not_at_all),
		cmocka_unit_test(without_a_descriptor_there_is_no_closer),
		cmocka_unit_test_teardown(what_cannot_be_kept_is_ended_at_once, none_left),
		cmocka_unit_test_teardown(what_cannot_be_registered_is_looked_at_by_time, none_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
