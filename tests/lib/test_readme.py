#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_readme.py BUILD: what README.md says is so, and the files exist that it and docs/architecture.md name."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import example
import tap

BUILD = Path(sys.argv[1]).resolve()
TEXT = (example.ROOT / "README.md").read_text()


def build(index, program):
    program.with_suffix(".c").write_text(example.source(index))
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, program.with_suffix(".c"),
                    "-I", example.ROOT / "include", "-L", BUILD, "-llastbyte", f"-Wl,-rpath,{BUILD}"], check=True)
    return program


def the_first_program_has_at_most_20_lines_and_does_what_is_said_of_it():
    assert example.source().count("\n") <= 21, example.source().count("\n")
    with tempfile.TemporaryDirectory() as folder:
        example.check(build(0, Path(folder, "words")))


@contextlib.contextmanager
def serving(into):
    """A server in a directory of its own: the directory, where it listens, and an environment to send with."""
    with tempfile.TemporaryDirectory() as folder:
        with subprocess.Popen([BUILD / "lastbyte", "serve", "--into", into, "--listen", "127.0.0.1:0"], cwd=folder,
                              stderr=subprocess.PIPE, text=True) as server:
            ready = server.stderr.readline()
            reader = threading.Thread(target=server.stderr.read)  # it waits for a reader who is slow
            reader.start()
            try:
                address = re.search(r"127\.0\.0\.1:\d+", ready)[0]
                yield Path(folder), address, dict(os.environ, XDG_STATE_HOME=f"{folder}/state", PATH=f"{BUILD}:{os.environ['PATH']}")
            finally:
                server.terminate()
                reader.join()


def the_second_program_delivers_each_line_and_says_of_which_it_could_not():
    with serving("dir:./inbox") as (folder, address, environment):
        program = build(1, folder / "lines")
        lines = "".join(f"line {n}\n" for n in range(1, 151))
        done = subprocess.run([program, address], input=lines, capture_output=True, text=True, timeout=100, env=environment)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert {path.name: path.read_text() for path in folder.glob("inbox/line.*")} == \
            {f"line.{n}": f"line {n}\n" for n in range(1, 151)}
        (folder / "inbox" / "line.2").unlink()
        done = subprocess.run([program, address], input="1\n2\n3\n", capture_output=True, text=True, timeout=100, env=environment)
        assert (done.returncode, sorted(done.stderr.splitlines())) == \
            (1, [f"line.{n}: the name exists there" for n in (1, 3)]), done


def the_lines_become_rows_as_is_said():
    into = command("build/lastbyte serve --into sqlite:").split()[-1]
    with serving(into) as (folder, address, environment):
        for line in command("seq "), command("sqlite3 "):
            done = subprocess.run(line.replace("build/", "").replace("127.0.0.1", address), shell=True, cwd=folder, check=True,
                                  stdout=subprocess.PIPE, text=True, timeout=100, env=environment)
        count = command("seq ").split()[1]
        assert done.stdout == f"{count}\n", done
        assert (folder / "receipts").read_text().count("committed") == int(count)


def command(start):
    """The one command in README.md that begins so."""
    found = re.findall(rf"^    ({re.escape(start)}.*)$", TEXT, re.MULTILINE)
    assert len(found) == 1, (start, found)
    return found[0]


def the_commands_to_try_say_what_is_said_of_them():
    def attempt(sending):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
        server = command("python3 -c").replace("7000", port)
        # the server is there once its port is taken
        ready = f'until grep -q ":{int(port):04X} 00000000:0000 0A" /proc/net/tcp; do kill -0 $! || exit 9; sleep 0.01; done'
        done = subprocess.run(["bash", "-c", "\n".join([server, ready, sending.replace("7000", port)])],
                              cwd=BUILD.parent, capture_output=True, text=True, timeout=60)
        return done.stdout, done.stderr

    assert attempt(command("head -c 1000000 /dev/zero | nc")) == ("0\n", "")
    said, why = attempt(command("head -c 1000000 /dev/zero | build/lastbyte").replace("build/", f"{BUILD}/"))
    assert said == "1\n", (said, why)
    sample = re.search(r"^    (lost: .*)$", TEXT, re.MULTILINE)[1]
    for line in (why, sample):
        assert re.match(r"lost: accepted \d+, acked \d+, lost \d+ bytes.*; rst by peer in ", line), line
    assert "lost 0 bytes" not in why or "more were read and not sent" in why, why


def the_lab_shows_what_is_shown():
    shown = command("build/lastbyte lab --quick").replace("build/", f"{BUILD}/")
    said = subprocess.run(shown, shell=True, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    for text in (TEXT, said):
        cells = re.findall(r"^ *(?:delay|veth|lo) +(raw_\w+) +unread +(\d+) of (\d+) +(\w+) ", text, re.MULTILINE)
        assert [policy for policy, *_ in sorted(cells)] == ["raw_close", "raw_drain"], text
        for policy, got, meant, end in cells:
            assert (got == meant, end) == ((False, "reset") if policy == "raw_close" else (True, "eof")), text


def every_file_and_link_that_it_names_exists():
    names = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r"`((?:include|src|lab|tests|docs|man)/[^`*]*)`", TEXT)
    missing = [name for name in names if not (example.ROOT / name).exists()]
    assert names and not missing, missing


def every_file_that_the_architecture_names_exists():
    text = (example.ROOT / "docs/architecture.md").read_text()
    names = re.findall(r"`((?:src|include|lab|tests|cli)(?:/[a-z_.]+)+/?)`", text)
    names += ["src/" + name for name in re.findall(r"`((?:base|proto|sock|loop|client|server)/[a-z_]+\.[ch])`", text)]
    names += [f"tests/net/test_{name}.py" for name in re.findall(r"`net/([a-z_]+)`", text)]
    missing = [name for name in names if not (example.ROOT / name).exists()]
    assert len(names) > 20 and not missing, missing


def its_table_of_exit_codes_is_that_of_outcomes_def():
    table = (example.ROOT / "include/lastbyte/outcomes.def").read_text()
    defined = dict(re.findall(r'^LB_VERDICT\(\w+, "(\w+)", (\d+),', table, re.MULTILINE))
    del defined["unproven"]  # of plain TCP: `lastbyte pipe` has exit codes of its own
    said = {}
    for words, code in re.findall(r"^\| (`[^|]+`) \| (\d) \|", TEXT, re.MULTILINE):
        said.update({word: code for word in re.findall(r"`(\w+)`", words)})
    assert said == defined, (said, defined)


tap.run([
    the_first_program_has_at_most_20_lines_and_does_what_is_said_of_it,
    the_second_program_delivers_each_line_and_says_of_which_it_could_not,
    the_lines_become_rows_as_is_said,
    the_commands_to_try_say_what_is_said_of_them,
    the_lab_shows_what_is_shown,
    every_file_and_link_that_it_names_exists,
    every_file_that_the_architecture_names_exists,
    its_table_of_exit_codes_is_that_of_outcomes_def,
])
