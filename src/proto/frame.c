/* SPDX-License-Identifier: MIT */
/* The header of a frame, and what is fixed for each type. The payloads are message.c's. Owns no state. */
#include "proto/frame.h"
#include "proto/bytes.h"

enum sender { FROM_CLIENT = 1, FROM_SERVER = 2, FROM_BOTH = 3 };

enum naming {
	NAMES_NOTHING, /* the handle is 0 */
	NAMES_ONE,     /* a delivery or a question */
	NAMES_PERHAPS, /* a delivery, or 0 */
};

static const struct kind {
	const char *name;
	enum sender sender;
	enum naming naming;
	uint32_t min, max;
	bool reply; /* LB_REPLY_MAX more are fine where replies are in force */
} kinds[LB_FRAME_TYPES] = {
	[LB_FRAME_HELLO] = {"HELLO", FROM_CLIENT, NAMES_NOTHING, 36, 36 + LB_GROW_MAX, false},
	[LB_FRAME_HELLO_OK] = {"HELLO_OK", FROM_SERVER, NAMES_NOTHING, 40, 40 + LB_GROW_MAX, false},
	[LB_FRAME_BEGIN] = {"BEGIN", FROM_CLIENT, NAMES_ONE, 53, 53 + LB_NAME_MAX, false},
	[LB_FRAME_BEGIN_OK] = {"BEGIN_OK", FROM_SERVER, NAMES_ONE, 12, 12, false},
	[LB_FRAME_DATA] = {"DATA", FROM_CLIENT, NAMES_ONE, 1, LB_DATA_MAX, false},
	[LB_FRAME_SYNC] = {"SYNC", FROM_CLIENT, NAMES_ONE, 0, 0, false},
	[LB_FRAME_SYNCED] = {"SYNCED", FROM_SERVER, NAMES_ONE, 8, 8, false},
	[LB_FRAME_COMMIT] = {"COMMIT", FROM_CLIENT, NAMES_ONE, 24, 24, false},
	[LB_FRAME_COMMITTED] = {"COMMITTED", FROM_SERVER, NAMES_ONE, LB_RECEIPT_BYTES + 1,
		LB_RECEIPT_BYTES + 2 * LB_NAME_MAX, true},
	[LB_FRAME_REFUSED] = {"REFUSED", FROM_SERVER, NAMES_ONE, 2, 2 + LB_TEXT_MAX, false},
	[LB_FRAME_ROLLBACK] = {"ROLLBACK", FROM_CLIENT, NAMES_ONE, 0, 0, false},
	[LB_FRAME_ROLLED_BACK] = {"ROLLED_BACK", FROM_SERVER, NAMES_ONE, 0, 0, false},
	[LB_FRAME_RESOLVE] = {"RESOLVE", FROM_CLIENT, NAMES_ONE, 40, 40, false},
	[LB_FRAME_RESOLVED] = {"RESOLVED", FROM_SERVER, NAMES_ONE, 4, LB_PAYLOAD_MAX, true},
	[LB_FRAME_SETTLED] = {"SETTLED", FROM_CLIENT, NAMES_NOTHING, 24, 24, false},
	[LB_FRAME_PING] = {"PING", FROM_BOTH, NAMES_NOTHING, 8, 8, false},
	[LB_FRAME_PONG] = {"PONG", FROM_BOTH, NAMES_NOTHING, 8, 8, false},
	[LB_FRAME_GOING_AWAY] = {"GOING_AWAY", FROM_SERVER, NAMES_PERHAPS, 0, 0, false},
	[LB_FRAME_CLOSE] = {"CLOSE", FROM_CLIENT, NAMES_NOTHING, 0, 0, false},
	[LB_FRAME_CLOSE_OK] = {"CLOSE_OK", FROM_SERVER, NAMES_NOTHING, 0, 0, false},
	[LB_FRAME_ERROR] = {"ERROR", FROM_BOTH, NAMES_NOTHING, 2, 2 + LB_TEXT_MAX, false},
};

bool lb_frame_is_type(unsigned type)
{
	return type < LB_FRAME_TYPES && kinds[type].name != NULL;
}

const char *lb_frame_name(unsigned type)
{
	return lb_frame_is_type(type) ? kinds[type].name : "unknown";
}

bool lb_frame_is_from(unsigned type, enum lb_role role)
{
	return (kinds[type].sender & (role == LB_ROLE_CLIENT ? FROM_CLIENT : FROM_SERVER)) != 0;
}

bool lb_frame_has_handle(unsigned type)
{
	return kinds[type].naming == NAMES_ONE;
}

bool lb_frame_handle_ok(unsigned type, uint32_t handle)
{
	return kinds[type].naming == NAMES_PERHAPS || (kinds[type].naming == NAMES_ONE) == (handle != 0);
}

bool lb_frame_length_ok(unsigned type, uint32_t length, bool reply)
{
	const struct kind *kind = &kinds[type];

	return length >= kind->min && length <= kind->max + (reply && kind->reply ? LB_REPLY_MAX : 0);
}

void lb_header_put(uint8_t out[LB_HEADER_BYTES], unsigned type, uint32_t handle, uint32_t length)
{
	out = lb_put_be(out, (uint64_t)type << 24, 4);
	out = lb_put_be(out, handle, 4);
	lb_put_be(out, length, 4);
}

void lb_header_get(const uint8_t in[LB_HEADER_BYTES], struct lb_header *headerp)
{
	headerp->type = in[0];
	headerp->zeroed = in[1] == 0 && in[2] == 0 && in[3] == 0;
	in += 4;
	headerp->handle = (uint32_t)lb_get_be(&in, 4);
	headerp->length = (uint32_t)lb_get_be(&in, 4);
}
