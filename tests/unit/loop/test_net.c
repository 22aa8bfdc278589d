/* SPDX-License-Identifier: MIT */
/* The real network, over loopback. */
#include "net_fixture.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>

static ssize_t send_text(int fd, const char *text)
{
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text)};

	return NET->send(HOST, fd, &iov, 1);
}

static void assert_prepared(int fd)
{
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void assert_sends_at_once(int fd)
{
	int on = 0;
	socklen_t len = sizeof on;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_true(on);
}

static void every_socket_is_prepared(void **state)
{
	struct lb_endpoint bound;
	int listener = new_listener(&bound), client = connect_to(&bound), server = accept_from(listener);

	(void)state;
	assert_prepared(listener);
	assert_prepared(client);
	assert_prepared(server);
	assert_sends_at_once(client);
	assert_sends_at_once(server);
	NET->unlisten(HOST, listener);
	close(client);
	close(server);
}

static void accept_names_the_peer_and_then_nobody(void **state)
{
	struct lb_endpoint bound, peer, own = {.len = sizeof own.addr};
	int listener = new_listener(&bound), client, server;

	(void)state;
	assert_int_equal(NET->accept(HOST, listener, &peer), -EAGAIN);
	client = connect_to(&bound);
	assert_int_equal(NET->wait(HOST, listener, EPOLLIN, -1, -1, PATIENCE), 1);
	server = NET->accept(HOST, listener, &peer);
	assert_true(server >= 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&own.addr, &own.len), 0);
	assert_int_equal(peer.len, own.len);
	assert_memory_equal(&peer.addr, &own.addr, own.len);
	assert_int_equal(NET->accept(HOST, listener, &peer), -EAGAIN);
	NET->unlisten(HOST, listener);
	close(client);
	close(server);
}

static void a_connection_that_was_reset_hides_none_behind_it(void **state)
{
	struct lb_endpoint bound, peer;
	int listener = new_listener(&bound), client, dead, server;
	char byte;

	(void)state;
	reset(connect_to(&bound));
	client = connect_to(&bound);
	dead = accept_from(listener);
	server = accept_from(listener);
	assert_int_equal(NET->recv(HOST, dead, &byte, 1), -ECONNRESET);
	assert_int_equal(NET->recv(HOST, server, &byte, 1), -EAGAIN);
	assert_int_equal(NET->accept(HOST, listener, &peer), -EAGAIN);
	NET->unlisten(HOST, listener);
	close(client);
	close(dead);
	close(server);
}

static void a_port_that_is_taken_is_told(void **state)
{
	struct lb_endpoint bound, again;
	int listener = new_listener(&bound);

	(void)state;
	assert_int_equal(NET->listen(HOST, &bound, &again), -EADDRINUSE);
	NET->unlisten(HOST, listener);
}

/* Listens at a port that a connection in TIME_WAIT has still. */
static int listen_again(void)
{
	struct lb_endpoint bound, again;
	int listener = new_listener(&bound), client = connect_to(&bound), server = accept_from(listener);
	char byte;

	close(server); /* its end is the first one, so that its port is in TIME_WAIT */
	assert_int_equal(NET->wait(HOST, client, EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, client, &byte, 1), 0);
	close(client);
	NET->unlisten(HOST, listener);
	return NET->listen(HOST, &bound, &again);
}

static void a_port_can_be_listened_at_again_in_spite_of_time_wait(void **state)
{
	int listener = -1;

	(void)state;
	/* once is enough, but somebody else may take the port in between */
	for (int i = 0; i < 5 && listener < 0; i++)
		listener = listen_again();
	assert_true(listener >= 0);
	NET->unlisten(HOST, listener);
}

static void a_listener_for_ipv6_leaves_the_ipv4_port_alone(void **state)
{
	struct lb_endpoint any = {.len = sizeof(struct sockaddr_in6)}, bound, four;
	struct sockaddr_in *in = (struct sockaddr_in *)&four.addr;
	int six, listener;

	(void)state;
	any.addr.ss_family = AF_INET6; /* [::]:0 */
	six = NET->listen(HOST, &any, &bound);
	if (six == -EAFNOSUPPORT || six == -EADDRNOTAVAIL)
		skip();
	assert_true(six >= 0);
	four = loopback(lb_endpoint_port(&bound));
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000); /* 127.1.0.1: nobody else binds that */
	listener = NET->listen(HOST, &four, &bound);
	assert_true(listener >= 0);
	NET->unlisten(HOST, listener);
	NET->unlisten(HOST, six);
}

static void a_refused_connect_is_told_every_time_one_asks(void **state)
{
	struct lb_endpoint endpoint = loopback(0);
	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	(void)state;
	/* bound, so that nobody else gets the port, but not listening */
	assert_int_equal(bind(taken, (struct sockaddr *)&endpoint.addr, endpoint.len), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&endpoint.addr, &endpoint.len), 0);
	fd = NET->connect(HOST, &endpoint);
	assert_true(fd >= 0);
	assert_int_equal(NET->wait(HOST, fd, EPOLLOUT, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->connected(HOST, fd), -ECONNREFUSED);
	assert_int_equal(NET->connected(HOST, fd), -ENOTCONN);
	close(fd);
	close(taken);
}

static void a_connect_under_way_is_in_progress(void **state)
{
	struct lb_endpoint bound = loopback(0);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[3];

	(void)state;
	/* a queue for one: the SYNs after it are dropped */
	assert_int_equal(bind(listener, (struct sockaddr *)&bound.addr, bound.len), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&bound.addr, &bound.len), 0);
	for (int i = 0; i < 3; i++)
		assert_true((fds[i] = NET->connect(HOST, &bound)) >= 0);
	assert_int_equal(NET->connected(HOST, fds[2]), -EINPROGRESS);
	assert_int_equal(NET->wait(HOST, fds[2], EPOLLOUT, -1, -1, lb_in_ms(2)), 0);
	assert_int_equal(NET->connected(HOST, fds[2]), -EINPROGRESS);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(listener);
}

static void a_socket_connected_to_itself_is_refused(void **state)
{
	struct lb_endpoint own = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&own.addr, own.len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own.addr, &own.len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&own.addr, own.len), 0);
	assert_int_equal(NET->connected(HOST, fd), -ECONNREFUSED);
	close(fd);
}

static void an_endpoint_that_cannot_be_is_an_error(void **state)
{
	struct lb_endpoint endpoint = loopback(1), bound;
	struct sockaddr_in *in = (struct sockaddr_in *)&endpoint.addr;

	(void)state;
	in->sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, for documentation: RFC 5737 */
	in->sin_port = 0;
	assert_int_equal(NET->listen(HOST, &endpoint, &bound), -EADDRNOTAVAIL);
	endpoint.len = 1;
	assert_int_equal(NET->connect(HOST, &endpoint), -EINVAL);
	endpoint.addr.ss_family = AF_MAX;
	assert_int_equal(NET->connect(HOST, &endpoint), -EAFNOSUPPORT);
	assert_int_equal(NET->listen(HOST, &endpoint, &bound), -EAFNOSUPPORT);
}

static void resolve_has_a_default_port(void **state)
{
	struct lb_endpoint endpoints[4];
	const char *why = NULL;

	(void)state;
	assert_int_equal(NET->resolve(HOST, "127.0.0.1", endpoints, 4, &why), 1);
	assert_int_equal(lb_endpoint_port(&endpoints[0]), 7117);
	assert_int_equal(NET->resolve(HOST, "127.0.0.1:99", endpoints, 4, &why), 1);
	assert_int_equal(lb_endpoint_port(&endpoints[0]), 99);
	assert_int_equal(NET->resolve(HOST, "127.0.0.1:99999", endpoints, 4, &why), -EINVAL);
	assert_non_null(why);
}

static void bytes_arrive_and_then_the_end(void **state)
{
	struct iovec iov[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
	char buf[16];
	int pair[2];

	(void)state;
	new_pair(pair);
	assert_int_equal(NET->recv(HOST, pair[1], buf, sizeof buf), -EAGAIN);
	assert_int_equal(NET->send(HOST, pair[0], iov, 3), 7);
	shutdown(pair[0], SHUT_WR);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], buf, sizeof buf), 7);
	assert_memory_equal(buf, "one two", 7);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], buf, sizeof buf), 0);
	close_pair(pair);
}

static void more_pieces_than_the_kernel_takes_are_sent_in_part(void **state)
{
	static struct iovec iov[3000];
	int pair[2];
	ssize_t n;

	(void)state;
	new_pair(pair);
	for (size_t i = 0; i < 3000; i++)
		iov[i] = (struct iovec){"x", 1};
	n = NET->send(HOST, pair[0], iov, 3000);
	assert_true(n > 0 && n < 3000);
	close_pair(pair);
}

static void a_full_send_queue_is_told_and_loses_nothing(void **state)
{
	static char buf[65536];
	struct iovec iov = {buf, sizeof buf};
	size_t sent = 0, received = 0;
	int pair[2];
	ssize_t n;

	(void)state;
	new_pair(pair);
	while ((n = NET->send(HOST, pair[0], &iov, 1)) > 0)
		sent += (size_t)n;
	assert_int_equal(n, -EAGAIN);
	shutdown(pair[0], SHUT_WR);
	do {
		assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
		n = NET->recv(HOST, pair[1], buf, sizeof buf);
		assert_true(n >= 0 || n == -EAGAIN);
		received += n > 0 ? (size_t)n : 0;
	} while (n != 0);
	assert_int_equal(received, sent);
	close_pair(pair);
}

/* SIGPIPE has its default action here: it would end the program. */
static void a_connection_that_was_reset_is_an_error_and_no_signal(void **state)
{
	char byte;
	int pair[2];

	(void)state;
	new_pair(pair);
	reset(pair[0]);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], &byte, 1), -ECONNRESET);
	assert_int_equal(send_text(pair[1], "x"), -EPIPE);
	close(pair[1]);
}

static void an_ending_ends_in_steps(void **state)
{
	struct lb_ending_run run;
	struct lb_outcome end;
	char buf[8];
	int pair[2];

	(void)state;
	new_pair(pair);
	assert_int_equal(send_text(pair[0], "last"), 4);
	NET->end_start(HOST, &run, pair[0], PATIENCE);
	assert_false(NET->end_step(HOST, &run, &end));
	assert_int_equal(NET->recv(HOST, pair[1], buf, sizeof buf), 4);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], buf, sizeof buf), 0);
	close(pair[1]);
	while (!NET->end_step(HOST, &run, &end))
		NET->wait(HOST, run.fd, lb_ending_events(&run), -1, -1, lb_ending_next(&run, lb_now()));
	assert_int_equal(run.fd, -1);
	assert_int_equal(end.rung, LB_RUNG_ENDED);
	assert_int_equal(end.acked, 4);
}

static void a_close_after_the_peers_end_is_its_end_too(void **state)
{
	int pair[2];
	char byte;

	(void)state;
	new_pair(pair);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
	assert_int_equal(NET->wait(HOST, pair[0], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[0], &byte, 1), 0);
	NET->close(HOST, pair[0]);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], &byte, 1), 0);
	close(pair[1]);
}

static void an_abort_resets(void **state)
{
	struct lb_outcome outcome;
	char byte;
	int pair[2];

	(void)state;
	new_pair(pair);
	NET->abort(HOST, pair[0], &outcome);
	assert_int_equal(fcntl(pair[0], F_GETFD), -1);
	assert_int_equal(NET->wait(HOST, pair[1], EPOLLIN, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->recv(HOST, pair[1], &byte, 1), -ECONNRESET);
	close(pair[1]);
}

static void the_clock_goes_on_and_random_bytes_differ(void **state)
{
	unsigned char a[400] = {0}, b[400] = {0};
	lb_time before = HOST->clock->now(HOST);

	(void)state;
	assert_true(HOST->clock->now(HOST) >= before);
	assert_true(HOST->clock->wall(HOST) > INT64_C(1700000000) * 1000000000);
	HOST->clock->random(HOST, a, sizeof a);
	HOST->clock->random(HOST, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(
		a + 300, b + 300, 100); /* to the end: getrandom(2) gives 256 at once for sure */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_socket_is_prepared),
		cmocka_unit_test(accept_names_the_peer_and_then_nobody),
		cmocka_unit_test(a_connection_that_was_reset_hides_none_behind_it),
		cmocka_unit_test(a_port_that_is_taken_is_told),
		cmocka_unit_test(a_port_can_be_listened_at_again_in_spite_of_time_wait),
		cmocka_unit_test(a_listener_for_ipv6_leaves_the_ipv4_port_alone),
		cmocka_unit_test(a_refused_connect_is_told_every_time_one_asks),
		cmocka_unit_test(a_connect_under_way_is_in_progress),
		cmocka_unit_test(a_socket_connected_to_itself_is_refused),
		cmocka_unit_test(an_endpoint_that_cannot_be_is_an_error),
		cmocka_unit_test(resolve_has_a_default_port),
		cmocka_unit_test(bytes_arrive_and_then_the_end),
		cmocka_unit_test(more_pieces_than_the_kernel_takes_are_sent_in_part),
		cmocka_unit_test(a_full_send_queue_is_told_and_loses_nothing),
		cmocka_unit_test(a_connection_that_was_reset_is_an_error_and_no_signal),
		cmocka_unit_test(an_ending_ends_in_steps),
		cmocka_unit_test(a_close_after_the_peers_end_is_its_end_too),
		cmocka_unit_test(an_abort_resets),
		cmocka_unit_test(the_clock_goes_on_and_random_bytes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
