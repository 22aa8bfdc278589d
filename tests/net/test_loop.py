# SPDX-License-Identifier: MIT
"""The client in an event loop of somebody else's: examples/client.c, against a server that may be gone for a while."""
import os
import subprocess
import sys
from libnet import run, same, stop, test, until

EXAMPLE = os.path.abspath(sys.argv[3])
LINES = [f"this is line {i}" for i in range(1, 301)]


def start(place, address):
    process = subprocess.Popen([EXAMPLE, address, place.state, "line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    place.stack.callback(stop, process)
    return process


def each_once(place, process, out):
    same(process.returncode, 0)
    same(sorted(out.split("\n")[:-1]), sorted(f"committed line.{i}" for i in range(1, len(LINES) + 1)))
    same(place.visible(), sorted(f"line.{i}" for i in range(1, len(LINES) + 1)))
    for i, line in enumerate(LINES, 1):
        same(place.read(f"line.{i}"), line.encode())


@test("each line becomes a delivery, and each verdict is told")
def _(place):
    server = place.serve()
    process = start(place, server.address)
    out, err = process.communicate("\n".join(LINES) + "\n")
    same(err, "")
    each_once(place, process, out)


@test("a server that is killed and comes back loses and repeats none")
def _(place):
    server = place.serve()
    process = start(place, server.address)
    process.stdin.write("\n".join(LINES[:200]) + "\n")
    process.stdin.flush()
    until("some are there", lambda: len(place.visible()) > 20)
    server.kill()
    server.wait()
    place.serve(listen=server.address)
    out, err = process.communicate("\n".join(LINES[200:]) + "\n")
    same(err, "")
    each_once(place, process, out)


run()
