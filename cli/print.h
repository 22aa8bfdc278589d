/* SPDX-License-Identifier: MIT */
/* What people and programs read: lines, each in one write(2), and JSON objects, each on a line. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>
#include <lastbyte/base.h>
#include <stdbool.h>

#define LB_PRINT_LINE 8192 /* bytes of one line */
#define LB_TIME_TEXT  32

/* One line; a newline is added. What a terminal would obey instead of showing it becomes "?". 0 or a negative errno. */
int lb_print_line(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line of JSON. Takes the object over. */
int lb_print_json(int fd, json_t *object);

/* Replaces each control character (C0, DEL, C1) and each byte that is not UTF-8 by "?". Returns text. */
char *lb_print_clean(char *text);

/* RFC 3339, UTC, milliseconds. Returns buf. */
const char *lb_print_time(int64_t wall_ns, char buf[LB_TIME_TEXT]);

/* What became of one delivery. */
struct lb_result {
	struct lb_receipt receipt; /* an id of zeros: none was given; a digest of zeros: not known */
	enum lb_verdict   verdict;
	enum lb_reason    reason; /* of a verdict other than committed */
	const char       *detail; /* more about it, or NULL */
	enum lb_end       ended;  /* how its connection ended */
	lb_time           took;
	bool              gone; /* another run has told of it meanwhile: there is nothing to tell */
};

/* "committed ID NAME BYTES DIGEST TIME" to standard output, or "VERDICT ID NAME: why" to standard error. */
int lb_print_result(const struct lb_result *result);

/* The object of one result, its keys in the documented order. */
json_t *lb_result_json(const struct lb_result *result);

/* An id, name or digest as a line shows it: "-" when there is none. */
const char *lb_result_id(const struct lb_result *result, char buf[LB_ID_TEXT]);
const char *lb_result_digest(const struct lb_result *result, char buf[LB_DIGEST_TEXT]);

/* Why, in words. */
const char *lb_result_why(const struct lb_result *result, char *buf, size_t len);

#endif
