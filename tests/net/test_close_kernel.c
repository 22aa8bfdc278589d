/* SPDX-License-Identifier: MIT */
/*
 * lb_close, while what the kernel says is old, or it says nothing (seccomp, an emulator, an old kernel). The calls that
 * ask it are wrapped here, so that what can happen between two instructions of the kernel happens every time. For that
 * there is a link with a delay, so that a reset meets bytes in flight; skipped where nobody may make one.
 */
#include "lab/link.h"
#include "lib/tcp.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define DELAY INT64_C(20000000)
#define CALLS 5 /* of getsockopt(TCP_INFO) that an ending which does not wait makes at most */

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

static struct link *link_;
static int calls_left; /* until the kernel is as slow as can be; 0: never */
static struct {
	bool outq, zerocopy, inq;
} missing; /* SIOCOUTQ, TCP_ZEROCOPY_RECEIVE, TCP_INQ */

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	if (request != SIOCOUTQ || !missing.outq)
		return __real_ioctl(fd, request, arg);
	errno = EPERM;
	return -1;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level != IPPROTO_TCP || name != TCP_INQ || !missing.inq)
		return __real_setsockopt(fd, level, name, value, len);
	errno = ENOPROTOOPT;
	return -1;
}

/* The kernel takes the state before it takes the lock: here it waits for a reset in between. */
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	bool slow = level == IPPROTO_TCP && name == TCP_INFO && calls_left > 0 && --calls_left == 0;
	struct pollfd reset = {.fd = fd};
	socklen_t size = *len;
	unsigned char state;
	int result;

	if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && missing.zerocopy) {
		errno = ENOPROTOOPT;
		return -1;
	}
	result = __real_getsockopt(fd, level, name, value, len);
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

static int open_again(void **state)
{
	memset(&missing, 0, sizeof missing);
	return tcp_open(state);
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_queue_that_nobody_may_look_at_is_not_counted(void **state)
{
	struct tcp *given = *state;

	for (int policy = 0; policy <= LB_POLICY_ABORT; policy++) {
		const struct lb_ending ending = {.policy = (enum lb_policy)policy};
		struct lb_outcome end;
		struct tcp tcp;

		tcp_connect(&tcp, given->side, 0, 0);
		tcp_write(&tcp, 1000);
		missing.outq = true;
		assert_int_equal(tcp_end(&tcp, &ending, lb_in_ms(100), &end), 0);
		missing.outq = false;
		tcp_peer_read_all(&tcp.peer);
		tcp_release(&tcp);
		assert_true(end.accepted == 1000 || end.accepted == LB_UNKNOWN);
		assert_true(end.acked <= 1000 || end.acked == LB_UNKNOWN);
		assert_true(end.lost <= 1000 || end.lost == LB_UNKNOWN);
		/* our FIN was acked: that is seen without it */
		if (policy == LB_POLICY_DRAIN)
			assert_ending(&end, "acked: timeout by self in drain");
		if (policy == LB_POLICY_ACKED)
			assert_ending(&end, "acked: detached by self in drain");
	}
}

/* The peer's FIN was received: how is known, that its kernel has everything is not. */
static void an_end_is_no_reset_because_a_count_is_missing(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	tcp_play(tcp, reads_all);
	missing.outq = true;
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	missing.outq = false;
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_int_equal(end.how, LB_END_FIN);
	assert_int_equal(end.by, LB_PARTY_PEER);
	assert_int_not_equal(end.phase, LB_PHASE_DONE);
	assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
	assert_int_equal(end.lost, LB_UNKNOWN);
}

static void an_end_is_told_from_a_reset_without_zero_copy(void **state)
{
	struct tcp *tcp = *state;
	int fd = tcp->ours, on = -1;
	socklen_t len = sizeof on;
	struct lb_outcome end;
	size_t got;

	missing.zerocopy = true;
	tcp_write(tcp, 1000);
	tcp_peer_read(&tcp->peer, 1000);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(lb_read_all(fd, NULL, 0, &got, lb_in_ms(20000), &end), 0);
	assert_int_equal(end.how, LB_END_FIN);
	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, &len), errno);
	assert_int_equal(on, 0);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 1000, 1000, 0);
}

/* What broke it has been told to somebody else. */
static void take_reset(struct tcp *tcp)
{
	struct pollfd reset = {.fd = tcp->ours};
	socklen_t len = sizeof(int);
	int error;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&reset, 1, 20000), 1);
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_ERROR, &error, &len), errno);
	assert_int_equal(error, ECONNRESET);
}

static void a_reset_is_told_from_an_end_without_zero_copy(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	size_t got;

	missing.zerocopy = true;
	take_reset(tcp);
	assert_int_equal(lb_read_all(tcp->ours, NULL, 0, &got, lb_in_ms(20000), &end), -ECONNRESET);
	assert_int_equal(end.how, LB_END_RST);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_ending(&end, "acked: rst by peer in data");
}

/* Then an end may be none: it is never called whole, and nobody is blamed. */
static void where_nothing_tells_an_end_from_a_reset_it_is_neither(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;
	size_t got;

	missing.zerocopy = missing.inq = true;
	tcp_write(tcp, 1000);
	tcp_peer_read(&tcp->peer, 1000);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(lb_read_all(tcp->ours, NULL, 0, &got, lb_in_ms(20000), &end), -ECONNRESET);
	assert_int_equal(end.how, LB_END_NET_ERROR);
	assert_int_equal(end.by, LB_PARTY_NONE);
	assert_int_equal(end.err, ENOSYS);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_ending(&end, "acked: net_error by none in drain");
	assert_int_equal(end.err, ENOSYS);
	assert_counts(&end, 1000, 1000, 0);
}

static void a_reset_may_be_told_where_an_end_is_not(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd reset = {.fd = tcp->ours};
	struct lb_outcome end;

	missing.zerocopy = missing.inq = true;
	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&reset, 1, 20000), 1);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_ending(&end, "acked: rst by peer in data");
	assert_int_equal(end.err, ECONNRESET);
}

int main(void)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = DELAY};
	char why[LINK_WHY];
	struct CMUnitTest tests[] = {
		ON_SIDE(0, "IPv4, connecting", a_reset_during_the_look_is_no_ack),
		ON_SIDE(3, "IPv6, accepting", a_reset_during_the_look_is_no_ack),
		ON_EVERY_SIDE(a_queue_that_nobody_may_look_at_is_not_counted),
		ON_EVERY_SIDE(an_end_is_no_reset_because_a_count_is_missing),
		ON_EVERY_SIDE(an_end_is_told_from_a_reset_without_zero_copy),
		ON_EVERY_SIDE(a_reset_is_told_from_an_end_without_zero_copy),
		ON_EVERY_SIDE(where_nothing_tells_an_end_from_a_reset_it_is_neither),
		ON_EVERY_SIDE(a_reset_may_be_told_where_an_end_is_not),
	};
	int failed;

	for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		if (tests[i].test_func == a_reset_during_the_look_is_no_ack)
			tests[i].setup_func = tests[i].teardown_func = NULL;
		else
			tests[i].setup_func = open_again;
	}
	if (link_new(&options, &link_, why) < 0)
		printf("# SKIP a link: %s\n", why);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	link_free(link_);
	return failed;
}
