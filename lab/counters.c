/* SPDX-License-Identifier: MIT */
/*
 * The counters of counters.h. Both files have pairs of lines, the names of a group and then their values, each after
 * the name of the group; proc_pid_net(5). Owns nothing.
 */
#include "lab/counters.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const FILES[] = {"/proc/thread-self/net/snmp", "/proc/thread-self/net/netstat"};

/* What is no count of what happened: connections there are now, and limits. */
static const char *const GAUGES[] = {
	"TcpCurrEstab", "TcpMaxConn", "TcpRtoAlgorithm", "TcpRtoMax", "TcpRtoMin"};

static bool is_gauge(const char *name)
{
	for (size_t i = 0; i < sizeof GAUGES / sizeof GAUGES[0]; i++)
		if (strcmp(name, GAUGES[i]) == 0)
			return true;
	return false;
}

static void add_group(struct lab_counters *counters, const char *group, char *names, char *values)
{
	char *next_name, *next_value;
	const char *name = strtok_r(names, " \n", &next_name), *value = strtok_r(values, " \n", &next_value);

	while (name != NULL && value != NULL && counters->count < LAB_COUNTERS_KNOWN) {
		struct lab_counter *counter = &counters->known[counters->count];

		snprintf(counter->name, sizeof counter->name, "%s%s", group, name);
		counter->by = strtoll(value, NULL, 10);
		counters->count += !is_gauge(counter->name);
		name = strtok_r(NULL, " \n", &next_name);
		value = strtok_r(NULL, " \n", &next_value);
	}
}

static void add_file(struct lab_counters *counters, const char *path)
{
	FILE *file = fopen(path, "re");
	char *names = NULL, *values = NULL;
	size_t names_room = 0, values_room = 0;

	if (file == NULL)
		return;
	while (getline(&names, &names_room, file) > 0 && getline(&values, &values_room, file) > 0) {
		char *name = strchr(names, ':'), *value = strchr(values, ':');

		if (name == NULL || value == NULL)
			break;
		*name = *value = '\0';
		if (strcmp(names, "Tcp") == 0 || strcmp(names, "TcpExt") == 0)
			add_group(counters, names, name + 1, value + 1);
	}
	free(names);
	free(values);
	fclose(file);
}

void lab_counters_read(struct link *link, struct lab_counters *counters)
{
	counters->count = 0;
	if (link_device(link) == NULL || link_enter(link, LINK_LEFT) < 0)
		return;
	for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
		add_file(counters, FILES[i]);
	link_leave(link);
}

static int compare(const void *a, const void *b)
{
	const struct lab_counter *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* One kernel writes all of its counters, in the same order, every time. */
void lab_counters_moved(
	const struct lab_counters *before, const struct lab_counters *after, struct lab_play *play)
{
	play->counters = 0;
	for (unsigned i = 0; i < before->count && i < after->count && play->counters < LAB_COUNTERS; i++) {
		struct lab_counter *moved = &play->counter[play->counters];

		*moved = after->known[i];
		moved->by -= before->known[i].by;
		play->counters += moved->by != 0;
	}
	qsort(play->counter, play->counters, sizeof play->counter[0], compare);
}
