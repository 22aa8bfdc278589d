#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two pictures of a report of `lastbyte lab`, for docs/: pictures.py REPORT FOLDER"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "tests/lib")]

from browser import Browser  # noqa: E402

report, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
with Browser() as browser:
    for name, cell, scheme in ("claims", "", "light"), ("packets", "#delay/raw_close/unread", "dark"):
        browser.open(report, cell, width=1280, scheme=scheme)
        browser.shoot(folder / f"lab-{name}.png")
