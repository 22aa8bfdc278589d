/* SPDX-License-Identifier: MIT */
/*
 * A machine for the server that the test moves: connections whose far ends are client machines in the same thread, a
 * clock that stands still, jobs that are done one batch after another, and a sink that answers what it is told to.
 */
#ifndef SERVER_FAKE_H
#define SERVER_FAKE_H

#include "lib/cmocka.h"
#include "server/server.h"
#include <errno.h>
#include <string.h>

#define FAKE_SECOND INT64_C(1000000000)
#define FAKE_PEERS  70
#define FAKE_EVENTS 16

struct peer {
	struct lb_conn *conn; /* NULL: nobody */
	uint8_t         to_server[1 << 16], to_client[1 << 17];
	size_t          to_server_len, to_client_len;
	bool            fin;          /* it has ended its stream */
	bool            ending, gone; /* the server is ending the connection; has */
	int             recv_error;   /* -errno of the server's recv */
	int             send_error;   /* and send */
	size_t          room;         /* bytes that the server may send */
	struct lb_event events[FAKE_EVENTS];
	unsigned        n_events;
};

struct fake {
	struct lb_loop           loop; /* first: the tables' functions cast it back */
	struct lb_host           host;
	struct lb_sink           sink;
	struct lb_server_options options;
	struct lb_server        *server;
	char                     why[256];
	lb_time                  now;
	struct lb_watch         *watches[FAKE_PEERS + 1];
	struct lb_job           *jobs, **last_job;
	bool                     stopped;
	struct peer              peers[FAKE_PEERS];
	unsigned                 n_peers, accepted;

	/* the network */
	int  resolve_error, listen_error, accept_error, watch_error;
	bool is_public; /* what is resolved is not loopback */
	bool lingers;   /* an ending takes until its deadline */

	/* what the sink answers, */
	enum lb_verdict begin_verdict, commit_verdict, resolve_verdict;
	enum lb_reason  begin_reason, write_reason, sync_reason, commit_reason, resolve_reason, read_reason;
	int             look_error;
	size_t          resolve_reply; /* bytes of the reply to a question */
	bool            forges;        /* its receipts are not of what it was given */
	uint64_t        kept;          /* the offset at which a begin goes on */
	/* and was asked */
	unsigned     begun, committed, rolled_back, left, settled, swept, rehashed;
	struct lb_id lowest; /* of the last settle */

	struct lb_report reports[16];
	unsigned         n_reports;
};

/* Setup and teardown of cmocka: without a server, and with one that listens. */
int fake_setup(void **state);
int fake_setup_running(void **state);
int fake_teardown(void **state);

/* Calls lb_server_new_on. */
int fake_start(struct fake *fake);

/* Carries bytes, calls the server and does its jobs until nothing moves. */
void fake_run(struct fake *fake);
void fake_run_without_jobs(struct fake *fake);
void fake_pass(struct fake *fake, lb_time time); /* then runs */

/* A client whose connection waits to be accepted; and one that is greeted. */
struct peer *fake_connect(struct fake *fake, uint32_t features);
struct peer *fake_greet(struct fake *fake, uint32_t features);

/* What a client says. `number` is its delivery's; the handle comes back. */
uint32_t peer_begin(struct peer *peer, uint64_t number, uint32_t attempt);
void     peer_data(struct peer *peer, uint32_t handle, const char *text);
void     peer_commit(struct peer *peer, uint32_t handle, const char *text);

/* BEGIN that is accepted; and all of it up to COMMIT. */
uint32_t peer_open(struct fake *fake, struct peer *peer, uint64_t number);
uint32_t peer_deliver(struct fake *fake, struct peer *peer, uint64_t number, const char *text);

/* The last event of that type that came to it; NULL: none. */
const struct lb_event *peer_heard(const struct peer *peer, enum lb_event_type type);

struct lb_id fake_id(uint64_t number);

#define fake_test(f)    cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
#define running_test(f) cmocka_unit_test_setup_teardown(f, fake_setup_running, fake_teardown)

#endif
