/* SPDX-License-Identifier: MIT */
/*
 * The client's connection once it stands: carries bytes between the socket and the machine, and ends. Owns the fd and
 * `end`, which says how and by whom the connection ended. Knows nothing of deliveries but that they are to be told.
 */
#include "client/link.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define VECTORS 4
/* Bytes: of small deliveries a quarter of those that may be undecided; while none is, only what gets no answer waits. */
#define GATHERED(client) ((client)->undecided.n > 0 ? 4096 : 57344)
#define READS_MAX        64 /* at once: a server that floods must not keep us from writing */

static lb_time now_of(const struct lb_client *client)
{
	return client->host->clock->now(client->host);
}

static bool is_alive(const struct lb_client *client)
{
	return client->link == LB_LINK_HELLO || client->link == LB_LINK_READY;
}

/* What is to be written. Of a frame whose caller has taken its buffer back, the copy. */
static int vectors(const struct lb_client *client, struct iovec iov[VECTORS])
{
	int n = client->conn != NULL ? lb_conn_send(client->conn, iov, VECTORS) : 0;

	for (int i = 0; i < n && client->stash != NULL; i++) {
		uintptr_t at = (uintptr_t)iov[i].iov_base - (uintptr_t)client->chunk;

		if (at < client->chunk_len)
			iov[i].iov_base = client->stash + at;
	}
	return n;
}

bool lb_link_has_output(const struct lb_client *client)
{
	return is_alive(client) && lb_conn_waiting(client->conn) > 0;
}

bool lb_link_is_due(const struct lb_client *client)
{
	size_t waiting = is_alive(client) ? lb_conn_waiting(client->conn) : 0;

	return waiting >= GATHERED(client) || client->blocked;
}

/* False when the socket failed. */
static bool transmit(struct lb_client *client, bool *movedp)
{
	struct lb_host *host = client->host;
	struct iovec iov[VECTORS];
	int n;

	client->blocked = false;
	while ((n = vectors(client, iov)) > 0) {
		ssize_t sent = host->net->send(host, client->fd, iov, n);

		if (sent == -EAGAIN || sent == 0) {
			client->blocked = true;
			return true;
		}
		if (sent < 0) {
			client->send_error = (int)-sent;
			return false;
		}
		lb_conn_sent(client->conn, (size_t)sent, now_of(client));
		client->taken += (uint64_t)sent;
		*movedp = true;
		if (client->attempt->course == LB_COURSE_COMMIT &&
			lb_conn_commit_sent(client->conn, client->attempt->handle))
			LB_FAULT("client_commit_sent");
	}
	return true;
}

void lb_client_break(struct lb_client *client, enum lb_end how, enum lb_party by, int err)
{
	bool moved;

	if (client->link == LB_LINK_BROKEN || client->link == LB_LINK_ENDING || client->link == LB_LINK_ENDED)
		return;
	client->end.how = how;
	client->end.by = by;
	client->end.err = err;
	client->end.phase = client->conn == NULL ? LB_PHASE_CONNECT
			    : client->closing    ? LB_PHASE_CLOSE_SENT
						 : LB_PHASE_DATA;
	/* A machine that has failed may have ERROR to say, and holds no COMMIT back that could still go out. */
	if (client->conn != NULL && client->send_error == 0 && lb_conn_state(client->conn) == LB_CONN_FAILED)
		(void)transmit(client, &moved);
	client->link = LB_LINK_BROKEN;
	if (!lb_retry_broken(client))
		lb_undecided_each(client, lb_delivery_broken);
}

static void broken_by_errno(struct lb_client *client, int err)
{
	if (err == ECONNRESET || err == EPIPE)
		lb_client_break(client, LB_END_RST, LB_PARTY_PEER, err);
	else if (err == ETIMEDOUT)
		lb_client_break(client, LB_END_TIMEOUT, LB_PARTY_NETWORK, err);
	else
		lb_client_break(client, LB_END_NET_ERROR, LB_PARTY_NETWORK, err);
}

static void broken_by_error(struct lb_client *client, const struct lb_event *event)
{
	if (event->from_peer)
		strcpy(client->error_text, event->text);
	if (!event->from_peer) {
		lb_client_break(client, LB_END_PROTOCOL_ERROR, LB_PARTY_SELF, EPROTO);
		return;
	}
	switch (event->failure) {
	case LB_FAILURE_BUSY:
		lb_client_break(client, LB_END_FIN, LB_PARTY_PEER, EBUSY);
		break;
	case LB_FAILURE_STORAGE:
		lb_client_break(client, LB_END_FIN, LB_PARTY_PEER, EIO);
		break;
	case LB_FAILURE_STOPPED:
		lb_client_break(client, LB_END_FIN, LB_PARTY_PEER, ESHUTDOWN);
		break;
	case LB_FAILURE_IDLE:
		lb_client_break(client, LB_END_TIMEOUT, LB_PARTY_PEER, ETIMEDOUT);
		break;
	default:
		lb_client_break(client, LB_END_PROTOCOL_ERROR, LB_PARTY_PEER, EPROTO);
		break;
	}
}

static void take_event(struct lb_client *client, const struct lb_event *event)
{
	switch (event->type) {
	case LB_EVENT_NONE:
	case LB_EVENT_GOING_AWAY: /* what is refused for it is answered one by one */
		break;
	case LB_EVENT_HELLO_OK:
		client->ledger = event->ledger;
		client->link = LB_LINK_READY;
		if (client->failures > 0 && client->waiting != NULL)
			client->waiting(client->waiting_arg, NULL, 0);
		lb_undecided_each(client, lb_delivery_again);
		break;
	case LB_EVENT_ERROR:
		broken_by_error(client, event);
		break;
	case LB_EVENT_TIMEOUT:
		lb_client_break(client, LB_END_TIMEOUT, LB_PARTY_SELF, ETIMEDOUT);
		break;
	case LB_EVENT_CLOSE_OK:
		client->agreed = true;
		break;
	default:
		lb_delivery_answer(client, event);
		break;
	}
}

/* Feeds the machine with what was read. False: it can take no more for now. */
static bool feed(struct lb_client *client)
{
	while (client->in_len > 0 && is_alive(client) && !client->agreed) {
		struct lb_event event;
		size_t n = lb_conn_recv(
			client->conn, client->in + client->in_at, client->in_len, now_of(client), &event);

		client->in_at += n;
		client->in_len -= n;
		take_event(client, &event);
		if (n == 0 && event.type == LB_EVENT_NONE)
			return false;
	}
	return true;
}

static bool receive(struct lb_client *client)
{
	struct lb_host *host = client->host;
	bool moved = false;

	for (int i = 0; i < READS_MAX && feed(client) && is_alive(client) && !client->agreed; i++) {
		ssize_t n = host->net->recv(host, client->fd, client->in, sizeof client->in);

		if (n == -EAGAIN)
			return moved;
		moved = true;
		if (n > 0) {
			client->in_at = 0;
			client->in_len = (size_t)n;
			if ((size_t)n <
				sizeof client->in) { /* there was no more: saves a call that says so */
				(void)feed(client);
				return true;
			}
		} else if (n < 0 || client->send_error != 0) {
			broken_by_errno(client, n < 0 ? (int)-n : client->send_error);
		} else {
			lb_client_break(client, LB_END_FIN, LB_PARTY_PEER, 0);
		}
	}
	return moved;
}

bool lb_link_pump(struct lb_client *client)
{
	struct lb_event event;
	bool moved;

	if (client->link == LB_LINK_WAITING || client->link == LB_LINK_CONNECTING) {
		moved = client->link == LB_LINK_WAITING ? lb_retry_step(client)
							: lb_link_check_connect(client);
		/* One try at a time: whoever steps looks at the deadline in between. */
		return moved && client->link != LB_LINK_WAITING;
	}
	if (!is_alive(client) || client->agreed)
		return false;
	moved = receive(client);
	if (is_alive(client) && now_of(client) >= lb_conn_deadline(client->conn)) {
		lb_conn_tick(client->conn, now_of(client), &event);
		take_event(client, &event);
	}
	if (is_alive(client) && !transmit(client, &moved)) {
		/* The answers that came before the end are still there to be read. */
		while (receive(client) && is_alive(client))
			continue;
		if (is_alive(client))
			broken_by_errno(client, client->send_error);
		moved = true;
	}
	return moved;
}

static void ended(struct lb_client *client, const struct lb_outcome *outcome)
{
	struct lb_outcome *end = &client->end;

	client->link = LB_LINK_ENDED;
	end->accepted = outcome->accepted != LB_UNKNOWN ? outcome->accepted : client->taken;
	end->acked = outcome->acked;
	end->lost = outcome->lost;
	end->discarded = outcome->discarded;
	end->rung = outcome->rung;
	if (client->agreed)
		end->phase = outcome->phase;
	if (end->err == 0)
		end->err = outcome->err;
}

void lb_link_abort(struct lb_client *client)
{
	struct lb_outcome outcome = {.accepted = LB_UNKNOWN, .acked = LB_UNKNOWN, .lost = LB_UNKNOWN};

	lb_client_break(client, LB_END_LOCAL_ABORT, LB_PARTY_SELF, 0);
	if (client->fd >= 0)
		client->host->net->abort(client->host, client->fd, &outcome);
	else if (client->link == LB_LINK_ENDING && client->run.fd >= 0)
		client->host->net->abort(client->host, client->run.fd, &outcome);
	else if (client->link == LB_LINK_ENDED)
		return;
	else if (client->conn == NULL)
		outcome.acked = outcome.lost = 0;
	client->fd = -1;
	ended(client, &outcome);
}

void lb_link_drop(struct lb_client *client)
{
	struct lb_outcome outcome;

	if (client->fd >= 0)
		client->host->net->abort(client->host, client->fd, &outcome);
	client->fd = -1;
	lb_conn_free(client->conn);
	client->conn = NULL;
	free(client->stash);
	client->chunk = client->stash = NULL;
	client->chunk_len = client->in_at = client->in_len = 0;
	client->blocked = client->agreed = client->closing = false;
	client->send_error = 0;
	client->taken = client->settled = 0;
	client->error_text[0] = '\0';
}

static bool say_close(struct lb_client *client)
{
	int r = lb_conn_close(client->conn);

	if (r < 0)
		lb_client_break(client, LB_END_LOCAL_ABORT, LB_PARTY_SELF, -r);
	client->closing = r == 0;
	return true;
}

static bool end_socket(struct lb_client *client)
{
	client->host->net->end_start(client->host, &client->run, client->fd, client->deadline);
	client->fd = -1;
	client->link = LB_LINK_ENDING;
	if (client->agreed) {
		client->end.how = LB_END_CLOSE_OK;
		client->end.by = LB_PARTY_SELF;
	}
	return true;
}

bool lb_link_close(struct lb_client *client)
{
	struct lb_outcome outcome;

	switch (client->link) {
	case LB_LINK_READY:
		if (client->agreed)
			return end_socket(client);
		return !client->closing && say_close(client);
	case LB_LINK_BROKEN:
		/* What is left to be read by the server is our ERROR at most, if it still reads. */
		if (client->end.how == LB_END_PROTOCOL_ERROR || client->end.how == LB_END_FIN)
			return end_socket(client);
		lb_link_abort(client);
		return true;
	case LB_LINK_ENDING:
		if (!client->host->net->end_step(client->host, &client->run, &outcome))
			return false;
		ended(client, &outcome);
		return true;
	default:
		return false;
	}
}

void lb_link_release_buffer(struct lb_client *client)
{
	struct iovec iov[VECTORS];
	int n = client->chunk_len > 0 && client->stash == NULL ? vectors(client, iov) : 0;

	client->out = NULL;
	client->out_len = 0;
	for (int i = 0; i < n; i++) {
		const uint8_t *rest = iov[i].iov_base;

		if ((uintptr_t)rest - (uintptr_t)client->chunk >= client->chunk_len)
			continue;
		client->stash = malloc(iov[i].iov_len);
		if (client->stash == NULL) {
			lb_client_break(client, LB_END_LOCAL_ABORT, LB_PARTY_SELF, ENOMEM);
			return;
		}
		memcpy(client->stash, rest, iov[i].iov_len);
		client->chunk = rest;
		client->chunk_len = iov[i].iov_len;
		return;
	}
	if (client->stash == NULL)
		client->chunk_len = 0;
}

void lb_link_needs(const struct lb_client *client, struct lb_needs *needs)
{
	*needs = (struct lb_needs){.fd = -1, .at = LB_NEVER};
	switch (client->link) {
	case LB_LINK_CONNECTING:
		*needs =
			(struct lb_needs){.fd = client->fd, .events = EPOLLOUT, .at = client->endpoint_until};
		break;
	case LB_LINK_WAITING:
		needs->at = client->retry_at;
		break;
	case LB_LINK_HELLO:
	case LB_LINK_READY:
		needs->fd = client->fd;
		/* What the machine cannot take yet waits for what it has to write. */
		needs->events =
			(client->in_len == 0 ? EPOLLIN : 0) | (lb_link_has_output(client) ? EPOLLOUT : 0);
		needs->at = lb_conn_deadline(client->conn);
		break;
	case LB_LINK_ENDING:
		needs->events = lb_ending_events(&client->run);
		needs->fd = needs->events != 0 ? client->run.fd : -1;
		needs->at = lb_ending_next(&client->run, client->host->clock->now(client->host));
		break;
	default:
		break;
	}
}
