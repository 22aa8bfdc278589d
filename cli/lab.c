/* SPDX-License-Identifier: MIT */
/* `lastbyte lab`: options, the files that it writes, and its exit code. */
#include "args.h"
#include "command.h"
#include "lab.h"
#include "lab/document.h"
#include "lab/kernel.h"
#include "lab/report.h"
#include "output.h"
#include "print.h"
#include "signals.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* With more, 9 seconds, which are the most that a play waits for anything, would say more than the kernel. */
#define LONGEST_DELAY (200 * 1000000LL) /* ns, one way */
#define MOST_LOSS     500               /* hundredths of a per cent */

enum { PLAYED = 0, UNWRITTEN = 1, UNPLAYED = 4 };

static const char *policy_name(size_t i)
{
	return lab_policies[i].name;
}

static const char *scenario_name(size_t i)
{
	return lab_scenarios[i].name;
}

/* -1: all names of the list, with commas between them, are among those of the table. */
static int check_names(const char *list, const char *kind, const char *(*name)(size_t i))
{
	for (size_t len; list != NULL; list = list[len] == ',' ? list + len + 1 : NULL) {
		const char *nearest = NULL;
		unsigned least = 4;
		char given[64];

		len = strcspn(list, ",");
		snprintf(given, sizeof given, "%.*s", (int)len, list);
		for (size_t i = 0; name(i) != NULL && least > 0; i++) {
			unsigned distance = lb_args_distance(given, name(i));

			if (distance < least && distance < strlen(name(i))) {
				least = distance;
				nearest = name(i);
			}
		}
		if (least > 0)
			return lb_args_wrong("lab", "there is no %s '%s'%s%s%s", kind, given,
				nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
				nearest != NULL ? "'?" : "");
	}
	return -1;
}

static int parse(int argc, char **argv, struct lb_lab *lab)
{
	struct lab_options *options = &lab->options;
	const struct lb_arg args[] = {
		{"only", LB_ARG_TEXT, &options->only},
		{"policy", LB_ARG_TEXT, &options->policy},
		{"delay", LB_ARG_MS, &options->delay},
		{"loss", LB_ARG_PERCENT, &options->loss},
		{"html", LB_ARG_TEXT, &lab->html},
		{"json", LB_ARG_TEXT, &lab->json},
		{"pcap", LB_ARG_TEXT, &lab->pcap},
		{"quick", LB_ARG_FLAG, &options->quick},
		{"players", LB_ARG_COUNT, &options->players},
		{"kernel", LB_ARG_TEXT, &lab->kernel},
		{NULL, LB_ARG_FLAG, NULL},
	};
	char version[65], why[LINK_WHY];
	int r = lb_args_parse("lab", argc, argv, args);

	if (r >= 0)
		return r;
	if (argc > optind)
		return lb_args_wrong("lab", "it takes options alone, and not '%s'", argv[optind]);
	if (options->delay > LONGEST_DELAY)
		return lb_args_wrong("lab", "--delay: that is at most 200 ms");
	if (options->loss > MOST_LOSS)
		return lb_args_wrong("lab", "--loss: that is at most 5 per cent");
	if (options->players < 1 || options->players > LAB_PLAYERS)
		return lb_args_wrong("lab", "--players: that is 1 to %d", LAB_PLAYERS);
	if (lab->kernel != NULL && lab_kernel_version(lab->kernel, version, why) < 0)
		return lb_args_wrong("lab", "--kernel: %s", why);
	r = check_names(options->only, "scenario", scenario_name);
	if (r < 0)
		r = check_names(options->policy, "policy", policy_name);
	if (r < 0 && !lab_matrix_any(options) && lab->kernel == NULL)
		r = lb_args_wrong("lab", "--only %s%s%s: none of these meet%s", options->only,
			options->policy != NULL ? " --policy " : "",
			options->policy != NULL ? options->policy : "",
			strstr(options->only, "orphans_full") != NULL ? "; orphans_full takes --kernel" : "");
	lab->quiet = lab->json != NULL && strcmp(lab->json, "-") == 0;
	return r;
}

/* -1: what is to be written later can be; the directory for packets is there, and *madep: it was not before. */
static int check_files(struct lb_lab *lab, bool *madep)
{
	const char *const paths[][2] = {{"html", lab->html}, {"json", lab->quiet ? NULL : lab->json}};
	int r = 0;

	for (int i = 0; i < 2; i++) {
		if (paths[i][1] != NULL)
			r = lb_output_check(paths[i][1]);
		if (r < 0)
			return lb_args_wrong("lab", "--%s %s cannot be written: %s", paths[i][0], paths[i][1],
				strerror(-r));
	}
	if (lab->pcap == NULL)
		return -1;
	*madep = mkdir(lab->pcap, 0777) == 0;
	if (!*madep && errno != EEXIST)
		return lb_args_wrong("lab", "--pcap %s cannot be made: %s", lab->pcap, strerror(errno));
	r = lab_spool_new(lab->pcap, &lab->options.spool);
	if (r < 0)
		return lb_args_wrong(
			"lab", "--pcap %s: no file can be written there: %s", lab->pcap, strerror(-r));
	return -1;
}

static int write_html(const char *path, json_t *document)
{
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);
	int r = out != NULL ? lab_report_write(document, out) : -ENOMEM;

	if (out != NULL && fclose(out) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		r = lb_output_write(path, data, len);
	free(data);
	return r;
}

static int write_json(const char *path, json_t *document)
{
	char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15));
	size_t len = text != NULL ? strlen(text) : 0;
	int r = -ENOMEM;

	if (text != NULL) {
		text[len] = '\n'; /* in place of its NUL */
		r = lb_output_write(path, text, len + 1);
	}
	free(text);
	return r;
}

/* PLAYED, or UNWRITTEN after saying what. */
static int check_written(const char *what, int error)
{
	if (error == 0)
		return PLAYED;
	lb_print_line(STDERR_FILENO, "lastbyte lab: %s could not be written: %s", what, strerror(-error));
	return UNWRITTEN;
}

/* Takes over what was seen on another kernel, which may be NULL. */
static int finish(struct lb_lab *lab, json_t *other)
{
	bool failed = lab->lab.failed > 0 || json_array_size(json_object_get(other, "failed")) > 0;
	struct lab_claim claims[LAB_CLAIMS];
	json_t *document;
	int r = PLAYED;

	lab_claims_judge(lab->lab.cells, lab->lab.count, claims);
	lb_lab_print_claims(lab, claims);
	document = lb_lab_beside(lab_document(&lab->lab, claims), other);
	if (document == NULL)
		return check_written("the result", -ENOMEM);
	if (lab->quiet)
		lab->error = lb_print_json(STDOUT_FILENO, json_incref(document));
	else if (lab->json != NULL)
		r |= check_written(lab->json, write_json(lab->json, document));
	if (lab->html != NULL)
		r |= check_written(lab->html, write_html(lab->html, document));
	if (lab->options.spool != NULL)
		r |= check_written(lab->pcap, lab_spool_write(lab->options.spool));
	r |= check_written("standard output", lab->error);
	json_decref(document);
	return r != PLAYED || !failed ? r : UNPLAYED;
}

static int run(struct lb_lab *lab)
{
	json_t *other = NULL;
	sigset_t signals;
	int r, number = 0;

	lb_signals_block(&signals);
	r = lab->options.stop = lb_signals_fd(&signals);
	if (r >= 0 && lab->kernel != NULL) {
		r = lb_lab_play_kernel(lab, &other);
		if (r < 0 && r != -EINTR)
			return UNPLAYED;
	}
	if (r >= 0)
		r = lab_run(&lab->options, &lab->lab);
	lb_progress_clear(&lab->progress);
	if (r == 0) {
		r = finish(lab, json_incref(other));
	} else if (r == -EINTR) {
		number = lb_signals_taken(lab->options.stop);
		lb_print_line(STDERR_FILENO, "lastbyte lab: interrupted; no file was written");
		r = 128 + number;
	} else {
		lb_print_line(STDERR_FILENO, "lastbyte lab: it could not be run: %s", strerror(-r));
		r = UNPLAYED;
	}
	json_decref(other);
	lab_free(&lab->lab);
	return r;
}

static int lab_command(int argc, char **argv)
{
	struct lb_lab lab = {
		.options = {.delay = 20 * 1000000, .players = LAB_PLAYERS, .told = lb_lab_told, .arg = &lab},
		.progress.on = lb_progress_possible()};
	bool made = false;
	int r;

	if (getpid() == 1 && argc > 1 && strcmp(argv[1], "--guest") == 0)
		return -lab_kernel_guest(argv + 2);
	lab.options.machine = lab_kernel_is_guest();
	r = parse(argc, argv, &lab);
	if (r < 0)
		r = check_files(&lab, &made);
	if (r < 0)
		r = run(&lab);
	lab_spool_free(lab.options.spool);
	if (made)
		rmdir(lab.pcap); /* which does nothing where there is something in it */
	return r;
}

const struct lb_command lb_command_lab = {
	.name = "lab",
	.synopsis =
		"[--only SCENARIO,...] [--policy P,...] [--delay MS] [--loss PCT] [--html FILE]\n"
		"                    [--json FILE] [--pcap DIR] [--quick] [--players N] [--kernel VMLINUZ]",
	.summary =
		"Tries what is said of ending TCP connections on the kernel at hand, and shows the packets",
	.details =
		"Plays every scenario with every way to end a connection that applies to it, over networks "
		"of its own: a\n"
		"loopback, a pair of veth devices, and a link with a delay. It asks for no rights, touches "
		"nothing else, and\n"
		"leaves nothing behind. Where there are no network namespaces, it uses the machine's "
		"loopback "
		"and says what\n"
		"that leaves out.\n"
		"\n"
		"Options:\n"
		"  --only SCENARIO,...  these scenarios (all)\n"
		"  --policy P,...       these policies (all)\n"
		"  --delay MS           of the link with a delay: milliseconds one way, at most 200 (20)\n"
		"  --loss PCT           per cent of the packets that it loses, at most 5 (0)\n"
		"  --html FILE          a report with the packets of every cell, to be opened in a browser\n"
		"  --json FILE          everything as an object; - is standard output, which then gets "
		"nothing "
		"else\n"
		"  --pcap DIR           the packets of each cell as DIR/LINK-POLICY-SCENARIO.pcap\n"
		"  --quick              less than a minute: over the link with a delay alone, each "
		"cell 2 times, or 10\n"
		"  --players N          so many plays at once, at most 24 (24)\n"
		"  --kernel VMLINUZ     first the same on this kernel, in QEMU; everything then has both, "
		"side by side\n"
		"\n"
		"Standard output gets a line for each cell, in the order in which they are done: what the "
		"peer's application\n"
		"got, how its last read ended, how long ending kept our process, what our end sent, and what "
		"the outcome of\n"
		"lb_close says. Each cell is played 3 times, and 20 times if these differ; then the line "
		"shows "
		"the first one\n"
		"of the kind that came most often, and how often each came. Then come the claims, and what "
		"of "
		"them holds.\n"
		"SIGINT, SIGTERM and SIGHUP end it: no file is written, and the exit code is 128 and the "
		"signal's number.\n"
		"\n"
		"Exit codes:\n"
		"  0  played     whatever became of the claims\n"
		"  1  unwritten  a file or standard output did not take all of it: the message says which\n"
		"  2  usage      nothing was done: the message says what to change\n"
		"  4  unplayed   some cells could not be played: standard error says which, and why\n",
	.more = lb_lab_print_names,
	.run = lab_command,
};
