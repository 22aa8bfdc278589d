/* SPDX-License-Identifier: MIT */
/*
 * The payload of each frame type, to bytes and back, with the rules that need no more than the payload
 * itself (docs/protocol.md, "Frames"). What depends on the connection is checked in conn.c and its roles.
 * Owns no state.
 */
#include "proto/frame.h"
#include "base/utf8.h"
#include "proto/bytes.h"

static const char magic[8] = {'L', 'A', 'S', 'T', 'B', 'Y', 'T', 'E'};

enum { WIRE_COMMITTED = 1, WIRE_ROLLED_BACK, WIRE_FORGOTTEN };

static enum lb_failure wrong(const char **whyp, const char *why)
{
	*whyp = why;
	return LB_FAILURE_FRAME_CONTENT;
}

/* Copies what fits into LB_TEXT_MAX bytes; what is a control character or not UTF-8 becomes "?". */
static size_t clean(char *out, const uint8_t *in, size_t len)
{
	size_t used = 0;
	uint32_t code;

	for (size_t i = 0, n; i < len; i += n) {
		n = lb_utf8_sequence(in + i, len - i, &code);
		if (used + (n > 0 ? n : 1) > LB_TEXT_MAX)
			break;
		if (n == 0 || lb_utf8_is_control(code)) {
			out[used++] = '?';
			n = n > 0 ? n : 1;
			continue;
		}
		memcpy(out + used, in + i, n);
		used += n;
	}
	out[used] = '\0';
	return used;
}

static uint8_t *text_put(uint8_t *out, const char *text)
{
	char cleaned[LB_TEXT_MAX + 1];

	return lb_put_bytes(out, cleaned, clean(cleaned, (const uint8_t *)text, strlen(text)));
}

static uint8_t *name_put(uint8_t *out, const char *name)
{
	size_t len = strlen(name);

	return lb_put_bytes(lb_put_be(out, len, 1), name, len);
}

static uint8_t *id_put(uint8_t *out, const struct lb_id *id)
{
	return lb_put_be(lb_put_bytes(out, id->client, sizeof id->client), id->number, 8);
}

static bool id_get(const uint8_t **inp, struct lb_id *idp)
{
	lb_get_bytes(inp, idp->client, sizeof idp->client);
	idp->number = lb_get_be(inp, 8);
	return lb_number_ok(idp->number);
}

size_t lb_hello_put(uint8_t *out, const struct lb_hello *hello)
{
	uint8_t *end = lb_put_bytes(out, magic, sizeof magic);

	end = lb_put_be(end, hello->min_version, 2);
	end = lb_put_be(end, hello->max_version, 2);
	end = lb_put_be(end, hello->features, 4);
	end = lb_put_bytes(end, hello->client, sizeof hello->client);
	end = lb_put_be(end, hello->idle_ms, 4);
	return (size_t)(end - out);
}

enum lb_failure lb_hello_get(const uint8_t *in, size_t len, struct lb_hello *hellop, const char **whyp)
{
	(void)len;
	if (!lb_hello_magic_ok(in, sizeof magic)) {
		*whyp = "this is not the Lastbyte protocol";
		return LB_FAILURE_NOT_LASTBYTE;
	}
	in += sizeof magic;
	hellop->min_version = (uint16_t)lb_get_be(&in, 2);
	hellop->max_version = (uint16_t)lb_get_be(&in, 2);
	hellop->features = (uint32_t)lb_get_be(&in, 4);
	lb_get_bytes(&in, hellop->client, sizeof hellop->client);
	hellop->idle_ms = (uint32_t)lb_get_be(&in, 4);
	if (hellop->min_version < 1 || hellop->min_version > hellop->max_version)
		return wrong(whyp, "HELLO with a range of versions that is none");
	if (hellop->idle_ms < LB_IDLE_MIN_MS)
		return wrong(whyp, "HELLO with an idle time-out below 100 ms");
	return LB_FAILURE_NONE;
}

bool lb_hello_magic_ok(const uint8_t *in, size_t len)
{
	return memcmp(in, magic, len < sizeof magic ? len : sizeof magic) == 0;
}

size_t lb_hello_ok_put(uint8_t *out, const struct lb_hello_ok *ok)
{
	uint8_t *end = lb_put_be(out, (uint32_t)ok->version << 16, 4);

	end = lb_put_be(end, ok->features, 4);
	end = lb_put_bytes(end, ok->ledger.bytes, sizeof ok->ledger.bytes);
	end = lb_put_be(end, ok->max_delivery, 8);
	end = lb_put_be(end, ok->max_undecided, 4);
	end = lb_put_be(end, ok->idle_ms, 4);
	return (size_t)(end - out);
}

enum lb_failure lb_hello_ok_get(const uint8_t *in, size_t len, struct lb_hello_ok *okp, const char **whyp)
{
	uint16_t zero;

	(void)len;
	okp->version = (uint16_t)lb_get_be(&in, 2);
	zero = (uint16_t)lb_get_be(&in, 2);
	okp->features = (uint32_t)lb_get_be(&in, 4);
	lb_get_bytes(&in, okp->ledger.bytes, sizeof okp->ledger.bytes);
	okp->max_delivery = lb_get_be(&in, 8);
	okp->max_undecided = (uint32_t)lb_get_be(&in, 4);
	okp->idle_ms = (uint32_t)lb_get_be(&in, 4);
	if (zero != 0)
		return wrong(whyp, "HELLO_OK with bytes that must be 0");
	if (lb_uuid_is_zero(&okp->ledger))
		return wrong(whyp, "HELLO_OK without a ledger");
	if (okp->max_delivery > LB_COUNT_MAX && okp->max_delivery != LB_UNKNOWN)
		return wrong(whyp, "HELLO_OK with a limit that is out of range");
	if (okp->max_undecided == 0)
		return wrong(whyp, "HELLO_OK that allows no delivery");
	if (okp->idle_ms < LB_IDLE_MIN_MS)
		return wrong(whyp, "HELLO_OK with an idle time-out below 100 ms");
	return LB_FAILURE_NONE;
}

size_t lb_begin_put(uint8_t *out, const struct lb_begin *begin)
{
	uint8_t *end = id_put(out, &begin->id);

	end = lb_put_bytes(end, begin->ledger.bytes, sizeof begin->ledger.bytes);
	end = lb_put_be(end, begin->attempt, 4);
	end = lb_put_be(end, begin->length, 8);
	return (size_t)(name_put(end, begin->name) - out);
}

enum lb_failure lb_begin_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	const uint8_t *end = in + len;
	bool number_ok = id_get(&in, &event->id);
	const char *why;
	size_t name_len;

	lb_get_bytes(&in, event->ledger.bytes, sizeof event->ledger.bytes);
	event->attempt = (uint32_t)lb_get_be(&in, 4);
	event->length = lb_get_be(&in, 8);
	name_len = (size_t)lb_get_be(&in, 1);
	if (name_len != (size_t)(end - in)) {
		*whyp = "BEGIN whose name is not as long as it says";
		return LB_FAILURE_FRAME_LENGTH;
	}
	if (!number_ok)
		return wrong(whyp, "BEGIN with a number out of range");
	if (lb_uuid_is_zero(&event->ledger))
		return wrong(whyp, "BEGIN without a ledger");
	if (event->attempt == 0)
		return wrong(whyp, "BEGIN with attempt 0");
	if (event->length > LB_COUNT_MAX && event->length != LB_UNKNOWN)
		return wrong(whyp, "BEGIN with a length out of range");
	if (lb_name_check((const char *)in, name_len, &why) != 0)
		memcpy(event->text, why, strlen(why) + 1);
	else
		memcpy(event->name, in, name_len);
	return LB_FAILURE_NONE;
}

size_t lb_begin_ok_put(uint8_t *out, uint64_t offset, bool resumable)
{
	return (size_t)(lb_put_be(lb_put_be(out, offset, 8), resumable, 4) - out);
}

enum lb_failure lb_begin_ok_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	uint64_t flags;

	(void)len;
	event->offset = lb_get_be(&in, 8);
	flags = lb_get_be(&in, 4);
	event->resumable = flags == 1;
	return flags > 1 ? wrong(whyp, "BEGIN_OK with unknown flags") : LB_FAILURE_NONE;
}

size_t lb_synced_put(uint8_t *out, uint64_t offset)
{
	return (size_t)(lb_put_be(out, offset, 8) - out);
}

void lb_synced_get(const uint8_t *in, struct lb_event *event)
{
	event->offset = lb_get_be(&in, 8);
}

size_t lb_commit_put(uint8_t *out, uint64_t length, const struct lb_digest *digest)
{
	return (size_t)(lb_put_bytes(lb_put_be(out, length, 8), digest->bytes, sizeof digest->bytes) - out);
}

void lb_commit_get(const uint8_t *in, struct lb_event *event)
{
	event->length = lb_get_be(&in, 8);
	lb_get_bytes(&in, event->digest.bytes, sizeof event->digest.bytes);
}

size_t lb_committed_put(uint8_t *out, const struct lb_receipt *receipt, size_t reply_len)
{
	bool moved = receipt->placed[0] != '\0' && strcmp(receipt->placed, receipt->name) != 0;
	uint8_t *end = id_put(out, &receipt->id);

	end = lb_put_be(end, receipt->length, 8);
	end = lb_put_bytes(end, receipt->digest.bytes, sizeof receipt->digest.bytes);
	end = lb_put_be(end, (uint64_t)receipt->committed_at, 8);
	end = lb_put_be(end, (uint64_t)receipt->durability, 1);
	end = name_put(end, receipt->name);
	end = name_put(end, moved ? receipt->placed : "");
	return (size_t)(lb_put_be(end, reply_len, 4) - out);
}

/* Reads one of the receipt's names, which `after` bytes must follow; NULL when the payload is too short for it. */
static const uint8_t *name_get(
	const uint8_t *in, const uint8_t *end, size_t after, char *name, size_t *name_lenp)
{
	*name_lenp = *in++;
	if ((size_t)(end - in) < *name_lenp + after)
		return NULL;
	memcpy(name, in, *name_lenp);
	name[*name_lenp] = '\0';
	return in + *name_lenp;
}

enum lb_failure lb_committed_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	struct lb_receipt *receipt = &event->receipt;
	const uint8_t *end = in + len;
	bool number_ok = id_get(&in, &receipt->id);
	size_t name_len, placed_len = 0;
	const char *why;
	uint8_t durability;

	receipt->length = lb_get_be(&in, 8);
	lb_get_bytes(&in, receipt->digest.bytes, sizeof receipt->digest.bytes);
	receipt->committed_at = (int64_t)lb_get_be(&in, 8);
	durability = (uint8_t)lb_get_be(&in, 1);
	receipt->durability = (enum lb_durability)durability;
	in = name_get(in, end, 1 + 4, receipt->name, &name_len);
	if (in != NULL)
		in = name_get(in, end, 4, receipt->placed, &placed_len);
	if (in != NULL)
		event->reply_len = (size_t)lb_get_be(&in, 4);
	if (in == NULL || event->reply_len != (size_t)(end - in)) {
		*whyp = "a receipt whose parts are not as long as they say";
		return LB_FAILURE_FRAME_LENGTH;
	}
	event->reply = event->reply_len > 0 ? in : NULL;
	if (!number_ok || receipt->length > LB_COUNT_MAX || durability > LB_DURABILITY_FSYNC)
		return wrong(whyp, "a receipt with a value out of range");
	if (event->reply_len > LB_REPLY_MAX)
		return wrong(whyp, "a reply that is too long");
	if (lb_name_check(receipt->name, name_len, &why) != 0 ||
		(placed_len > 0 && lb_name_check(receipt->placed, placed_len, &why) != 0))
		return wrong(whyp, "a receipt with a name that is none");
	if (placed_len == 0)
		memcpy(receipt->placed, receipt->name, sizeof receipt->placed);
	return LB_FAILURE_NONE;
}

size_t lb_resolved_put(uint8_t *out, enum lb_verdict verdict, enum lb_reason reason,
	const struct lb_receipt *receipt, size_t reply_len)
{
	uint64_t wire = verdict == LB_VERDICT_COMMITTED     ? WIRE_COMMITTED
			: verdict == LB_VERDICT_ROLLED_BACK ? WIRE_ROLLED_BACK
							    : WIRE_FORGOTTEN;
	uint8_t *end = lb_put_be(lb_put_be(out, wire << 8, 2), (uint64_t)reason, 2);

	return wire == WIRE_COMMITTED ? 4 + lb_committed_put(end, receipt, reply_len) : 4;
}

enum lb_failure lb_resolved_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	uint64_t wire = lb_get_be(&in, 1), zero = lb_get_be(&in, 1), reason = lb_get_be(&in, 2);

	if (wire < WIRE_COMMITTED || wire > WIRE_FORGOTTEN || zero != 0 ||
		(reason != 0 && !lb_reason_travels(reason)))
		return wrong(whyp, "RESOLVED with a value out of range");
	event->reason = (enum lb_reason)reason;
	event->verdict = wire == WIRE_COMMITTED     ? LB_VERDICT_COMMITTED
			 : wire == WIRE_ROLLED_BACK ? LB_VERDICT_ROLLED_BACK
						    : LB_VERDICT_FORGOTTEN;
	if (wire == WIRE_COMMITTED && reason != 0)
		return wrong(whyp, "RESOLVED as committed, with a reason");
	if (wire == WIRE_COMMITTED ? len < 4 + LB_RECEIPT_BYTES + 1 : len != 4) {
		*whyp = "RESOLVED with a length that its verdict does not allow";
		return LB_FAILURE_FRAME_LENGTH;
	}
	return wire == WIRE_COMMITTED ? lb_committed_get(in, len - 4, event, whyp) : LB_FAILURE_NONE;
}

size_t lb_refused_put(uint8_t *out, enum lb_reason reason, const char *text)
{
	return (size_t)(text_put(lb_put_be(out, (uint64_t)reason, 2), text) - out);
}

enum lb_failure lb_refused_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	uint64_t reason = lb_get_be(&in, 2);

	if (!lb_reason_travels(reason))
		return wrong(whyp, "REFUSED with a reason out of range");
	event->reason = (enum lb_reason)reason;
	clean(event->text, in, len - 2);
	return LB_FAILURE_NONE;
}

size_t lb_resolve_put(uint8_t *out, const struct lb_id *id, const struct lb_uuid *ledger)
{
	return (size_t)(lb_put_bytes(id_put(out, id), ledger->bytes, sizeof ledger->bytes) - out);
}

enum lb_failure lb_resolve_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	(void)len;
	if (!id_get(&in, &event->id))
		return wrong(whyp, "RESOLVE with a number out of range");
	lb_get_bytes(&in, event->ledger.bytes, sizeof event->ledger.bytes);
	return LB_FAILURE_NONE;
}

size_t lb_settled_put(uint8_t *out, const struct lb_id *lowest)
{
	return (size_t)(id_put(out, lowest) - out);
}

enum lb_failure lb_settled_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp)
{
	(void)len;
	return id_get(&in, &event->id) ? LB_FAILURE_NONE : wrong(whyp, "SETTLED with a number out of range");
}

size_t lb_error_put(uint8_t *out, enum lb_failure failure, const char *text)
{
	return (size_t)(text_put(lb_put_be(out, (uint64_t)failure, 2), text) - out);
}

void lb_error_get(const uint8_t *in, size_t len, struct lb_event *event)
{
	event->failure = (enum lb_failure)lb_get_be(&in, 2);
	clean(event->text, in, len - 2);
}
