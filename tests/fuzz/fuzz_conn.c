/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes one machine, of either role: its peer's bytes and its program's calls come from the input. A shadow
 * of every handle knows what may be said and seen about it; what the machine writes is parsed again.
 */
#include "fuzz/input.h"
#include "fuzz/shadow.h"
#include <string.h>

#define WIRE       4096
#define OUTPUT_MAX (LB_UNDECIDED_MAX * LB_ROOM_SLOT + LB_ROOM_KEPT + 2 * LB_ROOM_OWN + LB_REPLY_MAX)

struct fuzz {
	struct input input;
	enum lb_role role;
	struct lb_conn *conn;
	lb_time now;
	bool failed; /* the machine had failed before the present step */
	struct shadows shadows;
	uint8_t wire[WIRE]; /* of the peer's, not taken yet */
	size_t wire_len;
	/* what the machine has written */
	uint8_t header[LB_HEADER_BYTES];
	size_t have, payload_left;
	bool ended; /* ERROR, CLOSE or CLOSE_OK */
	uint8_t data[256];
};

static void see(struct fuzz *fuzz, const struct lb_event *event)
{
	if (event->type == LB_EVENT_NONE)
		return;
	MUST(!fuzz->failed);
	MUST((event->type != LB_EVENT_ERROR && event->type != LB_EVENT_TIMEOUT) ||
		lb_conn_state(fuzz->conn) == LB_CONN_FAILED);
	if (event->type == LB_EVENT_BEGIN || event->type == LB_EVENT_RESOLVE)
		fuzz->input.newest = event->handle;
	shadow_see(&fuzz->shadows, event);
}

/* Offers what lies on the wire, in pieces of this size. */
static void feed(struct fuzz *fuzz, size_t piece)
{
	struct lb_event event;
	size_t used = 0, n;

	do {
		size_t offered = fuzz->wire_len - used;

		if (offered > piece)
			offered = piece;
		fuzz->failed = lb_conn_state(fuzz->conn) == LB_CONN_FAILED;
		n = lb_conn_recv(fuzz->conn, fuzz->wire + used, offered, fuzz->now, &event);
		MUST(n <= offered);
		MUST(!fuzz->failed || n == offered);
		MUST(event.type == LB_EVENT_NONE || n > 0);
		if (event.type == LB_EVENT_DATA)
			MUST((const uint8_t *)event.data + event.len == fuzz->wire + used + n);
		see(fuzz, &event);
		used += n;
	} while (n > 0 && used < fuzz->wire_len);
	memmove(fuzz->wire, fuzz->wire + used, fuzz->wire_len - used);
	fuzz->wire_len -= used;
}

static void put_frame(struct fuzz *fuzz, unsigned type)
{
	uint8_t frame[LB_HEADER_BYTES + LB_PAYLOAD_MAX];
	uint8_t twist = input_next(&fuzz->input);
	uint32_t about = 0;
	struct lb_slot *slot;
	size_t len;

	if (lb_frame_is_type(type) && lb_frame_has_handle(type))
		about = input_handle(&fuzz->input);
	if (fuzz->role == LB_ROLE_SERVER && (type == LB_FRAME_BEGIN || type == LB_FRAME_RESOLVE) &&
		twist < 240)
		about = fuzz->conn->last_handle + 1;
	slot = lb_conn_slot(fuzz->conn, about);
	len = input_payload(&fuzz->input, type, slot, frame + LB_HEADER_BYTES) + LB_HEADER_BYTES;
	if (type == LB_FRAME_COMMIT && slot != NULL && twist < 200)
		lb_commit_put(frame + LB_HEADER_BYTES, slot->counted, &slot->digest);
	lb_header_put(frame, type, about, (uint32_t)(len - LB_HEADER_BYTES));
	if (twist > 250)
		frame[input_next(&fuzz->input) % len] ^= input_next(&fuzz->input);
	if (fuzz->wire_len + len > WIRE)
		return;
	memcpy(fuzz->wire + fuzz->wire_len, frame, len);
	fuzz->wire_len += len;
}

/* Mostly a frame that its kind of peer could send now; some are more often of use than others. */
static unsigned some_type(struct fuzz *fuzz)
{
	static const uint8_t from_client[] = {LB_FRAME_BEGIN, LB_FRAME_BEGIN, LB_FRAME_BEGIN, LB_FRAME_DATA,
		LB_FRAME_DATA, LB_FRAME_DATA, LB_FRAME_SYNC, LB_FRAME_COMMIT, LB_FRAME_COMMIT,
		LB_FRAME_ROLLBACK, LB_FRAME_RESOLVE, LB_FRAME_SETTLED, LB_FRAME_PING, LB_FRAME_PING,
		LB_FRAME_PONG, LB_FRAME_CLOSE};
	static const uint8_t from_server[] = {LB_FRAME_BEGIN_OK, LB_FRAME_BEGIN_OK, LB_FRAME_BEGIN_OK,
		LB_FRAME_SYNCED, LB_FRAME_SYNCED, LB_FRAME_COMMITTED, LB_FRAME_COMMITTED, LB_FRAME_COMMITTED,
		LB_FRAME_REFUSED, LB_FRAME_ROLLED_BACK, LB_FRAME_RESOLVED, LB_FRAME_RESOLVED, LB_FRAME_PING,
		LB_FRAME_PONG, LB_FRAME_GOING_AWAY, LB_FRAME_CLOSE_OK};
	uint8_t byte = input_next(&fuzz->input);
	unsigned type = fuzz->role == LB_ROLE_SERVER ? from_client[byte % 16] : from_server[byte % 16];
	struct lb_slot *slot = lb_conn_slot(fuzz->conn, fuzz->input.newest);
	enum lb_stage stage = fuzz->role == LB_ROLE_SERVER ? fuzz->conn->flow
			      : slot != NULL               ? slot->stage
							   : LB_STAGE_READY;

	if (byte < 240 && lb_conn_state(fuzz->conn) == LB_CONN_READY &&
		lb_rule_of(fuzz->role, type, stage, fuzz->conn->features) == LB_RULE_ILLEGAL)
		return LB_FRAME_PING;
	return byte < 250 ? type : input_next(&fuzz->input) % (LB_FRAME_TYPES + 1);
}

static void put_raw(struct fuzz *fuzz)
{
	for (size_t n = input_next(&fuzz->input) % 32; n > 0 && fuzz->wire_len < WIRE; n--)
		fuzz->wire[fuzz->wire_len++] = input_next(&fuzz->input);
}

/* One byte that the machine has written. */
static void parse(struct fuzz *fuzz, uint8_t byte)
{
	struct lb_header header;

	if (fuzz->payload_left > 0) {
		fuzz->payload_left--;
		return;
	}
	MUST(!fuzz->ended);
	fuzz->header[fuzz->have++] = byte;
	if (fuzz->have < LB_HEADER_BYTES)
		return;
	fuzz->have = 0;
	lb_header_get(fuzz->header, &header);
	MUST(header.zeroed && lb_frame_is_type(header.type) && lb_frame_is_from(header.type, fuzz->role));
	MUST(lb_frame_handle_ok(header.type, header.handle) &&
		lb_frame_length_ok(header.type, header.length, true));
	/* a COMMIT that was not sent when the machine failed stays unsent, unless its answer had come before it */
	if (header.type == LB_FRAME_COMMIT && lb_conn_state(fuzz->conn) == LB_CONN_FAILED &&
		header.handle < HANDLES)
		MUST(lb_conn_commit_sent(fuzz->conn, header.handle) ||
			fuzz->shadows.of[header.handle] == ANSWERED);
	fuzz->payload_left = header.length;
	fuzz->ended = header.type == LB_FRAME_ERROR || header.type == LB_FRAME_CLOSE ||
		      header.type == LB_FRAME_CLOSE_OK;
}

static void write_some(struct fuzz *fuzz, size_t most)
{
	struct iovec iov[4];
	size_t all = 0, len = 0;
	int n = lb_conn_send(fuzz->conn, iov, 4);

	MUST(n >= 0 && n <= 4);
	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	MUST(all <= OUTPUT_MAX + sizeof fuzz->data);
	for (int i = 0; i < n; i++)
		for (size_t j = 0; j < iov[i].iov_len && len < most; j++, len++)
			parse(fuzz, ((const uint8_t *)iov[i].iov_base)[j]);
	lb_conn_sent(fuzz->conn, len, fuzz->now);
}

static void pass_time(struct fuzz *fuzz)
{
	lb_time deadline = lb_conn_deadline(fuzz->conn);
	struct lb_event event;
	uint8_t byte = input_next(&fuzz->input);

	if (byte < 128 && deadline != LB_NEVER && deadline > fuzz->now)
		fuzz->now = deadline;
	else
		fuzz->now += (lb_time)byte * 1000000;
	fuzz->failed = lb_conn_state(fuzz->conn) == LB_CONN_FAILED;
	lb_conn_tick(fuzz->conn, fuzz->now, &event);
	see(fuzz, &event);
	MUST(lb_conn_deadline(fuzz->conn) > fuzz->now);
}

static void give_up(struct fuzz *fuzz, uint32_t which)
{
	bool begun = fuzz->shadows.of[which % HANDLES] == BEGUN;

	shadow_is(&fuzz->shadows, which, ONE(OPEN) | ONE(BEGUN), begun ? WITHDRAWN : ROLLING);
}

static void say_as_client(struct fuzz *fuzz, uint8_t what)
{
	struct lb_begin first = input_begin(&fuzz->input);
	struct lb_digest whole = first.attempt & 1 ? (struct lb_digest){{1}} : (struct lb_digest){{0}};
	uint32_t which = input_handle(&fuzz->input), fresh;
	enum shadow stage = fuzz->shadows.of[which % HANDLES];
	bool resume = (fuzz->conn->features & LB_FEATURE_RESUME) != 0;
	unsigned may_go_on = resume ? ONE(OPEN) : ONE(OPEN) | ONE(BEGUN);

	switch (what % 8) {
	case 0:
		if (lb_conn_begin(fuzz->conn, &first, &fresh) == 0)
			shadow_is(&fuzz->shadows, fuzz->input.newest = fresh, ONE(UNUSED), BEGUN);
		break;
	case 1:
		if (lb_conn_resolve(fuzz->conn, &first.id, &first.ledger, &fresh) == 0)
			shadow_is(&fuzz->shadows, fuzz->input.newest = fresh, ONE(UNUSED), ASKED);
		break;
	case 2:
	case 3:
		if (lb_conn_data(fuzz->conn, which, fuzz->data, first.attempt % 80) == 0)
			shadow_is(&fuzz->shadows, which, may_go_on, stage);
		break;
	case 4:
		if (lb_conn_commit(fuzz->conn, which, first.length, &whole) == 0)
			shadow_is(&fuzz->shadows, which, may_go_on, stage == BEGUN ? AHEAD : COMMITTING);
		break;
	case 5:
		if (lb_conn_rollback(fuzz->conn, which) == 0)
			give_up(fuzz, which);
		break;
	case 6:
		if (lb_conn_sync(fuzz->conn, which) == 0)
			shadow_is(&fuzz->shadows, which, ONE(OPEN), OPEN);
		break;
	default:
		if (first.attempt != 1)
			(void)!lb_conn_settled(fuzz->conn, &first.id);
		else if (lb_conn_close(fuzz->conn) == 0)
			for (int i = 0; i < HANDLES; i++)
				if (fuzz->shadows.of[i] == BEGUN || fuzz->shadows.of[i] == OPEN)
					give_up(fuzz, (uint32_t)i);
	}
}

static void say_as_server(struct fuzz *fuzz, uint8_t what)
{
	static const uint8_t reply[LB_REPLY_MAX];
	uint32_t which = input_handle(&fuzz->input);
	struct lb_receipt paid = input_receipt(&fuzz->input, lb_conn_slot(fuzz->conn, which));
	uint64_t offset = paid.length;

	switch (what % 8) {
	case 0:
		if (lb_conn_begin_ok(fuzz->conn, which, 0, what & 8) == 0)
			shadow_is(&fuzz->shadows, which, ONE(BEGUN), OPEN);
		break;
	case 1:
		if (lb_conn_begin_ok(fuzz->conn, which, offset, true) == 0) {
			shadow_is(&fuzz->shadows, which, ONE(BEGUN), OPEN);
			if (which < HANDLES)
				fuzz->shadows.bytes[which] = offset;
		}
		break;
	case 2:
		if (lb_conn_synced(fuzz->conn, which, offset) == 0)
			shadow_is(&fuzz->shadows, which, ONE(OPEN) | ONE(COMMITTING),
				fuzz->shadows.of[which % HANDLES]);
		break;
	case 3:
		(void)!lb_conn_reply(fuzz->conn, which, reply, what > 250 ? sizeof reply : what);
		if (lb_conn_committed(fuzz->conn, which, &paid) == 0)
			shadow_is(&fuzz->shadows, which, ONE(BEGUN) | ONE(COMMITTING), ANSWERED);
		break;
	case 4:
		if (lb_conn_refused(fuzz->conn, which, (enum lb_reason)offset, paid.name) == 0)
			shadow_is(&fuzz->shadows, which, LIVE, ANSWERED);
		break;
	case 5:
		if (lb_conn_rolled_back(fuzz->conn, which) == 0)
			shadow_is(&fuzz->shadows, which, ONE(ROLLING), ANSWERED);
		break;
	case 6:
		if (lb_conn_resolved(
			    fuzz->conn, which, (enum lb_verdict)(offset % 8), LB_REASON_FENCED, &paid) == 0)
			shadow_is(&fuzz->shadows, which, ONE(ASKED), ANSWERED);
		break;
	default:
		(void)!lb_conn_going_away(fuzz->conn);
	}
}

static void step(struct fuzz *fuzz)
{
	uint8_t what = input_next(&fuzz->input);

	if (what < 100) {
		put_frame(fuzz, some_type(fuzz));
		feed(fuzz, what % 10 == 0 ? 1 : WIRE);
	} else if (what == 100) {
		put_raw(fuzz);
		feed(fuzz, WIRE);
	} else if (what < 150) {
		write_some(fuzz, what < 140 ? SIZE_MAX : (size_t)(what - 140));
		feed(fuzz, WIRE);
	} else if (what < 165) {
		pass_time(fuzz);
	} else if (what == 165 && input_next(&fuzz->input) > 200) {
		lb_conn_fail(fuzz->conn, LB_FAILURE_STOPPED, input_name(&fuzz->input));
	} else {
		(fuzz->role == LB_ROLE_SERVER ? say_as_server : say_as_client)(fuzz, what);
		feed(fuzz, WIRE);
	}
	MUST(fuzz->conn->output.used <= fuzz->conn->output.size);
	if (lb_conn_state(fuzz->conn) == LB_CONN_HELLO)
		MUST(fuzz->conn->n_used <= (fuzz->conn->ahead && fuzz->conn->features == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const uint8_t client[16];
	struct fuzz fuzz = {.input = {.in = bytes, .left = len}, .now = 1000};
	uint8_t how = input_next(&fuzz.input);
	struct lb_conn_options options = {.role = how & 1 ? LB_ROLE_SERVER : LB_ROLE_CLIENT,
		.features = how >> 1 & 3,
		.idle_timeout = 1000000000,
		.ledger = {{1}},
		.max_delivery = how & 8 ? LB_UNKNOWN : 100,
		.max_undecided = how >> 4 & 3,
		.ahead = how & 128,
		.busy = how == 255};

	fuzz.role = fuzz.shadows.role = options.role;
	fuzz.conn = lb_conn_new(&options, client, fuzz.now);
	if (fuzz.conn == NULL)
		return 0;
	if ((how & 64) != 0) {
		put_frame(&fuzz, fuzz.role == LB_ROLE_SERVER ? LB_FRAME_HELLO : LB_FRAME_HELLO_OK);
		feed(&fuzz, WIRE);
	}
	while (fuzz.input.left > 0)
		step(&fuzz);
	write_some(&fuzz, SIZE_MAX);
	MUST(lb_conn_send(fuzz.conn, (struct iovec[4]){0}, 4) == 0);
	lb_conn_free(fuzz.conn);
	return 0;
}
