/* SPDX-License-Identifier: MIT */
/*
 * lb_close with TCP Fast Open (RFC 7413), which takes and sends bytes before there is a connection. Over a link with a
 * delay, so that the handshake lasts. Skipped where nobody may make one, or set net.ipv4.tcp_fastopen in it.
 */
#include "lab/link.h"
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DELAY   INT64_C(100000000)
#define REQUEST 40
#define REPLY   100

static struct link *link_;
static const int families[] = {AF_INET, AF_INET6};

/* ip-sysctl: 1 client, 2 server, 4 and 0x200 without a cookie, 0x400 every listener */
static bool allow(enum link_end end)
{
	bool done = false;
	int fd;

	if (link_enter(link_, end) < 0)
		return false;
	fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		done = write(fd, "1543", 4) == 4;
		close(fd);
	}
	link_leave(link_);
	return done;
}

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return info.tcpi_state;
}

/* The client's bytes went with its SYN, and nothing has come back. */
static int ask(int family, int *listenerp)
{
	struct sockaddr_storage address;
	socklen_t len = link_address(link_, LINK_RIGHT, family, 0, &address);
	char request[REQUEST] = "";
	int client;

	*listenerp = link_socket(link_, LINK_RIGHT, family, SOCK_STREAM);
	assert_return_code(*listenerp, errno);
	assert_return_code(bind(*listenerp, (struct sockaddr *)&address, len), errno);
	assert_return_code(listen(*listenerp, 1), errno);
	assert_return_code(getsockname(*listenerp, (struct sockaddr *)&address, &len), errno);
	client = link_socket(link_, LINK_LEFT, family, SOCK_STREAM);
	assert_return_code(client, errno);
	assert_int_equal(sendto(client, request, sizeof request, MSG_FASTOPEN | MSG_DONTWAIT,
				 (struct sockaddr *)&address, len),
		sizeof request);
	return client;
}

/* The server has answered before the handshake is done. Returns -1 if this took so long that it is. */
static int answer(int listener)
{
	char bytes[REPLY] = "";
	int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	assert_return_code(server, errno);
	assert_int_equal(recv(server, bytes, sizeof bytes, 0), REQUEST);
	if (state_of(server) == TCP_SYN_RECV) {
		assert_int_equal(send(server, bytes, sizeof bytes, MSG_NOSIGNAL), REPLY);
		return server;
	}
	close(server);
	return -1;
}

static void assert_unknown(const struct lb_outcome *end)
{
	assert_true(end->accepted == LB_UNKNOWN && end->acked == LB_UNKNOWN && end->lost == LB_UNKNOWN);
	assert_in_range(end->rung, LB_RUNG_NOTHING, LB_RUNG_ACCEPTED);
}

static void what_went_with_the_syn_is_not_forgotten(void **state)
{
	(void)state;
	if (link_ == NULL)
		skip();
	for (size_t i = 0; i < 2; i++) {
		struct lb_outcome end;
		int listener, client = ask(families[i], &listener);

		assert_int_equal(lb_close(client, NULL, lb_in_ms(20000), &end), -ENOTCONN);
		assert_int_equal(end.how, LB_END_NO_CONNECTION);
		assert_unknown(&end);
		close(listener);
	}
}

/* The client has gone: its system answers the SYN-ACK with a reset. */
static void an_answer_that_was_reset_before_the_handshake_is_not_forgotten(void **state)
{
	(void)state;
	if (link_ == NULL)
		skip();
	for (size_t i = 0; i < 2; i++) {
		int listener, client, server;
		struct pollfd reset = {0};
		struct lb_outcome end;

		do {
			client = ask(families[i], &listener);
			close(client);
			server = answer(listener);
			close(listener);
		} while (server < 0);
		reset.fd = server;
		assert_int_equal(poll(&reset, 1, 20000), 1);
		assert_int_equal(state_of(server), TCP_CLOSE);
		assert_int_equal(lb_close(server, NULL, lb_in_ms(20000), &end), 0);
		assert_int_equal(end.how, LB_END_RST);
		assert_int_equal(end.by, LB_PARTY_PEER);
		assert_int_equal(end.rung, LB_RUNG_ACCEPTED);
		assert_counts(&end, REPLY, 0, REPLY);
	}
}

static void nothing_is_acked_before_the_handshake(void **state)
{
	(void)state;
	if (link_ == NULL)
		skip();
	for (size_t i = 0; i < 2; i++) {
		int listener, client, server;
		struct lb_outcome end;

		do {
			client = ask(families[i], &listener);
			server = answer(listener);
			close(listener);
			if (server < 0)
				close(client);
		} while (server < 0);
		assert_int_equal(lb_close(server, NULL, lb_now(), &end), 0);
		close(client);
		assert_int_equal(end.how, LB_END_TIMEOUT);
		assert_int_equal(end.phase, LB_PHASE_FLUSH);
		assert_unknown(&end);
	}
}

static void *ends_when_connected(void *arg)
{
	struct pollfd connected = {.fd = *(int *)arg, .events = POLLOUT};

	poll(&connected, 1, 20000);
	shutdown(connected.fd, SHUT_WR);
	return NULL;
}

/* Once it is done all is counted, from the first byte on. */
static void an_ending_that_began_before_the_handshake_ends_as_any_other(void **state)
{
	(void)state;
	if (link_ == NULL)
		skip();
	for (size_t i = 0; i < 2; i++) {
		int listener, client, server;
		struct lb_outcome end;
		char bytes[REPLY];
		pthread_t thread;

		do {
			client = ask(families[i], &listener);
			server = answer(listener);
			close(listener);
			if (server < 0)
				close(client);
		} while (server < 0);
		assert_int_equal(pthread_create(&thread, NULL, ends_when_connected, &client), 0);
		assert_int_equal(lb_close(server, NULL, lb_in_ms(20000), &end), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(end.how, LB_END_FIN);
		assert_in_range(end.rung, LB_RUNG_ACKED, LB_RUNG_ENDED);
		assert_counts(&end, REPLY, REPLY, 0);
		assert_int_equal(recv(client, bytes, sizeof bytes, MSG_WAITALL), REPLY);
		close(client);
	}
}

int main(void)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = DELAY};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_went_with_the_syn_is_not_forgotten),
		cmocka_unit_test(an_answer_that_was_reset_before_the_handshake_is_not_forgotten),
		cmocka_unit_test(nothing_is_acked_before_the_handshake),
		cmocka_unit_test(an_ending_that_began_before_the_handshake_ends_as_any_other),
	};
	char why[LINK_WHY];
	int failed;

	if (link_new(&options, &link_, why) < 0) {
		printf("# SKIP a link: %s\n", why);
	} else if (!allow(LINK_LEFT) || !allow(LINK_RIGHT)) {
		printf("# SKIP net.ipv4.tcp_fastopen cannot be set\n");
		link_free(link_);
		link_ = NULL;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	link_free(link_);
	return failed;
}
