/* SPDX-License-Identifier: MIT */
/* What the shadows of shadow.h allow. It is the specification once more, and shares nothing with the machine. */
#include "fuzz/shadow.h"
#include "base/utf8.h"
#include <string.h>

void shadow_is(struct shadows *shadows, uint32_t which, unsigned allowed, enum shadow then)
{
	if (which >= HANDLES)
		return;
	MUST(which > 0);
	MUST((allowed >> shadows->of[which] & 1) != 0);
	shadows->of[which] = then;
}

static void check_text(const char *text)
{
	size_t len = strlen(text);
	uint32_t code;

	MUST(len <= LB_TEXT_MAX);
	for (size_t i = 0, n; i < len; i += n) {
		n = lb_utf8_sequence((const uint8_t *)text + i, len - i, &code);
		MUST(n > 0 && !lb_utf8_is_control(code));
	}
}

static void check_name(const char *text)
{
	const char *why;

	MUST(lb_name_check(text, strlen(text), &why) == 0);
}

static void see_as_server(struct shadows *shadows, const struct lb_event *event)
{
	uint32_t which = event->handle;

	switch (event->type) {
	case LB_EVENT_BEGIN:
		shadow_is(shadows, which, ONE(UNUSED), BEGUN);
		check_name(event->name);
		MUST(lb_number_ok(event->id.number) && event->attempt > 0 && event->ledger.bytes[0] == 1);
		break;
	case LB_EVENT_REFUSED:
		shadow_is(shadows, which, ONE(UNUSED), ANSWERED);
		MUST(lb_reason_travels(event->reason));
		break;
	case LB_EVENT_DATA:
		shadow_is(shadows, which, ONE(OPEN), OPEN);
		MUST(event->len > 0);
		if (which < HANDLES)
			shadows->bytes[which] += event->len;
		break;
	case LB_EVENT_SYNC:
		shadow_is(shadows, which, ONE(OPEN), OPEN);
		break;
	case LB_EVENT_COMMIT:
		shadow_is(shadows, which, ONE(OPEN), COMMITTING);
		MUST(which >= HANDLES || event->length == shadows->bytes[which]);
		break;
	case LB_EVENT_ROLLBACK:
		shadow_is(shadows, which, ONE(OPEN), ROLLING);
		break;
	case LB_EVENT_RESOLVE:
		shadow_is(shadows, which, ONE(UNUSED), ASKED);
		break;
	case LB_EVENT_HELLO:
	case LB_EVENT_SETTLED:
	case LB_EVENT_CLOSE:
		break;
	default:
		MUST(event->type == LB_EVENT_ERROR || event->type == LB_EVENT_TIMEOUT);
		check_text(event->text);
	}
}

static void see_as_client(struct shadows *shadows, const struct lb_event *event)
{
	uint32_t which = event->handle;

	switch (event->type) {
	case LB_EVENT_BEGIN_OK:
		shadow_is(shadows, which, ONE(BEGUN) | ONE(AHEAD),
			shadows->of[which % HANDLES] == AHEAD ? COMMITTING : OPEN);
		break;
	case LB_EVENT_SYNCED:
		shadow_is(shadows, which, ONE(OPEN) | ONE(COMMITTING), shadows->of[which % HANDLES]);
		break;
	case LB_EVENT_COMMITTED:
		shadow_is(
			shadows, which, ONE(BEGUN) | ONE(AHEAD) | ONE(WITHDRAWN) | ONE(COMMITTING), ANSWERED);
		check_name(event->receipt.name);
		check_name(event->receipt.placed);
		break;
	case LB_EVENT_REFUSED:
		shadow_is(shadows, which, LIVE, ANSWERED);
		MUST(lb_reason_travels(event->reason));
		check_text(event->text);
		break;
	case LB_EVENT_ROLLED_BACK:
		shadow_is(shadows, which, ONE(ROLLING) | ONE(WITHDRAWN), ANSWERED);
		break;
	case LB_EVENT_RESOLVED:
		shadow_is(shadows, which, ONE(ASKED), ANSWERED);
		break;
	case LB_EVENT_HELLO_OK:
	case LB_EVENT_GOING_AWAY:
		break;
	case LB_EVENT_CLOSE_OK:
		for (int i = 0; i < HANDLES; i++)
			MUST(shadows->of[i] == UNUSED || shadows->of[i] == ANSWERED);
		break;
	default:
		MUST(event->type == LB_EVENT_ERROR || event->type == LB_EVENT_TIMEOUT);
		check_text(event->text);
	}
}

void shadow_see(struct shadows *shadows, const struct lb_event *event)
{
	(shadows->role == LB_ROLE_SERVER ? see_as_server : see_as_client)(shadows, event);
}
