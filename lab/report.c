/* SPDX-License-Identifier: MIT */
/* Writes the report's page. Owns nothing: the page is made of lab/page/ when the program is built. */
#include "lab/report.h"
#include <errno.h>

/* Whatever a string of the document says: without '<' it neither ends the element that it is in nor begins one. */
static int write_escaped(const char *text, size_t len, void *arg)
{
	FILE *out = arg;

	for (size_t i = 0; i < len; i++) {
		if ((text[i] == '<' ? fputs("\\u003c", out) : putc(text[i], out)) == EOF)
			return -1;
	}
	return 0;
}

int lab_report_write(const json_t *document, FILE *out)
{
	if (!json_is_object(document))
		return -EINVAL;
	errno = 0;
	if (fputs(lab_report_before, out) == EOF ||
		json_dump_callback(document, write_escaped, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) < 0 ||
		fputs(lab_report_after, out) == EOF || fflush(out) == EOF)
		return errno != 0 ? -errno : -ENOMEM;
	return 0;
}
