/* SPDX-License-Identifier: MIT */
/* lb_send_message and lb_nodelay: what arrives, in how many segments, and what a caller is told. */
#include "lib/message.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void a_message_in_parts_arrives_whole_and_in_one_segment(void **state)
{
	struct tcp *tcp = *state;

	assert_int_equal(message_send(tcp, 3120, 7, MESSAGE_SOON), 0);
	assert_int_equal(message_held(tcp), 0);
	assert_int_equal(message_segments(tcp), 1);
	message_finish(tcp);
}

static void more_parts_than_one_call_takes_are_one_segment_too(void **state)
{
	struct tcp *tcp = *state;

	assert_int_equal(message_send(tcp, 5 * IOV_MAX, 3 * IOV_MAX + 5, MESSAGE_SOON), 0);
	assert_int_equal(message_held(tcp), 0);
	assert_int_equal(message_segments(tcp), 1);
	message_finish(tcp);
}

static void empty_parts_are_no_message(void **state)
{
	static const struct iovec empty[2 * IOV_MAX];
	struct tcp *tcp = *state;
	size_t sent = 1;

	assert_int_equal(lb_send_message(tcp->ours, NULL, 0, MESSAGE_SOON, &sent), 0);
	assert_int_equal(sent, 0);
	sent = 1;
	assert_int_equal(lb_send_message(tcp->ours, empty, 2 * IOV_MAX, MESSAGE_SOON, &sent), 0);
	assert_int_equal(sent, 0);
	assert_int_equal(message_segments(tcp), 0);
	message_finish(tcp);
}

static void reads_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
}

static void what_the_queue_has_no_room_for_is_waited_with(void **state)
{
	struct tcp *tcp = *state;

	tcp_stuff(tcp);
	tcp_play(tcp, reads_when_told);
	tcp_go(tcp);
	assert_int_equal(message_send(tcp, 16 << 20, 13, MESSAGE_SOON), 0);
	message_finish(tcp);
}

static void a_non_blocking_socket_is_waited_for_as_well(void **state)
{
	struct tcp *tcp = *state;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	tcp_play(tcp, reads_when_told);
	tcp_go(tcp);
	assert_int_equal(message_send(tcp, 16 << 20, 2 * IOV_MAX, MESSAGE_SOON), 0);
	message_finish(tcp);
}

static void at_the_deadline_the_caller_knows_where_to_go_on(void **state)
{
	struct tcp *tcp = *state;

	assert_int_equal(message_send(tcp, 64 << 20, 1500, lb_in_ms(30)), -EAGAIN);
	assert_true(tcp->written > 0);
	assert_int_equal(message_send(tcp, 1 << 20, 3, lb_now() - 1), -EAGAIN);
	tcp_play(tcp, reads_when_told);
	tcp_go(tcp);
	assert_int_equal(message_send(tcp, 1 << 20, 1500, MESSAGE_SOON), 0);
	message_finish(tcp);
}

static void a_deadline_that_has_passed_sends_what_there_is_room_for(void **state)
{
	struct tcp *tcp = *state;

	assert_int_equal(message_send(tcp, 3120, 7, 0), 0);
	assert_int_equal(message_held(tcp), 0);
	message_finish(tcp);
}

static void nodelay_is_afterwards_what_it_was(void **state)
{
	struct tcp *tcp = *state;

	for (int on = 0; on <= 1; on++) {
		message_set_option(tcp, TCP_NODELAY, on);
		assert_int_equal(message_send(tcp, 3000, 7, MESSAGE_SOON), 0);
		assert_int_equal(message_option(tcp, TCP_NODELAY), on);
		{
			LB_CORKED(cork, tcp->ours, MESSAGE_SOON);
			assert_int_equal(message_hold(tcp, &cork, 10), 0);
		}
		assert_int_equal(message_option(tcp, TCP_NODELAY), on);
	}
	message_set_option(tcp, TCP_NODELAY, 0);
	assert_int_equal(message_send(tcp, 64 << 20, 7, 0), -EAGAIN);
	assert_int_equal(message_option(tcp, TCP_NODELAY), 0);
	message_finish(tcp);
}

static volatile sig_atomic_t signals;
static pthread_t caller;

static void count(int signal)
{
	(void)signal;
	signals++;
}

static void interrupts_all_the_while(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	for (int i = 0; i < 300; i++) {
		pthread_kill(caller, SIGUSR1);
		tcp_peer_read(peer, 4096);
	}
	tcp_peer_read_all(peer);
}

static void signals_change_nothing(void **state)
{
	struct sigaction action = {.sa_handler = count}, before;
	struct tcp *tcp = *state;

	caller = pthread_self();
	signals = 0;
	assert_return_code(sigaction(SIGUSR1, &action, &before), errno);
	tcp_play(tcp, interrupts_all_the_while);
	tcp_stuff(tcp);
	tcp_go(tcp);
	assert_int_equal(message_send(tcp, 16 << 20, 7, MESSAGE_SOON), 0);
	message_finish(tcp);
	assert_return_code(sigaction(SIGUSR1, &before, NULL), errno);
	assert_true(signals > 0);
}

static void a_broken_connection_is_an_error_and_no_signal(void **state)
{
	struct sigaction action = {.sa_handler = count}, before;
	struct tcp *tcp = *state;

	signals = 0;
	assert_return_code(sigaction(SIGPIPE, &action, &before), errno);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(message_send(tcp, 3000, 7, MESSAGE_SOON), -ECONNRESET);
	assert_int_equal(tcp->written, 0);
	assert_int_equal(message_send(tcp, 3000, 7, MESSAGE_SOON), -EPIPE);
	assert_int_equal(tcp->written, 0);
	assert_return_code(sigaction(SIGPIPE, &before, NULL), errno);
	assert_int_equal(signals, 0);
}

static void resets_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_reset(peer);
}

static void a_connection_that_breaks_is_not_waited_for(void **state)
{
	struct tcp *tcp = *state;

	tcp_stuff(tcp);
	tcp_play(tcp, resets_when_told);
	tcp_go(tcp);
	assert_int_equal(message_send(tcp, 64 << 20, 7, LB_NEVER), -ECONNRESET);
}

static void our_own_end_is_epipe(void **state)
{
	struct tcp *tcp = *state;

	assert_int_equal(message_send(tcp, 1000, 7, MESSAGE_SOON), 0);
	message_finish(tcp);
	assert_int_equal(message_send(tcp, 1000, 7, MESSAGE_SOON), -EPIPE);
	assert_int_equal(tcp->written, 1000);
}

static void refused(int fd, int error)
{
	const struct iovec iov = {.iov_base = "byte", .iov_len = 4};
	struct lb_cork cork = lb_cork(fd, MESSAGE_SOON);
	size_t sent = 1;

	assert_int_equal(lb_send_message(fd, &iov, 1, MESSAGE_SOON, &sent), error);
	assert_int_equal(sent, 0);
	sent = 1;
	assert_int_equal(lb_cork_send(&cork, &iov, 1, MESSAGE_SOON, &sent), error);
	assert_int_equal(sent, 0);
	assert_true(lb_cork_deadline(&cork) == LB_NEVER);
	lb_uncork(&cork);
	if (error != -EPIPE) {
		assert_int_equal(lb_nodelay(fd, true), error);
		assert_int_equal(lb_send_message(fd, NULL, 0, MESSAGE_SOON, &sent), error);
	}
	if (error != -EBADF)
		assert_return_code(close(fd), errno);
}

static void what_cannot_be_sent_on_is_refused(void **state)
{
	int fds[2], closed = dup(STDERR_FILENO);

	(void)state;
	close(closed);
	refused(closed, -EBADF);
	refused(-1, -EBADF);
	assert_return_code(pipe(fds), errno);
	refused(fds[1], -ENOTSOCK);
	close(fds[0]);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), errno);
	refused(fds[0], -EOPNOTSUPP);
	close(fds[1]);
	refused(socket(AF_INET, SOCK_DGRAM, 0), -EOPNOTSUPP);
	refused(socket(AF_INET6, SOCK_DGRAM, 0), -EOPNOTSUPP);
	refused(socket(AF_INET, SOCK_STREAM, 0), -EPIPE);
	refused(socket(AF_INET6, SOCK_STREAM, 0), -EPIPE);
}

static void what_comes_before_a_bad_part_is_counted(void **state)
{
	struct tcp *tcp = *state;
	struct iovec *iov = calloc(IOV_MAX + 1, sizeof *iov);
	void *nothing = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t sent = 1;

	assert_non_null(iov);
	assert_ptr_not_equal(nothing, MAP_FAILED);
	assert_int_equal(lb_send_message(tcp->ours, iov, -1, MESSAGE_SOON, &sent), -EINVAL);
	assert_int_equal(sent, 0);
	iov[0] = (struct iovec){.iov_base = nothing, .iov_len = 1};
	assert_int_equal(lb_send_message(tcp->ours, iov, 1, MESSAGE_SOON, &sent), -EFAULT);
	assert_int_equal(sent, 0);
	message_deafen(tcp);
	tcp_write(tcp, 1);
	for (int i = 0; i < IOV_MAX; i++)
		iov[i] = (struct iovec){.iov_base = "x", .iov_len = 1};
	iov[IOV_MAX] = (struct iovec){.iov_base = nothing, .iov_len = 1};
	assert_int_equal(lb_send_message(tcp->ours, iov, IOV_MAX + 1, MESSAGE_SOON, &sent), -EFAULT);
	assert_int_equal(sent, IOV_MAX);
	assert_int_equal(message_held(tcp), 0);
	iov[IOV_MAX].iov_len = SIZE_MAX;
	assert_int_equal(lb_send_message(tcp->ours, iov, IOV_MAX + 1, MESSAGE_SOON, &sent), -EINVAL);
	assert_int_equal(sent, IOV_MAX);
	assert_int_equal(message_held(tcp), 0);
	assert_return_code(munmap(nothing, 1), errno);
	free(iov);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_message_in_parts_arrives_whole_and_in_one_segment),
		ON_EVERY_SIDE(more_parts_than_one_call_takes_are_one_segment_too),
		ON_EVERY_SIDE(empty_parts_are_no_message),
		ON_EVERY_SIDE(what_the_queue_has_no_room_for_is_waited_with),
		ON_EVERY_SIDE(a_non_blocking_socket_is_waited_for_as_well),
		ON_EVERY_SIDE(at_the_deadline_the_caller_knows_where_to_go_on),
		ON_EVERY_SIDE(a_deadline_that_has_passed_sends_what_there_is_room_for),
		ON_EVERY_SIDE(nodelay_is_afterwards_what_it_was),
		ON_EVERY_SIDE(signals_change_nothing),
		ON_EVERY_SIDE(a_broken_connection_is_an_error_and_no_signal),
		ON_EVERY_SIDE(a_connection_that_breaks_is_not_waited_for),
		ON_EVERY_SIDE(our_own_end_is_epipe),
		cmocka_unit_test(what_cannot_be_sent_on_is_refused),
		ON_EVERY_SIDE(what_comes_before_a_bad_part_is_counted),
	};

	return cmocka_run_group_tests(tests, message_network, NULL);
}
