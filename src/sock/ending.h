/* SPDX-License-Identifier: MIT */
/* The ending of one TCP socket as steps that never block: lb_close waits between them, a loop polls. */
#ifndef SOCK_ENDING_H
#define SOCK_ENDING_H

#include <lastbyte/sock.h>
#include <stdbool.h>

/* Small, for there may be a million of them. */
struct lb_ending_run {
	const struct lb_ending *ending; /* the caller's or the default; never NULL */
	lb_time                 started, deadline;
	lb_time progress_at; /* the send queue last shrank; once all is acked: the peer last sent something */
	lb_time acked_at;    /* all of ours was seen to be acked, our FIN too; LB_NEVER: not yet */
	uint64_t discarded;
	size_t   last_sent;    /* bytes of `last` */
	int      fd;           /* -1: done; closed, or the caller's again */
	uint32_t queued;       /* what was to be sent or acked when it last became less; modulo 2^32 */
	int16_t  result;       /* what lb_close returns, once done */
	int16_t  err;          /* the errno behind the end, or 0 */
	int8_t   syn;          /* SYNs that the kernel counts among what is acked; -1: not known */
	bool     finished : 1; /* our FIN is written */
	bool unsure : 1; /* the socket was dead already, and our FIN, or bytes, may have been written before */
	bool cut : 1;    /* `last` cannot be written, or only in part */
	bool read_ended : 1; /* there is nothing more to read */
	bool early : 1;      /* the peer's FIN came while bytes of ours were unacked */
	bool blocked : 1;    /* nothing more is to be read: drain_bytes */
	bool dry : 1;        /* the last step read to the end of the stream, be it a true one or not */
	bool begun : 1;   /* the start has written our FIN, to a peer that had not ended: a step can wait */
	bool deaf : 1;    /* our reading end is shut: data from the peer makes our own kernel reset */
	bool fresh : 1;   /* no step has found it alive yet */
	bool lingers : 1; /* close(2) may block, and SO_LINGER have it do so */
	bool more : 1;    /* the last step stopped at its bound: there may be more to read or to write */
};

/* Takes fd over. `ending` may be NULL; it and what `ending->last` points to must live until the run is done. */
void lb_ending_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline);

/* Not to end it, but to say what is known: fd, a connection, stays the caller's and is left as it is. */
void lb_ending_look(struct lb_ending_run *run, int fd);

/* Goes on as far as it can without blocking. True: done; fd is closed, or with run->result -EAGAIN the caller's
 * again, and the outcome is filled. */
bool lb_ending_step(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcomep);

/*
 * What to wait for before the next step, in one of two ways.
 * Level-triggered: `events` of poll(2) or epoll(7), or the time `next`, which polls for acks. Events 0: leave fd out
 * of the poll set. A hang-up that cannot be masked would hold all the while.
 * Edge-triggered: fd registered with LB_ENDING_EDGES, or the time `limit`: an ack of our FIN wakes, and what is
 * acked before it is looked at when the limit for it comes. A limit that has passed: step again at once.
 */
#define LB_ENDING_EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
uint32_t lb_ending_events(const struct lb_ending_run *run);
lb_time  lb_ending_next(const struct lb_ending_run *run, lb_time now);
lb_time  lb_ending_limit(const struct lb_ending_run *run);

/* Whether the last step saw that the peer's kernel has every byte: then nothing of ours is lost by a stop. */
static inline bool lb_ending_acked(const struct lb_ending_run *run)
{
	return run->acked_at != LB_NEVER;
}

/*
 * Ends it now. LB_END_LOCAL_ABORT: by RST. LB_END_EVICTED, LB_END_TIMEOUT: as at the deadline, so by RST only if bytes
 * of ours are unacked. If the connection has ended by itself meanwhile, the outcome says that instead.
 */
void lb_ending_stop(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcomep);

/* Until when it may take at most while bytes of ours are unacked. */
lb_time lb_ending_cap(const struct lb_ending_run *run);

/* What only he knows who has used fd until now: a socket that is CLOSED does not tell it. */
struct lb_told {
	bool finished; /* he has written our FIN */
	bool early;    /* the peer's came before our bytes were acked */
	int  broken;   /* the errno that broke the connection; 0: none; ENODATA: nobody knows it any more */
};

/* lb_close by him. */
int lb_close_told(int fd, const struct lb_ending *ending, const struct lb_told *told, lb_time deadline,
	struct lb_outcome *outcomep);

#endif
