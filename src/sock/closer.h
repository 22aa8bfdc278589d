/* SPDX-License-Identifier: MIT */
/* The insides of the closer: its table of endings, which holds a million of them, and what acts on it. */
#ifndef SOCK_CLOSER_H
#define SOCK_CLOSER_H

#include "sock/ending.h"
#include <lastbyte/closer.h>
#include <pthread.h>
#include <sys/epoll.h>

#define LB_CLOSER_NONE  UINT32_MAX
#define LB_CLOSER_CHUNK 256 /* entries that are allocated together */

#define LB_CLOSER_LEVELS 4 /* of the timer wheel: of 64 slots each, a slot of 64^level milliseconds */
#define LB_CLOSER_SLOTS  64

/* Every entry in use is in one of these lists, oldest first ... */
enum lb_closer_list {
	LB_CLOSER_UNACKED,
	LB_CLOSER_ACKED,
	LB_CLOSER_DONE,   /* its callback is to be called */
	LB_CLOSER_UNREAD, /* for lb_closer_next */
	/* ... and, until it is done, in one of these or a slot of the wheel. */
	LB_CLOSER_FRESH, /* has its turn in this step */
	LB_CLOSER_MORE,  /* had one and needs another: after the others */
	LB_CLOSER_SLOT,  /* the first one */
	LB_CLOSER_LISTS = LB_CLOSER_SLOT + LB_CLOSER_LEVELS * LB_CLOSER_SLOTS,
};

/* Circular: indexes of entries, or of a list's head with the highest bit set. */
struct lb_closer_links {
	uint32_t next, prev;
};

struct lb_closer_entry {
	struct lb_closer_links links;
	uint32_t               generation : 28; /* another one once it is done: events of before are void */
	uint32_t               watched : 1;     /* registered with epoll; else time alone wakes it */
	uint32_t               acked : 1;       /* in LB_CLOSER_ACKED */
	uint32_t               queued : 1;      /* in LB_CLOSER_FRESH or LB_CLOSER_MORE */
	uint32_t               copied : 1;      /* run.ending is its own */
	uint32_t               due;             /* the wheel's tick, its lower 32 bits */
	void (*done)(void *arg, const struct lb_outcome *outcome);
	void *arg;
	union {
		struct {
			struct lb_ending_run   run;
			struct lb_closer_links timer;
		};
		struct lb_outcome outcome; /* once it is done */
	};
};

/* Beside each entry, if there is a limit for each peer: who else has this peer. */
struct lb_closer_kin {
	uint32_t peer; /* its IPv4 address, or a hash of its IPv6 address */
	uint32_t next;
	bool     counted;
};

struct lb_closer_table {
	struct lb_closer_entry **chunks;
	struct lb_closer_kin   **kin; /* NULL: not wanted */
	uint32_t                 entries, free;
	struct lb_closer_links   lists[LB_CLOSER_LISTS];
	uint64_t                 used[LB_CLOSER_LEVELS]; /* a bit for each slot that has entries */
	uint64_t                 tick;                   /* milliseconds since `origin` */
	lb_time                  origin;
};

/* Whom to count together. */
struct lb_closer_peers {
	uint32_t *buckets; /* first of the chain of entries */
	uint32_t  mask, count;
	uint64_t  secret;
};

/* What the closer stands on, after the functions of ending.h and of epoll; tests put something else in its place. */
struct lb_closer_port {
	lb_time (*now)(void);
	void (*start)(struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now,
		lb_time deadline);
	bool (*step)(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcomep);
	void (*stop)(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcomep);
	int (*watch)(int epoll, int fd, uint64_t token);
	int (*events)(int epoll, struct epoll_event *events, int max);
};

struct lb_closer {
	pthread_mutex_t              lock;
	const struct lb_closer_port *port;
	struct lb_closer_table       table;
	struct lb_closer_peers       peers;
	struct lb_ending            *ending; /* of those that are added without one; NULL: the default */
	size_t                       sockets, sockets_per_peer;
	uint64_t                     step_bytes;
	size_t                       open, unread;
	int                          epoll, timer;
	lb_time                      armed; /* when `timer` makes `epoll` readable */
	bool                         running, stopped;
};

extern const struct lb_closer_port lb_closer_linux;

int lb_closer_open(const struct lb_closer_options *options, const struct lb_closer_port *port,
	struct lb_closer **closerp);

/* closer_table.c: constant time, all of it. */
void                    lb_closer_table_init(struct lb_closer_table *table, lb_time now);
void                    lb_closer_table_deinit(struct lb_closer_table *table);
struct lb_closer_entry *lb_closer_entry(const struct lb_closer_table *table, uint32_t index);
struct lb_closer_kin   *lb_closer_kin(const struct lb_closer_table *table, uint32_t index);
void     lb_closer_prefetch(const struct lb_closer_table *table, uint32_t index); /* any index */
uint32_t lb_closer_take(struct lb_closer_table *table, bool kin); /* in no list; LB_CLOSER_NONE: no memory */
void     lb_closer_give_back(struct lb_closer_table *table, uint32_t index);
void     lb_closer_list(struct lb_closer_table *table, uint32_t index, enum lb_closer_list list);
void     lb_closer_unlist(struct lb_closer_table *table, uint32_t index);
uint32_t lb_closer_first(const struct lb_closer_table *table, enum lb_closer_list list);
uint32_t lb_closer_last(const struct lb_closer_table *table, enum lb_closer_list list);

/* LB_CLOSER_FRESH, LB_CLOSER_MORE, and the wheel. */
void lb_closer_queue(struct lb_closer_table *table, uint32_t index, enum lb_closer_list list);
void lb_closer_schedule(struct lb_closer_table *table, uint32_t index, lb_time at);
void lb_closer_unschedule(struct lb_closer_table *table, uint32_t index); /* out of each of the three */
void lb_closer_expire(struct lb_closer_table *table, lb_time now); /* what is due goes to LB_CLOSER_FRESH */
lb_time lb_closer_due(const struct lb_closer_table *table);        /* when to expire next, or LB_NEVER */

/* closer_peers.c */
int  lb_closer_peers_init(struct lb_closer_peers *peers);
void lb_closer_peers_add(struct lb_closer *closer, uint32_t index, int fd);
void lb_closer_peers_remove(struct lb_closer *closer, uint32_t index);
/* Which of its peer's to give up, if the peer has as many as it may beside this one. */
uint32_t lb_closer_peers_victim(struct lb_closer *closer, uint32_t index);

/* closer_work.c: what happens to one ending, and to those that are due. With the lock held. */
int  lb_closer_begin(/* with an error, the entry is given back */
        struct lb_closer *closer, uint32_t index, int fd, const struct lb_ending *ending, lb_time deadline);
void lb_closer_work(struct lb_closer *closer);
void lb_closer_give_up(struct lb_closer *closer, enum lb_end how); /* all of them */
void lb_closer_arm(struct lb_closer *closer);
void lb_closer_wake(struct lb_closer *closer);

#endif
