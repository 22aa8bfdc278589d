/* SPDX-License-Identifier: MIT */
/* A closer under test: what it tells is noted, its clock can be turned, and its work is counted. */
#ifndef LIB_CLOSING_H
#define LIB_CLOSING_H

#include "lib/tcp.h"
#include "sock/closer.h"

#define SECOND INT64_C(1000000000)
#define MS     INT64_C(1000000)

struct told {
	int               count;
	void             *args[64];
	struct lb_outcome ends[64];
};

/* A closer on Linux, but with this clock, and with these counts. */
struct closing {
	struct lb_closer *closer;
	struct told       told;
	lb_time           now;         /* starts at the real one, and stands */
	int               steps[1024]; /* of each fd */
	int               watches;     /* registrations with epoll */
	uint64_t          discarded;   /* by endings that go on */
};

extern struct closing closing;

/* Connections for tests, by number; made on that of tcp_sides; taken down, whether given away or not. */
extern struct tcp closing_tcps[12];
struct tcp       *closing_connected(int number, int side);
void              closing_over(struct tcp *tcp);

/* Waits until the peer's end has come. */
void closing_await_end(struct tcp *tcp);

/* A peer's play: reads all, then closes. */
void closing_reads_all(struct tcp_peer *peer);

/* cmocka's fixture for tests without options: `closing` is ready. */
int closing_setup(void **state);
int closing_teardown(void **state);

/* For tests with options, in between. */
void closing_open(const struct lb_closer_options *options);

/* The callback: notes `arg` and the outcome. */
void closing_tell(void *arg, const struct lb_outcome *end);

/* Hands our end over; `arg` is the connection. */
void closing_add(struct tcp *tcp, const struct lb_ending *ending);

/* Steps whenever the descriptor is readable, until so many are told. The clock goes on in milliseconds as it must. */
void closing_until(int count);

/* Turns the clock on by so much, and steps. */
void closing_later(lb_time by);

bool closing_readable(int timeout_ms);

/* The fd is closed. */
void assert_closed(int fd);

#endif
