#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_readme.py BUILD: what README.md says is so, and the files exist that it and docs/architecture.md name."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import example
import tap

BUILD = Path(sys.argv[1]).resolve()
TEXT = (example.ROOT / "README.md").read_text()


def the_first_program_has_at_most_20_lines_and_does_what_is_said_of_it():
    assert example.source().count("\n") <= 21, example.source().count("\n")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "words")
        program.with_suffix(".c").write_text(example.source())
        subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, program.with_suffix(".c"),
                        "-I", example.ROOT / "include", "-L", BUILD, "-llastbyte", f"-Wl,-rpath,{BUILD}"], check=True)
        example.check(program)


def every_file_and_link_that_it_names_exists():
    names = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r"`((?:include|src|tests|docs|man)/[^`*]*)`", TEXT)
    missing = [name for name in names if not (example.ROOT / name).exists()]
    assert names and not missing, missing


def every_file_that_the_architecture_names_exists():
    text = (example.ROOT / "docs/architecture.md").read_text()
    names = re.findall(r"`((?:src|include|tests|cli)(?:/[a-z_.]+)+/?)`", text)
    names += ["src/" + name for name in re.findall(r"`((?:base|proto|sock|loop|client|server)/[a-z_]+\.[ch])`", text)]
    names += [f"tests/net/test_{name}.py" for name in re.findall(r"`net/([a-z_]+)`", text)]
    missing = [name for name in names if not (example.ROOT / name).exists()]
    assert len(names) > 20 and not missing, missing


def its_table_of_exit_codes_is_that_of_outcomes_def():
    table = (example.ROOT / "include/lastbyte/outcomes.def").read_text()
    defined = dict(re.findall(r'^LB_VERDICT\(\w+, "(\w+)", (\d+),', table, re.MULTILINE))
    del defined["unproven"]  # of plain TCP, which the command does not use
    said = {}
    for words, code in re.findall(r"^\| (`[^|]+`) \| (\d) \|", TEXT, re.MULTILINE):
        said.update({word: code for word in re.findall(r"`(\w+)`", words)})
    assert said == defined, (said, defined)


tap.run([
    the_first_program_has_at_most_20_lines_and_does_what_is_said_of_it,
    every_file_and_link_that_it_names_exists,
    every_file_that_the_architecture_names_exists,
    its_table_of_exit_codes_is_that_of_outcomes_def,
])
