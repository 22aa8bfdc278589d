/* SPDX-License-Identifier: MIT */
/*
 * Deliveries at the server, between a session's machine and the sink. A task is the loop's until it is submitted and again once its job is done; the worker alone touches it in
 * between. A task outlives its connection when a COMMIT is under way: the verdict then goes to the ledger
 * and the log alone.
 */
#include "server/server.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void finished(struct lb_task *task);

static bool is_at_once(const struct lb_task *task)
{
	const struct lb_sink *sink = task->server->sink;

	switch (task->kind) {
	case LB_TASK_BEGIN:
		return sink->begins_at_once && task->intake.attempt == 1;
	case LB_TASK_COMMIT:
	case LB_TASK_ROLLBACK:
	case LB_TASK_LEAVE:
		return sink->commits_at_once;
	default:
		return false;
	}
}

void lb_task_submit(struct lb_task *task, enum lb_task_kind kind)
{
	task->kind = kind;
	if (!is_at_once(task)) {
		task->server->loop->ops->submit(task->server->loop, &task->job);
		return;
	}
	task->job.next = NULL;
	lb_task_work(task->server, &task->job);
	finished(task);
}

void lb_task_roll_back(struct lb_task *task)
{
	lb_task_forget(task);
	lb_task_submit(task, LB_TASK_ROLLBACK);
}

void lb_task_leave(struct lb_task *task)
{
	lb_task_forget(task);
	lb_task_submit(task, LB_TASK_LEAVE);
}

void lb_task_check(struct lb_session *session, int result)
{
	if (result == -EPROTO || result == -EINVAL)
		lb_conn_fail(session->conn, LB_FAILURE_STORAGE, "internal error");
}

void lb_task_refuse(struct lb_task *task, enum lb_reason reason, const char *text)
{
	task->intake.verdict = lb_reason_verdict(reason);
	task->intake.reason = reason;
	if (task->session == NULL || task->answered)
		return;
	task->answered = true;
	lb_task_check(task->session, lb_conn_refused(task->session->conn, task->handle, reason, text));
}

bool lb_task_decide(struct lb_task *task)
{
	struct lb_session *session = task->session;
	const struct lb_intake *intake = &task->intake;

	lb_task_forget(task);
	if (session != NULL && !task->answered) {
		if (intake->verdict == LB_VERDICT_COMMITTED) {
			if (!lb_reply_committed(task))
				return false;
		} else if (intake->verdict == LB_VERDICT_IN_DOUBT) {
			lb_conn_fail(session->conn, LB_FAILURE_STORAGE, NULL);
		} else {
			lb_task_check(session,
				lb_conn_refused(session->conn, task->handle, intake->reason, intake->text));
		}
		task->answered = true;
	}
	lb_task_report(task);
	lb_task_free(task);
	return true;
}

void lb_task_begin(struct lb_session *session, const struct lb_event *event)
{
	struct lb_server *server = session->server;
	struct lb_task *task = lb_task_new(server, session, LB_TASK_BEGIN, event->handle), *other;

	if (task == NULL) {
		lb_task_check(session,
			lb_conn_refused(session->conn, event->handle, LB_REASON_BUSY, "out of memory"));
		return;
	}
	task->intake.id = event->id;
	task->intake.attempt = event->attempt;
	task->intake.declared = event->length;
	task->intake.resume = event->resumable;
	task->intake.part = task->intake.part_dir = -1;
	strcpy(task->intake.name, event->name);
	lb_hasher_init(&task->hasher);
	other = lb_task_find(server, &event->id);
	if (other != NULL && (other->kind != LB_TASK_OPEN || other->intake.attempt >= event->attempt)) {
		lb_task_refuse(task, LB_REASON_BUSY, NULL);
		lb_task_report(task);
		lb_task_free(task);
		return;
	}
	if (other != NULL) {
		struct lb_session *older = other->session;

		lb_task_refuse(other, LB_REASON_SUPERSEDED, NULL);
		lb_task_leave(other);
		if (older != session)
			lb_session_answered(older);
	}
	lb_task_remember(task);
	lb_task_submit(task, LB_TASK_BEGIN);
}

static void begun(struct lb_task *task)
{
	const struct lb_server *server = task->server;

	if (task->intake.verdict != LB_VERDICT_UNPROVEN) {
		(void)lb_task_decide(task);
		return;
	}
	if (task->session == NULL || lb_conn_state(task->session->conn) == LB_CONN_FAILED) {
		lb_task_refuse(task, LB_REASON_BROKEN, NULL);
		lb_task_leave(task);
		return;
	}
	if (task->session->stopping && task->intake.rehashed < task->intake.offset) {
		lb_task_refuse(task, LB_REASON_GOING_AWAY, NULL);
		lb_task_leave(task);
		return;
	}
	if (server->options.max_delivery != 0 && task->intake.offset > server->options.max_delivery) {
		lb_task_refuse(task, LB_REASON_TOO_LARGE, NULL); /* it was kept when the limit was another */
		lb_task_roll_back(task);
		return;
	}
	if (task->intake.rehashed < task->intake.offset) {
		lb_task_submit(task, LB_TASK_REHASH);
		return;
	}
	task->kind = LB_TASK_OPEN;
	lb_task_check(task->session, lb_conn_begin_ok(task->session->conn, task->handle, task->intake.offset,
					     server->sink->resumable));
}

void lb_task_data(struct lb_session *session, const struct lb_event *event)
{
	struct lb_task *task = lb_task_open(session, event->handle);
	enum lb_reason reason;

	if (task == NULL)
		return;
	lb_hasher_update(&task->hasher, event->data, event->len);
	reason = session->server->sink->ops->write(
		session->server->sink, &task->intake, event->data, event->len);
	if (reason != LB_REASON_NONE) {
		lb_task_refuse(task, reason, NULL);
		lb_task_roll_back(task);
	}
}

void lb_task_commit(struct lb_session *session, const struct lb_event *event)
{
	struct lb_task *task = lb_task_open(session, event->handle);

	if (task == NULL)
		return;
	LB_FAULT("commit_received");
	lb_hasher_digest(&task->hasher, &task->intake.digest);
	if (memcmp(&task->intake.digest, &event->digest, sizeof event->digest) != 0) {
		lb_task_refuse(task, LB_REASON_WRONG_DIGEST, NULL);
		lb_task_roll_back(task);
		return;
	}
	lb_task_submit(task, LB_TASK_COMMIT);
}

void lb_task_rollback(struct lb_session *session, const struct lb_event *event)
{
	struct lb_task *task = lb_task_open(session, event->handle);

	if (task == NULL)
		return;
	task->intake.reason = event->reason != LB_REASON_NONE ? event->reason : LB_REASON_ROLLED_BACK;
	task->intake.verdict = lb_reason_verdict(task->intake.reason);
	lb_task_roll_back(task);
}

static void rolled_back(struct lb_task *task)
{
	if (task->session != NULL && !task->answered) {
		task->answered = true;
		lb_task_check(task->session, lb_conn_rolled_back(task->session->conn, task->handle));
	}
	lb_task_report(task);
	lb_task_free(task);
}

/* Its connection has ended. */
static void leave_open(struct lb_task *task)
{
	if (LB_BUG("commit_on_eof")) {
		lb_hasher_digest(&task->hasher, &task->intake.digest);
		lb_task_submit(task, LB_TASK_COMMIT);
		return;
	}
	/* DESIGN's first invariant: nothing commits but an explicit COMMIT. */
	task->intake.verdict = LB_VERDICT_ROLLED_BACK;
	task->intake.reason = LB_REASON_BROKEN;
	lb_task_leave(task);
}

static void say_to_nobody(struct lb_task *task)
{
	if (task->intake.verdict != LB_VERDICT_UNPROVEN /* not a question */)
		lb_task_report(task);
	lb_task_free(task);
}

void lb_tasks_orphan(struct lb_session *session)
{
	struct lb_task *task, *next;

	for (task = session->tasks; task != NULL; task = next) {
		next = task->next;
		task->session = NULL;
		task->next = NULL;
		task->ended = session->how;
		memcpy(task->peer, session->peer, sizeof task->peer);
		if (task->kind == LB_TASK_UNSAID)
			say_to_nobody(task);
		else if (task->kind == LB_TASK_OPEN)
			leave_open(task);
	}
	session->tasks = NULL;
	session->settling = NULL;
}

bool lb_tasks_at_work(const struct lb_session *session)
{
	for (const struct lb_task *task = session->tasks; task != NULL; task = task->next)
		if (!task->answered && task->kind != LB_TASK_OPEN && task->kind != LB_TASK_SETTLE &&
			task->kind != LB_TASK_UNSAID)
			return true;
	return false;
}

static void finished(struct lb_task *task)
{
	switch (task->kind) {
	case LB_TASK_BEGIN:
	case LB_TASK_REHASH:
		begun(task);
		break;
	case LB_TASK_SYNC:
		lb_task_synced(task);
		break;
	case LB_TASK_COMMIT:
		LB_FAULT("commit_done");
		(void)lb_task_decide(task);
		break;
	case LB_TASK_ROLLBACK:
	case LB_TASK_LEAVE:
		rolled_back(task);
		break;
	case LB_TASK_RESOLVE:
		(void)lb_task_resolved(task);
		break;
	case LB_TASK_SETTLE:
		lb_task_settled(task);
		break;
	default: /* a sweep */
		lb_task_free(task);
		break;
	}
}

/* What the worker brings at once leaves with one write for each session. */
void lb_task_done(struct lb_job *job)
{
	struct lb_task *task = lb_task_of(job);
	struct lb_server *server = task->server;
	bool is_last = job->next == NULL;

	if (task->session != NULL)
		lb_session_answered_soon(task->session);
	finished(task);
	if (is_last)
		lb_sessions_write(server);
	lb_server_check_stopped(server);
}
