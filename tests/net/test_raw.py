# SPDX-License-Identifier: MIT
"""A hand-made client that says what no honest one would. Nothing of it commits, and the next client is served."""
import os
import socket
import struct
from libnet import run, same, test, until
from libwire import DATA_MAX, TYPES, Wire, boundaries, digest, frame, frames, hello

CONTENT = os.urandom(3000)


def served(place, server):
    """The next client is served, and nothing else is there."""
    same(place.visible(), [])
    same(place.committed(), [])
    place.send(place.file("next", CONTENT), server.address).exits(0)
    same(place.visible(), ["next"])
    until("no part is left", lambda: not place.parts())


@test("an honest hand-made delivery commits, and its receipt is what the ledger says")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire:
        wire.begin("x", length=len(CONTENT))
        wire.data(CONTENT[:1000])
        wire.data(CONTENT[1000:])
        wire.commit(CONTENT)
        receipt = wire.expect("COMMITTED")
        same(receipt[:16], wire.client)
        same(struct.unpack(">QQ", receipt[16:32]), (1, len(CONTENT)))
        same("xxh128:" + receipt[32:48].hex(), digest(CONTENT))
        wire.say(frame("CLOSE"))
        wire.expect("CLOSE_OK")
    same(place.read("x"), CONTENT)
    same([row["id"] for row in place.committed()], [wire.id])
    same(wire.ledger.hex(), server.ledger.replace("-", ""))


@test("FIN without COMMIT, RST without COMMIT, CLOSE without COMMIT: rolled back")
def _(place):
    server = place.serve()
    for how in ("fin", "rst", "close"):
        with Wire(server.address).greet() as wire:
            wire.begin(how, length=len(CONTENT))
            wire.data(CONTENT)
            if how == "rst":
                until("it has come", lambda: [part for part in place.parts() if os.path.getsize(part) == len(CONTENT)])
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wire.socket.close()
            elif how == "close":
                wire.say(frame("CLOSE"))
                while wire.hear()[0] != "CLOSE_OK":
                    pass
            else:
                wire.end()
        ended = server.event(lambda event, how=how: event.get("name") == how)
        same(ended["verdict"], "rolled_back", how)
        same(ended["ended"], {"fin": "fin", "rst": "rst", "close": "close_ok"}[how])
    served(place, server)


@test("a COMMIT with a total that is too short or too long is refused: wrong_length")
def _(place):
    server = place.serve()
    for by in (-1, 1, 1 << 40):
        with Wire(server.address).greet() as wire:
            wire.begin("x")
            wire.data(CONTENT)
            wire.commit(CONTENT, length=len(CONTENT) + by)
            same(wire.refused(), "wrong_length", f"{by:+}")
    served(place, server)


@test("a length in BEGIN that is not what comes is refused: wrong_length")
def _(place):
    server = place.serve()
    for declared in (len(CONTENT) - 1, len(CONTENT) + 1, 0):
        with Wire(server.address).greet() as wire:
            wire.begin("x", length=declared)
            wire.data(CONTENT)
            wire.commit(CONTENT)
            same(wire.refused(), "wrong_length", declared)
    served(place, server)


@test("a COMMIT with a wrong digest is refused: wrong_digest")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire:
        wire.begin("x")
        wire.data(CONTENT)
        wire.commit(CONTENT, hash_of=CONTENT[:-1] + b"?")
        same(wire.refused(), "wrong_digest")
        # the connection goes on, and so does the delivery's name
        wire.begin("x")
        wire.data(CONTENT)
        wire.commit(CONTENT)
        wire.expect("COMMITTED")
    os.unlink(os.path.join(place.inbox, "x"))
    same(len(place.committed()), 1)


@test("garbage, a wrong magic, or another frame than HELLO first: the ERROR that says so, and the end")
def _(place):
    server = place.serve()
    for wanted, said in (
            ("not_lastbyte", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("not_lastbyte", bytes(100)),
            ("not_lastbyte", b"\xff" * 5000), ("not_lastbyte", b"\x16\x03\x01\x02\x00\x01"),
            ("not_lastbyte", hello(bytes(16), magic=b"LASTBYTF")), ("not_lastbyte", frame(99)),
            ("state", frame("PING", 0, bytes(8))), ("state", frame("CLOSE"))):
        with Wire(server.address) as wire:
            wire.say(said)
            same(wire.failed(), wanted, said[:20])
    served(place, server)


@test("a version that is newer than the server's, or older: ERROR(version)")
def _(place):
    server = place.serve()
    with Wire(server.address) as wire:
        wire.say(hello(wire.client, versions=(2, 9)))
        same(wire.failed(), "version")
    with Wire(server.address) as wire:  # it speaks a newer one, and ours too
        wire.greet(versions=(1, 9), features=0xFFFFFFFF)
    served(place, server)


@test("a delivery in pieces of one byte commits like any other")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said = wire.begin_bytes("x", length=100)
        said += frame("DATA", wire.handle, CONTENT[:60]) + frame("DATA", wire.handle, CONTENT[60:100])
        said += wire.commit_bytes(CONTENT[:100]) + frame("CLOSE")
        for byte in said:
            wire.say(bytes([byte]))
        same([wire.hear()[0] for _ in range(3)], ["BEGIN_OK", "COMMITTED", "CLOSE_OK"])
    same(place.read("x"), CONTENT[:100])


@test("DATA of length 0 and of one more than the maximum: ERROR(frame_length); of the maximum: taken")
def _(place):
    server = place.serve()
    for length in (0, DATA_MAX + 1, 0xFFFFFFFF):
        with Wire(server.address).greet() as wire:
            wire.begin("x")
            wire.say(frame("DATA", wire.handle, b"", length=length))
            same(wire.failed(), "frame_length", length)
    same(place.visible(), [])
    content = os.urandom(DATA_MAX)
    with Wire(server.address).greet() as wire:
        wire.begin("x")
        wire.data(content)
        wire.commit(content)
        wire.expect("COMMITTED")
    same(place.read("x"), content)


@test("a frame that is wrong in one way gets the ERROR that says which, in the order of the specification")
def _(place):
    server = place.serve()
    for wanted, said in (
            ("frame_type", frame(0)), ("frame_type", frame(22, 1)), ("frame_type", frame(255, 0, b"x")),
            ("frame_content", b"\x10\0\1\0" + frame("PING", 0, bytes(8))[4:]),
            ("state", frame("HELLO_OK", 0, bytes(40))), ("state", frame("COMMITTED", 1, bytes(100))),
            ("state", frame("COMMIT", 1, bytes(24))), ("state", frame("DATA", 1, b"x")), ("state", frame("SYNC", 1)),
            ("state", frame("ROLLBACK", 1)), ("state", hello(bytes(16))),
            ("handle", frame("PING", 1, bytes(8))), ("handle", frame("BEGIN", 0, bytes(60))), ("handle", frame("CLOSE", 7)),
            ("frame_length", frame("CLOSE", 0, b"x")), ("frame_length", frame("PING", 0, bytes(7))),
            ("frame_length", frame("BEGIN", 1, b"", length=0xFFFFFFFF)), ("frame_length", frame("RESOLVE", 1, bytes(39))),
            ("frame_content", frame("RESOLVE", 1, bytes(40))), ("frame_content", frame("SETTLED", 0, bytes(24)))):
        with Wire(server.address).greet() as wire:
            wire.say(said)
            same(wire.failed(), wanted, said[:30])
    served(place, server)


@test("frames for another handle than that of the open delivery, and a second BEGIN while one is open: ERROR")
def _(place):
    server = place.serve()
    for wanted, said in (("handle", frame("DATA", 2, b"x")), ("handle", frame("COMMIT", 9, bytes(24))),
                         ("handle", frame("ROLLBACK", 3)), ("handle", frame("RESOLVE", 1, bytes(40))),
                         ("state", frame("SYNC", 1)), ("state", frame("BEGIN", 2, bytes(60)))):
        with Wire(server.address).greet() as wire:
            wire.begin("x")
            wire.say(said)
            same(wire.failed(), wanted, said[:30])
    served(place, server)


@test("an id at another ledger, too far ahead, fenced, settled, or being delivered by another attempt: the reason says so")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire, Wire(server.address, client=wire.client).greet() as other:
        wire.say(wire.begin_bytes("x", ledger=os.urandom(16)))
        same(wire.refused(), "another_ledger")
        wire.say(wire.begin_bytes("x", number=1025))
        same(wire.refused(), "settle_first")
        wire.say(frame("RESOLVE", 10, wire.client + struct.pack(">Q", 7) + bytes(16)))
        same(wire.expect("RESOLVED")[:4], bytes([2, 0, 0, 5]), "rolled back, fenced")
        wire.handle = 10
        wire.say(wire.begin_bytes("x", number=7))
        same(wire.refused(), "fenced")
        wire.say(frame("SETTLED", 0, wire.client + struct.pack(">Q", 6)), wire.begin_bytes("x", number=5))
        same(wire.refused(), "settled")
        wire.begin("x", number=9, attempt=2)
        for attempt, answer in ((1, "busy"), (2, "busy")):
            other.say(other.begin_bytes("x", number=9, attempt=attempt))
            same(other.refused(), answer)
        other.begin("x", number=9, attempt=3)
        same(wire.refused(), "superseded")
        other.data(CONTENT)
        other.commit(CONTENT)
        other.expect("COMMITTED")
    same(place.read("x"), CONTENT)


@test("every frame type, of every length around its own, as the first thing after HELLO: an end, and the next client is served")
def _(place):
    server = place.serve()
    for kind in range(0, len(TYPES) + 3):
        for length in (0, 1, 2, 7, 8, 24, 36, 40, 53, 300):
            with Wire(server.address).greet() as wire:
                wire.say(frame(kind, kind % 2, bytes(length)))
                wire.end()
                assert wire.ended, (kind, length)
    served(place, server)


@test("names that are none are refused: bad_name, and nothing outside the inbox is touched")
def _(place):
    server = place.serve()
    names = [b"", b".", b"..", b"a/b", b"/etc/x", b"../x", b".lastbyte", b".lastbyte-x", b"a\0b", b"a\nb", b"\x7f", b"\x1b[2J",
             "\u0085".encode(), "\u009b1m".encode(), b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"x" * 255 + b""]
    with Wire(server.address).greet() as wire:
        for name in names[:-1]:
            wire.say(wire.begin_bytes(name))
            same(wire.refused(), "bad_name", name)
        wire.begin(names[-1])
    same(sorted(os.listdir(place.path)), ["inbox"])
    served(place, server)


@test("a delivery that ends inside any frame is rolled back, wherever that is")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire:
        whole = wire.begin_bytes("x", length=200) + frame("DATA", 1, CONTENT[:200]) + wire.commit_bytes(CONTENT[:200])
    points = sorted({end + by for end in boundaries(whole) for by in (-1, 0, 1)} & set(range(1, len(whole))))
    for point in points:
        with Wire(server.address).greet() as wire:
            said = wire.begin_bytes("x", length=200) + frame("DATA", 1, CONTENT[:200]) + wire.commit_bytes(CONTENT[:200])
            wire.say(said[:point])
            wire.end()
    same([kind for _, kind, _, _ in frames(whole)], ["BEGIN", "DATA", "COMMIT"])
    served(place, server)


@test("a client that never says anything, and one that drips a greeting, do not keep others from being served")
def _(place):
    server = place.serve("--idle-timeout", "500ms")
    with Wire(server.address) as silent, Wire(server.address) as dripping:
        dripping.say(b"\1\0\0")
        place.send(place.file("x", CONTENT), server.address).exits(0)
        for wire in (silent, dripping):
            heard = wire.hear()
            assert heard is None or heard[0] == "ERROR", heard


run()
