/* SPDX-License-Identifier: MIT */
/* lb_read_all: what is a true end of a stream, and what only looks like one. */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SIZE 1000000

#ifndef TCP_INQ
#define TCP_INQ 36
#endif

static char buf[SIZE + 1];
static size_t len;

static int read_all(struct tcp *tcp, size_t cap, lb_time deadline, struct lb_outcome *outcomep)
{
	memset(buf, 0xff, sizeof buf);
	len = SIZE_MAX;
	return lb_read_all(tcp->ours, buf, cap, &len, deadline, outcomep);
}

static void assert_pattern(uint64_t offset, size_t count)
{
	char *wanted = malloc(count + 1);

	assert_non_null(wanted);
	tcp_pattern(wanted, offset, count);
	assert_int_equal(len, count);
	assert_memory_equal(buf, wanted, count);
	free(wanted);
}

/* The peer's bytes, from the test itself: they fit into the queues. */
static void peer_sends(struct tcp *tcp, uint64_t offset, size_t count)
{
	char *bytes = malloc(count);

	assert_non_null(bytes);
	tcp_pattern(bytes, offset, count);
	assert_int_equal(send(tcp->peer.fd, bytes, count, MSG_NOSIGNAL), count);
	free(bytes);
}

static void wait_for(struct tcp *tcp, short event)
{
	struct pollfd poll_fd = {.fd = tcp->ours, .events = event};

	do
		assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	while ((poll_fd.revents & event) == 0);
}

static void sends_a_pattern(struct tcp_peer *peer)
{
	char *bytes = malloc(SIZE);

	tcp_pattern(bytes, 0, SIZE);
	for (size_t at = 0; at < SIZE;) {
		ssize_t n = send(peer->fd, bytes + at, SIZE - at, MSG_NOSIGNAL);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	free(bytes);
	tcp_peer_close(peer);
}

static void a_stream_that_ends_is_read_to_its_end(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_play(tcp, sends_a_pattern);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_pattern(0, SIZE);
	assert_ending(&seen, "nothing: fin by peer in data");
	assert_counts(&seen, 0, 0, 0);
	assert_int_equal(seen.err, 0);
}

static void a_socket_that_does_not_block_is_waited_for(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	tcp_play(tcp, sends_a_pattern);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_pattern(0, SIZE);
}

static void what_we_sent_before_is_counted(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_write(tcp, 5000);
	tcp_wait_acked(tcp);
	tcp_peer_read(&tcp->peer, 5000);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_ending(&seen, "acked: fin by peer in data");
	assert_counts(&seen, 5000, 5000, 0);
	shutdown(tcp->ours, SHUT_WR);
	tcp_peer_read_all(&tcp->peer);
	tcp_wait_acked(tcp);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_ending(&seen, "acked: fin by peer in done");
	assert_counts(&seen, 5000, 5000, 0);
}

static void a_stream_that_just_fits_is_whole(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_play(tcp, sends_a_pattern);
	assert_int_equal(read_all(tcp, SIZE, lb_in_ms(20000), &seen), 0);
	assert_pattern(0, SIZE);
}

static void one_byte_too_many_is_told_and_stays_where_it_is(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_play(tcp, sends_a_pattern);
	assert_int_equal(read_all(tcp, SIZE - 1, lb_in_ms(20000), &seen), -EMSGSIZE);
	assert_pattern(0, SIZE - 1);
	assert_ending(&seen, "nothing: open by none in data");
	assert_int_equal(seen.err, 0);
	assert_int_equal(read_all(tcp, 1, lb_in_ms(20000), &seen), 0);
	assert_pattern(SIZE - 1, 1);
}

static void without_room_only_an_empty_stream_fits(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	peer_sends(tcp, 0, 1);
	assert_int_equal(lb_read_all(tcp->ours, NULL, 0, &len, lb_in_ms(20000), &seen), -EMSGSIZE);
	assert_int_equal(len, 0);
	assert_int_equal(read_all(tcp, 1, lb_in_ms(1), &seen), -ETIMEDOUT);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(lb_read_all(tcp->ours, NULL, 0, &len, lb_in_ms(20000), &seen), 0);
	assert_int_equal(len, 0);
}

static void a_reset_stream_is_cut(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	peer_sends(tcp, 0, 10000);
	tcp_peer_reset(&tcp->peer);
	wait_for(tcp, POLLERR);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), -ECONNRESET);
	assert_pattern(0, 10000);
	assert_ending(&seen, "nothing: rst by peer in data");
	assert_int_equal(seen.err, ECONNRESET);
	/* the error has been told: from here on recv(2) returns 0 */
	assert_int_equal(recv(tcp->ours, buf, 1, 0), 0);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), -ECONNRESET);
	assert_int_equal(len, 0);
	assert_ending(&seen, "nothing: rst by peer in data");
	assert_int_equal(seen.err, 0);
}

static void a_reset_stream_is_cut_though_its_error_was_taken(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;
	socklen_t size = sizeof(int);
	int error;

	peer_sends(tcp, 0, 10000);
	tcp_peer_reset(&tcp->peer);
	wait_for(tcp, POLLERR);
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_ERROR, &error, &size), errno);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), -ECONNRESET);
	assert_pattern(0, 10000);
	assert_ending(&seen, "nothing: rst by peer in data");
}

static void a_reset_stream_is_cut_though_a_send_took_its_error(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_peer_reset(&tcp->peer);
	wait_for(tcp, POLLERR);
	assert_int_equal(send(tcp->ours, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), -ECONNRESET);
	assert_int_equal(len, 0);
	assert_ending(&seen, "nothing: rst by peer in data");
}

/* The peer ends its stream and then closes with bytes of ours unread, which resets. Its own stream was complete. */
static void a_reset_after_the_end_takes_nothing_from_it(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	tcp_write(tcp, 5000);
	tcp_wait_acked(tcp);
	peer_sends(tcp, 0, 10000);
	shutdown(tcp->peer.fd, SHUT_WR);
	wait_for(tcp, POLLRDHUP);
	tcp_peer_close(&tcp->peer);
	wait_for(tcp, POLLHUP);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_pattern(0, 10000);
	assert_counts(&seen, 5000, 5000, 0);
}

static void at_the_deadline_what_has_come_is_there_and_the_rest_can_be_read(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	peer_sends(tcp, 0, 10000);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20), &seen), -ETIMEDOUT);
	assert_pattern(0, 10000);
	assert_ending(&seen, "nothing: timeout by self in data");
	assert_int_equal(seen.err, 0);
	peer_sends(tcp, 10000, 10000);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	assert_pattern(10000, 10000);
}

static void what_is_there_is_whole_also_after_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	peer_sends(tcp, 0, 10000);
	tcp_peer_close(&tcp->peer);
	wait_for(tcp, POLLRDHUP);
	assert_int_equal(read_all(tcp, sizeof buf, 0, &seen), 0);
	assert_pattern(0, 10000);
}

static void our_own_shutdown_is_no_end_of_the_peers(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	peer_sends(tcp, 0, 100);
	wait_for(tcp, POLLIN);
	shutdown(tcp->ours, SHUT_RD);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), -ECONNRESET);
	assert_pattern(0, 100);
	assert_ending(&seen, "nothing: local_abort by self in data");
}

static void nothing_of_the_socket_is_changed(void **state)
{
	struct tcp *tcp = *state;
	struct linger linger = {.l_onoff = 1, .l_linger = 7};
	socklen_t size = sizeof linger;
	struct lb_outcome seen;
	int on = 1;

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), errno);
	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, TCP_INQ, &on, sizeof on), errno);
	tcp_peer_close(&tcp->peer);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20000), &seen), 0);
	memset(&linger, 0, sizeof linger);
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_LINGER, &linger, &size), errno);
	assert_int_equal(linger.l_onoff, 1);
	assert_int_equal(linger.l_linger, 7);
	on = 0;
	size = sizeof on;
	assert_return_code(getsockopt(tcp->ours, IPPROTO_TCP, TCP_INQ, &on, &size), errno);
	assert_int_equal(on, 1);
}

static void strikes(int number)
{
	(void)number;
}

static void a_signal_neither_ends_nor_cuts(void **state)
{
	const struct itimerval often = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500}, never = {0};
	struct sigaction action = {.sa_handler = strikes}, before;
	struct tcp *tcp = *state;
	struct lb_outcome seen;

	assert_return_code(sigaction(SIGALRM, &action, &before), errno);
	assert_return_code(setitimer(ITIMER_REAL, &often, NULL), errno);
	peer_sends(tcp, 0, 10000);
	assert_int_equal(read_all(tcp, sizeof buf, lb_in_ms(20), &seen), -ETIMEDOUT);
	assert_pattern(0, 10000);
	assert_return_code(setitimer(ITIMER_REAL, &never, NULL), errno);
	assert_return_code(sigaction(SIGALRM, &before, NULL), errno);
}

static void refused(int fd, int error)
{
	struct lb_outcome seen;

	len = 7;
	assert_int_equal(lb_read_all(fd, buf, sizeof buf, &len, LB_NEVER, &seen), error);
	assert_int_equal(len, 0);
	assert_ending(&seen, "nothing: no_connection by none in connect");
	assert_int_equal(seen.err, -error);
	if (error != -EBADF)
		assert_int_equal(close(fd), 0);
}

static void what_is_no_connection_is_told_and_left_open(void **state)
{
	(void)state;
	tcp_each_no_connection(refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_stream_that_ends_is_read_to_its_end),
		ON_EVERY_SIDE(a_socket_that_does_not_block_is_waited_for),
		ON_EVERY_SIDE(what_we_sent_before_is_counted),
		ON_EVERY_SIDE(a_stream_that_just_fits_is_whole),
		ON_EVERY_SIDE(one_byte_too_many_is_told_and_stays_where_it_is),
		ON_EVERY_SIDE(without_room_only_an_empty_stream_fits),
		ON_EVERY_SIDE(a_reset_stream_is_cut),
		ON_EVERY_SIDE(a_reset_stream_is_cut_though_its_error_was_taken),
		ON_EVERY_SIDE(a_reset_stream_is_cut_though_a_send_took_its_error),
		ON_EVERY_SIDE(a_reset_after_the_end_takes_nothing_from_it),
		ON_EVERY_SIDE(at_the_deadline_what_has_come_is_there_and_the_rest_can_be_read),
		ON_EVERY_SIDE(what_is_there_is_whole_also_after_the_deadline),
		ON_EVERY_SIDE(our_own_shutdown_is_no_end_of_the_peers),
		ON_EVERY_SIDE(nothing_of_the_socket_is_changed),
		ON_EVERY_SIDE(a_signal_neither_ends_nor_cuts),
		cmocka_unit_test(what_is_no_connection_is_told_and_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
