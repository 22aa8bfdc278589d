/* SPDX-License-Identifier: MIT */
/*
 * What a later attempt is to find: SYNC of a delivery that goes on meanwhile, and the sweep of what nobody has come back
 * for. Owns no state.
 */
#include "server/server.h"
#include "base/test.h"

/* Its bytes go on coming meanwhile. */
void lb_task_sync(struct lb_session *session, const struct lb_event *event)
{
	struct lb_task *open = lb_task_open(session, event->handle), *task;

	if (open == NULL)
		return;
	task = lb_task_new(session->server, session, LB_TASK_SYNC, event->handle);
	if (task == NULL) {
		lb_task_refuse(open, LB_REASON_BUSY, "out of memory");
		lb_task_leave(open);
		return;
	}
	task->answered = true; /* the answers to its handle are the other one's */
	task->of = open;
	task->mark = open->intake.received;
	lb_task_submit(task, LB_TASK_SYNC);
}

void lb_task_synced(struct lb_task *task)
{
	struct lb_task *open = task->of;
	struct lb_session *session = open->session;
	bool waits = session != NULL && !open->answered;

	if (task->intake.reason != LB_REASON_NONE) {
		/* One that is committing is refused by its commit, or commits: this was not asked for it. */
		if (open->kind == LB_TASK_OPEN) {
			lb_task_refuse(open, task->intake.reason, NULL);
			lb_task_roll_back(open);
		}
	} else if (waits && (open->kind == LB_TASK_OPEN || open->kind == LB_TASK_COMMIT)) {
		if (LB_BUG("synced_is_received"))
			task->mark = open->intake.received;
		lb_task_check(session, lb_conn_synced(session->conn, task->handle, task->mark));
	}
	lb_task_free(task);
}

void lb_task_sweep(struct lb_server *server)
{
	struct lb_task *task = lb_task_new(server, NULL, LB_TASK_SWEEP, 0);
	struct lb_host *host = server->loop->host;

	if (task != NULL)
		lb_task_submit(task, LB_TASK_SWEEP);
	lb_timer_set(&server->loop->wheel, &server->sweep_timer,
		host->clock->now(host) + server->sink->sweep_every);
}
