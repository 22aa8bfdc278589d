# SPDX-License-Identifier: MIT
"""`lastbyte send --retry`: links that are cut, servers that restart, and what is not tried again."""
import os
import pty
import signal
import subprocess
from libnet import Answer, COMMAND, run, same, test, truth, until
from libretry import BRIEF, CONTENT, LARGE, answer_at, check, kinds, restart, waits
from libwire import Wire, hello


for how in ("rst", "fin"):
    for at in (0, 60, 150, 200, 100_000, 1_000_000):
        @test(f"a file, and the link cut with {how} after {at} bytes: it is there once, and the user hears of the wait")
        def _(place, how=how, at=at):
            server = place.serve()
            proxy = place.proxy(server.address, up=at, how=how)
            done = check(place, place.send("--retry", place.file("x", CONTENT), proxy.address))
            same(done.err.count("waiting "), 1, done.err)


@test("a file whose COMMIT has no answer because the link is cut: it is told as committed, and is not sent again")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    proxy = place.proxy(server.address, down=heard, how="hold")
    process = place.start("send", "--retry", place.file("x", CONTENT), proxy.address)
    until("it is committed", lambda: [row for row in place.committed() if row["name"] == "x"])
    sent = len(proxy.up)
    proxy.do_cut("rst")
    Answer(process).exits(0)
    assert len(proxy.up) - sent < BRIEF, f"{len(proxy.up) - sent} bytes were sent once more"
    same([row["name"] for row in place.committed()], ["p", "x"])
    same(place.read("x"), CONTENT)


for kind in ("file", "file as standard input"):
    @test(f"a {kind}, and a server that is killed and comes back: it is there once")
    def _(place, kind=kind):
        server = place.serve()
        proxy = place.proxy(server.address, up=700_000, how="hold")
        path = place.file("x", CONTENT)
        with open(path, "rb") as file:
            words = ("--name", "x", "-") if kind != "file" else (path,)
            process = place.start("send", "--retry", *words, proxy.address, stdin=file)
            until("it is being delivered", lambda: proxy.held.is_set() and place.parts())
            server.kill()
            proxy.do_cut("rst")
            waits(process)
            restart(place, server)
            check(place, Answer(process))


@test("standard input is a file that was read in part before: what is sent, and sent again, begins there")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=500_000)
    with open(place.file("x", CONTENT), "rb") as file:
        os.lseek(file.fileno(), 1000, os.SEEK_SET)
        process = place.start("send", "--retry", "--name", "x", "-", proxy.address, stdin=file)
        check(place, Answer(process), CONTENT[1000:])


@test("no server yet: one line about it, whatever the number of tries, and the delivery once there is one")
def _(place):
    server = place.serve()
    server.kill()
    process = place.start("send", "--retry", place.file("x", CONTENT), server.address)
    line = waits(process)
    assert "Connection refused" in line, line
    restart(place, server)
    done = check(place, Answer(process))
    assert "waiting" not in done.err, done.err


@test("no server until the deadline: exit 4, for nothing was begun")
def _(place):
    server = place.serve()
    server.kill()
    done = place.send("--retry", "--deadline", "300ms", place.file("x"), server.address).exits(4)
    # it may pass during a wait, or while the last try is refused
    assert "waiting" in done.err and "refused" in done.err, done.err
    assert "deadline" in done.err or "no connection could be made" in done.err, done.err


@test("the deadline passes while the connection is gone: exit 4 before COMMIT, 3 after it")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    for limits, code, content in (({"up": 500_000}, 4, LARGE), ({"down": heard}, 3, CONTENT)):
        proxy = place.proxy(server.address, how="hold", **limits)
        process = place.start("send", "--retry", "--deadline", "3s", place.file("x", content), proxy.address)
        until("it has got that far", lambda: proxy.held.is_set() and
              (code == 4 or [row for row in place.committed() if row["name"] == "x"]))
        proxy.leave()
        done = Answer(process)
        done.exits(code)
        truth(place, done, "x", content, server.address)


@test("SIGINT while it waits: rolled back before COMMIT, in doubt after it, nothing begun without a server")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    for limits, code, content in (({"up": 500_000}, 1, LARGE), ({"down": heard}, 3, CONTENT)):
        proxy = place.proxy(server.address, how="hold", **limits)
        process = place.start("send", "--retry", place.file("x", content), proxy.address)
        until("it has got that far", lambda: proxy.held.is_set() and
              (code == 1 or [row for row in place.committed() if row["name"] == "x"]))
        proxy.leave()
        waits(process)
        process.send_signal(signal.SIGINT)
        truth(place, Answer(process).exits(code), "x", content, server.address)
    process = place.start("send", "--retry", place.file("y", CONTENT), proxy.address)
    waits(process)
    process.send_signal(signal.SIGINT)
    Answer(process).exits(1)
    assert "y" not in place.visible()


@test("what the server refuses, and a server that speaks another protocol, are not tried again")
def _(place):
    server = place.serve("--max-delivery", "1M")
    place.send(place.file("x", b"first"), server.address).exits(0)
    for content in (b"second", CONTENT):
        proxy = place.proxy(server.address)
        done = place.send("--retry", place.file("x", content), proxy.address).exits(1)
        assert "waiting" not in done.err, done.err
        same(kinds(proxy.up).count("HELLO"), 1)
    fake = subprocess.Popen(["python3", "-c", "import socket\ns=socket.create_server(('127.0.0.1', 0))\n"
                             "print(s.getsockname()[1], flush=True)\nc, _ = s.accept()\n"
                             "c.sendall(b'220 mail ready' + bytes(20))\nc.recv(99)\nc.close()"],
                            stdout=subprocess.PIPE)
    port = int(fake.stdout.readline())
    done = place.send("--retry", place.file("x"), f"127.0.0.1:{port}").exits(4)
    assert "waiting" not in done.err and "protocol" in done.err, done.err
    fake.wait()
    fake.stdout.close()


@test("a file that changed before it is read again: not committed, and not tried again")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=700_000, how="hold")
    path = place.file("x", CONTENT)
    process = place.start("send", "--retry", path, proxy.address)
    until("it is being delivered", lambda: proxy.held.is_set() and place.parts())
    place.file("x", CONTENT[:400_000])
    proxy.do_cut("rst")
    done = Answer(process).exits(4)
    assert "changed" in done.err, done.err
    same(place.visible(), [])


@test("a server with too many connections is asked again until there is room")
def _(place):
    server = place.serve("--max-sessions", "1")
    with Wire(server.address) as wire:
        wire.say(hello(wire.client))
        same(wire.hear()[0], "HELLO_OK")
        process = place.start("send", "--retry", place.file("x", CONTENT), server.address)
        assert "too many connections" in waits(process)
    check(place, Answer(process))


@test("a server that stops in an orderly way, and another one in its place: the delivery goes on there")
def _(place):
    server = place.serve("--drain-timeout", "100ms")
    proxy = place.proxy(server.address, up=700_000, how="hold")
    process = place.start("send", "--retry", place.file("x", CONTENT), proxy.address)
    until("it is being delivered", lambda: proxy.held.is_set() and place.parts())
    server.signal()
    server.wait()
    proxy.release()
    waits(process)
    restart(place, server)
    check(place, Answer(process))


@test("files in a row: the one after the cut begins over another connection")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    proxy = place.proxy(server.address, down=heard)
    paths = [place.file(f"row/{name}", CONTENT + name.encode()) for name in "abc"]
    place.send("--retry", *paths, proxy.address).exits(0)
    same(place.visible(), ["a", "b", "c"])
    for name in "abc":
        same(place.read(name), CONTENT + name.encode())
    same(len(place.committed()), 4)


@test("a pipe that waits for its writer while the link is cut: the connection is there again when it writes")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    proxy = place.proxy(server.address)
    process = place.start("send", "--retry", "--name", "x", "-", proxy.address, stdin=subprocess.PIPE)
    until("it has begun", lambda: len(proxy.down) >= heard)
    proxy.do_cut("rst")
    until("it has begun again", lambda: kinds(proxy.down).count("BEGIN_OK") == 2)
    Answer(process, CONTENT).exits(0)
    same(place.read("x"), CONTENT)


@test("a pipe whose COMMIT has no answer: it is told as committed where it is, and as not committed where it is not")
def _(place):
    server = place.serve()
    heard = answer_at(place, server)
    proxy = place.proxy(server.address, down=heard, how="hold")
    process = place.start("send", "--retry", "--name", "x", "-", proxy.address, stdin=subprocess.PIPE)
    process.stdin.write(CONTENT)
    process.stdin.close()
    process.stdin = None
    until("it is committed", lambda: [row for row in place.committed() if row["name"] == "x"])
    proxy.do_cut("rst")
    Answer(process).exits(0)
    same(place.read("x"), CONTENT)


@test("a terminal sees why it waits, and nothing of it is left at the end")
def _(place):
    server = place.serve()
    server.kill()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([COMMAND, "send", "--state", place.state, "--retry", place.file("x", CONTENT), server.address],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
                               env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    seen = b""
    while b"Connection refused" not in seen:
        seen += os.read(ours, 4096)
    assert b"\rwaiting 0." in seen, seen
    restart(place, server)
    same(process.wait(60), 0)
    process.stdout.close()
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    os.close(ours)
    assert seen.endswith(b"\r\033[K"), seen
    same(place.read("x"), CONTENT)


@test("--quiet says nothing of waits")
def _(place):
    server = place.serve()
    server.kill()
    done = place.send("--retry", "--quiet", "--deadline", "300ms", place.file("x"), server.address).exits(4)
    assert "waiting" not in done.err, done.err


run()
