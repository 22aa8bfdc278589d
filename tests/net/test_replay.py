# SPDX-License-Identifier: MIT
"""`lastbyte send` goes on at what the server has made durable: pipes out of what is kept, files, and other processes."""
import contextlib
import os
import struct
import subprocess
import threading
from libnet import Answer, run, same, test, truth, until
from libretry import CONTENT, LARGE, Unable, answer_at, begun_and_killed, check, kinds, of, offsets_of, restart


for at in (100, 150, 500_000, LARGE_CUT := 20_000_000):
    @test(f"a pipe, and the link cut after {at} bytes: it goes on there, and not a byte is lost or doubled")
    def _(place, at=at):
        server = place.serve()
        proxy = place.proxy(server.address, up=at)
        content = LARGE if at == LARGE_CUT else CONTENT
        done = place.send("--retry", "--name", "x", "-", proxy.address, content=content)
        check(place, done, content)


def kill_twice(place, server, proxy, begun):
    """Kills the server each time that a part of some size lies there, and puts another one in its place."""
    for size in (3_000_000, 9_000_000):
        until("some of it is there", lambda: [part for part in begun() if os.path.getsize(part) > size])
        server.kill()
        proxy.do_cut("rst")
        server = restart(place, server)
    return server


for kind in ("pipe", "file"):
    @test(f"a {kind}, and a server that is killed twice: it goes on at what is durable, not at the beginning")
    def _(place, kind=kind):
        server = place.serve()
        proxy = place.proxy(server.address)
        words = ("--name", "x", "-") if kind == "pipe" else (place.file("x", LARGE),)
        process = place.start("send", "--retry", "--replay", "1M", *words, proxy.address,
                              stdin=subprocess.PIPE if kind == "pipe" else subprocess.DEVNULL)
        writer = threading.Thread(target=lambda: (process.stdin.write(LARGE), process.stdin.close()))
        if kind == "pipe":
            writer.start()
        kill_twice(place, server, proxy, place.parts)
        if kind == "pipe":
            writer.join()
            process.stdin = None
        check(place, Answer(process), LARGE)
        offsets = [struct.unpack_from(">Q", payload)[0] for kind, payload in of(proxy.down, "BEGIN_OK")]
        assert offsets[0] == 0 and offsets == sorted(offsets) and offsets[-1] > 1_000_000, offsets
        assert len(proxy.up) < 2 * len(LARGE), len(proxy.up)


@test("a pipe is read no further than what can be sent again, and goes on when the server has made it durable")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    proxy = place.proxy(server.address, down=heard, how="hold")
    process = place.start("send", "--retry", "--replay", "256K", "--name", "x", "-", proxy.address, stdin=subprocess.PIPE)
    os.set_blocking(process.stdin.fileno(), False)
    taken = 0
    while len(proxy.up) < 256 << 10 or kinds(proxy.up).count("SYNC") == 0:
        with contextlib.suppress(BlockingIOError):
            taken += os.write(process.stdin.fileno(), LARGE[taken:taken + 65536])
    while True:  # what the pipe itself holds
        try:
            taken += os.write(process.stdin.fileno(), LARGE[taken:taken + 4096])
        except BlockingIOError:
            break
    assert taken <= (256 << 10) + (256 << 10) + (64 << 10), taken  # kept, in the command's hands, and in the pipe
    proxy.release()
    os.set_blocking(process.stdin.fileno(), True)
    process.stdin.write(LARGE[taken:])
    process.stdin.close()
    process.stdin = None
    Answer(process).exits(0)
    same(place.read("x"), LARGE)


@test("a healthy pipe asks for SYNC each quarter of what it keeps, and nobody keeps what --retry does not need")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address)
    place.send("--retry", "--replay", "4M", "--name", "x", "-", proxy.address, content=LARGE).exits(0)
    asked = kinds(proxy.up).count("SYNC")
    assert 4 <= asked <= 32, asked
    proxy = place.proxy(server.address)
    place.send("--replay", "4M", "--name", "y", "-", proxy.address, content=LARGE).exits(0)
    same(kinds(proxy.up).count("SYNC"), 0)
    same(place.read("x"), place.read("y"))


@test("a sink that cannot resume: a pipe that was sent in part is not committed, a file is sent again from its beginning")
def _(place):
    server = place.serve()
    middle = Unable(server.address)
    proxy = place.proxy(middle.address, up=500_000)
    place.stack.callback(middle.close)
    # More than the sockets in between hold: its COMMIT cannot be on its way when the link is cut.
    done = place.send("--retry", "--name", "x", "-", proxy.address, content=LARGE).exits(4)
    assert "waiting" not in done.err, done.err
    truth(place, done, "x", LARGE, server.address)
    proxy = place.proxy(middle.address, up=500_000)
    check(place, place.send("--retry", place.file("x", CONTENT), proxy.address))
    same(kinds(proxy.up).count("SYNC"), 0)


@test("a server that has forgotten what a pipe cannot send again: not committed, and said so")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, how="rst")
    process = place.start("send", "--retry", "--replay", "64K", "--name", "x", "-", proxy.address, stdin=subprocess.PIPE)
    process.stdin.write(CONTENT)
    process.stdin.flush()
    until("some of it is durable", lambda: [at for at in offsets_of(proxy.down) if at > 100_000])
    server.kill()
    for part in place.parts():
        os.unlink(part)
    proxy.do_cut("rst")
    restart(place, server)
    process.stdin.close()
    process.stdin = None
    done = Answer(process).exits(4)
    assert "cannot be read again" in done.err, done.err
    same(place.visible(), [])


@test("send is killed when some of a file is durable: sent again, the rest is sent, and the whole is committed under its id")
def _(place):
    server = place.serve()
    first, proxy = begun_and_killed(place, server, LARGE)
    sent = len(proxy.up)
    again = check(place, place.send(place.file("x", LARGE), proxy.address), LARGE)
    assert len(proxy.up) - sent < len(LARGE) - 900_000, len(proxy.up) - sent
    same(again.id, first)


@test("the same, and the file has changed before that: what is there now is delivered, under another id")
def _(place):
    server = place.serve()
    first, proxy = begun_and_killed(place, server, LARGE)
    changed = bytes([LARGE[0] ^ 1]) + LARGE[1:]
    again = check(place, place.send(place.file("x", changed), proxy.address), changed)
    assert again.id != first


@test("a pipe that another process left: it is not gone on with, but sent from its beginning")
def _(place):
    server = place.serve()
    first, proxy = begun_and_killed(place, server, LARGE, "--name", "x", "-")
    again = check(place, place.send("--name", "x", "-", proxy.address, content=CONTENT))
    same(again.id, first)


run()
