/* SPDX-License-Identifier: MIT */
/* What every sink answers alike: verdicts and reasons out of what the ledger says, and the calls on any sink. Owns nothing. */
#include "server/sink.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum lb_reason lb_sink_reason(int err)
{
	if (err == -ENOSPC || err == -EDQUOT)
		return LB_REASON_DISK_FULL;
	return err == -EBUSY ? LB_REASON_BUSY : LB_REASON_IO_ERROR;
}

void lb_intake_decide(struct lb_intake *intake, enum lb_reason reason)
{
	intake->reason = reason;
	intake->verdict = lb_reason_verdict(reason);
}

void lb_intake_doubt(struct lb_intake *intake)
{
	intake->reason = LB_REASON_IO_ERROR;
	intake->verdict = LB_VERDICT_IN_DOUBT;
}

/* Invariant 4: the same id means the same name, length and digest. */
bool lb_intake_differs(const struct lb_intake *intake, const struct lb_receipt *receipt, bool is_complete)
{
	if (LB_BUG("any_content"))
		return false;
	if (strcmp(intake->name, receipt->name) != 0)
		return true;
	if (!is_complete)
		return intake->declared != LB_UNKNOWN && intake->declared != receipt->length;
	return intake->received != receipt->length ||
	       memcmp(&intake->digest, &receipt->digest, sizeof receipt->digest) != 0;
}

int lb_intake_look(struct lb_intake *intake, struct lb_ledger *ledger, enum lb_ledger_state *statep)
{
	struct lb_ledger_reply reply;
	int err = lb_ledger_look(ledger, &intake->id, statep, &intake->receipt, &reply);

	if (err != 0)
		return err;
	free(intake->reply);
	intake->reply = reply.bytes;
	intake->reply_len = reply.len;
	return 0;
}

bool lb_intake_is_open(struct lb_intake *intake, struct lb_ledger *ledger)
{
	enum lb_ledger_state state;

	if (lb_intake_look(intake, ledger, &state) != 0) {
		lb_intake_doubt(intake); /* an earlier attempt may have committed it */
		return false;
	}
	if (state != LB_LEDGER_COMMITTED)
		lb_intake_decide_known(intake, state);
	else if (lb_intake_differs(intake, &intake->receipt, false))
		lb_intake_decide(intake, LB_REASON_DIFFERENT);
	else
		intake->verdict = LB_VERDICT_COMMITTED;
	return state == LB_LEDGER_UNSEEN;
}

/* Answers for an id whose fate the ledger knows. */
void lb_intake_decide_known(struct lb_intake *intake, enum lb_ledger_state state)
{
	switch (state) {
	case LB_LEDGER_FENCED:
		lb_intake_decide(intake, LB_REASON_FENCED);
		break;
	case LB_LEDGER_SETTLED:
		lb_intake_decide(intake, LB_REASON_SETTLED);
		break;
	case LB_LEDGER_FORGOTTEN:
		lb_intake_decide(intake, LB_REASON_FORGOTTEN);
		break;
	case LB_LEDGER_BEYOND:
		lb_intake_decide(intake, LB_REASON_SETTLE_FIRST);
		break;
	case LB_LEDGER_REJECTED:
		lb_intake_decide(intake, LB_REASON_REJECTED);
		break;
	case LB_LEDGER_FAILED:
		lb_intake_decide(intake, LB_REASON_IO_ERROR);
		break;
	case LB_LEDGER_UNSEEN:
	case LB_LEDGER_COMMITTED:
		break;
	}
}

int lb_sink_is_decided(struct lb_ledger *ledger, const struct lb_id *id, bool *decidedp)
{
	enum lb_ledger_state state;
	struct lb_receipt receipt;
	int err = lb_ledger_look(ledger, id, &state, &receipt, NULL);

	/* BEYOND is over as soon as its client settles. */
	*decidedp = err == 0 && state != LB_LEDGER_UNSEEN && state != LB_LEDGER_BEYOND;
	return err;
}

int lb_resolution_fence(
	struct lb_resolution *resolution, struct lb_ledger *ledger, enum lb_ledger_state *statep)
{
	struct lb_ledger_reply reply = {0};
	int err = LB_BUG("fence_not_durable")
			  ? lb_ledger_look(ledger, &resolution->id, statep, &resolution->receipt, &reply)
			  : lb_ledger_fence(ledger, &resolution->id, statep, &resolution->receipt, &reply);

	resolution->reply = reply.bytes;
	resolution->reply_len = reply.len;
	return err;
}

void lb_resolution_decide(struct lb_resolution *resolution, int err, enum lb_ledger_state state)
{
	resolution->reason = LB_REASON_NONE;
	resolution->verdict = LB_VERDICT_ROLLED_BACK;
	if (err != 0) {
		resolution->reason = lb_sink_reason(err);
		resolution->verdict = LB_VERDICT_NOT_COMMITTED;
	} else if (state == LB_LEDGER_COMMITTED) {
		resolution->verdict = LB_VERDICT_COMMITTED;
	} else if (state == LB_LEDGER_SETTLED) {
		resolution->reason = LB_REASON_SETTLED;
	} else if (state == LB_LEDGER_FORGOTTEN) {
		resolution->reason = LB_REASON_FORGOTTEN;
		resolution->verdict = LB_VERDICT_FORGOTTEN;
	} else if (state == LB_LEDGER_BEYOND) {
		resolution->reason = LB_REASON_SETTLE_FIRST;
		resolution->verdict = LB_VERDICT_NOT_COMMITTED;
	} else {
		resolution->reason = LB_REASON_FENCED;
	}
}

int lb_sink_open_above(struct lb_host *host, const char *path)
{
	size_t len = strlen(path);
	char *parent = malloc(len + 2);
	int fd;

	if (parent == NULL)
		return -ENOMEM;
	memcpy(parent, path, len + 1);
	while (len > 1 && parent[len - 1] == '/')
		len--;
	while (len > 0 && parent[len - 1] != '/')
		len--;
	while (len > 1 && parent[len - 1] == '/')
		len--;
	if (len == 0)
		parent[len++] = '.';
	parent[len] = '\0';
	fd = host->disk->open(host, LB_HERE, parent, LB_OPEN_DIR);
	free(parent);
	return fd;
}

LB_PUBLIC const struct lb_uuid *lb_sink_ledger(const struct lb_sink *sink)
{
	return &sink->ledger;
}

LB_PUBLIC void lb_sink_close(struct lb_sink *sink)
{
	if (sink != NULL)
		sink->ops->close(sink);
}
