#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_closer_cost.py CLOSER: what an ending costs the closer does not grow with the number of endings, and an idle one
costs nothing. Counted in bytes, steps and instructions, never in time."""

import json
import os
import re
import shutil
import subprocess
import sys

import tap

CLOSER = sys.argv[1]
SANITIZED = "LASTBYTE_SANITIZED" in os.environ


def measure(command, number, before=()):
    run = subprocess.run([*before, CLOSER, command, str(number)], capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads(run.stdout), run.stderr


def a_million_are_ended_each_in_at_most_128_bytes():
    for number in 20000, 1000000:
        figures, _ = measure("simulate", number)
        assert figures["sockets"] == number
        if not SANITIZED:  # malloc is another one then
            assert 72 < figures["bytes"] <= 128, figures


def an_ending_among_100000_takes_the_instructions_of_one_among_1000():
    if SANITIZED or not shutil.which("valgrind"):
        raise tap.Skip("needs valgrind, and a build without sanitizers")
    spent = {}
    for number in 1000, 100000:
        _, text = measure("simulate", number, ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        spent[number] = int(re.search(r"refs:\s+([\d,]+)", text)[1].replace(",", "")) / number
    assert spent[100000] <= 1.3 * spent[1000], spent


def thousands_that_linger_need_no_step_and_all_end():
    figures, _ = measure("linger", 3000)
    assert figures["sockets"] >= 1000, figures
    assert figures["idle_steps"] <= 10, figures
    assert SANITIZED or figures["bytes"] <= 128, figures


tap.run([
    a_million_are_ended_each_in_at_most_128_bytes,
    an_ending_among_100000_takes_the_instructions_of_one_among_1000,
    thousands_that_linger_need_no_step_and_all_end,
])
