/* SPDX-License-Identifier: MIT */
/*
 * lb_close while the network fails under it: a network namespace of our own, whose loopback is taken down. Skipped
 * where nobody may make one.
 */
#include "lib/tcp.h"
#include "sock/ending.h"
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_loopback(bool up)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = up ? IFF_UP | IFF_RUNNING : 0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_return_code(fd, errno);
	assert_return_code(ioctl(fd, SIOCSIFFLAGS, &request), errno);
	close(fd);
}

static void wait_for_error(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_true((poll_fd.revents & POLLERR) != 0);
}

static int open_in_namespace(void **state)
{
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		*state = NULL;
		return 0;
	}
	set_loopback(true);
	return tcp_open(state);
}

static int close_in_namespace(void **state)
{
	return *state == NULL ? 0 : tcp_close(state);
}

/* Depending on family and kernel, what is sent is refused for want of a route, or just never arrives. */
static void a_network_that_is_gone_is_to_blame(void **state)
{
	char words[500];
	const struct lb_ending ending = {.last = words, .last_len = sizeof words};
	struct tcp *tcp = *state;
	struct lb_ending_run run;
	struct lb_outcome end;
	unsigned ms = 1;

	if (tcp == NULL)
		skip();
	tcp_pattern(words, 1000, sizeof words);
	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms), errno);
	lb_ending_start(&run, tcp->ours, &ending, 0, LB_NEVER);
	set_loopback(false);
	assert_false(lb_ending_step(&run, 0, &end));
	wait_for_error(tcp->ours);
	assert_true(lb_ending_step(&run, 0, &end));
	tcp->ours = -1;
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end.how, end.err == ETIMEDOUT ? LB_END_TIMEOUT : LB_END_NET_ERROR);
	assert_int_equal(end.by, LB_PARTY_NETWORK);
	assert_int_equal(end.phase, LB_PHASE_FLUSH);
	assert_counts(&end, 1500, 1000, 500);
}

/* What a dead route swallows before the call makes the kernel's sums wrong by itself: then nothing is made up. */
static void what_the_kernel_cannot_tell_is_not_made_up(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	unsigned ms = 1;

	if (tcp == NULL)
		skip();
	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	set_loopback(false);
	tcp_write(tcp, 500);
	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms), errno);
	assert_int_equal(tcp_end(tcp, NULL, LB_NEVER, &end), 0);
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end.by, LB_PARTY_NETWORK);
	assert_true(end.accepted == 1500 || end.accepted == LB_UNKNOWN);
	assert_true(end.acked == 1000 || end.acked == LB_UNKNOWN);
	assert_int_equal(end.lost, 500);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_network_that_is_gone_is_to_blame),
		ON_EVERY_SIDE(what_the_kernel_cannot_tell_is_not_made_up),
	};

	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		tests[i].setup_func = open_in_namespace;
		tests[i].teardown_func = close_in_namespace;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
