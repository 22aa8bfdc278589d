/* SPDX-License-Identifier: MIT */
/*
 * Makes system calls and allocations fail, one after another: a test runs something once to count its calls, then once
 * more for each of them and each errno that it may plausibly return. What Linux says to every question about an open
 * socket or to none (getsockopt(2), ...) fails from its first call on, and for good, as by a filter of system calls.
 *
 *	for (plan = (struct failing_plan){.at = 1}; ; failing_next(&plan)) {
 *		failing_begin(&plan);
 *		... what is tested ...
 *		if (!failing_end(&seen))
 *			break;		it made fewer than plan.at calls: all have failed once
 *	}
 *
 * A program gets it as failing_dep (tests/meson.build): with the linker's --wrap, which leaves shared libraries, the
 * sanitizers' too, as they are. Other threads than the one that began are left alone.
 */
#ifndef LIB_FAILING_H
#define LIB_FAILING_H

#include <stdbool.h>

struct failing_plan {
	int  at;       /* which call of all, from 1; 0: none, they are only counted */
	int  which;    /* which of its errnos, from 0 */
	bool for_good; /* that function fails from then on, not only once; but not with EINTR, for ever */
	bool memory;   /* allocations alone are counted, and fail */
	bool late; /* the filter may come between two calls: another thread's, SECCOMP_FILTER_FLAG_TSYNC */
};

struct failing_seen {
	int         calls;
	const char *name;       /* of the function that failed; NULL: none */
	int         error;      /* its errno */
	int         errors;     /* how many errnos it has in all */
	int         bad_closes; /* close(2) of what was not open */
};

/* From here to failing_end, for the calling thread. */
void failing_begin(const struct failing_plan *plan);

/* Between the two: what the test itself calls neither fails nor counts. */
void failing_pause(bool paused);

/* True: the call was reached, and failed. */
bool failing_end(struct failing_seen *seenp);

/* The next errno of that call, or the first of the next one. */
void failing_next(struct failing_plan *plan, const struct failing_seen *seen);

#endif
