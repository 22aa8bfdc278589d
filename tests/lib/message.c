/* SPDX-License-Identifier: MIT */
/* The messages of message.h. */
#include "lib/message.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int message_network(void **state)
{
	char command[512];

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return 0;
	snprintf(command, sizeof command,
		"ip link set lo up && echo 0 >/proc/sys/net/ipv4/tcp_early_retrans && "
		"ip route change local 127.0.0.1 dev lo table local rto_min %d && "
		"ip -6 route add local ::1 dev lo table local metric 1 rto_min %d && "
		"ip -6 route del local ::1 dev lo table local metric 0",
		MESSAGE_RETRANSMISSION_MS, MESSAGE_RETRANSMISSION_MS);
	return system(command);
}

void message_deafen(struct tcp *tcp)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog filter = {.len = 1, .filter = &drop};

	assert_return_code(
		setsockopt(tcp->peer.fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), errno);
}

void message_undeafen(struct tcp *tcp)
{
	int unused = 0;

	assert_return_code(
		setsockopt(tcp->peer.fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused), errno);
}

int message_held(struct tcp *tcp)
{
	int n = -1;

	assert_return_code(ioctl(tcp->ours, SIOCOUTQNSD, &n), errno);
	return n;
}

int message_option(struct tcp *tcp, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	assert_return_code(getsockopt(tcp->ours, IPPROTO_TCP, name, &value, &len), errno);
	return value;
}

void message_set_option(struct tcp *tcp, int name, int value)
{
	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, name, &value, sizeof value), errno);
}

unsigned message_segments(struct tcp *tcp)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(tcp->ours, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return info.tcpi_data_segs_out;
}

int message_send_parts(struct tcp *tcp, struct lb_cork *cork, size_t len, int n, lb_time deadline)
{
	char *bytes = malloc(len);
	struct iovec *iov = calloc((size_t)n, sizeof *iov);
	size_t at = 0, sent = SIZE_MAX;
	int error;

	assert_non_null(bytes);
	assert_non_null(iov);
	tcp_pattern(bytes, tcp->written, len);
	for (int i = 0; i < n; i++) {
		size_t part = i == n - 1 ? len - at : i % 3 == 1 ? 0 : len / (size_t)n;

		iov[i] = (struct iovec){.iov_base = bytes + at, .iov_len = part};
		at += part;
	}
	error = cork != NULL ? lb_cork_send(cork, iov, n, deadline, &sent)
			     : lb_send_message(tcp->ours, iov, n, deadline, &sent);
	if (error == 0)
		assert_int_equal(sent, len);
	else
		assert_true(sent < len);
	tcp->written += sent;
	free(iov);
	free(bytes);
	return error;
}

int message_send(struct tcp *tcp, size_t len, int n, lb_time deadline)
{
	return message_send_parts(tcp, NULL, len, n, deadline);
}

int message_hold(struct tcp *tcp, struct lb_cork *cork, size_t len)
{
	return message_send_parts(tcp, cork, len, 1, MESSAGE_SOON);
}

void message_finish(struct tcp *tcp)
{
	assert_return_code(shutdown(tcp->ours, SHUT_WR), errno);
	if (tcp->peer.play == NULL)
		tcp_play(tcp, tcp_peer_read_all);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
}
