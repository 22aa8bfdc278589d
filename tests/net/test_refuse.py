# SPDX-License-Identifier: MIT
"""What does not commit for a reason that has nothing to do with a break, and the exit code that it has."""
import os
import subprocess
import time
from libnet import SANITIZED, Answer, Skip, run, same, test, until
from libretry import waits

CONTENT = os.urandom(200000)


@test("a name that is none is refused with the reason, and nothing is there")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    for name, reason in (("", "must not be empty"), (".", "must not be . or .."), ("..", "must not be . or .."),
                         ("a/b", "must not contain /"), (".lastbyte", "must not begin with .lastbyte"),
                         ("a\nb", "control characters"), ("\x9b", "control characters"),
                         ("x" * 256, "at most 255 bytes"), (b"\xff", "valid UTF-8")):
        answer = send_name(place, name, path, server)
        assert answer.code == 1 and reason in answer.err, (name, answer)
        assert answer.err.startswith("refused "), answer
        assert not set(answer.err) & set(map(chr, [*range(0x00, 0x0A), *range(0x0B, 0x20), *range(0x7F, 0xA0)])), repr(answer.err)
    same(place.visible(), [])


def send_name(place, name, path, server):
    """Popen takes bytes as they are, also those that are not UTF-8."""
    return Answer(place.start("send", "--name", name, path, server.address))


@test("a name of 255 bytes, one with spaces and one in UTF-8 are fine")
def _(place):
    server = place.serve()
    names = ["x" * 255, " a  b ", "größe – 大きさ.txt", "-", "--json"]
    for name in names:
        place.send("--name", name, place.file("x", CONTENT), server.address).exits(0)
    same(place.visible(), sorted(names))


@test("a name that exists is refused and not overwritten, also one that the server did not put there")
def _(place):
    server = place.serve()
    place.send(place.file("x", CONTENT), server.address).exits(0)
    answer = place.send(place.file("again/x", b"other"), server.address).exits(1)
    assert "the name exists" in answer.err, answer
    with open(os.path.join(place.inbox, "foreign"), "wb") as file:
        file.write(b"mine")
    place.send(place.file("foreign", b"yours"), server.address).exits(1)
    same(place.read("x"), CONTENT)
    same(place.read("foreign"), b"mine")
    same(len(place.committed()), 1)


@test("a name that is being delivered is not to be had now: exit 4, and --retry waits until that is decided")
def _(place):
    server = place.serve()
    process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    until("it is being delivered", place.parts)
    other = place.file("x", b"other")
    answer = place.send(other, server.address, state=place.under("second")).exits(4)
    assert "its name is being received" in answer.err, answer
    waiting = place.start("send", "--retry", other, server.address, state=place.under("third"))
    assert "its name is being received" in waits(waiting)
    process.kill()
    Answer(process).exits(-9)
    Answer(waiting).exits(0)
    same(place.read("x"), b"other")


@test("a name that an outsider takes meanwhile: both files are there, and the receipt says which is which")
def _(place):
    server = place.serve()
    process = place.start("send", "--json", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    until("it is being delivered", place.parts)
    with open(os.path.join(place.inbox, "x"), "wb") as file:
        file.write(b"mine")
    result = Answer(process, CONTENT).exits(0).objects[0]
    same(place.read("x"), b"mine")
    assert result["placed"].startswith("x~"), result
    same(place.read(result["placed"]), CONTENT)
    same([row["placed"] for row in place.committed()], [result["placed"]])


@test("more than --max-delivery is refused, declared or not, and exactly as much is taken")
def _(place):
    server = place.serve("--max-delivery", "4K")
    answer = place.send(place.file("declared", bytes(4097)), server.address).exits(1)
    assert "larger than the server takes" in answer.err, answer
    answer = place.send("--name", "undeclared", "-", server.address, content=bytes(4097)).exits(1)
    assert "larger than the server takes" in answer.err, answer
    place.send(place.file("fits", bytes(4096)), server.address).exits(0)
    same(place.visible(), ["fits"])


@test("one session more than --max-sessions: exit 4, and served once there is room")
def _(place):
    server = place.serve("--max-sessions", "1")
    process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    until("it is being delivered", place.parts)
    path = place.file("y", CONTENT)
    answer = place.send(path, server.address).exits(4)
    assert "not_committed" in answer.err, answer
    Answer(process, CONTENT).exits(0)
    until("there is room", lambda: place.send(path, server.address).code == 0)
    same(place.visible(), ["x", "y"])


@test("a full disk: exit 4, nothing is left, and the server goes on")
def _(place):
    os.makedirs(place.inbox)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", place.inbox], capture_output=True, check=False).returncode:
        raise Skip("mounting a tmpfs needs root")
    place.stack.callback(subprocess.run, ["umount", place.inbox], check=True)
    server = place.serve()
    answer = place.send(place.file("large", bytes(8 << 20)), server.address).exits(4)
    assert "no space left" in answer.err, answer
    same(place.visible(), [])
    until("its part is gone", lambda: not place.parts())
    place.send(place.file("small", CONTENT), server.address).exits(0)
    place.resolve(answer.id, server.address).exits(1)
    same(place.visible(), ["small"])


@test("an unwritable state directory: exit 2 before anything is connected")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    proxy = place.proxy(server.address)
    for state in ("/proc/lastbyte", place.file("a-file", b""), "/dev/null/x"):
        answer = place.send(path, proxy.address, state=state).exits(2)
        assert state in answer.err, answer
        answer = place.resolve("0123456789abcdef0123456789abcdef:1", proxy.address, state=state).exits(2)
    same(bytes(proxy.up), b"", "what was sent")


def changing(place, change):
    """Exit code of a send whose file is changed by `change(path)` while it is read."""
    server = place.serve()
    path = place.file("x", os.urandom(12 << 20))
    proxy = place.proxy(server.address, up=1 << 20, how="hold")
    process = place.start("send", path, proxy.address)
    assert proxy.held.wait(60)
    change(path)
    proxy.release()
    answer = Answer(process).exits(4)
    assert "changed while it was read" in answer.err, answer
    same(place.visible(), [])
    same(place.committed(), [])
    place.resolve(answer.id, server.address).exits(1)


def overwrite(path):
    with open(path, "r+b") as file:
        file.seek(11 << 20)
        file.write(b"changed")


def append(path):
    with open(path, "ab") as file:
        file.write(b"changed")


for HOW, CHANGE in (("overwritten", overwrite), ("appended to", append), ("truncated", lambda path: os.truncate(path, 6 << 20)),
                    ("touched", lambda path: os.utime(path, (1, 1)))):
    test(f"a file that is {HOW} while it is read is rolled back: exit 4")(
        lambda place, change=CHANGE: changing(place, change))


@test("standard input that is silent for longer than the idle time is kept alive")
def _(place):
    server = place.serve("--idle-timeout", "500ms")
    process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    process.stdin.write(CONTENT)
    process.stdin.flush()
    until("it has come", lambda: [part for part in place.parts() if os.path.getsize(part) == len(CONTENT)])
    silent = time.monotonic()
    until("it was silent for three times as long", lambda: time.monotonic() > silent + 1.5)
    Answer(process, b"the end").exits(0)
    same(place.read("x"), CONTENT + b"the end")


@test("a server that reads nothing for longer than a write takes is waited for")
def _(place):
    server = place.serve()
    path = place.file("x", os.urandom(16 << 20))
    proxy = place.proxy(server.address, up=1 << 20, how="hold")
    process = place.start("send", path, proxy.address)
    assert proxy.held.wait(60)
    same(process.poll(), None)
    proxy.release()
    Answer(process).exits(0)
    same(os.path.getsize(os.path.join(place.inbox, "x")), 16 << 20)


@test("--deadline passes before COMMIT: exit 4, and nothing is there")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=100000, how="hold")
    answer = place.send("--deadline", "500ms", place.file("x", os.urandom(16 << 20)), proxy.address).exits(4)
    assert "deadline" in answer.err, answer
    proxy.release()
    proxy.close()
    until("the server knows it", lambda: not place.parts())
    same(place.visible(), [])
    place.resolve(answer.id, server.address).exits(1)


@test("--deadline passes without an answer to COMMIT: exit 3, and resolve tells")
def _(place):
    server = place.serve()
    probe = place.proxy(server.address)
    place.send(place.file("p", b""), probe.address).exits(0)
    proxy = place.proxy(server.address, down=len(probe.down) - 40, how="hold")
    answer = place.send("--deadline", "800ms", place.file("x", CONTENT), proxy.address).exits(3)
    place.resolve(answer.id, server.address).exits(0)
    same(place.visible(), ["p", "x"])


@test("nobody listens: exit 4")
def _(place):
    server = place.serve()
    server.kill()
    path = place.file("x", CONTENT)
    answer = place.send(path, server.address).exits(4)
    assert answer.err.startswith("not_committed - x: no connection could be made: "), answer


@test("several files share a connection; the exit code is the most serious one, and each has its line")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address)
    place.send(place.file("b", b"there before"), server.address).exits(0)
    paths = [place.file(f"many/{name}", name.encode() * 1000) for name in "abc"]
    answer = place.send(*paths, proxy.address).exits(1)
    same([line.split()[2] for line in answer.out.splitlines()], ["a", "c"])
    same([line.split()[:1] + line.split()[2:3] for line in answer.err.splitlines()], [["refused", "b:"]])
    same(place.visible(), ["a", "b", "c"])
    same(bytes(proxy.up).count(b"LASTBYTE"), 1, "greetings")


@test("a break in the middle of several files: what is committed stays, the others are not committed, exit 4")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=150000)
    paths = [place.file(f"many/{name}", os.urandom(100000 if name == "a" else 8 << 20)) for name in "abcd"]
    answer = place.send("--json", *paths, proxy.address).exits(4)
    same([(result["name"], result["verdict"]) for result in answer.objects],
         [("a", "committed"), ("b", "not_committed"), ("c", "not_committed"), ("d", "not_committed")])
    same([result["ended"] for result in answer.objects], ["open", "rst", "rst", "rst"])
    same(place.visible(), ["a"])
    place.send(*paths[1:], server.address).exits(0)
    same(place.visible(), ["a", "b", "c", "d"])


@test("an empty file, and one of many frames, arrive as they are")
def _(place):
    server = place.serve()
    large = os.urandom((1 << 20) * (3 if SANITIZED else 20) + 17)
    place.send(place.file("empty", b""), place.file("large", large), server.address).exits(0)
    same(place.read("empty"), b"")
    same(place.read("large"), large)


run()
