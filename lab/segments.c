/* SPDX-License-Identifier: MIT */
/* The counting of segments.h. Owns no state: the packet socket is its caller's, and the counts are. */
#include "lab/segments.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define IPV4_MIN 20
#define IPV6_LEN 40
#define TCP_MIN  20

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04

#define TAP_BUFFER (64 << 20)

static size_t big_endian_16(const unsigned char *at)
{
	return (size_t)at[0] << 8 | at[1];
}

static void add_tcp(struct segments *segments, const unsigned char *tcp, size_t total)
{
	size_t header = (size_t)(tcp[12] >> 4) * 4, payload = total > header ? total - header : 0;
	unsigned flags = tcp[13] & (FLAG_FIN | FLAG_SYN | FLAG_RST);

	segments->all++;
	segments->bytes += payload;
	segments->data += payload > 0;
	segments->acks += payload == 0 && flags == 0;
	segments->syn += (flags & FLAG_SYN) != 0;
	segments->fin += (flags & FLAG_FIN) != 0;
	segments->rst += (flags & FLAG_RST) != 0;
}

/* Lengths are the IP header's: the packet may be there in part only. Linux sends TCP without IPv6 extensions. */
const unsigned char *segments_tcp(const unsigned char *packet, size_t len, size_t *totalp)
{
	size_t header, total;
	int protocol;

	if (len >= IPV4_MIN && packet[0] >> 4 == 4) {
		header = (size_t)(packet[0] & 15) * 4;
		total = big_endian_16(packet + 2);
		protocol = packet[9];
	} else if (len >= IPV6_LEN && packet[0] >> 4 == 6) {
		header = IPV6_LEN;
		total = IPV6_LEN + big_endian_16(packet + 4);
		protocol = packet[6];
	} else {
		return NULL;
	}
	if (protocol != IPPROTO_TCP || len < header + TCP_MIN || total < header + TCP_MIN)
		return NULL;
	*totalp = total - header;
	return packet + header;
}

void segments_add(struct segments *segments, const unsigned char *packet, size_t len)
{
	size_t total;
	const unsigned char *tcp = segments_tcp(packet, len, &total);

	if (tcp != NULL)
		add_tcp(segments, tcp, total);
}

/*
 * SOCK_DGRAM: packets begin with the IP header. The filter keeps no more of each than its headers. Where there is no
 * permission for so large a buffer, it is as large as rmem_max allows, and `missed` says so if that is too small.
 */
int segments_tap(const char *name)
{
	struct sock_filter headers[] = {BPF_STMT(BPF_RET | BPF_K, SEGMENTS_HEADERS)};
	struct sock_fprog program = {.len = 1, .filter = headers};
	struct sockaddr_ll device = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int tap = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = TAP_BUFFER, error;

	if (tap < 0)
		return -errno;
	if (setsockopt(tap, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
		setsockopt(tap, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	device.sll_ifindex = (int)if_nametoindex(name);
	if (device.sll_ifindex == 0 ||
		setsockopt(tap, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
		bind(tap, (struct sockaddr *)&device, sizeof device) < 0) {
		error = errno;
		close(tap);
		return -error;
	}
	return tap;
}

/* What was missed has no direction that anybody knows: it is said of both. */
void segments_read(int tap, struct segments *out, struct segments *in)
{
	unsigned char packet[SEGMENTS_HEADERS];
	struct tpacket_stats stats = {0};
	socklen_t stats_len = sizeof stats;

	for (;;) {
		struct sockaddr_ll from = {0};
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(tap, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		segments_add(from.sll_pkttype == PACKET_OUTGOING ? out : in, packet, (size_t)n);
	}
	if (getsockopt(tap, SOL_PACKET, PACKET_STATISTICS, &stats, &stats_len) == 0) {
		out->missed += stats.tp_drops;
		in->missed += stats.tp_drops;
	}
}
