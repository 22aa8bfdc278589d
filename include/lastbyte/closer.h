/* SPDX-License-Identifier: MIT */
/*
 * closer.h - ends the connections of a whole program in the background: sockets go in, outcomes come out.
 *
 *	static void ended(void *arg, const struct lb_outcome *end) { ... }
 *
 *	struct lb_closer *closer;
 *	if (lb_closer_new(NULL, &closer) < 0) ...
 *	watch lb_closer_fd(closer) for reading; whenever it is readable: lb_closer_step(closer);
 *	lb_closer_add(closer, fd, NULL, lb_in_ms(30000), ended, arg);     instead of close(fd)
 *	...
 *	lb_closer_drain(closer, lb_in_ms(5000));                          before the program exits
 *	lb_closer_free(closer);
 *
 * Each ending is one of lb_close (sock.h): the same steps, limits and outcomes. In a program without a loop a thread
 * of its own calls lb_closer_run. The folder examples/ has a program for each kind of loop.
 *
 * Threads: lb_closer_add, _next, _fd, _events, _deadline and _stop may be called at any time by any thread. One thread
 * at a time calls _step, _run or _drain, and _free is the last call of all.
 */
#ifndef LASTBYTE_CLOSER_H
#define LASTBYTE_CLOSER_H

#include <lastbyte/sock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lb_closer;

/* Zero means the default. */
struct lb_closer_options {
	const struct lb_ending *ending;  /* of sockets that are added without one; copied, with `last` */
	size_t                  sockets; /* being ended at once: a quarter of RLIMIT_NOFILE (soft) */
	size_t sockets_per_peer; /* of these, from one IP address: as many as `sockets`. A number of some hundreds at
				      most: adding a socket looks at all those of its peer */
	uint64_t
		step_bytes; /* thrown away in one step, or up to two turns more: 256 KiB, which is also one socket's turn */
};

/* An outcome that was queued. */
struct lb_closed {
	void             *arg; /* as given to lb_closer_add */
	struct lb_outcome outcome;
};

/*
 * Makes a closer: it takes two descriptors (epoll(7), timerfd_create(2)), both close-on-exec, and no thread. After
 * fork(2) only the parent may use it.
 *
 * options   NULL for the defaults; not needed any more on return.
 * closerp   the new closer, to be freed by lb_closer_free; NULL on failure.
 *
 * Returns 0; -ENOMEM; -EMFILE, -ENFILE: no descriptor is left; -EINVAL: more than 2^30 sockets, or LB_EXPIRY_KEEP.
 */
LB_PUBLIC LB_CHECKED int lb_closer_new(const struct lb_closer_options *options, struct lb_closer **closerp);

/*
 * Resets every connection that has not ended, tells its outcome (LB_END_LOCAL_ABORT, unless it had ended by itself)
 * and frees the closer. Callbacks are called from within; what they add meets the same end. Outcomes in the queue
 * are lost: read them before (lb_closer_drain, lb_closer_next). NULL is ignored.
 */
LB_PUBLIC void lb_closer_free(struct lb_closer *closer);

/*
 * Takes over a TCP socket and begins to end it: our FIN is written before this returns, unless `last` does not fit
 * into the send queue. Never blocks, but may wait for a step of another thread, some milliseconds. A socket that needs no
 * waiting is closed at once. An eviction may make room for it:
 *
 * When `sockets` are being ended already, one of them is given up: that which has been acked for the longest, so
 * that no byte is lost; if bytes of all of them are unacked, the one that was added first. When the address of its peer
 * has `sockets_per_peer`, the same among those. The outcome says LB_END_EVICTED, and what was lost. The new
 * socket itself is never the one.
 *
 * fd        consumed, on success and on failure.
 * ending    NULL for the closer's own; else copied, with `last`. The copy costs memory for as long as it is used.
 *           The policies linger and linger_finish do as acked here, for nothing may block.
 * deadline  as for lb_close. LB_NEVER leaves it to the limits.
 * done      called exactly once, in the order in which connections end, from within lb_closer_step, _run, _drain or
 *           _free and never from here; no lock is held, and it may call everything but these four. NULL: the outcome
 *           is queued for lb_closer_next.
 *
 * Returns 0: the outcome will come. With an error none will come, and nothing else will be told of this socket:
 * -EBADF: fd is not open; -ENOTSOCK, -EOPNOTSUPP: not a TCP socket; -ENOTCONN: never connected (these are closed).
 * -ENOMEM; -ENOBUFS: done is NULL, and `sockets` outcomes lie unread; -EINVAL: LB_EXPIRY_KEEP, for there is nobody
 * to keep it: ended as if it had been evicted at once.
 */
LB_PUBLIC LB_CHECKED int lb_closer_add(struct lb_closer *closer, int fd, const struct lb_ending *ending,
	lb_time deadline, void (*done)(void *arg, const struct lb_outcome *outcome), void *arg);

/* Takes the oldest outcome out of the queue. 0, or -EAGAIN: it is empty. Call it after a step until it is. */
LB_PUBLIC LB_CHECKED int lb_closer_next(struct lb_closer *closer, struct lb_closed *closedp);

/*
 * The descriptor to watch, and the events to watch it for: always EPOLLIN, which is POLLIN. It becomes readable
 * whenever a step is due, be it for an event, a time or an addition, and stays so until the step: level- and
 * edge-triggered loops both work, and none needs a timer. Never read from it, never close it.
 */
LB_PUBLIC int      lb_closer_fd(const struct lb_closer *closer);
LB_PUBLIC uint32_t lb_closer_events(const struct lb_closer *closer);

/* When the next step is due if nothing happens before, for those who look on their own; LB_NEVER: none is. An addition
 * may make it earlier. A time that has passed: at once. */
LB_PUBLIC lb_time lb_closer_deadline(struct lb_closer *closer);

/* Does what is due, within bounds (step_bytes, 256 turns), and calls back. Never blocks. */
LB_PUBLIC void lb_closer_step(struct lb_closer *closer);

/* Steps, and waits in between, until lb_closer_stop: what a thread of the caller's is for. */
LB_PUBLIC void lb_closer_run(struct lb_closer *closer);

/* Ends the present lb_closer_run; if there is none, the next. What is being ended stays as it is. */
LB_PUBLIC void lb_closer_stop(struct lb_closer *closer);

/*
 * Steps, and waits in between, until nothing is being ended any more. At the deadline the rest is given up as at a
 * deadline of its own (LB_END_TIMEOUT). Either way every callback has been called on return, and the queue is complete.
 *
 * Returns 0, or -ETIMEDOUT: some were given up.
 */
LB_PUBLIC LB_CHECKED int lb_closer_drain(struct lb_closer *closer, lb_time deadline);

#ifdef __cplusplus
}
#endif
#endif
