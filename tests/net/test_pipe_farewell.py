#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lastbyte pipe --farewell: only the expected answer, after the farewell, is one."""
import json
import os
import signal
import socket
import subprocess
from libnet import COMMAND, PATIENCE, call, reset, run, same, test, until
from libpipe import Peer, Piped, pipe, start

QUIT = ("--farewell", r"QUIT\r\n", "--expect", r"+OK bye\r\n")
ANSWER = b"+OK bye\r\n"


def speaker(*pieces, then=lambda peer: peer.read()):
    """A peer that reads up to QUIT and says the pieces, each in a segment of its own; then, by default, waits for our end."""

    def play(peer):
        peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not peer.got.endswith(b"QUIT\r\n"):
            peer.read(1)
            assert not peer.ended, bytes(peer.got)
        for piece in pieces:
            peer.send(piece)
        then(peer)
    return play


def leave(peer):
    """It ends at once."""


@test("the farewell follows standard input, our end follows the answer, and what comes before it is the reply")
def _(place):
    content = os.urandom(300000)
    peer = Peer(place, speaker(b"text\r\n", ANSWER))
    done = pipe(place, peer, content, *QUIT).exits(0, "ended")
    same(done.out, b"text\r\n")
    same(done.counts, (300006, 300006, 0))
    assert done.how.startswith("close_ok by self in"), done
    same(bytes(peer.over().got), content + b"QUIT\r\n")
    same(peer.ended, "fin")


@test("the answer may be split anywhere")
def _(place):
    text = b"+OK b+OK\r\n"
    whole = text + ANSWER
    for at in range(len(whole) + 1):
        peer = Peer(place, speaker(whole[:at], whole[at:]))
        same(pipe(place, peer, b"x", *QUIT).exits(0, "ended").out, text, at)
    peer = Peer(place, speaker(*(whole[i:i + 1] for i in range(len(whole)))))
    same(pipe(place, peer, b"x", *QUIT).exits(0, "ended").out, text)


@test("any bytes can be said and expected")
def _(place):
    def play(peer):
        peer.read(11)
        peer.send(b"\0\n\\'\xdaA")
        peer.read()

    peer = Peer(place, play)
    pipe(place, peer, b"", "--farewell", r"\0\377\x0d\x0Dz\101\1012\a\\\"", "--expect", "\\0\\n\\\\\\'\\xdaA").exits(0, "ended")
    same(bytes(peer.over().got), b"\0\xff\x0d\x0dzAA2\x07\\\"")


@test("what follows the answer is thrown away, and says so")
def _(place):
    peer = Peer(place, speaker(b"221 2.0.0 Bye\r\n", then=leave))
    done = pipe(place, peer, b"x", "--farewell", r"QUIT\r\n", "--expect", "221").exits(0, "ended")
    same(done.out, b"")
    assert "12 more were thrown away" in done.err, done


@test("another answer is none: exit 1, and what was said is there")
def _(place):
    peer = Peer(place, speaker(b"-ERR no\r\n", then=leave))
    done = pipe(place, peer, b"x", *QUIT).exits(1, "cut")
    same(done.out, b"-ERR no\r\n")
    same(done.how, "fin by peer in close_sent")


@test("half an answer is none, and is not swallowed")
def _(place):
    peer = Peer(place, speaker(ANSWER[:-1], then=leave))
    done = pipe(place, peer, b"x", *QUIT).exits(1, "cut")
    same(done.out, ANSWER[:-1])
    same(done.how, "fin by peer in close_sent")


@test("an end without an answer is none, nor is a reset")
def _(place):
    peer = Peer(place, speaker(then=leave))
    done = pipe(place, peer, b"x", *QUIT).exits(1, "cut")
    same((done.out, done.how), (b"", "fin by peer in close_sent"))
    peer = Peer(place, speaker(then=lambda peer: reset(peer.connection)))
    done = pipe(place, peer, b"x", *QUIT).exits(1, "cut")
    same((done.out, done.how), (b"", "rst by peer in close_sent"))


@test("what was said before the farewell answers nothing")
def _(place):
    def play(peer):
        peer.send(ANSWER)
        peer.read(7)

    peer = Peer(place, play)
    process = start(place, *QUIT, peer.address)
    same(process.stdout.read(len(ANSWER)), ANSWER)
    process.stdin.write(b"x")
    process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(1, "cut")
    same(done.how, "fin by peer in close_sent")


@test("a peer that is silent: exit 3 at the deadline, exit 1 for SIGINT")
def _(place):
    peer = Peer(place, speaker(ANSWER[:4], then=lambda peer: (peer.wait(), peer.read())))
    done = pipe(place, peer, b"x", *QUIT, "--deadline", "500ms").exits(3, "unproven")
    same((done.out, done.counts), (ANSWER[:4], (7, 7, 0)))
    same(done.how, "timeout by self in close_sent")
    peer.go.set()
    peer = Peer(place, speaker(then=lambda peer: (peer.wait(), peer.read())))
    process = start(place, *QUIT, peer.address)
    process.stdin.write(b"x")
    process.stdin.close()
    process.stdin = None
    until("it was said", lambda: peer.got.endswith(b"QUIT\r\n"))
    process.send_signal(signal.SIGINT)
    done = Piped(process).exits(1, "cut")
    same(done.how, "local_abort by self in close_sent")


@test("an input that does not end is followed by no farewell, but by a reset")
def _(place):
    for how in "deadline", "signal":
        peer = Peer(place, Peer.read)
        process = start(place, *QUIT, *(["--deadline", "500ms"] if how == "deadline" else []), peer.address)
        process.stdin.write(b"half of it")
        process.stdin.flush()
        until("it has come", lambda: len(peer.got) == 10)
        if how == "signal":
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdin.close()
        process.stdin = None
        done = Piped(process)
        same((done.code, done.line[1]), (3, "unproven") if how == "deadline" else (1, "lost"))
        same((bytes(peer.over().got), peer.ended), (b"half of it", "rst"))


@test("a long reply before the answer waits for a slow standard output, and the deadline does not")
def _(place):
    reply = os.urandom(8 << 20)
    peer = Peer(place, speaker(reply, ANSWER))
    process = start(place, *QUIT, peer.address)
    process.stdin.write(b"x")
    process.stdin.close()
    until("it was said", lambda: peer.got.endswith(b"QUIT\r\n"))
    same(process.stdout.read(), reply)
    process.stdin = None
    Piped(process).exits(0, "ended")
    peer = Peer(place, speaker(reply, ANSWER))
    process = start(place, *QUIT, "--deadline", "500ms", peer.address)
    process.stdin.write(b"x")
    process.stdin.close()
    same(process.wait(PATIENCE), 3)
    process.stdin = None
    Piped(process).exits(3, "unproven")


@test("a standard output that is gone: the answer is heard, and exit 1 says what of the reply was not written")
def _(place):
    peer = Peer(place, speaker(b"text", ANSWER))
    with open("/dev/full", "wb") as full:
        done = pipe(place, peer, b"x", *QUIT, stdout=full).exits(1, "cut")
    assert done.how.startswith("close_ok") and "4 more were not written: No space left on device" in done.err, done


@test("the policy ends what was answered: just close")
def _(place):
    for policy in ("plain", "finish", "acked", "drain"):
        peer = Peer(place, speaker(ANSWER))
        done = pipe(place, peer, b"x", *QUIT, "--policy", policy).exits(0, "ended")
        assert done.how.startswith("close_ok by self in"), done
        same(peer.over().ended, "fin")


@test("--json says whether it was answered")
def _(place):
    for pieces, answered in (((ANSWER,), True), ((), False)):
        peer = Peer(place, speaker(*pieces, then=leave))
        done = subprocess.run([COMMAND, "pipe", "--json", *QUIT, peer.address], input=b"x", capture_output=True, timeout=PATIENCE)
        result = json.loads(done.stderr)
        same((done.returncode, result["answered"], result["ended"]),
             (0, True, "close_ok") if answered else (1, False, "fin"))


@test("what is no escape, or only one of the two, is a usage error")
def _(place):
    for args, said in (
            ((r"a\q", "x"), r"--farewell a\q: '\q' is no escape"), (("x", "\\"), r"--expect \: '\' is no escape"),
            ((r"\xg", "x"), r"'\x' is no escape"), ((r"\400", "x"), r"'\400' is no escape"), ((r"\8", "x"), r"'\8' is no escape"),
            (("", "x"), "--farewell needs at least one byte"), (("x", ""), "--expect needs at least one byte"),
            (("x", None), "need each other"), ((None, "x"), "need each other")):
        options = [part for name, value in zip(("--farewell", "--expect"), args) if value is not None for part in (name, value)]
        done = call("pipe", *options, "127.0.0.1:1").exits(2)
        assert said in done.err and "lastbyte help pipe" in done.err, (args, done)


run()
