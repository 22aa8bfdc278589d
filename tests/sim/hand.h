/* SPDX-License-Identifier: MIT */
/* What an invocation of the sending command has in hand: between client.c, one delivery after another, and many.c. */
#ifndef SIM_HAND_H
#define SIM_HAND_H

#include "sim/client.h"

struct sim_hand {
	struct sim_client  *client;
	struct sim_process *process;
	struct sim_world   *world;
	struct lb_client   *lb;
	struct sim_wish    *wish;  /* NULL: it asks about an id that none was begun under last */
	struct lb_id        id;    /* of what it works on; number 0: none was given */
	bool                steps; /* it has an event loop of its own */
	bool                open;  /* it was begun, and nothing was said of it yet */
	bool compared; /* all was written, so that the client can compare it with what is committed */
};

/* A client with which deliveries are sent one after another, and its end. */
bool sim_hand_open(struct sim_hand *hand, bool only_open);
void sim_hand_close(struct sim_hand *hand, bool orderly);
/* Its wish, under an id (number 0: one that the journal finds or makes). False: the command ends without a farewell. */
bool sim_hand_deliver(struct sim_hand *hand, const struct lb_id *id);

lb_time sim_hand_deadline(const struct sim_hand *hand);
/* The command has an answer, and tells its user, or dies before that. */
void sim_hand_told(struct sim_hand *hand, const struct lb_outcome *outcome, const struct lb_receipt *receipt);
void sim_hand_begun(struct sim_hand *hand, bool unnamed);             /* lb_client_begin has returned */
void sim_hand_resolve(struct sim_hand *hand, const struct lb_id *id); /* asks what became of it */
ssize_t sim_hand_read_again(void *arg, uint64_t offset, void *buf, size_t len); /* arg: the source */
void    sim_hand_waits(void *arg, const struct lb_outcome *why, lb_time wait);

/* open.c. What a command that has crashed leaves to the next one: whether the journal has the last id of its wish open, of
 * whose end nobody was told: 1; 0: it has not, so it will never commit; or a negative errno: that cannot be found out. */
int sim_hand_has_open(struct sim_hand *hand);
/* Settles what the journal has open, whatever it was for: delivers it under its id, or asks. */
void sim_hand_continue(struct sim_hand *hand);

/* many.c. Whether the wish may be begun under a number that the journal chooses: what is in doubt under one that it cannot
 * find by the source, or is not asked to, has to be resolved first. */
bool sim_hand_may_begin(struct sim_hand *hand, struct sim_wish *wish, bool unnamed);
/* All wishes at once, undecided together. */
void sim_hand_send_many(struct sim_hand *hand);

#endif
