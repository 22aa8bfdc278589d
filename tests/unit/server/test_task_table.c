/* SPDX-License-Identifier: MIT */
/* How tasks are made, found and let go. */
#include "lib/cmocka.h"
#include "loop/real.h"
#include "server/server.h"
#include <stdlib.h>
#include <string.h>

#define MANY 1000

static struct lb_loop loop;
static struct lb_server server;

static int make(void **state)
{
	(void)state;
	loop = (struct lb_loop){.host = lb_host_real()};
	server = (struct lb_server){.loop = &loop};
	return 0;
}

static struct lb_task *remembered(struct lb_session *session, uint64_t number)
{
	struct lb_task *task = lb_task_new(&server, session, LB_TASK_BEGIN, (uint32_t)number);

	assert_non_null(task);
	task->intake.id = (struct lb_id){.client = {7}, .number = number};
	lb_task_remember(task);
	return task;
}

static void a_task_is_found_by_its_id_until_it_is_forgotten_or_let_go(void **state)
{
	struct lb_id id = {.client = {7}, .number = 1}, other = {.client = {8}, .number = 1};
	/* the same bucket */
	struct lb_id same = {.client = {7}, .number = 1 + LB_TASK_BUCKETS};
	struct lb_session session = {.server = &server};
	struct lb_task *task = remembered(&session, id.number), *second = remembered(&session, same.number);

	(void)state;
	assert_ptr_equal(lb_task_find(&server, &id), task);
	assert_ptr_equal(lb_task_find(&server, &same), second);
	assert_null(lb_task_find(&server, &other));
	lb_task_forget(task);
	lb_task_forget(task);
	assert_null(lb_task_find(&server, &id));
	lb_task_free(second);
	assert_null(lb_task_find(&server, &same));
	lb_task_free(task);
	assert_null(session.tasks);
	assert_int_equal(server.n_tasks, 0);
	lb_tasks_free_spare(&server);
}

static void the_open_delivery_of_a_handle_is_found_and_no_other(void **state)
{
	struct lb_session session = {.server = &server};
	struct lb_task *task = remembered(&session, 1);

	(void)state;
	assert_null(lb_task_open(&session, 1));
	task->kind = LB_TASK_OPEN;
	assert_ptr_equal(lb_task_open(&session, 1), task);
	assert_null(lb_task_open(&session, 2));
	task->answered = true;
	assert_null(lb_task_open(&session, 1));
	lb_task_free(task);
	lb_tasks_free_spare(&server);
}

static void a_new_task_has_nothing_of_an_old_one(void **state)
{
	struct lb_task *tasks[MANY], *task;

	(void)state;
	for (int i = 0; i < MANY; i++)
		memset(&(tasks[i] = remembered(NULL, (uint64_t)i + 1))->intake.name, 'x', LB_NAME_MAX);
	for (int i = 0; i < MANY; i++)
		lb_task_free(tasks[i]);
	assert_in_range(server.n_spare, 0, LB_TASK_SPARE);
	task = lb_task_new(&server, NULL, LB_TASK_RESOLVE, 3);
	assert_int_equal(task->intake.name[0], 0);
	assert_int_equal(task->intake.id.number, 0);
	assert_null(task->bucketp);
	lb_task_free(task);
	lb_tasks_free_spare(&server);
	assert_null(server.spare);
}

/* It is made for each delivery, and most of it has a meaning only once it was filled. */
static void what_is_filled_before_it_is_read_is_not_cleared(void **state)
{
	struct lb_task *task = aligned_alloc(_Alignof(struct lb_task), sizeof *task);
	static const struct lb_task zero;
	size_t dirty = 0;

	(void)state;
	assert_non_null(task);
	memset(task, 0xee, sizeof *task);
	task->next = NULL;
	server.spare = task;
	server.n_spare = 1;
	assert_ptr_equal(lb_task_new(&server, NULL, LB_TASK_BEGIN, 3), task);
	for (size_t i = 0; i < sizeof *task; i++)
		dirty += ((const uint8_t *)task)[i] == 0xee;
	assert_true(dirty > sizeof *task * 3 / 4);
	assert_memory_equal(&task->intake, &zero.intake, offsetof(struct lb_intake, name));
	assert_memory_equal(&task->resolution, &zero.resolution, offsetof(struct lb_resolution, receipt));
	assert_string_equal(task->intake.name, "");
	assert_string_equal(task->peer, "");
	assert_int_equal(task->kind, LB_TASK_BEGIN);
	lb_task_free(task);
	lb_tasks_free_spare(&server);
}

static void whoever_is_let_go_in_any_order_leaves_the_others_to_be_found(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		struct lb_session session = {.server = &server};
		struct lb_task *tasks[3];

		for (int k = 0; k < 3; k++) /* of one bucket */
			tasks[k] = remembered(&session, 1 + (uint64_t)k * LB_TASK_BUCKETS);
		for (int k = 0; k < 3; k++) {
			struct lb_id id = tasks[orders[i][k]]->intake.id;

			lb_task_free(tasks[orders[i][k]]);
			assert_null(lb_task_find(&server, &id));
			for (int other = k + 1; other < 3; other++) {
				struct lb_task *left = tasks[orders[i][other]];

				assert_ptr_equal(lb_task_find(&server, &left->intake.id), left);
			}
		}
		assert_null(session.tasks);
	}
	lb_tasks_free_spare(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_is_found_by_its_id_until_it_is_forgotten_or_let_go),
		cmocka_unit_test(the_open_delivery_of_a_handle_is_found_and_no_other),
		cmocka_unit_test(a_new_task_has_nothing_of_an_old_one),
		cmocka_unit_test(what_is_filled_before_it_is_read_is_not_cleared),
		cmocka_unit_test(whoever_is_let_go_in_any_order_leaves_the_others_to_be_found),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
