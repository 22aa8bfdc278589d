# SPDX-License-Identifier: MIT
"""A server for client.py, and what lies in its inbox and its ledger."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from client import Client, Journal, Lost

COMMAND = sys.argv[1]


class Server:
    def __init__(self, scratch, *options):
        self.scratch, self.inbox, self.options = scratch, scratch / "inbox", options
        self.journals = 0
        self.start()

    def start(self):
        command = [COMMAND, "serve", "--listen", "127.0.0.1:0", "--into", f"dir:{self.inbox}", "--json", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = ("127.0.0.1", json.loads(self.process.stdout.readline())["port"])
        self.reader = threading.Thread(target=self.process.stdout.read)  # a pipe that is full would stop the server
        self.reader.start()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def journal(self):
        self.journals += 1
        return Journal(str(self.scratch / f"journal{self.journals}"))

    def connect(self, journal=None, **options):
        return Client(self.address, journal or self.journal(), **options)

    def lies_there(self):
        """What the inbox has: names and bytes."""
        return {os.fsencode(path.name): path.read_bytes() for path in self.inbox.iterdir() if path.name != ".lastbyte"}

    def committed(self):
        """The ids in the ledger that are committed, as often as they are there."""
        lines = subprocess.run([COMMAND, "ledger", "--json", self.inbox], stdout=subprocess.PIPE, text=True, check=True).stdout
        return sorted(row["id"] for row in map(json.loads, lines.splitlines()) if row.get("verdict") == "committed")

    def has(self, *deliveries):
        """These are committed, once each, with their bytes, and nothing else is."""
        assert self.lies_there() == {delivery.name: delivery.data for delivery in deliveries}
        ids = [f"{delivery.client.hex()}:{delivery.number}" for delivery in deliveries]
        assert [row.replace("-", "") for row in self.committed()] == sorted(ids), (self.committed(), ids)


@contextlib.contextmanager
def serving(*options):
    with tempfile.TemporaryDirectory() as scratch:
        server = Server(Path(scratch), *options)
        try:
            yield server
            if server.process.poll() is None:
                server.process.terminate()
            assert server.process.wait() == 0
        finally:
            server.kill()


def fresh(client, name, data=b"hello_world"):
    return client.journal.new(client.machine.ledger, name, data)


def verdict(delivery):
    return delivery.verdict, delivery.reason


def loses(step):
    """What the server said last, and why it is over, when the step fails because the connection ended."""
    try:
        step()
    except Lost as why:
        return str(why)
    raise AssertionError("the connection goes on")
