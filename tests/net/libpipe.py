# SPDX-License-Identifier: MIT
"""What the tests of `lastbyte pipe` share: peers that are played by functions, and what a run says."""
import contextlib
import re
import select
import socket
import subprocess
import threading
from libnet import COMMAND, PATIENCE, stop


KEYS = ["result", "accepted", "acked", "lost", "unsent", "input_ended", "reply", "reply_lost", "reply_ended",
        "answered", "ended", "by", "phase", "error", "seconds"]


class Peer:
    """A server for one connection, played by a function."""

    def __init__(self, place, play, host="127.0.0.1", small=False):
        self.play, self.error = play, None
        self.got, self.ended = bytearray(), None  # what it read; how that ended: "fin" or "rst"
        self.go = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        if small:  # its queue
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        place.stack.callback(self._close)

    def _run(self):
        try:
            self.connection, _ = self.listener.accept()
            self.connection.settimeout(PATIENCE)
            with self.connection:
                self.play(self)
        except Exception as error:
            self.error = error

    def _close(self):
        self.go.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)

    def read(self, count=1 << 62):
        """So many bytes, or up to the end."""
        while count > 0 and not self.ended:
            try:
                data = self.connection.recv(min(count, 1 << 18))
            except ConnectionResetError:
                self.ended = "rst"
                return
            self.got += data
            count -= len(data)
            if not data:
                self.ended = "fin"

    def send(self, data):
        self.connection.sendall(data)

    def wait_for_fin(self):
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        assert poll.poll(PATIENCE * 1000)

    def wait(self):
        assert self.go.wait(PATIENCE)

    def over(self):
        """Waits until it has played."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        assert self.error is None, repr(self.error)
        return self


def start(place, *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more):
    process = subprocess.Popen([COMMAND, "pipe", *args], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, **more)
    place.stack.callback(stop, process)
    return process


def feed(process, content):
    """Writes to its standard input, as fast as it takes it."""

    def write(stream):
        with contextlib.suppress(BrokenPipeError), stream:
            stream.write(content)

    threading.Thread(target=write, args=(process.stdin,), daemon=True).start()
    process.stdin = None


class Piped:
    """What came of a run."""

    def __init__(self, process, content=None):
        self.out, err = process.communicate(content, timeout=PATIENCE)
        self.code, self.err = process.returncode, err.decode()
        self.line = re.fullmatch(r"(\w+): accepted (\d+), acked (\d+), lost (\d+) bytes(.*); reply (\d+) bytes(.*); "
                                 r"(\w+) by (\w+) in (\w+)(.*)\n", self.err)

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out and self.out[:200]}\nstderr: {self.err}"

    def exits(self, code, word):
        assert self.code == code and self.line and self.line[1] == word, f"wanted exit {code}, {word}: {self!r}"
        return self

    @property
    def counts(self):
        return tuple(int(self.line[i]) for i in (2, 3, 4))

    @property
    def how(self):
        return f"{self.line[8]} by {self.line[9]} in {self.line[10]}"


def pipe(place, peer, content, *options, **more):
    return Piped(start(place, *options, peer.address, **more), content)


def replies(text):
    def play(peer):
        peer.read()
        peer.send(text)
    return play
