/* SPDX-License-Identifier: MIT */
/* What tests of farewells share: peers that say and hear words, and the callbacks and calls of either side. */
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#include "lib/tcp.h"
#include <lastbyte/farewell.h>

#define PATIENCE_MS 20000 /* a deadline that a test does not come to */
#define SHORT_MS    50    /* one that it does */

/* A peer says words, hears words (else its error is EPROTO), or waits for the end of the stream, and ends. */
void words_say(struct tcp_peer *peer, const char *text);
bool words_hear(struct tcp_peer *peer, const char *text);
void words_await_end(struct tcp_peer *peer);

/* Waits for events of poll(2). */
void words_await(int fd, short events);

/* We write until nothing more goes: the peer's window is closed, and all that went before is acked. */
void words_stuff(struct tcp *tcp);

/* The side that says QUIT. Takes what comes before the answer. */
struct before {
	char     text[64]; /* its beginning */
	uint64_t len;
	int      result; /* what `before` returns */
};
int words_take(void *before, const void *buf, size_t len);

#define QUIT .words = "QUIT\r\n", .words_len = 6
#define OK   .bytes = "+OK\r\n", .len = 5

/* lb_farewell, from which the fd does not come back. */
int words_farewell(
	struct tcp *tcp, const struct lb_farewell *farewell, int64_t ms, struct lb_outcome *outcomep);

/* The side that hears CLOSE. Keeps what comes before it, a pattern, and what becomes of it. */
struct store {
	uint64_t len;
	bool     intact;
	int      commits, rollbacks;
	int      full;   /* what `before` returns */
	int      broken; /* what `commit` returns */
	int      fd;
};
int  words_keep(void *store, const void *buf, size_t len);
int  words_commit(void *store); /* nothing has been answered yet */
void words_roll_back(void *store);

#define CLOSE .words = {.bytes = "CLOSE\n", .len = 6, .before = words_keep, .arg = &store}
#define CALLS .commit = words_commit, .rollback = words_roll_back, .arg = &store
#define SAYS  .answer = "CLOSE_OK\n", .answer_len = 9

/* lb_farewell_answer, from which the fd does not come back, and which calls one of commit and rollback, once. */
int words_answer(struct tcp *tcp, const struct lb_farewell_answering *answering, int64_t ms,
	struct lb_outcome *outcomep);

#define DATA 3000000

/* The peer sends so many bytes of what `words_keep` wants: a multiple of 60000. */
void words_send(struct tcp_peer *peer, uint64_t len);

#endif
