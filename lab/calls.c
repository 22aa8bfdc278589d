/* SPDX-License-Identifier: MIT */
/* The record of calls of cell.h. Owns no state: the play is its callers', and each call is written by one of them. */
#include "lab/cell.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct lab_call *lab_call_begin(struct lab_play *play, bool peer, const char *format, ...)
{
	unsigned n = atomic_fetch_add(&play->calls, 1);
	struct lab_call *call = &play->call[n];
	va_list args;

	if (n >= LAB_CALLS)
		return NULL;
	va_start(args, format);
	vsnprintf(call->text, sizeof call->text, format, args);
	va_end(args);
	call->peer = peer;
	call->took = LB_NEVER;
	call->at = lb_now() - play->zero;
	return call;
}

void lab_call_end(const struct lab_play *play, struct lab_call *call, int64_t result)
{
	size_t len;

	if (call == NULL)
		return;
	call->took = lb_now() - play->zero - call->at;
	len = strlen(call->text);
	if (result < 0)
		snprintf(call->text + len, sizeof call->text - len, " = %s", strerrorname_np((int)-result));
	else
		snprintf(call->text + len, sizeof call->text - len, " = %jd", (intmax_t)result);
}
