/* SPDX-License-Identifier: MIT */
/*
 * farewell.h - say CLOSE, wait for CLOSE_OK, then just close: in the words of any protocol, on either side.
 *
 *	static int print(void *file, const void *buf, size_t len)
 *	{
 *		return fwrite(buf, 1, len, file) == len ? 0 : -EIO;
 *	}
 *
 *	int quit(int redis)
 *	{
 *		const struct lb_farewell farewell = {.words = "QUIT\r\n", .words_len = 6,
 *			.answer = {.bytes = "+OK\r\n", .len = 5, .before = print, .arg = stdout}};
 *		struct lb_outcome end;
 *		char line[256];
 *
 *		lb_farewell(redis, &farewell, lb_in_ms(5000), &end);
 *		fprintf(stderr, "%s\n", lb_outcome_text(&end, line, sizeof line));
 *		return end.how == LB_END_CLOSE_OK ? 0 : -1;
 *	}
 *
 * An end of the stream proves that the peer's kernel has our bytes, an answer that its application has read them.
 */
#ifndef LASTBYTE_FAREWELL_H
#define LASTBYTE_FAREWELL_H

#include <lastbyte/sock.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Words to be heard from the peer, in whatever pieces they come. No byte of the stream is swallowed: those before the
 * words go to a callback, those after them are counted as discarded. The callbacks are called on the caller's thread,
 * with each byte once and in order, and must leave the fd alone.
 */
struct lb_expect {
	/* The words: any bytes, any number of them. They are found wherever they begin, also in the midst of what
	 * else the peer says: if that can contain them, use `recognize`. */
	const void *bytes;
	size_t      len;
	/* Gets what comes before the words, and what was a beginning of them if the stream ends there. Returns 0, or a
	 * negative errno to stop: -EPROTO says that the peer is wrong, any other that we give up. NULL: nothing may
	 * come before the words, and the first byte that is not theirs is something else. */
	int (*before)(void *arg, const void *buf, size_t len);
	/* Instead of `bytes` and `before`, for words that have no one form: gets every byte, and returns 0 to hear
	 * more, or how many of these len bytes are before the words or theirs, once they are complete, or a negative
	 * errno as `before` does. */
	ssize_t (*recognize)(void *arg, const void *buf, size_t len);
	void *arg;
};

/* What the side says that begins the farewell. */
struct lb_farewell {
	/* CLOSE; the caller's, until the call returns. None: he has said it already. */
	const void *words;
	size_t      words_len;
	/* CLOSE_OK. What had come before all of `words` was written cannot be it, and counts as before it. Without
	 * `bytes` and `recognize`: the protocol has no answer, the peer's end is what follows the words. */
	struct lb_expect answer;
	bool             durable; /* in this protocol the answer says that all is on disk */
	/* How the connection ends after that, answered or not. `last` is not used, LB_EXPIRY_KEEP is as
	 * LB_EXPIRY_ABORT. LB_POLICY_PLAIN just closes: nothing is faster, and nothing is known of what follows. */
	struct lb_ending ending;
};

/*
 * Says `words`, without delay, hears the answer, and ends the connection as lb_close does. Blocks, also on an
 * O_NONBLOCK socket. Reads while it writes. If not all of the words could be written, the connection is reset, whatever
 * `ending` says: a FIN would make half of them look whole.
 *
 * fd        consumed, on success and on failure: never use it again.
 * deadline  for the answer and the ending together. With LB_NEVER a silent peer is waited for as long as its kernel
 *           is there.
 * outcomep  always filled:
 *           CLOSE_OK by self: the answer came. `phase` and `err` say how the connection ended after that.
 *           FIN by peer: it ended without an answer; or, where its end is the answer, it did just that: `rung` ENDED.
 *           PROTOCOL_ERROR by peer: it said something else; or a callback said -EPROTO.
 *           LOCAL_ABORT by self: a callback gave up, with `err`.
 *           TIMEOUT by self: it was silent until the deadline.
 *           RST by peer, TIMEOUT and NET_ERROR by network: the connection broke.
 *           `phase`, where no answer came: CLOSE_SENT, or DATA if not all of the words could be written.
 *           `rung`: COMMITTED only for an answer that is `durable`; ENDED as lb_close, and only after an answer, or the
 *           end in place of one; else ACKED at most, also if the peer ended the stream, and ACCEPTED at most if not
 *           all of the words could be written.
 *           `verdict`: COMMITTED by an answer that is `durable`. Without one, IN_DOUBT if a byte of the words was
 *           written, NOT_COMMITTED if none was. UNPROVEN for all that is not `durable`.
 *           discarded: bytes after the answer, and those that no callback was there to take.
 *
 * Returns as lb_close: 0 when the connection has ended in whatever way; -EBADF, -ENOTSOCK, -EOPNOTSUPP, -ENOTCONN.
 *
 * CLOSE_OK proves that the answer came, and not before the words were written. That it was said to these words and to
 * nothing else, and what it means, is the protocol's matter: if requests sent before are still without a reply, and
 * a reply can look like the answer, use `recognize` and count.
 *
 * Rests on RFC 9293 section 3.6 (closing a connection): a FIN is no answer, for the kernel sends it also for a process
 * that died. tcp(7), send(2), recv(2).
 */
LB_PUBLIC int lb_farewell(
	int fd, const struct lb_farewell *farewell, lb_time deadline, struct lb_outcome *outcomep);

/* What the side does that the farewell is said to. */
struct lb_farewell_answering {
	struct lb_expect words; /* CLOSE; all before it is what it closes */
	/* Called when CLOSE has been heard, before it is answered. Returns 0 if all that came before it is now durable,
	 * or a negative errno if it is not, and will not be. */
	int (*commit)(void *arg);
	/* Called when CLOSE will not be heard any more: all that came is to be undone. */
	void (*rollback)(void *arg);
	void       *arg;
	const void *answer; /* CLOSE_OK; none: our end is what follows CLOSE */
	size_t      answer_len;
	const void *refusal; /* said when `commit` or `words.before` failed; none: RST, which nobody takes for
				     an answer */
	size_t      refusal_len;
	struct lb_ending ending; /* as in struct lb_farewell */
};

/*
 * Hears CLOSE, commits, answers, and lets the peer's FIN come first, for `ending.limits.idle` long: then neither end has
 * anything in flight that could provoke a RST. Blocks, also on an O_NONBLOCK socket. Exactly one of `commit` and
 * `rollback` is called, exactly once, whatever happens and whatever is returned.
 *
 * Where CLOSE is not heard and nothing is to be said to that, the connection is reset; only the FIN of a peer that has
 * ended is answered by ours, and not even that where our end is the answer.
 *
 * fd        consumed, on success and on failure: never use it again.
 * deadline  for all of it. What `commit` takes counts, but does not keep the answer from being said.
 * outcomep  always filled. `verdict`: COMMITTED, `commit` returned 0; NOT_COMMITTED, it did not; ROLLED_BACK, `rollback`
 *           was called.
 *           CLOSE_OK by peer: committed, its kernel has the answer, and it ended without an error. If it did not end
 *           so, how it ended is said instead; `phase` CLOSE_SENT if it may not have the answer.
 *           LOCAL_ABORT by self, with `err`: `commit` failed (`phase` CLOSE_SENT), or `words.before` did (DATA).
 *           FIN by peer, RST by peer, TIMEOUT, ..., in `phase` DATA: this came instead of CLOSE, or of its rest.
 *           PROTOCOL_ERROR by peer: `words.before` said -EPROTO, or is NULL and something else than CLOSE came.
 *           `rung` is that of what we sent, as lb_close has it, and ENDED at most.
 *
 * Returns as lb_farewell.
 *
 * COMMITTED proves that CLOSE came, after everything before it and unbroken, and that `commit` said yes. That the
 * peer knows is proven by nothing: a peer that needs to has to be able to ask again.
 */
LB_PUBLIC int lb_farewell_answer(
	int fd, const struct lb_farewell_answering *answering, lb_time deadline, struct lb_outcome *outcomep);

#ifdef __cplusplus
}
#endif
#endif
