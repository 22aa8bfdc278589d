#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_pcap.py CAPTURE_FILE: what the lab writes of a connection is what it counted, as tshark reads it."""

import subprocess
import sys
import tempfile
from decimal import Decimal

import tap

PATIENCE = 240
AS_ROOT = "Running as user \"root\" and group \"root\". This could be dangerous."
FIELDS = ["frame.time_epoch", "tcp.srcport", "tcp.len", "tcp.flags"]
FIN, RST = 1, 4


def tshark(path, *args):
    """What it prints, line by line; any complaint fails."""
    run = subprocess.run(["tshark", "-n", "-r", path, *args], capture_output=True, text=True, timeout=PATIENCE)
    complaints = [line for line in run.stderr.splitlines() if line and line != AS_ROOT]
    assert run.returncode == 0 and not complaints, complaints
    return run.stdout.splitlines()


def captured(kind, loss, path):
    """Our port, the time that the first two packets lie apart, and for each end the numbers that were counted."""
    run = subprocess.run([sys.argv[1], kind, str(loss), path], capture_output=True, text=True, timeout=PATIENCE)
    if run.returncode == 77:
        raise tap.Skip(run.stderr.strip())
    assert run.returncode == 0 and run.stderr == "", (run.returncode, run.stderr)
    first, *ends = run.stdout.splitlines()
    port, apart = map(int, first.split())
    return port, apart, [dict(zip(["data", "fin", "rst", "all", "lost"], map(int, end.split()))) for end in ends]


def read(path, port):
    """The same, as tshark counts them, and the times."""
    seen = [dict.fromkeys(["data", "fin", "rst", "all"], 0) for _ in range(2)]
    times = []
    for line in tshark(path, "-T", "fields", *(arg for field in FIELDS for arg in ("-e", field))):
        time, source, length, flags = line.split("\t")
        end = seen[int(source) != port]
        end["all"] += 1
        end["data"] += int(length) > 0
        end["fin"] += int(flags, 16) & FIN > 0
        end["rst"] += int(flags, 16) & RST > 0
        times.append(Decimal(time))
    return seen, times


def agree(kind, loss):
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/capture.pcap"
        port, apart, counted = captured(kind, loss, path)
        seen, times = read(path, port)
        assert tshark(path, "-Y", "_ws.malformed or _ws.expert.severity == error or ip.version != 4") == []
        # what is acknowledged without ever having been seen is what a capture has missed
        assert tshark(path, "-Y", "tcp.analysis.ack_lost_segment") == []
    for kind_of in ["data", "fin", "rst", "all"]:
        assert seen[0][kind_of] == counted[0][kind_of], (seen, counted)
    # of the peer's segments, our end saw those that were not lost
    assert seen[1]["all"] == counted[1]["all"] - counted[1]["lost"], (seen, counted)
    for kind_of in ["data", "fin", "rst"]:
        most = counted[1][kind_of]
        assert most - counted[1]["lost"] <= seen[1][kind_of] <= most, (seen, counted)
    assert seen[0]["data"] > 0 and seen[1]["data"] > 0 and seen[0]["rst"] > 0
    if loss == 0:  # or others than these may have arrived first
        assert times[1] - times[0] == apart / Decimal(10**9), (times[:2], apart)
    return counted


def over_loopback():
    agree("lo", 0)


def over_a_pair_of_devices():
    assert [end["lost"] for end in agree("veth", 0)] == [0, 0]


def over_a_link_with_delay():
    assert [end["lost"] for end in agree("delay", 0)] == [0, 0]


def over_a_link_that_loses():
    assert sum(end["lost"] for end in agree("delay", 300)) > 0


tap.run([over_loopback, over_a_pair_of_devices, over_a_link_with_delay, over_a_link_that_loses])
