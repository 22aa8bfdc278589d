#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_install.py BUILD: installs to a scratch root and uses it from there, as a program of somebody else's would."""

import atexit
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import example
import tap

BUILD = Path(sys.argv[1]).resolve()
SCRATCH = Path(tempfile.mkdtemp())
DESTINATION = SCRATCH / "root"
atexit.register(shutil.rmtree, SCRATCH)


def output(*command, **more):
    run = subprocess.run(command, capture_output=True, text=True, **more)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def installed(name):
    """The one file of this name."""
    found = list(DESTINATION.rglob(name))
    assert len(found) == 1, (name, found)
    return found[0]


def package(*options):
    environment = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=str(DESTINATION),
                       PKG_CONFIG_PATH=str(installed("lastbyte.pc").parent))
    return shlex.split(output("pkg-config", *options, env=environment))


def declared(header):
    """The functions that a public header declares LB_PUBLIC."""
    text = (example.ROOT / "include/lastbyte" / header).read_text()
    return set(re.findall(r"^LB_PUBLIC\b[^;(]*?\b(lb_\w+)\s*\(", text, re.MULTILINE))


def exported(library):
    return {line.split()[0].split("@")[0] for line in
            output("nm", "--dynamic", "--defined-only", "--format=posix", library).splitlines()}


def the_headers_the_libraries_and_their_descriptions_are_installed():
    output("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", DESTINATION)
    for header in (example.ROOT / "include/lastbyte").iterdir():
        assert installed(header.name).read_bytes() == header.read_bytes()
    for name in "liblastbyte.so", "liblastbyte.a", "liblastbyte-server.so", "liblastbyte-server.a", "lastbyte.pc", "lastbyte-server.pc":
        installed(name)


def every_page_is_installed_under_all_its_names():
    for page in (example.ROOT / "man").glob("*.[1-8]"):
        assert installed(page.name).read_bytes() == page.read_bytes()
        assert installed(page.name).parent.name == "man" + page.suffix[1:]
        names = re.findall(r"^\.Nm (\w\S*)", page.read_text().partition("\n.Sh SYNOPSIS\n")[0], re.MULTILINE)
        for name in names:
            assert installed(name + page.suffix).resolve() == installed(page.name), name


def a_program_is_built_against_the_shared_library():
    program = SCRATCH / "shared"
    program.with_suffix(".c").write_text(example.source())
    output("cc", "-o", program, program.with_suffix(".c"), *package("--cflags", "--libs", "lastbyte"))
    assert "liblastbyte.so" in output("readelf", "-d", program)
    example.check(program, dict(os.environ, LD_LIBRARY_PATH=str(installed("liblastbyte.so").parent)))


def a_program_is_built_against_the_static_library():
    program = SCRATCH / "static"
    program.with_suffix(".c").write_text(example.source())
    libraries = " ".join(package("--static", "--libs", "lastbyte")).replace("-llastbyte", "-l:liblastbyte.a").split()
    output("cc", "-o", program, program.with_suffix(".c"), *package("--cflags", "lastbyte"), *libraries)
    assert "liblastbyte" not in output("readelf", "-d", program)
    example.check(program)


def a_program_that_serves_is_built_against_both_kinds_of_library():
    text = """
        #include <lastbyte/server.h>
        #include <stdio.h>
        int main(int argc, char **argv)
        {
            struct lb_sink *sink;
            char why[256], text[LB_UUID_TEXT];
            if (argc != 2 || lb_sink_dir_open(argv[1], NULL, &sink, why) != 0)
                return 1;
            puts(lb_uuid_text(lb_sink_ledger(sink), text));
            lb_sink_close(sink);
            return 0;
        }
    """
    flags = package("--cflags", "--libs", "lastbyte-server", "sqlite3")
    static = re.sub(r"-l(lastbyte\S*)", r"-l:lib\1.a", " ".join(flags)).split()
    identities = set()
    for kind, options in ("served", flags), ("served-static", static):
        program = SCRATCH / kind
        output("cc", "-x", "c", "-o", program, "-", *["-x", "none"], *options, input=text)
        environment = dict(os.environ, LD_LIBRARY_PATH=str(installed("liblastbyte.so").parent))
        identities.add(output(program, SCRATCH / "inbox", env=environment))
    assert len(identities) == 1, identities


def only_what_is_public_is_exported():
    server = declared("server.h")
    core = set().union(*(declared(h.name) for h in (example.ROOT / "include/lastbyte").glob("*.h"))) - server
    assert "lb_close" in core and "lb_server_run" in server
    found = exported(installed("liblastbyte.so"))
    assert found == core, f"missing: {core - found}; too much: {found - core}"
    found = exported(installed("liblastbyte-server.so"))
    assert found == server, f"missing: {server - found}; too much: {found - server}"


def the_library_needs_the_c_library_alone():
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", installed("liblastbyte.so"))))
    assert needed <= {"libc.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}, needed


def the_command_runs_from_wherever_it_lies():
    command = Path(shutil.copy(BUILD / "lastbyte", SCRATCH))
    assert output(command, "--version", cwd="/").startswith("lastbyte "), command
    needed = output("readelf", "-d", command)
    assert "liblastbyte" not in needed and "RUNPATH" not in needed and "RPATH" not in needed, needed


tap.run([
    the_headers_the_libraries_and_their_descriptions_are_installed,
    every_page_is_installed_under_all_its_names,
    a_program_is_built_against_the_shared_library,
    a_program_is_built_against_the_static_library,
    a_program_that_serves_is_built_against_both_kinds_of_library,
    only_what_is_public_is_exported,
    the_library_needs_the_c_library_alone,
    the_command_runs_from_wherever_it_lies,
])
