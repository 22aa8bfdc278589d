/* SPDX-License-Identifier: MIT */
/* The blocking calls of lastbyte/client.h: each starts an operation and waits between its steps. Owns no state. */
#include "client/link.h"
#include <errno.h>
#include <string.h>

static int wait_for(
	struct lb_client *client, const struct lb_needs *needs, int interrupt_fd, int fd, lb_time until)
{
	struct lb_host *host = client->host;
	int r = host->net->wait(
		host, needs->fd, needs->events, interrupt_fd, fd, needs->at < until ? needs->at : until);

	if (r < 0)
		lb_client_break(client, LB_END_NET_ERROR, LB_PARTY_SELF, -r);
	return r < 0 ? 0 : r;
}

static bool is_interrupted(const struct lb_client *client)
{
	return client->interrupt_fd >= 0 &&
	       client->host->net->wait(client->host, -1, 0, client->interrupt_fd, -1, 0) == 2;
}

/* Waits for the end of the operation. What cannot be interrupted must not be woken all the time either. */
static int run(struct lb_client *client)
{
	bool deaf = client->operation == LB_OPERATION_ROLLBACK || client->operation == LB_OPERATION_CLOSE;
	struct lb_needs needs;

	while (!lb_client_step(client)) {
		lb_client_needs(client, &needs);
		if (wait_for(client, &needs, deaf ? -1 : client->interrupt_fd, -1, LB_NEVER) & 2)
			lb_client_interrupt(client);
	}
	return client->result;
}

/* What is to be fast is interrupted where it waits. */
static int run_interruptibly(struct lb_client *client)
{
	if (!client->pipeline && is_interrupted(client))
		lb_client_interrupt(client);
	return run(client);
}

int lb_client_start_open(const char *address, const struct lb_client_options *options, lb_time deadline,
	struct lb_client **clientp, struct lb_outcome *outcomep)
{
	return lb_client_start_open_on(lb_host_real(), address, options, deadline, clientp, outcomep);
}

int lb_client_open_on(struct lb_host *host, const char *address, const struct lb_client_options *options,
	lb_time deadline, struct lb_client **clientp, struct lb_outcome *outcomep)
{
	int r = lb_client_start_open_on(host, address, options, deadline, clientp, outcomep);

	if (r < 0)
		return r;
	r = run_interruptibly(*clientp);
	lb_client_outcome(*clientp, NULL, outcomep);
	if (r < 0) {
		lb_client_free(*clientp);
		*clientp = NULL;
	}
	return r;
}

int lb_client_open(const char *address, const struct lb_client_options *options, lb_time deadline,
	struct lb_client **clientp, struct lb_outcome *outcomep)
{
	return lb_client_open_on(lb_host_real(), address, options, deadline, clientp, outcomep);
}

int lb_client_find(const char *address, const struct lb_client_options *options,
	const struct lb_delivery *delivery, struct lb_id *idp)
{
	char normal[LB_ADDRESS_TEXT], why[256] = "";
	struct lb_journal_entry entry;
	struct lb_journal *journal;
	int r = address != NULL ? lb_client_normalise(address, normal) : 0;

	if (r < 0)
		return r;
	r = lb_journal_open(lb_host_real(), options != NULL ? options->state_dir : NULL, &journal, why);
	if (r < 0)
		return r;
	if (delivery->id.number != 0)
		r = lb_journal_find(journal, &delivery->id, &entry);
	else if (delivery->source != NULL)
		r = lb_journal_find_source(journal, NULL, address != NULL ? normal : NULL, delivery->name,
			delivery->source, &entry);
	if (r == 1)
		*idp = entry.id;
	lb_journal_close(journal); /* what was found is released with it */
	return r;
}

struct listing {
	const char *address; /* "": all */
	int (*each)(void *arg, const struct lb_open_delivery *open);
	void *arg;
};

static int list_entry(void *arg, const struct lb_journal_entry *entry)
{
	const struct listing *listing = arg;
	const struct lb_open_delivery open = {.id = entry->id,
		.count = entry->count,
		.ledger = entry->ledger,
		.address = entry->address,
		.name = entry->name,
		.source = entry->source,
		.note = entry->note,
		.busy = entry->busy};

	if (listing->address[0] != '\0' && strcmp(listing->address, entry->address) != 0)
		return 0;
	return listing->each(listing->arg, &open);
}

int lb_client_each_open_on(struct lb_host *host, const struct lb_client_options *options, const char *address,
	int (*each)(void *arg, const struct lb_open_delivery *open), void *arg)
{
	char normal[LB_ADDRESS_TEXT] = "", why[256] = "";
	struct listing listing = {.address = normal, .each = each, .arg = arg};
	struct lb_journal *journal;
	int r = address != NULL ? lb_client_normalise(address, normal) : 0;

	if (r == 0)
		r = lb_journal_open(host, options != NULL ? options->state_dir : NULL, &journal, why);
	if (r != 0) {
		if (options != NULL && options->why != NULL)
			memcpy(options->why, why, sizeof why);
		return r;
	}
	r = lb_journal_each(journal, list_entry, &listing);
	lb_journal_close(journal);
	return r;
}

int lb_client_each_open(const struct lb_client_options *options, const char *address,
	int (*each)(void *arg, const struct lb_open_delivery *open), void *arg)
{
	return lb_client_each_open_on(lb_host_real(), options, address, each, arg);
}

const struct lb_uuid *lb_client_ledger(const struct lb_client *client)
{
	return &client->ledger;
}

const char *lb_client_peer(const struct lb_client *client)
{
	return client->peer;
}

const struct lb_id *lb_client_id(const struct lb_client *client)
{
	return &client->attempt->entry.id;
}

int lb_client_begin(struct lb_client *client, const struct lb_delivery *delivery, lb_time deadline)
{
	int r = lb_client_start_begin(client, delivery, deadline);

	return r < 0 ? r : run_interruptibly(client);
}

int lb_client_write(struct lb_client *client, const void *buf, size_t len, lb_time deadline)
{
	int r;

	if (lb_stream_gather(client, buf, len))
		return 0;
	r = lb_client_start_write(client, buf, len, deadline);
	return r < 0 ? r : run_interruptibly(client);
}

int lb_client_wait(struct lb_client *client, int fd, lb_time deadline)
{
	const struct lb_attempt *attempt = client->attempt;
	struct lb_needs needs;
	int r;

	lb_client_begin_operation(client, LB_OPERATION_NONE, deadline); /* it may have to connect */
	for (;;) {
		(void)lb_client_step(client);
		if (attempt->course == LB_COURSE_ENDED ||
			(client->link == LB_LINK_BROKEN && attempt->course != LB_COURSE_COMPARE))
			return -ECONNABORTED;
		lb_client_needs(client, &needs);
		r = wait_for(client, &needs, client->interrupt_fd, fd, deadline);
		if (r & 2)
			return -EINTR;
		if (r & 4)
			return 0;
		if (client->host->clock->now(client->host) >= deadline)
			return -ETIMEDOUT;
	}
}

int lb_client_commit_async(struct lb_client *client, lb_time deadline)
{
	int r = lb_client_start_commit_async(client, deadline);

	return r < 0 ? r : run_interruptibly(client);
}

int lb_client_decision(struct lb_client *client, lb_time deadline, struct lb_decision *decisionp)
{
	int r = lb_client_start_decision(client, deadline);

	if (r == 0)
		r = lb_undecided_has_told(client) ? 0 : run_interruptibly(client);
	client->operation = LB_OPERATION_NONE;
	if (r == 0 && decisionp != NULL)
		lb_undecided_fetch(client, decisionp);
	return r;
}

const void *lb_client_reply(const struct lb_client *client, size_t *lenp)
{
	*lenp = client->reply_len;
	return client->reply;
}

const char *lb_client_text(const struct lb_client *client)
{
	return client->text;
}

/* A call that is not legal now: nothing was asked, and nothing is known. */
static int illegal(int error, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	*receiptp = (struct lb_receipt){.length = 0};
	*outcomep = (struct lb_outcome){.verdict = LB_VERDICT_IN_DOUBT, .err = -error};
	return error;
}

static int finish(struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	int r = run(client);

	lb_client_outcome(client, receiptp, outcomep);
	return r;
}

int lb_client_commit(
	struct lb_client *client, lb_time deadline, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	struct lb_attempt *attempt = client->attempt;
	int r;

	if ((attempt->course == LB_COURSE_OPEN || attempt->course == LB_COURSE_BEGIN) &&
		is_interrupted(client)) {
		attempt->whole = attempt->cut == LB_REASON_NONE;
		attempt->vouched = !attempt->whole;
		r = lb_client_start_rollback(client, LB_REASON_INTERRUPTED, deadline);
	} else {
		r = lb_client_start_commit(client, deadline);
	}
	return r < 0 ? illegal(r, receiptp, outcomep) : finish(client, receiptp, outcomep);
}

int lb_client_rollback(struct lb_client *client, enum lb_reason reason, lb_time deadline,
	struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	int r = lb_client_start_rollback(client, reason, deadline);

	return r < 0 ? illegal(r, receiptp, outcomep) : finish(client, receiptp, outcomep);
}

int lb_client_resolve(struct lb_client *client, const struct lb_id *id, lb_time deadline,
	struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	int r = lb_client_start_resolve(client, id, deadline);

	if (r < 0)
		return illegal(r, receiptp, outcomep);
	return finish(client, receiptp, outcomep);
}

int lb_client_close(struct lb_client *client, lb_time deadline, struct lb_outcome *outcomep)
{
	int r;

	lb_client_start_close(client, deadline);
	r = run(client);
	lb_client_outcome(client, NULL, outcomep);
	lb_client_free(client);
	return r;
}

void lb_client_keep(struct lb_client *client)
{
	client->keep = true;
}

void lb_client_abort(struct lb_client *client, struct lb_outcome *outcomep)
{
	lb_client_begin_operation(client, LB_OPERATION_NONE, LB_NEVER);
	lb_link_abort(client);
	lb_undecided_collect(client);
	lb_client_outcome(client, NULL, outcomep);
	lb_client_free(client);
}
