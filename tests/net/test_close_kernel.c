/* SPDX-License-Identifier: MIT */
/*
 * lb_close, while what the kernel says is old: getsockopt(2) is wrapped here, so that what can happen between two
 * instructions of the kernel happens every time. Over a link with a delay, so that a reset meets bytes in flight.
 * Skipped where nobody may make one.
 */
#include "lib/link.h"
#include "lib/tcp.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DELAY INT64_C(20000000)
#define CALLS 5 /* of getsockopt(TCP_INFO) that an ending which does not wait makes at most */

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

static struct link *link_;
static int calls_left; /* until the kernel is as slow as can be; 0: never */

/* The kernel takes the state before it takes the lock: here it waits for a reset in between. */
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	bool slow = level == IPPROTO_TCP && name == TCP_INFO && calls_left > 0 && --calls_left == 0;
	struct pollfd reset = {.fd = fd};
	socklen_t size = *len;
	unsigned char state;
	int result = __real_getsockopt(fd, level, name, value, len);

	if (!slow || result < 0)
		return result;
	memcpy(&state, value, sizeof state);
	poll(&reset, 1, 20000);
	*len = size;
	result = __real_getsockopt(fd, level, name, value, len);
	memcpy(value, &state, sizeof state);
	return result;
}

/* 50 bytes are acked, 100 are on their way, and meet a reset that is on its way, too. False: this took so long that they
 * may have met before. */
static bool reset_in_flight(struct tcp *tcp, const struct tcp_side *side)
{
	enum link_end from = side->accepting ? LINK_RIGHT : LINK_LEFT;
	lb_time before;
	int fds[2];

	assert_return_code(link_connect(link_, from, side->family, fds), errno);
	tcp_adopt(tcp, side, fds[0], fds[1]);
	tcp_write(tcp, 50);
	tcp_wait_acked(tcp);
	assert_true(tcp_peer_read(&tcp->peer, 50));
	before = lb_now();
	tcp_write(tcp, 100);
	tcp_peer_reset(&tcp->peer);
	return lb_now() - before < DELAY / 2;
}

static void a_reset_during_the_look_is_no_ack(void **state)
{
	const struct tcp_side *side = *state;

	if (link_ == NULL)
		skip();
	for (int policy = 0; policy <= LB_POLICY_ABORT; policy++) {
		for (int call = 1; call <= CALLS; call++) {
			const struct lb_ending ending = {.policy = (enum lb_policy)policy};
			struct lb_outcome end;
			struct tcp tcp;

			while (!reset_in_flight(&tcp, side))
				tcp_release(&tcp);
			calls_left = call;
			assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(20000), &end), 0);
			calls_left = 0;
			tcp_release(&tcp);
			assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
			assert_true(
				end.how == LB_END_RST || end.lost == LB_UNKNOWN || policy == LB_POLICY_ABORT);
			assert_true(end.lost == 100 || end.lost == LB_UNKNOWN);
			assert_int_equal(end.accepted, 150);
			assert_int_equal(end.acked, 50);
		}
	}
}

int main(void)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = DELAY};
	char why[LINK_WHY];
	struct CMUnitTest tests[] = {
		ON_SIDE(0, "IPv4, connecting", a_reset_during_the_look_is_no_ack),
		ON_SIDE(3, "IPv6, accepting", a_reset_during_the_look_is_no_ack),
	};
	int failed;

	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
		tests[i].setup_func = tests[i].teardown_func = NULL;
	if (link_new(&options, &link_, why) < 0)
		printf("# SKIP a link: %s\n", why);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	link_free(link_);
	return failed;
}
