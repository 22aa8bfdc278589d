# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: a TAP runner, servers, sends, a proxy that cuts, and what the truth is."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

# What a sanitizer finds must not look like an exit code of the command's.
for tool in ("ASAN", "UBSAN", "TSAN", "LSAN"):
    os.environ.setdefault(f"{tool}_OPTIONS", "exitcode=99:halt_on_error=1")

PATIENCE = 60  # seconds until a test gives up waiting; never a measure of anything

COMMAND, TESTING = (os.path.abspath(path) for path in sys.argv[1:3])
SANITIZED = bool(os.environ.get("LASTBYTE_SANITIZED"))

TESTS = []


class Skip(Exception):
    """Raised by a test that cannot run here."""


def test(sentence):
    """Registers a function as the test of a sentence. It gets a directory of its own."""

    def register(function):
        TESTS.append((sentence, function))
        return function

    return register


def run():
    """Runs every registered test; prints TAP; exits."""
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, (sentence, function) in enumerate(TESTS, 1):
        directory = tempfile.mkdtemp(prefix="lastbyte-")
        skipped, trouble = "", None
        try:
            with contextlib.ExitStack() as stack:
                function(Place(directory, stack))
        except Skip as reason:
            skipped = f" # SKIP {reason}"
        except BaseException as exception:  # also KeyboardInterrupt: say which test it was
            trouble = exception
        failed += trouble is not None
        print(f"{'not ok' if trouble else 'ok'} {number} - {sentence}{skipped}")
        if trouble:
            for line in "".join(traceback.format_exception(trouble)).splitlines():
                print("#", line)
            if isinstance(trouble, KeyboardInterrupt):
                break
        sys.stdout.flush()
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if failed else 0)


def until(what, condition):
    """Waits for something that can be observed; returns it."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.005)


def until_stopped(process):
    """At LASTBYTE_STOP."""
    stat = pathlib.Path(f"/proc/{process.pid}/stat")
    until("it has stopped", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def same(got, wanted, what=""):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


class Place:
    """A test's directory, and everything that runs in it."""

    def __init__(self, path, stack):
        self.path, self.stack, self.proxies = path, stack, 0
        self.inbox = self.under("inbox")
        self.state = self.under("state")

    def under(self, *names):
        return os.path.join(self.path, *names)

    def file(self, name, content=b"some content\n"):
        path = self.under(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def serve(self, *options, **more):
        server = Server(self, options, **more)
        self.stack.callback(server.end)
        return server

    def proxy(self, target, **more):
        proxy = Proxy(target, **more)
        self.stack.callback(proxy.close)
        return proxy

    def start(self, *args, state=None, stdin=subprocess.DEVNULL, env=None, binary=COMMAND, **more):
        """`lastbyte send` or `resolve` as a process. Its --state is the place's own."""
        command = [binary, args[0], "--state", state or self.state, *(arg if isinstance(arg, bytes) else str(arg) for arg in args[1:])]
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, **(env or {})}, **more)
        self.stack.callback(stop, process)
        return process

    def send(self, *args, content=None, **more):
        process = self.start("send", *args, stdin=subprocess.DEVNULL if content is None else subprocess.PIPE, **more)
        return Answer(process, content)

    def resolve(self, *args, **more):
        return Answer(self.start("resolve", *args, **more))

    def visible(self):
        """The names in the inbox that are not the server's own."""
        return sorted(name for name in os.listdir(self.inbox) if not name.startswith(".lastbyte"))

    def parts(self):
        """What lies there of deliveries that are not complete."""
        found = []
        for folder, _, files in os.walk(os.path.join(self.inbox, ".lastbyte", "parts")):
            found += [os.path.join(folder, name) for name in files]
        return found

    def read(self, name):
        with open(os.path.join(self.inbox, name), "rb") as file:
            return file.read()

    def ledger(self, inbox=None):
        done = subprocess.run([COMMAND, "ledger", "--json", inbox or self.inbox], capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()[1:]]

    def committed(self):
        return [row for row in self.ledger() if row["verdict"] == "committed"]


class Answer:
    """What a process said and how it exited."""

    def __init__(self, process, content=None):
        out, err = process.communicate(content, timeout=PATIENCE)
        self.code, self.out, self.err = process.returncode, out.decode(), err.decode()
        self.objects = [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"

    @property
    def id(self):
        """The one id in its lines or objects."""
        for thing in self.objects:
            return thing["id"]
        for line in (self.out + self.err).splitlines():
            for word in line.split():
                if len(word) > 33 and word[32] == ":":
                    return word.rstrip(":") if not word[33:].rstrip(":") == "" else None
        return None

    def exits(self, code):
        assert self.code == code, f"wanted exit {code}: {self!r}"
        return self


def call(*args, **more):
    """Runs the command and waits."""
    process = subprocess.Popen([COMMAND, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, **more)
    return Answer(process)


def stop(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream and not stream.closed:
            with contextlib.suppress(OSError):
                stream.close()


class Server:
    """`lastbyte serve --json` on a free port of loopback; its events are collected as they come."""

    def __init__(self, place, options, inbox=None, into=None, listen="127.0.0.1:0", binary=COMMAND, env=None, ready=True):
        self.inbox = inbox or place.inbox
        self.events, self.changed = [], threading.Condition()
        command = [binary, "serve", "--listen", listen, "--into", into or f"dir:{self.inbox}", "--json", *map(str, options)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.errors = b""
        self.threads = [threading.Thread(target=reader, daemon=True) for reader in (self._read, self._read_errors)]
        for thread in self.threads:
            thread.start()
        if ready:
            event = self.event(lambda e: e["event"] == "listening")
            self.port, self.ledger = event["port"], event["ledger"]
            self.address = f"{event['address']}:{event['port']}"

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.events.append(json.loads(line))
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "end"})
            self.changed.notify_all()

    def _read_errors(self):
        self.errors = self.process.stderr.read()

    def event(self, wanted):
        """Waits for an event."""
        end = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                for event in self.events:
                    if event["event"] != "end" and wanted(event):
                        return event
                left = end - time.monotonic()
                over = self.events and self.events[-1]["event"] == "end"
                assert not over and left > 0, f"no such event in {self.events}; {self.errors.decode()}"
                self.changed.wait(left)

    def kill(self):
        """SIGKILL: nothing of it goes on."""
        self.process.kill()
        return self.wait()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        code = self.process.wait(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)
        return code

    def end(self):
        """At the end of a test: an orderly stop must always work, and leave nothing to complain about."""
        if self.process.poll() is None:
            self.signal()
            try:
                code = self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            assert code == 0, f"serve exited with {code}: {self.errors.decode()}"
        stop(self.process)
        assert b"ERROR: " not in self.errors and b"runtime error" not in self.errors, self.errors.decode()


RESET = struct.pack("ii", 1, 0)


class Proxy:
    """
    Between clients and a server. Keeps what goes up (to the server) and down. After `up` or `down` bytes of the
    first connection it cuts it with "rst" or "fin", or "hold"s it: reads no more of that direction until
    release(). Later connections are passed on untouched.
    """

    def __init__(self, target, up=None, down=None, how="rst"):
        self.target, self.limits, self.how = target, {"up": up, "down": down}, how
        self.up, self.down = bytearray(), bytearray()
        self.held, self.go = threading.Event(), threading.Event()
        self.sockets, self.lock = [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = connect(self.aim())
            except OSError:
                reset(client)
                continue
            with self.lock:
                self.sockets += [client, server]
            for direction, source, sink in (("up", client, server), ("down", server, client)):
                limit = self.limit(direction)
                threading.Thread(target=self._pass, args=(direction, source, sink, limit), daemon=True).start()

    def aim(self):
        """Where a new connection goes on to."""
        return self.target

    def limit(self, direction):
        """How many bytes of a new connection pass until reached() is asked; None: all."""
        return self.limits.pop(direction, None)

    def reached(self, direction, source, sink):
        """Cuts or holds. Returns whether the connection is still there, with no more limit."""
        if self.how != "hold":
            self.do_cut()
            return False
        self.held.set()
        self.go.wait()
        return True

    def _pass(self, direction, source, sink, limit):
        passed, count = getattr(self, direction), 0
        try:
            while True:
                if limit is not None and count >= limit:
                    if not self.reached(direction, source, sink):
                        return
                    limit = None
                data = source.recv(65536 if limit is None else min(65536, limit - count))
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                passed += data
                count += len(data)
                sink.sendall(data)
        except ConnectionResetError:  # of either, and whoever is told first keeps the other one from hearing of it
            reset(source)
            reset(sink)
        except OSError:
            pass

    def release(self):
        """Goes on after a hold."""
        self.go.set()

    def do_cut(self, how=None):
        """Cuts every connection now."""
        with self.lock:
            for end in self.sockets:
                cut(end, how or self.how)

    def leave(self):
        """Cuts every connection now, and refuses others."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.do_cut("rst")

    def close(self):
        self.go.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for end in self.sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def reset(end):
    """RST. shutdown(2) wakes a thread that still reads it; without that close(2) would not send anything."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        end.close()


def cut(end, how):
    """With "rst", or with "fin"."""
    if how == "rst":
        reset(end)
    else:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def connect(address):
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)


def digest(content):
    """As a receipt writes it."""
    done = subprocess.run(["xxhsum", "-H2", "-"], input=content, capture_output=True, check=True)
    return "xxh128:" + done.stdout.split()[0].decode()


def truth(place, answer, name, content, address):
    """
    Whether an exit code told the truth about one delivery, whatever had happened: the inbox holds all of it
    or nothing, the ledger agrees, and resolve agrees with both. `address`: a server of that inbox, unharmed.
    """
    assert answer.code in (0, 1, 3, 4), repr(answer)
    if answer.code == 0:
        assert name in place.visible(), f"exit 0 and nothing there: {answer!r}"
    if answer.code in (1, 4):
        assert name not in place.visible(), f"exit {answer.code} and it is there: {answer!r}"
    if answer.code == 3:
        assert answer.id, f"in doubt, and no id to ask with: {answer!r}"
    # asked, a server first finishes what it is at
    told = place.resolve(answer.id, address) if answer.id else None
    there = name in place.visible()
    rows = [row for row in place.committed() if row["name"] == name]
    same(len(rows), int(there), f"committed rows of the ledger, file there: {there}; {answer!r}")
    if there:
        assert answer.code in (0, 3), f"it came after all: {answer!r}"
        same(place.read(name), content, "what lies in the inbox")
        same(rows[0]["bytes"], len(content))
        same(rows[0]["digest"], digest(content))
    if told:
        assert told.code == (0 if there else 1), f"resolve: {told!r}\nafter {answer!r}\nfile there: {there}"
    return there
