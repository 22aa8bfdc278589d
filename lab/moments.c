/* SPDX-License-Identifier: MIT */
/* The looking up of moments.h, in what calls.c has recorded and capture.c has seen. */
#include "lab/moments.h"
#include <string.h>

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool reads(const struct lab_call *call)
{
	return begins(call->text, "read(") || begins(call->text, "recv(");
}

static unsigned calls(const struct lab_play *play)
{
	return play->calls < LAB_CALLS ? play->calls : LAB_CALLS;
}

const struct lab_call *moment_call(const struct lab_play *play, const char *text)
{
	for (unsigned i = calls(play); i-- > 0;) {
		const struct lab_call *call = &play->call[i];

		if (!call->peer && call->took != LB_NEVER && begins(call->text, text))
			return call;
	}
	return NULL;
}

const struct lab_call *moment_read(const struct lab_play *play, const char *result)
{
	for (unsigned i = calls(play); i-- > 0;) {
		const struct lab_call *call = &play->call[i];
		const char *end = strrchr(call->text, ' ');

		if (call->peer || !reads(call))
			continue;
		return call->took != LB_NEVER && end != NULL && strcmp(end + 1, result) == 0 ? call : NULL;
	}
	return NULL;
}

lb_time moment_peer_read(const struct lab_play *play)
{
	lb_time last = 0;

	for (unsigned i = 0; i < calls(play); i++) {
		const struct lab_call *call = &play->call[i];

		if (call->peer && reads(call) && call->took != LB_NEVER && call->at + call->took > last)
			last = call->at + call->took;
	}
	return last;
}

lb_time moment_peer_data(const struct lab_play *play)
{
	for (unsigned i = 0; play->captured && i < play->arrows; i++)
		if (play->arrow[i].peer && play->arrow[i].bytes > 0 && play->arrow[i].arrived != LB_NEVER)
			return play->arrow[i].arrived;
	for (unsigned i = 0; !play->captured && i < calls(play); i++)
		if (play->call[i].peer && begins(play->call[i].text, "write("))
			return play->call[i].at;
	return LB_NEVER;
}

bool moment_has_data(const struct lab_play *play)
{
	return play->captured && play->missed == 0 && moment_largest(play) > 0 &&
	       play->segments[LINK_LEFT].lost + play->segments[LINK_RIGHT].lost == 0;
}

lb_time moment_one_way(const struct lab_play *play)
{
	lb_time least = LB_NEVER;

	for (unsigned i = 0; play->captured && i < play->arrows; i++) {
		const struct lab_arrow *arrow = &play->arrow[i];

		if (!arrow->peer && arrow->arrived != LB_NEVER && arrow->arrived - arrow->sent < least)
			least = arrow->arrived - arrow->sent;
	}
	return least == LB_NEVER ? 0 : least;
}

uint32_t moment_largest(const struct lab_play *play)
{
	uint32_t largest = 0;

	for (unsigned i = 0; i < play->arrows; i++) {
		const struct lab_arrow *arrow = &play->arrow[i];
		uint32_t bytes = arrow->peer ? 0 : arrow->bytes / (arrow->count > 1 ? arrow->count : 1);

		largest = bytes > largest ? bytes : largest;
	}
	return largest;
}

/* Of several that are drawn as one, when the last arrived is known, and that all took as long as the first. */
static lb_time left_last(const struct lab_arrow *arrow)
{
	if (arrow->count < 2 || arrow->arrived == LB_NEVER || arrow->until == LB_NEVER)
		return arrow->sent;
	return arrow->until - (arrow->arrived - arrow->sent);
}

lb_time moment_arrived(const struct lab_play *play)
{
	uint32_t got = 0;
	lb_time last = 0;

	for (unsigned i = 0; play->captured && i < play->arrows; i++) {
		const struct lab_arrow *arrow = &play->arrow[i];

		if (arrow->peer || arrow->bytes == 0 || arrow->arrived == LB_NEVER ||
			arrow->seq + arrow->bytes <= got)
			continue;
		got = arrow->seq + arrow->bytes;
		last = arrow->until;
	}
	return last;
}

lb_time moment_left(const struct lab_play *play)
{
	uint32_t sent = 0;
	lb_time last = 0;

	for (unsigned i = 0; i < play->arrows; i++) {
		const struct lab_arrow *arrow = &play->arrow[i];

		if (arrow->peer || arrow->bytes == 0 || arrow->seq + arrow->bytes <= sent)
			continue;
		sent = arrow->seq + arrow->bytes;
		last = left_last(arrow);
	}
	return last;
}

lb_time moment_waited(const struct lab_play *play)
{
	const struct lab_call *sent = moment_call(play, "send(");
	const struct lab_call *written = sent != NULL ? sent : moment_call(play, "writev(");
	lb_time waited = written == NULL ? 0 : moment_left(play) - (written->at + written->took);

	return waited > 0 ? waited : 0;
}
