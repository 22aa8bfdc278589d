#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_tables.py LASTBYTE: a server, and machine.py, take, ignore and judge each frame in each state as the two tables of
docs/protocol.md say, and judge what is malformed as its text says."""

import os
import re
import socket
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import tap
import wire
from machine import Machine
from serving import serving
from wire import encode

CLIENT = bytes(range(16))
LEDGER = bytes(15) + b"\1"
EMPTY = wire.digest(b"")
PING = encode("PING", bytes=b"12345678")


def table(role):
    """The cells of a role's table: (frame, state): cell."""
    text = (ROOT / "docs/protocol.md").read_text().partition("### Which frame is legal when")[2]
    rows = re.search(rf"^A {role}\..*?\n\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)[1].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if not row.startswith("| ---")]
    return {(row[0], state): cell for row in cells[1:] for state, cell in zip(cells[0][1:], row[1:])}


def hello(features=0):
    return encode("HELLO", magic=wire.MAGIC, lowest=1, highest=1, features=features, client=CLIENT, idle=60000, room=b"")


def begin(handle, ledger, client=CLIENT, length=wire.ALL_ONES, number=1, attempt=1):
    """The name is one that nobody else uses."""
    name = b"%s-%d" % (client.hex().encode(), number)
    return encode("BEGIN", handle, client=client, number=number, ledger=ledger, attempt=attempt, length=length, name=name)


class Peer:
    """A connection on which anything can be said to a server, with a client id of its own."""

    def __init__(self, server, features=0, greet=True):
        self.socket, self.input = socket.create_connection(server.address), b""
        self.socket.settimeout(60)
        self.client, self.ledger, self.features = os.urandom(16), LEDGER, 0
        if greet:
            self.say(hello(features))
            answer = self.hear()[2]
            self.features, self.ledger = answer["features"], answer["ledger"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *frames):
        self.socket.sendall(b"".join(frames))

    def hear(self):
        """The next frame: kind, handle, fields; ("END", 0, {}) at the end of the stream."""
        size = 12
        while len(self.input) < size or len(self.input) < (size := 12 + struct.unpack(">I", self.input[8:12])[0]):
            data = self.socket.recv(65536)
            if not data:
                assert not self.input, "the stream ends within a frame"
                return "END", 0, {}
            self.input += data
        kind, handle = wire.FRAMES[self.input[0]][0], struct.unpack(">I", self.input[4:8])[0]
        payload, self.input = self.input[12:size], self.input[size:]
        return kind, handle, wire.decode(kind, payload, wire.RESUME | wire.REPLY)

    def judged(self, frames, awaited=()):
        """What the server says to these, until it has said what is awaited, in any order, or judged them: a failure."""
        self.say(frames)
        answers = []
        while not answers or sorted(answers) != awaited:
            kind, _, values = self.hear()
            answers.append(kind)
            if kind == "ERROR":
                assert self.hear()[0] == "END", "ERROR is not the last"
                return wire.FAILURES[values["failure"]]
            if kind not in awaited:
                break
        return sorted(answers)


def reaches(server, state, features):
    """A connection whose server stands there."""
    if state == "HELLO":
        return Peer(server, greet=False)
    peer = Peer(server, features)
    if state == "OPEN":
        peer.say(begin(1, peer.ledger, peer.client))
        assert peer.hear()[0] == "BEGIN_OK"
    elif state == "DECIDED":
        peer.say(begin(1, peer.ledger, peer.client, length=0))
        assert peer.hear()[0] == "BEGIN_OK"
        peer.say(encode("DATA", 1, bytes=b"x"))
        assert wire.REASONS[peer.hear()[2]["reason"]][0] == "WRONG_LENGTH"
    return peer


def to_a_server(kind, peer):
    """A frame of that kind, with nothing wrong but that it may come too early or too late."""
    frames = {
        "HELLO": hello(), "BEGIN": begin(2, peer.ledger, peer.client, number=2), "DATA": encode("DATA", 1, bytes=b"x"),
        "COMMIT": encode("COMMIT", 1, total=0, digest=EMPTY), "PING": PING,
        "RESOLVE": encode("RESOLVE", 2, client=peer.client, number=2, ledger=peer.ledger),
        "SETTLED": encode("SETTLED", client=peer.client, number=1), "PONG": encode("PONG", bytes=bytes(8)),
        "ERROR": encode("ERROR", failure=6, text=b"")}
    return frames.get(kind) or encode(kind, {"SYNC": 1, "ROLLBACK": 1}.get(kind, 0))


def wanted(kind, state, cell, resume):
    """What a server answers to it, and to the PING that follows it, unless it is the last of a connection; or the failure."""
    cell = ({"R": "t", "I": "i"} if resume else {"R": "-", "I": "-"}).get(cell, cell)
    if cell == "-":
        return "STATE"
    last = {"HELLO": ["HELLO_OK"], "CLOSE": ["CLOSE_OK", "ROLLED_BACK"] if state == "OPEN" else ["CLOSE_OK"], "ERROR": ["END"]}
    answers = {"BEGIN": "BEGIN_OK", "RESOLVE": "RESOLVED", "COMMIT": "COMMITTED", "ROLLBACK": "ROLLED_BACK", "SYNC": "SYNCED"}
    return last.get(kind) or sorted(([answers[kind]] if cell == "t" and kind in answers else []) + ["PONG"])


def a_server_judges_each_frame_as_the_table_says():
    judged = 0
    with serving() as server:
        for features in (0, wire.RESUME):
            for (kind, state), cell in table("server").items():
                if state not in ("HELLO", "IDLE", "OPEN", "DECIDED"):
                    continue  # it passes by itself
                with reaches(server, state, features) as peer:
                    if peer.features != features:
                        continue
                    alone = state == "HELLO" or kind in ("CLOSE", "ERROR", "PING")
                    answers = wanted(kind, state, cell, features)
                    got = peer.judged(to_a_server(kind, peer) + (b"" if alone else PING), answers)
                    assert got == answers, (kind, state, cell, got)
                    judged += 1
    assert judged >= 48, judged


def a_server_judges_what_is_malformed_as_the_text_says():
    def header(code, handle, size, zero=bytes(3)):
        return bytes([code]) + zero + struct.pack(">II", handle, size)

    greeting = hello()
    first, later = False, True
    cases = [
        ("NOT_LASTBYTE", first, b"G"),
        ("NOT_LASTBYTE", first, b"\1\0\0\1"),
        ("NOT_LASTBYTE", first, greeting[:12] + b"LASTBYTF"),
        ("HANDLE", first, header(0x01, 1, 36)),
        ("FRAME_LENGTH", first, header(0x01, 0, 35)),
        ("FRAME_LENGTH", first, header(0x01, 0, 293)),
        ("VERSION", first, greeting[:20] + b"\0\2\0\3" + greeting[24:]),
        ("FRAME_CONTENT", first, greeting[:20] + b"\0\2\0\1" + greeting[24:]),
        ("FRAME_CONTENT", first, greeting[:44] + struct.pack(">I", 99)),
        ("FRAME_TYPE", later, header(0x16, 0, 0)),
        ("FRAME_TYPE", later, header(0x00, 0, 0)),
        ("FRAME_CONTENT", later, header(0x10, 0, 8, b"\0\0\1")),
        ("STATE", later, header(0x04, 0, 0)),
        ("STATE", later, header(0x05, 7, 1 << 30)),
        ("HANDLE", later, header(0x03, 0, 1 << 30)),
        ("HANDLE", later, header(0x10, 1, 9)),
        ("FRAME_LENGTH", later, header(0x10, 0, 9)),
        ("FRAME_LENGTH", later, header(0x03, 1, 52)),
        ("FRAME_LENGTH", later, header(0x03, 1, len(begin(1, LEDGER)) - 11) + begin(1, LEDGER)[12:] + b"x"),
        ("FRAME_CONTENT", later, begin(1, LEDGER, number=0)),
        ("FRAME_CONTENT", later, begin(1, LEDGER, number=1 << 63)),
        ("FRAME_CONTENT", later, begin(1, LEDGER, attempt=0)),
        ("FRAME_CONTENT", later, begin(1, LEDGER, length=1 << 63)),
        ("FRAME_CONTENT", later, begin(1, bytes(16))),
    ]
    with serving() as server:
        for failure, greet, frame in cases:
            with Peer(server, greet=greet) as peer:
                got = peer.judged(frame)
                assert got == failure, (failure, frame.hex(" ", 4), got)
        with Peer(server) as peer:
            assert peer.judged(2 * begin(5, LEDGER), ["REFUSED"]) == ["REFUSED"] and peer.judged(b"") == "HANDLE"


def stands(state):
    """A machine that stands there: HELLO, or with handle 1 in that state."""
    machine = Machine(CLIENT, 0, wire.RESUME)

    def hears(kind, **values):
        assert machine.receive(encode(kind, 1 if kind == "BEGIN_OK" else 0, **values), 0)[0][0] == kind

    if state != "HELLO":
        hears("HELLO_OK", version=1, zero=0, features=wire.RESUME, ledger=LEDGER, limit=wire.ALL_ONES, max_undecided=4,
              idle=60000, room=b"")
    if state == "ASKED":
        machine.resolve(CLIENT, 1, LEDGER)
    elif state not in ("HELLO", "READY", "CLOSING"):
        machine.begin(CLIENT, 1, LEDGER, 1, b"name")
        if state not in ("BEGUN", "WITHDRAWN"):
            hears("BEGIN_OK", offset=0, flags=1)
            machine.sync()
        if state == "COMMITTING":
            machine.commit(0, EMPTY)
        elif state in ("WITHDRAWN", "ROLLING"):
            machine.rollback()
    elif state == "CLOSING":
        machine.close()
    return machine


def the_machine_judges_each_frame_as_the_table_says():
    receipt = dict(client=CLIENT, number=1, length=0, digest=EMPTY, at=0, durability=1, name=b"name", placed=b"", reply=b"")
    fields = {
        "HELLO_OK": dict(version=1, zero=0, features=0, ledger=LEDGER, limit=0, max_undecided=1, idle=100, room=b""),
        "BEGIN_OK": {"offset": 0, "flags": 0}, "SYNCED": {"offset": 0}, "REFUSED": {"reason": 2, "text": b""},
        "COMMITTED": receipt, "RESOLVED": dict(receipt, verdict=1, zero=0, reason=0),
        "PING": {"bytes": bytes(8)}, "PONG": {"bytes": bytes(8)},
        "ERROR": {"failure": 6, "text": b""}}
    judged = 0
    for (kind, state), cell in table("client").items():
        if not cell:
            continue
        machine = stands(state)
        has_handle = kind in ("BEGIN_OK", "SYNCED", "COMMITTED", "REFUSED", "ROLLED_BACK", "RESOLVED")
        events = machine.receive(encode(kind, 1 if has_handle else 0, **fields.get(kind, {})), 0)
        broken = [values["failure"] for what, _, values, _ in events if what == "BROKEN"]
        nothing = has_handle and state in ("READY", "CLOSING")  # that the handle would name
        assert broken == ([] if cell != "-" else ["HANDLE"] if nothing else ["STATE"]), (kind, state, cell, broken)
        judged += 1
    assert judged >= 50, judged


tap.run([
    a_server_judges_each_frame_as_the_table_says,
    a_server_judges_what_is_malformed_as_the_text_says,
    the_machine_judges_each_frame_as_the_table_says,
])
