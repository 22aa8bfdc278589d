/* SPDX-License-Identifier: MIT */
/* lb_answer: only a whole request is answered, and what is not answered is reset. */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 3000000

/* Whoever is asked, and what it says. */
struct oracle {
	char *request, *reply;
	size_t len, reply_len;
	int calls, verdict;
	struct tcp *tcp;
	struct lb_outcome end;
};

static int asked(void *arg, const void *request, size_t len, const void **replyp, size_t *reply_lenp)
{
	struct oracle *oracle = arg;

	assert_ptr_equal(request, oracle->request);
	assert_null(*replyp);
	assert_int_equal(*reply_lenp, 0);
	oracle->calls++;
	oracle->len = len;
	*replyp = oracle->reply;
	*reply_lenp = oracle->reply_len;
	return oracle->verdict;
}

static int answer(struct tcp *tcp, struct oracle *oracle, size_t cap, lb_time deadline)
{
	const struct lb_answering answering = {
		.request = oracle->request, .request_cap = cap, .reply = asked, .arg = oracle};
	int fd = tcp->ours, r;

	tcp->ours = -1;
	r = lb_answer(fd, &answering, deadline, &oracle->end);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	return r;
}

static void open_oracle(struct oracle *oracle, struct tcp *tcp, size_t reply_len)
{
	*oracle = (struct oracle){
		.request = malloc(SIZE), .reply = malloc(SIZE), .reply_len = reply_len, .tcp = tcp};
	assert_non_null(oracle->request);
	assert_non_null(oracle->reply);
	tcp_pattern(oracle->reply, 0, SIZE);
	tcp->written = reply_len;
}

static void close_oracle(struct oracle *oracle)
{
	free(oracle->request);
	free(oracle->reply);
}

/* What tcp_peer_send sends. */
static void assert_zeros(const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(bytes[i], 0);
}

static void asks(struct tcp_peer *peer)
{
	tcp_peer_send(peer, SIZE);
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_whole_request_is_answered(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, asks);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_int_equal(oracle.calls, 1);
	assert_int_equal(oracle.len, SIZE);
	assert_zeros(oracle.request, SIZE);
	assert_peer_has_all(tcp);
	/* the peer's FIN came before the reply was written, and cannot speak for it */
	assert_ending(&oracle.end, "acked: fin by peer in done");
	assert_counts(&oracle.end, SIZE, SIZE, 0);
	close_oracle(&oracle);
}

static void the_answer_may_be_empty(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	open_oracle(&oracle, tcp, 0);
	tcp_play(tcp, asks);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_int_equal(oracle.calls, 1);
	assert_peer_has_all(tcp);
	assert_ending(&oracle.end, "ended: fin by peer in done");
	assert_counts(&oracle.end, 0, 0, 0);
	close_oracle(&oracle);
}

static void asks_in_part_and_resets(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 10000);
	tcp_peer_await(peer);
	tcp_peer_reset(peer);
}

static void a_request_that_is_cut_is_never_passed_on(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, asks_in_part_and_resets);
	tcp_go(tcp);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), -ECONNRESET);
	tcp_join(tcp);
	assert_int_equal(oracle.calls, 0);
	assert_ending(&oracle.end, "nothing: rst by peer in data");
	assert_counts(&oracle.end, 0, 0, 0);
	assert_int_equal(oracle.end.err, ECONNRESET);
	close_oracle(&oracle);
}

static void a_request_whose_reset_was_told_to_others_is_never_passed_on(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd reset = {.fd = tcp->ours, .events = 0};
	socklen_t len = sizeof(int);
	struct oracle oracle;
	int error;

	open_oracle(&oracle, tcp, SIZE);
	tcp_peer_send(&tcp->peer, 10000);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&reset, 1, 20000), 1);
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_ERROR, &error, &len), errno);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), -ECONNRESET);
	assert_int_equal(oracle.calls, 0);
	assert_ending(&oracle.end, "nothing: rst by peer in data");
	close_oracle(&oracle);
}

/* What the peer sees of a request that is not answered: a reset, because an end would be an empty answer. */
static void assert_reset(struct tcp *tcp)
{
	tcp_join(tcp);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.got, 0);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void asks_and_waits(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 10000);
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_read_all(peer);
}

static void a_request_that_is_too_long_is_never_passed_on(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, asks_and_waits);
	assert_int_equal(answer(tcp, &oracle, 9999, lb_in_ms(20000)), -EMSGSIZE);
	assert_reset(tcp);
	assert_int_equal(oracle.calls, 0);
	assert_ending(&oracle.end, "nothing: local_abort by self in data");
	assert_int_equal(oracle.end.discarded, 1);
	close_oracle(&oracle);
}

static void asks_without_end(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 10000);
	tcp_peer_read_all(peer);
}

static void a_request_that_does_not_end_is_reset_at_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, asks_without_end);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(100)), -ETIMEDOUT);
	assert_reset(tcp);
	assert_int_equal(oracle.calls, 0);
	assert_ending(&oracle.end, "nothing: timeout by self in data");
	close_oracle(&oracle);
}

static void a_request_that_is_refused_is_reset(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	oracle.verdict = -EPERM;
	tcp_play(tcp, asks_and_waits);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), -EPERM);
	assert_reset(tcp);
	assert_int_equal(oracle.calls, 1);
	assert_int_equal(oracle.len, 10000);
	assert_ending(&oracle.end, "nothing: local_abort by self in data");
	close_oracle(&oracle);
}

static void asks_and_goes(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 10000);
	tcp_peer_close(peer);
}

static void an_answer_that_nobody_waits_for_is_reset_and_told(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;

	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, asks_and_goes);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_int_equal(oracle.calls, 1);
	assert_true(oracle.end.rung < LB_RUNG_ACKED);
	assert_string_equal(lb_end_word(oracle.end.how), "rst");
	assert_int_equal(oracle.end.acked, 0);
	assert_true(oracle.end.lost > 0);
	close_oracle(&oracle);
}

static void asks_and_does_not_read(struct tcp_peer *peer)
{
	tcp_peer_send(peer, 10000);
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
}

/* The callback's time counts. */
static int answers_late(void *arg, const void *request, size_t len, const void **replyp, size_t *reply_lenp)
{
	struct oracle *oracle = arg;

	while (lb_now() < oracle->end.took)
		usleep(1000);
	return asked(arg, request, len, replyp, reply_lenp);
}

static void an_answer_that_comes_too_late_is_cut_and_told(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;
	struct lb_answering answering = {.request_cap = SIZE, .reply = answers_late, .arg = &oracle};
	lb_time deadline = lb_in_ms(300);

	open_oracle(&oracle, tcp, SIZE);
	answering.request = oracle.request;
	tcp_play(tcp, asks_and_does_not_read);
	oracle.end.took = deadline; /* the callback waits for it */
	struct lb_outcome end;
	assert_int_equal(lb_answer(tcp->ours, &answering, deadline, &end), 0);
	tcp->ours = -1;
	tcp_join(tcp);
	assert_int_equal(oracle.calls, 1);
	assert_string_equal(lb_end_word(end.how), "timeout");
	assert_true(end.rung < LB_RUNG_ACKED);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	close_oracle(&oracle);
}

static void exchanges(struct tcp_peer *peer)
{
	char *request = malloc(SIZE), *reply = malloc(SIZE), *wanted = malloc(SIZE);
	int fd = peer->fd;
	struct lb_outcome end;
	size_t len;

	tcp_pattern(request, 7, SIZE);
	tcp_pattern(wanted, 0, SIZE);
	peer->fd = -1;
	peer->ended = lb_exchange(fd, request, SIZE, reply, SIZE, &len, lb_in_ms(20000), &end) == 0 &&
		      end.rung == LB_RUNG_ENDED;
	peer->got = len;
	peer->intact = memcmp(reply, wanted, len) == 0;
	free(request);
	free(reply);
	free(wanted);
}

static void the_two_sides_understand_each_other(void **state)
{
	struct tcp *tcp = *state;
	struct oracle oracle;
	char *wanted = malloc(SIZE);

	assert_non_null(wanted);
	open_oracle(&oracle, tcp, SIZE);
	tcp_play(tcp, exchanges);
	assert_int_equal(answer(tcp, &oracle, SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	tcp_pattern(wanted, 7, SIZE);
	assert_int_equal(oracle.len, SIZE);
	assert_memory_equal(oracle.request, wanted, SIZE);
	assert_peer_has_all(tcp);
	assert_ending(&oracle.end, "acked: fin by peer in done");
	free(wanted);
	close_oracle(&oracle);
}

static void refused(int fd, int error)
{
	struct oracle oracle = {0};
	const struct lb_answering answering = {.reply = asked, .arg = &oracle};
	struct lb_outcome end;

	assert_int_equal(lb_answer(fd, &answering, LB_NEVER, &end), error);
	assert_int_equal(oracle.calls, 0);
	assert_ending(&end, "nothing: no_connection by none in connect");
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void what_is_no_connection_is_told_and_closed(void **state)
{
	(void)state;
	tcp_each_no_connection(refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_whole_request_is_answered),
		ON_EVERY_SIDE(the_answer_may_be_empty),
		ON_EVERY_SIDE(a_request_that_is_cut_is_never_passed_on),
		ON_EVERY_SIDE(a_request_whose_reset_was_told_to_others_is_never_passed_on),
		ON_EVERY_SIDE(a_request_that_is_too_long_is_never_passed_on),
		ON_EVERY_SIDE(a_request_that_does_not_end_is_reset_at_the_deadline),
		ON_EVERY_SIDE(a_request_that_is_refused_is_reset),
		ON_EVERY_SIDE(an_answer_that_nobody_waits_for_is_reset_and_told),
		ON_EVERY_SIDE(an_answer_that_comes_too_late_is_cut_and_told),
		ON_EVERY_SIDE(the_two_sides_understand_each_other),
		cmocka_unit_test(what_is_no_connection_is_told_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
