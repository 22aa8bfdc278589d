/* SPDX-License-Identifier: MIT */
/* The tasks of a server: their memory, and how they are found, by their session or by id. What they do is task.c's. */
#include "server/server.h"
#include <stdlib.h>
#include <string.h>

static struct lb_task **bucket_of(struct lb_server *server, const struct lb_id *id)
{
	uint64_t client;

	memcpy(&client, id->client, sizeof client); /* random bits */
	return &server->by_id[(id->number ^ client) % LB_TASK_BUCKETS];
}

void lb_task_remember(struct lb_task *task)
{
	struct lb_task **headp = bucket_of(task->server, &task->intake.id);

	task->same_bucket = *headp;
	task->bucketp = headp;
	if (task->same_bucket != NULL)
		task->same_bucket->bucketp = &task->same_bucket;
	*headp = task;
}

void lb_task_forget(struct lb_task *task)
{
	if (task->bucketp == NULL)
		return;
	*task->bucketp = task->same_bucket;
	if (task->same_bucket != NULL)
		task->same_bucket->bucketp = task->bucketp;
	task->bucketp = NULL;
}

struct lb_task *lb_task_find(struct lb_server *server, const struct lb_id *id)
{
	struct lb_task *task = *bucket_of(server, id);

	while (task != NULL && (task->intake.id.number != id->number ||
				       memcmp(task->intake.id.client, id->client, sizeof id->client) != 0))
		task = task->same_bucket;
	return task;
}

struct lb_task *lb_task_open(struct lb_session *session, uint32_t handle)
{
	struct lb_task *task = session->tasks;

	while (task != NULL && (task->handle != handle || task->answered || task->kind != LB_TASK_OPEN))
		task = task->next;
	return task;
}

/* All of it but what is large and filled before it is read: that costs more than the rest of a small delivery's task. */
static void clear(struct lb_task *task)
{
	memset(task, 0, offsetof(struct lb_task, intake));
	memset(&task->intake, 0, offsetof(struct lb_intake, name));
	memset(&task->resolution, 0, offsetof(struct lb_resolution, receipt));
	task->intake.name[0] = task->peer[0] = '\0';
}

struct lb_task *lb_task_new(
	struct lb_server *server, struct lb_session *session, enum lb_task_kind kind, uint32_t handle)
{
	struct lb_task *task = server->spare;

	if (task != NULL) {
		server->spare = task->next;
		server->n_spare--;
	} else {
		task = aligned_alloc(_Alignof(struct lb_task), sizeof *task);
	}
	if (task == NULL)
		return NULL;
	clear(task);
	task->job.done = lb_task_done;
	task->kind = kind;
	task->server = server;
	task->session = session;
	task->handle = handle;
	task->begun = server->loop->host->clock->now(server->loop->host);
	if (session != NULL) {
		task->next = session->tasks;
		session->tasks = task;
	}
	server->n_tasks++;
	return task;
}

void lb_task_free(struct lb_task *task)
{
	struct lb_server *server = task->server;
	struct lb_session *session = task->session;

	lb_task_forget(task);
	if (session != NULL) {
		struct lb_task **linkp = &session->tasks;

		if (session->settling == task)
			session->settling = NULL;
		while (*linkp != NULL && *linkp != task)
			linkp = &(*linkp)->next;
		if (*linkp != NULL)
			*linkp = task->next;
	}
	server->n_tasks--;
	free(task->intake.reply);
	free(task->resolution.reply);
	free(task->intake.text);
	if (server->n_spare == LB_TASK_SPARE) {
		free(task);
		return;
	}
	task->next = server->spare;
	server->spare = task;
	server->n_spare++;
}

void lb_tasks_free_spare(struct lb_server *server)
{
	while (server->spare != NULL) {
		struct lb_task *task = server->spare;

		server->spare = task->next;
		free(task);
	}
}
