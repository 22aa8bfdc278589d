#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""lastbyte pipe against every kind of peer: what got through, and whether the exit code says so."""
import contextlib
import hashlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import tty
from libnet import PATIENCE, SANITIZED, reset, run, same, test, until
from libpipe import Peer, Piped, feed, pipe, replies, start

BIG = 64 << 20


@test("a peer that reads all and replies: exit 0, the reply, and one line")
def _(place):
    content = os.urandom(300000)
    peer = Peer(place, replies(b"thanks\n"))
    done = pipe(place, peer, content).exits(0, "ended")
    same(done.out, b"thanks\n")
    same(done.counts, (300000, 300000, 0))
    same(done.how, "fin by peer in done")
    same(peer.over().got, content)
    same(peer.ended, "fin")


@test("nothing both ways is a success, too")
def _(place):
    peer = Peer(place, replies(b""))
    done = pipe(place, peer, b"").exits(0, "ended")
    same((done.out, done.counts), (b"", (0, 0, 0)))


@test("64 MiB each way, at the same time, arrive as they were")
def _(place):
    def echo(peer):
        while data := peer.connection.recv(1 << 18):
            peer.send(data)

    content = os.urandom(BIG)
    peer = Peer(place, echo)
    done = pipe(place, peer, content).exits(0, "ended")
    same(hashlib.sha256(done.out).hexdigest(), hashlib.sha256(content).hexdigest())
    same(done.counts, (BIG, BIG, 0))


@test("a peer that reads only once its 64 MiB of reply are taken keeps nobody waiting, nor does a file as input")
def _(place):
    reply = os.urandom(BIG)

    def play(peer):
        peer.send(reply)
        peer.read()

    content = os.urandom(BIG)
    peer = Peer(place, play)
    with open(place.file("input", content), "rb") as file, open(place.under("output"), "wb") as output:
        done = Piped(start(place, peer.address, stdin=file, stdout=output)).exits(0, "ended")
    same(done.counts, (BIG, BIG, 0))
    same(hashlib.sha256(peer.over().got).hexdigest(), hashlib.sha256(content).hexdigest())
    with open(place.under("output"), "rb") as output:
        same(hashlib.sha256(output.read()).hexdigest(), hashlib.sha256(reply).hexdigest())


@test("a standard output that nobody reads yet does not hold up what is sent, and costs no memory")
def _(place):
    reply = os.urandom(8 << 20)

    def play(peer):
        writer = threading.Thread(target=peer.send, args=(reply,), daemon=True)
        writer.start()
        peer.read()
        writer.join(PATIENCE)

    content = os.urandom(BIG)
    for kind in ("pipe", "socket", "terminal"):
        peer = Peer(place, play)
        if kind == "socket":
            ours, theirs = (end.detach() for end in socket.socketpair())
        else:
            ours, theirs = os.pipe() if kind == "pipe" else pty.openpty()
        if kind == "terminal":
            tty.setraw(theirs)
        process = start(place, peer.address, stdout=theirs)
        os.close(theirs)
        feed(process, content)
        until("the peer has everything", lambda: peer.ended)
        same(hashlib.sha256(peer.got).hexdigest(), hashlib.sha256(content).hexdigest(), kind)
        if not SANITIZED:
            with open(f"/proc/{process.pid}/status") as status:
                peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])
            assert peak < 16 << 10, f"{peak} kB"
        got = bytearray()
        while len(got) < len(reply):
            data = os.read(ours, 1 << 20)
            assert data, (kind, len(got))
            got += data
        same(hashlib.sha256(got).hexdigest(), hashlib.sha256(reply).hexdigest(), kind)
        Piped(process).exits(0, "ended")
        os.close(ours)


@test("a peer that takes what is sent slowly gets all of it, and its reply is read meanwhile")
def _(place):
    reply = os.urandom(8 << 20)

    def play(peer):
        peer.send(reply)
        peer.wait()
        peer.read()

    peer = Peer(place, play)
    process = start(place, peer.address)
    content = os.urandom(8 << 20)
    feed(process, content)
    same(process.stdout.read(len(reply)), reply)
    peer.go.set()
    Piped(process).exits(0, "ended")
    same(peer.over().got, content)


@test("a peer that replies late is waited for")
def _(place):
    def play(peer):
        peer.read()
        peer.wait()
        peer.send(b"late")

    peer = Peer(place, play)
    process = start(place, peer.address)
    process.stdin.write(b"question")
    process.stdin.close()
    until("it has the question", lambda: peer.ended)
    same(bytes(peer.got), b"question")
    peer.go.set()
    process.stdin = None
    done = Piped(process).exits(0, "ended")
    same(done.out, b"late")


@test("a peer that reads nothing and closes: exit 1, whether its kernel had all of it or not")
def _(place):
    def play(peer):
        poll = select.poll()
        poll.register(peer.connection, select.POLLIN)
        poll.poll(PATIENCE * 1000)
        peer.wait()

    peer = Peer(place, play)
    process = start(place, peer.address)
    process.stdin.write(b"x" * 5000)
    process.stdin.close()
    process.stdin = None
    until("it is there", lambda: hasattr(peer, "connection"))
    peer.wait_for_fin()
    peer.go.set()
    done = Piped(process).exits(1, "cut")
    same(done.counts, (5000, 5000, 0))
    assert done.how.startswith("rst by peer in ") and "may have read less" in done.err, done

    peer = Peer(place, play)
    peer.go.set()
    done = pipe(place, peer, bytes(BIG)).exits(1, "lost")
    accepted, acked, lost = done.counts
    # its kernel may have acked all that ours took before it closed: then what is missing was never taken
    assert acked + lost == accepted < BIG, done
    assert "not read to its end" in done.err or "read and not sent" in done.err, done


@test("a peer that resets in the middle: exit 1, and how many bytes are acked and lost")
def _(place):
    def play(peer):
        peer.read(1 << 20)
        reset(peer.connection)

    peer = Peer(place, play)
    done = pipe(place, peer, bytes(BIG)).exits(1, "lost")
    accepted, acked, lost = done.counts
    same(acked + lost, accepted)
    # what the peer read last may have been acked by its RST alone, which acks nothing
    assert 1 << 19 <= acked <= accepted < BIG and done.line[8] == "rst", done


@test("a peer that ends first and then resets is noticed while there is nothing to send")
def _(place):
    def play(peer):
        peer.send(b"x")
        peer.connection.shutdown(socket.SHUT_WR)
        peer.wait()
        reset(peer.connection)

    peer = Peer(place, play)
    process = start(place, peer.address)
    same(process.stdout.read(1), b"x")
    peer.go.set()
    same(process.wait(PATIENCE), 1)
    process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(1, "lost")
    same(done.how, "rst by peer in data")


@test("a peer that resets while there is nothing to send is noticed at once")
def _(place):
    def play(peer):
        peer.read(4)
        reset(peer.connection)

    peer = Peer(place, play)
    process = start(place, peer.address)
    process.stdin.write(b"ping")
    process.stdin.flush()
    same(process.wait(PATIENCE), 1)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(1, "lost")
    assert done.line[8] == "rst" and "not read to its end" in done.err, done


@test("a reply that is cut: exit 1, and what came of it is there")
def _(place):
    def play(peer):
        peer.read()
        peer.send(b"x" * 1000)
        peer.wait()
        reset(peer.connection)

    peer = Peer(place, play)
    process = start(place, peer.address)
    process.stdin.write(b"question")
    process.stdin.close()
    same(process.stdout.read(1000), b"x" * 1000)
    peer.go.set()
    process.stdin = None
    done = Piped(process).exits(1, "cut")
    same(done.counts, (8, 8, 0))
    assert done.line[8] == "rst" and "not to its end" in done.err, done


@test("a reply whose reset a send has already told is cut, and no end")
def _(place):
    def play(peer):
        peer.send(b"x" * 1000)
        peer.wait()
        reset(peer.connection)

    peer = Peer(place, play)
    process = start(place, peer.address)
    same(process.stdout.read(1000), b"x" * 1000)
    process.send_signal(signal.SIGSTOP)
    process.stdin.write(b"question")
    process.stdin.flush()
    peer.go.set()
    peer.over()
    process.send_signal(signal.SIGCONT)
    same(process.wait(PATIENCE), 1)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None
    done = Piped(process)
    assert done.code == 1 and done.line[8] == "rst" and "not to its end" in done.err, done


@test("a peer that ended before it read proves nothing: exit 3, though all is acked")
def _(place):
    ended = threading.Event()

    def play(peer):
        peer.send(b"early")
        peer.connection.shutdown(socket.SHUT_WR)
        ended.set()
        peer.read()

    peer = Peer(place, play)
    process = start(place, peer.address)
    same(process.stdout.read(5), b"early")
    assert ended.wait(PATIENCE)  # over loopback its end has arrived with that
    process.stdin.write(b"x" * 100000)
    process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(3, "unproven")
    same(done.counts, (100000, 100000, 0))
    assert "ended before it had every byte" in done.err, done
    same(len(peer.over().got), 100000)


@test("a peer that ended while bytes were unacked is seen to have, however slow standard output is")
def _(place):
    reply = os.urandom(100000)

    def play(peer):
        peer.send(reply)
        peer.connection.shutdown(socket.SHUT_WR)
        peer.wait()
        peer.read()

    peer = Peer(place, play, small=True)
    process = start(place, peer.address)
    feed(process, bytes(40000))  # more than the peer has room for, less than our kernel has
    mine = f":{peer.port:04X} 0[9B] "  # LAST_ACK or CLOSING: our FIN is not acked, the peer's has come
    until("both have ended", lambda: re.search(mine, open("/proc/net/tcp").read()))
    until("it has been seen", lambda: open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()[0] == "S")
    peer.go.set()
    until("the peer has everything", lambda: peer.ended)
    same(process.stdout.read(), reply)
    done = Piped(process).exits(3, "unproven")
    same(done.counts, (40000, 40000, 0))


@test("a peer that talks first and is sent nothing: exit 0")
def _(place):
    def play(peer):
        peer.send(b"Sun Nov 22 00:00:00 2026\n")

    peer = Peer(place, play)
    process = start(place, peer.address, stdin=subprocess.DEVNULL)
    same(Piped(process).exits(0, "ended").out, b"Sun Nov 22 00:00:00 2026\n")


@test("a peer that never ends: exit 3 at the deadline, and what is acked stays acked")
def _(place):
    def play(peer):
        peer.read()
        peer.wait()

    peer = Peer(place, play)
    done = pipe(place, peer, b"x" * 1000, "--deadline", "300ms").exits(3, "unproven")
    same(done.counts, (1000, 1000, 0))
    same(done.how, "timeout by self in drain")
    same((len(peer.got), peer.ended), (1000, "fin"))


@test("a peer that never reads: exit 3 at the deadline, and it is reset")
def _(place):
    def play(peer):
        peer.wait()
        peer.read()

    peer = Peer(place, play)
    done = pipe(place, peer, bytes(BIG), "--deadline", "500ms").exits(3, "unproven")
    accepted, acked, lost = done.counts
    assert lost > 0 and acked + lost == accepted, done
    peer.go.set()
    same(peer.over().ended, "rst")


@test("an input that has not ended by the deadline must not look complete: the peer is reset, though all is acked")
def _(place):
    peer = Peer(place, Peer.read)
    process = start(place, "--deadline", "500ms", peer.address)
    process.stdin.write(b"half of it")
    process.stdin.flush()
    same(process.wait(PATIENCE), 3)
    process.stdin.close()
    process.stdin = None
    done = Piped(process).exits(3, "unproven")
    same(done.counts, (10, 10, 0))
    same(done.how, "timeout by self in data")
    same(peer.over().ended, "rst")


@test("the policies that do not wait for the peer's end never claim it")
def _(place):
    for policy in ("acked", "finish", "linger_finish", "linger", "plain", "abort"):
        peer = Peer(place, lambda peer: (peer.read(), peer.wait()))
        done = pipe(place, peer, b"x" * 1000, "--policy", policy, "--deadline", "20s")
        peer.go.set()
        peer.over()
        if policy == "abort":
            assert done.code in (1, 3), done
            assert done.line[8] == "local_abort", done
            same(peer.ended, "rst")
        else:
            same(done.code, 3, done)
            same((len(peer.got), peer.ended), (1000, "fin"), policy)
    for policy in ("acked", "finish", "linger_finish", "linger", "plain", "abort"):
        def unread(peer):
            peer.send(b"stray")
            peer.wait()
            peer.read(1)

        peer = Peer(place, unread)
        done = pipe(place, peer, bytes(BIG), "--policy", policy, "--deadline", "500ms")
        assert done.code in (1, 3), done
        peer.go.set()


run()
