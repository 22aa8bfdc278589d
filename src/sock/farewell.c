/* SPDX-License-Identifier: MIT */
/*
 * lb_farewell, the side that says CLOSE: what is said and heard in which order, and what the answer proves, or that
 * there is none. Owns no bytes and no rules of ending: those are in hear.c, talk.c and ending.c.
 */
#include "sock/farewell.h"
#include "sock/tcp.h"
#include <errno.h>
#include <sys/epoll.h>

static bool has_answer(const struct lb_expect *answer)
{
	return answer->recognize != NULL || answer->len > 0;
}

void lb_farewell_start(
	struct lb_farewell_run *run, int fd, const struct lb_farewell *farewell, lb_time deadline)
{
	*run = (struct lb_farewell_run){
		.farewell = farewell, .deadline = deadline, .ending = lb_talk_ending(&farewell->ending)};
	lb_talk_start(&run->talk, fd, &farewell->answer);
	run->talk.words = farewell->words;
	run->talk.len = farewell->words_len;
}

/*
 * Once nothing more can be said, what has come is heard to its end, but not waited for: it is no answer to anything. A
 * peer that has ended may still read, and is told the rest.
 */
static bool is_done(const struct lb_talk *talk)
{
	if (talk->heard != LB_HEARD_NOTHING)
		return true;
	if (talk->over)
		return !talk->at_fin || talk->mute || lb_talk_has_said(talk);
	return talk->mute && talk->dry;
}

bool lb_farewell_step(struct lb_farewell_run *run, lb_time now)
{
	struct lb_talk *talk = &run->talk;

	lb_talk_say(talk);
	lb_talk_hear(talk);
	if (is_done(talk) || now >= run->deadline)
		return true;
	talk->events = (talk->over ? 0 : EPOLLIN | EPOLLRDHUP) |
		       (lb_talk_has_said(talk) || talk->mute ? 0 : EPOLLOUT);
	talk->next = run->deadline;
	return false;
}

/* CLOSE was said, or a part of it that the peer may have taken for the whole. */
static bool may_have_been_heard(const struct lb_talk *talk)
{
	return talk->said > 0 || talk->len == 0;
}

static void judge_durable(const struct lb_talk *talk, bool answered, struct lb_outcome *outcome)
{
	if (answered) {
		outcome->verdict = LB_VERDICT_COMMITTED;
		outcome->rung = LB_RUNG_COMMITTED;
		return;
	}
	outcome->reason = may_have_been_heard(talk)        ? LB_REASON_NO_ANSWER
			  : outcome->how == LB_END_TIMEOUT ? LB_REASON_DEADLINE
							   : LB_REASON_BROKEN;
	outcome->verdict = lb_reason_verdict(outcome->reason);
}

/* An end that came before the peer had CLOSE is no answer to it. */
void lb_farewell_judge(const struct lb_farewell_run *run, int result, struct lb_outcome *outcomep)
{
	const struct lb_talk *talk = &run->talk;
	bool answered = talk->heard == LB_HEARD_WORDS;
	bool ended =
		talk->at_fin && !talk->early && lb_talk_has_said(talk) && !has_answer(&run->farewell->answer);

	lb_talk_tell(talk, outcomep);
	if (!lb_talk_has_said(talk) && outcomep->rung > LB_RUNG_ACCEPTED)
		outcomep->rung = outcomep->accepted > 0 ? LB_RUNG_ACCEPTED : LB_RUNG_NOTHING;
	if (answered) {
		outcomep->how = LB_END_CLOSE_OK;
		outcomep->by = LB_PARTY_SELF;
	} else if (result == 0 && !ended) {
		lb_talk_tell_unheard(
			talk, lb_talk_has_said(talk) ? LB_PHASE_CLOSE_SENT : LB_PHASE_DATA, outcomep);
	}
	if (run->farewell->durable)
		judge_durable(talk, answered, outcomep);
}

/* After half of CLOSE, a FIN would make what was said look whole. EPIPE: there is none to come, it was sent before. */
int lb_farewell_end(struct lb_farewell_run *run, lb_time deadline, struct lb_outcome *outcomep)
{
	struct lb_talk *talk = &run->talk;
	int result;

	lb_hear_end(&talk->hearing);
	if (!lb_talk_has_said(talk) && talk->err != EPIPE)
		result = lb_abort(talk->fd, outcomep);
	else
		result = lb_close(talk->fd, &run->ending, deadline, outcomep);
	lb_farewell_judge(run, result, outcomep);
	return result;
}

int lb_farewell(int fd, const struct lb_farewell *farewell, lb_time deadline, struct lb_outcome *outcomep)
{
	struct lb_farewell_run run;
	lb_time started = lb_now();
	int result;

	lb_farewell_start(&run, fd, farewell, deadline);
	while (!lb_farewell_step(&run, lb_now()))
		lb_talk_await(&run.talk);
	result = lb_farewell_end(&run, deadline, outcomep);
	outcomep->took = lb_now() - started;
	return result;
}
