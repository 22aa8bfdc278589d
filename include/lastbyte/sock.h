/* SPDX-License-Identifier: MIT */
/*
 * sock.h - ends any TCP connection rightly, and says truthfully how it ended.
 *
 *	struct lb_outcome end;
 *	char line[256];
 *	lb_close(fd, NULL, lb_in_ms(5000), &end);
 *	if (end.rung < LB_RUNG_ENDED)
 *		fprintf(stderr, "%s\n", lb_outcome_text(&end, line, sizeof line));
 */
#ifndef LASTBYTE_SOCK_H
#define LASTBYTE_SOCK_H

#include <lastbyte/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Safeguards against peers that never close, drip, flood or never read. Zero means the default. */
struct lb_limits {
	lb_time  send_stall;  /* our send queue has not shrunk for so long: 10 s */
	lb_time  grace;       /* all of ours is acked: wait so long for the peer's end: 2 s */
	uint64_t drain_bytes; /* discard so many bytes at most, then stop reading: 64 MiB */
};

/* How to end a connection. All zero is a good choice. */
struct lb_ending {
	const void *last; /* written before the FIN: a close_notify, a QUIT; the caller's, until it returns */
	size_t      last_len;
	struct lb_limits limits;
};

/*
 * Ends a connected TCP socket: sends what `ending->last` holds, then FIN, goes on reading and discarding
 * (unread data at close(2) makes Linux send RST and drop the send queue), and closes once the peer has
 * ended too, or once our FIN is acked and `grace` has passed. Blocks, also on an O_NONBLOCK socket, until
 * then or until the deadline. When the deadline or a limit passes, it resets the connection if bytes of ours
 * are unacked; if none are, it leaves what the peer's kernel has in peace and closes. A peer that goes on
 * sending past `drain_bytes` is reset, once it has every byte of ours.
 *
 * fd        consumed, on success and on failure: never use it again. A copy of it in another process or
 *           descriptor does not keep the FIN from being sent.
 * ending    NULL for the defaults.
 * outcomep  always filled. `rung` ENDED: the peer's kernel has every byte and the peer ended after them
 *           without an error; a peer that had ended before they were acked only gets ACKED, as far as that can
 *           be seen: the kernel keeps no record of the order, and what happened before the call is not seen.
 *           ACKED: the peer's kernel has every byte, its application may not have read them. Neither proves
 *           that the peer's application has acted on them; only an answer of its own protocol does.
 *           accepted, acked: LB_UNKNOWN where the kernel cannot tell, which takes a network that failed before
 *           the call. On a connection that was reset before the call but after a shutdown(2) of the caller's,
 *           that FIN may count as one byte lost.
 *
 * Returns 0 when the connection has ended in whatever way (see outcomep); -EBADF: fd is not open;
 * -ENOTSOCK, -EOPNOTSUPP: fd is not a TCP socket (and is closed); -ENOTCONN: it was never connected.
 *
 * Rests on RFC 9293 section 3.6 (closing a connection), tcp(7), shutdown(2), close(2).
 */
LB_PUBLIC int lb_close(int fd, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep);

#ifdef __cplusplus
}
#endif
#endif
