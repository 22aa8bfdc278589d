# SPDX-License-Identifier: MIT
"""A client of docs/protocol.md, written from that document alone. Delivery knows what is proven, Journal survives a crash,
Client has the socket; wire.py and machine.py know the bytes and their order."""

import json
import os
import select
import socket
import struct
import time

import wire
from machine import FINAL, MS, Machine

SYNC_EVERY = 1 << 20  # bytes, with RESUME
CHUNK, BACKLOG = 1 << 16, 1 << 19  # bytes: of a DATA, and that may wait for the socket


class Lost(Exception):
    """The connection ended before its CLOSE_OK; what was open on it has a verdict."""


class Delivery:
    """One byte string under one id, and what is proven about it."""

    def __init__(self, client, number, ledger, name, data, attempt=0):
        self.client, self.number, self.ledger, self.name, self.data = client, number, ledger, name, data
        self.attempt = attempt
        self.doubt = set(range(1, attempt + 1))  # attempts whose COMMIT may have left and has no answer: after a crash, any
        self.verdict = self.reason = self.receipt = self.exchange = None

    def conclude(self, kind=None, values=None, resolving=False):
        """Takes the final answer to an attempt or to RESOLVE, or, without one, the end of the connection."""
        values = values or {}
        code = values.get("reason", 0)
        self.reason, means = wire.REASONS.get(code, (code, "not_committed"))
        if kind == "COMMITTED" or kind == "RESOLVED" and values["verdict"] == 1:
            same = resolving or values["digest"] == wire.digest(self.data)  # BEGIN had not said it
            self.verdict, self.receipt, self.reason = "committed" if same else "refused", values, None if same else "DIFFERENT"
        elif kind == "RESOLVED":
            self.verdict = {2: "rolled_back", 3: "forgotten"}[values["verdict"]]
        elif kind == "REFUSED" and not resolving:
            self.doubt.discard(self.attempt)  # it answers COMMIT, if there was one
            proof = {"FENCED": "rolled_back", "SETTLED": "rolled_back", "FORGOTTEN": "forgotten"}.get(self.reason)
            self.verdict = proof or ("in_doubt" if self.doubt else means)
        elif self.doubt or not resolving:
            self.verdict = "in_doubt" if self.doubt else "rolled_back" if kind == "ROLLED_BACK" else "not_committed"


class Journal:
    """The client id, the next number, and of each delivery that is not concluded: name, ledger, attempt."""

    def __init__(self, path):
        self.path = path
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                self.kept = json.load(file)
        else:
            self.kept = {"client": os.urandom(16).hex(), "next": 1, "open": {}}
            self._save()
        self.client = bytes.fromhex(self.kept["client"])

    def _save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.kept, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)
        directory = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def new(self, ledger, name, data):
        """A delivery for the ledger that HELLO_OK names. A number is used once."""
        self.kept["next"] += 1
        return Delivery(self.client, self.kept["next"] - 1, ledger, name, data)

    def undecided(self, data_of):
        """What a run before this one left, with the bytes that data_of finds by name."""
        for number, row in self.kept["open"].items():
            name = bytes.fromhex(row["name"])
            yield Delivery(self.client, int(number), bytes.fromhex(row["ledger"]), name, data_of(name), row["attempt"])

    def begins(self, delivery):
        self.kept["open"][str(delivery.number)] = {
            "name": delivery.name.hex(), "ledger": delivery.ledger.hex(), "attempt": delivery.attempt}
        self._save()

    def concluded(self, delivery):
        if self.kept["open"].pop(str(delivery.number), None):
            self._save()

    def lowest(self):
        return min([int(number) for number in self.kept["open"]] + [self.kept["next"]])


class Client:
    """One connection to a server. Each step can be taken alone; deliver() takes all of them."""

    def __init__(self, address, journal, features=wire.RESUME | wire.REPLY, idle=60000, eager=False, ahead=False):
        self.journal, self.eager = journal, eager
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small frames must not wait for an ACK
        self.socket.setblocking(False)
        self.machine = Machine(journal.client, time.monotonic_ns(), features, idle, ahead)
        self.asked = {}  # handle: delivery, and whether by RESOLVE
        self.seen = []  # what came: kind, handle, fields
        self.until(lambda: ahead or self.machine.phase != "HELLO")

    def until(self, done):
        """Reads, writes and lets time pass until done() is true. Raises Lost when it never will be."""
        while not done():
            now = time.monotonic_ns()
            for event in self.machine.tick(now):
                self._take(event)
            waiting = [self.socket] if self.machine.out else []
            if select.select([self.socket], waiting, [], self.machine.idle / 10**9 / 20)[1]:
                self._write()
            self._read()

    def _write(self):
        try:
            self.machine.took(self.socket.send(self.machine.out[0][3]), time.monotonic_ns())
        except BlockingIOError:
            pass
        except OSError:
            return  # what the server had said before can still be read, and then its end

    def _read(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            self.lose(str(error))
        if not data:
            self.lose("end of the stream")
        for event in self.machine.receive(data, time.monotonic_ns()):
            self._take(event)

    def _take(self, event):
        kind, handle, values, exchange = event
        self.seen.append((kind, handle, values))
        if kind in FINAL and exchange.handle in self.asked:
            delivery, resolving = self.asked.pop(exchange.handle)
            delivery.conclude(kind, values, resolving)
            if delivery.verdict in ("committed", "refused", "rolled_back", "forgotten"):
                self.journal.concluded(delivery)
        if kind in ("ERROR", "BROKEN"):
            self.lose(f"{kind} {values}")

    def lose(self, why):
        """Ends the connection, in a way that lets an ERROR of ours arrive, and concludes what was open on it."""
        if self.machine.phase != "OVER":
            self.machine.stop()
        self._conclude()
        try:
            self.socket.settimeout(3)
            for item in self.machine.out:
                self.socket.sendall(item[3])
            self._end()
        except OSError:
            self.socket.close()
        raise Lost(why)

    def _conclude(self):
        for handle, (delivery, resolving) in self.asked.items():
            if handle in self.machine.unsent:
                delivery.doubt.discard(delivery.attempt)
            delivery.conclude(resolving=resolving)
        self.asked = {}

    def _end(self):
        """Our direction first; then until the server has ended its own, so that nothing in flight can reset the connection."""
        self.socket.settimeout(3)
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 16):
            pass
        self.socket.close()

    def begin(self, delivery):
        """The next attempt. The journal has it before its first byte leaves."""
        delivery.attempt += 1
        delivery.verdict = None
        self.journal.begins(delivery)
        delivery.exchange = self.machine.begin(delivery.client, delivery.number, delivery.ledger, delivery.attempt, delivery.name,
                                               len(delivery.data))
        self.asked[delivery.exchange.handle] = (delivery, False)

    def send(self, delivery, end=None):
        """The bytes up to `end`, or to the last; fewer when the answer comes before."""
        end = len(delivery.data) if end is None else end
        exchange = delivery.exchange
        if not self.eager or self.machine.features & wire.RESUME:
            self.until(lambda: exchange.state != "BEGUN")
        while self.machine.open is exchange and exchange.sent < end:
            self.machine.data(delivery.data[exchange.sent:min(end, exchange.sent + CHUNK)])
            if exchange.resumable and not exchange.syncing and exchange.sent - exchange.synced >= SYNC_EVERY:
                self.machine.sync()
            self.until(lambda: sum(len(item[3]) for item in self.machine.out) <= BACKLOG)

    def commit(self, delivery, total=None, digest=None):
        if self.machine.open is delivery.exchange:
            delivery.doubt.add(delivery.attempt)
            self.machine.commit(len(delivery.data) if total is None else total, digest or wire.digest(delivery.data))

    def deliver(self, *deliveries):
        """Each is begun while those before it wait for their answers."""
        for delivery in deliveries:
            self.until(self.machine.room)
            self.begin(delivery)
            self.send(delivery)
            self.commit(delivery)
        self.until(lambda: all(delivery.verdict for delivery in deliveries))

    def rollback(self, delivery):
        if self.machine.open is delivery.exchange:
            self.machine.rollback()
        self.until(lambda: delivery.verdict)

    def resolve(self, *deliveries, ledger=None):
        """Asks what became of deliveries that are not open on this connection; those that never were sent will never be."""
        exchanges = []
        for delivery in deliveries:
            self.until(lambda: self.machine.may_ask() and len(self.machine.exchanges) < self.machine.max_undecided)
            exchanges.append(self.machine.resolve(delivery.client, delivery.number, ledger or delivery.ledger))
            self.asked[exchanges[-1].handle] = (delivery, True)
        self.until(lambda: all(exchange.state == "DONE" for exchange in exchanges))

    def settle(self):
        self.machine.settled(self.journal.client, self.journal.lowest())

    def flush(self):
        self.until(lambda: not self.machine.out)

    def close(self):
        """After it every delivery has its answer, and the connection ends without a reset."""
        self.machine.close()
        self.until(lambda: self.machine.phase == "OVER")
        self._end()

    def cut(self, reset):
        """What a crash does: the connection ends here, with a reset or an end of the stream."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.machine.stop()
        self._conclude()
