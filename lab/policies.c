/* SPDX-License-Identifier: MIT */
/* The table of policies.h. What its steps do is in subject.c, what the ways do in ways.c. */
#include "lab/policies.h"
#include <stddef.h>

const struct lab_policy lab_policies[] = {
	{"drain", "lb_close, drain: FIN, then reads until the peer has ended too", LAB_CLOSE,
		LB_POLICY_DRAIN},
	{"acked", "lb_close, acked: FIN, then reads until that is acked", LAB_CLOSE, LB_POLICY_ACKED},
	{"finish", "lb_close, finish: shutdown, close", LAB_CLOSE, LB_POLICY_FINISH,
		{LAB_STEP_SHUTDOWN, LAB_STEP_CLOSE}},
	{"linger_finish", "lb_close, linger_finish: SO_LINGER, shutdown, close", LAB_CLOSE,
		LB_POLICY_LINGER_FINISH, {LAB_STEP_LINGER, LAB_STEP_SHUTDOWN, LAB_STEP_CLOSE}},
	{"linger", "lb_close, linger: SO_LINGER, close", LAB_CLOSE, LB_POLICY_LINGER,
		{LAB_STEP_LINGER, LAB_STEP_CLOSE}},
	{"plain", "lb_close, plain: close", LAB_CLOSE, LB_POLICY_PLAIN, {LAB_STEP_CLOSE}},
	{"abort", "lb_close, abort: RST", LAB_CLOSE, LB_POLICY_ABORT},
	{"raw_close", "close", LAB_RAW, .steps = {LAB_STEP_CLOSE}},
	{"raw_linger", "SO_LINGER, close", LAB_RAW, .steps = {LAB_STEP_LINGER, LAB_STEP_CLOSE}},
	{"raw_shutdown", "shutdown, close", LAB_RAW, .steps = {LAB_STEP_SHUTDOWN, LAB_STEP_CLOSE}},
	{"raw_linger_shutdown", "SO_LINGER, shutdown, close", LAB_RAW,
		.steps = {LAB_STEP_LINGER, LAB_STEP_SHUTDOWN, LAB_STEP_CLOSE}},
	{"raw_drain_once", "reads once, SO_LINGER, shutdown, close", LAB_RAW,
		.steps = {LAB_STEP_READ_ONCE, LAB_STEP_LINGER, LAB_STEP_SHUTDOWN, LAB_STEP_CLOSE}},
	{"raw_outq", "shutdown, waits until SIOCOUTQ is 0, close", LAB_RAW,
		.steps = {LAB_STEP_SHUTDOWN, LAB_STEP_OUTQ, LAB_STEP_CLOSE}},
	{"raw_acked", "shutdown, reads until our FIN is acked, close", LAB_RAW,
		.steps = {LAB_STEP_SHUTDOWN, LAB_STEP_ACKED, LAB_STEP_CLOSE}},
	{"raw_drain", "shutdown, reads to the end, close", LAB_RAW,
		.steps = {LAB_STEP_SHUTDOWN, LAB_STEP_DRAIN, LAB_STEP_CLOSE}},
	{"raw_shut_rdwr", "shutdown of both directions, close", LAB_RAW,
		.steps = {LAB_STEP_SHUT_RDWR, LAB_STEP_CLOSE}},
	{"nagle", "two writes", LAB_WAY},
	{"nodelay", "TCP_NODELAY, 7 writes", LAB_WAY},
	{"cork", "TCP_CORK, 7 writes, uncorked at once", LAB_WAY},
	{"cork_held", "TCP_CORK, 7 writes, uncorked 100 ms later", LAB_WAY},
	{"cork_kept", "TCP_CORK, 7 writes, never uncorked", LAB_WAY},
	{"msg_more", "7 sends, MSG_MORE on all but the last", LAB_WAY},
	{"writev", "one writev", LAB_WAY},
	{"lb_cork", "a scope of lb_cork, 7 sends", LAB_WAY},
	{"lb_message", "lb_send_message", LAB_WAY},
	{NULL, NULL, LAB_RAW},
};

bool lab_policy_has(const struct lab_policy *policy, enum lab_step step)
{
	for (size_t i = 0; i < LAB_STEPS; i++)
		if (policy->steps[i] == step)
			return true;
	return false;
}
