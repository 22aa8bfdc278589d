/* SPDX-License-Identifier: MIT */
/* The switches of test builds; compiled into no other. */
#include "base/test.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef LB_COVERAGE
#include <gcov.h>
#endif

const char *lb_test_bug;

__attribute__((constructor)) static void plant(void)
{
	lb_test_bug = getenv("LASTBYTE_BUG");
}

int lb_test_has_bug(const char *name)
{
	return lb_test_bug != NULL && strcmp(lb_test_bug, name) == 0;
}

void lb_test_flush(void)
{
#ifdef LB_COVERAGE
	__gcov_dump();
#endif
}

void lb_test_fault(const char *name)
{
	const char *wanted = getenv("LASTBYTE_FAULT"), *stop = getenv("LASTBYTE_STOP");

	if (stop != NULL && strstr(stop, name) != NULL) /* there may be several */
		raise(SIGSTOP);
	if (wanted == NULL || strcmp(wanted, name) != 0)
		return;
	lb_test_flush();
	kill(getpid(), SIGKILL);
}
