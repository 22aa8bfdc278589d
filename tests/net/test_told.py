# SPDX-License-Identifier: MIT
"""
A client that is killed when it knows the verdict, and before it has told of it; meanwhile what came is taken away, so that
no name stands in the way of a second copy. The same command again tells what the first one would have told.
"""
import os
import re
import subprocess
from libnet import COMMAND, TESTING, run, same, test

POINTS = ("client_verdict", "send_told")
LINES = b"one\ntwo\nthree\n"


def take(place):
    for name in place.visible():
        os.unlink(os.path.join(place.inbox, name))


def killed(place, point, *words):
    same(place.send(*words, binary=TESTING, env={"LASTBYTE_FAULT": point}).code, -9, "the fault point must have been reached")
    take(place)


def told_once(place, answer, *names):
    """All of it is told to be committed, as the ledger has it, which has each once; and nothing is open any more."""
    answer.exits(0)
    told = [(thing["id"], thing["name"]) for thing in answer.objects]
    told = told or re.findall(r"^committed (\S+) (\S+)", answer.out, re.M)
    same(sorted(told), sorted((row["id"], row["name"]) for row in place.committed()))
    same(sorted(name for _, name in told), sorted(names))
    done = place.send("--continue").exits(0)
    same((done.out, done.err), ("", ""))


def again(place, point, names, *words):
    killed(place, point, *words)
    told_once(place, place.send(*words), *names)


for POINT in POINTS:
    @test(f"killed at '{POINT}', a file")
    def _(place, point=POINT):
        again(place, point, ["x"], place.file("x"), place.serve().address)

    @test(f"killed at '{POINT}', a file with --json")
    def _(place, point=POINT):
        again(place, point, ["x"], "--json", place.file("x"), place.serve().address)

    @test(f"killed at '{POINT}', several files")
    def _(place, point=POINT):
        again(place, point, ["x", "y"], place.file("x"), place.file("y", b""), place.serve().address)

    @test(f"killed at '{POINT}', lines of a file")
    def _(place, point=POINT):
        again(place, point, ["x.000000000001", "x.000000000002", "x.000000000003"], "--lines", "--name", "x",
              place.file("f", LINES), place.serve().address)

    for OPTIONS in ((), ("--json",)):
        @test(" ".join((f"killed at '{POINT}', --continue", *OPTIONS)))
        def _(place, point=POINT, options=OPTIONS):
            server = place.serve()
            same(place.send(place.file("x"), server.address, binary=TESTING, env={"LASTBYTE_FAULT": "client_decided"}).code, -9)
            again(place, point, ["x"], "--continue", *options)


@test("what resolve has not told stays open, too")
def _(place):
    server, path = place.serve(), place.file("x")
    killed(place, "client_verdict", path, server.address)
    with open(place.under("state", "journal"), encoding="utf-8") as journal:
        identity = re.search(r"[0-9a-f]{32}", journal.read())[0] + ":1"
    for options in ((), ("--json",)):
        same(place.resolve(*options, identity, server.address, binary=TESTING, env={"LASTBYTE_FAULT": "client_verdict"}).code, -9)
        with open("/dev/full", "wb") as full:
            command = [COMMAND, "resolve", "--state", place.state, *options, identity, server.address]
            same(subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode, 0)
    told_once(place, place.send(path, server.address), "x")


@test("what could not be written is told by the same again")
def _(place):
    server, path = place.serve(), place.file("x")
    for options in ((), ("--json",)):
        with open("/dev/full", "wb") as full:
            command = [COMMAND, "send", "--state", place.state, *options, path, server.address]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, check=False)
        same(done.returncode, 0)
        assert b"could not be written" in done.stderr, done.stderr
        take(place)
        rows = place.committed()
        assert rows[-1]["id"] in place.send(*options, path, server.address).exits(0).out, rows
        same(place.committed(), rows)
        same(place.send("--continue").exits(0).out, "")


run()
