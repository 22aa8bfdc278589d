/* SPDX-License-Identifier: MIT */
/* What Linux tells about one TCP connection, and the few things that only Linux can be asked to do with it. */
#ifndef SOCK_TCP_H
#define SOCK_TCP_H

#include <lastbyte/base.h>
#include <stdbool.h>
#include <sys/types.h>

/* The states of RFC 9293, section 3.3.2, as tcpi_state numbers them: netinet/tcp.h has their names, and cannot
 * be included beside linux/tcp.h, which alone has the whole of struct tcp_info. */
enum lb_tcp_state {
	LB_TCP_ESTABLISHED = 1,
	LB_TCP_SYN_SENT,
	LB_TCP_SYN_RECEIVED,
	LB_TCP_FIN_WAIT_1,
	LB_TCP_FIN_WAIT_2,
	LB_TCP_TIME_WAIT,
	LB_TCP_CLOSED,
	LB_TCP_CLOSE_WAIT,
	LB_TCP_LAST_ACK,
	LB_TCP_LISTEN,
	LB_TCP_CLOSING,
};

#define LB_TCP_UNKNOWN UINT32_MAX

/* A connection at one moment. Sequence numbers count a SYN and a FIN as a byte each; bytes are bytes. */
struct lb_tcp {
	enum lb_tcp_state state;
	bool              connected; /* it is, or was, established, or accepted by TCP Fast Open */
	bool              exact;     /* the counts belong to the same moment, and mean something */
	bool idle; /* nothing was on its way or waiting to be: all is acked, or a reset, which the next look shows */
	bool     fin_acked; /* our FIN is acked, and went in a packet of its own; false says nothing */
	bool     resent;  /* the last thing sent was a repetition, or a probe, that nobody had answered yet */
	uint32_t unacked; /* sequence numbers written and not acked, FIN included; or LB_TCP_UNKNOWN */
	uint32_t unsent;  /* of these, those that were never sent */
	uint64_t acked;   /* sequence numbers acked; FIN included, and SYN on the connecting side */
	uint64_t sent;    /* bytes sent at least once */
};

/* Fills *tcp as lb_tcp_look does, if fd is a TCP socket; -EBADF, -ENOTSOCK, -EOPNOTSUPP. */
int lb_tcp_check(int fd, struct lb_tcp *tcp);

/* Fills *tcp: the state, and counts that are exact only once nothing more can change them: where our FIN is acked, and
 * in state CLOSED. One system call or two. Cannot fail on a TCP socket. */
int lb_tcp_look(int fd, struct lb_tcp *tcp);

/* Fills *tcp with counts that are exact in every state, where the kernel tells them at all. Four system calls. Cannot
 * fail on a TCP socket. */
void lb_tcp_read(int fd, struct lb_tcp *tcp);

/* How many SYNs `acked` counts, 0 or 1, if our FIN has been written or not; -1: the kernel cannot tell. What was only
 * idle may have been reset, and this be wrong: then the next look says so. */
int lb_tcp_syn(const struct lb_tcp *tcp, bool fin);

/* After recv(2) has returned 0. 1: a FIN of the peer's was received, and everything before it is read, a true end of
 * stream; 0: it is none; -ENOSYS: this kernel does not tell. */
int lb_tcp_at_fin(int fd);

/* recv(2) whose 0 is a true end of the stream, for len > 0. Never blocks: -EAGAIN. What broke the stream is told once,
 * by whichever call asks first; -ENODATA is an end that is none, of whose error nobody knows any more, -ENOSYS one that
 * may be none. */
ssize_t lb_tcp_recv(int fd, void *buf, size_t len, int flags);

/* One who waits, zero at first. */
struct lb_tcp_wait {
	bool     woken; /* by fd, the last time */
	uint64_t done;  /* what he had got done by then */
};

/* Blocks until one of these events of poll(2), a signal, or the time. Events 0: hang-ups and errors, which cannot be
 * masked, do not wake either. `done` is what the caller has got done so far, in any measure: if fd woke him in vain,
 * only time wakes him next, after 1 ms. */
void lb_tcp_await(struct lb_tcp_wait *wait, int fd, uint32_t events, lb_time until, uint64_t done);

/* send(2) of what comes before our FIN: MSG_MORE keeps the tail back for it, and the shutdown(2) that follows sends both.
 * Never blocks: -EAGAIN. */
ssize_t lb_tcp_send(int fd, const void *buf, size_t len);

/* Throws up to max received bytes away and adds their number to *countp. 1: that many were there, more may be;
 * 0: the end of the stream, true or false; -EAGAIN: no more for now; -ECONNRESET, ... */
int lb_tcp_discard(int fd, uint64_t max, uint64_t *countp);

/* Bytes received and not read; at an urgent mark 1, and more may lie behind it. */
uint64_t lb_tcp_unread(int fd);

/* Takes the error that is pending on the socket, as a positive errno; 0: none. */
int lb_tcp_take_error(int fd);

/* Whether the kernel gives up by itself after a time that somebody has set. */
bool lb_tcp_has_user_timeout(int fd);

/* tcp(7): TCP_USER_TIMEOUT. After so long without an ack, or with a closed window, the kernel gives up. */
void lb_tcp_set_user_timeout(int fd, lb_time timeout);

/* SO_LINGER: seconds, or -1 to have close(2) neither wait nor reset. */
void lb_tcp_linger(int fd, int seconds);

/* tcp(7): a TCP_LINGER2 below 0 has close(2) reset once our FIN is acked; listeners pass it on. This takes it back. */
void lb_tcp_spare(int fd);

/* RST, whoever else holds the socket. */
void lb_tcp_reset(int fd);

#endif
