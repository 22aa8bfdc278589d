# SPDX-License-Identifier: MIT
"""Runs test functions one after another and prints TAP: their names, as sentences, are the cases."""

import sys
import traceback


class Skip(Exception):
    """Raised by a case that cannot run here, with the reason."""


def run(cases):
    """Runs the functions in `cases` and ends the program: 0 if none failed."""
    print(f"1..{len(cases)}", flush=True)
    failed = False
    for number, case in enumerate(cases, 1):
        name = case.__name__.replace("_", " ")
        try:
            case()
            print(f"ok {number} - {name}", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception:
            failed = True
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
