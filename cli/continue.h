/* SPDX-License-Identifier: MIT */
/* `lastbyte send --continue`: what the journal has open from earlier runs. */
#ifndef CLI_CONTINUE_H
#define CLI_CONTINUE_H

#include "deliver.h"
#include "tell.h"

/* Finishes or settles each delivery that is open at sending->peer.address (NULL: anywhere), and tells its verdict. Returns
 * the exit code. */
int lb_continue(struct lb_sending *sending, struct lb_telling *telling);

#endif
