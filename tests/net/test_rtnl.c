/* SPDX-License-Identifier: MIT */
/* The devices of lab/rtnl.h: what the kernel refuses is said, and a device is waited for until it carries packets. */
#include "lab/rtnl.h"
#include "lab/link.h"
#include "lib/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static const struct link_options options = {.kind = LINK_VETH};

static struct link *make(void)
{
	char why[LINK_WHY];
	struct link *link;

	if (link_new(&options, &link, why) < 0) {
		print_message("# SKIP a link: %s\n", why);
		skip();
	}
	return link;
}

/* The namespace of an end. */
static int namespace_of(struct link *link, enum link_end end)
{
	int fd;

	assert_int_equal(link_enter(link, end), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	link_leave(link);
	return fd;
}

static void what_the_kernel_refuses_is_said(void **state)
{
	struct link *link = make();
	struct in_addr address = {.s_addr = htonl(0xc0000201)};
	int right = namespace_of(link, LINK_RIGHT);

	(void)state;
	assert_int_equal(link_enter(link, LINK_LEFT), 0);
	assert_int_equal(rtnl_veth("link0", right), -EEXIST);
	assert_int_equal(rtnl_veth("link1", -1), -EBADF);
	assert_int_equal(rtnl_up("none", 0), -ENODEV);
	assert_int_equal(rtnl_wait_running("none"), -ENODEV);
	assert_int_equal(rtnl_address("none", AF_INET, &address, 24), -ENODEV);
	assert_int_equal(rtnl_address("link0", AF_INET, &address, 24), -EEXIST);
	assert_int_equal(rtnl_address("link0", AF_INET, &address, 33), -EINVAL);
	link_leave(link);
	close(right);
	link_free(link);
}

struct waiter {
	struct link *link;
	_Atomic bool up, done;
	bool was_up;
	int result;
};

static void *wait_there(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = link_enter(waiter->link, LINK_LEFT);
	if (waiter->result == 0)
		waiter->result = rtnl_wait_running("link1");
	waiter->was_up = waiter->up;
	waiter->done = true;
	return NULL;
}

/* Its other end comes up while somebody waits, who must not be done before that, however long it takes. */
static void a_device_runs_once_its_other_end_is_up(void **state)
{
	struct link *link = make();
	struct waiter waiter = {.link = link};
	int right = namespace_of(link, LINK_RIGHT);
	pthread_t thread;

	(void)state;
	assert_int_equal(link_enter(link, LINK_LEFT), 0);
	assert_int_equal(rtnl_veth("link1", right), 0);
	assert_int_equal(rtnl_up("link1", 100), 0);
	link_leave(link);
	assert_int_equal(pthread_create(&thread, NULL, wait_there, &waiter), 0);
	for (int i = 0; i < 100 && !waiter.done; i++)
		poll(NULL, 0, 1);
	waiter.up = true;
	assert_int_equal(link_enter(link, LINK_RIGHT), 0);
	assert_int_equal(rtnl_up("link1", 100), 0);
	link_leave(link);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(waiter.result, 0);
	assert_true(waiter.was_up);
	close(right);
	link_free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_refuses_is_said),
		cmocka_unit_test(a_device_runs_once_its_other_end_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
