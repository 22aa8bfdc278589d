/* SPDX-License-Identifier: MIT */
/*
 * The pairing of pair.h. A packet that arrives is the one that left with the same headers, which differ from packet to
 * packet in IPv4's identification or TCP's numbers and time stamps; of those that do not, the first is taken, as links
 * keep their order. Owns nothing.
 */
#include "lab/pair.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define TCP_MIN      20
#define OPTION_END   0
#define OPTION_NOP   1
#define OPTION_SCALE 3 /* RFC 7323, section 2.2 */
#define SHIFT_MAX    14

#define REORDERED 64 /* packets: several processors may carry those of one direction */

/* Addresses of the ends, as they are in packets; and who listens, for where both have the same. */
struct ends {
	unsigned char addresses[2][2][sizeof(struct in6_addr)]; /* by end and family */
	unsigned char port[2];
	enum link_end listener;
};

struct stream {
	bool known, scales;
	uint32_t first;
	uint8_t shift;
};

static struct ends ends_of(const struct link *link)
{
	struct ends ends = {.listener = LINK_RIGHT};

	for (int end = LINK_LEFT; end <= LINK_RIGHT; end++) {
		struct sockaddr_storage address;

		link_address(link, end, AF_INET, 0, &address);
		memcpy(ends.addresses[end][0], &((struct sockaddr_in *)&address)->sin_addr,
			sizeof(struct in_addr));
		link_address(link, end, AF_INET6, 0, &address);
		memcpy(ends.addresses[end][1], &((struct sockaddr_in6 *)&address)->sin6_addr,
			sizeof(struct in6_addr));
	}
	return ends;
}

/*
 * On a loopback, whoever connects to itself has one address: if that is the left end's alone, it is the right end that
 * connected to the left one, and its address the kernel's choice.
 */
static enum link_end sender(struct ends *ends, const unsigned char *ip, const unsigned char *tcp)
{
	bool v6 = ip[0] >> 4 == 6;
	size_t len = v6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	const unsigned char *from = ip + (v6 ? 8 : 12), *left = ends->addresses[LINK_LEFT][v6];
	bool from_left = memcmp(from, left, len) == 0, to_left = memcmp(from + len, left, len) == 0;

	if (from_left != to_left)
		return from_left ? LINK_LEFT : LINK_RIGHT;
	if ((tcp[13] & (LAB_SYN | LAB_ACK)) == LAB_SYN) {
		memcpy(ends->port, tcp + 2, sizeof ends->port);
		ends->listener =
			memcmp(left, ends->addresses[LINK_RIGHT][v6], len) == 0 ? LINK_RIGHT : LINK_LEFT;
	}
	return memcmp(tcp, ends->port, sizeof ends->port) == 0 ? ends->listener : !ends->listener;
}

static void locate(struct ends *ends, struct lab_side *side, struct lab_packet *packet)
{
	const unsigned char *ip = packet->bytes + side->ip;
	size_t total, header, there = packet->len > side->ip ? packet->len - side->ip : 0;

	packet->paired = false;
	packet->tcp = segments_tcp(ip, there, &total);
	if (packet->tcp == NULL)
		return;
	header = (size_t)(packet->tcp[12] >> 4) * 4;
	packet->payload = (uint32_t)(total > header ? total - header : 0);
	packet->headers = (uint32_t)(packet->tcp - packet->bytes + (ptrdiff_t)header);
	if (packet->headers > packet->len)
		packet->headers = packet->len;
	packet->from = sender(ends, ip, packet->tcp);
}

static uint32_t big_endian_32(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct lab_segment segment_of(const struct lab_packet *packet)
{
	const unsigned char *tcp = packet->tcp;

	return (struct lab_segment){.packet = packet,
		.sent = packet->at,
		.arrived = LB_NEVER,
		.from = packet->from,
		.flags = tcp[13],
		.seq = big_endian_32(tcp + 4),
		.ack = big_endian_32(tcp + 8),
		.bytes = packet->payload,
		.window = (uint32_t)tcp[14] << 8 | tcp[15]};
}

/* Whether these are one packet; Ethernet's header is not its. */
static bool same(const struct lab_side *left, const struct lab_packet *a, const struct lab_side *right,
	const struct lab_packet *b)
{
	return a->headers - left->ip == b->headers - right->ip && a->payload == b->payload &&
	       memcmp(a->bytes + left->ip, b->bytes + right->ip, a->headers - left->ip) == 0;
}

/* Nothing arrives before it is sent: whoever looks stops there. */
static void pair_up(
	struct lab_segment *sent, size_t count, const struct lab_side *here, struct lab_side *there)
{
	size_t next = 0; /* after the last one that arrived */

	for (size_t i = 0; i < there->count; i++) {
		struct lab_packet *packet = &there->packets[i];

		if (packet->tcp == NULL || count == 0 || packet->from != sent[0].from)
			continue;
		for (size_t j = next > REORDERED ? next - REORDERED : 0;
			j < count && sent[j].sent <= packet->at; j++)
			if (sent[j].arrived == LB_NEVER && same(here, sent[j].packet, there, packet)) {
				sent[j].arrived = packet->at;
				packet->paired = true;
				next = j + 1 > next ? j + 1 : next;
				break;
			}
	}
}

static int compare(const void *a, const void *b)
{
	const struct lab_segment *x = a, *y = b;

	if (x->sent != y->sent)
		return x->sent < y->sent ? -1 : 1;
	return (x->packet > y->packet) - (x->packet < y->packet);
}

static void read_scale(const struct lab_packet *packet, struct stream *stream)
{
	const unsigned char *option = packet->tcp + TCP_MIN, *end = packet->bytes + packet->headers;

	stream->scales = false;
	while (option < end && *option != OPTION_END) {
		if (*option == OPTION_NOP) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] < 2 || end - option < option[1])
			return;
		if (option[0] == OPTION_SCALE && option[1] == 3) {
			stream->scales = true;
			stream->shift = option[2] < SHIFT_MAX ? option[2] : SHIFT_MAX;
		}
		option += option[1];
	}
}

/* Where a connection's beginning was missed, what is seen first counts as its first byte; windows stay as they are. */
static void relate(struct lab_segment *segments, size_t count)
{
	struct stream streams[2] = {0};

	for (size_t i = 0; i < count; i++) {
		struct lab_segment *segment = &segments[i];
		struct stream *own = &streams[segment->from], *other = &streams[!segment->from];
		bool syn = (segment->flags & LAB_SYN) != 0, ack = (segment->flags & LAB_ACK) != 0;

		if (syn && !ack && !(own->known && own->first == segment->seq))
			*other = (struct stream){0};
		if (syn) {
			*own = (struct stream){.known = true, .first = segment->seq};
			read_scale(segment->packet, own);
		} else if (!own->known) {
			*own = (struct stream){.known = true, .first = segment->seq - 1};
		}
		if (ack && !other->known)
			*other = (struct stream){.known = true, .first = segment->ack - 1};
		segment->seq -= own->first;
		segment->ack = ack ? segment->ack - other->first : 0;
		if (!syn && own->scales && other->scales)
			segment->window <<= own->shift;
	}
}

int lab_pair(const struct link *link, struct lab_side sides[2], bool one, lb_time until,
	struct lab_segment **segmentsp, size_t *countp)
{
	struct lab_segment *segments = calloc(sides[0].count + sides[1].count + 1, sizeof *segments);
	struct ends ends = ends_of(link);
	size_t count = 0;

	*segmentsp = segments;
	*countp = 0;
	if (segments == NULL)
		return -ENOMEM;
	for (int side = 0; side < 2; side++)
		for (size_t i = 0; i < sides[side].count; i++)
			locate(&ends, &sides[side], &sides[side].packets[i]);
	for (int side = 0; side < (one ? 1 : 2); side++) {
		size_t began = count;

		for (size_t i = 0; i < sides[side].count; i++) {
			struct lab_packet *packet = &sides[side].packets[i];

			if (packet->tcp == NULL || packet->at > until)
				continue;
			if (one || (int)packet->from == side)
				segments[count++] = segment_of(packet);
			if (one)
				segments[count - 1].arrived = packet->at;
		}
		if (!one)
			pair_up(segments + began, count - began, &sides[side], &sides[!side]);
	}
	qsort(segments, count, sizeof *segments, compare);
	relate(segments, count);
	*countp = count;
	return 0;
}
