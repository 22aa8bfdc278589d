/* SPDX-License-Identifier: MIT */
/*
 * One connection at the server: bytes between its socket and its machine, and time. What the deliveries do is task.c's,
 * how it ends session_end.c's. A session lives until its socket is closed; lb_session_free is safe at any
 * point but while it feeds its machine, which `feeding` guards.
 */
#include "server/server.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SECOND   INT64_C(1000000000)
#define FIN_WAIT (10 * SECOND) /* for the client's FIN after CLOSE_OK */
#define VECTORS  4

static void update(struct lb_session *session);

lb_time lb_session_now(struct lb_session *session)
{
	struct lb_host *host = session->server->loop->host;

	return host->clock->now(host);
}

void lb_session_watch(struct lb_session *session, int fd, uint32_t events)
{
	struct lb_loop *loop = session->server->loop;

	if (session->watching && session->watch.fd == fd && session->watch.events == events)
		return;
	session->watch.events = events;
	if (session->watching) {
		loop->ops->rewatch(loop, &session->watch);
		return;
	}
	session->watch.fd = fd;
	session->watching = loop->ops->watch(loop, &session->watch) == 0;
}

void lb_session_unwatch(struct lb_session *session)
{
	if (session->watching)
		session->server->loop->ops->unwatch(session->server->loop, &session->watch);
	session->watching = false;
}

void lb_session_free(struct lb_session *session)
{
	struct lb_server *server = session->server;
	struct lb_outcome outcome;

	if (session->how == LB_END_OPEN)
		session->how = LB_END_LOCAL_ABORT;
	lb_tasks_orphan(session);
	lb_session_flush_report(session);
	lb_session_answered_never(session);
	lb_session_unwatch(session);
	lb_timer_cancel(&server->loop->wheel, &session->timer);
	if (session->ending ? session->run.fd >= 0 : session->watch.fd >= 0)
		server->loop->host->net->abort(
			server->loop->host, session->ending ? session->run.fd : session->watch.fd, &outcome);
	lb_conn_free(session->conn);
	free(session->stash);
	*session->prevp = session->next;
	if (session->next != NULL)
		session->next->prevp = session->prevp;
	server->n_sessions--;
	server->n_counted -= session->counted;
	free(session);
	lb_server_accept_again(server);
	lb_server_check_stopped(server);
}

static void handle(struct lb_session *session, const struct lb_event *event)
{
	switch (event->type) {
	case LB_EVENT_BEGIN:
		lb_session_flush_report(session);
		lb_task_begin(session, event);
		break;
	case LB_EVENT_REFUSED:
		lb_session_report_refused(session, event);
		break;
	case LB_EVENT_DATA:
		lb_task_data(session, event);
		break;
	case LB_EVENT_SYNC:
		lb_task_sync(session, event);
		break;
	case LB_EVENT_COMMIT:
		lb_task_commit(session, event);
		break;
	case LB_EVENT_ROLLBACK:
		lb_task_rollback(session, event);
		break;
	case LB_EVENT_RESOLVE:
		lb_task_resolve(session, event);
		break;
	case LB_EVENT_SETTLED:
		lb_task_settle(session, &event->id);
		break;
	case LB_EVENT_TIMEOUT:
		session->how = LB_END_TIMEOUT;
		break;
	case LB_EVENT_ERROR:
		session->how = LB_END_PROTOCOL_ERROR;
		break;
	default:
		break;
	}
}

/* Keeps what the machine does not take now; reading stops until it does, so this never grows. */
static void keep(struct lb_session *session, const uint8_t *buf, size_t len)
{
	uint8_t *rest = len > 0 ? malloc(len) : NULL;

	if (len > 0 && rest == NULL)
		lb_conn_fail(session->conn, LB_FAILURE_STORAGE, "out of memory");
	else if (len > 0)
		memcpy(rest, buf, len);
	free(session->stash);
	session->stash = rest;
	session->stash_len = rest != NULL && !LB_BUG("drop_rest") ? len : 0;
}

static void feed(struct lb_session *session, const uint8_t *buf, size_t len)
{
	lb_time now = lb_session_now(session);
	struct lb_event event;
	size_t used = 0;

	session->feeding = true;
	while (used < len) {
		size_t n = lb_conn_recv(session->conn, buf + used, len - used, now, &event);

		if (n == 0 && event.type == LB_EVENT_NONE)
			break;
		used += n;
		handle(session, &event);
	}
	if (used < len || session->stash != NULL)
		keep(session, buf + used, len - used);
	session->feeding = false;
}

/* 0: all that there was is written, or the socket takes no more; else why it is gone. */
static int flush(struct lb_session *session, bool *blockedp, bool *wrotep)
{
	struct lb_host *host = session->server->loop->host;
	struct iovec iov[VECTORS];
	int n;

	*blockedp = *wrotep = false;
	while ((n = lb_conn_send(session->conn, iov, VECTORS)) > 0) {
		ssize_t sent = host->net->send(host, session->watch.fd, iov, n);

		if (sent == -EAGAIN) {
			*blockedp = true;
			return 0;
		}
		if (sent < 0)
			return (int)sent;
		lb_conn_sent(session->conn, (size_t)sent, lb_session_now(session));
		*wrotep = true;
	}
	return 0;
}

/* After anything has happened: writes what there is, goes on with what was kept, and decides what to wait for. */
static void update(struct lb_session *session)
{
	struct lb_loop *loop = session->server->loop;
	enum lb_conn_state state;
	bool blocked, wrote;
	size_t kept;
	lb_time next;
	int err;

	if (session->stopping && !lb_tasks_at_work(session))
		lb_conn_fail(session->conn, LB_FAILURE_STOPPED, NULL);
	do {
		kept = session->stash_len;
		if (kept > 0)
			feed(session, session->stash, session->stash_len);
		err = flush(session, &blocked, &wrote);
		if (err != 0) {
			lb_session_broken(session, err);
			return;
		}
	} while ((session->stash_len > 0 && (wrote || session->stash_len < kept)) ||
		 (!blocked && lb_replies_say(session)));
	state = lb_conn_state(session->conn);
	if (state == LB_CONN_FAILED) {
		lb_session_end(session, session->how != LB_END_OPEN ? session->how : LB_END_LOCAL_ABORT);
		return;
	}
	if (state == LB_CONN_CLOSED && session->fin_by == 0)
		session->fin_by = lb_session_now(session) + FIN_WAIT;
	next = session->fin_by != 0 ? session->fin_by : lb_conn_deadline(session->conn);
	if (session->held_until != 0 && session->held_until < next)
		next = session->held_until;
	lb_session_judge_silence(session, blocked);
	if (session->leave_at != 0 && session->leave_at < next)
		next = session->leave_at;
	lb_timer_set(&loop->wheel, &session->timer, next);
	lb_session_watch(session, session->watch.fd,
		(session->stash_len == 0 ? EPOLLIN : 0) | (blocked ? EPOLLOUT : 0));
	if (!session->watching)
		lb_session_free(session);
}

void lb_session_answered(struct lb_session *session)
{
	if (!session->feeding && !session->ending)
		update(session);
}

static void ready(struct lb_watch *watched, uint32_t events)
{
	struct lb_session *session =
		(struct lb_session *)((char *)watched - offsetof(struct lb_session, watch));
	struct lb_server *server = session->server;
	ssize_t n;

	if (session->ending) {
		lb_session_step_ending(session);
		return;
	}
	if (session->stash_len == 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
		n = server->loop->host->net->recv(
			server->loop->host, session->watch.fd, server->buf, LB_RECV_BYTES);
		if (n > 0 && session->stash_len > 0)
			n = -ECONNRESET; /* it has been reset, and what is left of it was never asked to commit */
		if (n == 0 || (n < 0 && n != -EAGAIN)) {
			lb_session_broken(session, (int)n);
			return;
		}
		if (n > 0) {
			session->leave_at = 0;
			feed(session, server->buf, (size_t)n);
		}
	}
	update(session);
}

static void expired(struct lb_timer *timer)
{
	struct lb_session *session =
		(struct lb_session *)((char *)timer - offsetof(struct lb_session, timer));
	struct lb_event event;
	lb_time now = lb_session_now(session);

	if (session->ending) {
		lb_session_step_ending(session);
		return;
	}
	if (session->held_until != 0 && now >= session->held_until)
		lb_session_flush_report(session);
	if (session->fin_by != 0 && now >= session->fin_by) {
		lb_session_end(session, LB_END_TIMEOUT);
		return;
	}
	if (session->leave_at != 0 && now >= session->leave_at) {
		lb_session_end(session, LB_END_LOCAL_ABORT);
		return;
	}
	if (session->fin_by == 0 && now >= lb_conn_deadline(session->conn)) {
		lb_conn_tick(session->conn, now, &event);
		handle(session, &event);
	}
	update(session);
}

void lb_session_new(struct lb_server *server, int fd, const struct lb_endpoint *peer)
{
	struct lb_session *session = calloc(1, sizeof *session);
	struct lb_host *host = server->loop->host;
	struct lb_conn_options options = {
		.role = LB_ROLE_SERVER,
		.features = (server->sink->resumable ? LB_FEATURE_RESUME : 0) |
			    (server->options.work != NULL ? LB_FEATURE_REPLY : 0),
		.idle_timeout = server->options.idle_timeout,
		.ledger = server->sink->ledger,
		.max_delivery = server->options.max_delivery != 0 ? server->options.max_delivery : LB_UNKNOWN,
		.busy = server->n_counted >= server->options.max_sessions,
	};
	struct lb_outcome outcome;

	if (session != NULL)
		session->conn = lb_conn_new(&options, NULL, host->clock->now(host));
	if (session == NULL || session->conn == NULL) {
		free(session);
		host->net->abort(host, fd, &outcome);
		return;
	}
	session->server = server;
	session->counted = !options.busy;
	server->n_sessions++;
	server->n_counted += session->counted;
	session->watch = (struct lb_watch){.fd = fd, .ready = ready};
	session->timer.expired = expired;
	lb_endpoint_text(peer, session->peer);
	session->next = server->sessions;
	session->prevp = &server->sessions;
	if (session->next != NULL)
		session->next->prevp = &session->next;
	server->sessions = session;
	ready(&session->watch, EPOLLIN); /* what it says first has often come by now */
}
