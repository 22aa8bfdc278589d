/* SPDX-License-Identifier: MIT */
/* The calls of lastbyte/client.h, in either form, with a deadline that the user chooses. */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include "sim/hand.h"

int sim_call_open(
	struct sim_hand *hand, const struct lb_client_options *options); /* hand->lb, if it returns 0 */
int  sim_call_begin(struct sim_hand *hand, const struct lb_delivery *delivery);
int  sim_call_write(struct sim_hand *hand, const void *buf, size_t len);
int  sim_call_commit(struct sim_hand *hand, struct lb_receipt *receiptp, struct lb_outcome *outcomep);
int  sim_call_commit_async(struct sim_hand *hand);
int  sim_call_rollback(struct sim_hand *hand, enum lb_reason reason, struct lb_receipt *receiptp,
	 struct lb_outcome *outcomep);
int  sim_call_resolve(struct sim_hand *hand, const struct lb_id *id, struct lb_receipt *receiptp,
	 struct lb_outcome *outcomep);
void sim_call_close(struct sim_hand *hand, struct lb_outcome *outcomep); /* hand->lb is gone */
void sim_call_idle(struct sim_hand *hand);

#endif
