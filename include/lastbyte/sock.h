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

/*
 * Which policy when (enum lb_policy). What each of them proves is the highest rung that an outcome can have by it.
 * `last` is sent first by every one of them but abort.
 *
 * drain          FIN, then reads and discards until the peer has ended too; once all of ours is acked, only `idle` and
 *                `total` long. Proves ENDED. Costs time where the peer keeps its end open. The default; right
 *                wherever the peer may still send, and where nothing is known of it.
 * acked          FIN, then reads and discards until the FIN is acked. Proves ACKED. What comes later is answered by
 *                RST, upon which a peer that is not Linux may drop what it has not read. Right where the peer's
 *                end need not be waited for.
 * finish         shutdown(SHUT_WR) and close(2), at once; the kernel goes on. Proves ACKED if nothing was unacked,
 *                else nothing. Risks the whole send queue: data from the peer that lies unread, or comes later,
 *                makes Linux send RST and drop it. Right where the peer sends nothing more and nobody asks.
 * linger_finish  As finish, but close(2) waits for the ack of the FIN, on a non-blocking socket too, in whole
 *                seconds up to the deadline, rounded up. Proves and risks what finish does: close(2) returns 0
 *                after an ack, RST, time-out or signal alike. Right where the peer sends nothing more and the
 *                machine or its network goes down next.
 * linger         As linger_finish without the shutdown(2), so with a copy of the socket elsewhere it does nothing.
 * plain          close(2). Proves and risks what finish does; with a copy of the socket elsewhere it does nothing.
 *                Right once both ends have agreed that nothing more comes (CLOSE, CLOSE_OK): nothing is faster.
 * abort          RST, whoever else holds the socket: what is unacked here and unread there is dropped. Proves
 *                nothing. Right where the stream must not look complete, or the peer is an enemy.
 *
 * Rests on RFC 9293 sections 3.6, 3.6.1 (RST for data that nobody reads), 3.10.4 and 3.10.5, tcp(7), socket(7)
 * (SO_LINGER), shutdown(2), close(2).
 */

/* What to do when the deadline or a limit has passed and bytes of ours are unacked. */
enum lb_on_expiry {
	LB_EXPIRY_ABORT, /* RST: the peer cannot take what it got for everything */
	LB_EXPIRY_DETACH, /* close(2), the kernel goes on, for `orphan` long; but RST if `last` is not written in full */
	LB_EXPIRY_KEEP, /* lb_close returns -EAGAIN, and fd is the caller's again */
};

/* Safeguards against peers that never close, drip, flood or never read. Zero means the default. */
struct lb_limits {
	lb_time send_stall; /* our send queue has not shrunk for so long: 10 s; slow progress never ends it */
	lb_time cap; /* of the whole while bytes are unacked: the deadline, or 120 s where that is LB_NEVER */
	lb_time idle;         /* all of ours is acked: nothing came from the peer for so long: 2 s */
	lb_time total;        /* all of ours is acked: at most so long: 30 s */
	uint64_t drain_bytes; /* discard so many bytes at most, then stop reading: 64 MiB */
	lb_time orphan; /* TCP_USER_TIMEOUT of what LB_EXPIRY_DETACH leaves: 60 s, from the peer's last progress */
};

/* How to end a connection. All zero is a good choice. */
struct lb_ending {
	enum lb_policy    policy;
	enum lb_on_expiry on_expiry;
	const void *last; /* written before the FIN: a close_notify, a QUIT; the caller's, until it returns */
	size_t      last_len;
	struct lb_limits limits;
};

/*
 * Ends a connected TCP socket, as ending->policy says. By default it sends what `ending->last` holds, then FIN, goes on
 * reading and discarding (unread data at close(2) makes Linux send RST and drop the send queue), and closes once
 * the peer has ended too, or once our FIN is acked and then nothing came for `idle`. Blocks, also on an O_NONBLOCK
 * socket, until then or until the deadline; signals do not end it. When the deadline or a limit passes with bytes of
 * ours unacked, it does as `on_expiry` says; if none are, it leaves what the peer's kernel has in peace and closes. A
 * peer that goes on sending past `drain_bytes` is reset, once it has every byte of ours. What the socket has of
 * SO_LINGER, and a negative TCP_LINGER2, by which close(2) would wait or reset, is taken back.
 *
 * fd        consumed, on success and on failure: never use it again. Only with -EAGAIN it is the caller's, open as it
 *           was but for what has been sent: a second lb_close goes on from there. A copy of it in another process or
 *           descriptor does not keep the FIN from being sent, but by the policies linger and plain.
 * ending    NULL for the defaults.
 * outcomep  always filled. `rung` ENDED: the peer's kernel has every byte and the peer ended after them
 *           without an error; a peer that had ended before they were acked only gets ACKED, as far as that can
 *           be seen: the kernel keeps no record of the order, and what happened before the call is not seen.
 *           ACKED: the peer's kernel has every byte, its application may not have read them. Neither proves
 *           that the peer's application has acted on them; only an answer of its own protocol does.
 *           `how`, beside FIN, RST, TIMEOUT and NET_ERROR for what happened:
 *           - LOCAL_ABORT by self: abort, `drain_bytes`, or this machine's administrator (`ss -K`).
 *           - DETACHED: the kernel goes on, or has reset because of `discarded`, the data that lay unread at the
 *             close(2) of finish, linger_finish, linger or plain; nobody can tell which, for it depends on whether
 *             another process or descriptor has a copy.
 *           - OPEN: -EAGAIN was returned. `phase` DATA says that `last` is not written in full: what `accepted` has more
 *             than the caller wrote is the part that is, the next call takes the rest; else it takes none.
 *           - FIN in phase DATA: the peer had ended, and before the call so had the whole connection, by our FIN or
 *             by a reset whose error somebody had taken: nothing that the kernel keeps tells these apart where our FIN
 *             went with the last data, or was sent twice.
 *           - RST by none: our reading end was shut (SHUT_RD, SHUT_RDWR) by somebody, so that data from the peer makes
 *             our own kernel reset; it was that, or the peer.
 *           - RST by peer without an errno: somebody had taken the error; if that was before the call, it may have been
 *             our own kernel's or administrator's.
 *           - TIMEOUT by network: the kernel gave up; with TCP_USER_TIMEOUT also on a peer that answers and takes
 *             nothing.
 *           - NET_ERROR by none, ENOSYS: a FIN or a reset, on a system that does not tell which (it takes TCP_INQ or
 *             TCP_ZEROCOPY_RECEIVE).
 *           `lost` counts what was given up for certain; it is LB_UNKNOWN where bytes were unacked and the kernel,
 *           or the caller, goes on. accepted, acked, lost: LB_UNKNOWN also where the kernel does not tell: after a
 *           network failed before the call, with TCP Fast Open before the handshake is done, and where SIOCOUTQ is
 *           refused. On a connection that was reset before the call but after a shutdown(2) of the caller's, that
 *           FIN may count as one byte lost. accepted and acked are one too many on the side that connected if a
 *           network that failed before the call swallowed one byte, alone and once. `discarded` has an urgent byte
 *           (tcp(7)) only if it lies unread, and then not what lies behind it.
 *
 * Returns 0 when the connection has ended in whatever way (see outcomep); -EBADF: fd is not open;
 * -ENOTSOCK, -EOPNOTSUPP: fd is not a TCP socket (and is closed); -ENOTCONN: it was never connected, or listens (and
 * is closed); -EAGAIN: LB_EXPIRY_KEEP, and the deadline or a limit passed with bytes unacked; -EPERM, -EACCES: a filter
 * of system calls keeps us from asking what fd is (and it is reset).
 */
LB_PUBLIC int lb_close(int fd, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep);

/*
 * Half-close: FIN after everything that was written. Does not block and proves nothing. fd stays the caller's; reading
 * goes on, writing fails with EPIPE, lb_close ends it. Once more is no error.
 *
 * Returns 0; -EBADF: fd is not open; -ENOTSOCK, -EOPNOTSUPP: it is not a TCP socket; -ENOTCONN: it is not connected,
 * not yet or no more, or it listens. After an error nothing has changed.
 *
 * Rests on RFC 9293 section 3.6, shutdown(2) with SHUT_WR.
 */
LB_PUBLIC LB_CHECKED int lb_finish(int fd);

/*
 * RST: what is unacked here and unread there is dropped, and the peer's next call fails, unless the connection had
 * ended before. Does not block. As lb_close with LB_POLICY_ABORT: fd is consumed, and a copy of it elsewhere is dead as
 * well; outcomep is always filled, `lost` with what was unacked, `discarded` with what lay unread.
 *
 * Returns 0, -EBADF, -ENOTSOCK, -EOPNOTSUPP, -ENOTCONN as lb_close.
 *
 * Rests on RFC 9293 section 3.10.5 (ABORT), connect(2) with AF_UNSPEC.
 */
LB_PUBLIC int lb_abort(int fd, struct lb_outcome *outcomep);

/*
 * Half-close request and reply: the end of the stream is the end of the message (RFC 9293, section 3.6: who has sent
 * FIN may go on receiving). These return 0 only for a message that truly ended, with the peer's FIN: one that a reset,
 * a time-out or a failed network has cut never looks complete, also when somebody else has taken the socket's error
 * (SO_ERROR, a failed send), after which recv(2) returns 0 as at a true end. What a true end does not prove is that the
 * peer wrote all it had: a program that dies has its sockets ended with a FIN.
 *
 * All three block, on an O_NONBLOCK socket too, and raise no signal. The return value is about what is read, the
 * outcome about what we sent. Beside what each says for itself they return
 *   -EMSGSIZE   more than `cap` bytes came; these lie in the buffer, those after them were not asked for
 *   -ETIMEDOUT  the deadline passed before the end came; what has come lies in the buffer
 *   -ECONNRESET it was cut; what had come before may lie in the buffer. outcomep->how and by say of what: RST, a
 *               TIMEOUT or NET_ERROR of the network, NET_ERROR by none (lb_close), LOCAL_ABORT: by our own
 *               shutdown(SHUT_RD)
 *   -EBADF, -ENOTSOCK, -EOPNOTSUPP, -ENOTCONN: as lb_close
 */

/*
 * Reads to the true end of the stream. fd stays the caller's: whatever this returns, lb_close has to end it, and after
 * -EMSGSIZE and -ETIMEDOUT what comes can be read on.
 *
 * buf, cap  for the bytes. cap may be 0: then only an empty stream fits, and buf may be NULL.
 * lenp      bytes that lie in buf; filled on every path.
 * outcomep  always filled, with what is known now: how FIN when it returns 0, OPEN after -EMSGSIZE, TIMEOUT by self
 *           at the deadline. The rung is ACKED at most: that the peer has ended, and whether because of what we
 *           sent, is for lb_close to find out.
 *
 * Rests on RFC 9293, sections 3.6 and 3.10.7; recv(2); tcp(7); the kernel's TCP_INQ.
 */
LB_PUBLIC LB_CHECKED int lb_read_all(
	int fd, void *buf, size_t cap, size_t *lenp, lb_time deadline, struct lb_outcome *outcomep);

/*
 * Sends the request and FIN, reads the reply to its true end, and ends the connection as lb_close does, all by one
 * deadline. Sends and reads at the same time: a peer that answers before it has read everything keeps nobody waiting.
 * When the reply has ended, or is too long, what is left of the request is still sent. If that is refused by a
 * connection that has not broken, it is reset, so that half of a request cannot look whole: -ECONNRESET, LOCAL_ABORT.
 *
 * fd        consumed, on success and on failure.
 * request   request_len bytes, which may be 0; what the connection carried before is part of the peer's stream, too.
 * reply     room for cap bytes. lenp: how many lie there; filled on every path.
 * outcomep  always filled, as by lb_close, of the request and of everything sent before it. A reply can be whole though
 *           the request never arrived whole (a peer that refuses early), so that 0 with a rung below ENDED is possible.
 *           discarded: bytes of the reply that there was no room for.
 *
 * 0 and ENDED prove that the peer's kernel had the whole request when its application ended the connection, and that
 * the reply is as long as the peer made it. Only what the reply says proves more.
 */
LB_PUBLIC LB_CHECKED int lb_exchange(int fd, const void *request, size_t request_len, void *reply, size_t cap,
	size_t *lenp, lb_time deadline, struct lb_outcome *outcomep);

/* The other side's part in an exchange. */
struct lb_answering {
	void  *request; /* room for request_cap bytes; when lb_answer returns, the request lies there */
	size_t request_cap;
	/*
	 * Called once, when the request has truly ended and is whole. 0: *replyp and *reply_lenp, which are an empty reply
	 * beforehand, hold the reply, until lb_answer has returned. Else a negative errno: nothing is answered.
	 */
	int (*reply)(void *arg, const void *request, size_t len, const void **replyp, size_t *reply_lenp);
	void *arg;
};

/*
 * Reads the request to its true end, calls back for the reply, sends it and ends the connection as lb_close does, all
 * by one deadline, the time of the callback included. A request that was cut, is too long or has not ended at the
 * deadline is never passed on, and never answered: the connection is reset, because a FIN would be an empty reply.
 *
 * fd        consumed, on success and on failure.
 * outcomep  always filled, as by lb_close, of the reply. Its rung is ACKED at most, but for an empty reply: the peer has
 *           ended its stream before, so that its FIN says nothing of the reply. How FIN and ACKED together: its kernel
 *           has the whole reply and did not reset it.
 *
 * Returns 0 when the request was whole, and the reply was given; outcomep tells what became of it, also when the
 * deadline has passed meanwhile. -EMSGSIZE, -ETIMEDOUT, -ECONNRESET: of the request; what the callback returned, if that
 * is not 0. After each of these the connection has been reset.
 */
LB_PUBLIC LB_CHECKED int lb_answer(
	int fd, const struct lb_answering *answering, lb_time deadline, struct lb_outcome *outcomep);

#ifdef __cplusplus
}
#endif
#endif
