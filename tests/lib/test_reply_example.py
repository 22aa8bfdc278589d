#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_reply_example.py REPLY: the example of request and reply answers, refuses, and stops."""

import subprocess
import sys
import tempfile
from pathlib import Path

import tap

REPLY = sys.argv[1]


def ask(place, address, name, text):
    done = subprocess.run([REPLY, place / "state", address, name, text], capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done
    return done.returncode, done.stdout


def requests_are_answered_or_refused_and_there_only_if_answered():
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with subprocess.Popen([REPLY, place / "inbox"], stdout=subprocess.PIPE, text=True) as server:
            try:
                address = server.stdout.readline().strip()
                assert ask(place, address, "one", "1 2 3") == (0, "6\n")
                assert ask(place, address, "two", "-5") == (0, "-5\n")
                code, text = ask(place, address, "three", "1 and 2")
                assert code == 1 and "rejected" in text, text
                assert sorted(path.name for path in (place / "inbox").iterdir()) == [".lastbyte", "one", "two"]
                server.terminate()
                assert server.wait(60) == 0
            finally:
                server.kill()


tap.run([requests_are_answered_or_refused_and_there_only_if_answered])
