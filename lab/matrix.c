/* SPDX-License-Identifier: MIT */
/* Which cells there are: what links can be had here, and which policies meet which scenarios. Plays nothing. */
#include "lab/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether a name is in a list with commas between the names. */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (list == NULL)
		return true;
	for (; *list != '\0'; list += strcspn(list, ","), list += *list == ',')
		if (strncmp(list, name, len) == 0 && (list[len] == ',' || list[len] == '\0'))
			return true;
	return false;
}

static bool is_wanted(const struct lab_options *options, const struct lab_policy *policy,
	const struct lab_scenario *scenario)
{
	return listed(options->policy, policy->name) && listed(options->only, scenario->name) &&
	       lab_scenario_applies(scenario, policy) && (options->machine || !scenario->orphans_full);
}

/* How many there are for each link, and the specs of them, unless that is NULL. */
static size_t select_specs(
	const struct lab_options *options, const struct lab_link *link, struct lab_spec *specs)
{
	size_t count = 0;

	for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++)
		for (const struct lab_scenario *scenario = lab_scenarios; scenario->name != NULL;
			scenario++) {
			if (!is_wanted(options, policy, scenario))
				continue;
			if (specs != NULL)
				specs[count] = (struct lab_spec){.link_name = link->name,
					.link = link->options,
					.policy = policy,
					.scenario = scenario};
			count++;
		}
	return count;
}

bool lab_matrix_any(const struct lab_options *options)
{
	return select_specs(options, NULL, NULL) > 0;
}

int lab_matrix_specs(
	const struct lab_options *options, const struct lab *lab, struct lab_spec **specsp, size_t *countp)
{
	size_t count = 0, room = LAB_LINKS * select_specs(options, NULL, NULL);

	*specsp = calloc(room > 0 ? room : 1, sizeof **specsp);
	if (*specsp == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < lab->links_count; i++)
		if (lab->links[i].played)
			count += select_specs(options, &lab->links[i], *specsp + count);
	*countp = count;
	return 0;
}

/* Makes such a link in a process of its own, which may have to leave the machine's user namespace for that. */
static int probe(const struct link_options *options, char why[LINK_WHY])
{
	struct link *link;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	why[0] = '\0';
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = lab_fork();
	if (pid == 0)
		_exit(link_new(options, &link, why) < 0 && write(fds[1], why, strlen(why)) > 0);
	close(fds[1]);
	n = pid > 0 ? read(fds[0], why, LINK_WHY - 1) : -1;
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	why[n > 0 ? n : 0] = '\0';
	if (n <= 0 && status != 0)
		snprintf(why, LINK_WHY, "what tried to make it died");
	return 0;
}

static void describe(struct lab_link *link, const char *why)
{
	if (!link->played)
		snprintf(link->text, sizeof link->text, "not played, because it cannot be had: %s", why);
	else if (link->options.kind == LINK_LO)
		snprintf(link->text, sizeof link->text, "a loopback of its own");
	else if (link->options.kind == LINK_VETH)
		snprintf(link->text, sizeof link->text, "a pair of veth devices, MTU 1500, no offloads");
	else if (link->options.loss == 0)
		snprintf(link->text, sizeof link->text, "%g ms one way, MTU 1500",
			(double)link->options.delay / 1e6);
	else
		snprintf(link->text, sizeof link->text, "%g ms one way, MTU 1500, %g %% of packets lost",
			(double)link->options.delay / 1e6, link->options.loss / 100.0);
}

/* Where there are no namespaces: the machine's own loopback, in place of the lab's. */
static void fall_back(struct lab_link *link, const char *why)
{
	link->options = (struct link_options){.kind = LINK_LOOPBACK};
	link->played = true;
	snprintf(link->text, sizeof link->text,
		"the machine's own loopback, because a network of its own cannot be had (%s): without "
		"packets, "
		"without the kernel's counters, and fast, so that what depends on a delay is not seen",
		why);
}

int lab_matrix_links(const struct lab_options *options, struct lab *lab)
{
	const struct lab_link links[LAB_LINKS] = {{"lo", {.kind = LINK_LO}}, {"veth", {.kind = LINK_VETH}},
		{"delay", {.kind = LINK_DELAY, .delay = options->delay, .loss = options->loss}}};
	char why[LAB_LINKS][LINK_WHY];
	int last = -1;

	for (int i = 0; i < LAB_LINKS; i++) {
		int result = probe(&links[i].options, why[i]);

		if (result < 0)
			return result;
		lab->links[i] = links[i];
		lab->links[i].played = why[i][0] == '\0';
		describe(&lab->links[i], why[i]);
		if (lab->links[i].played)
			last = i;
	}
	lab->links_count = LAB_LINKS;
	if (last < 0)
		fall_back(&lab->links[0], why[0]);
	if (options->quick && last > 0) { /* the one that shows most, and those that could not be had */
		lab->links_count -= (unsigned)last;
		memmove(lab->links, lab->links + last, lab->links_count * sizeof *lab->links);
	}
	return 0;
}

const char *lab_cell_id(const struct lab_cell *cell, char buf[LAB_ID])
{
	snprintf(buf, LAB_ID, "%s/%s/%s", cell->link, cell->policy, cell->scenario);
	return buf;
}
