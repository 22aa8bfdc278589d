/* SPDX-License-Identifier: MIT */
/* The machine's time: docs/protocol.md, "Time". */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H

#include "proto/machine.h"

void     lb_clock_start(struct lb_conn *conn, lb_time idle_timeout, lb_time now);
uint32_t lb_clock_idle_ms(const struct lb_conn *conn);
void     lb_clock_agree(struct lb_conn *conn, uint32_t idle_ms); /* the other end's; the shorter counts */
void     lb_clock_received(struct lb_conn *conn, lb_time now);
void     lb_clock_wrote(struct lb_conn *conn, lb_time now); /* bytes that the output still holds */

#endif
