#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lastbyte pipe at our end: standard input and output, signals, addresses, JSON, and what people mistype."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
from pathlib import Path

from libnet import COMMAND, PATIENCE, Answer, Skip, call, run, same, test, until
from libpipe import KEYS, Peer, Piped, pipe, replies, start


@test("--json: one object on standard error, with the documented keys")
def _(place):
    peer = Peer(place, replies(b"thanks\n"))
    done = subprocess.run([COMMAND, "pipe", "--json", peer.address], input=b"x" * 1000, capture_output=True, timeout=PATIENCE)
    same((done.returncode, done.stdout), (0, b"thanks\n"))
    result = json.loads(done.stderr)
    same(list(result), KEYS)
    assert isinstance(result.pop("seconds"), float)
    same(result, {"result": "ended", "accepted": 1000, "acked": 1000, "lost": 0, "unsent": 0, "input_ended": True,
                  "reply": 7, "reply_lost": 0, "reply_ended": True, "answered": None, "ended": "fin", "by": "peer", "phase": "done", "error": None})


@test("SIGINT before the input has ended resets the connection: exit 1")
def _(place):
    peer = Peer(place, Peer.read)
    process = start(place, peer.address)
    process.stdin.write(b"half of it")
    process.stdin.flush()
    until("it has come", lambda: len(peer.got) == 10)
    process.send_signal(signal.SIGINT)
    same(process.wait(PATIENCE), 1)
    process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(1, "lost")
    same(done.how, "local_abort by self in data")
    same(peer.over().ended, "rst")


@test("SIGTERM while the reply is waited for takes nothing from the peer: exit 1, all acked")
def _(place):
    def play(peer):
        peer.read()
        peer.wait()

    peer = Peer(place, play)
    process = start(place, peer.address)
    process.stdin.write(b"question")
    process.stdin.close()
    process.stdin = None
    until("it has come to its end", lambda: peer.ended)
    process.send_signal(signal.SIGTERM)
    done = Piped(process).exits(1, "cut")
    same(done.counts, (8, 8, 0))
    assert done.how in ("local_abort by self in drain", "local_abort by self in flush"), done  # the FIN's ack may be delayed
    same((bytes(peer.got), peer.ended), (b"question", "fin"))


@test("an input that cannot be read on resets the connection: exit 1")
def _(place):
    peer = Peer(place, Peer.read)
    with open("/proc/self/mem", "rb") as broken:  # nothing is mapped at 0
        done = Piped(start(place, peer.address, stdin=broken)).exits(1, "lost")
    assert "standard input could not be read: Input/output error" in done.err, done
    same(peer.over().ended, "rst")


@test("when standard output is gone, sending goes on, the reply is thrown away, and the exit code is 1")
def _(place):
    def play(peer):
        peer.send(bytes(8 << 20))
        peer.read()

    for output in ("closed", "full"):
        peer = Peer(place, play)
        content = os.urandom(8 << 20)
        if output == "full":
            theirs = os.open("/dev/full", os.O_WRONLY)
        else:
            ours, theirs = os.pipe()
            os.close(ours)
        process = start(place, peer.address, stdout=theirs)
        os.close(theirs)
        done = Piped(process, content).exits(1, "cut")
        same(done.counts, (len(content),) * 2 + (0,), output)
        same(done.line[6], "0")
        assert f"{8 << 20} more were not written: " + ("Broken pipe" if output == "closed" else "No space left") in done.err, done
        same(peer.over().got, content)


@test("a reply that ends early in a pipeline does not end what is sent")
def _(place):
    def echo(peer):
        while data := peer.connection.recv(1 << 18):
            peer.got += data
            peer.send(data)

    peer = Peer(place, echo)
    command = f"head -c {16 << 20} /dev/zero | {COMMAND} pipe {peer.address} | head -c 10; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=PATIENCE)
    same(done.stdout, bytes(10) + b"1\n", done.stderr)
    same(len(peer.over().got), 16 << 20)


@test("a standard output that others share stays as it is")
def _(place):
    ours, theirs = os.pipe()
    peer = Peer(place, replies(b"reply"))
    process = start(place, peer.address, stdin=subprocess.DEVNULL, stdout=theirs)
    Piped(process).exits(0, "ended")
    same(fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK, 0)
    os.close(theirs)
    same(os.read(ours, 100), b"reply")
    os.close(ours)


@test("a socket as standard input and output")
def _(place):
    ours, theirs = socket.socketpair()
    reply = os.urandom(1 << 20)
    peer = Peer(place, replies(reply))
    process = start(place, peer.address, stdin=theirs, stdout=theirs)
    theirs.close()
    ours.sendall(b"question")
    ours.shutdown(socket.SHUT_WR)
    got = bytearray()
    while data := ours.recv(65536):
        got += data
    same(got, reply)
    Piped(process).exits(0, "ended")
    same(bytes(peer.over().got), b"question")
    ours.close()


@test("a terminal: a line goes out when it is typed, and ^D is the end")
def _(place):
    def play(peer):
        peer.read(6)
        peer.send(b"seen\n")
        peer.read()
        peer.send(b"bye\n")

    peer = Peer(place, play)
    ours, theirs = pty.openpty()
    process = start(place, peer.address, stdin=theirs, stdout=theirs)
    os.close(theirs)
    os.write(ours, b"hello\n")
    seen = b""
    while b"seen" not in seen:
        seen += os.read(ours, 100)
    os.write(ours, b"\x04")
    while b"bye" not in seen:
        seen += os.read(ours, 100)
    Piped(process).exits(0, "ended")
    os.close(ours)
    same(bytes(peer.over().got), b"hello\n")


@test("standard input that is a file is sent from where it stands")
def _(place):
    peer = Peer(place, replies(b""))
    with open(place.file("x", b"0123456789"), "rb") as file:
        os.lseek(file.fileno(), 4, os.SEEK_SET)
        Piped(start(place, peer.address, stdin=file)).exits(0, "ended")
    same(bytes(peer.over().got), b"456789")


@test("a refused connection: exit 4, with or without --json; a name that nobody knows, too")
def _(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
    refused = call("pipe", address).exits(4)
    same((refused.out, refused.err), ("", f"no_connection: {address}: Connection refused\n"))
    done = subprocess.run([COMMAND, "pipe", "--json", address], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    same(done.returncode, 4)
    result = json.loads(done.stderr)
    same(list(result), KEYS + ["why"])
    same((result["result"], result["error"], result["ended"], result["accepted"]),
         ("no_connection", "ECONNREFUSED", "no_connection", 0))
    unknown = call("pipe", "no-such-host.invalid:7000").exits(4)
    assert unknown.err.startswith("no_connection: no-such-host.invalid:7000: "), unknown


def blocks(process, number):
    """Whether a process has this signal blocked. Which others it has is the matter of whoever started us: nohup(1)."""
    mask = re.search(r"^SigBlk:\t([0-9a-f]+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(mask[1], 16) >> number - 1 & 1


@test("a connection that does not come about by the deadline: exit 4")
def _(place):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = []
        for _ in range(8):  # what the backlog has no room for goes on connecting
            held.append(socket.socket())
            held[-1].setblocking(False)
            held[-1].connect_ex(full.getsockname())
        address = "127.0.0.1:%d" % full.getsockname()[1]
        done = call("pipe", "--deadline", "300ms", address).exits(4)
        same(done.err, f"no_connection: {address}: no answer by the deadline\n")
        process = start(place, address)
        until("signals are waited for", lambda: blocks(process, signal.SIGINT))
        process.send_signal(signal.SIGINT)
        done = Answer(process).exits(4)
        same(done.err, f"no_connection: {address}: interrupted\n")
        for end in held:
            end.close()


@test("all addresses of a name are tried")
def _(place):
    hosts = place.file("hosts", b"127.0.0.1 both.test\n::1 both.test\n")
    inside = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
    if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
        raise Skip("no names of its own can be made here")
    for host in ("127.0.0.1", "::1"):
        peer = Peer(place, replies(b"here"), host)
        done = subprocess.run([*inside, COMMAND, "pipe", f"both.test:{peer.port}"], input=b"x", capture_output=True, timeout=PATIENCE)
        same((done.returncode, done.stdout), (0, b"here"), done.stderr)
        same(bytes(peer.over().got), b"x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = subprocess.run([*inside, COMMAND, "pipe", f"both.test:{port}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 4 and b"Connection refused" in done.stderr, done


@test("a connection to itself is none")
def _(place):
    script = 'ip link set lo up && echo "40000 40000" >/proc/sys/net/ipv4/ip_local_port_range && exec "$@" </dev/null'
    if subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", "true"], capture_output=True).returncode != 0:
        raise Skip("no network of its own can be made here")
    done = subprocess.run(["unshare", "-n", "sh", "-c", script, "sh", COMMAND, "pipe", "--deadline", "10s", "127.0.0.1:40000"],
                          capture_output=True, timeout=PATIENCE)
    same((done.returncode, done.stdout, done.stderr), (4, b"", b"no_connection: 127.0.0.1:40000: Connection refused\n"))


@test("every typing mistake is exit 2, says what is wrong, and connects to nothing")
def _(place):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        good = f"127.0.0.1:{port}"
        for args, said in (
                ([], "ADDR:PORT"), ([good, "more"], "ADDR:PORT"), (["127.0.0.1"], "needs a port"), (["127.0.0.1:0"], "needs a port"),
                (["127.0.0.1:"], "port is missing"), (["127.0.0.1:x"], "not a number"), (["127.0.0.1:65536"], "65535"),
                (["::1"], "brackets"), ([f":{port}"], "host is missing"), ([f"1.2.3:4:{port}"], "not a number"),
                (["--policy", "drian", good], "did you mean 'drain'"), (["--policy", "lingerfinish", good], "'linger_finish'"),
                (["--policy", "", good], "drain, acked, finish"), (["--policy", "frobnicate", good], "plain, abort\n"),
                (["--policy"], "needs a value"), (["--deadline", "5", good], "500ms"), (["--json=1", good], "takes no value"),
                (["--polcy", "drain", good], "no option --polcy"), (["-N", good], "no option -N")):
            done = call("pipe", *args).exits(2)
            assert said in done.err and "lastbyte help pipe" in done.err and done.out == "", (args, said, done)
        for shell, said in (('exec "$@" <&-', "it is closed"), ('exec "$@" </', "it is a directory"),
                            ('exec "$@" </dev/null 0>/dev/null', "it is closed")):
            done = subprocess.run(["sh", "-c", shell, "sh", COMMAND, "pipe", good], capture_output=True, timeout=PATIENCE)
            assert done.returncode == 2 and said in done.stderr.decode(), (shell, done)
        listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            listener.accept()
            raise AssertionError("it connected")
    assert "did you mean 'pipe'" in call("pip").exits(2).err


run()
