# SPDX-License-Identifier: MIT
"""What the server keeps of a delivery that is cut short, spoken by hand: it goes on where SYNCED has said, or at 0."""
import os
import signal
import struct
from libnet import TESTING, digest, run, same, test, until
from libwire import Wire, frame

CONTENT = os.urandom(300000)
HALF = 123456
RESUMABLE = 1


def connected(server, client=None):
    wire = Wire(server.address, client).greet(features=1)
    same(wire.features, 1)
    return wire


def cut(wire, server=None):
    """The connection is gone, and the server has noticed."""
    wire.socket.close()
    if server:
        server.event(lambda event: event.get("id") == wire.id and event["ended"] != "open")


def half(place, server, name="x", more=5000, sync=True, number=1, client=None, **begin):
    """A client that has sent more than it has a SYNCED for, and is still there."""
    wire = connected(server, client)
    same(wire.begin(name, number=number, **begin), (0, RESUMABLE))
    wire.data(CONTENT[:HALF])
    if sync:
        same(wire.sync(), HALF)
    wire.data(CONTENT[HALF:HALF + more])
    until("it has come", lambda: os.path.getsize(part(place, wire)) == HALF + more)
    return wire


def part(place, wire, name="x"):
    return os.path.join(place.inbox, ".lastbyte", "parts", wire.id.replace(":", "-"), name)


def finish(place, wire, offset, name="x", content=CONTENT):
    wire.data(content[offset:])
    wire.commit(content)
    receipt = wire.expect("COMMITTED")
    same("xxh128:" + receipt[32:48].hex(), digest(content))
    same(place.read(name), content)
    same(place.parts(), [])


def again(server, wire, wanted, name="x", attempt=2, **more):
    """A later attempt, which must be told this offset."""
    later = connected(server, wire.client)
    same(later.begin(name, number=wire.number, attempt=attempt, **more), (wanted, RESUMABLE))
    return later


@test("cut after SYNCED: the next attempt goes on there, and the whole has its digest")
def _(place):
    server = place.serve()
    wire = half(place, server, length=len(CONTENT))
    cut(wire, server)
    until("what was not synced is cut off", lambda: os.path.getsize(part(place, wire)) == HALF)
    finish(place, again(server, wire, HALF, length=len(CONTENT)), HALF)
    same([row["bytes"] for row in place.committed()], [len(CONTENT)])


@test("cut without SYNC: nothing is left, and the next attempt begins at 0")
def _(place):
    server = place.serve()
    wire = half(place, server, sync=False)
    cut(wire, server)
    until("no part is left", lambda: not place.parts())
    finish(place, again(server, wire, 0), 0)


@test("SYNC again and again, with DATA behind it before its answer: offsets grow, and COMMIT may come before SYNCED")
def _(place):
    server = place.serve()
    with connected(server) as wire:
        wire.begin("x")
        same(wire.sync(), 0)
        for at in range(0, len(CONTENT), 60000):
            wire.say(frame("DATA", wire.handle, CONTENT[at:at + 30000]), frame("SYNC", wire.handle),
                     frame("DATA", wire.handle, CONTENT[at + 30000:at + 60000]))
            same(struct.unpack(">Q", wire.expect("SYNCED"))[0], at + 30000)
        wire.say(frame("SYNC", wire.handle), wire.commit_bytes(CONTENT))
        heard = wire.hear()
        if heard[0] == "SYNCED":
            same(struct.unpack(">Q", heard[2])[0], len(CONTENT))
            heard = wire.hear()
        same(heard[0], "COMMITTED")
    same(place.read("x"), CONTENT)


@test("a second SYNC before the first has its answer, and SYNC without RESUME: ERROR(state)")
def _(place):
    server = place.serve()
    with connected(server) as wire:
        wire.begin("x")
        wire.data(CONTENT)
        wire.say(frame("SYNC", wire.handle) + frame("SYNC", wire.handle))
        heard = wire.hear()
        while heard and heard[0] == "SYNCED":  # so fast: then try again
            wire.say(frame("SYNC", wire.handle) + frame("SYNC", wire.handle))
            heard = wire.hear()
        same((heard[0], heard[2][:2]), ("ERROR", b"\0\6"))
    with Wire(server.address).greet() as wire:
        same(wire.features, 0)
        wire.begin("y")
        wire.say(frame("SYNC", wire.handle))
        same(wire.failed(), "state")


@test("a server that is killed after SYNCED, and one that is stopped: the next one goes on there")
def _(place):
    for how in (signal.SIGKILL, signal.SIGTERM):
        name = how.name
        server = place.serve("--drain-timeout", "0ms")
        wire = connected(server)
        wire.begin(name, length=len(CONTENT))
        wire.data(CONTENT[:HALF])
        same(wire.sync(), HALF)
        wire.data(CONTENT[HALF:HALF + 777])
        until("it has come", lambda: os.path.getsize(part(place, wire, name)) == HALF + 777)  # pylint: disable=cell-var-from-loop
        server.signal(how)
        server.wait()
        server = place.serve()
        same([os.path.getsize(path) for path in place.parts()], [HALF])
        finish(place, again(server, wire, HALF, name=name), HALF, name=name)
        server.end()


@test("killed between the sync of the part and that of its offset, and after both: 0 or the offset, and the whole is right")
def _(place):
    for fault, wanted in (("sync_part_synced", 0), ("sync_row_put", HALF)):
        server = place.serve(binary=TESTING, env={"LASTBYTE_FAULT": fault})
        wire = connected(server)
        wire.begin(fault)
        wire.data(CONTENT[:HALF])
        wire.say(frame("SYNC", wire.handle))
        same(wire.hear(), None, "killed")
        same(server.process.wait(30), -signal.SIGKILL)
        server = place.serve()
        finish(place, again(server, wire, wanted, name=fault), wanted, name=fault)
        server.end()


@test("many attempts, each cut after a SYNC of its own, make one file; the middle ones go on without a new SYNC")
def _(place):
    server = place.serve()
    wire, at = half(place, server), HALF
    for attempt in range(2, 8):
        cut(wire)
        number, wire = wire.number, connected(server, wire.client)
        until("the server has noticed", lambda: offset_of(wire, number, attempt, at))  # pylint: disable=cell-var-from-loop
        wire.data(CONTENT[at:at + 20000])
        if attempt % 2:
            at += 20000
            same(wire.sync(), at)
    finish(place, wire, at)


def offset_of(wire, number, attempt, wanted):
    """Begins, and takes over from whoever is still there."""
    same(wire.begin("x", number=number, attempt=attempt), (wanted, RESUMABLE))
    return True


@test("a later attempt takes over from one that is still there, and from where that one has its SYNCED")
def _(place):
    server = place.serve()
    wire = half(place, server)
    later = again(server, wire, HALF)
    same(wire.refused(), "superseded")
    wire.data(b"what the older one still says")
    wire.say(frame("CLOSE"))
    wire.expect("CLOSE_OK")
    other = connected(server, wire.client)
    other.say(other.begin_bytes("x", number=wire.number, attempt=2))
    same(other.refused(), "busy")
    finish(place, later, HALF)


@test("an earlier attempt that comes after a later one has left is refused: superseded")
def _(place):
    server = place.serve()
    wire = half(place, server, attempt=5)
    cut(wire, server)
    stale = connected(server, wire.client)
    stale.say(stale.begin_bytes("x", number=wire.number, attempt=4))
    same(stale.refused(), "superseded")
    finish(place, again(server, wire, HALF, attempt=6), HALF)


@test("another name, or another length, than the attempt before: different; the one that is right still goes on")
def _(place):
    server = place.serve()
    wire = half(place, server, length=len(CONTENT))
    cut(wire, server)
    for name, length in (("y", len(CONTENT)), ("x", len(CONTENT) + 1), ("x", HALF - 1)):
        other = connected(server, wire.client)
        other.say(other.begin_bytes(name, number=wire.number, attempt=2, length=length))
        same(other.refused(), "different")
    finish(place, again(server, wire, HALF), HALF)


@test("a part that was tampered with is found by the digest, and the attempt after that begins at 0")
def _(place):
    server = place.serve()
    wire = half(place, server)
    cut(wire, server)
    until("it is idle", lambda: os.path.getsize(part(place, wire)) == HALF)
    with open(part(place, wire), "r+b") as file:
        file.seek(1000)
        file.write(b"tampered")
    later = again(server, wire, HALF)
    later.data(CONTENT[HALF:])
    later.commit(CONTENT)
    same(later.refused(), "wrong_digest")
    finish(place, again(server, wire, 0, attempt=3), 0)


@test("content that has changed since is found by the digest")
def _(place):
    server = place.serve()
    wire = half(place, server)
    cut(wire, server)
    changed = b"changed" + CONTENT[7:]
    later = again(server, wire, HALF)
    later.data(changed[HALF:])
    later.commit(changed)
    same(later.refused(), "wrong_digest")
    same(place.visible(), [])
    until("no part is left", lambda: not place.parts())


@test("a part that is shorter than its row says, or is gone: the next attempt begins at 0")
def _(place):
    server = place.serve()
    for number, spoil in ((1, lambda path: os.truncate(path, HALF - 1)), (2, os.unlink)):
        name = f"x{number}"
        wire = connected(server)
        wire.begin(name, number=number)
        wire.data(CONTENT[:HALF])
        same(wire.sync(), HALF)
        cut(wire, server)
        spoil(part(place, wire, name))
        finish(place, again(server, wire, 0, name=name), 0, name=name)


@test("ROLLBACK, CLOSE, a REFUSED, RESOLVE and SETTLED: nothing is kept")
def _(place):
    server = place.serve()
    for number, how in enumerate(("rollback", "close", "refused", "resolve", "settled"), 1):
        wire = half(place, server, name="x", number=number, client=b"c" * 16)
        if how == "rollback":
            wire.say(frame("ROLLBACK", wire.handle))
            wire.expect("ROLLED_BACK")
        elif how == "close":
            wire.say(frame("CLOSE"))
            wire.expect("ROLLED_BACK")
        elif how == "refused":
            wire.commit(CONTENT[:HALF + 5000], hash_of=b"other")
            same(wire.refused(), "wrong_digest")
        else:
            cut(wire, server)
            until("it is kept", lambda: os.path.getsize(part(place, wire)) == HALF)  # pylint: disable=cell-var-from-loop
            with connected(server, wire.client) as other:
                if how == "resolve":
                    other.say(frame("RESOLVE", 1, other.client + struct.pack(">Q", number) + bytes(16)))
                    same(other.expect("RESOLVED")[:4], bytes([2, 0, 0, 5]), "fenced")
                else:
                    other.say(frame("SETTLED", 0, other.client + struct.pack(">Q", number + 1)))
        until(f"nothing is left after {how}", lambda: not place.parts())
    same(place.visible(), [])


@test("a question fences one that is being received: its SYNC and its COMMIT are refused, and nothing is kept")
def _(place):
    server = place.serve()
    wire = half(place, server)
    with connected(server, wire.client) as other:
        other.say(frame("RESOLVE", 1, other.client + struct.pack(">Q", 1) + bytes(16)))
        same(other.expect("RESOLVED")[:4], bytes([2, 0, 0, 5]))
    wire.say(frame("SYNC", wire.handle))
    same(wire.refused(), "fenced")
    until("nothing is left", lambda: not place.parts())


@test("a client without RESUME sees nothing of it: no feature, no flag, offset 0, and what was kept goes")
def _(place):
    server = place.serve()
    wire = half(place, server)
    cut(wire, server)
    with Wire(server.address, wire.client).greet() as old:
        same(old.features, 0)
        same(old.begin("x", number=wire.number, attempt=2), (0, 0))
        finish(place, old, 0)


@test("--keep-parts 0: no client is offered to go on, and what an earlier server has kept goes")
def _(place):
    server = place.serve()
    wire = half(place, server)
    server.kill()
    server = place.serve("--keep-parts", "0ms")
    same(place.parts(), [])
    with Wire(server.address, wire.client).greet(features=1) as other:
        same(other.features, 0)
        same(other.begin("x", number=wire.number, attempt=2), (0, 0))
        finish(place, other, 0)


@test("--keep-parts: what nobody comes back for is removed while the server runs, and what somebody is at is not")
def _(place):
    server = place.serve("--keep-parts", "300ms")
    busy = connected(server)
    busy.begin("busy")
    busy.data(CONTENT[:HALF])
    same(busy.sync(), HALF)
    wire = half(place, server)
    cut(wire, server)
    until("it is removed", lambda: place.parts() == [part(place, busy, "busy")])
    again(server, wire, 0).socket.close()
    finish_other(busy, HALF)
    same(place.read("busy"), CONTENT)


@test("--parts-max: the oldest go first, and one that is larger than all that may be kept is not kept")
def _(place):
    server = place.serve("--parts-max", str(2 * HALF + 10))
    wires = []
    for number in (1, 2, 3):
        wire = connected(server)
        wire.begin(f"x{number}", number=number)
        wire.data(CONTENT[:HALF])
        same(wire.sync(), HALF)
        cut(wire, server)
        wires.append(wire)
    until("the first one is removed", lambda: len(place.parts()) == 2)
    again(server, wires[0], 0, name="x1")
    again(server, wires[2], HALF, name="x3")
    server.end()
    server = place.serve("--parts-max", str(HALF - 1))
    same(place.parts(), [])


@test("a part of several pieces is hashed again, and another delivery comes through beside it")
def _(place):
    server = place.serve()
    content = os.urandom(1 << 20)
    wire = connected(server)
    wire.begin("big")
    for _ in range(40):
        wire.data(content)
    same(wire.sync(), 40 << 20)
    cut(wire, server)
    later = connected(server, wire.client)
    later.say(later.begin_bytes("big", number=1, attempt=2))
    with connected(server) as other:
        other.begin("small")
        finish_other(other, 0)
    same(struct.unpack(">QI", later.expect("BEGIN_OK")), (40 << 20, RESUMABLE))
    later.data(b"end")
    later.commit(content * 40 + b"end")
    later.expect("COMMITTED")
    same(os.path.getsize(os.path.join(place.inbox, "big")), (40 << 20) + 3)


def finish_other(wire, offset):
    """As finish, while others are at it."""
    wire.data(CONTENT[offset:])
    wire.commit(CONTENT)
    wire.expect("COMMITTED")


run()
