/* SPDX-License-Identifier: MIT */
/* The worker's side of the tasks: what goes to the sink, and what shares a sync. Owns nothing. */
#include "server/server.h"

#define COMMITS_TOGETHER 1024

static void commit_all(struct lb_sink *sink, struct lb_job *list)
{
	struct lb_intake *together[COMMITS_TOGETHER];
	size_t n = 0;

	for (struct lb_job *job = list; job != NULL; job = job->next) {
		struct lb_task *task = lb_task_of(job);

		if (task->kind == LB_TASK_COMMIT && lb_reply_work(task))
			together[n++] = &task->intake;
		if (n == COMMITS_TOGETHER || (n > 0 && job->next == NULL)) {
			sink->ops->commit(sink, together, n);
			n = 0;
		}
	}
}

/* To hear that the ledger cannot be asked may take long: it is said to the others, too, who may be many. They ask again. */
static void resolve_all(struct lb_sink *sink, struct lb_job *list)
{
	enum lb_reason reason = LB_REASON_NONE;

	for (struct lb_job *job = list; job != NULL; job = job->next) {
		struct lb_resolution *resolution = &lb_task_of(job)->resolution;

		if (lb_task_of(job)->kind != LB_TASK_RESOLVE)
			continue;
		if (reason != LB_REASON_BUSY && reason != LB_REASON_IO_ERROR) {
			sink->ops->resolve(sink, resolution);
			reason = resolution->reason;
			continue;
		}
		resolution->verdict = LB_VERDICT_NOT_COMMITTED;
		resolution->reason = reason;
	}
}

/*
 * On the worker. Commits share their syncs, whatever lies between them: what came later does no harm when
 * it is done first (a client settles no number that is undecided), and a question is best asked once what
 * was ready is in.
 */
void lb_task_work(void *arg, struct lb_job *list)
{
	struct lb_server *server = arg;
	struct lb_sink *sink = server->sink;

	for (struct lb_job *job = list; job != NULL; job = job->next) {
		struct lb_task *task = lb_task_of(job);

		if (task->kind == LB_TASK_BEGIN)
			sink->ops->begin(sink, &task->intake);
		else if (task->kind == LB_TASK_REHASH)
			sink->ops->rehash(sink, &task->intake, &task->hasher);
		else if (task->kind == LB_TASK_SYNC)
			task->intake.reason = sink->ops->sync(sink, &task->of->intake, task->mark);
		else if (task->kind == LB_TASK_ROLLBACK)
			sink->ops->rollback(sink, &task->intake);
		else if (task->kind == LB_TASK_LEAVE)
			sink->ops->leave(sink, &task->intake);
		else if (task->kind == LB_TASK_SETTLE)
			sink->ops->settle(sink, &task->resolution.id);
		else if (task->kind == LB_TASK_SWEEP)
			sink->ops->sweep(sink);
	}
	commit_all(sink, list);
	resolve_all(sink, list);
}
