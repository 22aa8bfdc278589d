/* SPDX-License-Identifier: MIT */
/* Standard input to a connection, and what comes from it to standard output, both at once. */
#ifndef CLI_PUMP_H
#define CLI_PUMP_H

#include <lastbyte/base.h>
#include <stdbool.h>

/* Bytes on their way through. */
struct lb_pump_buffer {
	size_t from, to;
	char   bytes[262144];
};

struct lb_pump {
	/* the caller's */
	int     fd;      /* connected, non-blocking */
	int     signals; /* readable once the user wants it to stop */
	bool    waits;   /* after the input: FIN, and the reply to its end; else that is the end */
	lb_time deadline;
	/* how it went */
	uint64_t read;    /* bytes of standard input */
	uint64_t reply;   /* bytes that standard output took */
	uint64_t refused; /* bytes that it did not take */
	bool     input_ended;
	bool     finished;    /* our FIN is written, after all of the input */
	bool     reply_ended; /* the peer's FIN was received, and all before it */
	bool     early;       /* it came before our bytes were acked, or some were sent after it */
	bool     interrupted;
	int      input_error, output_error; /* a positive errno */
	int send_error; /* why no more can be sent; ENODATA: the connection is gone, and nobody knows why */
	int broken;     /* the same, and all that had come before was read */
	/* its own */
	int    output;
	size_t output_max;
	bool   hung_up; /* the peer's FIN was seen, and maybe not read up to */

	struct lb_pump_buffer up, down;
};

/* Whether standard input can be read at all; else why not. Static text. */
const char *lb_pump_check(void);

/* Until both directions have ended, or the connection broke, or a signal or the deadline came. fd stays the caller's. */
void lb_pump(struct lb_pump *pump);

/* More for standard output, after that. Blocks until it has taken it, or will not: both are counted. 0, or -ECANCELED: a
 * signal or the deadline came. */
int lb_pump_put(struct lb_pump *pump, const void *buf, size_t len);

/* Closes standard output: only then it is known whether that took everything. */
void lb_pump_close(struct lb_pump *pump);

/* Bytes of standard input that were read and not taken by the kernel. */
uint64_t lb_pump_unsent(const struct lb_pump *pump);

#endif
