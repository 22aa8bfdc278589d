/* SPDX-License-Identifier: MIT */
/* report.h - the lab's report: one HTML file that holds all it needs and asks no network for anything. */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include <jansson.h>
#include <lastbyte/base.h>
#include <stdio.h>

/*
 * Writes the page with the document of document.h in it; or with {"kernels": [document, ...]}, which it shows side by
 * side. The document stays the caller's. Returns 0 or a negative errno; -EINVAL: it is not an object.
 */
LB_CHECKED int lab_report_write(const json_t *document, FILE *out);

/* The page before the document, and after it: lab/page/, by embed.py. */
extern const char lab_report_before[], lab_report_after[];

#endif
