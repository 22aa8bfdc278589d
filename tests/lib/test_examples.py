#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_examples.py EXAMPLE...: each of examples/ answers peers of several kinds in full, and says how it ended with each."""

import socket
import struct
import subprocess
import sys
from pathlib import Path

import tap

ANSWER = b"".join(bytes([ord("a") + i % 26]) * 15 + b"\n" for i in range(1 << 16))


def read_to_end(peer):
    """Everything up to a clean end: a reset raises."""
    got = b""
    while piece := peer.recv(1 << 16):
        got += piece
    return got


def plain(peer):
    assert read_to_end(peer) == ANSWER
    return "ended"


def that_has_asked_and_sends_more(peer):
    """What lies unread, or comes late, is what makes a careless close(2) lose the answer."""
    peer.sendall(b"a question that nobody reads\n" * 100)
    got = peer.recv(1000)
    peer.sendall(b"and another\n")
    assert got + read_to_end(peer) == ANSWER
    return "ended"


def that_stays(peer):
    """Its own end comes only once the program has given up waiting for it."""
    assert read_to_end(peer) == ANSWER
    peer.settimeout(30)
    return "acked"


def that_resets(peer):
    peer.recv(1000)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return "accepted"


PEERS = [plain, that_has_asked_and_sends_more, that_resets, that_stays]


def serves_every_kind_of_peer(program):
    run = subprocess.Popen([program, str(len(PEERS))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = run.stdout.readline()
        if not port and run.wait(60) == 77:
            raise tap.Skip(run.stderr.read().strip())
        for peer in PEERS:
            connection = socket.create_connection(("127.0.0.1", int(port)), timeout=60)
            expected = peer(connection)
            if peer is that_stays:  # it is open until the line is there
                line = run.stdout.readline()
                connection.close()
            else:
                connection.close()
                line = run.stdout.readline()
            assert expected in line, (peer.__name__, line)
        assert run.wait(60) == 0, run.stderr.read()
    finally:
        run.kill()
        run.wait()
    assert run.stderr.read() == ""


def case(path):
    def test():
        serves_every_kind_of_peer(path)
    test.__name__ = Path(path).name.replace("example-", "the example for ") + " serves every kind of peer"
    return test


tap.run([case(path) for path in sys.argv[1:]])
