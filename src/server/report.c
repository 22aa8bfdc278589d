/* SPDX-License-Identifier: MIT */
/*
 * What the server reports of each delivery that has ended. A session holds the last one back for a moment, so that
 * its line can say how the connection ended. Owns no state.
 */
#include "server/server.h"
#include <string.h>

#define REPORT_WAIT INT64_C(1000000000) /* how long a line waits for the end of its connection */

void lb_server_report(struct lb_server *server, struct lb_report *report)
{
	if (server->options.report != NULL)
		server->options.report(server->options.arg, report);
}

void lb_session_flush_report(struct lb_session *session)
{
	if (session->held_until == 0)
		return;
	session->held_until = 0;
	session->held.ended = session->how;
	lb_server_report(session->server, &session->held);
}

void lb_session_report(struct lb_session *session, const struct lb_report *report)
{
	struct lb_host *host = session->server->loop->host;

	lb_session_flush_report(session);
	session->held = *report;
	session->held.peer = session->peer;
	session->held_until = host->clock->now(host) + REPORT_WAIT;
}

void lb_task_report(struct lb_task *task)
{
	struct lb_host *host = task->server->loop->host;
	const struct lb_intake *intake = &task->intake;
	struct lb_report line = {
		.receipt = intake->receipt,
		.verdict = intake->verdict,
		.reason = intake->reason,
		.took = host->clock->now(host) - task->begun,
		.ended = task->ended,
	};

	if (intake->verdict != LB_VERDICT_COMMITTED) {
		line.receipt = (struct lb_receipt){.id = intake->id,
			.ledger = task->server->sink->ledger,
			.length = intake->received,
			.digest = intake->digest};
		memcpy(line.receipt.name, intake->name, sizeof intake->name);
		memcpy(line.receipt.placed, intake->name, sizeof intake->name);
	}
	if (task->session != NULL) {
		lb_session_report(task->session, &line);
	} else {
		line.peer = task->peer;
		lb_server_report(task->server, &line);
	}
}

void lb_session_report_refused(struct lb_session *session, const struct lb_event *event)
{
	struct lb_report line = {
		.receipt = {.id = event->id, .ledger = session->server->sink->ledger},
		.verdict = lb_reason_verdict(event->reason),
		.reason = event->reason,
	};

	memcpy(line.receipt.name, event->name, sizeof event->name);
	memcpy(line.receipt.placed, event->name, sizeof event->name);
	lb_session_report(session, &line);
}
