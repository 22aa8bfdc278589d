# SPDX-License-Identifier: MIT
"""The same delivery more than once: after a crash, by its id, at another ledger. It is never there twice."""
import os
import re
import shutil
import signal
import struct
import subprocess
from libnet import Answer, run, same, test, until
from libwire import Wire, frame, frames

CONTENT = os.urandom(400000)
BRIEF = 2000  # bytes that are less than any of the content: greetings, BEGIN, COMMIT, CLOSE


def committed_unheard(place, server, path, *options, content=None, **more):
    """A send whose delivery is committed while no answer reaches it. Returns the process and its proxy."""
    probe = place.proxy(server.address)
    place.send(place.file("probe/p", b""), probe.address, state=place.under("prober")).exits(0)
    os.unlink(os.path.join(place.inbox, "p"))
    heard = next(end for end, kind, _, _ in frames(probe.down) if kind == "BEGIN_OK")
    proxy = place.proxy(server.address, down=heard, how="hold")
    stdin = subprocess.DEVNULL if content is None else subprocess.PIPE
    process = place.start("send", *options, path, proxy.address, stdin=stdin, **more)
    if content is not None:
        process.stdin.write(content)
        process.stdin.close()
        process.stdin = None
    until("it is committed", lambda: [row for row in place.committed() if row["name"] != "p"])
    return process, proxy


def begun_unheard(place, server, path):
    """A send that is killed after BEGIN, before it has said COMMIT."""
    proxy = place.proxy(server.address, up=100000, how="hold")
    process = place.start("send", path, proxy.address)
    until("it is being delivered", lambda: proxy.held.is_set() and place.parts())
    return process, proxy


@test("send killed after its commit: sent again, it is settled with the stored receipt, and no data is sent")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.release()
    sent = len(proxy.up)
    again = place.send(path, proxy.address).exits(0)
    rows = [row for row in place.committed() if row["name"] == "x"]
    same(again.id, rows[0]["id"])
    same(len(rows), 1)
    same(place.visible(), ["x"])
    assert len(proxy.up) - sent < BRIEF, f"{len(proxy.up) - sent} bytes were sent for what was there already"


@test("send killed before its commit: sent again, it is there once")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = begun_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.do_cut("rst")
    place.send(path, proxy.address).exits(0)
    same(place.visible(), ["x"])
    same(place.read("x"), CONTENT)
    same(len(place.committed()), 1)


@test("send killed after its commit, then the file changes: what was committed is mentioned, the new content is refused by its name")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.release()
    first = [row for row in place.committed() if row["name"] == "x"][0]
    place.file("x", b"other content")
    again = place.send(path, proxy.address).exits(1)
    assert first["id"] in again.err and first["digest"] in again.err, again
    assert "the name exists" in again.err, again
    same(place.read("x"), CONTENT)


@test("the same, after the inbox's reader has taken the file: the new content is a new delivery")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.release()
    first = [row for row in place.committed() if row["name"] == "x"][0]
    os.unlink(os.path.join(place.inbox, "x"))
    place.file("x", CONTENT + b"other content")
    again = place.send("--json", path, proxy.address).exits(0)
    assert again.id != first["id"], again
    assert first["digest"] in again.err, again
    same(place.read("x"), CONTENT + b"other content")


@test("standard input whose earlier run had committed other content: exit 4, and it says to send it again")
def _(place):
    server = place.serve()
    process, proxy = committed_unheard(place, server, "-", "--name", "x", content=CONTENT)
    process.kill()
    Answer(process)
    proxy.release()
    again = place.send("--name", "x", "-", proxy.address, content=b"other content").exits(4)
    assert "send it again" in again.err, again
    same(place.read("x"), CONTENT)
    same([row["name"] for row in place.committed()], ["p", "x"])


@test("the same when standard input is a file: it is not begun anew from where the first reading ended")
def _(place):
    server = place.serve()
    process, proxy = committed_unheard(place, server, "-", "--name", "x", content=CONTENT)
    process.kill()
    Answer(process)
    proxy.release()
    os.unlink(os.path.join(place.inbox, "x"))
    with open(place.file("other", os.urandom(len(CONTENT))), "rb") as other:
        again = Answer(place.start("send", "--name", "x", "-", proxy.address, stdin=other)).exits(4)
    assert "send it again" in again.err, again
    same(place.visible(), [])


@test("standard input whose earlier run had committed the same content gets the stored receipt")
def _(place):
    server = place.serve()
    process, proxy = committed_unheard(place, server, "-", "--name", "x", content=CONTENT)
    process.kill()
    Answer(process)
    proxy.release()
    place.send("--name", "x", "-", proxy.address, content=CONTENT).exits(0)
    same(place.visible(), ["x"])


@test("an id that is committed with the same content: the stored receipt, exit 0, and no data is sent")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    first = place.send(path, server.address).exits(0)
    proxy = place.proxy(server.address)
    again = place.send("--id", first.id, path, proxy.address).exits(0)
    same(again.out, first.out, "the receipt")
    assert len(proxy.up) < BRIEF, f"{len(proxy.up)} bytes were sent"


@test("an id that is committed with other content, another length or another name: exit 1")
def _(place):
    server = place.serve()
    first = place.send(place.file("x", CONTENT), server.address).exits(0)
    other = bytearray(CONTENT)
    other[-1] ^= 1
    for what, content, name in (("content", bytes(other), "x"), ("length", CONTENT[:-1], "x"),
                                ("empty", b"", "x"), ("name", CONTENT, "y")):
        answer = place.send("--id", first.id, "--name", name, place.file("again", content), server.address)
        assert answer.code == 1, (what, answer)
        assert f"\nrefused {first.id} {name}: " in answer.err, (what, answer)
        assert answer.err.startswith(f"an earlier run has committed {first.out[10:]}"), (what, answer)
    same(place.visible(), ["x"])
    same(place.read("x"), CONTENT)


@test("in doubt at one ledger, sent again at another one: still in doubt, and nothing is begun there")
def _(place):
    server, other = place.serve(), place.serve(inbox=place.under("other"))
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.target = other.address
    proxy.release()
    answer = place.send(path, proxy.address).exits(3)
    assert "another ledger" in answer.err, answer
    told = place.resolve(answer.id, proxy.address).exits(3)
    assert "another ledger" in told.err, told
    same([name for name in os.listdir(place.under("other")) if name != ".lastbyte"], [])
    same(place.ledger(place.under("other")), [])
    # the first ledger still tells
    place.resolve(answer.id, server.address).exits(0)


@test("in doubt at one address of a ledger, sent again at another one: settled with the stored receipt, though nobody answers there at first")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.close()
    first = [row for row in place.committed() if row["name"] == "x"][0]
    os.unlink(os.path.join(place.inbox, "x"))  # no name stands in the way of a second copy
    gone = place.proxy(server.address)
    gone.leave()
    same(place.send(path, gone.address).exits(3).id, first["id"])
    same(place.send(path, server.address).exits(0).id, first["id"])
    same(place.visible(), [])
    same([row["name"] for row in place.committed()], ["p", "x"])


@test("in doubt at one ledger, sent to the address of another one: a delivery of its own, and the first one stays open")
def _(place):
    server, other = place.serve(), place.serve(inbox=place.under("other"))
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.release()
    first = [row["id"] for row in place.committed() if row["name"] == "x"][0]
    assert place.send(path, other.address).exits(0).id != first
    same([row["name"] for row in place.ledger(place.under("other"))], ["x"])
    same(place.send("--continue").exits(0).id, first)


@test("in doubt, and the inbox was wiped meanwhile: still in doubt")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, _ = committed_unheard(place, server, path)
    process.send_signal(signal.SIGINT)
    unheard = Answer(process).exits(3)
    server.end()
    shutil.rmtree(place.inbox)
    again = place.serve()
    place.resolve(unheard.id, again.address).exits(3)
    same(place.visible(), [])


@test("in doubt, and no server answers: sent again it is in doubt still, and not said to be not committed")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = committed_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.close()
    answer = place.send(path, proxy.address).exits(3)
    same(answer.id, [row for row in place.committed() if row["name"] == "x"][0]["id"])


@test("resolve of an id that nobody has seen fences it, and says which ledger answered")
def _(place):
    server = place.serve()
    identity = "0123456789abcdef0123456789abcdef:1"
    told = place.resolve(identity, server.address).exits(1)
    assert server.ledger in told.err, told
    same([(row["id"], row["verdict"]) for row in place.ledger()], [(identity, "rolled_back")])
    same(place.resolve("--json", identity, server.address).exits(1).objects[0]["ledger"], server.ledger)


@test("fenced meanwhile by somebody else's resolve: sent again it is a new delivery")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = begun_unheard(place, server, path)
    process.kill()
    Answer(process)
    proxy.do_cut("rst")
    begun = server.event(lambda event: event.get("name") == "x")["id"]
    place.resolve(begun, server.address, state=place.under("elsewhere")).exits(1)
    again = place.send(path, proxy.address).exits(0)
    assert again.id != begun, again
    same(place.visible(), ["x"])


@test("the same for standard input, of which nothing was read yet")
def _(place):
    server = place.serve()
    process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    until("it is being delivered", place.parts)
    process.kill()
    Answer(process)
    begun = server.event(lambda event: event.get("name") == "x")["id"]
    place.resolve(begun, server.address, state=place.under("elsewhere")).exits(1)
    again = place.send("--name", "x", "-", server.address, content=CONTENT).exits(0)
    assert again.id != begun, again
    same(place.read("x"), CONTENT)


@test("an id that another process is delivering: in doubt until that one has ended")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = begun_unheard(place, server, path)
    until("it is in the journal", lambda: os.listdir(place.state))
    with open(place.under("state", "journal"), encoding="utf-8") as journal:
        identity = re.search(r"[0-9a-f]{32}", journal.read())[0] + ":1"
    place.send("--id", identity, path, server.address).exits(3)
    told = place.resolve(identity, server.address).exits(3)
    assert identity in told.err and "another process" in told.err, told
    proxy.release()
    same(Answer(process).exits(0).id, identity)
    place.send("--id", identity, path, server.address).exits(0)


@test("an id so old that the ledger has pruned it: resolve and send say forgotten, exit 5")
def _(place):
    server = place.serve()
    with Wire(server.address).greet() as wire:
        wire.begin("old", length=0)
        wire.commit(b"")
        wire.expect("COMMITTED")
        old = wire.id
        wire.say(frame("SETTLED", 0, wire.client + struct.pack(">Q", 5000)), frame("CLOSE"))
        wire.expect("CLOSE_OK")
    told = place.resolve(old, server.address).exits(5)
    assert told.err.startswith(f"forgotten {old}: "), told


@test("resolve of a committed delivery prints its receipt, also from another state directory")
def _(place):
    server = place.serve()
    first = place.send(place.file("x", CONTENT), server.address).exits(0)
    same(place.resolve(first.id, server.address).exits(0).out, first.out)
    same(place.resolve(first.id, server.address, state=place.under("elsewhere")).exits(0).out, first.out)


@test("resolve without an answer: exit 3")
def _(place):
    server = place.serve()
    server.kill()
    told = place.resolve("0123456789abcdef0123456789abcdef:1", server.address).exits(3)
    assert "in_doubt" in told.err, told


@test("two runs for the same file at once make two deliveries, one of which finds the name busy")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    process, proxy = begun_unheard(place, server, path)
    place.send(path, proxy.address).exits(4)
    proxy.release()
    Answer(process).exits(0)
    same(place.visible(), ["x"])
    same(len(place.committed()), 1)


@test("a run beside one that settles what an earlier run left open: exit 4, busy, and it is there once")
def _(place):
    server = place.serve()
    for number in range(2):
        process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
        until("it is being delivered", place.parts)
        if number == 0:
            process.kill()
            process.wait()
            until("the server has seen that", lambda: not place.parts())
    answer = place.send("--name", "x", "-", server.address, content=CONTENT).exits(4)
    same(answer.err, "not_committed - x: this delivery or its name is being received, or there is no room for it now\n")
    Answer(process, CONTENT).exits(0)
    same(place.read("x"), CONTENT)
    same(len(place.committed()), 1)


run()
