/* SPDX-License-Identifier: MIT */
/*
 * Simulated machines and the processes on them. A process is a lb_host: all that the code under test does comes
 * through its tables, takes time, and may be where the process is killed or the power fails. From then on every
 * call of the dead process returns -EIO and has no effect, so that its code unwinds and frees what it has.
 */
#ifndef SIM_MACHINE_H
#define SIM_MACHINE_H

#include "loop/host.h"
#include "sim/disk.h"

struct sim_process;
struct sim_socket;
struct sim_listener;
struct sim_vfs;

struct sim_net;

struct sim_machine {
	struct sim_world   *world;
	struct sim_net     *net;
	struct sim_machine *next;
	const char         *name;
	uint32_t            address; /* IPv4, in host order */
	bool                up;
	lb_time             cut_until; /* off the network */
	struct sim_disk    *disk;
	int64_t             wall_offset;   /* its clock on the wall is set anew at times */
	lb_time             booted;        /* where its monotonic clock has begun */
	lb_time             stalled_until; /* none of its processes runs before then */
	struct sim_process *processes;
	/* faults in force */
	unsigned sync_errors;  /* in a thousand */
	unsigned percent_kept; /* of what was not synced, at the next loss of power */
	bool     had_trouble;  /* a write or a sync has failed: somebody may not know what is durable */
	void (*lost_power)(struct sim_machine *machine); /* its disk is as the loss has left it */
	void *arg;
};

#define SIM_FILES 256
#define SIM_TASKS 2

struct sim_open_file {
	struct sim_inode *inode; /* NULL: not open */
	unsigned          flags;
	unsigned          errors; /* failed syncs of the file that this descriptor knows of */
};

/* What kind of operation a process is about to do. */
enum sim_op {
	SIM_OP_READ,  /* changes nothing: open, read, stat, list */
	SIM_OP_WRITE, /* of data */
	SIM_OP_SYNC,
	SIM_OP_NAME, /* a change of names, or a lock */
	SIM_OP_NET,
};

struct sim_process {
	struct lb_host      host; /* first */
	struct sim_world   *world;
	struct sim_machine *machine;
	struct sim_process *next; /* on its machine */
	const char         *name;
	bool                dead;
	lb_time         after_death; /* its clock runs on, so that every deadline of a dead process passes */
	struct sim_task task[SIM_TASKS];
	int             tasks;
	/* when it is going to die: after so many operations, 0: not planned */
	uint64_t ops_left;
	bool     only_decisive; /* of those, count only what makes something durable or is told to others */
	bool     power;         /* the whole machine then loses its power */
	bool     instant;       /* an observer's: takes no time, and never dies */
	lb_time  stalled_until; /* it does not run before then, and keeps its locks */
	lb_time  next_sync;     /* takes so long; 0: as usual */
	struct sim_open_file files[SIM_FILES];
	struct sim_socket  **sockets;
	int                  sockets_room;
	struct sim_listener *listener;
	struct sim_vfs      *vfs; /* NULL: it has no database */
	void                *arg;
};

struct sim_process *sim_process_new(struct sim_machine *machine, const char *name, void *arg);
void                sim_process_start(struct sim_process *process,
		       void (*run)(struct sim_task *task)); /* a further task; its arg is the process */
void                sim_process_free(struct sim_process *process); /* all its tasks are done */

static inline struct sim_process *sim_process_of(struct lb_host *host)
{
	return (struct sim_process *)host;
}

/* The program has come to its end: what it still has open is a mistake. */
void sim_process_exit(struct sim_process *process);
void sim_process_kill(struct sim_process *process);
void sim_machine_lose_power(struct sim_machine *machine);
/* Something happened that a task of the process may wait for. */
void sim_process_notify(struct sim_process *process);

/* Before each operation: takes time, and is where a process dies. False: it is dead. */
bool sim_process_step(struct sim_process *process, enum sim_op op);
/* Waits until notified, at most until then. */
void    sim_process_wait(struct sim_process *process, lb_time until);
lb_time sim_process_now(const struct sim_process *process);

extern const struct lb_clock_ops sim_clock_ops;
extern const struct lb_disk_ops  sim_disk_ops;
extern const struct lb_net_ops   sim_net_ops;

#endif
