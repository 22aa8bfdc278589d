/* SPDX-License-Identifier: MIT */
/* lb_close by LB_POLICY_ACKED: it waits for the acks and for nothing else. */
#include "lib/tcp.h"
#include <poll.h>
#include <sys/socket.h>

#define EARLY 1000

static const struct lb_ending by_acked = {.policy = LB_POLICY_ACKED};

static void reads_when_told(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
}

static void acked_does_not_wait_for_the_peers_end(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	assert_int_equal(tcp_end(tcp, &by_acked, LB_NEVER, &end), 0);
	assert_ending(&end, "acked: detached by self in drain");
	assert_counts(&end, 1000, 1000, 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
}

static void acked_waits_for_every_ack(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, reads_when_told);
	tcp_stuff(tcp);
	tcp_go(tcp);
	assert_int_equal(tcp_end(tcp, &by_acked, LB_NEVER, &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: detached by self in drain");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

/* Data that is read first does no harm, whatever came of it later. */
static void acked_throws_away_what_lies_there(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};
	struct lb_outcome end;

	tcp_peer_send(&tcp->peer, EARLY);
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	tcp_write(tcp, 1000);
	assert_int_equal(tcp_end(tcp, &by_acked, LB_NEVER, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: detached by self in drain");
	assert_int_equal(end.discarded, EARLY);
}

static void acked_sees_that_both_have_ended(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_wait_acked(tcp);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	assert_int_equal(tcp_end(tcp, &by_acked, lb_in_ms(20000), &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(acked_does_not_wait_for_the_peers_end),
		ON_EVERY_SIDE(acked_waits_for_every_ack),
		ON_EVERY_SIDE(acked_throws_away_what_lies_there),
		ON_EVERY_SIDE(acked_sees_that_both_have_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
