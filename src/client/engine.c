/* SPDX-License-Identifier: MIT */
/*
 * The client's operations as steps: when each is over, its deadline, and what it came to. Owns struct lb_client. What
 * goes over the connection is link.c's; what is said about a delivery, and what the answers mean, delivery.c's and
 * verdict.c's.
 */
#include "client/link.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY (16u << 20) /* bytes */

void lb_client_begin_operation(struct lb_client *client, enum lb_operation operation, lb_time deadline)
{
	client->operation = operation;
	if (operation !=
		LB_OPERATION_WRITE) /* small writes are many, and nothing is said of how long one took */
		client->started = client->host->clock->now(client->host);
	client->deadline = deadline;
	client->result = 0;
	client->interrupted = false;
}

static void set_verdict(struct lb_client *client, enum lb_reason reason, int err)
{
	client->attempt->verdict = lb_reason_verdict(reason);
	client->attempt->reason = reason;
	client->attempt->err = err;
}

static int open_journal(struct lb_client *client, const struct lb_client_options *options)
{
	char why[256] = "";
	int r = lb_journal_open(client->host, options->state_dir, &client->journal, why);

	if (r < 0)
		set_verdict(client, LB_REASON_JOURNAL, -r);
	if (r < 0 && options->why != NULL)
		memcpy(options->why, why, sizeof why);
	return r;
}

static int look_up(struct lb_client *client, const struct lb_client_options *options)
{
	const char *why = "";
	int r = lb_client_look_up(client, &why);

	if (r == 0 || (r != -EINVAL && client->retry))
		return 0;
	set_verdict(client, LB_REASON_NO_CONNECTION, -r);
	if (options->why != NULL)
		snprintf(options->why, 256, "%s", why);
	return r;
}

int lb_client_start_open_on(struct lb_host *host, const char *address,
	const struct lb_client_options *options, lb_time deadline, struct lb_client **clientp,
	struct lb_outcome *outcomep)
{
	static const struct lb_client_options defaults;
	struct lb_client *client = calloc(1, sizeof *client);
	int r;

	*clientp = NULL;
	*outcomep = (struct lb_outcome){.verdict = LB_VERDICT_NOT_COMMITTED, .how = LB_END_NO_CONNECTION};
	if (client == NULL || lb_undecided_init(client) < 0) {
		if (client != NULL)
			lb_undecided_deinit(client);
		free(client);
		outcomep->err = ENOMEM;
		return -ENOMEM;
	}
	if (options == NULL)
		options = &defaults;
	client->host = host;
	client->fd = -1;
	client->idle_timeout = options->idle_timeout;
	client->interrupt_fd = options->interrupt_fd > 0 ? options->interrupt_fd : -1;
	client->end.how = LB_END_NO_CONNECTION;
	client->end.err = EHOSTUNREACH; /* until an endpoint says more */
	client->retry = options->retry;
	client->waiting = options->waiting;
	client->waiting_arg = options->waiting_arg;
	client->pipeline = options->pipeline;
	client->numbers = options->numbers < LB_NUMBERS_MAX ? options->numbers : LB_NUMBERS_MAX;
	client->only_open = options->only_open;
	client->decided = options->decided;
	client->decided_arg = options->decided_arg;
	client->replay_size = options->replay != 0 ? options->replay : REPLAY;
	lb_client_begin_operation(client, LB_OPERATION_OPEN, deadline);
	r = lb_client_normalise(address, client->address);
	if (r < 0)
		set_verdict(client, LB_REASON_NO_CONNECTION, -r);
	if (r == 0)
		r = open_journal(client, options);
	if (r == 0)
		r = look_up(client, options);
	if (r < 0) {
		lb_client_outcome(client, NULL, outcomep);
		lb_client_free(client);
		return r;
	}
	lb_link_connect(client);
	*clientp = client;
	return 0;
}

void lb_client_start_close(struct lb_client *client, lb_time deadline)
{
	lb_client_begin_operation(client, LB_OPERATION_CLOSE, deadline);
	if (client->link == LB_LINK_WAITING || client->link == LB_LINK_CONNECTING ||
		client->link == LB_LINK_HELLO)
		lb_link_abort(client);
	lb_retry_close(client);
	if (lb_delivery_is_undecided(client))
		lb_delivery_give_up(client, LB_REASON_ROLLED_BACK);
}

static bool over(struct lb_client *client, int result)
{
	if (client->operation == LB_OPERATION_WRITE)
		lb_link_release_buffer(client);
	client->concludes =
		client->operation != LB_OPERATION_BEGIN && client->operation != LB_OPERATION_WRITE;
	client->operation = LB_OPERATION_NONE;
	client->result = result;
	return true;
}

/* Why there is no greeted connection. */
static int open_failed(struct lb_client *client)
{
	const struct lb_outcome *end = &client->end;

	if (end->how == LB_END_NO_CONNECTION) {
		set_verdict(client, LB_REASON_NO_CONNECTION, end->err);
		return -EHOSTUNREACH;
	}
	if (end->how == LB_END_PROTOCOL_ERROR) {
		set_verdict(client, LB_REASON_PROTOCOL, end->err);
		return -EPROTO;
	}
	if (end->err == EBUSY) {
		set_verdict(client, LB_REASON_NO_CONNECTION, end->err);
		return -EBUSY;
	}
	set_verdict(client, LB_REASON_BROKEN, end->err);
	return -ECONNRESET;
}

static int result_of_close(const struct lb_client *client)
{
	if (client->agreed)
		return 0;
	return client->end.how == LB_END_TIMEOUT ? -ETIMEDOUT : -ECONNABORTED;
}

static bool is_over(struct lb_client *client)
{
	const struct lb_attempt *attempt = client->attempt;
	bool ended = attempt->course == LB_COURSE_ENDED;

	lb_undecided_collect(client);
	switch (client->operation) {
	case LB_OPERATION_NONE:
		return true;
	case LB_OPERATION_OPEN:
		if (client->link == LB_LINK_READY)
			return over(client, 0);
		return client->link == LB_LINK_BROKEN && over(client, open_failed(client));
	case LB_OPERATION_BEGIN:
		if (ended)
			return over(client, -ECONNABORTED);
		return (attempt->course == LB_COURSE_OPEN || attempt->course == LB_COURSE_COMPARE) &&
		       over(client, 0);
	case LB_OPERATION_WRITE:
		if (ended)
			return over(client, -ECONNABORTED);
		if (client->out_len > 0)
			return false;
		return (attempt->course == LB_COURSE_COMPARE ||
			       (attempt->course == LB_COURSE_OPEN && attempt->sent >= attempt->length &&
				       (client->pipeline || !lb_link_has_output(client)))) &&
		       over(client, 0);
	case LB_OPERATION_COMMIT_ASYNC:
		if (lb_undecided_is_full(client)) {
			lb_delivery_cut(client, -ENOBUFS);
			return over(client, -ENOBUFS);
		}
		if (!lb_undecided_put(client))
			return false;
		lb_undecided_collect(client);
		return over(client, 0);
	case LB_OPERATION_DECISION:
		return lb_undecided_has_told(client) && over(client, 0);
	case LB_OPERATION_COMMIT:
	case LB_OPERATION_ROLLBACK:
	case LB_OPERATION_RESOLVE:
		return ended && over(client, attempt->verdict == LB_VERDICT_IN_DOUBT ? -EINPROGRESS : 0);
	case LB_OPERATION_CLOSE:
		return client->link == LB_LINK_ENDED && over(client, result_of_close(client));
	}
	return true;
}

/* The deadline has passed, or somebody wants it to end. */
static bool cut(struct lb_client *client, int error)
{
	enum lb_end how = error == -EINTR ? LB_END_LOCAL_ABORT : LB_END_TIMEOUT;

	if (client->operation == LB_OPERATION_CLOSE && client->link == LB_LINK_ENDING)
		return false; /* it has the same deadline */
	if (client->operation == LB_OPERATION_OPEN) {
		int err = client->link == LB_LINK_WAITING ? client->end.err : -error;

		if (client->link == LB_LINK_CONNECTING || client->link == LB_LINK_WAITING)
			how = LB_END_NO_CONNECTION;
		lb_client_break(client, how, LB_PARTY_SELF, err);
		set_verdict(client, error == -EINTR ? LB_REASON_INTERRUPTED : LB_REASON_DEADLINE, err);
		return over(client, error);
	}
	lb_delivery_cut(client, error);
	if (client->operation == LB_OPERATION_BEGIN || client->operation == LB_OPERATION_WRITE ||
		client->operation == LB_OPERATION_COMMIT_ASYNC || client->operation == LB_OPERATION_DECISION)
		return over(client, error);
	if (client->operation == LB_OPERATION_CLOSE) {
		lb_client_break(client, how, LB_PARTY_SELF, -error);
		lb_link_abort(client);
	}
	return is_over(client);
}

bool lb_client_step(struct lb_client *client)
{
	bool more = true;

	if (client->operation == LB_OPERATION_NONE) {
		do
			more = lb_link_pump(client) && client->link != LB_LINK_READY;
		while (lb_delivery_proceed(client) || more);
		lb_undecided_collect(client);
		return true;
	}
	while (more) {
		more = lb_delivery_proceed(client);
		/* What nobody waits for is written together with what comes next. */
		if (client->pipeline && !lb_link_is_due(client)) {
			if (is_over(client))
				return true;
			if (more)
				continue;
		}
		more = lb_link_pump(client) || more;
		/* After CLOSE nothing could be begun once more or asked about, as an answer may call for. */
		if (client->operation == LB_OPERATION_CLOSE && !lb_delivery_is_undecided(client) &&
			(client->undecided.n == 0 || client->link != LB_LINK_READY))
			more = lb_link_close(client) || more;
		if (is_over(client))
			return true;
	}
	if (client->host->clock->now(client->host) >= client->deadline)
		return cut(client, -ETIMEDOUT);
	return client->interrupted && cut(client, -EINTR);
}

void lb_client_interrupt(struct lb_client *client)
{
	if (client->operation != LB_OPERATION_ROLLBACK && client->operation != LB_OPERATION_CLOSE)
		client->interrupted = true;
}

void lb_client_needs(const struct lb_client *client, struct lb_needs *needs)
{
	lb_link_needs(client, needs);
	if (client->operation != LB_OPERATION_NONE && client->deadline < needs->at)
		needs->at = client->deadline;
}

int lb_client_fd(const struct lb_client *client)
{
	struct lb_needs needs;

	lb_client_needs(client, &needs);
	return needs.fd;
}

unsigned lb_client_events(const struct lb_client *client)
{
	struct lb_needs needs;

	lb_client_needs(client, &needs);
	return needs.events;
}

lb_time lb_client_deadline(const struct lb_client *client)
{
	struct lb_needs needs;

	lb_client_needs(client, &needs);
	return needs.at;
}

static void fill_receipt(const struct lb_client *client, struct lb_receipt *receipt)
{
	const struct lb_attempt *attempt = client->attempt;
	static const struct lb_uuid none;

	if (attempt->has_stored &&
		(attempt->verdict == LB_VERDICT_COMMITTED || attempt->reason == LB_REASON_DIFFERENT)) {
		*receipt = attempt->stored;
		return;
	}
	*receipt = (struct lb_receipt){
		.id = attempt->entry.id, .ledger = attempt->entry.ledger, .length = attempt->length};
	if (memcmp(&receipt->ledger, &none, sizeof none) == 0)
		receipt->ledger = client->ledger;
	strcpy(receipt->name, attempt->entry.name);
	if (attempt->length > 0 || attempt->whole)
		lb_hasher_digest(&attempt->hasher, &receipt->digest);
}

static void fill_outcome(struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	struct lb_attempt *attempt = client->attempt;

	*outcomep = client->end;
	outcomep->verdict = attempt->verdict;
	outcomep->reason = attempt->reason;
	if (attempt->err != 0)
		outcomep->err = attempt->err;
	if (client->link != LB_LINK_ENDED) {
		outcomep->accepted = client->taken;
		outcomep->acked = outcomep->lost = client->taken > 0 ? LB_UNKNOWN : 0;
		outcomep->rung = client->taken > 0 ? LB_RUNG_ACCEPTED : LB_RUNG_NOTHING;
	}
	if (attempt->verdict == LB_VERDICT_COMMITTED)
		outcomep->rung = LB_RUNG_COMMITTED;
	outcomep->confirmed = client->confirmed;
	outcomep->took = client->host->clock->now(client->host) - client->started;
	if (receiptp != NULL)
		fill_receipt(client, receiptp);
	strcpy(client->text, attempt->text[0] != '\0' ? attempt->text : client->error_text);
}

void lb_client_outcome(struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	struct lb_attempt *attempt = client->attempt;

	fill_outcome(client, receiptp, outcomep);
	if (attempt->course != LB_COURSE_ENDED)
		return;
	attempt->course = LB_COURSE_NONE;
	free(client->reply);
	client->reply = attempt->reply;
	client->reply_len = attempt->reply_len;
	attempt->reply = NULL;
}

int lb_client_result(struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	struct lb_outcome ignored;

	(client->concludes ? lb_client_outcome : fill_outcome)(
		client, receiptp, outcomep != NULL ? outcomep : &ignored);
	return client->result;
}

void lb_client_free(struct lb_client *client)
{
	if (client == NULL)
		return;
	lb_link_abort(client);
	lb_conn_free(client->conn);
	lb_delivery_goes_on(client);
	lb_numbers_stop(client);
	lb_journal_close(client->journal);
	free(client->stash);
	free(client->again);
	lb_replay_stop(&client->replay);
	lb_undecided_deinit(client);
	free(client);
}
