/* SPDX-License-Identifier: MIT */
/* The client on any machine. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "loop/host.h"
#include <lastbyte/client.h>

/* As lb_client_open. */
int lb_client_open_on(struct lb_host *host, const char *address, const struct lb_client_options *options,
	lb_time deadline, struct lb_client **clientp, struct lb_outcome *outcomep);

/* As lb_client_each_open. */
int lb_client_each_open_on(struct lb_host *host, const struct lb_client_options *options, const char *address,
	int (*each)(void *arg, const struct lb_open_delivery *open), void *arg);

#endif
