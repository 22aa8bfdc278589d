/* SPDX-License-Identifier: MIT */
/*
 * What a run of `lastbyte pipe` proves, as an exit code and as words. Decides from what was counted and seen alone: a
 * rung that there is no evidence for is not claimed. Owns no state.
 */
#include "pipe.h"
#include "print.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct result {
	const char *word;
	int code;
} ended = {"ended", 0}, lost = {"lost", 1}, cut = {"cut", 1}, unproven = {"unproven", 3},
  no_connection = {"no_connection", 4};

static const struct result *judge(const struct lb_pipe *pipe)
{
	const struct lb_pump *pump = &pipe->pump;
	const struct lb_outcome *o = &pipe->end;

	if (pump->fd < 0)
		return &no_connection;
	if (o->how == LB_END_TIMEOUT && o->by == LB_PARTY_SELF && lb_now() >= pipe->deadline)
		return &unproven;
	if (!pump->input_ended || lb_pump_unsent(pump) > 0 || (o->lost != 0 && o->lost != LB_UNKNOWN))
		return &lost;
	if (pipe->farewell.len > 0)
		return pipe->answered && pump->output_error == 0 && o->rung >= LB_RUNG_ACKED ? &ended : &cut;
	if ((pipe->policy == LB_POLICY_DRAIN && !(pump->reply_ended && o->how == LB_END_FIN)) ||
		pump->output_error != 0 || o->discarded > 0 || o->how == LB_END_RST ||
		o->by == LB_PARTY_NETWORK)
		return &cut;
	return o->how == LB_END_FIN && o->rung == LB_RUNG_ENDED ? &ended : &unproven;
}

static const char *count(uint64_t bytes, char buf[24])
{
	if (bytes == LB_UNKNOWN)
		return "unknown";
	snprintf(buf, 24, "%" PRIu64, bytes);
	return buf;
}

static void print_line(const struct lb_pipe *pipe, const struct result *result)
{
	const struct lb_pump *pump = &pipe->pump;
	const struct lb_outcome *o = &pipe->end;
	char line[LB_PRINT_LINE], accepted[24], acked[24], lost_bytes[24];
	FILE *out;

	out = result == &no_connection ? NULL : fmemopen(line, sizeof line, "w");
	if (out == NULL) {
		lb_print_line(STDERR_FILENO, "%s: %s", result->word, pipe->why);
		return;
	}
	fprintf(out, "%s: accepted %s, acked %s, lost %s bytes", result->word, count(o->accepted, accepted),
		count(o->acked, acked), count(o->lost, lost_bytes));
	if (lb_pump_unsent(pump) > 0)
		fprintf(out, ", %" PRIu64 " more were read and not sent", lb_pump_unsent(pump));
	if (pump->input_error != 0)
		fprintf(out, "; standard input could not be read: %s", strerror(pump->input_error));
	else if (!pump->input_ended)
		fprintf(out, "; standard input was not read to its end");
	fprintf(out, "; reply %" PRIu64 " bytes%s", pump->reply,
		pump->reply_ended || pipe->answered ? "" : ", not to its end");
	if (pump->output_error != 0)
		fprintf(out, ", %" PRIu64 " more were not written: %s", pump->refused + o->discarded,
			strerror(pump->output_error));
	else if (o->discarded > 0)
		fprintf(out, ", %" PRIu64 " more were thrown away", o->discarded);
	fprintf(out, "; %s by %s in %s", lb_end_word(o->how), lb_party_word(o->by), lb_phase_word(o->phase));
	if (o->err != 0)
		fprintf(out, ": %s", strerror(o->err));
	if (o->how == LB_END_RST && o->acked != 0)
		fprintf(out, "; the peer may have read less than is acked");
	if (pump->early && o->how == LB_END_FIN)
		fprintf(out, "; the peer ended before it had every byte");
	fclose(out);
	lb_print_line(STDERR_FILENO, "%s", line);
}

static json_t *number(uint64_t bytes)
{
	return bytes == LB_UNKNOWN ? json_null() : json_integer((json_int_t)bytes);
}

static void print_json(const struct lb_pipe *pipe, const struct result *result)
{
	const struct lb_pump *pump = &pipe->pump;
	const struct lb_outcome *o = &pipe->end;
	const char *error = o->err != 0 ? strerrorname_np(o->err) : NULL;
	int64_t microseconds = o->took / 1000;
	json_t *object = json_object();

	json_object_set_new(object, "result", json_string(result->word));
	json_object_set_new(object, "accepted", number(o->accepted));
	json_object_set_new(object, "acked", number(o->acked));
	json_object_set_new(object, "lost", number(o->lost));
	json_object_set_new(object, "unsent", number(lb_pump_unsent(pump)));
	json_object_set_new(object, "input_ended", json_boolean(pump->input_ended));
	json_object_set_new(object, "reply", number(pump->reply));
	json_object_set_new(object, "reply_lost", number(pump->refused + o->discarded));
	json_object_set_new(object, "reply_ended", json_boolean(pump->reply_ended));
	json_object_set_new(
		object, "answered", pipe->farewell.len > 0 ? json_boolean(pipe->answered) : json_null());
	json_object_set_new(object, "ended", json_string(lb_end_word(o->how)));
	json_object_set_new(object, "by", json_string(lb_party_word(o->by)));
	json_object_set_new(object, "phase", json_string(lb_phase_word(o->phase)));
	json_object_set_new(object, "error", error != NULL ? json_string(error) : json_null());
	json_object_set_new(object, "seconds", json_real((double)microseconds / 1e6));
	if (result == &no_connection)
		json_object_set_new(object, "why", json_string(pipe->why));
	lb_print_json(STDERR_FILENO, object);
}

int lb_pipe_print(const struct lb_pipe *pipe)
{
	const struct result *result = judge(pipe);

	if (pipe->json)
		print_json(pipe, result);
	else
		print_line(pipe, result);
	return result->code;
}
