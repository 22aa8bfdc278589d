/* SPDX-License-Identifier: MIT */
/* report: reads a document from standard input and writes its page to standard output. */
#include "lab/report.h"
#include <string.h>

int main(void)
{
	json_error_t error;
	json_t *document = json_loadf(stdin, 0, &error);
	int r;

	if (document == NULL) {
		fprintf(stderr, "report: line %d: %s\n", error.line, error.text);
		return 1;
	}
	r = lab_report_write(document, stdout);
	json_decref(document);
	if (r < 0)
		fprintf(stderr, "report: %s\n", strerror(-r));
	return r < 0;
}
