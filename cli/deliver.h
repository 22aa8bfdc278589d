/* SPDX-License-Identifier: MIT */
/* One file of `lastbyte send`, from its first byte to its verdict. */
#ifndef CLI_DELIVER_H
#define CLI_DELIVER_H

#include "peer.h"
#include "print.h"
#include "progress.h"

struct lb_sending {
	struct lb_peer     peer;
	struct lb_progress progress;
	struct lb_id       id;  /* zero: the journal finds or makes it */
	void              *buf; /* LB_SENDING_BUFFER bytes, aligned to a page */
};

#define LB_SENDING_BUFFER (256 * 1024)

/* Tells the user why there is no connection just now; `arg` is a struct lb_sending. */
void lb_deliver_waits(void *arg, const struct lb_outcome *why, lb_time wait);

/* Delivers `path` ("-": standard input) as `name`. The result is always filled. */
void lb_deliver(struct lb_sending *sending, const char *path, const char *name, struct lb_result *result);

/* The same for one that is not even begun, for `reason`; in doubt if an earlier run has left it undecided. */
void lb_deliver_not(const struct lb_sending *sending, const char *path, const char *name,
	enum lb_reason reason, const char *detail, struct lb_result *result);

#endif
