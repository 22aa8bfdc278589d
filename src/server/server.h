/* SPDX-License-Identifier: MIT */
/*
 * The inside of the server: server.c (listening, stopping), session.c (one connection), session_end.c (its
 * end), task.c (its deliveries), task_table.c (all of them),
 * sync.c (SYNC), question.c (RESOLVE and SETTLED), report.c (what is said of each in the log), and work.c (the worker's side). All
 * but work.c runs on the loop's thread.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "base/digest.h"
#include "loop/loop.h"
#include "server/sink.h"
#include <lastbyte/conn.h>
#include <lastbyte/server.h>

#define LB_RECV_BYTES   (1u << 20) /* one recv(2): smaller ones cost a large delivery up to a fifth more CPU */
#define LB_TASK_BUCKETS 4096
#ifdef __SANITIZE_ADDRESS__
#define LB_TASK_SPARE 0 /* what is used after its end shall show */
#else
#define LB_TASK_SPARE 256 /* tasks kept for the next deliveries: malloc(3) has no quick way for their size */
#endif

enum lb_task_kind {
	LB_TASK_BEGIN,
	LB_TASK_REHASH, /* begin has found what an earlier attempt has left; once for each piece of it */
	LB_TASK_OPEN,   /* begun: its bytes are coming in, the worker has nothing of it */
	LB_TASK_SYNC,   /* a task of its own, beside the one that is open */
	LB_TASK_COMMIT,
	LB_TASK_ROLLBACK,
	LB_TASK_LEAVE,
	LB_TASK_UNSAID, /* decided, but there is no room yet for its receipt with the reply */
	LB_TASK_RESOLVE,
	LB_TASK_SETTLE,
	LB_TASK_SWEEP, /* nobody's */
};

/* A delivery from BEGIN to its verdict, a question, a client's SETTLED, or a sweep. */
struct lb_task {
	struct lb_job        job;
	enum lb_task_kind    kind;
	struct lb_server    *server;
	struct lb_session   *session;                /* NULL once its connection has ended */
	struct lb_task      *next;                   /* of the same session */
	struct lb_task      *same_bucket, **bucketp; /* by id, while another attempt could meet it */
	uint32_t             handle;
	bool                 answered; /* the client has its answer: no other goes out */
	enum lb_end          ended;    /* how the connection ended, once session is NULL */
	lb_time              begun;
	struct lb_task      *of;   /* SYNC: the delivery, which outlives it: its next job queues behind */
	uint64_t             mark; /* and how much of it is to be durable; intake.reason: why it is not */
	struct lb_intake     intake;
	struct lb_resolution resolution;            /* SETTLE: the id alone */
	char                 peer[LB_ADDRESS_TEXT]; /* once session is NULL: whose it was */
	struct lb_hasher     hasher;                /* from BEGIN on */
};

struct lb_session {
	struct lb_server    *server;
	struct lb_session   *next, **prevp;
	struct lb_session   *next_answered, **answeredp; /* the latter NULL: not among these */
	struct lb_conn      *conn;
	struct lb_watch      watch;
	struct lb_timer      timer;
	struct lb_task      *tasks;
	struct lb_task      *settling; /* at the worker */
	struct lb_id         lowest;   /* SETTLED that came meanwhile; number 0: none */
	uint8_t             *stash;    /* received, but the machine takes no more for now */
	size_t               stash_len;
	bool                 counted; /* among max_sessions */
	bool                 watching, feeding, ending;
	bool                 stopping; /* say ERROR(STOPPED) once the worker has nothing of it */
	enum lb_end          how;
	struct lb_ending_run run;
	lb_time leave_at; /* the server stops, and nothing is open: it ends if silent until then; 0: not so */
	lb_time fin_by;   /* CLOSE_OK was said: the client's FIN shall come by then; 0: not yet */
	struct lb_report held;       /* of the last delivery, until it is clear how the connection ends */
	lb_time          held_until; /* 0: none is held */
	char             peer[LB_ADDRESS_TEXT];
};

struct lb_server {
	struct lb_loop          *loop;
	struct lb_sink          *sink;
	struct lb_server_options options;
	struct lb_watch          listener; /* fd -1: closed */
	bool                     accepting, stopping;
	struct lb_timer          accept_timer, stop_timer, sweep_timer;
	struct lb_session       *sessions;
	struct lb_session *answered; /* to be written to once all that the worker has brought is taken in */
	unsigned           n_sessions, n_counted, n_tasks;
	struct lb_task    *by_id[LB_TASK_BUCKETS];
	struct lb_task    *spare; /* by `next` */
	unsigned           n_spare;
	void (*stopped)(struct lb_server *server); /* nothing is left to do */
	struct lb_endpoint bound;
	char               address[LB_ADDRESS_TEXT];
	uint8_t           *content, *reply; /* of one delivery, for the application's work; on the worker */
	uint8_t           *buf; /* LB_RECV_BYTES, of all sessions: what is received is used up at once */
};

/* As lb_server_new, on a given loop, whose `work` it sets. `stopped` is called on the loop. */
int  lb_server_new_on(struct lb_loop *loop, struct lb_sink *sink, const struct lb_server_options *options,
	 void (*stopped)(struct lb_server *server), struct lb_server **serverp, char why[256]);
void lb_server_begin_stop(struct lb_server *server); /* on the loop */
void lb_server_check_stopped(struct lb_server *server);
/* Drops listener and sessions at once. Jobs may be under way: free it when n_tasks is 0. */
void lb_server_drop(struct lb_server *server);
void lb_server_release(struct lb_server *server);      /* frees it, but not the loop */
void lb_server_accept_again(struct lb_server *server); /* a session has gone */

/* Consumes fd. */
void lb_session_new(struct lb_server *server, int fd, const struct lb_endpoint *peer);
/* The machine has something to write, or takes more again. _soon: that is seen to by lb_sessions_write. */
void    lb_session_answered(struct lb_session *session);
void    lb_session_answered_soon(struct lb_session *session);
void    lb_session_answered_never(struct lb_session *session); /* it goes away */
void    lb_sessions_write(struct lb_server *server);
void    lb_session_watch(struct lb_session *session, int fd, uint32_t events);
void    lb_session_unwatch(struct lb_session *session);
lb_time lb_session_now(struct lb_session *session);
void    lb_session_free(struct lb_session *session); /* drops the connection, whatever its state */

/* session_end.c */
/* The machine is done for, or there is nothing left to say: the rest is the socket's ending. */
void lb_session_end(struct lb_session *session, enum lb_end how);
void lb_session_step_ending(struct lb_session *session);
void lb_session_broken(
	struct lb_session *session, int err); /* recv(2) or send(2) says that it is gone; 0: FIN */
void lb_session_judge_silence(struct lb_session *session, bool blocked); /* sets leave_at */
void lb_session_stop(struct lb_session *session, bool at_once);

/* reply.c */
/* Makes room for the work. -ENOTSUP: the sink cannot do it. */
int  lb_reply_init(struct lb_server *server);
void lb_reply_deinit(struct lb_server *server);
bool lb_reply_work(
	struct lb_task *task); /* on the worker. False: the application does not take it, it is rolled back */
/* A COMMITTED or RESOLVED with its reply, which may find no room: false, and lb_replies_say tries again. */
bool lb_reply_committed(struct lb_task *task);
bool lb_reply_resolved(struct lb_task *task);
bool lb_replies_say(struct lb_session *session); /* true: there is something to write */

/* report.c */
void lb_server_report(struct lb_server *server, struct lb_report *report);
void lb_session_report(struct lb_session *session, const struct lb_report *report);
void lb_session_report_refused(
	struct lb_session *session, const struct lb_event *event); /* by its machine itself */
void lb_session_flush_report(struct lb_session *session);
void lb_task_report(struct lb_task *task);

static inline struct lb_task *lb_task_of(struct lb_job *job)
{
	return (struct lb_task *)((char *)job - offsetof(struct lb_task, job));
}

/* task_table.c */
/* NULL: out of memory. */
struct lb_task *lb_task_new(
	struct lb_server *server, struct lb_session *session, enum lb_task_kind kind, uint32_t handle);
void lb_task_free(struct lb_task *task);
void lb_tasks_free_spare(struct lb_server *server);
/* By id, while another attempt could meet it. */
void            lb_task_remember(struct lb_task *task);
void            lb_task_forget(struct lb_task *task);
struct lb_task *lb_task_find(struct lb_server *server, const struct lb_id *id); /* or NULL */
/* The open delivery of a handle, or NULL. */
struct lb_task *lb_task_open(struct lb_session *session, uint32_t handle);

/* task.c */
void lb_task_done(struct lb_job *job); /* of every task: the worker has done its job */
/* To the worker; or, where the sink does this at once, done: the task may be gone when it returns. Its session's machine
 * may have something to write then: whoever fed it that asked for this writes, as after anything that was fed. */
void lb_task_submit(struct lb_task *task, enum lb_task_kind kind);
/* What the sink has to undo goes to the worker; meanwhile a later attempt may begin: it queues behind. leave: the sink
 * keeps what that one can resume. */
void lb_task_roll_back(struct lb_task *task);
void lb_task_leave(struct lb_task *task);
/* Says REFUSED, if the client is still there and has no answer yet. */
void lb_task_refuse(struct lb_task *task, enum lb_reason reason, const char *text);
/* The machine rejects an answer only where the protocol forbids it, which is a mistake of ours: the
 * connection then ends without one. */
void lb_task_check(struct lb_session *session, int result);

/* Says the verdict of a BEGIN or a COMMIT that the sink has decided, and lets the task go. False: it is UNSAID. */
bool lb_task_decide(struct lb_task *task);

/* Events of a session's machine. */
void lb_task_begin(struct lb_session *session, const struct lb_event *event);
void lb_task_data(struct lb_session *session, const struct lb_event *event);
void lb_task_sync(struct lb_session *session, const struct lb_event *event);
void lb_task_commit(struct lb_session *session, const struct lb_event *event);
void lb_task_rollback(struct lb_session *session, const struct lb_event *event);
void lb_task_resolve(struct lb_session *session, const struct lb_event *event);
void lb_task_settle(struct lb_session *session, const struct lb_id *lowest);
/* Of the server itself; it sets its timer anew. */
void lb_task_sweep(struct lb_server *server);
/* The worker has answered. */
void lb_task_synced(struct lb_task *task);
bool lb_task_resolved(struct lb_task *task); /* likewise */
void lb_task_settled(struct lb_task *task);
/* The connection has ended in the way of session->how: open deliveries are left, others go on alone. */
void lb_tasks_orphan(struct lb_session *session);
/* lb_loop.work: on the worker, and, for what the sink does at once, on the loop's thread */
void lb_task_work(void *arg, struct lb_job *list);
/* Whether the worker has something of this session whose answer is still due. */
bool lb_tasks_at_work(const struct lb_session *session);

#endif
