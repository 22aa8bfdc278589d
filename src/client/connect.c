/* SPDX-License-Identifier: MIT */
/* What an address stands for, and connecting to one endpoint after the other. Owns these; the fd is link.c's. */
#include "client/link.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int lb_client_normalise(const char *address, char out[LB_ADDRESS_TEXT])
{
	const char *why;
	unsigned port;
	char host[256];
	int r = lb_address_split(address, host, &port, LB_PORT, &why);

	if (r == 0)
		snprintf(out, LB_ADDRESS_TEXT, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
	return r;
}

int lb_client_look_up(struct lb_client *client, const char **whyp)
{
	int r = client->host->net->resolve(
		client->host, client->address, client->endpoints, LB_ENDPOINTS_MAX, whyp);

	client->endpoint = 0;
	client->n_endpoints = r > 0 ? r : 0;
	return r > 0 ? 0 : r < 0 ? r : -EHOSTUNREACH;
}

static void abandon(struct lb_client *client)
{
	struct lb_outcome outcome;

	client->host->net->abort(client->host, client->fd, &outcome);
	client->fd = -1;
}

/* Each address gets its share of the time that is left, the last one all of it. */
void lb_link_connect(struct lb_client *client)
{
	struct lb_host *host = client->host;

	for (; client->endpoint < client->n_endpoints; client->endpoint++) {
		int left = client->n_endpoints - client->endpoint;
		lb_time now = client->host->clock->now(client->host);

		client->fd = host->net->connect(host, &client->endpoints[client->endpoint]);
		if (client->fd < 0) {
			client->end.err = -client->fd;
			client->fd = -1;
			continue;
		}
		client->endpoint_until = LB_NEVER;
		if (left > 1 && client->deadline != LB_NEVER && client->deadline > now)
			client->endpoint_until = now + (client->deadline - now) / left;
		if (client->retry && client->endpoint_until > now + LB_RETRY_MOST)
			client->endpoint_until = now + LB_RETRY_MOST;
		return;
	}
	lb_client_break(client, LB_END_NO_CONNECTION, LB_PARTY_NETWORK, client->end.err);
}

static void connected(struct lb_client *client)
{
	const struct lb_conn_options options = {.role = LB_ROLE_CLIENT,
		.features = LB_FEATURE_REPLY | (client->pipeline ? 0 : LB_FEATURE_RESUME),
		.idle_timeout = client->idle_timeout};

	client->conn = lb_conn_new(
		&options, lb_journal_client(client->journal), client->host->clock->now(client->host));
	if (client->conn == NULL) {
		lb_client_break(client, LB_END_LOCAL_ABORT, LB_PARTY_SELF, ENOMEM);
		return;
	}
	lb_endpoint_text(&client->endpoints[client->endpoint], client->peer);
	client->link = LB_LINK_HELLO;
	client->end = (struct lb_outcome){.how = LB_END_OPEN, .phase = LB_PHASE_DATA};
}

bool lb_link_check_connect(struct lb_client *client)
{
	int r = client->host->net->connected(client->host, client->fd);

	if (r == -EINPROGRESS && client->host->clock->now(client->host) >= client->endpoint_until)
		r = -ETIMEDOUT;
	if (r == -EINPROGRESS)
		return false;
	if (r == 0) {
		connected(client);
		return true;
	}
	abandon(client);
	client->end.err = -r;
	client->endpoint++;
	lb_link_connect(client);
	return true;
}
