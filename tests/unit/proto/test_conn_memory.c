/* SPDX-License-Identifier: MIT */
/* Linked with malloc and calloc wrapped. */
#include "pair.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static int allocations_left = -1; /* -1: as many as one likes */

static bool may_allocate(void)
{
	if (allocations_left > 0)
		allocations_left--;
	return allocations_left != 0;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

static void without_memory_there_is_no_machine_and_no_leak(void **state)
{
	struct lb_conn_options options = {.role = LB_ROLE_SERVER};

	(void)state;
	for (int fine = 1; fine <= 5; fine++) {
		struct lb_conn *conn;

		allocations_left = fine;
		conn = lb_conn_new(&options, NULL, 0);
		allocations_left = -1;
		assert_true((conn != NULL) == (fine == 5));
		lb_conn_free(conn);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_there_is_no_machine_and_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
