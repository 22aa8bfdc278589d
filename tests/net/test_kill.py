# SPDX-License-Identifier: MIT
"""Processes that are killed in the middle: the client, the server, and the server at each of its fault points."""
import glob
import os
import re
import signal
import subprocess
from libnet import TESTING, Answer, run, same, test, truth, until

CONTENT = os.urandom(300000)
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src")


def begin_slowly(place, name, server, **more):
    """A send of standard input that has delivered a part of it, and waits for more."""
    process = place.start("send", "--name", name, "-", server.address, stdin=subprocess.PIPE, **more)
    process.stdin.write(CONTENT)
    process.stdin.flush()
    until("the server has a part", lambda: [part for part in place.parts() if os.path.getsize(part) > 0])
    return process


@test("the client killed in the middle: nothing is there, and nothing is left of it")
def _(place):
    server = place.serve()
    process = begin_slowly(place, "x", server)
    process.kill()
    process.wait()
    ended = server.event(lambda event: event.get("name") == "x")
    same(ended["verdict"], "rolled_back")
    same(place.visible(), [])
    same(place.parts(), [])
    same(place.committed(), [])


@test("the server killed in the middle: exit 4, nothing is visible, and the next start removes the part")
def _(place):
    server = place.serve()
    process = begin_slowly(place, "x", server)
    server.kill()
    same(place.visible(), [])
    answer = Answer(process).exits(4)
    again = place.serve()
    same(place.parts(), [])
    same(truth(place, answer, "x", CONTENT, again.address), False)


@test("what was committed before the server was killed is still there, and a new delivery works")
def _(place):
    server = place.serve()
    first = place.send(place.file("a", CONTENT), server.address).exits(0)
    process = begin_slowly(place, "b", server)
    server.kill()
    Answer(process).exits(4)
    server = place.serve()
    same(place.visible(), ["a"])
    place.send(place.file("b", CONTENT), server.address).exits(0)
    same(place.visible(), ["a", "b"])
    place.resolve(first.id, server.address).exits(0)


def fault_points(layer):
    """The names that a layer's sources give to LB_FAULT. Those of SYNC are test_resume.py's."""
    names = set()
    for path in glob.glob(os.path.join(SOURCES, layer, "*.c")):
        with open(path, encoding="utf-8") as source:
            names |= {name for name in re.findall(r'LB_FAULT\("([^"]+)"\)', source.read()) if not name.startswith("sync_")}
    return sorted(names)


def killed_at(place, name):
    server = place.serve(binary=TESTING, env={"LASTBYTE_FAULT": name})
    answer = place.send("--deadline", "20s", place.file("x", CONTENT), server.address)
    same(server.process.wait(30), -signal.SIGKILL, "the fault point must have been reached")
    assert answer.code in (3, 4), answer
    again = place.serve(listen=f"127.0.0.1:{server.port}")
    there = truth(place, answer, "x", CONTENT, again.address)
    same(place.parts(), [])
    # what resolve has settled does not stand in the way of a new delivery
    place.send(place.file("y", CONTENT), again.address).exits(0)
    same(place.visible(), ["x", "y"] if there else ["y"])


def killed_and_sent_again(place, name):
    server = place.serve(binary=TESTING, env={"LASTBYTE_FAULT": name})
    path = place.file("x", CONTENT)
    first = place.send("--deadline", "20s", path, server.address)
    server.process.wait(30)
    again = place.serve(listen=f"127.0.0.1:{server.port}")
    second = place.send(path, again.address).exits(0)
    if first.code == 3:
        same(second.id, first.id, "it is the same delivery that is settled")
    same(place.visible(), ["x"])
    same(len(place.committed()), 1)


def client_killed_at(place, name):
    server = place.serve()
    path = place.file("x", CONTENT)
    killed = place.send(path, server.address, binary=TESTING, env={"LASTBYTE_FAULT": name})
    same(killed.code, -signal.SIGKILL, "the fault point must have been reached")
    place.send(path, server.address).exits(0)
    same(place.visible(), ["x"])
    same(place.read("x"), CONTENT)
    same(len(place.committed()), 1)
    same(place.send("--name", "y", path, server.address).exits(0).id[33:], "2", "numbers that were used")


def client_killed_and_asked(place, name):
    server = place.serve()
    answer = place.send(place.file("x", CONTENT), server.address, binary=TESTING, env={"LASTBYTE_FAULT": name})
    same(answer.code, -signal.SIGKILL)
    with open(place.under("state", "journal"), encoding="utf-8") as journal:
        identity = re.search(r"[0-9a-f]{32}", journal.read())[0] + ":1"
    told = place.resolve(identity, server.address)
    assert told.code in (0, 1), told
    same(place.visible(), ["x"] if told.code == 0 else [])
    same([row["verdict"] for row in place.ledger()], ["committed" if told.code == 0 else "rolled_back"])
    until("no part is left", lambda: not place.parts())


for POINT in fault_points("server"):
    test(f"the server killed at '{POINT}', restarted and asked: all of it or nothing, and the ledger agrees")(
        lambda place, point=POINT: killed_at(place, point))
    test(f"the server killed at '{POINT}', restarted and sent to again: there once")(
        lambda place, point=POINT: killed_and_sent_again(place, point))
for POINT in fault_points("client"):
    test(f"the client killed at '{POINT}', and run again: there once")(
        lambda place, point=POINT: client_killed_at(place, point))
    test(f"the client killed at '{POINT}', then resolve: all of it or nothing, and the ledger agrees")(
        lambda place, point=POINT: client_killed_and_asked(place, point))


@test("there are fault points to be killed at")
def _(place):
    assert len(fault_points("server")) >= 4 and len(fault_points("client")) >= 3, place


run()
