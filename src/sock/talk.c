/* SPDX-License-Identifier: MIT */
/*
 * What both sides of a farewell do with the socket: say words, hear words, and tell why none came. Owns the socket
 * from start to close. What is said and heard when, and what it means, is for farewell.c and farewell_answer.c;
 * how a connection ends, for ending.c.
 */
#include "sock/talk.h"
#include <errno.h>
#include <lastbyte/message.h>
#include <sys/socket.h>

#define PIECE      16384
#define STEP_BYTES 262144 /* read in one step, so that a flood does not hold the loop */

void lb_talk_start(struct lb_talk *talk, int fd, const struct lb_expect *expect)
{
	struct lb_tcp tcp = {0};

	*talk = (struct lb_talk){.fd = fd, .hearing = {.expect = expect}};
	talk->over = talk->mute = lb_tcp_check(fd, &tcp) < 0 || !tcp.connected;
}

struct lb_ending lb_talk_ending(const struct lb_ending *ending)
{
	struct lb_ending own = *ending;

	own.last = NULL;
	own.last_len = 0;
	if (own.on_expiry == LB_EXPIRY_KEEP)
		own.on_expiry = LB_EXPIRY_ABORT;
	return own;
}

bool lb_talk_has_said(const struct lb_talk *talk)
{
	return talk->said == talk->len;
}

/*
 * What lies unread when the last of the words is written was sent before the peer can have read it. Words that are held
 * back, by Nagle's algorithm or a cork, would keep the peer waiting.
 */
void lb_talk_say(struct lb_talk *talk)
{
	struct lb_tcp tcp;

	while (!talk->mute && !lb_talk_has_said(talk)) {
		ssize_t n;

		lb_tcp_read(talk->fd, &tcp);
		talk->early = tcp.state == LB_TCP_CLOSE_WAIT;
		talk->hearing.stale = lb_tcp_unread(talk->fd);
		n = send(talk->fd, talk->words + talk->said, talk->len - talk->said,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			talk->said += (size_t)n;
			if (lb_talk_has_said(talk))
				(void)!lb_nodelay(talk->fd, true);
		} else if (errno == EAGAIN) {
			talk->hearing.stale = UINT64_MAX;
			return;
		} else if (errno != EINTR) {
			talk->err = errno;
			talk->mute = true;
		}
	}
}

/* 0: truly; or an errno, -ENODATA being one that nobody knows any more. */
static void read_end(struct lb_talk *talk, int error)
{
	struct lb_tcp tcp;

	talk->over = true;
	talk->at_fin = error == 0;
	if (error < 0 && error != -ENODATA)
		talk->err = -error;
	lb_tcp_read(talk->fd, &tcp);
	if (tcp.unacked > 0)
		talk->early = true;
}

void lb_talk_hear(struct lb_talk *talk)
{
	char piece[PIECE];
	uint64_t limit = talk->received + STEP_BYTES;

	talk->dry = false;
	while (!talk->over && !talk->dry && talk->heard == LB_HEARD_NOTHING && talk->received < limit) {
		ssize_t n = lb_tcp_recv(talk->fd, piece, sizeof piece, 0);

		if (n > 0) {
			talk->received += (uint64_t)n;
			talk->heard = lb_hear(&talk->hearing, piece, (size_t)n);
		} else if (n == -EAGAIN) {
			talk->dry = true;
		} else {
			read_end(talk, (int)n);
		}
	}
}

void lb_talk_await(struct lb_talk *talk)
{
	lb_tcp_await(&talk->wait, talk->fd, talk->events, talk->next, talk->said + talk->received);
}

static void blame(struct lb_outcome *outcome, enum lb_end how, enum lb_party by)
{
	outcome->how = how;
	outcome->by = by;
}

/* An errno that was met while talking is gone from the socket: whoever closed it could not see it. EPIPE does not say
 * that the connection broke: it may be our own side that was ended before. */
void lb_talk_tell(const struct lb_talk *talk, struct lb_outcome *outcomep)
{
	outcomep->discarded += talk->received - talk->hearing.taken;
	if (talk->early && outcomep->rung > LB_RUNG_ACKED)
		outcomep->rung = LB_RUNG_ACKED;
	if (talk->err == 0)
		return;
	outcomep->err = talk->err;
	if (talk->err == ECONNRESET)
		blame(outcomep, LB_END_RST, LB_PARTY_PEER);
	else if (talk->err == ETIMEDOUT)
		blame(outcomep, LB_END_TIMEOUT, LB_PARTY_NETWORK);
	else if (talk->err != EPIPE)
		blame(outcomep, LB_END_NET_ERROR, LB_PARTY_NETWORK);
}

void lb_talk_tell_unheard(const struct lb_talk *talk, enum lb_phase phase, struct lb_outcome *outcomep)
{
	outcomep->phase = phase;
	if (outcomep->rung > LB_RUNG_ACKED)
		outcomep->rung = LB_RUNG_ACKED;
	if (talk->heard == LB_HEARD_OTHER) {
		outcomep->err = talk->hearing.error;
		if (outcomep->err == EPROTO)
			blame(outcomep, LB_END_PROTOCOL_ERROR, LB_PARTY_PEER);
		else
			blame(outcomep, LB_END_LOCAL_ABORT, LB_PARTY_SELF);
	} else if (talk->at_fin) {
		blame(outcomep, LB_END_FIN, LB_PARTY_PEER);
	} else if (!talk->over && !talk->mute) {
		blame(outcomep, LB_END_TIMEOUT, LB_PARTY_SELF);
	}
}
