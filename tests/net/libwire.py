# SPDX-License-Identifier: MIT
"""A client made by hand from docs/protocol.md: it can say what the real one never would."""
import os
import socket
import struct
from libnet import connect, digest, same

TYPES = ("HELLO HELLO_OK BEGIN BEGIN_OK DATA SYNC SYNCED COMMIT COMMITTED REFUSED ROLLBACK ROLLED_BACK RESOLVE "
         "RESOLVED SETTLED PING PONG GOING_AWAY CLOSE CLOSE_OK ERROR").split()
NUMBER = {name: number for number, name in enumerate(TYPES, 1)}
HEADER = struct.Struct(">B3xII")
DATA_MAX = 1 << 20
UNKNOWN = (1 << 64) - 1

REASONS = {1: "bad_name", 2: "name_exists", 3: "too_large", 4: "different", 5: "fenced", 6: "settled", 7: "rejected", 20: "another_ledger",
           30: "forgotten", 40: "settle_first", 41: "disk_full", 42: "io_error", 43: "busy", 44: "superseded",
           45: "going_away", 46: "wrong_length", 47: "wrong_digest"}
FAILURES = {1: "not_lastbyte", 2: "version", 3: "frame_type", 4: "frame_length", 5: "frame_content", 6: "state",
            7: "handle", 8: "busy", 9: "idle", 10: "storage", 11: "stopped"}


def frame(kind, handle=0, payload=b"", length=None):
    """The bytes of a frame. `kind` is a name or a number; `length` may lie."""
    return HEADER.pack(NUMBER.get(kind, kind), handle, len(payload) if length is None else length) + payload


def frames(stream):
    """The frames in a recorded stream: (offset of the end, name, handle, payload) of each whole one."""
    found, at = [], 0
    while at + HEADER.size <= len(stream):
        kind, handle, length = HEADER.unpack_from(stream, at)
        start, at = at + HEADER.size, at + HEADER.size + length
        if at > len(stream):
            break
        found.append((at, TYPES[kind - 1], handle, bytes(stream[start:at])))
    return found


def boundaries(stream):
    """The offsets at which a frame, or its header, ends."""
    ends = [0]
    for end, _, _, payload in frames(stream):
        ends += [end - len(payload), end]
    return sorted(set(ends))


def cuts(stream):
    """Every boundary and its neighbours that lie in the stream; its whole length means after the last byte."""
    points = {end + by for end in boundaries(stream) for by in (-1, 0, 1)}
    return sorted(point for point in points if 0 <= point <= len(stream))


def record(place, server, *contents):
    """The bytes, up and down, of an undisturbed delivery of a file of each content over one connection."""
    proxy = place.proxy(server.address)
    paths = [place.file(f"sent/recorded-{number}", content) for number, content in enumerate(contents)]
    place.send(*paths, proxy.address, state=place.under("recorder")).exits(0)
    return {"up": bytes(proxy.up), "down": bytes(proxy.down)}


def hello(client, magic=b"LASTBYTE", versions=(1, 1), features=0, idle_ms=60000):
    return frame("HELLO", 0, magic + struct.pack(">HHI", *versions, features) + client + struct.pack(">I", idle_ms))


class Wire:
    """One connection, spoken frame by frame."""

    def __init__(self, address, client=None):
        self.client, self.handle, self.number = client or os.urandom(16), 0, 0
        self.socket, self.got, self.ended = connect(address), bytearray(), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *pieces):
        """Sends bytes; a server that has already ended the connection is no mistake of the test's."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def hear(self):
        """The next frame that is no PING: (name, handle, payload); None at the end of the connection."""
        while True:
            if len(self.got) >= HEADER.size:
                kind, handle, length = HEADER.unpack_from(self.got)
                if len(self.got) >= HEADER.size + length:
                    payload = bytes(self.got[HEADER.size:HEADER.size + length])
                    del self.got[:HEADER.size + length]
                    if TYPES[kind - 1] != "PING":
                        return TYPES[kind - 1], handle, payload
                    self.say(frame("PONG", 0, payload))
                    continue
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                self.ended = "rst"
                return None
            if not data:
                self.ended = "fin"
                return None
            self.got += data

    def expect(self, kind):
        """The payload of the next frame, which must be of this type."""
        heard = self.hear()
        assert heard and heard[0] == kind, f"heard {heard}, not {kind}"
        return heard[2]

    def refused(self):
        return REASONS[struct.unpack_from(">H", self.expect("REFUSED"))[0]]

    def failed(self):
        """The word of ERROR, and then the end of the connection."""
        failure, text = self.expect("ERROR")[:2], None
        text = FAILURES[struct.unpack(">H", failure)[0]]
        same(self.hear(), None, "after ERROR")
        return text

    def greet(self, **more):
        self.say(hello(self.client, **more))
        ok = self.expect("HELLO_OK")
        self.features, self.ledger = struct.unpack_from(">I", ok, 4)[0], ok[8:24]
        return self

    def begin_bytes(self, name, length=UNKNOWN, number=None, attempt=1, ledger=None):
        self.handle += 1
        self.number = number or self.number + 1
        raw = name if isinstance(name, bytes) else name.encode()
        return frame("BEGIN", self.handle, self.client + struct.pack(">Q", self.number) + (ledger or self.ledger) +
                     struct.pack(">IQB", attempt, length, len(raw)) + raw)

    def begin(self, name, **more):
        """Begins a delivery that the server must accept, and returns the offset and the flags that it says."""
        self.say(self.begin_bytes(name, **more))
        return struct.unpack(">QI", self.expect("BEGIN_OK"))

    def data(self, content):
        self.say(frame("DATA", self.handle, content))

    def sync(self):
        """The offset up to which the server has it for good."""
        self.say(frame("SYNC", self.handle))
        return struct.unpack(">Q", self.expect("SYNCED"))[0]

    def commit_bytes(self, content, length=None, hash_of=None):
        hexadecimal = digest(content if hash_of is None else hash_of).split(":")[1]
        total = len(content) if length is None else length
        return frame("COMMIT", self.handle, struct.pack(">Q", total) + bytes.fromhex(hexadecimal))

    def commit(self, content, **more):
        self.say(self.commit_bytes(content, **more))

    def end(self):
        """FIN, and whatever the server still says."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while self.hear():
            pass

    @property
    def id(self):
        return f"{self.client.hex()}:{self.number}"
