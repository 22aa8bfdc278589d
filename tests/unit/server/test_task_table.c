/* SPDX-License-Identifier: MIT */
/* How tasks are made, found and let go. */
#include "lib/cmocka.h"
#include "loop/real.h"
#include "server/server.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_is_found_by_its_id_until_it_is_forgotten_or_let_go),
		cmocka_unit_test(the_open_delivery_of_a_handle_is_found_and_no_other),
		cmocka_unit_test(a_new_task_has_nothing_of_an_old_one),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
