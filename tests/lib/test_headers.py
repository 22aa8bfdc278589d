#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_headers.py BUILD: the example in the first comment of a public header, compiled, and run against peers."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import example
import tap

BUILD = Path(sys.argv[1]).resolve()
PROGRAM = """
#include <arpa/inet.h>
#include <errno.h>
#include <lastbyte/%s>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

%s
int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : ""));
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || write(fd, "PING\\r\\n", 6) != 6)
		return 2;
	return quit(fd) == 0 ? 0 : 1;
}
"""


def the_example_of(header):
    text = (example.ROOT / "include/lastbyte" / header).read_text()
    comment = text.split("*/")[1]
    lines = re.findall(r"^ \*(?:\t(.*))?$", comment, re.MULTILINE)
    return "\n".join(lines).strip() + "\n"


def build(folder, header):
    program = Path(folder, "example")
    program.with_suffix(".c").write_text(PROGRAM % (header, the_example_of(header)))
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, program.with_suffix(".c"),
                    "-I", example.ROOT / "include", "-L", BUILD, "-llastbyte", f"-Wl,-rpath,{BUILD}"], check=True)
    return program


def says(answer):
    """A peer that answers so to PING and QUIT, together, and ends."""

    def peer(connection):
        words = b""
        while words != b"PING\r\nQUIT\r\n":
            words += connection.recv(1)
        connection.sendall(answer)

    return peer


def the_farewell_is_answered_or_not():
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder, "farewell.h")
        status, output = example.talk(program, says(b"+PONG\r\n+OK\r\n"))
        assert (status, output) == (0, "+PONG\n"), (status, output)
        status, output = example.talk(program, says(b"+PONG\r\n+O"))
        assert (status, output) == (1, "+PONG\n+O"), (status, output)


tap.run([
    the_farewell_is_answered_or_not,
])
