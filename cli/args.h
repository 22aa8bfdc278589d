/* SPDX-License-Identifier: MIT */
/* What people type: values of options, and what they are told when one is wrong. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <lastbyte/base.h>
#include <stdbool.h>
#include <stdint.h>

#define LB_EXIT_USAGE 2 /* beside the exit codes of outcomes.def */

/* "lastbyte COMMAND: ..." on standard error, and where to read on. Returns LB_EXIT_USAGE. */
int lb_args_wrong(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum lb_arg_kind {
	LB_ARG_FLAG,     /* bool */
	LB_ARG_TEXT,     /* const char * */
	LB_ARG_SIZE,     /* uint64_t: bytes, as in 64M */
	LB_ARG_DURATION, /* lb_time: as in 500ms, 10s, 2m */
	LB_ARG_TIMEOUT,  /* the same, at least 100 ms */
	LB_ARG_MS,       /* lb_time: milliseconds, as in 20, 0.5 or 20ms */
	LB_ARG_PERCENT,  /* unsigned: hundredths of a per cent, at most 10000, as in 1, 0.25 or 1% */
	LB_ARG_COUNT,    /* unsigned */
	LB_ARG_ID,       /* struct lb_id */
	LB_ARG_BYTES,    /* struct lb_bytes, with C's escapes */
};

/* One option of a command; the last one of a table has no name. */
struct lb_arg {
	const char      *name; /* without its dashes */
	enum lb_arg_kind kind;
	void            *value; /* set when the option is given */
};

#define LB_ARGS_MAX 16

/* Reads the options with getopt_long(3): operands are left from optind on. -1: go on; else the exit code, and
 * the user knows why. */
int lb_args_parse(const char *command, int argc, char **argv, const struct lb_arg *args);

/* Reads the id of a delivery, or says what is wrong and returns false. */
bool lb_args_id(const char *command, const char *text, struct lb_id *idp);

/* The deadline that lies `duration` from now; LB_NEVER stays LB_NEVER. */
lb_time lb_args_deadline(lb_time duration);

/* How many single insertions, deletions and replacements make one of the other. */
unsigned lb_args_distance(const char *a, const char *b);

#endif
