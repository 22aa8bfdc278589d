/* SPDX-License-Identifier: MIT */
/* The peers, callbacks and calls of words.h. */
#include "lib/words.h"
#include "sock/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

void words_say(struct tcp_peer *peer, const char *text)
{
	if (send(peer->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		peer->error = errno;
}

bool words_hear(struct tcp_peer *peer, const char *text)
{
	char got[16] = "";

	if (recv(peer->fd, got, strlen(text), MSG_WAITALL) == (ssize_t)strlen(text) && strcmp(got, text) == 0)
		return true;
	peer->error = EPROTO;
	return false;
}

void words_await_end(struct tcp_peer *peer)
{
	char byte;
	ssize_t n = recv(peer->fd, &byte, 1, 0);

	peer->ended = n == 0;
	peer->error = n < 0 ? errno : peer->error;
	tcp_peer_close(peer);
}

void words_await(int fd, short events)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
}

int words_take(void *arg, const void *buf, size_t len)
{
	struct before *before = arg;

	if (before->len < sizeof before->text) {
		size_t room = sizeof before->text - (size_t)before->len;

		memcpy(before->text + before->len, buf, len < room ? len : room);
	}
	before->len += len;
	return before->result;
}

int words_farewell(struct tcp *tcp, const struct lb_farewell *words, int64_t ms, struct lb_outcome *outcomep)
{
	int fd = tcp->ours, result = lb_farewell(fd, words, lb_in_ms(ms), outcomep);

	tcp->ours = -1;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(outcomep->confirmed, 0);
	assert_true(outcomep->took >= 0);
	return result;
}

int words_keep(void *arg, const void *buf, size_t len)
{
	struct store *store = arg;
	unsigned char expected;

	assert_int_equal(store->commits + store->rollbacks, 0);
	for (size_t n = 0; n < len; n++) {
		tcp_pattern(&expected, store->len + n, 1);
		store->intact = store->intact && ((const unsigned char *)buf)[n] == expected;
	}
	store->len += len;
	return store->full;
}

int words_commit(void *arg)
{
	struct store *store = arg;
	struct lb_tcp tcp;

	assert_int_equal(store->commits++ + store->rollbacks, 0);
	lb_tcp_read(store->fd, &tcp);
	assert_int_equal(tcp.sent + tcp.unacked, 0);
	return store->broken;
}

void words_roll_back(void *arg)
{
	struct store *store = arg;

	assert_int_equal(store->commits + store->rollbacks++, 0);
}

int words_answer(struct tcp *tcp, const struct lb_farewell_answering *answering, int64_t ms,
	struct lb_outcome *outcomep)
{
	struct store *store = answering->arg;
	int fd = tcp->ours, result;

	store->fd = fd;
	store->intact = true;
	result = lb_farewell_answer(fd, answering, lb_in_ms(ms), outcomep);
	tcp->ours = -1;
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(store->commits + store->rollbacks, 1);
	return result;
}

void words_send(struct tcp_peer *peer, uint64_t len)
{
	unsigned char piece[60000];

	for (uint64_t at = 0; at < len; at += sizeof piece) {
		tcp_pattern(piece, at, sizeof piece);
		if (send(peer->fd, piece, sizeof piece, MSG_NOSIGNAL) != sizeof piece)
			peer->error = errno;
	}
}

void words_stuff(struct tcp *tcp)
{
	lb_time limit = lb_in_ms(PATIENCE_MS);
	struct tcp_info info;
	uint64_t before;

	do {
		socklen_t len = sizeof info;

		assert_true(lb_now() < limit);
		before = tcp->written;
		tcp_stuff(tcp);
		assert_return_code(getsockopt(tcp->ours, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	} while (info.tcpi_unacked > 0 || tcp_stuff(tcp) > before);
}
