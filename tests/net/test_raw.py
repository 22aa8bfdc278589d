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


@test("garbage, and a wrong magic: ERROR(not_lastbyte) and the end")
def _(place):
    server = place.serve()
    for what, said in (("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("zeros", bytes(100)),
                       ("magic", hello(bytes(16), magic=b"LASTBYTF")), ("noise", b"\xff" * 5000)):
        with Wire(server.address) as wire:
            wire.say(said)
            failure = wire.expect("ERROR")[:2]
            assert failure in (b"\0\1", b"\0\3", b"\0\4", b"\0\6"), (what, failure)
            same(wire.hear(), None, what)
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


@test("frames of unknown types, with a length or bytes that their type does not allow, or said too early: ERROR")
def _(place):
    server = place.serve()
    for wanted, greet, said in (
            ("frame_type", True, frame(0)), ("frame_type", True, frame(99)), ("frame_type", True, frame(255, 0, b"x")),
            ("frame_length", True, frame("CLOSE", 0, b"x")), ("frame_length", True, frame("PING", 0, b"1234567")),
            ("frame_length", True, frame("BEGIN", 1, b"", length=0xFFFFFFFF)),
            ("frame_content", True, b"\x10\0\1\0" + frame("PING", 0, bytes(8))[4:]),
            ("state", True, frame("HELLO_OK", 0, bytes(40))), ("state", True, frame("COMMIT", 1, bytes(24))),
            ("state", True, frame("DATA", 1, b"x")), ("state", True, hello(bytes(16))),
            ("state", False, frame("PING", 0, bytes(8))), ("state", False, frame("CLOSE"))):
        with Wire(server.address) as wire:
            if greet:
                wire.greet()
            wire.say(said)
            heard = wire.failed()
            assert heard == wanted or {heard, wanted} <= {"state", "handle", "frame_type", "not_lastbyte"}, \
                (wanted, heard, said)
    served(place, server)


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
