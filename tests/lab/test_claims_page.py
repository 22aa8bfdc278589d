# SPDX-License-Identifier: MIT
"""The page that scripts/claims.py makes, of a small object such as `lastbyte lab --json` writes."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))

import tap  # noqa: E402


def cell(link, policy, scenario, **what):
    return {"link": link, "policy": policy, "scenario": scenario, "runs": 3, "whole": 3, "peer_bytes": 1000000,
            "meant_bytes": 1000000, "peer_end": "eof", "blocked_ms": 0.5, "segments": None, **what}


DOCUMENT = {
    "kernel": "6.1.2-test #1 SMP",
    "links": [{"name": "lo", "text": "a loopback"}, {"name": "delay", "text": "20 ms one way"},
              {"name": "veth", "text": "not played"}],
    "policies": [{"name": "plain", "text": "close by the library"}, {"name": "raw_close", "text": "close"},
                 {"name": "raw_drain", "text": "reads to the end"}, {"name": "nagle", "text": "two writes"}],
    "scenarios": [{"name": "reads_all", "text": "the peer reads all"}, {"name": "unread", "text": "1 KB lies unread"},
                  {"name": "listener", "text": "not accepted"}, {"name": "request", "text": "a request"}],
    "cells": [
        cell("lo", "raw_close", "unread", whole=0, peer_bytes=77777),
        cell("delay", "raw_close", "reads_all"),
        cell("delay", "raw_close", "unread", whole=0, peer_bytes=14480, peer_end="reset"),
        cell("delay", "raw_close", "listener", peer_bytes=0, meant_bytes=0, peer_end="reset"),
        cell("delay", "raw_drain", "unread", runs=20, whole=13),
        cell("delay", "plain", "unread", whole=0, peer_bytes=2500),
        cell("delay", "plain", "reads_all", peer_end="waiting"),
        cell("lo", "nagle", "request", meant_bytes=3120, blocked_ms=43.987, segments={"data": 2}),
        cell("delay", "nagle", "request", meant_bytes=3120, blocked_ms=82.1),
    ],
    "claims": [{"id": "unread-resets", "text": "It resets.", "verdict": "partly", "because": "1 of 3 | 2 of 3",
                "cells": ["lo/plain/unread", "delay/plain/unread", "delay/raw_close/unread"]}],
}


def page(document):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        run = subprocess.run([sys.executable, ROOT / "scripts/claims.py", file.name, "2026-01-02"], capture_output=True,
                             text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def has(lines, line):
    assert line in lines, f"no line is {line!r}:\n" + "\n".join(lines)


def the_header_tells_the_command_the_kernel_and_the_date():
    text = " ".join(page(DOCUMENT))
    assert "Linux 6.1.2-test did on 2026-01-02" in text and "`./dev claims`" in text, text


def a_claim_is_a_row_that_names_each_kind_of_cell_once():
    has(page(DOCUMENT), "| It resets. `unread-resets` | **partly** | 1 of 3 \\| 2 of 3 | `plain/unread` (lo, delay), "
                        "`raw_close/unread` (delay) |")


def the_matrix_is_that_of_the_last_link_that_was_played():
    lines = page(DOCUMENT)
    has(lines, "|  | close | drain |")
    has(lines, "| `reads_all` | all |  |")
    has(lines, "| `unread` | 14 KB RST | all in 13 of 20 |")
    has(lines, "|  | plain |")
    has(lines, "| `reads_all` | all open |")
    has(lines, "| `unread` | 2 KB EOF |")
    has(lines, "| `listener` | RST |  |")
    has(lines, "- `unread`: 1 KB lies unread")
    has(lines, "- `raw_drain`: reads to the end")
    assert not any("77 KB" in line for line in lines), lines


def requests_have_a_table_of_their_own_over_all_links():
    lines = page(DOCUMENT)
    has(lines, "|  | lo | delay |")
    has(lines, "| two writes | 43.99 ms, 2 | 82.10 ms |")
    assert not any(line.startswith("| `request`") for line in lines), lines


def what_was_not_played_is_left_out():
    lines = page({**DOCUMENT, "cells": []})
    has(lines, "# Claims about ending TCP connections")
    assert [line for line in lines if line.startswith("## ")] == ["## The report"], lines


tap.run([
    the_header_tells_the_command_the_kernel_and_the_date,
    a_claim_is_a_row_that_names_each_kind_of_cell_once,
    the_matrix_is_that_of_the_last_link_that_was_played,
    requests_have_a_table_of_their_own_over_all_links,
    what_was_not_played_is_left_out,
])
