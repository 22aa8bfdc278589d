#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The order of the layers and what keeps it, as far as it can be read from the files."""

import os
import re
import subprocess
from pathlib import Path

import tap

ROOT = Path(__file__).resolve().parents[2]

# What each layer may include: itself, and these.
BELOW = {
    "base": set(),
    "proto": {"base"},
    "sock": {"base"},
    "loop": {"base", "proto", "sock"},
    "client": {"base", "proto", "sock", "loop"},
    "server": {"base", "proto", "sock", "loop"},
}
PUBLIC = {
    "base.h": "base",
    "outcomes.def": "base",
    "conn.h": "proto",
    "sock.h": "sock",
    "message.h": "sock",
    "farewell.h": "sock",
    "closer.h": "sock",
    "client.h": "client",
    "server.h": "server",
}
# The protocol does no I/O and reads no clock: these are all the system's headers that it may need.
PURE_HEADERS = {"assert.h", "endian.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h",
                "stdint.h", "stdio.h", "stdlib.h", "string.h", "sys/types.h", "sys/uio.h", "stdarg.h"}
LONGEST = 400  # lines of a file

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(path):
    for kind, name in INCLUDE.findall(path.read_text()):
        yield kind, name


def layer_of(name):
    """The layer that an #include names, or None for the system's."""
    folder, _, file = name.rpartition("/")
    if folder == "lastbyte":
        return PUBLIC[file]
    return folder if folder in BELOW or folder == "cli" else None


def c_files(folder):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h"))


def includes_point_down():
    wrong = []
    for layer, below in BELOW.items():
        files = c_files(f"src/{layer}") + [ROOT / "include/lastbyte" / h for h, own in PUBLIC.items() if own == layer]
        for path in files:
            for _, name in includes(path):
                target = layer_of(name)
                if target is not None and target != layer and target not in below:
                    wrong.append(f"{path.relative_to(ROOT)} is in {layer} and includes {name}, which is in {target}")
    assert not wrong, "\n".join(wrong)


def every_folder_and_public_header_has_its_layer():
    folders = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
    assert folders == set(BELOW), folders ^ set(BELOW)
    headers = {p.name for p in (ROOT / "include/lastbyte").iterdir()}
    assert headers == set(PUBLIC), headers ^ set(PUBLIC)


def the_protocol_includes_no_header_of_io_or_time():
    wrong = []
    for path in c_files("src/proto") + [ROOT / "include/lastbyte/conn.h", ROOT / "include/lastbyte/base.h"]:
        for _, name in includes(path):
            if layer_of(name) is None and "/" not in name.replace("sys/", "") and name not in PURE_HEADERS:
                wrong.append(f"{path.relative_to(ROOT)} includes {name}")
    assert not wrong, "\n".join(wrong)


def each_public_header_stands_alone_in_c_and_in_cplusplus():
    for header in sorted(h for h in PUBLIC if h.endswith(".h")):
        for compiler, language in (["cc", "-std=c11"], "c"), (["clang++", "-std=c++11"], "c++"):
            text = f"#include <lastbyte/{header}>\n#include <lastbyte/{header}>\n"
            run = subprocess.run(
                compiler + ["-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I", ROOT / "include", "-"],
                input=text, capture_output=True, text=True)
            assert run.returncode == 0, run.stderr


def every_file_begins_with_its_licence():
    wrong = [str(p.relative_to(ROOT)) for folder in ("include", "src", "cli", "lab", "tests", "bench", "examples") for p in c_files(folder)
             if not p.read_text().startswith("/* SPDX-License-Identifier: MIT */\n")]
    assert not wrong, "\n".join(wrong)


def no_file_is_too_long_to_read():
    wrong = [f"{p.relative_to(ROOT)} has {n} lines" for folder in ("include", "src", "cli", "lab") for p in c_files(folder)
             if (n := p.read_text().count("\n")) > LONGEST]
    assert not wrong, "\n".join(wrong)


def each_unit_test_has_its_source_file_or_document():
    """test_X.c is about X.c, and test_X_TOPIC.c about one side of it."""
    wrong = []
    for path in sorted((ROOT / "tests/unit").rglob("test_*.c")):
        words = path.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:n]) for n in range(1, len(words) + 1)]
        sources = [ROOT / "src" / path.parent.name / f"{name}.c" for name in names]
        document = ROOT / "docs" / f"protocol-{names[-1]}.txt"
        if not any(source.exists() for source in sources) and not document.exists():
            wrong.append(f"{path.relative_to(ROOT)}: there is no {sources[-1].relative_to(ROOT)}")
    assert not wrong, "\n".join(wrong)


os.chdir(ROOT)
tap.run([
    includes_point_down,
    every_folder_and_public_header_has_its_layer,
    the_protocol_includes_no_header_of_io_or_time,
    each_public_header_stands_alone_in_c_and_in_cplusplus,
    every_file_begins_with_its_licence,
    no_file_is_too_long_to_read,
    each_unit_test_has_its_source_file_or_document,
])
