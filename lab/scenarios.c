/* SPDX-License-Identifier: MIT */
/* The table of scenarios.h. What our end makes of it is in subject.c, what the peer does in peer.c. */
#include "lab/scenarios.h"
#include <stddef.h>
#include <string.h>

const struct lab_scenario lab_scenarios[] = {
	{"reads_all", "the peer reads all and closes"},
	{"unread", "1 KB from the peer lies unread", .unread = true},
	{"unread_slow", "1 KB from the peer lies unread, and it reads slowly", .unread = true, .slow = true},
	{"late", "1 KB from the peer comes while ours is on its way", .late = true},
	{"late_slow", "1 KB from the peer comes while ours is on its way, and it reads slowly", .late = true,
		.slow = true},
	{"slow", "the peer reads slowly", .slow = true},
	{"never_reads", "the peer reads nothing until our end is over", .never_reads = true},
	{"never_closes", "the peer reads all and keeps its end open", .never_closes = true},
	{"floods", "the peer sends for ever", .floods = true},
	{"uploads", "the peer sends 8 MB (1 MB where packets are lost), and only then reads",
		.uploads = true},
	{"nonblock", "our socket is O_NONBLOCK", .nonblock = true},
	{"exit", "our process exits instead of calling close; drain, acked and abort have closed before",
		.exits = true},
	{"fork", "another process has a copy of our socket", .forks = true},
	{"killed", "our process is killed when half is written", .killed = true},
	{"interrupted", "a signal strikes while our end is ending; the peer reads only then", .struck = true},
	{"ends_first", "the peer sends its end at once, and then reads all", .ends_first = true},
	{"false_eof", "1 KB from the peer lies unread, and it asks SO_ERROR before it reads on",
		.unread = true, .asks_error = true},
	{"agreed", "both have said CLOSE and CLOSE_OK; our end ends first", .agrees = true},
	{"agreed_peer_first", "both have said CLOSE and CLOSE_OK; the peer ends first", .agrees = true,
		.peer_first = true},
	{"half_close", "the peer reads to the end, and then sends 100,000 bytes", .answers = true},
	{"listener", "our end listens, and has not accepted the connection", .listens = true},
	{"orphans_full", "the machine has no room for orphans (tcp_max_orphans); in another kernel only",
		.orphans_full = true},
	{"request", "our end sends a request of 3,120 bytes in 7 parts, and waits for the answer",
		.request = true},
	{NULL, NULL},
};

bool lab_scenario_applies(const struct lab_scenario *scenario, const struct lab_policy *policy)
{
	if (scenario->request || policy->kind == LAB_WAY)
		return scenario->request && policy->kind == LAB_WAY;
	return !scenario->listens || strcmp(policy->name, "raw_close") == 0;
}
