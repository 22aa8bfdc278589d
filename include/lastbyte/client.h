/* SPDX-License-Identifier: MIT */
/*
 * client.h - delivers to a Lastbyte server, with blocking calls.
 *
 *	lb_client_open, then for each delivery: lb_client_begin, lb_client_write ..., lb_client_commit;
 *	then lb_client_close.
 *
 * Who has many deliveries says lb_client_commit_async instead of lb_client_commit, and begins the next one at once.
 *
 * A delivery's id is durable in the journal (the state directory) before its first byte leaves. One client
 * serves one thread at a time. No call raises a signal. Every call ends by its deadline.
 */
#ifndef LASTBYTE_CLIENT_H
#define LASTBYTE_CLIENT_H

#include <lastbyte/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lb_client;

/* Before a wait: `why` is how the last connection ended, and the reason for another one. NULL: that one stands. */
typedef void lb_client_waiting(void *arg, const struct lb_outcome *why, lb_time wait);

/* What became of a delivery that was committed without waiting. */
struct lb_decision {
	struct lb_receipt receipt; /* as lb_client_commit fills it */
	struct lb_outcome outcome; /* likewise; `took`: since lb_client_commit_async */
	void             *tag;     /* of struct lb_delivery */
	const void       *reply;   /* as lb_client_reply gives it */
	size_t            reply_len;
	const char       *text; /* as lb_client_text gives it */
};

/* Told each verdict, from within calls on the client, which it must not call. */
typedef void lb_client_decided(void *arg, const struct lb_decision *decision);

struct lb_client_options {
	const char        *state_dir; /* NULL: $XDG_STATE_HOME/lastbyte or ~/.local/state/lastbyte; is made */
	lb_time            idle_timeout; /* give the server up when nothing moves for so long: 0 is 60 s */
	int                interrupt_fd; /* while it is readable, calls return -EINTR; 0: none */
	char              *why;    /* NULL, or 256 bytes: a sentence on what is wrong with state or address */
	bool               retry;  /* see below */
	size_t             replay; /* bytes that may have to be sent again: 0 is 16 MiB */
	lb_client_waiting *waiting; /* NULL, or told of each wait; must not call the client */
	void              *waiting_arg;
	bool               pipeline; /* for many small deliveries: see lb_client_commit_async */
	unsigned           numbers;  /* that are reserved at once, 256 at most: see there; 0: 1 */
	lb_client_decided *decided;  /* NULL: verdicts wait for lb_client_decision */
	void              *decided_arg;
	bool only_open; /* an id that is given has to be open in the journal: see lb_client_each_open */
};

struct lb_delivery {
	const char *name;   /* as it shall be called at the server */
	uint64_t    length; /* bytes, or LB_UNKNOWN */
	const char *source; /* an absolute path, to find it again after a crash; NULL: nothing */
	struct lb_id
		id; /* all zero: the open one of this source and name, see lb_client_begin, or a new one */
	/* Reads once more what was written, from `offset` on: how many bytes, at most len, 0 when there are none any
	 * more, or a negative errno. NULL: that cannot be done. Called until the delivery has ended. */
	ssize_t (*read_again)(void *arg, uint64_t offset, void *buf, size_t len);
	void       *read_again_arg;
	void       *tag;  /* for struct lb_decision */
	const char *note; /* with `numbers`, at most 255 bytes: for who finds them open; NULL: none */
};

/*
 * With `retry`, a call goes on over another connection until its deadline, where one cannot be made, breaks, or is
 * ended by the server, and where the server says BUSY or GOING_AWAY. It waits before each try: a random time of at
 * most 100 ms, which doubles up to 10 s. The delivery is begun again under its id, with the next attempt: when an
 * earlier attempt had committed it the server says so, and nothing is sent twice. What the server has no longer is
 * read again with read_again, or, without that, comes from a copy of the last `replay` bytes, if the server can say
 * which ones it has made durable; until it has, lb_client_write waits. If it cannot, a delivery of which bytes were
 * written ends when its connection does, unless COMMIT was sent: then its verdict is asked for. Refusals, and an end
 * that does not follow the protocol, are final.
 *
 * A delivery that was left open by an earlier process is written from its beginning. What the server has kept of it is
 * hashed and not sent, if there is a read_again; without one it might be something else, and is sent anew. If all of it
 * together is not what is written now, it is rolled back for good, as WRONG_DIGEST or WRONG_LENGTH.
 */

/*
 * Opens the journal, connects to "ADDR[:PORT]" (IPv4, [IPv6] or a name, whose addresses are tried in
 * order) and greets the server. On failure *clientp is NULL and the outcome says why: -EACCES, -EROFS,
 * -ENOSPC, ... with reason JOURNAL: the state directory cannot be used, nothing was connected; -EINVAL: the
 * address cannot be parsed; -EHOSTUNREACH with reason NO_CONNECTION: no address answered (outcome.err has
 * the last errno); -EBUSY: the server has too many connections; -ECONNRESET: it hung up instead of greeting;
 * -EINTR; -ETIMEDOUT; -EPROTO: not a Lastbyte server.
 */
LB_PUBLIC LB_CHECKED int lb_client_open(const char *address, const struct lb_client_options *options,
	lb_time deadline, struct lb_client **clientp, struct lb_outcome *outcomep);

/*
 * Whether the journal has this delivery open from an earlier call or process at this address, so that lb_client_begin
 * would take it up; NULL: at any, as another one may lead to the same ledger. Connects to nothing: it is for when
 * lb_client_open failed, as what is open may have been committed. 1 and its id, or 0, or a negative errno: as
 * lb_client_open; -EBUSY: another process works on it.
 */
LB_PUBLIC LB_CHECKED int lb_client_find(const char *address, const struct lb_client_options *options,
	const struct lb_delivery *delivery, struct lb_id *idp);

/* A delivery that an earlier process has left open, or several: numbers that it had reserved. */
struct lb_open_delivery {
	struct lb_id   id;      /* the first one */
	uint32_t       count;   /* so many, from id.number on; 1: a delivery of its own */
	struct lb_uuid ledger;  /* that it was begun at */
	const char    *address; /* as "ADDR:PORT", where that was the last time */
	const char    *name;
	const char    *source; /* as lb_client_begin was told; "": nothing */
	const char    *note;   /* of the delivery for which they were reserved; "": none */
	bool           busy;   /* another process works on it: leave it alone */
};

/*
 * Calls `each` for every delivery that the journal has open, in the order in which they were
 * begun, until it returns other than 0. Those of `address`, or all if that is NULL. Connects to nothing; `each` must not
 * call the client. Each of them is settled by lb_client_begin with its id, name and content, or by lb_client_resolve;
 * numbers that were reserved only by lb_client_resolve, with one client for all of them: they are closed when that
 * reserves others, at the earliest, or is closed. Some may not have been used. What another process settles meanwhile
 * is not open any more, and nobody knows of which ledger it was: these calls would ask whichever answers. So give the
 * client `only_open`: then they return -ENOENT for it, and nothing has happened.
 * Returns 0, what `each` returned, or a negative errno as lb_client_open.
 */
LB_PUBLIC LB_CHECKED int lb_client_each_open(const struct lb_client_options *options, const char *address,
	int (*each)(void *arg, const struct lb_open_delivery *open), void                        *arg);

/* The ledger that the server has; its address as it was connected to. */
LB_PUBLIC const struct lb_uuid *lb_client_ledger(const struct lb_client *client);
LB_PUBLIC const char           *lb_client_peer(const struct lb_client *client);

/*
 * Begins a delivery: makes its id durable in the journal, then asks the server. Afterwards lb_client_write,
 * lb_client_commit or lb_client_rollback is legal, whatever it returned but -EINVAL (a bad name: nothing
 * happened), -EBUSY (one is open; or this id, or source, is undecided here, or worked on by another process) and
 * -ENOENT (with `only_open`: the journal does not have this id open). When the
 * id is committed already, what is written is only compared and not sent. An id that is given, or was open, may have been
 * committed by an attempt before: then no answer means IN_DOUBT, and giving up asks as lb_client_resolve does. What an
 * earlier process has left open of this source and name is taken up if it was begun at this server's ledger, over whatever
 * address. If it was begun at this address, and another ledger answers there now, it is IN_DOUBT. Returns 0, or as
 * lb_client_write.
 */
LB_PUBLIC LB_CHECKED int lb_client_begin(
	struct lb_client *client, const struct lb_delivery *delivery, lb_time deadline);

/* The id of the delivery that was begun last. */
LB_PUBLIC const struct lb_id *lb_client_id(const struct lb_client *client);

/*
 * Sends len bytes. 0: our kernel has them, no more is proven. -ECONNABORTED: the delivery has ended;
 * lb_client_commit or lb_client_rollback tells how. -ETIMEDOUT, -EINTR: not all were taken, and how many is
 * not told: only lb_client_rollback is legal now. -EMSGSIZE: more than the length that lb_client_begin was told; none
 * of it was sent, and likewise. In none of these cases is buf needed any longer.
 */
LB_PUBLIC LB_CHECKED int lb_client_write(
	struct lb_client *client, const void *buf, size_t len, lb_time deadline);

/* Waits until fd is readable, keeping the session alive meanwhile. Returns as lb_client_write, but after -ETIMEDOUT
 * and -EINTR everything is as before. */
LB_PUBLIC LB_CHECKED int lb_client_wait(struct lb_client *client, int fd, lb_time deadline);

/*
 * Asks for the commit and waits for the answer. Returns 0 when the outcome is certain, -EINPROGRESS when it
 * is in doubt. outcome.verdict COMMITTED proves that the server's storage has it, once, as the receipt says;
 * IN_DOUBT: ask again with lb_client_resolve, also in another process, as long as the journal lives. For any
 * other verdict the receipt holds id, ledger, name and length, and the digest of what was written; but for REFUSED
 * as DIFFERENT it is that of what was committed under this id. Interrupted before a byte of COMMIT was written:
 * rolled back; after: IN_DOUBT. -EINVAL: no delivery was begun.
 *
 * What is COMMITTED, or FORGOTTEN, leaves the journal with the next call that begins a delivery or asks about one, or when
 * the client is closed: by then the caller has told of it. Who is killed before that finds it open, and is told the same
 * again; delivered once more it is not. Until then other processes find it busy. So whoever goes on to something else for
 * long closes the client. Likewise with every other call that hands a verdict on: after lb_client_decision it is the next
 * one, or lb_client_commit_async; and `decided` has told of it when it returns.
 */
LB_PUBLIC int lb_client_commit(
	struct lb_client *client, lb_time deadline, struct lb_receipt *receiptp, struct lb_outcome *outcomep);

/*
 * Asks for the commit of the open delivery and does not wait for the answer: another one can be begun at once. How each
 * of them ended is told once: in the order in which the answers come, which is any, to `decided`, or by
 * lb_client_decision. As many may be undecided as the server allows, 64 at most; with more, calls wait for a verdict.
 * What is said about a delivery is written with what comes next, when enough of it waits, or a call has to wait.
 *
 * With `pipeline` nothing waits for the server's word that it takes a delivery: lb_client_begin returns before that,
 * and a refusal is told by lb_client_commit or the decision. lb_client_write then copies what is small: 0 proves
 * nothing. A delivery cannot be resumed.
 *
 * With `numbers` the journal gives out as many ids with one line that is made durable, to deliveries without a source and
 * an id of their own: it is not synced for each. After a crash all of them are open until each was asked about. A server
 * takes only 1024 numbers from the lowest open one on, of all clients of one state directory together.
 *
 * With `retry`, a connection that breaks leaves them undecided: over the next one they are begun again before anything
 * else, under their ids, read again, or out of a copy of at most `replay` bytes of all of them together, which is kept
 * with `pipeline`, or where the server can resume. One that was not kept is asked about and fenced, as by
 * lb_client_resolve. They wait for that as long as calls are made; their deadlines end only the calls. Without `retry`
 * those whose COMMIT has left are IN_DOUBT, the others NOT_COMMITTED.
 *
 * 0: the verdict will be told, also if the delivery has ended already. -ETIMEDOUT, -EINTR: it is open as before. -EINVAL:
 * none was begun, or only lb_client_rollback is legal. -ENOBUFS: lb_client_decision has to be called first.
 */
LB_PUBLIC LB_CHECKED int lb_client_commit_async(struct lb_client *client, lb_time deadline);

/*
 * Waits for the next verdict of lb_client_commit_async. 0: *decisionp has it; with `decided`, which was told it,
 * decisionp is NULL. -ENOENT: there are none to come. -ETIMEDOUT, -EINTR: everything is as before. With a deadline that
 * has passed it only looks what has come.
 */
LB_PUBLIC LB_CHECKED int lb_client_decision(
	struct lb_client *client, lb_time deadline, struct lb_decision *decisionp);

/*
 * What the server's application has replied to the delivery that was decided last, by lb_client_commit or
 * lb_client_resolve: *lenp bytes, 0: nothing. The client's, until its next call. NULL with a length: there was no memory
 * for it (outcome.err is ENOMEM); lb_client_resolve gives it again.
 */
LB_PUBLIC const void *lb_client_reply(const struct lb_client *client, size_t *lenp);

/*
 * The server's own words, at most 255 bytes without control characters, on why the delivery that was decided last was
 * refused, or, if it was not, on why the server has given the connection up; "": it had none. For people and logs. The
 * client's, until its next call.
 */
LB_PUBLIC const char *lb_client_text(const struct lb_client *client);

/* Gives the open delivery up for `reason`: the outcome is that reason's verdict, unless it is in doubt or
 * committed because an attempt of an earlier process had sent COMMIT. The interrupt does not end it. Returns as
 * lb_client_commit. */
LB_PUBLIC int lb_client_rollback(struct lb_client *client, enum lb_reason reason, lb_time deadline,
	struct lb_receipt *receiptp, struct lb_outcome *outcomep);

/*
 * Asks what became of a delivery, and makes it impossible to commit if it has not. COMMITTED with the
 * receipt; ROLLED_BACK; FORGOTTEN; or IN_DOUBT when no answer came, or another ledger answered than the one
 * that the journal names for it. An id that the journal does not know is asked of whichever ledger answers.
 * Legal when no delivery is open (else -EBUSY; also when another process works on it, -EINVAL: no such id can
 * be; -ENOENT, with `only_open`: it is not open there). Returns as lb_client_commit.
 */
LB_PUBLIC int lb_client_resolve(struct lb_client *client, const struct lb_id *id, lb_time deadline,
	struct lb_receipt *receiptp, struct lb_outcome *outcomep);

/*
 * Leaves open in the journal what is open there now, and what will be: also numbers that were reserved of which the end is
 * known, and what the client has just handed on. For a later process that finds them by lb_client_each_open, and whose work
 * has not ended because this one's has; or because nobody could be told. May be called from `decided`.
 */
LB_PUBLIC void lb_client_keep(struct lb_client *client);

/*
 * Says CLOSE, waits for CLOSE_OK, ends the connection. Consumes client, always. The interrupt does not end it. An open
 * delivery is rolled back; if an earlier process may have committed it, that is asked, as by lb_client_rollback. What is
 * undecided gets its verdict before, which `decided` is told; without `decided` fetch it first, or it is told to nobody, and
 * what is COMMITTED stays open in the journal. By the deadline it is IN_DOUBT if COMMIT has left, and else NOT_COMMITTED.
 * Where there is no connection, as while `retry` waits for the next one, that is so at once, also of the open delivery,
 * which is IN_DOUBT if an earlier process may have committed it: for this call no connection is made.
 *
 * The outcome is the connection's, its verdict that of the last delivery; UNPROVEN after lb_client_commit_async, which has
 * its own told, and where there was none. 0: both ends agreed; -ETIMEDOUT; -ECONNABORTED: it ended otherwise, as the
 * outcome says, or there was no connection.
 */
LB_PUBLIC int lb_client_close(struct lb_client *client, lb_time deadline, struct lb_outcome *outcomep);

/* Ends the connection at once, with RST. Consumes client, always. */
LB_PUBLIC void lb_client_abort(struct lb_client *client, struct lb_outcome *outcomep);

/*
 * The same client in an event loop: each call above that waits is one that starts it, and steps.
 *
 *	lb_client_start_begin(client, &delivery, deadline);
 *	until lb_client_step(client): wait for lb_client_events at lb_client_fd, or until lb_client_deadline
 *	lb_client_result(client, NULL, &outcome);
 *
 * None of them waits for the network. The journal is written, and a name looked up, while the caller waits.
 *
 * Start returns 0: now step; or a negative errno, as the call that waits: nothing happened. One operation at a time:
 * -EBUSY, -EINVAL. An open that fails at once leaves *clientp NULL and fills the outcome; one that fails later is over
 * with an error, and then only lb_client_abort is legal, as it is after a close that is over: it frees the client. What
 * is given to lb_client_start_write stays as it is until the write is over. There is none for lb_client_decision: with a
 * deadline that has passed it does not wait.
 */
LB_PUBLIC LB_CHECKED int lb_client_start_open(const char *address, const struct lb_client_options *options,
	lb_time deadline, struct lb_client **clientp, struct lb_outcome *outcomep);
LB_PUBLIC LB_CHECKED int lb_client_start_begin(
	struct lb_client *client, const struct lb_delivery *delivery, lb_time deadline);
LB_PUBLIC LB_CHECKED int lb_client_start_write(
	struct lb_client *client, const void *buf, size_t len, lb_time deadline);
LB_PUBLIC LB_CHECKED int lb_client_start_commit(struct lb_client *client, lb_time deadline);
LB_PUBLIC LB_CHECKED int lb_client_start_commit_async(struct lb_client *client, lb_time deadline);
LB_PUBLIC LB_CHECKED int lb_client_start_rollback(
	struct lb_client *client, enum lb_reason reason, lb_time deadline);
LB_PUBLIC LB_CHECKED int lb_client_start_resolve(
	struct lb_client *client, const struct lb_id *id, lb_time deadline);
LB_PUBLIC void lb_client_start_close(struct lb_client *client, lb_time deadline);

/*
 * Goes on as far as it can. True: what was started is over. Without an operation it returns true, too, and does what
 * there is to be done: it keeps the session alive, writes what has gathered, takes verdicts; so step whenever fd or
 * deadline say so.
 */
LB_PUBLIC bool lb_client_step(struct lb_client *client);

/* What to wait for: POLLIN and POLLOUT, poll(2), which are those of epoll(7), at a descriptor (-1: none), or until a
 * point in time (LB_NEVER). Ask anew after each call on the client: each of them may change, and the descriptor be
 * another one with the same number. */
LB_PUBLIC int      lb_client_fd(const struct lb_client *client);
LB_PUBLIC unsigned lb_client_events(const struct lb_client *client);
LB_PUBLIC lb_time  lb_client_deadline(const struct lb_client *client);

/* The operation ends with its next step, as if `interrupt_fd` had become readable. */
LB_PUBLIC void lb_client_interrupt(struct lb_client *client);

/* Once it is over: returns what the call that waits returns, and fills the outcome, and the receipt after commit, rollback
 * and resolve (each may be NULL). After these the delivery is gone. To be called once for each operation. */
LB_PUBLIC int lb_client_result(
	struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep);

#ifdef __cplusplus
}
#endif
#endif
