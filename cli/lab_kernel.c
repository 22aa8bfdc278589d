/* SPDX-License-Identifier: MIT */
/* `lastbyte lab --kernel`: the same lab in a machine of its own, and its document beside ours. */
#include "lab.h"
#include "lab/kernel.h"
#include "print.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int lb_lab_play_kernel(struct lb_lab *lab, json_t **documentp)
{
	const struct lab_options *options = &lab->options;
	char delay[32], loss[32], why[LINK_WHY];
	const char *args[10] = {"--delay", delay, "--loss", loss};
	const struct lab_kernel kernel = {.vmlinuz = lab->kernel,
		.args = (char *const *)args,
		.stop = options->stop,
		.line = lb_lab_heard,
		.arg = lab};
	int n = 4, r;

	snprintf(delay, sizeof delay, "%.6f", (double)options->delay / 1e6);
	snprintf(loss, sizeof loss, "%.2f", options->loss / 100.0);
	if (options->quick)
		args[n++] = "--quick";
	if (options->only != NULL) {
		args[n++] = "--only";
		args[n++] = options->only;
	}
	if (options->policy != NULL) {
		args[n++] = "--policy";
		args[n++] = options->policy;
	}
	r = lab_kernel_run(&kernel, documentp, why);
	if (r < 0 && r != -EINTR)
		lb_print_line(STDERR_FILENO, "lastbyte lab: nothing was played on %s: %s", lab->kernel, why);
	return r;
}

json_t *lb_lab_beside(json_t *ours, json_t *other)
{
	return other == NULL ? ours : json_pack("{s:[o,o]}", "kernels", ours, other);
}
