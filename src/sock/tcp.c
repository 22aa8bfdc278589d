/* SPDX-License-Identifier: MIT */
/*
 * The questions to the kernel that an ending needs answered, each of them harder than it looks. Owns no state
 * and no descriptor, decides nothing: what the answers mean for an ending is in ending.c.
 */
#include "sock/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define READ_TRIES  64
#define ERROR_TRIES 8
#define PAUSE       INT64_C(1000000) /* 1 ms */

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

/*
 * SIOCINQ counts up to the urgent mark (tcp(7), "sockatmark"). The byte there, taken by MSG_OOB or not, lies in the queue
 * until it is read past, and makes close(2) reset like any other.
 */
uint64_t lb_tcp_unread(int fd)
{
	int n = 0, at_mark = 0;

	if (ioctl(fd, SIOCINQ, &n) == 0 && n > 0)
		return (uint64_t)n;
	return ioctl(fd, SIOCATMARK, &at_mark) == 0 && at_mark != 0;
}

static uint32_t unacked(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) < 0 ? LB_TCP_UNKNOWN : (uint32_t)n;
}

static int info(int fd, struct lb_tcp *tcp, bool *idlep)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	*tcp = (struct lb_tcp){0};
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	*tcp = (struct lb_tcp){
		.state = info.tcpi_state,
		/* tcpi_delivered counts the SYN of either side once the other has acked it, and survives a reset; with
		 * TCP Fast Open a server may have received bytes, and have answered them, before that */
		.connected = info.tcpi_delivered > 0 || info.tcpi_bytes_received > 0 ||
			     (info.tcpi_state != LB_TCP_CLOSED && info.tcpi_state != LB_TCP_SYN_SENT &&
				     info.tcpi_state != LB_TCP_LISTEN),
		/* it counts packets: SYN, data, and a FIN without data, if none of them was sent twice */
		.fin_acked =
			info.tcpi_total_retrans == 0 && info.tcpi_delivered > info.tcpi_data_segs_out + 1,
		.resent = info.tcpi_retransmits > 0 || info.tcpi_probes > 0,
		.unsent = info.tcpi_notsent_bytes,
		.acked = info.tcpi_bytes_acked,
		.sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
	};
	*idlep = info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0;
	return 0;
}

/* SIOCOUTQ is 0 by definition while a handshake (TCP Fast Open) is under way. */
static bool countable(const struct lb_tcp *tcp)
{
	return tcp->connected && tcp->state != LB_TCP_SYN_RECEIVED && tcp->unacked != LB_TCP_UNKNOWN;
}

int lb_tcp_look(int fd, struct lb_tcp *tcp)
{
	bool idle = false;
	int error = info(fd, tcp, &idle);

	if (error < 0)
		return error;
	/* A reset, too, leaves nothing in flight, and may come between the state and the rest: TCP_INFO takes the state
	 * before the lock. What was FIN_WAIT_2 once stays acked, and where a FIN is on its way, something is in flight. */
	tcp->idle = idle && (tcp->state == LB_TCP_ESTABLISHED || tcp->state == LB_TCP_CLOSE_WAIT);
	tcp->exact = tcp->state == LB_TCP_FIN_WAIT_2;
	if (tcp->idle || tcp->exact)
		return 0;
	tcp->unacked = unacked(fd);
	tcp->exact = countable(tcp) && tcp->state == LB_TCP_CLOSED;
	return 0;
}

/* MPTCP has a TCP_INFO as well, that of its first subflow. */
int lb_tcp_check(int fd, struct lb_tcp *tcp)
{
	int error = lb_tcp_look(fd, tcp), domain;

	if (error == 0 && option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP)
		return 0;
	if (error == -EPERM || error == -EACCES) /* a filter of system calls; nothing can be said of fd */
		return error;
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	domain = option(fd, SOL_SOCKET, SO_DOMAIN);
	return domain < 0 ? -ENOTSOCK : -EOPNOTSUPP;
}

/*
 * SIOCOUTQ and TCP_INFO are two calls, and an ack may come between them. Our acked sequence number only grows, so
 * what TCP_INFO says belongs to a SIOCOUTQ that is the same before and after it. TCP_INFO takes the state before
 * it takes the lock, and may so show one that a segment, half worked off, has just ended; SIOCINQ waits for it.
 */
void lb_tcp_read(int fd, struct lb_tcp *tcp)
{
	int unread, tries = READ_TRIES;
	uint32_t before, after;
	bool idle;

	do {
		(void)ioctl(fd, SIOCINQ, &unread);
		before = unacked(fd);
		info(fd, tcp, &idle);
		after = unacked(fd);
	} while (before != after && --tries > 0);
	tcp->unacked = tcp->state == LB_TCP_FIN_WAIT_2 ? 0 : after;
	tcp->exact = tcp->state == LB_TCP_FIN_WAIT_2 || (before == after && countable(tcp));
}

/*
 * Nothing says directly which side connected. But `sent` counts bytes alone, so what `acked` and `unacked` have
 * more than it must be SYN and FIN. A packet that a dead route swallowed is counted twice in tcpi_bytes_sent: then
 * the sum does not work out, and the answer is that there is none.
 */
int lb_tcp_syn(const struct lb_tcp *tcp, bool fin)
{
	uint64_t unsent_bytes = tcp->unsent - (fin && tcp->unsent > 0);
	uint64_t syn = tcp->acked + tcp->unacked - fin - tcp->sent - unsent_bytes;

	return (tcp->exact || tcp->idle) && syn <= 1 ? (int)syn : -1;
}

/*
 * Whether a call that has failed with errno is to be repeated. An error may be none of the connection's: with IP_RECVERR
 * each ICMP message is told once, by whichever call comes first, and what it tells of need have ended nothing.
 */
static bool again(int fd, int *triesp)
{
	int error = errno;
	struct lb_tcp tcp;
	bool idle, is = error == EINTR;

	if (!is && error != EAGAIN && --*triesp > 0)
		is = info(fd, &tcp, &idle) == 0 && tcp.state != LB_TCP_CLOSED;
	errno = error;
	return is;
}

/* TCP_INQ, beside a recvmsg(2) that has nothing to read: it counts a FIN that was received as a byte to come. */
static int at_fin_by_inq(int fd)
{
	int on = 1, before = option(fd, IPPROTO_TCP, TCP_INQ), inq = -1;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof inq)];
	} control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on) < 0)
		return -ENOSYS;
	n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	cmsg = n == 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cmsg != NULL && cmsg->cmsg_level == IPPROTO_TCP && cmsg->cmsg_type == TCP_CM_INQ)
		memcpy(&inq, CMSG_DATA(cmsg), sizeof inq);
	if (before == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_INQ, &before, sizeof before);
	if (n == 0 && inq < 0)
		return -ENOSYS;
	return n == 0 && inq > 0;
}

/*
 * recv(2) returns 0 also after a reset whose error somebody has taken already, so that 0 proves nothing. The zero-copy
 * receive does tell, asked for nothing: EIO where all is read and a FIN was received, 0 where not. TCP_INQ, which takes
 * more calls, is for kernels that have no zero-copy receive.
 */
int lb_tcp_at_fin(int fd)
{
	struct tcp_zerocopy_receive receive = {0};
	socklen_t len = offsetof(struct tcp_zerocopy_receive, recv_skip_hint) + sizeof receive.recv_skip_hint;

	if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &receive, &len) == 0)
		return 0;
	return errno == EIO ? 1 : at_fin_by_inq(fd);
}

ssize_t lb_tcp_recv(int fd, void *buf, size_t len, int flags)
{
	int tries = ERROR_TRIES, fin;
	ssize_t n;

	do
		n = recv(fd, buf, len, flags | MSG_DONTWAIT);
	while (n < 0 && again(fd, &tries));
	if (n != 0)
		return n < 0 ? -errno : n;
	fin = lb_tcp_at_fin(fd);
	if (fin != 0)
		return fin < 0 ? fin : 0;
	return -ENODATA;
}

/*
 * What wakes may not help: POLLERR, which cannot be masked, also stands for what lies in the socket's error queue (time
 * stamps, zero copy) for the caller to read, and under memory pressure there can be room that cannot be had.
 */
void lb_tcp_await(struct lb_tcp_wait *wait, int fd, uint32_t events, lb_time until, uint64_t done)
{
	bool vain = wait->woken && wait->done == done;
	struct pollfd poll_fd = {.fd = fd, .events = (short)events};
	lb_time now = lb_now(), left = until > now ? until - now : 0;
	struct timespec timeout;

	if (vain && left > PAUSE)
		left = PAUSE;
	timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	wait->woken = ppoll(&poll_fd, events != 0 && !vain, &timeout, NULL) == 1;
	wait->done = done;
}

ssize_t lb_tcp_send(int fd, const void *buf, size_t len)
{
	int tries = ERROR_TRIES;
	ssize_t n;

	do
		n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
	while (n < 0 && again(fd, &tries));
	return n < 0 ? -errno : n;
}

/*
 * tcp(7): MSG_TRUNC makes the kernel throw the bytes away instead of copying them. The buffer is there for what
 * stands between us and TCP and ignores the flag (kernel TLS, emulators), and for tools that check the arguments
 * of system calls; Linux does not touch it. The room for control data is for kernel TLS, too, which else returns EIO
 * for every record that is not data, such as the alert close_notify.
 */
int lb_tcp_discard(int fd, uint64_t max, uint64_t *countp)
{
	int tries = ERROR_TRIES;
	char buf[32768], control[256];

	while (max > 0) {
		struct iovec iov = {.iov_base = buf, .iov_len = max < sizeof buf ? max : sizeof buf};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		ssize_t n = recvmsg(fd, &msg, MSG_TRUNC | MSG_DONTWAIT);

		if (n < 0 && again(fd, &tries))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		max -= (uint64_t)n;
		*countp += (uint64_t)n;
	}
	return 1;
}

/*
 * SO_ERROR also hands out "soft" errors, such as an ICMP message that did not end the connection. Only the
 * others raise POLLERR.
 */
int lb_tcp_take_error(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	int error = 0;

	if (poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLERR) != 0)
		error = option(fd, SOL_SOCKET, SO_ERROR);
	return error > 0 ? error : 0;
}

bool lb_tcp_has_user_timeout(int fd)
{
	return option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) > 0;
}

void lb_tcp_set_user_timeout(int fd, lb_time timeout)
{
	lb_time ms = timeout / 1000000 + (timeout % 1000000 > 0);
	unsigned value = ms < INT_MAX ? (unsigned)ms : INT_MAX;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

void lb_tcp_linger(int fd, int seconds)
{
	struct linger linger = {.l_onoff = seconds >= 0, .l_linger = seconds >= 0 ? seconds : 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

void lb_tcp_spare(int fd)
{
	int usual = 0;

	if (option(fd, IPPROTO_TCP, TCP_LINGER2) < 0)
		setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &usual, sizeof usual);
}

/* close(2) with a linger time of 0 resets, but not while a copy of the descriptor is open somewhere; connect(2) to
 * AF_UNSPEC does. The linger time is for kernels that refuse that while another thread waits on the socket. */
void lb_tcp_reset(int fd)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	lb_tcp_linger(fd, 0);
	(void)connect(fd, &nobody, sizeof nobody);
}
