/* SPDX-License-Identifier: MIT */
/*
 * Messages over the connections of tcp.h, for tests of <lastbyte/message.h>.
 *
 * Where nothing may depend on when an ack comes, the peer is deaf: its socket drops all that arrives, and acks none.
 */
#ifndef LIB_MESSAGE_H
#define LIB_MESSAGE_H

#include "lib/tcp.h"
#include <lastbyte/message.h>

#define MESSAGE_SOON              lb_in_ms(20000) /* a test that waits for longer has failed */
#define MESSAGE_RETRANSMISSION_MS 5000

/*
 * A group's setup: a network of the program's own, in which Linux's timers, which would change what is held back,
 * are so slow that a busy machine has the time to look before. Only as root; else they are as ever, 200 ms, and a
 * loss probe may come sooner.
 */
int message_network(void **state);

void message_deafen(struct tcp *tcp);
void message_undeafen(struct tcp *tcp);

/* Sends the next len bytes of the pattern, cut into n parts, every third of which is empty; checks what was sent. */
int message_send(struct tcp *tcp, size_t len, int n, lb_time deadline);

/* The same within a scope, if `cork` is not NULL; in one part, and soon. */
int message_send_parts(struct tcp *tcp, struct lb_cork *cork, size_t len, int n, lb_time deadline);
int message_hold(struct tcp *tcp, struct lb_cork *cork, size_t len);

/* Bytes that wait in our queue to be sent for the first time. */
int message_held(struct tcp *tcp);

/* Segments with bytes in them that we have sent. */
unsigned message_segments(struct tcp *tcp);

/* Our socket's TCP_... */
int  message_option(struct tcp *tcp, int name);
void message_set_option(struct tcp *tcp, int name, int value);

/* Ends our side; the peer has got all that was sent. */
void message_finish(struct tcp *tcp);

#endif
