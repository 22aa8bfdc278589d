# SPDX-License-Identifier: MIT
"""Signals, and where a server may listen and store."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from libnet import COMMAND, Answer, Skip, call, run, same, stop, test, until
from libwire import Wire, frames

CONTENT = os.urandom(300000)
FLOOD = 3000  # lines: more than a pipe and the server hold


def begin_slowly(place, server, name="x", address=None):
    process = place.start("send", "--name", name, "-", address or server.address, stdin=subprocess.PIPE)
    process.stdin.write(CONTENT)
    process.stdin.flush()
    until("it has come", lambda: [part for part in place.parts() if os.path.getsize(part) > 0])
    return process


@test("SIGTERM to an idle server: exit 0, and nobody is listened to any more")
def _(place):
    server = place.serve()
    server.signal()
    same(server.wait(), 0)
    place.send(place.file("x", CONTENT), server.address).exits(4)


@test("SIGTERM while a delivery is open: it may finish, a new connection is not taken, then exit 0")
def _(place):
    server = place.serve()
    process = begin_slowly(place, server)
    server.signal()
    until("the listener is closed", lambda: refused(server.address))
    Answer(process, b"the end").exits(0)
    same(server.wait(), 0)
    same(place.read("x"), CONTENT + b"the end")


def refused(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it fell between the last accept and the close
    return False


@test("SIGTERM while a delivery is open that does not end: rolled back after --drain-timeout, exit 0 and 4")
def _(place):
    server = place.serve("--drain-timeout", "300ms")
    process = begin_slowly(place, server)
    server.signal()
    same(server.wait(), 0)
    answer = Answer(process).exits(4)
    same(place.visible(), [])
    same(place.committed(), [])
    again = place.serve()
    place.resolve(answer.id, again.address).exits(1)


@test("a second SIGTERM ends the server at once, and what was open is rolled back by the next one")
def _(place):
    server = place.serve("--drain-timeout", "1h")
    process = begin_slowly(place, server)
    server.signal()
    until("the listener is closed", lambda: refused(server.address))
    server.signal()
    same(server.wait(), 128 + signal.SIGTERM)
    Answer(process).exits(4)
    place.serve()
    same(place.visible(), [])
    same(place.parts(), [])


@test("SIGINT stops a server as SIGTERM does")
def _(place):
    server = place.serve()
    server.signal(signal.SIGINT)
    same(server.wait(), 0)


@test("SIGINT to send before COMMIT: ROLLBACK is sent, exit 1, and it never commits")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address)
    process = begin_slowly(place, server, address=proxy.address)
    process.send_signal(signal.SIGINT)
    answer = Answer(process).exits(1)
    assert "ROLLBACK" in [kind for _, kind, _, _ in frames(proxy.up)], frames(proxy.up)
    same(server.event(lambda event: event.get("name") == "x")["verdict"], "rolled_back")
    same(place.parts(), [])
    same(place.visible(), [])
    place.resolve(answer.id, server.address).exits(1)


def mute(place):
    """Something that listens and says nothing; it, and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    place.stack.callback(listener.close)
    return listener, "127.0.0.1:%d" % listener.getsockname()[1]


@test("SIGINT to send while the server has said nothing yet: exit 1, and to resolve: exit 3")
def _(place):
    listener, address = mute(place)
    for command, what, code in (("send", place.file("x", CONTENT), 1), ("resolve", "0123456789abcdef0123456789abcdef:1", 3)):
        process = place.start(command, what, address)
        connection, _ = listener.accept()
        assert connection.recv(1)
        process.send_signal(signal.SIGINT)
        Answer(process).exits(code)
        connection.close()


@test("--deadline passes while the server has said nothing yet: send exits 4, resolve 3")
def _(place):
    _, address = mute(place)
    answer = place.send("--deadline", "200ms", place.file("x", CONTENT), address).exits(4)
    assert answer.err.startswith("not_committed - x: the deadline passed"), answer
    place.resolve("--deadline", "200ms", "0123456789abcdef0123456789abcdef:1", address).exits(3)


@test("a server of another protocol: send exits 4, and says that it is one")
def _(place):
    listener, address = mute(place)
    process = place.start("send", place.file("x", CONTENT), address)
    connection, _ = listener.accept()
    connection.sendall(b"220 mail.example ESMTP\r\n")
    answer = Answer(process).exits(4)
    connection.close()
    same(answer.err, "not_committed - x: the other end does not follow the protocol\n")


@test("SIGTERM to send with several files: the open one is rolled back, the others are not begun")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=150000, how="hold")
    paths = [place.file(f"many/{name}", os.urandom(20000 if name == "a" else 8 << 20)) for name in "abc"]
    process = place.start("send", "--json", *paths, proxy.address)
    assert proxy.held.wait(60)
    until("the first one is committed", lambda: place.visible() == ["a"])
    process.send_signal(signal.SIGTERM)
    proxy.release()
    answer = Answer(process).exits(1)
    same([(result["name"], result["verdict"]) for result in answer.objects],
         [("a", "committed"), ("b", "rolled_back"), ("c", "rolled_back")])
    same(place.visible(), ["a"])


@test("SIGINT to send after COMMIT: exit 3, and resolve tells")
def _(place):
    server = place.serve()
    probe = place.proxy(server.address)
    place.send(place.file("p", b""), probe.address).exits(0)
    heard = next(end for end, kind, _, _ in frames(probe.down) if kind == "BEGIN_OK")
    proxy = place.proxy(server.address, down=heard, how="hold")
    process = place.start("send", place.file("x", CONTENT), proxy.address)
    until("it is committed", lambda: "x" in place.visible())
    process.send_signal(signal.SIGINT)
    answer = Answer(process).exits(3)
    told = place.resolve(answer.id, server.address).exits(0)
    assert told.out.startswith(f"committed {answer.id} x {len(CONTENT)} "), told


@test("a signal that is ignored from the start, as under nohup, is ignored")
def _(place):
    server = place.serve()
    script = place.file("nohup", f'#!/bin/sh\ntrap "" HUP\nexec {COMMAND} "$@"\n'.encode())
    os.chmod(script, 0o755)
    process = place.start("send", "--name", "x", "-", server.address, stdin=subprocess.PIPE, binary=script)
    until("it is being delivered", place.parts)
    process.send_signal(signal.SIGHUP)
    Answer(process, CONTENT).exits(0)


@test("a second server on the same directory is refused, and says that there is one")
def _(place):
    server = place.serve()
    answer = call("serve", "--listen", "127.0.0.1:0", "--into", f"dir:{place.inbox}").exits(2)
    assert place.inbox in answer.err, answer
    place.send(place.file("x", CONTENT), server.address).exits(0)


@test("a port that is taken: exit 2, and it says which")
def _(place):
    server = place.serve()
    answer = call("serve", "--listen", server.address, "--into", f"dir:{place.under('other')}").exits(2)
    assert server.address in answer.err, answer


@test("an address that is not loopback needs --insecure, and the error says why")
def _(place):
    for address in ("0.0.0.0:0", "[::]:0"):
        answer = call("serve", "--listen", address, "--into", f"dir:{place.inbox}").exits(2)
        assert "--insecure" in answer.err and "encrypted" in answer.err, answer
    server = place.serve("--insecure", listen="0.0.0.0:0")
    place.send(place.file("x", CONTENT), f"127.0.0.1:{server.port}").exits(0)


@test("IPv6, in brackets")
def _(place):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        raise Skip(f"no IPv6 here: {error}") from error
    server = place.serve(listen="[::1]:0")
    same(server.address, f"[::1]:{server.port}")
    place.send(place.file("x", CONTENT), server.address).exits(0)
    same(place.visible(), ["x"])


@test("a name: all its addresses are tried")
def _(place):
    server = place.serve()
    place.send(place.file("x", CONTENT), f"localhost:{server.port}").exits(0)


@test("the server says what it does on standard error, a line for each delivery")
def _(place):
    process = subprocess.Popen([COMMAND, "serve", "--listen", "127.0.0.1:0", "--into", f"dir:{place.inbox}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    place.stack.callback(process.kill)
    ready = process.stderr.readline().decode().split()
    same(ready[:2] + ready[3:], ["listening", "on", "into", f"dir:{place.inbox}"])
    address = ready[2].rstrip(",")
    sent = place.send("--name", "a \u00e4", place.file("x", CONTENT), address).exits(0)
    line = process.stderr.readline().decode()
    same(line.split()[:4], ["committed", sent.id, "a", "\u00e4"])
    assert line.endswith("s close_ok\n"), line
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    same((process.returncode, out, err), (0, b"", b""))


@test("whoever reads the server's lines may go away: it serves on")
def _(place):
    process = subprocess.Popen([COMMAND, "serve", "--listen", "127.0.0.1:0", "--into", f"dir:{place.inbox}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    place.stack.callback(process.kill)
    address = process.stderr.readline().decode().split()[2].rstrip(",")
    process.stderr.close()
    process.stderr = None
    for name in "ab":
        place.send(place.file(name, CONTENT), address).exits(0)
    process.send_signal(signal.SIGTERM)
    same(process.wait(60), 0)


def unread(place):
    """A server, and its address, of whose lines nobody reads more than the first; many were to be there by now."""
    process = subprocess.Popen([COMMAND, "serve", "--json", "--listen", "127.0.0.1:0", "--into", f"dir:{place.inbox}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    place.stack.callback(stop, process)
    event = json.loads(process.stdout.readline())
    address = f"{event['address']}:{event['port']}"
    with Wire(address) as wire:
        wire.greet()
        for _ in range(FLOOD // 100):
            wire.say(*(wire.begin_bytes("no/name") for _ in range(100)))
            for _ in range(100):
                same(wire.refused(), "bad_name")
    return process, address


@test("nobody reads the server's lines: it serves on, and SIGTERM stops it")
def _(place):
    process, address = unread(place)
    place.send(place.file("x", CONTENT), address).exits(0)
    same(place.visible(), ["x"])
    process.send_signal(signal.SIGTERM)
    same(process.wait(60), 0)


@test("who reads the server's lines slowly does not hold up its end for ever, and standard error says what is lost")
def _(place):
    process, address = unread(place)
    process.send_signal(signal.SIGTERM)
    taken = b""
    for _ in range(90):
        taken += os.read(process.stdout.fileno(), 2048)
        with contextlib.suppress(subprocess.TimeoutExpired):
            same(process.wait(0.2), 0)
            break
    assert process.returncode == 0, f"it waits for every line: {len(taken)} bytes so far"
    left, said = process.communicate()
    events = [json.loads(line) for line in (taken + left).splitlines(keepends=True) if line.endswith(b"\n")]
    printed = sum(event["event"] == "delivery" for event in events)
    lost = int(re.search(r"(\d+) lines are lost", said.decode())[1]) + sum(event.get("lines", 0) for event in events)
    assert FLOOD <= printed + lost <= FLOOD + 1, (printed, lost)


@test("who reads the server's lines again is told how many are lost, and gets the later ones")
def _(place):
    process, address = unread(place)
    read, lost = 0, 0
    process.send_signal(signal.SIGTERM)
    for line in process.stdout:
        event = json.loads(line)
        read += event["event"] == "delivery"
        lost += event["lines"] if event["event"] == "lost" else 0
    same(process.wait(60), 0)
    assert lost > 0, read
    same(read + lost, FLOOD)


run()
