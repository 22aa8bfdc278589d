/* SPDX-License-Identifier: MIT */
/*
 * The application's work on a delivery, on the worker, and its reply on the way back, on the loop's thread. Owns the
 * buffers of the work; a reply is its task's. What makes it durable is the sink's.
 */
#include "server/server.h"
#include "base/test.h"
#include "proto/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORK_MAX (1u << 20)

int lb_reply_init(struct lb_server *server)
{
	struct lb_server_options *options = &server->options;

	if (options->work == NULL)
		return 0;
	if (server->sink->ops->read == NULL)
		return -ENOTSUP;
	if (options->work_max == 0)
		options->work_max = WORK_MAX;
	if (options->max_delivery == 0 || options->max_delivery > options->work_max)
		options->max_delivery = options->work_max;
	server->content = malloc(options->work_max);
	server->reply = malloc(LB_WORK_REPLY_MAX);
	return server->content != NULL && server->reply != NULL ? 0 : -ENOMEM;
}

void lb_reply_deinit(struct lb_server *server)
{
	free(server->content);
	free(server->reply);
}

/* What the application says. */
static enum lb_reason ask(struct lb_server *server, struct lb_intake *intake, size_t *lenp)
{
	const struct lb_work work = {.id = intake->id,
		.name = intake->name,
		.content = server->content,
		.len = (size_t)intake->received};
	enum lb_reason reason;

	if (intake->received > server->options.work_max)
		return LB_REASON_TOO_LARGE; /* it was kept when the limit was another */
	reason = server->sink->ops->read(server->sink, intake, server->content);
	if (reason != LB_REASON_NONE)
		return reason;
	reason = server->options.work(server->options.work_arg, &work, server->reply, lenp);
	if (*lenp > LB_WORK_REPLY_MAX) {
		*lenp = 0; /* and no text: it did not write what it says, and before it another delivery's reply lay there */
		return LB_REASON_IO_ERROR;
	}
	return reason == LB_REASON_NONE || reason == LB_REASON_BUSY ? reason : LB_REASON_REJECTED;
}

bool lb_reply_work(struct lb_task *task)
{
	struct lb_server *server = task->server;
	struct lb_intake *intake = &task->intake;
	enum lb_reason reason;
	bool decided = false;
	size_t len = 0;
	int err = 0;

	if (server->options.work != NULL)
		err = server->sink->ops->is_decided(server->sink, &intake->id, &decided);
	if (server->options.work == NULL || decided)
		return true; /* its commit says what has become of it */
	reason = err != 0 ? lb_sink_reason(err) : ask(server, intake, &len);
	if (reason == LB_REASON_NONE && len > 0) {
		intake->reply = malloc(len);
		intake->reply_len = len;
		if (intake->reply != NULL)
			memcpy(intake->reply, server->reply, len);
		else
			reason = LB_REASON_BUSY;
	} else if (len > 0) {
		intake->text = strndup((const char *)server->reply, len < LB_TEXT_MAX ? len : LB_TEXT_MAX);
	}
	if (reason == LB_REASON_NONE)
		return true;
	intake->reason = reason;
	intake->verdict = lb_reason_verdict(reason);
	server->sink->ops->rollback(server->sink, intake);
	return false;
}

/* Says it with its reply; without, to a client that has not asked for any. */
static bool say(struct lb_task *task, const void *reply, size_t len)
{
	struct lb_conn *conn = task->session->conn;
	const struct lb_resolution *found = &task->resolution;
	int result = len > 0 && !LB_BUG("reply_lost") ? lb_conn_reply(conn, task->handle, reply, len) : 0;

	if (result != 0 && result != -EPROTO)
		return true; /* the machine has failed */
	if (found->verdict == LB_VERDICT_UNPROVEN)
		result = lb_conn_committed(conn, task->handle, &task->intake.receipt);
	else
		result = lb_conn_resolved(conn, task->handle, found->verdict, found->reason,
			found->verdict == LB_VERDICT_COMMITTED ? &found->receipt : NULL);
	if (result == -EAGAIN) {
		task->kind = LB_TASK_UNSAID;
		return false;
	}
	lb_task_check(task->session, result);
	return true;
}

bool lb_reply_committed(struct lb_task *task)
{
	return say(task, task->intake.reply, task->intake.reply_len);
}

bool lb_reply_resolved(struct lb_task *task)
{
	return say(task, task->resolution.reply, task->resolution.reply_len);
}

bool lb_replies_say(struct lb_session *session)
{
	bool any = false;

	for (struct lb_task *task = session->tasks, *next; task != NULL; task = next) {
		next = task->next;
		if (task->kind == LB_TASK_UNSAID && task->resolution.verdict != LB_VERDICT_UNPROVEN)
			any = lb_task_resolved(task) || any;
		else if (task->kind == LB_TASK_UNSAID)
			any = lb_task_decide(task) || any;
	}
	return any;
}
