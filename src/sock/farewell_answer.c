/* SPDX-License-Identifier: MIT */
/*
 * lb_farewell_answer, the side that hears CLOSE: that exactly one of commit and rollback is called, before anything is
 * answered, and who ends first. Owns no bytes and no rules of ending: those are in hear.c, talk.c and ending.c.
 */
#include "sock/farewell.h"
#include "sock/tcp.h"
#include <sys/epoll.h>

#define IDLE INT64_C(2000000000) /* as lb_close waits once all is acked */

void lb_farewell_answer_start(struct lb_farewell_answer_run *run, int fd,
	const struct lb_farewell_answering *answering, lb_time deadline)
{
	*run = (struct lb_farewell_answer_run){
		.answering = answering, .deadline = deadline, .ending = lb_talk_ending(&answering->ending)};
	lb_talk_start(&run->talk, fd, &answering->words);
	run->idle = answering->ending.limits.idle != 0 ? answering->ending.limits.idle : IDLE;
}

/* Either is said with our FIN, or there is nothing to say: then RST, which cannot be taken for an answer. */
static void refuse(struct lb_farewell_answer_run *run)
{
	run->ending.last = run->answering->refusal;
	run->ending.last_len = run->answering->refusal_len;
	run->abort = run->ending.last_len == 0;
}

static void commit(struct lb_farewell_answer_run *run)
{
	const struct lb_farewell_answering *answering = run->answering;

	if (answering->commit != NULL)
		run->refused = answering->commit(answering->arg);
	if (run->refused != 0) {
		run->verdict = LB_VERDICT_NOT_COMMITTED;
		refuse(run);
		return;
	}
	run->verdict = LB_VERDICT_COMMITTED;
	run->talk.words = answering->answer;
	run->talk.len = answering->answer_len;
}

static void roll_back(struct lb_farewell_answer_run *run)
{
	const struct lb_farewell_answering *answering = run->answering;

	run->verdict = LB_VERDICT_ROLLED_BACK;
	if (answering->rollback != NULL)
		answering->rollback(answering->arg);
	if (run->talk.heard == LB_HEARD_OTHER)
		refuse(run);
	else /* our FIN answers the peer's, where it is not the answer to CLOSE */
		run->abort = !run->talk.at_fin || answering->answer_len == 0;
}

/* CLOSE has been heard, or will not be any more. */
static void decide(struct lb_farewell_answer_run *run)
{
	struct lb_talk *talk = &run->talk;

	lb_hear_end(&talk->hearing);
	if (talk->heard == LB_HEARD_WORDS)
		commit(run);
	else
		roll_back(run);
	lb_talk_say(talk);
	if (!lb_talk_has_said(talk)) {
		run->ending.last = talk->words + talk->said;
		run->ending.last_len = talk->len - talk->said;
	}
}

/*
 * Once CLOSE is answered, the peer's FIN is let come first: then it has read the answer, and keeps the TIME_WAIT. What
 * the socket does not take at once is left to the ending, which knows how to wait for it; then our FIN comes first.
 */
bool lb_farewell_answer_step(struct lb_farewell_answer_run *run, lb_time now)
{
	struct lb_talk *talk = &run->talk;
	struct lb_tcp tcp;

	if (run->verdict == LB_VERDICT_UNPROVEN) {
		lb_talk_hear(talk);
		talk->events = EPOLLIN | EPOLLRDHUP;
		talk->next = run->deadline;
		if (talk->heard == LB_HEARD_NOTHING && !talk->over && now < run->deadline)
			return false;
		decide(run);
		talk->events = EPOLLRDHUP;
		talk->next = now; /* which is long ago if `commit` took its time */
		return run->verdict != LB_VERDICT_COMMITTED || talk->len == 0 || !lb_talk_has_said(talk);
	}
	if (run->parting == 0)
		run->parting = run->idle < run->deadline - now ? now + run->idle : run->deadline;
	talk->next = run->parting;
	lb_tcp_read(talk->fd, &tcp);
	run->parted = tcp.state == LB_TCP_CLOSE_WAIT;
	return tcp.state != LB_TCP_ESTABLISHED || now >= run->parting;
}

void lb_farewell_answer_judge(
	const struct lb_farewell_answer_run *run, int result, struct lb_outcome *outcomep)
{
	lb_talk_tell(&run->talk, outcomep);
	outcomep->verdict = run->verdict;
	if (result < 0)
		return;
	if (run->verdict == LB_VERDICT_ROLLED_BACK) {
		lb_talk_tell_unheard(&run->talk, LB_PHASE_DATA, outcomep);
	} else if (run->verdict == LB_VERDICT_NOT_COMMITTED) {
		outcomep->how = LB_END_LOCAL_ABORT;
		outcomep->by = LB_PARTY_SELF;
		outcomep->phase = LB_PHASE_CLOSE_SENT;
		outcomep->err = -run->refused;
	} else if (outcomep->rung < LB_RUNG_ACKED) {
		outcomep->phase = LB_PHASE_CLOSE_SENT;
	} else if (outcomep->how == LB_END_FIN || (outcomep->how == LB_END_DETACHED && run->parted)) {
		outcomep->how = LB_END_CLOSE_OK;
		outcomep->by = LB_PARTY_PEER;
	}
}

int lb_farewell_answer(
	int fd, const struct lb_farewell_answering *answering, lb_time deadline, struct lb_outcome *outcomep)
{
	struct lb_farewell_answer_run run;
	lb_time started = lb_now();
	int result;

	lb_farewell_answer_start(&run, fd, answering, deadline);
	while (!lb_farewell_answer_step(&run, lb_now()))
		lb_talk_await(&run.talk);
	if (run.abort)
		result = lb_abort(fd, outcomep);
	else
		result = lb_close(fd, &run.ending, deadline, outcomep);
	lb_farewell_answer_judge(&run, result, outcomep);
	outcomep->took = lb_now() - started;
	return result;
}
