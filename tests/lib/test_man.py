#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_man.py BUILD: the pages in man/ are well formed, say what the command and the headers say, and their examples do
what they are said to."""

import contextlib
import json
import os
import re
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import example
import tap

BUILD = Path(sys.argv[1]).resolve()
MAN = example.ROOT / "man"
PAGES = {path.name: path.read_text() for path in sorted(MAN.glob("*.[1-8]"))}
FUNCTIONS = [name for name in PAGES if name.endswith(".3")]
COMMANDS = {name: re.fullmatch(r"lastbyte-(\w+)\.1", name)[1] for name in PAGES if name.endswith(".1")}
HEADERS = {name: re.findall(r"^\.In lastbyte/(\S+)$", text, re.MULTILINE) for name, text in PAGES.items()}
WITHOUT = {"conn.h"}  # a header that is its own documentation
IN_PART = {"base.h"}  # headers of which the pages need not have everything
OPAQUE = {"lb_cork"}  # structs whose members are not the caller's
OUTCOMES = (example.ROOT / "include/lastbyte/outcomes.def").read_text()


def output(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60, **more).stdout


def section(page, title):
    """The lines below a heading, as they are shown on a terminal that is wide enough for all."""
    text = re.sub(r".\x08", "", output("mandoc", "-T", "ascii", "-O", "width=1000", MAN / page))
    found = re.search(rf"^{title}\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return re.sub("^ {5}", "", found[1], flags=re.MULTILINE) if found else ""


def words(text):
    return " ".join(text.split())


def examples(page):
    """What stands in EXAMPLES as it is, and not as text: each block's lines."""
    blocks = re.findall(r"^\.Bd -literal$(.*?)^\.Ed$", PAGES[page].partition("\n.Sh EXAMPLES\n")[2], re.MULTILINE | re.DOTALL)
    return [block.replace("\\e", "\\").replace("\\&", "").strip("\n") for block in blocks]


def prototypes(text):
    """Declarations that end with a semicolon each, however they are laid out."""
    return [re.sub(r"(?<=[*(]) | (?=[)])", "", words(part)) for part in text.split(";") if "(" in part]


def code(header):
    return re.sub(r"/\*.*?\*/", "", (example.ROOT / "include/lastbyte" / header).read_text(), flags=re.DOTALL)


def declared(header):
    functions = re.findall(r"^LB_PUBLIC (?:LB_CHECKED )?(.*?;)", code(header), re.MULTILINE | re.DOTALL)
    return set(prototypes("".join(functions))) | set(re.findall(r"^#define (LB_\w+\(.*?\))", code(header), re.MULTILINE))


def members(body):
    for declaration in body.split(";"):
        callback = re.search(r"\(\*(\w+)\)\(", declaration)
        yield from [callback[1]] if callback else re.findall(r"(\w+)(?:\[.*?\])?\s*(?:,|$)", declaration.strip())


def synopsis(page):
    return prototypes(re.sub(r"^#.*", "", section(page, "SYNOPSIS"), flags=re.MULTILINE))


def mandoc_finds_nothing():
    found = []
    for page in PAGES:
        report = subprocess.run(["mandoc", "-T", "lint", "-W", "all", MAN / page], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, timeout=60)
        # Which pages of others are installed here is no matter, and the name below each page is to be ours.
        found += [line for line in report.stdout.splitlines() if not re.search(
            r"referenced manual not found|operating system explicitly specified|outdated mandoc\.db", line)]
    assert len(PAGES) > 0 and not found, "\n".join(found)


def headings_are_shown_as_they_are_written():
    for page, text in PAGES.items():
        shown = re.sub(r".\x08", "", output("mandoc", "-T", "ascii", "-O", "width=1000", MAN / page))
        for heading in re.findall(r"^\.S[hs] (.*)$", text, re.MULTILINE):
            written = re.escape(heading.replace("\\&", ""))
            assert re.search(rf"^ *{written}$", shown, re.MULTILINE), (page, heading)


def every_page_of_ours_that_a_page_refers_to_exists():
    for page, text in PAGES.items():
        named = re.findall(r"^\.Xr (lb_\w+|lastbyte\S*) (\d)", text, re.MULTILINE)
        missing = [name for name, number in named if f"{name}.{number}" not in PAGES]
        assert not missing, (page, missing)


def no_command_and_no_header_but_that_of_the_state_machine_is_without_a_page():
    overview = output(BUILD / "lastbyte", "help").partition("--version")[0]
    assert set(re.findall(r"^  (\w+)  +", overview, re.MULTILINE)) - {"help"} == set(COMMANDS.values()), overview
    headers = {path.name for path in (example.ROOT / "include/lastbyte").glob("*.h")}
    assert headers - WITHOUT == set().union(*HEADERS.values()), headers


def the_tables_of_words_are_those_of_outcomes_def():
    for title, kind in (("THE LADDER OF CERTAINTY", "RUNG"), ("VERDICTS", "VERDICT"), ("HOW A CONNECTION ENDED", "END"),
                        ("WHO ENDED IT", "PARTY"), ("IN WHICH PHASE", "PHASE"), ("REASONS", "REASON")):
        rows = re.findall(rf'^LB_{kind}\(\w+, (?:\d+, \w+, )?"(\w+)"(?:, (\d))?(?:, "(.*)")?\)$', OUTCOMES, re.MULTILINE)
        said = section("lastbyte.7", title)
        if kind == "PARTY":
            assert re.findall(r"\w+", said.replace(" or ", " ")) == [word for word, _, _ in rows], said
        else:
            assert re.findall(r"^(?:(\d) )?(\w+)  +(.*)$", said, re.MULTILINE) == [(code, word, text) for word, code, text in rows], said


def every_policy_is_in_the_table_and_means_what_outcomes_def_says():
    rows = re.findall(r'^LB_POLICY\(\w+, "(\w+)", "(.*)"\)$', OUTCOMES, re.MULTILINE)
    said = section("lastbyte.7", "WHICH POLICY WHEN")
    table = said.split("\n\n")[1]
    assert rows and re.findall(r"^\w+", table, re.MULTILINE) == ["policy", *(word for word, _ in rows)], table
    for word, text in rows:
        assert f" {word} {text}" in words(said), (word, text)


def a_command_is_called_as_its_help_says():
    for page, command in COMMANDS.items():
        usage = output(BUILD / "lastbyte", "help", command).partition("\n\n")[0]
        assert words(usage) == "usage: " + words(section(page, "SYNOPSIS")), page


def a_command_has_the_options_of_its_help_with_their_defaults():
    for page, command in COMMANDS.items():
        options = re.findall(r"^  (--\S+(?: \S+)?)  +(.*(?:\n {6,}.*)*)", output(BUILD / "lastbyte", "help", command), re.MULTILINE)
        said = dict(re.findall(r"^(--\S+(?: \S+)?)(?:\n|  )(.*)", section(page, "DESCRIPTION"), re.MULTILINE))
        assert list(said) == [option for option, _ in options], (page, options, said)
        for option, text in options:
            numbers = re.findall(r"[\w.:]*\d[\w.:]*\w", text)
            assert all(number in said[option] for number in numbers), (page, option, numbers)


def a_command_ends_with_the_codes_of_its_help():
    for page, command in COMMANDS.items():
        text = output(BUILD / "lastbyte", "help", command)
        table = re.findall(r"^  (\d)  (\w+) +(.*(?:\n {6,}.*)*)", text.partition("Exit codes:")[2], re.MULTILINE)
        said = section(page, "EXIT STATUS")
        if table:
            assert re.findall(r"^(\d) (\w+) +(.*)$", said, re.MULTILINE) == [(code, word, words(means)) for code, word, means in table], page
        else:
            assert words(said) == words(re.search(r"Exit codes: (.*)", text)[1]), page


def every_function_is_declared_as_in_its_header():
    said = [(page, text) for page in FUNCTIONS for text in synopsis(page)]
    for page, text in said:
        assert any(text in declared(header) for header in HEADERS[page]), (page, text)
    for header in sorted(set().union(*HEADERS.values()) - IN_PART):
        missing = declared(header) - {text for _, text in said}
        assert not missing, (header, missing)


def every_function_is_named_at_the_top_of_its_page():
    for page in FUNCTIONS:
        top = PAGES[page].partition("\n.Sh SYNOPSIS\n")[0]
        named = re.findall(r"^\.Nm (\w+)", top, re.MULTILINE)
        functions = [re.search(r"(\w+)\(", text)[1] for text in synopsis(page)]
        assert named[0] == page[:-2] and named in (functions, [named[0], *functions]), (page, named, functions)


def every_member_constant_and_error_of_a_header_is_explained():
    for header in sorted(set().union(*HEADERS.values())):
        text = "\n".join(PAGES[page] for page in PAGES if header in HEADERS[page])
        for name, body in re.findall(r"^struct (\w+) \{$(.*?)^\};$", code(header), re.MULTILINE | re.DOTALL):
            if name in OPAQUE or (header in IN_PART and f"\n.Vt struct {name}\n" not in text):
                continue
            missing = [member for member in members(body) if not re.search(rf"^\.It Fa .*\b{member}\b", text, re.MULTILINE)]
            assert not missing, (header, name, missing)
        if header not in IN_PART:
            missing = [word for word in re.findall(r"\b(LB_[A-Z]+_[A-Z_]+),", code(header))
                       if not re.search(rf"^\.(?:It )?Dv .*\b{word}\b", text, re.MULTILINE)]
            said = re.findall(r"(?:Returns|they return)\b.*?\*/", (example.ROOT / "include/lastbyte" / header).read_text(), re.DOTALL)
            missing += [word for word in re.findall(r"-(E[A-Z]+)\b", "".join(said)) if not re.search(rf"\bEr {word}\b", text)]
            assert not missing, (header, missing)


# What calls a program of EXAMPLES, with a connection to the port that it is given.
CALLER = """
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{{
	struct sockaddr_in to = {{.sin_family = AF_INET, .sin_addr = {{htonl(INADDR_LOOPBACK)}}}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"));
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return 2;
	{}
}}
"""

# What calls one that connects by itself, or not at all.
MAIN = """
int main(int argc, char **argv)
{{
	(void)argc;
	(void)argv;
	{}
}}
"""

STEPS = """
	const struct lb_delivery delivery = {.name = "greeting", .length = 5};
	struct lb_client *client;
	struct lb_outcome outcome, end;
	if (lb_client_start_open(argv[1], NULL, lb_in_ms(60000), &client, &outcome) < 0 || finish(client, &outcome) < 0 ||
		lb_client_start_begin(client, &delivery, lb_in_ms(60000)) < 0)
		return 2;
	if (finish(client, &outcome) == 0 &&
		(lb_client_start_write(client, "hello", 5, lb_in_ms(60000)) < 0 || finish(client, &outcome) < 0))
		return 2;
	if (lb_client_start_commit(client, lb_in_ms(60000)) < 0 || finish(client, &outcome) < 0)
		return 2;
	__builtin_puts(lb_verdict_word(outcome.verdict));
	__builtin_puts(lb_reason_word(outcome.reason));
	lb_client_start_close(client, lb_in_ms(60000));
	if (finish(client, &end) < 0)
		return 2;
	lb_client_abort(client, &end);
	return lb_verdict_exit(outcome.verdict);
"""


def peer(heard, *said):
    """A peer that hears this, says that, and ends."""
    def play(connection):
        assert connection.recv(len(heard), socket.MSG_WAITALL) == heard
        for words_of_it in said:
            connection.sendall(words_of_it)
    return play


def cut_peer(heard, said):
    """A peer that hears this, says that, and breaks off."""
    def play(connection):
        peer(heard, said)(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return play


@contextlib.contextmanager
def serving(place, *command):
    """A server that says where it listens. In the end it is told to stop, and does."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **place) as server:
        try:
            yield re.search(r"127\.0\.0\.1:\d+", server.stdout.readline())[0]
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()


def check_client(program):
    with a_place() as place, serving(place, "lastbyte", "serve", "--listen", "127.0.0.1:0") as address:
        said = subprocess.run([program, address], stdout=subprocess.PIPE, text=True, timeout=60, **place)
        assert said.returncode == 0 and said.stdout.startswith("committed"), said
        assert Path(place["cwd"], "inbox", "greeting").read_text() == "hello"
        said = subprocess.run([program, address], stdout=subprocess.PIPE, text=True, timeout=60, **place)
        assert said.returncode == 1 and "name_exists" in said.stdout, said


def check_server(program):
    with tempfile.TemporaryDirectory() as folder, a_place() as place, serving(place, program) as address:
        client = build("lb_client.3", 0, Path(folder, "client"))
        said = subprocess.run([client, address], stdout=subprocess.PIPE, text=True, timeout=60, **place)
        assert said.returncode == 0 and said.stdout.startswith("5 bytes\ncommitted"), said
        assert Path(place["cwd"], "inbox", "greeting").read_text() == "hello"


def check_exchange(program):
    assert example.talk(program, peer(b"how are you?", b"we", b"ll")) == (0, "well")
    assert example.talk(program, cut_peer(b"how are you?", b"we")) == (1, "")


def check_farewell(program):
    assert example.talk(program, peer(b"QUIT\r\n", b":7\r\n+O", b"K\r\n")) == (0, ":7\n")
    assert example.talk(program, peer(b"QUIT\r\n", b":7\r\n")) == (1, ":7\n")


def check_message(program):
    assert example.talk(program, peer(b"head body")) == (0, "")


# Of each page: how its programs are called, and what checks them.
EXAMPLES = {
    "lb_client.3": [('return deliver(argv[1], "greeting", "hello");', check_client), (STEPS, check_client)],
    "lb_close.3": [('return write(fd, "last words\\n", 11) != 11 || !end(fd);', example.check)],
    "lb_closer.3": [('return write(fd, "last words\\n", 11) != 11 || !end(fd);', example.check)],
    "lb_exchange.3": [('return ask(fd, "how are you?") != 0;', check_exchange)],
    "lb_farewell.3": [("return quit(fd) != 0;", check_farewell)],
    "lb_send_message.3": 2 * [('return reply(fd, (char *)"head ", 5, (char *)"body", 4) != 0;', check_message)],
    "lb_server.3": [('return serve("inbox") != 0;', check_server)],
}


def programs(page):
    return [block for block in examples(page) if block.startswith("#include")]


def build(page, index, program):
    """One program of a page, compiled."""
    call, _ = EXAMPLES[page][index]
    program.with_suffix(".c").write_text(programs(page)[index] + (CALLER if "fd" in call else MAIN).format(call))
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, program.with_suffix(".c"),
                    "-I", example.ROOT / "include", "-L", BUILD, *["-llastbyte-server"] * (page == "lb_server.3"), "-llastbyte",
                    f"-Wl,-rpath,{BUILD}"], check=True)
    return program


def the_programs_do_what_is_said_of_them():
    for page in FUNCTIONS:
        assert len(programs(page)) == len(EXAMPLES.get(page, [])), (page, len(programs(page)))
        for index, (_, check) in enumerate(EXAMPLES.get(page, [])):
            with tempfile.TemporaryDirectory() as folder:
                check(build(page, index, Path(folder, "program")))


def session(page, place, *hosts):
    """Runs the commands of a page's sessions with these hosts for those that they name; what they print is shown there."""
    commands = "\n".join(session_commands(page))
    for name, address in hosts:
        commands = commands.replace(name, address)
    seen = subprocess.run(["sh", "-c", commands], stdout=subprocess.PIPE, text=True, timeout=60, **place).stdout
    assert re.fullmatch(session_output(page), seen), f"{page}:\n{seen}"
    return seen


def session_commands(page):
    return [line[2:] for block in examples(page) for line in block.split("\n") if line.startswith("$ ")]


def session_output(page):
    """A pattern for what follows the commands: "..." stands for whatever differs each time."""
    lines = [line for block in examples(page) for line in block.split("\n") if not line.startswith("$ ")]
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:...", "".join(line + "\n" for line in lines))
    return re.sub(r"(?:\\-|[0-9a-fT])*\\\.\\\.\\\.", r"\\S+", re.escape(text))


@contextlib.contextmanager
def a_place():
    """Where the command and what it sends are found, and what it leaves is removed."""
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "etc").mkdir()
        Path(scratch, "dump.sql").write_bytes(bytes(1 << 20))
        environment = dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}", XDG_STATE_HOME=f"{scratch}/state", LC_ALL="C.UTF-8")
        yield dict(cwd=scratch, env=environment, stderr=subprocess.STDOUT)


def keys(page):
    """Those that the page says that the objects of --json have."""
    return re.findall(r"^(\w+)  +", section(page, "DESCRIPTION"), re.MULTILINE)


def a_delivery_goes_as_the_sessions_show():
    with a_place() as place:
        served = session_commands("lastbyte-serve.1")
        assert len(served) == 1 and served[0].startswith("lastbyte serve "), served
        server = subprocess.Popen([*served[0].split(), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, **place)
        try:
            log = server.stdout.readline()
            host = ("backup.example", re.search(r"127\.0\.0\.1:\d+", log)[0])
            sent = session("lastbyte-send.1", place, host).splitlines()
            assert keys("lastbyte-send.1") == [*json.loads(sent[-1]), "placed", "reason"], sent
            session("lastbyte-resolve.1", place, host)
            session("lastbyte-ledger.1", place)
        finally:
            server.send_signal(signal.SIGTERM)
            log += server.communicate(timeout=60)[0]
        assert server.returncode == 0, log
        assert re.match(session_output("lastbyte-serve.1"), log), log


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.request.settimeout(60)
        for line in self.rfile:
            self.wfile.write(line)


def a_pipe_goes_as_its_sessions_show():
    with a_place() as place, socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            said = session("lastbyte-pipe.1", place, ("echo.example:7", "127.0.0.1:%d" % server.server_address[1]))
            assert keys("lastbyte-pipe.1") == [*json.loads(said.splitlines()[-1]), "why"], said
        finally:
            server.shutdown()
            thread.join()


def the_object_of_the_lab_has_the_keys_of_its_page():
    seen = json.loads(output(BUILD / "lastbyte", "lab", "--quick", "--only", "unread", "--policy", "plain", "--json", "-"))
    assert keys("lastbyte-lab.1") == [*seen, *seen["cells"][0]], seen


tap.run([
    mandoc_finds_nothing,
    headings_are_shown_as_they_are_written,
    every_page_of_ours_that_a_page_refers_to_exists,
    no_command_and_no_header_but_that_of_the_state_machine_is_without_a_page,
    the_tables_of_words_are_those_of_outcomes_def,
    every_policy_is_in_the_table_and_means_what_outcomes_def_says,
    a_command_is_called_as_its_help_says,
    a_command_has_the_options_of_its_help_with_their_defaults,
    a_command_ends_with_the_codes_of_its_help,
    a_delivery_goes_as_the_sessions_show,
    a_pipe_goes_as_its_sessions_show,
    the_object_of_the_lab_has_the_keys_of_its_page,
    every_function_is_declared_as_in_its_header,
    every_function_is_named_at_the_top_of_its_page,
    every_member_constant_and_error_of_a_header_is_explained,
    the_programs_do_what_is_said_of_them,
])
