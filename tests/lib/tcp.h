/* SPDX-License-Identifier: MIT */
/*
 * Connections over loopback: our end is what is tested, the other one is a peer, played on a thread of its own or
 * by the test itself. What either sends is a pattern, so that a byte that is missing or out of place is seen.
 */
#ifndef LIB_TCP_H
#define LIB_TCP_H

#include "lib/cmocka.h"
#include <lastbyte/sock.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct tcp_side {
	int  family;
	bool accepting; /* our end has accepted; else it has connected */
};

struct tcp_peer {
	int       fd; /* -1: closed */
	int       go; /* eventfd: what tcp_peer_await waits for */
	pthread_t thread;
	void (*play)(struct tcp_peer *peer);
	uint64_t sent;   /* bytes */
	uint64_t got;    /* bytes */
	bool     intact; /* these were the right ones */
	bool     ended;  /* then came the end of the stream ... */
	int      error;  /* ... or this errno */
};

struct tcp {
	const struct tcp_side *side;
	int                    ours; /* -1: given away */
	uint64_t               written;
	struct tcp_peer        peer;
};

/* cmocka's fixture: *state is a struct tcp, from a struct tcp_side. */
int tcp_open(void **state);
int tcp_close(void **state);

extern const struct tcp_side tcp_sides[4];

/* A test for each family and role. */
#define ON_SIDE(side, words, test)                                                                           \
	((struct CMUnitTest){#test " (" words ")", test, tcp_open, tcp_close, (void *)&tcp_sides[side]})
#define ON_EVERY_SIDE(test)                                                                                  \
	ON_SIDE(0, "IPv4, connecting", test), ON_SIDE(1, "IPv4, accepting", test),                           \
		ON_SIDE(2, "IPv6, connecting", test), ON_SIDE(3, "IPv6, accepting", test)

/* A connection of its own, for tests that need an option on the listener: SO_LINGER {linger_on, seconds}. */
void tcp_connect(struct tcp *tcp, const struct tcp_side *side, int linger_on, int seconds);

/* One that was made elsewhere; and the end of either. */
void tcp_adopt(struct tcp *tcp, const struct tcp_side *side, int connected, int accepted);
void tcp_release(struct tcp *tcp);

/* We write: all of len bytes, blocking; as many of them as the kernel takes; as many as it takes. Returns
 * tcp->written. */
uint64_t tcp_write(struct tcp *tcp, uint64_t len);
uint64_t tcp_offer(struct tcp *tcp, uint64_t len);
uint64_t tcp_stuff(struct tcp *tcp);

/* len bytes of the pattern from an offset on, for what lb_close writes. */
void tcp_pattern(void *buf, uint64_t offset, size_t len);

/* Ends our end, by lb_close. */
int tcp_end(struct tcp *tcp, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep);

/* Waits until our send queue (SIOCOUTQ) is empty; until it holds less than `bytes`. */
void     tcp_wait_acked(struct tcp *tcp);
void     tcp_wait_below(struct tcp *tcp, uint64_t bytes);
uint64_t tcp_unacked(struct tcp *tcp);

/* The peer's thread. */
void tcp_play(struct tcp *tcp, void (*play)(struct tcp_peer *peer));
void tcp_go(struct tcp *tcp);   /* lets one tcp_peer_await return */
void tcp_join(struct tcp *tcp); /* lets them all, and waits for its end */

/* What a peer does. False: the stream has ended (`ended`) or broken (`error`). */
bool tcp_peer_read(struct tcp_peer *peer, uint64_t len); /* so many bytes, blocking */
void tcp_peer_read_all(struct tcp_peer *peer);
bool tcp_peer_send(struct tcp_peer *peer, uint64_t len);
void tcp_peer_await(struct tcp_peer *peer);
void tcp_peer_close(struct tcp_peer *peer);
void tcp_peer_reset(struct tcp_peer *peer);

/* Every kind of fd that is no connection, with the error that says so. They are the callee's to close. */
void tcp_each_no_connection(void (*refuses)(int fd, int error));

/* "ended: fin by peer in done" */
const char *tcp_how(const struct lb_outcome *outcome);

#define assert_ending(outcome, text) assert_string_equal(tcp_how(outcome), text)
#define assert_counts(outcome, accepted_, acked_, lost_)                                                     \
	do {                                                                                                 \
		assert_int_equal((outcome)->accepted, accepted_);                                            \
		assert_int_equal((outcome)->acked, acked_);                                                  \
		assert_int_equal((outcome)->lost, lost_);                                                    \
	} while (0)
/* The peer's application got every byte that we wrote, and a clean end. */
#define assert_peer_has_all(tcp)                                                                             \
	do {                                                                                                 \
		assert_int_equal((tcp)->peer.got, (tcp)->written);                                           \
		assert_true((tcp)->peer.intact);                                                             \
		assert_true((tcp)->peer.ended);                                                              \
	} while (0)

#endif
