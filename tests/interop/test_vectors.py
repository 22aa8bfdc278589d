#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_vectors.py: wire.py reads and writes every frame of docs/protocol-vectors.txt as it stands there, and machine.py plays
the client's part of every conversation that a client can have."""

import re
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import tap
import wire
from machine import MS, Machine

CLIENT = bytes.fromhex("c1a0" * 8)
LEDGERS = {"": bytes.fromhex("1ed9e200000040008000000000000001"), "other": bytes.fromhex("1ed9e200000040008000000000000002"),
           "any": bytes(16)}


class Conversation:
    """Its steps: each a line of the suite's words, or C or S and a frame; and the comments beside the frames' headers."""

    def __init__(self, title):
        self.title, self.steps, self.comments = title, [], []


def conversations():
    """Those of the document. A line that begins with blanks goes on with the one before."""
    found, text = [], (ROOT / "docs/protocol-vectors.txt").read_text()
    for line in text.splitlines():
        content, _, comment = line.partition("#")
        if line.startswith("== "):
            found.append(Conversation(line[3:]))
        elif content.startswith(("C:", "S:")):
            found[-1].steps.append((content[0], bytes.fromhex(content[2:])))
            found[-1].comments.append(comment.strip())
        elif content.startswith(" ") and content.strip():
            who, frame = found[-1].steps[-1]
            found[-1].steps[-1] = (who, frame + bytes.fromhex(content))
        elif content.strip():
            found[-1].steps.append(content.strip())
    return found


CONVERSATIONS = conversations()


def words(line):
    """"client says begin number=1 name=one": "begin", and a dictionary."""
    parts = line.split()
    return (parts[2] if len(parts) > 2 else ""), dict(part.split("=", 1) for part in parts[3:])


def frames():
    """Who says it, the frame, and the comment beside its header: of those that are of this protocol."""
    for conversation in CONVERSATIONS:
        said = [step for step in conversation.steps if isinstance(step, tuple)]
        for (who, frame), comment in zip(said, conversation.comments):
            if not frame.startswith(b"GET "):
                yield who, frame, comment


def every_frame_is_what_the_comment_beside_it_says():
    kinds = set()
    for _, frame, comment in frames():
        code, zero, handle, size = struct.unpack(">B3sII", frame[:12])
        kind = wire.FRAMES[code][0]
        least, greatest = wire.bounds(kind, wire.REPLY)
        assert zero == bytes(3) and least <= size <= greatest, comment
        name, rest = re.fullmatch(r"(\w+)(.*)", comment).groups()
        spoken = (f" {handle}" if handle else "") + (f", {size} byte{'s' * (size != 1)}" if size else ", no payload")
        assert name == kind and rest == spoken, (comment, kind, handle, size)
        kinds.add(kind)
    assert kinds == set(wire.TYPES), set(wire.TYPES) - kinds


def every_frame_is_read_and_written_again_byte_by_byte():
    for _, frame, comment in frames():
        code, _, handle, _ = struct.unpack(">B3sII", frame[:12])
        values = wire.decode(wire.FRAMES[code][0], frame[12:], wire.RESUME | wire.REPLY)
        assert wire.encode(wire.FRAMES[code][0], handle, **values) == frame, comment


def a_frame_that_lost_its_last_byte_is_judged():
    for _, frame, comment in frames():
        kind, _, _, _, fields = wire.FRAMES[frame[0]]
        if len(frame) == 12 or fields[-1][1] == "rest":
            continue  # nothing to lose, or as good without it
        try:
            wire.decode(kind, frame[12:-1], wire.REPLY)
        except wire.Bad as bad:
            assert bad.failure == "FRAME_LENGTH", (comment, bad)
        else:
            raise AssertionError(f"{comment} is taken without its last byte")


def digests_are_those_of_the_bytes():
    assert wire.digest(b"").hex() == "99aa06d3014798d86001c324468d497f"
    assert wire.digest(b"hello_world").hex() == "bed31c5eaf3dc62267fb185e21fe6f03"


def says(machine, what, options):
    """What the program on top of the client's machine says to it."""
    number, ledger = int(options.get("number", 0)), LEDGERS[options.get("ledger", "")]
    if what == "begin":
        length = int(options.get("length", wire.ALL_ONES))
        machine.begin(CLIENT, number, ledger, int(options.get("attempt", 1)), options["name"].encode(), length)
    elif what == "data":
        machine.data(options["text"].encode())
    elif what == "commit":
        machine.commit(int(options["total"]), bytes.fromhex(options["digest"]))
    elif what == "resolve":
        machine.resolve(CLIENT, number, ledger)
    elif what == "settled":
        machine.settled(CLIENT, number)
    else:
        {"sync": machine.sync, "rollback": machine.rollback, "close": machine.close}[what]()


def sees(event, kind, options):
    """Whether the event is the one that the line tells."""
    got, handle, values, _ = event
    known = {"handle": str(handle), "offset": str(values.get("offset")), "reply": values.get("reply", b"").decode(),
             "reason": wire.REASONS.get(values.get("reason"), ("",))[0].upper(),
             "failure": wire.FAILURES.get(values.get("failure")),
             "verdict": {1: "committed", 2: "rolled_back", 3: "forgotten"}.get(values.get("verdict"))}
    assert got == kind and all(known[name] == value for name, value in options.items()), (kind, options, event)


def play(conversation):
    def options(who):
        given = [dict(part.split("=") for part in step.split()[2:]) for step in conversation.steps
                 if isinstance(step, str) and step.startswith(f"{who} options")]
        return given[0] if given else {}

    now, events, written = 0, [], b""
    mine = options("client")
    machine = Machine(CLIENT, now, int(mine.get("features", 0)), 1000 * int(mine.get("idle", 60)), "ahead" in mine)
    for step in conversation.steps:
        if step[0] == "C":
            written += b"".join(bytes(item[3]) for item in machine.out)
            machine.took(sum(len(item[3]) for item in machine.out), now)
            assert written.startswith(step[1]), f"{written.hex(' ', 4)}, and not {step[1].hex(' ', 4)}"
            written = written[len(step[1]):]
        elif step[0] == "S":
            for byte in step[1]:
                events += machine.receive(bytes([byte]), now)
        elif step.startswith("client waits"):
            now += int(step.split()[2]) * 1000 * MS
            events += machine.tick(now)
        elif step.startswith("client says"):
            says(machine, *words(step))
        elif step.startswith("client sees"):
            sees(events.pop(0), *words(step))
    assert not events and not written and not machine.out, (events, written, machine.out)


def the_machine_plays_every_conversation_of_a_client():
    played = 0
    for conversation in CONVERSATIONS:
        if "server only" in conversation.steps:
            continue
        try:
            play(conversation)
        except Exception as error:
            raise AssertionError(f"in: {conversation.title}") from error
        played += 1
    assert played >= 15, played


tap.run([
    every_frame_is_what_the_comment_beside_it_says,
    every_frame_is_read_and_written_again_byte_by_byte,
    a_frame_that_lost_its_last_byte_is_judged,
    digests_are_those_of_the_bytes,
    the_machine_plays_every_conversation_of_a_client,
])
