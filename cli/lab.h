/* SPDX-License-Identifier: MIT */
/* One run of `lastbyte lab`, and what is said of it. */
#ifndef CLI_LAB_H
#define CLI_LAB_H

#include "lab/claims.h"
#include "lab/run.h"
#include "progress.h"
#include <jansson.h>

struct lb_lab {
	struct lab_options options;
	const char        *html, *json, *pcap; /* where to; or NULL */
	const char        *kernel;             /* another one, to be played on, too; or NULL */
	struct lab         lab;
	struct lb_progress progress;
	bool               quiet;   /* standard output is for the object */
	bool               started; /* the first lines are said */
	int                error;   /* of standard output: the first one, or 0 */
};

/* lab_options.told, for a struct lb_lab. */
void lb_lab_told(void *arg, const struct lab_cell *cell, size_t done, size_t count);

/* lab_kernel.line, for a struct lb_lab. */
void lb_lab_heard(void *arg, const char *text);

/* Plays on lab->kernel. 0; -EINTR: it was to stop; or another negative errno, after saying why. */
int lb_lab_play_kernel(struct lb_lab *lab, json_t **documentp);

/* Both as one, or ours alone where the other one is NULL; takes both over. NULL: no memory. */
json_t *lb_lab_beside(json_t *ours, json_t *other);

/* The verdicts, to standard output. */
void lb_lab_print_claims(struct lb_lab *lab, const struct lab_claim *claims);

/* The names of all policies and scenarios. */
void lb_lab_print_names(int fd);

#endif
