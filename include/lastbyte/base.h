/* SPDX-License-Identifier: MIT */
/*
 * base.h - time, identifiers, and how things end.
 *
 * Every public call that can fail returns 0 or a negative errno. How a connection or a delivery ended
 * is not an error but an outcome: an out-parameter that is filled on every path.
 */
#ifndef LASTBYTE_BASE_H
#define LASTBYTE_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LB_PUBLIC  __attribute__((visibility("default")))
#define LB_CHECKED __attribute__((warn_unused_result))

typedef int64_t lb_time; /* nanoseconds, CLOCK_MONOTONIC: clock_gettime(2) */

#define LB_NEVER   INT64_MAX  /* a deadline that does not come */
#define LB_UNKNOWN UINT64_MAX /* a count that nobody can tell */

/* The present. Never fails. */
LB_PUBLIC lb_time lb_now(void);

/* The absolute deadline that lies ms milliseconds from now; LB_NEVER where that cannot be expressed. */
LB_PUBLIC lb_time lb_in_ms(int64_t ms);

enum lb_rung {
#define LB_RUNG(name, word, text) LB_RUNG_##name,
#include <lastbyte/outcomes.def>
};

enum lb_verdict {
#define LB_VERDICT(name, word, exit_code, text) LB_VERDICT_##name,
#include <lastbyte/outcomes.def>
};

enum lb_end {
#define LB_END(name, word, text) LB_END_##name,
#include <lastbyte/outcomes.def>
};

enum lb_party {
#define LB_PARTY(name, word) LB_PARTY_##name,
#include <lastbyte/outcomes.def>
};

enum lb_phase {
#define LB_PHASE(name, word, text) LB_PHASE_##name,
#include <lastbyte/outcomes.def>
};

enum lb_policy {
#define LB_POLICY(name, word, text) LB_POLICY_##name,
#include <lastbyte/outcomes.def>
};

enum lb_reason {
#define LB_REASON(name, code, verdict, word, text) LB_REASON_##name = (code),
#include <lastbyte/outcomes.def>
};

enum lb_failure {
	LB_FAILURE_NONE,
#define LB_FAILURE(name, code, word, text) LB_FAILURE_##name = (code),
#include <lastbyte/outcomes.def>
};

/* How one connection or one delivery ended. Filled on every path, success and failure. */
struct lb_outcome {
	enum lb_verdict verdict;
	enum lb_reason  reason; /* behind a verdict other than committed */
	enum lb_rung    rung;   /* the highest with evidence */
	enum lb_end     how;
	enum lb_party   by;
	enum lb_phase   phase;
	int             err;       /* the errno behind it, or 0 */
	uint64_t        accepted;  /* bytes that our kernel took, over the whole connection */
	uint64_t        acked;     /* of these, bytes that the peer's kernel has; or LB_UNKNOWN */
	uint64_t        lost;      /* of these, bytes given up without an ack; or LB_UNKNOWN */
	uint64_t        confirmed; /* bytes of deliveries that the peer's application committed */
	uint64_t        discarded; /* bytes from the peer that were thrown away unread while ending */
	lb_time         took;      /* the call, from its start to its return */
};

/* The words of outcomes.def, for logs: "committed", "rst". Never NULL; "unknown" for what is not in it. */
LB_PUBLIC const char *lb_rung_word(enum lb_rung rung);
LB_PUBLIC const char *lb_verdict_word(enum lb_verdict verdict);
LB_PUBLIC const char *lb_end_word(enum lb_end end);
LB_PUBLIC const char *lb_party_word(enum lb_party party);
LB_PUBLIC const char *lb_phase_word(enum lb_phase phase);
LB_PUBLIC const char *lb_policy_word(enum lb_policy policy);
LB_PUBLIC const char *lb_reason_word(enum lb_reason reason);
LB_PUBLIC const char *lb_reason_text(enum lb_reason reason);
LB_PUBLIC const char *lb_failure_word(enum lb_failure failure);
LB_PUBLIC const char *lb_failure_text(enum lb_failure failure);

/* The policy that a word stands for; -EINVAL when it stands for none. */
LB_PUBLIC LB_CHECKED int lb_policy_parse(const char *text, enum lb_policy *policyp);

/* The exit code of the command for a verdict. */
LB_PUBLIC int lb_verdict_exit(enum lb_verdict verdict);

/* The verdict that a reason stands for. */
LB_PUBLIC enum lb_verdict lb_reason_verdict(enum lb_reason reason);

/* One line for a log, without a newline, cut to len bytes with its NUL. Returns buf. */
LB_PUBLIC const char *lb_outcome_text(const struct lb_outcome *outcome, char *buf, size_t len);

/* 128 bits that name a ledger, in the byte order in which RFC 9562 writes a UUID. */
struct lb_uuid {
	uint8_t bytes[16];
};

/* A delivery's identity: chosen by the client, durable in its journal before the first byte. */
struct lb_id {
	uint8_t  client[16]; /* random, one for each journal */
	uint64_t number;     /* counts from 1 */
};

/* XXH3 128 bits (seed 0) in its canonical, big-endian form: what `xxhsum -H2` prints. */
struct lb_digest {
	uint8_t bytes[16];
};

#define LB_UUID_TEXT   37 /* bytes that the texts below need, with their NUL */
#define LB_ID_TEXT     54
#define LB_DIGEST_TEXT 40

/* "8c2e…-…" as RFC 9562 writes it; "32 hex digits:number"; "xxh128:32 hex digits". Each returns buf. */
LB_PUBLIC const char *lb_uuid_text(const struct lb_uuid *uuid, char buf[LB_UUID_TEXT]);
LB_PUBLIC const char *lb_id_text(const struct lb_id *id, char buf[LB_ID_TEXT]);
LB_PUBLIC const char *lb_digest_text(const struct lb_digest *digest, char buf[LB_DIGEST_TEXT]);

/* The reverse; -EINVAL when text is not exactly such a one. */
LB_PUBLIC LB_CHECKED int lb_id_parse(const char *text, struct lb_id *idp);
LB_PUBLIC LB_CHECKED int lb_uuid_parse(const char *text, struct lb_uuid *uuidp);

/* A delivery's name is a file name: see docs/protocol.md, "Names". */
#define LB_NAME_MAX 255

/* 0, or -EINVAL with *whyp (static text) saying what is wrong with the len bytes at name. */
LB_PUBLIC LB_CHECKED int lb_name_check(const char *name, size_t len, const char **whyp);

/* What stands behind the word "durable" in a receipt. */
enum lb_durability {
	LB_DURABILITY_NONE,  /* memory only: the file system has no disk behind it */
	LB_DURABILITY_FSYNC, /* fsync(2) returned 0 for data, directory entries and the ledger */
};
LB_PUBLIC const char *lb_durability_word(enum lb_durability durability);

/* The server's word that a delivery is durable. The ledger keeps it and gives it out again. */
struct lb_receipt {
	struct lb_id       id;
	struct lb_uuid     ledger;
	uint64_t           length; /* bytes */
	struct lb_digest   digest;
	int64_t            committed_at; /* nanoseconds since 1970-01-01T00:00:00Z */
	enum lb_durability durability;
	char               name[LB_NAME_MAX + 1];   /* as asked for in BEGIN, with a NUL */
	char               placed[LB_NAME_MAX + 1]; /* as it lies there: another if it was taken */
};

#ifdef __cplusplus
}
#endif
#endif
