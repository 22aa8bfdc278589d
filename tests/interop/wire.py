# SPDX-License-Identifier: MIT
"""The frames of docs/protocol.md as dictionaries of their fields, in both directions. It knows what a frame may look like,
and nothing of when it may come: that is client.py."""

import struct
import subprocess

MAGIC = b"LASTBYTE"
MAX = 2**63 - 1  # the greatest length, offset and number
ALL_ONES = 2**64 - 1  # a length that is not said, a limit that there is not
RESUME, REPLY = 1, 2  # features
MAX_DATA, MAX_REPLY = 1048576, 65536

FAILURES = {1: "NOT_LASTBYTE", 2: "VERSION", 3: "FRAME_TYPE", 4: "FRAME_LENGTH", 5: "FRAME_CONTENT", 6: "STATE", 7: "HANDLE",
            8: "BUSY", 9: "IDLE", 10: "STORAGE", 11: "STOPPED"}
REASONS = {  # code: name, and the verdict where the delivery is not in doubt
    1: ("BAD_NAME", "refused"), 2: ("NAME_EXISTS", "refused"), 3: ("TOO_LARGE", "refused"), 4: ("DIFFERENT", "refused"),
    5: ("FENCED", "refused"), 6: ("SETTLED", "refused"), 7: ("REJECTED", "refused"), 20: ("ANOTHER_LEDGER", "in_doubt"), 30: ("FORGOTTEN", "forgotten"),
    40: ("SETTLE_FIRST", "not_committed"), 41: ("DISK_FULL", "not_committed"), 42: ("IO_ERROR", "not_committed"),
    43: ("BUSY", "not_committed"), 44: ("SUPERSEDED", "not_committed"), 45: ("GOING_AWAY", "not_committed"),
    46: ("WRONG_LENGTH", "not_committed"), 47: ("WRONG_DIGEST", "not_committed")}

# A field is a struct code; or "short", with one byte of length before it; or "long", with four; or "rest".
ID = [("client", "16s"), ("number", "Q")]
RECEIPT = ID + [("length", "Q"), ("digest", "16s"), ("at", "q"), ("durability", "B"), ("name", "short"), ("placed", "short"),
                ("reply", "long")]
# type: name, least and greatest payload, whether it has a handle, fields
FRAMES = {
    0x01: ("HELLO", 36, 292, False, [("magic", "8s"), ("lowest", "H"), ("highest", "H"), ("features", "I"),
                                     ("client", "16s"), ("idle", "I"), ("room", "rest")]),
    0x02: ("HELLO_OK", 40, 296, False, [("version", "H"), ("zero", "H"), ("features", "I"), ("ledger", "16s"),
                                        ("limit", "Q"), ("max_undecided", "I"), ("idle", "I"), ("room", "rest")]),
    0x03: ("BEGIN", 53, 308, True, ID + [("ledger", "16s"), ("attempt", "I"), ("length", "Q"), ("name", "short")]),
    0x04: ("BEGIN_OK", 12, 12, True, [("offset", "Q"), ("flags", "I")]),
    0x05: ("DATA", 1, MAX_DATA, True, [("bytes", "rest")]),
    0x06: ("SYNC", 0, 0, True, []),
    0x07: ("SYNCED", 8, 8, True, [("offset", "Q")]),
    0x08: ("COMMIT", 24, 24, True, [("total", "Q"), ("digest", "16s")]),
    0x09: ("COMMITTED", 64, 573, True, RECEIPT),
    0x0A: ("REFUSED", 2, 257, True, [("reason", "H"), ("text", "rest")]),
    0x0B: ("ROLLBACK", 0, 0, True, []),
    0x0C: ("ROLLED_BACK", 0, 0, True, []),
    0x0D: ("RESOLVE", 40, 40, True, ID + [("ledger", "16s")]),
    0x0E: ("RESOLVED", 4, 577, True, [("verdict", "B"), ("zero", "B"), ("reason", "H")]),
    0x0F: ("SETTLED", 24, 24, False, ID),
    0x10: ("PING", 8, 8, False, [("bytes", "8s")]),
    0x11: ("PONG", 8, 8, False, [("bytes", "8s")]),
    0x12: ("GOING_AWAY", 0, 0, True, []),
    0x13: ("CLOSE", 0, 0, False, []),
    0x14: ("CLOSE_OK", 0, 0, False, []),
    0x15: ("ERROR", 2, 257, False, [("failure", "H"), ("text", "rest")]),
}
TYPES = {frame[0]: code for code, frame in FRAMES.items()}


class Bad(Exception):
    """What was received is not what the document allows: the failure to answer with, and why."""

    def __init__(self, failure, why):
        super().__init__(failure, why)
        self.failure, self.why = failure, why


def digest(data):
    """XXH3, 128 bits, in its canonical form."""
    return bytes.fromhex(subprocess.run(["xxhsum", "-H2"], input=data, stdout=subprocess.PIPE, check=True).stdout[:32].decode())


def name_is_good(name):
    try:
        text = name.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return False
    bad = any(c == "/" or ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text)
    return 1 <= len(name) <= 255 and not bad and text not in (".", "..") and not text.startswith(".lastbyte")


def encode(kind, handle=0, **values):
    """A whole frame."""
    fields = FRAMES[TYPES[kind]][4]
    if kind == "RESOLVED" and values["verdict"] == 1:
        fields = fields + RECEIPT
    payload = b""
    for name, form in fields:
        value = values.pop(name)
        if form == "short":
            payload += bytes([len(value)]) + value
        elif form == "long":
            payload += struct.pack(">I", len(value)) + value
        else:
            payload += value if form == "rest" else struct.pack(">" + form, value)
    assert not values, f"{kind} has no {values}"
    return struct.pack(">B3xII", TYPES[kind], handle, len(payload)) + payload


def bounds(kind, features):
    """The lengths that a payload of this kind may have."""
    least, greatest = FRAMES[TYPES[kind]][1:3]
    return least, greatest + (MAX_REPLY if kind in ("COMMITTED", "RESOLVED") and features & REPLY else 0)


def parts(fields, payload):
    """What the fields are in the payload, and what is left of it."""
    values = {}
    for name, form in fields:
        if form == "rest":
            values[name], payload = payload, b""
            continue
        code = {"short": "B", "long": "I"}.get(form, form)
        size = struct.calcsize(">" + code)
        if len(payload) < size:
            raise Bad("FRAME_LENGTH", f"it ends within {name}")
        (value,), payload = struct.unpack(">" + code, payload[:size]), payload[size:]
        if form in ("short", "long"):
            if len(payload) < value:
                raise Bad("FRAME_LENGTH", f"it ends within {name}")
            value, payload = payload[:value], payload[value:]
        values[name] = value
    return values, payload


def decode(kind, payload, features):
    """The fields of a payload, judged as far as it can be without knowing what was asked."""
    values, rest = parts(FRAMES[TYPES[kind]][4], payload)
    if kind == "RESOLVED" and values["verdict"] == 1:
        receipt, rest = parts(RECEIPT, rest)
        values.update(receipt)
    if rest:
        raise Bad("FRAME_LENGTH", f"{len(rest)} bytes too many")
    for name, good in RANGES.items():
        if name in values and not good(kind, values[name], values):
            raise Bad("FRAME_CONTENT", f"{name} of {kind}: {values[name]!r}")
    if values.get("reply") and not features & REPLY:
        raise Bad("FRAME_CONTENT", "a reply without REPLY")
    if kind == "BEGIN_OK" and (values["flags"] > 1 or (values["offset"] or values["flags"]) and not features & RESUME
                               or values["offset"] and not values["flags"]):
        raise Bad("FRAME_CONTENT", "an offset or a flag that cannot be")
    return values


def length_is_good(kind, value, _):
    return value <= MAX or kind == "BEGIN" and value == ALL_ONES


def reason_is_good(kind, value, values):
    return value == 0 if values.get("verdict") == 1 else (kind == "RESOLVED" or value > 0) and value < 1000


# A name in BEGIN is not judged here: it is answered with REFUSED.
RANGES = {
    "magic": lambda kind, value, _: value == MAGIC,
    "lowest": lambda kind, value, values: 1 <= value <= values["highest"],
    "idle": lambda kind, value, _: value >= 100,
    "zero": lambda kind, value, _: value == 0,
    "ledger": lambda kind, value, _: kind == "RESOLVE" or any(value),
    "limit": lambda kind, value, _: value <= MAX or value == ALL_ONES,
    "max_undecided": lambda kind, value, _: value >= 1,
    "number": lambda kind, value, _: 1 <= value <= MAX,
    "attempt": lambda kind, value, _: value >= 1,
    "length": length_is_good,
    "offset": length_is_good,
    "total": length_is_good,
    "durability": lambda kind, value, _: value <= 1,
    "name": lambda kind, value, _: kind == "BEGIN" or name_is_good(value),
    "placed": lambda kind, value, _: not value or name_is_good(value),
    "reply": lambda kind, value, _: len(value) <= MAX_REPLY,
    "verdict": lambda kind, value, _: 1 <= value <= 3,
    "reason": reason_is_good,
}
