/* SPDX-License-Identifier: MIT */
/* Hears words in a stream of bytes that comes in pieces. Pure: no I/O, and no memory but this. */
#ifndef SOCK_HEAR_H
#define SOCK_HEAR_H

#include <lastbyte/farewell.h>

enum lb_heard {
	LB_HEARD_NOTHING, /* not yet */
	LB_HEARD_WORDS,
	LB_HEARD_OTHER, /* something else; `error` */
};

struct lb_hearing {
	const struct lb_expect *expect;
	uint64_t stale;   /* so many of the bytes to come were sent before there was anything to answer */
	size_t   matched; /* so many of the words came last, and are withheld until more is known */
	uint64_t taken;   /* bytes that were handed to a callback, or are the words */
	int      error;   /* a positive errno */
};

/* The next len bytes. After WORDS and OTHER, no more. */
enum lb_heard lb_hear(struct lb_hearing *hearing, const void *buf, size_t len);

/* There is no more to hear: hands on what was withheld. */
void lb_hear_end(struct lb_hearing *hearing);

#endif
