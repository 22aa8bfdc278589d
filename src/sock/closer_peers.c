/* SPDX-License-Identifier: MIT */
/*
 * Who of the closer's sockets has which peer, where there is a limit for each address: chains of entries under a
 * hash. Owns the buckets; the links lie beside the entries. Adding looks at a peer's own entries, which the limit bounds.
 */
#include "sock/closer.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define FIRST_BUCKETS 64

int lb_closer_peers_init(struct lb_closer_peers *peers)
{
	peers->buckets = malloc(FIRST_BUCKETS * sizeof *peers->buckets);
	if (peers->buckets == NULL)
		return -1;
	memset(peers->buckets, 0xff, FIRST_BUCKETS * sizeof *peers->buckets);
	peers->mask = FIRST_BUCKETS - 1;
	/* nobody shall choose addresses whose chains are long; without it, that is all that could be done */
	if (getrandom(&peers->secret, sizeof peers->secret, GRND_NONBLOCK) < 0)
		peers->secret = (uint64_t)lb_now();
	return 0;
}

static uint32_t hash(const struct lb_closer_peers *peers, uint64_t value)
{
	value = (value ^ peers->secret) * UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 32) * (peers->secret | 1);
	return (uint32_t)(value >> 32);
}

static bool peer_of(const struct lb_closer_peers *peers, int fd, uint32_t *peerp)
{
	struct sockaddr_in6 in6 = {0};
	socklen_t len = sizeof in6;
	uint64_t half[2];
	uint32_t last;

	if (getpeername(fd, (struct sockaddr *)&in6, &len) < 0)
		return false;
	if (in6.sin6_family == AF_INET) {
		memcpy(peerp, &((struct sockaddr_in *)&in6)->sin_addr, sizeof *peerp);
	} else if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
		memcpy(peerp, &in6.sin6_addr.s6_addr[12], sizeof last);
	} else {
		memcpy(half, &in6.sin6_addr, sizeof half);
		*peerp = hash(peers, half[1] ^ hash(peers, half[0]));
	}
	return true;
}

static uint32_t *bucket_of(const struct lb_closer_peers *peers, uint32_t peer)
{
	return &peers->buckets[hash(peers, peer) & peers->mask];
}

/* Without memory for more buckets, the chains only get longer. */
static void grow(struct lb_closer *closer)
{
	struct lb_closer_peers *peers = &closer->peers, bigger = *peers;
	uint32_t count = (peers->mask + 1) * 2;

	bigger.buckets = malloc(count * sizeof *bigger.buckets);
	if (bigger.buckets == NULL)
		return;
	memset(bigger.buckets, 0xff, count * sizeof *bigger.buckets);
	bigger.mask = count - 1;
	for (uint32_t i = 0; i <= peers->mask; i++)
		for (uint32_t index = peers->buckets[i], next; index != LB_CLOSER_NONE; index = next) {
			struct lb_closer_kin *kin = lb_closer_kin(&closer->table, index);
			uint32_t *bucket = bucket_of(&bigger, kin->peer);

			next = kin->next;
			kin->next = *bucket;
			*bucket = index;
		}
	free(peers->buckets);
	*peers = bigger;
}

void lb_closer_peers_add(struct lb_closer *closer, uint32_t index, int fd)
{
	struct lb_closer_peers *peers = &closer->peers;
	struct lb_closer_kin *kin = lb_closer_kin(&closer->table, index);
	uint32_t *bucket;

	kin->counted = peer_of(peers, fd, &kin->peer);
	if (!kin->counted) /* the connection has just been reset: the next step ends it */
		return;
	if (peers->count++ > peers->mask)
		grow(closer);
	bucket = bucket_of(peers, kin->peer);
	kin->next = *bucket;
	*bucket = index;
}

void lb_closer_peers_remove(struct lb_closer *closer, uint32_t index)
{
	struct lb_closer_kin *kin = lb_closer_kin(&closer->table, index);
	uint32_t *link;

	if (!kin->counted)
		return;
	link = bucket_of(&closer->peers, kin->peer);
	while (*link != index)
		link = &lb_closer_kin(&closer->table, *link)->next;
	*link = kin->next;
	kin->counted = false;
	closer->peers.count--;
}

/* Acked before unacked, then the older one. */
static bool goes_before(const struct lb_ending_run *a, const struct lb_ending_run *b)
{
	if (a->acked_at != b->acked_at)
		return a->acked_at < b->acked_at; /* LB_NEVER is the latest */
	return a->started < b->started;
}

uint32_t lb_closer_peers_victim(struct lb_closer *closer, uint32_t index)
{
	const struct lb_closer_table *table = &closer->table;
	uint32_t victim = LB_CLOSER_NONE, at;
	size_t others = 0;

	if (!lb_closer_kin(table, index)->counted)
		return LB_CLOSER_NONE;
	at = *bucket_of(&closer->peers, lb_closer_kin(table, index)->peer);
	for (; at != LB_CLOSER_NONE; at = lb_closer_kin(table, at)->next) {
		if (at == index || lb_closer_kin(table, at)->peer != lb_closer_kin(table, index)->peer)
			continue;
		others++;
		if (victim == LB_CLOSER_NONE ||
			goes_before(&lb_closer_entry(table, at)->run, &lb_closer_entry(table, victim)->run))
			victim = at;
	}
	return others < closer->sockets_per_peer ? LB_CLOSER_NONE : victim;
}
