/* SPDX-License-Identifier: MIT */
/*
 * Switches that only test builds have (LB_TESTING): fault points, at which a process kills itself when the
 * environment variable LASTBYTE_FAULT names one, or stops if LASTBYTE_STOP does, and planted bugs, which the simulation has to find, and chaos those
 * that LASTBYTE_BUG names.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#ifdef LB_TESTING
extern const char *lb_test_bug; /* the planted bug in force, or NULL */
int                lb_test_has_bug(const char *name);
void               lb_test_fault(const char
			      *name); /* SIGKILL to this process if LASTBYTE_FAULT is name, SIGSTOP if LASTBYTE_STOP is */
void lb_test_flush(void); /* for a process that ends without exit(3): what it has run counts as covered */
#define LB_BUG(name)   lb_test_has_bug(name)
#define LB_FAULT(name) lb_test_fault(name)
#else
#define LB_BUG(name)   0
#define LB_FAULT(name) ((void)0)
#endif

#endif
