/* SPDX-License-Identifier: MIT */
/* What a client asks and says about ids, outside of a delivery: RESOLVE and SETTLED. Owns no state. */
#include "server/server.h"
#include <string.h>

void lb_task_resolve(struct lb_session *session, const struct lb_event *event)
{
	struct lb_task *task = lb_task_new(session->server, session, LB_TASK_RESOLVE, event->handle);

	if (task == NULL) {
		lb_task_check(session,
			lb_conn_refused(session->conn, event->handle, LB_REASON_BUSY, "out of memory"));
		return;
	}
	task->resolution.id = event->id;
	lb_task_submit(task, LB_TASK_RESOLVE);
}

bool lb_task_resolved(struct lb_task *task)
{
	const struct lb_resolution *found = &task->resolution;
	struct lb_session *session = task->session;

	if (session != NULL) {
		if (found->verdict == LB_VERDICT_NOT_COMMITTED || found->verdict == LB_VERDICT_IN_DOUBT)
			lb_task_refuse(task, found->reason, NULL);
		else if (!lb_reply_resolved(task))
			return false;
	}
	lb_task_free(task);
	return true;
}

/* One at a time for each session, so that a flood of SETTLED costs one task. */
void lb_task_settle(struct lb_session *session, const struct lb_id *lowest)
{
	struct lb_task *task;

	if (session->settling != NULL) {
		if (memcmp(session->lowest.client, lowest->client, sizeof lowest->client) != 0 ||
			lowest->number > session->lowest.number)
			session->lowest = *lowest;
		return;
	}
	task = lb_task_new(session->server, session, LB_TASK_SETTLE, 0);
	if (task == NULL)
		return;
	task->resolution.id = *lowest;
	session->settling = task;
	session->lowest.number = 0;
	lb_task_submit(task, LB_TASK_SETTLE);
}

void lb_task_settled(struct lb_task *task)
{
	struct lb_session *session = task->session;
	struct lb_id more = {0};

	if (session != NULL)
		more = session->lowest;
	lb_task_free(task);
	if (more.number != 0)
		lb_task_settle(session, &more);
}
