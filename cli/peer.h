/* SPDX-License-Identifier: MIT */
/* The connection that `send` and `resolve` share: how it is made, and how it is ended. */
#ifndef CLI_PEER_H
#define CLI_PEER_H

#include "print.h"
#include <lastbyte/client.h>

#define LB_PEER_NUMBERS 64 /* reserved at once, for many deliveries */

struct lb_peer {
	const char        *address, *state_dir; /* as given; the latter may be NULL */
	lb_time            deadline;
	bool               retry;
	bool               only_open; /* of ids that are given, what the journal still has open */
	uint64_t           replay;    /* bytes that may have to be sent again; 0: as the library has it */
	lb_client_waiting *waiting;   /* told of the waits between tries; NULL: nobody */
	void              *waiting_arg;
	lb_client_decided
		*decided; /* many small deliveries, one after another: told each verdict; NULL: others */
	void    *decided_arg;
	struct lb_client *client;  /* NULL: there is no connection */
	int               signals; /* readable while SIGINT, SIGTERM or SIGHUP is pending */
	bool              interrupted;
	bool              over;     /* the connection was ended, and `client` is there for its journal */
	enum lb_end       ended;    /* OPEN while it can be used */
	enum lb_reason    reason;   /* why there is none */
	char              why[256]; /* more about that, or "" */
};

/* Blocks the signals and connects. -1: go on; see `client`. Else the exit code of a mistake, which the user
 * has been told: an address that is none, a state directory that cannot be used. */
int lb_peer_open(struct lb_peer *peer, const char *command);

/* Says that the address is none (-EINVAL), or that the state directory cannot be used. Returns the exit code. */
int lb_peer_mistake(const struct lb_peer *peer, const char *command, int r);

/* Asks what became of a delivery. What is no answer leaves it in doubt. */
void lb_peer_resolve(struct lb_peer *peer, const struct lb_id *id, struct lb_result *result);

/* Whether a signal has come by now. */
bool lb_peer_interrupted(struct lb_peer *peer);

/* The deadline, and `ms` from now at most once a signal has come. */
lb_time lb_peer_deadline(const struct lb_peer *peer, int64_t ms);

/* What the errno of an outcome means to people; NULL if there is none. */
const char *lb_peer_trouble(const struct lb_outcome *outcome);

/* Likewise, or else what the server has to say about it that its reason does not say: `text` is its own words. */
const char *lb_peer_detail(const struct lb_outcome *outcome, const char *text);

/* Ends the connection, if there is one: `ended` says how. What was handed on last is still open in the journal. */
void lb_peer_end(struct lb_peer *peer);

/* The same, if that was not done, and the user has been told all: it leaves the journal. The last call. */
void lb_peer_close(struct lb_peer *peer);

#endif
