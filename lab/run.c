/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: owns the players, one process for each play, and the memory that they tell it in. What is played in
 * which order is from matrix.c; what a player does, from play.c.
 */
#include "lab/run.h"
#include "lab/seen.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE  60  /* seconds for a play */
#define TICK      100 /* ms */
#define KINDS     6   /* of plays: whole or not, and how the peer's last read ended */
#define SECOND_NS INT64_C(1000000000)

/* A cell that is being played. */
struct task {
	struct lab_spec spec;
	unsigned wanted, started, finished;
	struct lab_play *plays; /* shared with the players */
	int *pcaps;             /* of each play a file without a name; -1: none */
};

struct player {
	pid_t pid; /* 0: none */
	struct task *task;
	unsigned index; /* of its play */
	lb_time until;
};

struct run {
	const struct lab_options *options;
	struct lab *lab;
	struct task *tasks;        /* as many as cells: the n-th is of the n-th */
	size_t count, done, first; /* first: those before it need no more players */
	struct player players[LAB_PLAYERS];
	unsigned playing;
	int children; /* signalfd(2): one has ended */
};

/* Room for all plays of a task. 0 or a negative errno. */
static int open_task(struct run *run, struct task *task)
{
	void *plays = mmap(NULL, LAB_RUNS * sizeof *task->plays, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (plays == MAP_FAILED)
		return -errno;
	task->plays = plays;
	task->pcaps = calloc(LAB_RUNS, sizeof *task->pcaps);
	if (task->pcaps == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < LAB_RUNS; i++)
		task->pcaps[i] = -1;
	task->wanted = run->options->quick ? 2 : 3;
	return 0;
}

static void close_task(struct task *task)
{
	if (task->plays != NULL)
		munmap(task->plays, LAB_RUNS * sizeof *task->plays);
	for (unsigned i = 0; task->pcaps != NULL && i < LAB_RUNS; i++)
		if (task->pcaps[i] >= 0)
			close(task->pcaps[i]);
	free(task->pcaps);
	task->plays = NULL;
	task->pcaps = NULL;
}

static unsigned kind_of(const struct lab_play *play)
{
	return (play->peer_bytes == play->meant_bytes) * 3 + play->peer_end;
}

/* Returns the first play of the kind that came most often; or, if there is any that failed, that. */
static unsigned choose(const struct task *task)
{
	unsigned count[KINDS] = {0}, first[KINDS], best = 0;

	for (unsigned i = task->finished; i-- > 0;) {
		unsigned kind = kind_of(&task->plays[i]);

		count[kind]++;
		first[kind] = i;
	}
	for (unsigned i = 0; i < task->finished; i++) {
		unsigned kind = kind_of(&task->plays[i]);

		if (task->plays[i].failed[0] != '\0')
			return i;
		if (count[kind] > count[kind_of(&task->plays[best])])
			best = first[kind];
	}
	return best;
}

static bool differ(const struct task *task)
{
	for (unsigned i = 1; i < task->finished; i++)
		if (kind_of(&task->plays[i]) != kind_of(&task->plays[0]))
			return true;
	return false;
}

/* All plays of a cell are done. What cannot be spooled is said when the spool is written. */
static void conclude(struct run *run, struct task *task)
{
	struct lab_cell *cell = &run->lab->cells[task - run->tasks];
	unsigned shown = choose(task);
	char name[LAB_ID + 8];

	cell->shown = task->plays[shown];
	for (unsigned i = 0; i < task->finished && cell->shown.failed[0] == '\0'; i++) {
		const struct lab_seen seen = seen_of(&task->plays[i]);

		cell->seen[cell->runs++] = seen;
		cell->whole += seen.whole;
		cell->eofs += seen.end == LAB_EOF;
		cell->resets += seen.end == LAB_RESET;
		cell->waits += seen.end == LAB_WAITING;
	}
	if (run->options->spool != NULL && cell->runs > 0 && cell->shown.captured) {
		snprintf(name, sizeof name, "%s-%s-%s.pcap", cell->link, cell->policy, cell->scenario);
		lab_spool_add(run->options->spool, name, task->pcaps[shown]);
	}
	close_task(task);
	run->done++;
	if (run->options->told != NULL)
		run->options->told(run->options->arg, cell, run->done, run->count);
}

static void play(const struct task *task, unsigned index)
{
	struct lab_spec spec = task->spec;
	char path[32];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	spec.link.seed = index + 1;
	if (task->pcaps[index] >= 0) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", task->pcaps[index]);
		spec.pcap = path;
	}
	lab_play(&spec, &task->plays[index]);
	_exit(0);
}

static int start(struct run *run, struct task *task)
{
	struct player *player = run->players;
	int result = task->plays == NULL ? open_task(run, task) : 0;

	while (player->pid != 0)
		player++;
	if (result < 0)
		return result;
	if (run->options->spool != NULL) {
		task->pcaps[task->started] = memfd_create("pcap", MFD_CLOEXEC);
		if (task->pcaps[task->started] < 0)
			return -errno;
	}
	*player = (struct player){
		.task = task, .index = task->started, .until = lb_now() + PATIENCE * SECOND_NS};
	player->pid = lab_fork();
	if (player->pid == 0)
		play(task, player->index);
	if (player->pid < 0) {
		player->pid = 0;
		return -errno;
	}
	task->started++;
	run->playing++;
	return 0;
}

/* A player is dead: of whichever cause. */
static void finish(struct run *run, struct player *player, int status)
{
	struct task *task = player->task;
	struct lab_play *play = &task->plays[player->index];
	unsigned most = run->options->quick ? LAB_RUNS / 2 : LAB_RUNS;

	player->pid = 0;
	run->playing--;
	task->finished++;
	if (lb_now() >= player->until)
		snprintf(play->failed, sizeof play->failed, "it took longer than %d s", PATIENCE);
	else if (WIFSIGNALED(status))
		snprintf(play->failed, sizeof play->failed, "its process was killed by signal %d",
			WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(play->failed, sizeof play->failed, "its process ended with %d", WEXITSTATUS(status));
	if (task->finished < task->wanted)
		return;
	if (task->wanted < most && differ(task)) {
		task->wanted = most;
		run->first = 0;
		return;
	}
	conclude(run, task);
}

static int start_more(struct run *run)
{
	int result = 0;

	while (result == 0 && run->playing < run->options->players && run->first < run->count) {
		struct task *task = &run->tasks[run->first];

		if (task->started > 0 && task->started == task->wanted)
			run->first++;
		else
			result = start(run, task);
	}
	return result;
}

/* Takes leave of all children that are dead; these may be children of players, too, which have come to us. */
static void reap(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct player *p = run->players; p < run->players + LAB_PLAYERS; p++)
			if (p->pid == pid) {
				finish(run, p, status);
				break;
			}
}

/* Waits until something happens. -EINTR: somebody wants it to stop. */
static int wait_a_little(struct run *run)
{
	struct pollfd fds[] = {
		{.fd = run->options->stop, .events = POLLIN}, {.fd = run->children, .events = POLLIN}};
	struct signalfd_siginfo info;

	if (poll(fds, 2, TICK) < 0 && errno != EINTR)
		return -errno;
	if ((fds[0].revents & POLLIN) != 0)
		return -EINTR;
	while (read(run->children, &info, sizeof info) > 0)
		;
	for (struct player *p = run->players; p < run->players + LAB_PLAYERS; p++)
		if (p->pid != 0 && lb_now() >= p->until)
			kill(p->pid, SIGKILL);
	return 0;
}

static int run_all(struct run *run)
{
	int result = 0;

	while (result == 0 && run->done < run->count) {
		result = start_more(run);
		if (result == 0)
			result = wait_a_little(run);
		if (result == 0)
			reap(run);
		if (run->options->told != NULL)
			run->options->told(run->options->arg, NULL, run->done, run->count);
	}
	for (struct player *p = run->players; p < run->players + LAB_PLAYERS; p++)
		if (p->pid != 0)
			kill(p->pid, SIGKILL);
	/* their children die with them, and come to us */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	for (size_t i = 0; i < run->count; i++)
		close_task(&run->tasks[i]);
	return result;
}

/* Cells that could not be played go behind the others. */
static int sort_out(struct lab *lab)
{
	size_t all = lab->count, count = 0;
	struct lab_cell *cells = calloc(all > 0 ? all : 1, sizeof *cells);

	if (cells == NULL)
		return -ENOMEM;
	for (unsigned failed = 0; failed < 2; failed++) {
		for (size_t i = 0; i < all; i++)
			if ((lab->cells[i].runs == 0) == failed)
				cells[count++] = lab->cells[i];
		if (failed == 0)
			lab->count = count;
	}
	lab->failed = all - lab->count;
	free(lab->cells);
	lab->cells = cells;
	return 0;
}

static int set_up(struct run *run)
{
	struct lab *lab = run->lab;
	struct lab_spec *specs = NULL;
	int result = lab_matrix_links(run->options, lab);

	if (result == 0)
		result = lab_matrix_specs(run->options, lab, &specs, &run->count);
	if (result == 0) {
		size_t room = run->count > 0 ? run->count : 1;

		run->tasks = calloc(room, sizeof *run->tasks);
		lab->cells = calloc(room, sizeof *lab->cells);
		result = run->tasks == NULL || lab->cells == NULL ? -ENOMEM : 0;
	}
	for (size_t i = 0; result == 0 && i < run->count; i++) {
		run->tasks[i].spec = specs[i];
		lab->cells[i].link = specs[i].link_name;
		lab->cells[i].policy = specs[i].policy->name;
		lab->cells[i].scenario = specs[i].scenario->name;
	}
	free(specs);
	lab->count = run->count;
	return result;
}

int lab_run(const struct lab_options *options, struct lab *lab)
{
	struct run run = {.options = options, .lab = lab};
	struct utsname name;
	sigset_t set, before;
	int result;

	memset(lab, 0, sizeof *lab);
	uname(&name);
	snprintf(lab->kernel, sizeof lab->kernel, "%s %s", name.release, name.version);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	result = run.children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (result < 0)
		result = -errno;
	else
		result = set_up(&run);
	if (result == 0)
		result = run_all(&run);
	if (result == 0)
		result = sort_out(lab);
	else
		lab->count = 0;
	if (run.children >= 0)
		close(run.children);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(run.tasks);
	return result;
}

void lab_free(struct lab *lab)
{
	free(lab->cells);
	memset(lab, 0, sizeof *lab);
}
