#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts test cases: tally.py passed|failed|skipped counts of TAP text and of meson's log of a run.

tally.py tap FILE STATUS            the output of one program and its exit status
tally.py meson BUILD SUITE,...|all  what the last `meson test` in BUILD ran, beside what it should have run

Prints "PASSED FAILED SKIPPED", and on standard error all that was said by those tests in which something failed.
A program without a line of TAP is one case. One that ends badly without a "not ok", says fewer lines than its plan,
or did not run at all, is one failure: nothing passes by silence.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LINE = re.compile(r"^(not )?ok\b(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)")
SKIP = re.compile(r"#\s*skip", re.IGNORECASE)
MESON_SKIPS = 77  # the exit status that meson takes for "skipped"


def count(text, status):
    passed = failed = skipped = 0
    plan = None
    for line in text.splitlines():
        if match := PLAN.match(line):
            plan = (plan or 0) + int(match.group(1))
        elif match := LINE.match(line):
            if SKIP.search(match.group(2)):
                skipped += 1
            elif match.group(1):
                failed += 1
            else:
                passed += 1
    seen = passed + failed + skipped
    if plan is None and seen == 0:
        return (0, 0, 1) if status == MESON_SKIPS else (1, 0, 0) if status == 0 else (0, 1, 0)
    if failed == 0 and (status != 0 or (plan is not None and seen < plan)):
        failed = 1
    return passed, failed, skipped


def expected(build, suites):
    run = subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True)
    for test in json.loads(run.stdout):
        names = {suite.split(":")[-1] for suite in test["suite"]}
        if suites is None or names & suites:
            yield test["name"]


def meson(build, suites):
    total = [0, 0, 0]
    missing = list(expected(build, suites))
    log = Path(build, "meson-logs", "testlog.json")
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        entry = json.loads(line)
        name = entry["name"].split(" / ")[-1]
        if name in missing:
            missing.remove(name)
        ended_well = entry["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
        status = entry.get("returncode", 1)
        if not ended_well and status == 0:
            status = 1
        counts = count(entry.get("stdout", ""), status)
        total = [a + b for a, b in zip(total, counts)]
        if counts[1] > 0:
            print(f"== {name} in {build}: {entry['result']}, exit status {status}", file=sys.stderr)
            print(entry.get("stdout", "") + entry.get("stderr", ""), file=sys.stderr)
    for name in missing:
        print(f"{build}: {name} did not run", file=sys.stderr)
    total[1] += len(missing)
    if sum(total) == 0:
        print(f"{build}: no test ran", file=sys.stderr)
        total[1] = 1
    return total


def main(kind, where, what):
    if kind == "tap":
        result = count(Path(where).read_text(errors="replace"), int(what))
    else:
        result = meson(where, None if what == "all" else set(what.split(",")))
    print(*result)


if __name__ == "__main__":
    main(*sys.argv[1:])
