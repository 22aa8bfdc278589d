# SPDX-License-Identifier: MIT
"""What people see: lines, JSON, help, the progress bar, and what they are told when they mistype."""
import datetime
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from libnet import COMMAND, Answer, call, digest, run, same, test, until

CONTENT = os.urandom(70000)
KEYS = ["verdict", "id", "name", "bytes", "digest", "committed_at", "durability", "ledger", "ended", "seconds"]
OPTIONS = {
    "serve": "--listen --into --insecure --max-delivery --max-sessions --keep-parts --parts-max --keep-receipts --idle-timeout --drain-timeout --json",
    "send": "--name --id --continue --lines --records --retry --replay --deadline --state --quiet --json",
    "resolve": "--state --deadline --json",
    "ledger": "--json",
    "pipe": "--policy --deadline --farewell --expect --json",
}


@test("a committed file has one line on standard output, and nothing is said on standard error")
def _(place):
    server = place.serve()
    answer = place.send("--name", "a b", place.file("x", CONTENT), server.address).exits(0)
    same(answer.err, "")
    line = re.fullmatch(r"committed ([0-9a-f]{32}:1) a b 70000 (xxh128:[0-9a-f]{32}) "
                        r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\n", answer.out)
    assert line, answer
    same(line[2], digest(CONTENT))
    when = datetime.datetime.strptime(line[3], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    assert abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 600, line[3]
    same(place.committed()[0]["committed_at"], line[3])


@test("--json prints an object with the documented keys, in their order")
def _(place):
    server = place.serve()
    result = place.send("--json", place.file("x", CONTENT), server.address).exits(0).objects[0]
    same(list(result), KEYS)
    same({key: result[key] for key in ("verdict", "name", "bytes", "digest", "ledger", "ended")},
         {"verdict": "committed", "name": "x", "bytes": 70000, "digest": digest(CONTENT), "ledger": server.ledger,
          "ended": "close_ok"})
    assert result["durability"] in ("fsync", "none"), result
    assert isinstance(result["seconds"], float), result
    row = place.committed()[0]
    for key in ("id", "name", "bytes", "digest", "committed_at", "durability", "ledger"):
        same(row[key], result[key], key)


@test("--json for what is not committed has the same keys, and a reason")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    place.send(path, server.address).exits(0)
    refused = place.send("--json", path, server.address).exits(1)
    same(refused.err, "")
    same(list(refused.objects[0]), KEYS + ["reason"])
    same((refused.objects[0]["verdict"], refused.objects[0]["reason"]), ("refused", "name_exists"))
    server.kill()
    broken = place.send("--json", path, server.address).exits(4).objects[0]
    same(list(broken), KEYS + ["reason"])
    same((broken["verdict"], broken["id"], broken["reason"], broken["ended"]),
         ("not_committed", None, "no_connection", "no_connection"))
    doubt = place.resolve("--json", refused.objects[0]["id"], server.address).exits(3).objects[0]
    same(list(doubt), KEYS + ["reason"])
    same(doubt["verdict"], "in_doubt")


@test("with several files each object is on a line, and only the last one knows how the connection ended")
def _(place):
    server = place.serve()
    paths = [place.file(name, CONTENT) for name in "abc"]
    results = place.send("--json", *paths, server.address).exits(0).objects
    same([result["name"] for result in results], ["a", "b", "c"])
    same([result["ended"] for result in results], ["open", "open", "close_ok"])
    same(len({result["id"] for result in results}), 3)


@test("the server's --json: an event when it is ready, and one for each delivery")
def _(place):
    server = place.serve()
    same(list(server.events[0]), ["event", "address", "port", "into", "ledger"])
    same(server.events[0]["into"], f"dir:{place.inbox}")
    sent = place.send("--json", place.file("x", CONTENT), server.address).exits(0).objects[0]
    event = server.event(lambda event: event["event"] == "delivery")
    for key in ("verdict", "id", "name", "bytes", "digest", "committed_at", "ledger"):
        same(event[key], sent[key], key)
    same(event["ended"], "close_ok")


@test("ledger: a table for people, also while a server runs, and also when there is nothing")
def _(place):
    server = place.serve()
    empty = call("ledger", place.inbox).exits(0)
    assert server.ledger in empty.out and "0 committed" in empty.out, empty
    sent = place.send(place.file("x", CONTENT), server.address).exits(0)
    place.resolve("0123456789abcdef0123456789abcdef:7", server.address).exits(1)
    lines = call("ledger", place.inbox).exits(0).out.splitlines()
    same(len(lines), 5, lines)
    same(lines[0], f"ledger {server.ledger}, which remembers 1024 settled deliveries of each client")
    head = call("ledger", "--json", place.inbox).exits(0).objects[0]
    same(head, {"event": "ledger", "ledger": server.ledger, "keep_receipts": 1024})
    same([line for line in lines if sent.id in line and "committed" in line and line.endswith("  x")], [lines[2]])
    assert "0123456789abcdef0123456789abcdef:7" in lines[3] and "rolled_back" in lines[3], lines
    same(lines[4], "1 committed, 1 that never will be")
    server.signal()
    server.wait()
    same(call("ledger", place.inbox).exits(0).out.splitlines(), lines)


@test("ledger: what is no inbox is said to be none, and nothing is made there")
def _(place):
    for path in (place.path, place.under("nothing"), place.file("file", b"x"), "/dev/null"):
        answer = call("ledger", path).exits(2)
        assert path in answer.err, answer
        same(answer.out, "")
    same(os.listdir(place.path), ["file"])


@test("help names every option with its default, and is what --help says")
def _(place):
    for command, options in OPTIONS.items():
        page = call("help", command).exits(0)
        same(page.err, "")
        usage, details = page.out.split("Options:\n")
        same(sorted(set(re.findall(r"--[a-z-]+", usage.split("\n\n")[0]))), sorted(options.split()), command)
        same(re.findall(r"^  (--[a-z-]+)", details, re.M), options.split(), command)
        same(call(command, "--help").exits(0).out, page.out)
    overview = call("help").exits(0).out
    for command in [*OPTIONS, "help", "--version"]:
        assert f"\n  {command} " in overview, command
    same(call("--help").exits(0).out, overview)
    same(call("help", "help").exits(0).err, "")


@test("help has every exit code, from the table of outcomes")
def _(place):
    for page in (call("help").out, call("help", "send").out, call("help", "resolve").out):
        codes = dict((word, int(code)) for code, word in re.findall(r"^  (\d)  (\w+) ", page, re.M))
        same({key: codes[key] for key in ("committed", "refused", "rolled_back", "usage", "in_doubt", "not_committed", "forgotten")},
             {"committed": 0, "refused": 1, "rolled_back": 1, "usage": 2, "in_doubt": 3, "not_committed": 4, "forgotten": 5})


@test("--version")
def _(place):
    assert re.fullmatch(r"lastbyte \d+\.\d+\.\d+\n", call("--version").exits(0).out)


@test("every typing mistake is exit 2, and says what is wrong and where to read on")
def _(place):
    file = place.file("x", CONTENT)
    other = place.file("other/x", CONTENT)
    identity = "0123456789abcdef0123456789abcdef:1"
    for args, said in (
            (["sned"], "did you mean 'send'"), (["legder"], "did you mean 'ledger'"), (["frobnicate"], "no command 'frobnicate'"),
            (["help", "sendd"], "did you mean 'send'"), (["-x"], "lastbyte help"),
            (["send"], "FILE"), (["send", file], "ADDR"), (["send", "--nmae", "x", file, "localhost"], "no option --nmae"),
            (["send", file, "localhost", "--deadline"], "--deadline needs a value"),
            (["send", "--json=1", file, "localhost"], "--json takes no value"), (["send", "-z", file, "localhost"], "no option -z"),
            (["send", "--deadline", "10", file, "localhost"], "10s"), (["send", "--deadline", "s", file, "localhost"], "10s"),
            (["send", "--deadline", "-1s", file, "localhost"], "10s"), (["send", "--id", "7", file, "localhost"], "32 hex digits"),
            (["send", "--deadline", "99999999999999999999s", file, "localhost"], "10s"),
            (["send", "-", "localhost"], "--name"), (["send", "--name", "y", file, other, "localhost"], "--name"),
            (["send", "--id", identity, file, other, "localhost"], "--id"), (["send", file, other, "localhost"], "same name"),
            (["send", file, file, "localhost"], "same name"),
            (["send", place.under("missing"), "localhost"], "No such file"), (["send", place.path, "localhost"], "directory"),
            (["send", file, "::1"], "brackets"), (["send", file, "localhost:"], "address"), (["send", file, "localhost:x"], "address"),
            (["send", file, "localhost:65536"], "address"), (["send", file, "[::1"], "address"), (["send", file, ""], "address"),
            (["send", "localhost:1", file], f"{file} is a file"),
            (["send", "--lines", "--name", "x", file, other, "localhost"], "take one FILE"),
            (["send", "--continue", "--lines", "localhost"], "the command that began it"),
            (["resolve"], "CLIENT:N"), (["resolve", identity], "ADDR"), (["resolve", "7", "localhost"], "32 hex digits"),
            (["resolve", identity, "a:b:c"], "address"), (["resolve", identity, "localhost", "more"], "CLIENT:N"),
            (["ledger"], "PATH"), (["ledger", "a", "b"], "PATH"), (["ledger", file], "not a database"), (["ledger", "--josn", "a"], "no option --josn"),
            (["serve", "here"], "here"), (["serve", "--into", "here"], "dir:PATH"), (["serve", "--into", "dir:"], "dir:PATH"),
            (["serve", "--into", "postgres:x"], "dir:PATH"), (["serve", "--max-delivery", "64X"], "64M"),
            (["serve", "--max-delivery", "0"], "64M"), (["serve", "--max-delivery", "9999999P"], "64M"),
            (["serve", "--max-sessions", "0"], "from 1"), (["serve", "--max-sessions", "many"], "from 1"),
            (["serve", "--idle-timeout", "0s"], "at least 100ms"), (["serve", "--idle-timeout", "1d"], "10s"),
            (["serve", "--listen", "nonsense:x", "--into", f"dir:{place.inbox}"], "nonsense:x"),
            (["serve", "--into", f"dir:{place.under('no', 'such')}"], place.under("no", "such")),
            (["serve", "--into", f"dir:{file}"], file), (["serve", "--into", f"sqlite:{place.path}"], "Is a directory"),
            (["serve", "--into", f"sqlite:{place.under('no', 'such')}"], "directory does not exist")):
        env = {**os.environ, "XDG_STATE_HOME": place.state}
        answer = call(*args, env=env)
        assert answer.code == 2 and said in answer.err and answer.out == "", (args, said, answer)
        assert "lastbyte" in answer.err, (args, answer)
    same(call().code, 2)


@test("the value of an option may follow = or come after the operands, and -- ends the options")
def _(place):
    server = place.serve()
    place.send(place.file("x", CONTENT), server.address, "--name=y", "--quiet").exits(0)
    os.chdir(place.path)
    place.file("--json", CONTENT)
    place.send("--", "--json", server.address).exits(0)
    same(place.visible(), ["--json", "y"])
    os.chdir("/")


@test("what cannot be read is said before anything is connected")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address)
    good = place.file("good", CONTENT)
    for bad in (place.under("missing"), place.path):
        answer = place.send(good, bad, proxy.address).exits(2)
        assert bad in answer.err, answer
    same(bytes(proxy.up), b"", "what was sent")


@test("a named pipe and /dev/null are sent like standard input")
def _(place):
    server = place.serve()
    os.mkfifo(place.under("pipe"))
    process = place.start("send", place.under("pipe"), server.address)
    until("it is being delivered", place.parts)
    with open(place.under("pipe"), "wb") as pipe:
        pipe.write(CONTENT)
    Answer(process).exits(0)
    place.send("/dev/null", server.address).exits(0)
    same(place.read("pipe"), CONTENT)
    same(place.read("null"), b"")


@test("standard input that is closed is an error, and not an empty file")
def _(place):
    server = place.serve()
    process = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&-', "sh", COMMAND, "send", "--state", place.state, "--name", "x", "-",
                                server.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answer = Answer(process).exits(4)
    assert "could not be read: Bad file descriptor" in answer.err, answer
    same(place.visible(), [])


@test("standard input that is a file is sent from where it stands")
def _(place):
    server = place.serve()
    with open(place.file("x", CONTENT), "rb") as file:
        os.lseek(file.fileno(), 1000, os.SEEK_SET)
        Answer(place.start("send", "--name", "x", "-", server.address, stdin=file)).exits(0)
    same(place.read("x"), CONTENT[1000:])


@test("that results cannot be written is said once, and the exit code is still the deliveries'")
def _(place):
    server = place.serve()
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([COMMAND, "send", "--state", place.state, place.file("x", CONTENT),
                                    place.file("y"), server.address], stdin=subprocess.DEVNULL,
                                   stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate()
    same(process.returncode, 0)
    same(err.count(b"could not be written"), 1)
    same(place.visible(), ["x", "y"])


def on_terminal(place, columns, *options):
    """What a terminal gets from a send that is held up in the middle; standard output is a pipe."""
    server = place.serve()
    proxy = place.proxy(server.address, up=1 << 20, how="hold")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    path = place.file("x", os.urandom(16 << 20))
    process = subprocess.Popen([COMMAND, "send", "--state", place.state, *options, path, proxy.address],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
                               env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    assert proxy.held.wait(60)
    held = time.monotonic()
    until("a bar is due", lambda: time.monotonic() > held + 0.3)
    proxy.release()
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the terminal's other side is closed
            break
        if not data:
            break
        seen += data
    os.close(ours)
    same(process.wait(60), 0)
    assert process.stdout.read().startswith(b"committed ")
    process.stdout.close()
    return seen.decode()


@test("on a terminal there is a progress bar with bytes, rate and time left, and it is cleared")
def _(place):
    seen = on_terminal(place, 80)
    drawn = [line for line in seen.split("\r") if line.strip("\x1b[K")]
    assert drawn, repr(seen)
    for line in drawn:
        assert re.fullmatch(r"\[=*>? *\]  [\d.]+ [KM]?i?B  [\d.]+ [KMG]?i?B/s  +\d+ %  [\d:]+ left\x1b\[K", line), repr(line)
        assert len(line) - 3 < 80, repr(line)
    assert seen.endswith("\r\x1b[K"), repr(seen)


@test("the progress bar fits a narrow terminal")
def _(place):
    for line in on_terminal(place, 20).split("\r"):
        assert len(line.replace("\x1b[K", "")) < 20, repr(line)


@test("--quiet: no progress bar")
def _(place):
    same(on_terminal(place, 80, "--quiet"), "")


@test("the default state directory is XDG_STATE_HOME's or the home directory's, and private")
def _(place):
    server = place.serve()
    path = place.file("x", CONTENT)
    for env, wanted in (({"XDG_STATE_HOME": place.under("xdg")}, place.under("xdg", "lastbyte")),
                        ({"XDG_STATE_HOME": "", "HOME": place.under("home")}, place.under("home", ".local", "state", "lastbyte"))):
        os.makedirs(place.under("home"), exist_ok=True)
        name = os.path.relpath(wanted, place.path).replace("/", "-")
        call("send", "--name", name, path, server.address, env={**os.environ, **env}).exits(0)
        assert os.listdir(wanted), wanted
        same(os.stat(wanted).st_mode & 0o077, 0)


run()
