/* SPDX-License-Identifier: MIT */
/*
 * message.h - small writes in few segments, sent at once.
 *
 * A message that is written in several parts costs a segment for each part with TCP_NODELAY, and a round trip or a
 * delayed ack in the middle of it without (RFC 896, RFC 9293 section 3.7.4). Whoever has all its parts sends them
 * with one lb_send_message; who makes them one after another opens a scope with LB_CORKED.
 *
 * None of these calls sets TCP_CORK. What is held back is held by MSG_MORE, send(2): for these bytes alone, never
 * for the socket, so that nothing that happens to the caller can leave a socket corked.
 *
 * They send; they do not end. After an error other than -EAGAIN the connection is over, and lb_close tells how.
 * One thread at a time may send on a socket with them.
 */
#ifndef LASTBYTE_MESSAGE_H
#define LASTBYTE_MESSAGE_H

#include <lastbyte/base.h>
#include <stdbool.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sends all parts, one after another, in the fewest segments and none of them later than the windows allow: its
 * tail waits neither for an ack (Nagle) nor for a cork that somebody has set, tcp(7). Waits for room, on an O_NONBLOCK
 * socket too, until the deadline; with one that has passed, it sends what there is room for and does not wait.
 * Never raises SIGPIPE. TCP_NODELAY is afterwards what it was before.
 *
 * iov, n    any number of parts, more than IOV_MAX too; a part may be empty. The caller's, and not changed.
 * sentp     always filled: so many bytes, from the first on, our kernel has taken; none of those after them.
 *           Taken is not delivered: that is for lb_close to say.
 *
 * Returns 0: it has taken all of it. -EAGAIN: the deadline passed before that; the rest is still to be sent, before
 * anything else is, or the peer takes what comes next for the rest. Otherwise nothing can be sent any more: -EPIPE:
 * our side is shut down, or was never connected; -ECONNRESET, -ETIMEDOUT, ...: the connection broke, see send(2).
 * Nothing was sent for -EBADF: fd is not open; -ENOTSOCK, -EOPNOTSUPP: fd is not a TCP socket; -EINVAL: n is
 * negative. -EINVAL, -EFAULT also for a part longer than SSIZE_MAX or not readable, which may come late.
 */
LB_PUBLIC LB_CHECKED int lb_send_message(
	int fd, const struct iovec *iov, int n, lb_time deadline, size_t *sentp);

/*
 * TCP_NODELAY, tcp(7). On: each send(2) makes segments of its own and none of them waits; what is held back is sent now.
 * Off: Nagle's algorithm, by which a segment that is not full waits until all before it is acked.
 *
 * Returns 0; -EBADF: fd is not open; -ENOTSOCK, -EOPNOTSUPP: fd is not a TCP socket.
 */
LB_PUBLIC LB_CHECKED int lb_nodelay(int fd, bool on);

/* A message that is made while it is sent. Its fields are its own; it holds no memory and no descriptor. */
struct lb_cork {
	int     fd; /* -1: it is over */
	lb_time deadline;
	bool    holding; /* the last of what was sent may wait for more */
};

/*
 * Opens a scope that ends with the block it stands in, however that is left but by longjmp(3) and pthread_exit(3):
 *
 *	LB_CORKED(cork, fd, lb_in_ms(20));
 *	for each part: error = lb_cork_send(&cork, &part, 1, deadline, &sent);
 *
 * What lb_cork_send sends is held back until it fills a segment, and sent
 *   - by lb_uncork, which the end of the block calls,
 *   - by the first lb_cork_send at or after the scope's deadline; from then on each sends at once,
 *   - whenever lb_cork_send finds no room, before it waits for it, and when it fails,
 *   - with whatever else the caller sends on fd meanwhile, sendfile(2) too,
 *   - by Linux when an ack comes: a segment more, and no delay, in a scope that lasts for longer than a round trip.
 * Nobody runs on the caller's behalf at the deadline itself: an event loop calls lb_uncork by lb_cork_deadline. A
 * program that does not, or crashes, or leaves by longjmp(3), has its last bytes delayed once by Linux, for about a
 * retransmission time-out (200 ms at least), unless it was the last to have the socket: its end sends them at once.
 * The socket has no mark of any of it: whoever else has it, or goes on with it, sends as ever.
 *
 * A scope within another one on the same socket ends by sending what both hold back.
 */
#define LB_CORKED(name, fd, deadline)                                                                        \
	struct lb_cork name __attribute__((cleanup(lb_uncork))) = lb_cork(fd, deadline)

/* The same without the end of the block: lb_uncork must be called. Does not look at fd, and cannot fail. */
LB_PUBLIC LB_CHECKED struct lb_cork lb_cork(int fd, lb_time deadline);

/* As lb_send_message, but for what is held back. `deadline` is that of this call. -EBADF also after lb_uncork. */
LB_PUBLIC LB_CHECKED int lb_cork_send(
	struct lb_cork *cork, const struct iovec *iov, int n, lb_time deadline, size_t *sentp);

/* When lb_uncork should be called at the latest; LB_NEVER while nothing is held back. */
LB_PUBLIC lb_time lb_cork_deadline(const struct lb_cork *cork);

/* Ends the scope and sends what is held back. Does nothing the second time, and cannot fail: what it could not send
 * because the connection is broken, the next call on fd tells. The fd is the caller's, as before, and must not have
 * been closed meanwhile. */
LB_PUBLIC void lb_uncork(struct lb_cork *cork);

#ifdef __cplusplus
}
#endif
#endif
