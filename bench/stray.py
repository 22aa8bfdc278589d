# SPDX-License-Identifier: MIT
"""Web servers beside each other at the end of a connection: what a slow reader gets that sends something late, and
what an ended and a lingering connection cost.
"""

import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from web import LARGE, servers

REPETITIONS = 4
WINDOW = 16384  # SO_RCVBUF of a reader
TICK = 0.05     # seconds from one read of a reader to the next
PATIENCE = 20   # seconds more than a reader needs
ROUNDS, EACH = 6, 500  # connections whose CPU time is measured; the first round warms up
LINGERING = 1000


def request(path):
    return f"GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


class Reader:
    """A client that asks for the large file, reads it at a steady rate, and sends something on its way."""

    def __init__(self, port, rate, stray_at, stray):
        self.rate, self.stray_at, self.stray = rate, stray_at, stray
        self.head, self.got, self.end = b"", 0, None
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        self.socket.connect(("127.0.0.1", port))
        self.ports = port, self.socket.getsockname()[1]
        self.socket.sendall(request("large"))
        self.socket.setblocking(False)
        self.began = time.monotonic()

    def take(self, data):
        if not self.head.endswith(b"\r\n\r\n"):
            self.head, blank, data = (self.head + data).partition(b"\r\n\r\n")
            self.head += blank
            if blank and not self.head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"port {self.ports[0]}: {self.head}")
        self.got += len(data)

    def read(self, room):
        try:
            data = self.socket.recv(room)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.end = "reset"
            return False
        self.take(data)
        if not data:
            self.end = "end of file"
        return bool(data)

    def tick(self, now):
        """Reads what is due. False: the stream has ended, and `end` says how."""
        passed = now - self.began
        if self.stray and passed >= self.stray_at:
            try:
                self.socket.send(self.stray)
            except ConnectionError:  # this takes the error: a read would return 0, as at the end of the stream
                self.end = "reset"
            self.stray = b""
        while self.end is None and (room := int(passed * self.rate) - self.got) > 0 and self.read(room):
            pass
        if self.end is None and passed > LARGE / self.rate + PATIENCE:
            self.end = "time-out"
        if self.end is not None:
            self.socket.close()
        return self.end is None


def queues(readers):
    """Tells each reader how much is in the send queue of its server's socket. (/proc/net/tcp is slow where many are.)"""
    queue_of = {}
    ports = " or ".join(f"sport = :{port}" for port in {reader.ports[0] for reader in readers})
    for line in subprocess.run(["ss", "-Htn", ports], check=True, capture_output=True, text=True).stdout.splitlines():
        _, _, queue, server, client, *_ = line.split()
        queue_of[int(server.rpartition(":")[2]), int(client.rpartition(":")[2])] = int(queue)
    for reader in readers:
        reader.queued = queue_of.get(reader.ports, 0)


def read_all(running, rate, stray_at):
    """All at once, since each does next to nothing. The readers of each server, at their end."""
    readers = {name: [Reader(server.port, rate, stray_at, (b"x", b"\r\n")[i % 2]) for i in range(REPETITIONS)]
               for name, server in running.items()}
    everyone = [reader for group in readers.values() for reader in group]
    waiting, last, sampled = everyone, time.monotonic(), False
    began = last
    while waiting:
        time.sleep(TICK)
        now = time.monotonic()
        if now > last + 1:
            print(f"the readers were held up for {now - last:.1f} s: the figures are not those of a steady reader",
                  file=sys.stderr)
        last = now
        waiting = [reader for reader in waiting if reader.tick(now)]
        if not sampled and now > began + 1:
            queues(everyone)
            sampled = True
    return readers


def table(readers):
    print(f"{'':26}{'got':>7}{'min':>8}{'max':>8}{'queued':>8}  ended")
    for name, group in readers.items():
        shares = [100 * reader.got / LARGE for reader in group]
        queue = statistics.median(100 * reader.queued / LARGE for reader in group)
        ends = Counter(("whole, " if reader.got == LARGE else "cut, ") + reader.end for reader in group)
        print(f"{name:26}{statistics.median(shares):6.1f}%{min(shares):7.1f}%{max(shares):7.1f}%{queue:7.0f}%  "
              + "; ".join(f"{n} × {end}" for end, n in ends.items()))


def stray(folder, program, rate, stray_at):
    with servers(folder, program) as running:
        readers = read_all(running, rate, stray_at)
    tcp_wmem = " ".join(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split())
    print(f"{LARGE >> 20} MiB with Connection: close to {REPETITIONS} readers each (SO_RCVBUF {WINDOW}) that take "
          f"{rate >> 10} KiB/s, {LARGE / rate:.0f} s in all. At {stray_at} s each sends\n"
          "one byte, or CR and LF. Over loopback, whose large segments let the kernel grow a send buffer to the whole "
          f"response\nat once (tcp_wmem {tcp_wmem}); elsewhere a fast network does. got: by the reader's application. "
          "queued: in\nthe server's kernel after 1 s.")
    table(readers)
    print("With everything queued, a server soon thinks that it is done. If it closes at once, or stops lingering by a "
          "clock that\ndoes not look at the send queue, the late byte makes its kernel reset the connection, and what "
          "is still queued is gone.")


def ask(port):
    """A whole exchange, but for the client's end."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(request("small"))
    while client.recv(65536):
        pass
    return client


def cpu_of(running):
    """Microseconds for each connection of each round."""
    figures = {name: [] for name in running}
    for _ in range(ROUNDS):
        for name, server in running.items():
            before = server.cpu()
            for _ in range(EACH):
                ask(server.port).close()
            figures[name].append((server.cpu() - before) / EACH * 1e6)
    return {name: rounds[1:] for name, rounds in figures.items()}


def lingering(folder, program):
    with servers(folder, program) as running:
        cpu = cpu_of(running)
        print(f"CPU: of the server, for all of a connection with {len(request('small'))} bytes of request and a file "
              f"of 1 KiB, {EACH} in a row, median and range of {ROUNDS - 1} runs.\nmemory: Pss, with {LINGERING} "
              "clients that have read everything and do not close, over that without any, for each that lingers.")
        print(f"{'':26}{'CPU µs':>8}{'min':>7}{'max':>7}{'linger':>8}{'KiB each':>10}")
        for name, server in running.items():
            memory, sockets = server.memory(), server.sockets()
            clients = [ask(server.port) for _ in range(LINGERING)]
            grown, count = server.memory() - memory, server.sockets() - sockets
            for client in clients:
                client.close()
            each = f"{grown / count / 1024:.1f}" if count > LINGERING // 2 else "-"
            print(f"{name:26}{statistics.median(cpu[name]):8.1f}{min(cpu[name]):7.1f}{max(cpu[name]):7.1f}"
                  f"{count:8}{each:>10}")
    print("The last four run in one small server, with a thread for each connection, whose stack is the memory of lb_close; "
          "the\ncloser takes its connections over from them.")
