# SPDX-License-Identifier: MIT
"""The client's end of one connection of docs/protocol.md: what may be written, and what a server may answer. It touches
neither socket nor clock, and knows nothing of what an answer proves: that is client.py."""

import struct

import wire
from wire import ALL_ONES, RESUME, Bad

MS = 10**6  # all times are in nanoseconds
# What a server may send, by what its handle names, or by the connection.
LEGAL = {
    "HELLO_OK": ("HELLO",), "ERROR": ("HELLO", "READY", "CLOSING"),
    "PING": ("READY", "CLOSING"), "PONG": ("READY", "CLOSING"), "GOING_AWAY": ("READY", "CLOSING"), "CLOSE_OK": ("CLOSING",),
    "BEGIN_OK": ("BEGUN", "WITHDRAWN"), "SYNCED": ("OPEN", "COMMITTING", "ROLLING"),
    "COMMITTED": ("BEGUN", "WITHDRAWN", "COMMITTING"), "ROLLED_BACK": ("ROLLING",), "RESOLVED": ("ASKED",),
    "REFUSED": ("BEGUN", "WITHDRAWN", "OPEN", "COMMITTING", "ROLLING", "ASKED"),
}
FINAL = ("COMMITTED", "REFUSED", "ROLLED_BACK", "RESOLVED")


class Exchange:
    """One BEGIN or RESOLVE, until its final answer."""

    def __init__(self, handle, state, client, number, name=None, length=ALL_ONES):
        self.handle, self.state = handle, state
        self.client, self.number, self.name, self.length = client, number, name, length
        self.sent = 0  # the offset up to which the bytes are written
        self.synced, self.syncing, self.resumable = 0, False, False
        self.commit = None  # total and digest, once COMMIT is written


class Machine:
    """One connection. What is to be written waits in `out`; receive() returns what came: kind, handle, fields, and the
    Exchange that it is about. BROKEN is what the server did wrong, or that it is silent."""

    def __init__(self, client, now, features=0, idle=60000, ahead=False):
        self.client, self.offered, self.idle = client, features, idle * MS
        self.ahead, self.closed = ahead and not features, False  # speaks before HELLO_OK; CLOSE is written
        self.features, self.max_undecided, self.ledger, self.limit = 0, int(self.ahead), None, ALL_ONES
        self.phase, self.exchanges, self.open, self.handle, self.begun = "HELLO", {}, None, 0, 0
        self.going_away, self.pings = False, 0
        self.input, self.out = bytearray(), []  # out: kind, handle, whether nothing of it is written, what is not written
        self.unsent = set()  # of which deliveries COMMIT never left, once it is over
        self.start = self.heard = self.wrote = self.spoke = self.pinged = now
        self._write("HELLO", magic=wire.MAGIC, lowest=1, highest=1, features=features, client=client, idle=idle, room=b"")

    def _write(self, kind, handle=0, **values):
        self.out.append((kind, handle, True, memoryview(wire.encode(kind, handle, **values))))

    def may_ask(self):
        return not self.closed and (self.phase == "READY" or self.phase == "HELLO" and self.ahead)

    def room(self):
        return self.may_ask() and self.open is None and len(self.exchanges) < self.max_undecided

    def _new(self, state, *what):
        assert self.may_ask() and len(self.exchanges) < self.max_undecided
        self.handle += 1
        self.exchanges[self.handle] = Exchange(self.handle, state, *what)
        return self.exchanges[self.handle]

    def begin(self, client, number, ledger, attempt, name, length=ALL_ONES):
        assert self.open is None
        self.open = self._new("BEGUN", client, number, name, length)
        self.begun = self.handle
        self._write("BEGIN", self.handle, client=client, number=number, ledger=ledger, attempt=attempt, length=length, name=name)
        return self.open

    def may_send(self):
        """Before BEGIN_OK only if RESUME is not in force."""
        return self.open and (self.open.state == "OPEN" or self.open.state == "BEGUN" and not self.features & RESUME)

    def data(self, data):
        assert self.may_send()
        self.open.sent += len(data)
        self._write("DATA", self.open.handle, bytes=bytes(data))

    def sync(self):
        assert self.features & RESUME and self.open.state == "OPEN" and not self.open.syncing
        self.open.syncing = True
        self._write("SYNC", self.open.handle)

    def commit(self, total, digest):
        assert self.may_send()
        self._write("COMMIT", self.open.handle, total=total, digest=digest)
        self.open.commit = (total, digest)
        self.open.state = "COMMITTING" if self.open.state == "OPEN" else "BEGUN"  # it goes on when BEGIN_OK comes
        self.open = None

    def _withdraw(self):
        self.open.state = {"BEGUN": "WITHDRAWN", "OPEN": "ROLLING"}[self.open.state]
        self.open = None

    def rollback(self):
        self._write("ROLLBACK", self.open.handle)
        self._withdraw()

    def resolve(self, client, number, ledger):
        exchange = self._new("ASKED", client, number)
        self._write("RESOLVE", self.handle, client=client, number=number, ledger=ledger)
        return exchange

    def settled(self, client, number):
        self._write("SETTLED", client=client, number=number)

    def ping(self, now):
        self.pings, self.pinged = self.pings + 1, now
        self._write("PING", bytes=struct.pack(">Q", self.pings))

    def close(self):
        assert self.may_ask()
        self._write("CLOSE")
        self.closed, self.phase = True, "CLOSING" if self.phase == "READY" else self.phase
        if self.open:
            self._withdraw()

    def took(self, size, now):
        """The socket took so many bytes of `out`."""
        self.wrote = now
        while size:
            kind, handle, _, frame = self.out.pop(0)
            self.spoke = self.spoke if kind in ("PING", "PONG") else now
            if size < len(frame):
                self.out.insert(0, (kind, handle, False, frame[size:]))
            size -= min(size, len(frame))

    def stop(self):
        """It is over: nothing is written any more, but for the rest of a frame that is begun."""
        self.phase = "OVER"
        self.unsent |= {handle for kind, handle, whole, _ in self.out if kind == "COMMIT" and whole}
        self.out = [item for item in self.out if not item[2]]

    def _broken(self, bad):
        self.stop()
        if not self.closed:
            code = next(code for code, name in wire.FAILURES.items() if name == bad.failure)
            self._write("ERROR", failure=code, text=bad.why.encode()[:255])
        return "BROKEN", 0, {"failure": bad.failure, "why": bad.why}, None

    def receive(self, data, now):
        self.heard = now
        self.input += data
        events = []
        try:
            while self.phase != "OVER" and (frame := self._frame()):
                events += [frame] if self._take(*frame) else []
        except Bad as bad:
            events.append(self._broken(bad))
        return events

    def _frame(self):
        """The next frame, judged as soon as there is something to judge; None if more must come."""
        if self.phase == "HELLO" and self.input:
            if self.input[0] not in wire.FRAMES or any(self.input[1:4]):
                raise Bad("NOT_LASTBYTE", "the first bytes are not those of this protocol")
        if len(self.input) < 12:
            return None
        code, zero, handle, size = struct.unpack(">B3sII", self.input[:12])
        if code not in wire.FRAMES:
            raise Bad("FRAME_TYPE", f"type {code}")
        kind, _, _, has_handle, _ = wire.FRAMES[code]
        if any(zero):
            raise Bad("FRAME_CONTENT", "a header with content in its zeros")
        exchange = self._judge(kind, handle, has_handle)
        if not wire.bounds(kind, self.features)[0] <= size <= wire.bounds(kind, self.features)[1]:
            raise Bad("FRAME_LENGTH", f"{kind} of {size} bytes")
        if len(self.input) < 12 + size:
            return None
        values = wire.decode(kind, bytes(self.input[12:12 + size]), self.features)
        del self.input[:12 + size]
        return kind, handle, values, exchange

    def _judge(self, kind, handle, has_handle):
        """Whether it is legal now; returns what its handle names."""
        if not has_handle or kind == "GOING_AWAY" or self.phase == "HELLO":
            if self.phase not in LEGAL.get(kind, ()) or kind == "GOING_AWAY" and self.going_away or \
                    kind == "CLOSE_OK" and self.exchanges:
                raise Bad("STATE", f"{kind} while {self.phase}")
            if handle > (self.begun if kind == "GOING_AWAY" else 0):
                raise Bad("HANDLE", f"{kind} with handle {handle}")
            return None
        if kind not in LEGAL:
            raise Bad("STATE", f"{kind} from a server")
        exchange = self.exchanges.get(handle)
        if not exchange:
            raise Bad("HANDLE", f"{kind} of {handle}, which has its answer or was never asked")
        if exchange.state not in LEGAL[kind] or kind == "SYNCED" and not (self.features & RESUME and exchange.syncing):
            raise Bad("STATE", f"{kind} while {exchange.state}")
        return exchange

    def _take(self, kind, handle, values, exchange):
        """Does what the frame is for; false if it is nobody else's affair."""
        if kind == "HELLO_OK":
            if values["version"] != 1:
                raise Bad("VERSION", "a version that was not offered")
            if values["features"] & ~self.offered or values["idle"] * MS > self.idle:
                raise Bad("FRAME_CONTENT", "what was not offered")
            self.features, self.ledger, self.limit = values["features"], values["ledger"], values["limit"]
            self.phase = "CLOSING" if self.closed else "READY"
            self.max_undecided, self.idle = values["max_undecided"], values["idle"] * MS
        elif kind == "PING" and self.phase == "READY":
            self._write("PONG", bytes=values["bytes"])
        elif kind == "GOING_AWAY":
            self.going_away = True
        elif kind == "BEGIN_OK":
            if values["offset"] > exchange.length:
                raise Bad("FRAME_CONTENT", "an offset behind the end")
            exchange.sent, exchange.synced = max(exchange.sent, values["offset"]), values["offset"]
            exchange.resumable = bool(values["flags"])
            exchange.state = "ROLLING" if exchange.state == "WITHDRAWN" else "COMMITTING" if exchange.commit else "OPEN"
        elif kind == "SYNCED":
            if not exchange.synced <= values["offset"] <= exchange.sent:
                raise Bad("FRAME_CONTENT", "an offset that goes back, or beyond what was sent")
            exchange.synced, exchange.syncing = values["offset"], False
        elif kind == "ERROR":
            self.stop()
            self.out = []
        elif kind == "CLOSE_OK":
            self.phase = "OVER"
        elif kind in FINAL:
            if "at" in values:
                self._believe(values, exchange)
            exchange.state = "DONE"
            del self.exchanges[handle]
            self.open = None if self.open is exchange else self.open
        return kind not in ("PING", "PONG")

    @staticmethod
    def _believe(receipt, exchange):
        good = (receipt["client"], receipt["number"]) == (exchange.client, exchange.number)
        good = good and (exchange.name is None or receipt["name"] == exchange.name)
        good = good and exchange.length in (ALL_ONES, receipt["length"])
        if not good or exchange.commit and (receipt["length"], receipt["digest"]) != exchange.commit:
            raise Bad("FRAME_CONTENT", "a receipt for something else")

    def tick(self, now):
        """What time demands. Until HELLO_OK that is only to be there in time."""
        if self.phase == "OVER":
            return []
        if now - (self.start if self.phase == "HELLO" else max(self.heard, self.spoke)) >= self.idle:
            return [self._broken(Bad("IDLE", "nothing came for too long"))]
        deaf = self.exchanges and now - max(self.heard, self.pinged) >= self.idle // 3
        if self.phase == "READY" and (deaf or now - max(self.wrote, self.pinged) >= self.idle // 3):
            self.ping(now)
        return []
