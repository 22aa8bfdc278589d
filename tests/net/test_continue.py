# SPDX-License-Identifier: MIT
"""`lastbyte send --continue`: what earlier runs have left open is finished or settled, and told."""
import os
import signal
from libnet import TESTING, Answer, run, same, test, until, until_stopped
from libretry import BRIEF, CONTENT, LARGE, answer_at, begun_and_killed, check, restart, waits


def committed_and_killed(place, server, content):
    """A send that is killed when its delivery is committed, and it has not heard of that."""
    heard = answer_at(place, server)
    proxy = place.proxy(server.address, down=heard, how="hold")
    process = place.start("send", place.file("x", content), proxy.address)
    until("it is committed", lambda: [row for row in place.committed() if row["name"] == "x"])
    process.kill()
    process.wait()
    proxy.do_cut("rst")
    proxy.release()
    return next(row["id"] for row in place.committed() if row["name"] == "x"), proxy


def nothing_is_open(place):
    done = place.send("--continue").exits(0)
    same((done.out, done.err), ("", ""))


@test("a file of which a part is durable: the rest is sent, and it is committed under its id; then nothing is open")
def _(place):
    server = place.serve()
    nothing_is_open(place)
    first, proxy = begun_and_killed(place, server, LARGE)
    sent = len(proxy.up)
    done = check(place, place.send("--continue", proxy.address), LARGE)
    same(done.id, first)
    assert len(proxy.up) - sent < len(LARGE) - 900_000, len(proxy.up) - sent
    nothing_is_open(place)


@test("a file that is committed already: told so, and not sent again")
def _(place):
    server = place.serve()
    first, proxy = committed_and_killed(place, server, CONTENT)
    sent = len(proxy.up)
    same(place.send("--continue").exits(0).id, first)
    assert len(proxy.up) - sent < BRIEF, len(proxy.up) - sent
    same([row["name"] for row in place.committed()], ["p", "x"])
    nothing_is_open(place)


@test("a file that has changed since a part of it was durable: refused, and never committed")
def _(place):
    server = place.serve()
    first, proxy = begun_and_killed(place, server, LARGE)
    place.file("x", bytes([LARGE[0] ^ 1]) + LARGE[1:])
    done = place.send("--continue", proxy.address).exits(1)
    assert first in done.err and "changed" in done.err, done.err
    same(place.visible(), [])
    same(place.resolve(first, proxy.address).code, 1)
    nothing_is_open(place)


@test("a file that has changed since it was committed: refused, and what is committed is told")
def _(place):
    server = place.serve()
    first, _ = committed_and_killed(place, server, CONTENT)
    row = next(row for row in place.committed() if row["id"] == first)
    place.file("x", CONTENT[1:])
    done = place.send("--continue").exits(1)
    assert row["digest"] in done.err and first in done.err, done.err
    same(place.read("x"), CONTENT)
    nothing_is_open(place)


@test("a pipe, and a file that is gone: asked about, and settled")
def _(place):
    server = place.serve()
    pipe, _ = begun_and_killed(place, server, LARGE, "--name", "y", "-")
    file, _ = begun_and_killed(place, server, LARGE)
    os.unlink(place.under("x"))
    done = place.send("--continue", "--json").exits(1)
    same(sorted(thing["id"] for thing in done.objects), sorted([pipe, file]))
    same([thing["verdict"] for thing in done.objects], ["rolled_back"] * 2)
    same(place.visible(), [])
    nothing_is_open(place)


@test("with an address, what is open elsewhere stays so; without, all of it is settled; the exit code is the worst")
def _(place):
    server, other = place.serve(), place.serve(inbox=place.under("other"))
    first, _ = begun_and_killed(place, server, LARGE)
    second, _ = begun_and_killed(place, other, LARGE, "--name", "y", "-")
    third, third_at = begun_and_killed(place, server, LARGE, name="z")
    same(check(place, place.send("--continue", third_at.address), LARGE, "z").id, third)
    done = place.send("--continue", "--json").exits(1)
    same({thing["id"]: thing["verdict"] for thing in done.objects}, {first: "committed", second: "rolled_back"})
    same(place.visible(), ["x", "z"])
    nothing_is_open(place)


@test("no server: in doubt, and still open; with --retry it waits, and goes on when there is one")
def _(place):
    server = place.serve()
    first, proxy = begun_and_killed(place, server, LARGE)
    server.kill()
    done = place.send("--continue").exits(3)
    assert first in done.err, done.err
    process = place.start("send", "--continue", "--retry", proxy.address)
    waits(process)
    restart(place, server)
    same(check(place, Answer(process), LARGE).id, first)


@test("what another process works on is left to it")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=500_000, how="hold")
    process = place.start("send", place.file("x", LARGE), proxy.address)
    until("it is being delivered", proxy.held.is_set)
    nothing_is_open(place)
    proxy.release()
    check(place, Answer(process), LARGE)


def settled_by_another(place, gone):
    """Two runs find the same file open. The later one comes to it when the other has told of it, and meets another ledger."""
    server, other = place.serve(), place.serve(inbox=place.under("other"))
    _, proxy = committed_and_killed(place, server, CONTENT)
    if gone:
        os.unlink(place.under("x"))
    slow = place.start("send", "--continue", binary=TESTING, env={"LASTBYTE_STOP": "continue_found"})
    until_stopped(slow)
    place.send("--continue").exits(0)
    proxy.target = other.address
    slow.send_signal(signal.SIGCONT)
    done = Answer(slow).exits(0)
    same((done.out, done.err), ("", ""))
    same([name for name in os.listdir(other.inbox) if not name.startswith(".lastbyte")], [])


@test("a file that another run has finished meanwhile is not begun at another ledger")
def _(place):
    settled_by_another(place, gone=False)


@test("what another run has settled meanwhile is not asked of another ledger, and not said to be rolled back")
def _(place):
    settled_by_another(place, gone=True)


@test("--continue with files, a name, an id, or a state directory that cannot be is a usage error")
def _(place):
    for words in (("x", "127.0.0.1"), ("--name", "x"), ("--id", "0" * 32 + ":1"), ("nonsense:99999999",)):
        place.send("--continue", *words).exits(2)
    place.file("state", b"a file")
    done = place.send("--continue").exits(2)
    assert "--state" in done.err, done.err


run()
