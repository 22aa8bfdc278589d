/* SPDX-License-Identifier: MIT */
/* The sink around the real one. What a dead process believes to have done is of no interest. Owns nothing. */
#include "sim/sink.h"

static struct sim_sink *sink_of(struct lb_sink *sink)
{
	return (struct sim_sink *)sink;
}

static void check_reply(
	struct sim_sink *sink, enum lb_verdict verdict, const struct lb_id *id, const void *reply, size_t len)
{
	if (!sink->process->dead && verdict == LB_VERDICT_COMMITTED)
		sim_check_replied(sink->check, id, reply, len);
}

static void check_past(struct sim_sink *sink, const struct lb_intake *intake, enum lb_reason reason)
{
	if (!sink->process->dead)
		sim_check_is_past(sink->check, sim_check_ident(sink->check, &intake->id, NULL),
			&sink->sink.ledger, reason);
}

static void sink_begin(struct lb_sink *base, struct lb_intake *intake)
{
	struct sim_sink *sink = sink_of(base);

	sim_check_begun(sink->check, &base->ledger, intake);
	sink->real->ops->begin(sink->real, intake);
	check_reply(sink, intake->verdict, &intake->id, intake->reply, intake->reply_len);
	if (!sink->process->dead && intake->verdict == LB_VERDICT_COMMITTED)
		sim_check_committed(sink->check, sink->process->machine, intake);
	check_past(sink, intake, intake->reason);
	if (!sink->process->dead)
		sim_check_resumed(sink->check, sink->process->machine, intake);
}

static enum lb_reason sink_write(struct lb_sink *base, struct lb_intake *intake, const void *buf, size_t len)
{
	struct sim_sink *sink = sink_of(base);

	return sink->real->ops->write(sink->real, intake, buf, len);
}

static void sink_rehash(struct lb_sink *base, struct lb_intake *intake, struct lb_hasher *hasher)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->rehash(sink->real, intake, hasher);
}

static enum lb_reason sink_sync(struct lb_sink *base, struct lb_intake *intake, uint64_t offset)
{
	struct sim_sink *sink = sink_of(base);
	enum lb_reason reason;

	sim_check_syncs(sink->check, intake, offset);
	reason = sink->real->ops->sync(sink->real, intake, offset);
	check_past(sink, intake, reason);
	if (!sink->process->dead && reason == LB_REASON_NONE)
		sim_check_synced(sink->check, sink->process->machine, intake, offset);
	return reason;
}

static enum lb_reason sink_read(struct lb_sink *base, struct lb_intake *intake, void *buf)
{
	struct sim_sink *sink = sink_of(base);

	return sink->real->ops->read(sink->real, intake, buf);
}

static int sink_is_decided(struct lb_sink *base, const struct lb_id *id, bool *decidedp)
{
	struct sim_sink *sink = sink_of(base);

	return sink->real->ops->is_decided(sink->real, id, decidedp);
}

static void sink_commit(struct lb_sink *base, struct lb_intake **intakes, size_t n)
{
	struct sim_sink *sink = sink_of(base);

	for (size_t i = 0; i < n; i++)
		sim_check_commits(sink->check, &base->ledger, intakes[i]);
	sink->real->ops->commit(sink->real, intakes, n);
	for (size_t i = 0; i < n; i++) {
		sim_trace(sink->process->world, "%s: sink says %s (%s) of %s", sink->process->name,
			lb_verdict_word(intakes[i]->verdict), lb_reason_word(intakes[i]->reason),
			intakes[i]->name);
		check_past(sink, intakes[i], intakes[i]->reason);
		check_reply(
			sink, intakes[i]->verdict, &intakes[i]->id, intakes[i]->reply, intakes[i]->reply_len);
		if (!sink->process->dead && intakes[i]->verdict == LB_VERDICT_COMMITTED)
			sim_check_committed(sink->check, sink->process->machine, intakes[i]);
	}
}

static void sink_rollback(struct lb_sink *base, struct lb_intake *intake)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->rollback(sink->real, intake);
}

static void sink_leave(struct lb_sink *base, struct lb_intake *intake)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->leave(sink->real, intake);
}

static void sink_resolve(struct lb_sink *base, struct lb_resolution *resolution)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->resolve(sink->real, resolution);
	check_reply(sink, resolution->verdict, &resolution->id, resolution->reply, resolution->reply_len);
	sim_trace(sink->process->world, "%s: sink resolves %s", sink->process->name,
		lb_verdict_word(resolution->verdict));
	if (!sink->process->dead)
		sim_check_resolved(sink->check, sink->process->machine, &base->ledger, resolution);
}

static void sink_settle(struct lb_sink *base, const struct lb_id *lowest)
{
	struct sim_sink *sink = sink_of(base);

	sim_check_settles(sink->check, &base->ledger, lowest);
	sink->real->ops->settle(sink->real, lowest);
}

static void sink_sweep(struct lb_sink *base)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->sweep(sink->real);
}

static void sink_close(struct lb_sink *base)
{
	struct sim_sink *sink = sink_of(base);

	sink->real->ops->close(sink->real);
}

static const struct lb_sink_ops ops = {
	.begin = sink_begin,
	.rehash = sink_rehash,
	.write = sink_write,
	.sync = sink_sync,
	.read = sink_read,
	.is_decided = sink_is_decided,
	.commit = sink_commit,
	.rollback = sink_rollback,
	.leave = sink_leave,
	.resolve = sink_resolve,
	.settle = sink_settle,
	.sweep = sink_sweep,
	.close = sink_close,
};

void sim_sink_init(
	struct sim_sink *sink, struct lb_sink *real, struct sim_process *process, struct sim_check *check)
{
	*sink = (struct sim_sink){.sink = *real, .real = real, .process = process, .check = check};
	sink->sink.ops = &ops;
}
