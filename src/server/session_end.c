/* SPDX-License-Identifier: MIT */
/*
 * How a connection ends at the server: by agreement, by a break, because its machine is done for, or because the server
 * stops. Owns no state; the session is gone once its socket is closed.
 */
#include "server/server.h"
#include <errno.h>
#include <stdlib.h>

#define SECOND      INT64_C(1000000000)
#define ENDING_WAIT (30 * SECOND) /* at most, for the bytes that we still have to send */
#define STOP_WAIT   (SECOND / 5)  /* for the silence of one that has nothing open, when the server stops */
#define VECTORS     4

void lb_session_step_ending(struct lb_session *session)
{
	struct lb_loop *loop = session->server->loop;
	struct lb_outcome outcome;

	/* The step closes the fd when it is done, and a watch must be gone before: it is cheap to renew. */
	lb_session_unwatch(session);
	if (loop->host->net->end_step(loop->host, &session->run, &outcome)) {
		lb_session_free(session);
		return;
	}
	lb_session_watch(session, session->run.fd, lb_ending_events(&session->run));
	lb_timer_set(&loop->wheel, &session->timer, lb_ending_next(&session->run, lb_session_now(session)));
}

/* The machine is done for, or there is nothing left to say: the rest is the socket's ending. */
void lb_session_end(struct lb_session *session, enum lb_end how)
{
	struct lb_loop *loop = session->server->loop;
	lb_time limit = session->server->stopping ? 2 * SECOND : ENDING_WAIT;
	int fd = session->watch.fd;

	if (session->ending)
		return;
	session->how = how;
	session->ending = true;
	lb_tasks_orphan(session);
	lb_session_flush_report(session);
	lb_session_unwatch(session);
	free(session->stash);
	session->stash = NULL;
	session->watch.fd = -1;
	loop->host->net->end_start(loop->host, &session->run, fd, lb_session_now(session) + limit);
	lb_session_step_ending(session);
}

/* CLOSE_OK was written, and the client's FIN came after all that it had to say: "then both just close". */
static void agreed(struct lb_session *session)
{
	struct lb_host *host = session->server->loop->host;
	int fd = session->watch.fd;

	session->how = LB_END_CLOSE_OK;
	lb_session_unwatch(session);
	session->watch.fd = -1;
	host->net->close(host, fd);
	lb_session_free(session);
}

/* recv(2) or send(2) says that the connection is gone. */
void lb_session_broken(struct lb_session *session, int err)
{
	struct iovec iov[VECTORS];

	switch (err) {
	case 0:
		session->how = LB_END_FIN;
		break;
	case -ECONNRESET:
	case -EPIPE:
		session->how = LB_END_RST;
		break;
	case -ETIMEDOUT:
		session->how = LB_END_TIMEOUT;
		break;
	default:
		session->how = LB_END_NET_ERROR;
	}
	if (err == 0 && lb_conn_state(session->conn) == LB_CONN_CLOSED &&
		lb_conn_send(session->conn, iov, VECTORS) == 0)
		agreed(session);
	else
		lb_session_end(session, session->how);
}

/*
 * A server that stops ends whoever has nothing open, and had nothing more to say for a moment: a COMMIT that is on its way
 * would be in doubt, where REFUSED(GOING_AWAY) is certain.
 */
void lb_session_judge_silence(struct lb_session *session, bool blocked)
{
	enum lb_conn_state state = lb_conn_state(session->conn);
	bool open = session->tasks != NULL || session->stash_len > 0 || blocked ||
		    (state != LB_CONN_HELLO && state != LB_CONN_READY);

	if (!session->server->stopping || open)
		session->leave_at = 0;
	else if (session->leave_at == 0)
		session->leave_at = lb_session_now(session) + STOP_WAIT;
}

/* Says GOING_AWAY: what is open may finish. At once: its time is up. */
void lb_session_stop(struct lb_session *session, bool at_once)
{
	if (session->ending)
		return;
	if (at_once && session->fin_by != 0) {
		lb_session_end(session, LB_END_TIMEOUT);
		return;
	}
	if (at_once)
		session->stopping = true;
	else
		lb_task_check(session,
			lb_conn_going_away(session->conn)); /* from now on the machine refuses BEGIN */
	lb_session_answered(session);
}
