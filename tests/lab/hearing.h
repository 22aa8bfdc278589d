/* SPDX-License-Identifier: MIT */
/* What the lab says of another kernel, line by line, as a test has heard it. */
#ifndef TESTS_LAB_HEARING_H
#define TESTS_LAB_HEARING_H

#include <stdio.h>
#include <string.h>

static char said[2048]; /* the lines that were heard, one after another */

static void hear(void *arg, const char *text)
{
	(void)arg;
	snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

#endif
