/* SPDX-License-Identifier: MIT */
/* message: a line for each way of sending a request of 120 + 3000 bytes in 7 parts: segments, and time to the answer. */
#include "lab/ways.h"
#include <stdio.h>
#include <string.h>

#define RUNS 50

static int measure(const char *name, const struct link_options *options)
{
	struct ways_result result;
	char why[LINK_WHY];
	struct link *link;
	char segments[32];
	int error = link_new(options, &link, why);

	if (error < 0) {
		fprintf(stderr, "%s: %s\n", name, why);
		return error;
	}
	printf("%-26s%10s%14s%14s\n", name, "segments", "median, ms", "best, ms");
	for (int way = 0; way < WAYS_PROMPT && error == 0; way++) {
		error = ways_measure(link, AF_INET, way, RUNS, &result);
		snprintf(segments, sizeof segments, result.least < result.most ? "%ju-%ju" : "%ju",
			(uintmax_t)result.least, (uintmax_t)result.most);
		if (error == 0)
			printf("  %-24s%10s%14.3f%14.3f\n", ways_names[way], segments,
				(double)result.median / 1e6, (double)result.best / 1e6);
	}
	link_free(link);
	if (error < 0)
		fprintf(stderr, "%s: %s\n", name, strerror(-error));
	return error;
}

int main(void)
{
	static const struct link_options loopback = {.kind = LINK_LOOPBACK};
	static const struct link_options slow = {.kind = LINK_DELAY, .delay = 20000000};

	return measure("loopback", &loopback) < 0 || measure("20 ms one way", &slow) < 0;
}
