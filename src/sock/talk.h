/* SPDX-License-Identifier: MIT */
/* Words said and words heard on one TCP socket, as steps that never block: what both sides of a farewell share. */
#ifndef SOCK_TALK_H
#define SOCK_TALK_H

#include "sock/hear.h"
#include "sock/tcp.h"

struct lb_talk {
	/* for whoever waits: poll(2) or epoll(7) events of fd, level-triggered, and when to step at the latest */
	int                fd;
	uint32_t           events;
	lb_time            next;
	struct lb_tcp_wait wait; /* for lb_talk_await */
	/* to say */
	const char *words;
	size_t      len, said;
	/* to hear */
	struct lb_hearing hearing;
	enum lb_heard     heard;
	uint64_t          received;
	/* how it went */
	int  err;    /* the errno that broke it, or 0 */
	bool mute;   /* nothing can be said any more */
	bool over;   /* there is nothing more to read ... */
	bool at_fin; /* ... because the peer has ended, truly */
	bool early;  /* it did so before it had everything that was said */
	bool dry;    /* there was nothing more to read for now */
};

/* fd stays the caller's. What is not a connection is `over` at once. */
void lb_talk_start(struct lb_talk *talk, int fd, const struct lb_expect *expect);

/* Goes on saying `words`, as far as the socket takes them. */
void lb_talk_say(struct lb_talk *talk);
bool lb_talk_has_said(const struct lb_talk *talk);

/* Goes on hearing, into `heard`, as far as there is something to read. */
void lb_talk_hear(struct lb_talk *talk);

/* Blocks as the step before has said. */
void lb_talk_await(struct lb_talk *talk);

/* The caller's way of ending it, without what only lb_close has. */
struct lb_ending lb_talk_ending(const struct lb_ending *ending);

/* Adds to the outcome of a connection that is closed what only the talk knows. */
void lb_talk_tell(const struct lb_talk *talk, struct lb_outcome *outcomep);

/* Then makes it that of one on which the words were not heard, in the phase in which they were waited for. */
void lb_talk_tell_unheard(const struct lb_talk *talk, enum lb_phase phase, struct lb_outcome *outcomep);

#endif
