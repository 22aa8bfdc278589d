#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_lab.py LASTBYTE: `lastbyte lab` end to end: what it sees is what is known of Linux, and it leaves nothing behind."""

import contextlib
import functools
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import tap

# What a sanitizer finds must not look like an exit code of the command's.
for tool in ("ASAN", "UBSAN"):
    os.environ.setdefault(f"{tool}_OPTIONS", "exitcode=99:halt_on_error=1")

LASTBYTE = os.path.abspath(sys.argv[1])
SANITIZED = bool(os.environ.get("LASTBYTE_SANITIZED"))
PATIENCE = 250  # seconds until a test gives up waiting; never a measure of anything
NOBODY = 65534

DRAINS = {"drain", "acked", "raw_acked", "raw_drain"}  # reads until the peer's kernel has everything
WAITS = DRAINS | {"raw_outq"}  # does not close before that
READS_FIRST = WAITS | {"raw_drain_once"}  # or has read what lay there
ALL_BUT_ABORT = READS_FIRST | {"finish", "linger_finish", "linger", "plain", "raw_close", "raw_linger", "raw_shutdown",
                               "raw_linger_shutdown", "raw_shut_rdwr"}
# Over a link with a delay: by which policies everything arrives, and how the peer's last read ends by all others.
ARRIVES = {
    "reads_all": (ALL_BUT_ABORT, "reset"),
    "slow": (ALL_BUT_ABORT, "reset"),
    "nonblock": (ALL_BUT_ABORT, "reset"),
    "exit": (ALL_BUT_ABORT, "reset"),
    "fork": (ALL_BUT_ABORT, "reset"),
    "interrupted": (ALL_BUT_ABORT, "reset"),
    "never_closes": (ALL_BUT_ABORT, "reset"),
    "ends_first": (ALL_BUT_ABORT, "reset"),
    "half_close": (ALL_BUT_ABORT, "reset"),
    "unread": (READS_FIRST, "reset"),
    "unread_slow": (READS_FIRST, "reset"),
    "false_eof": (READS_FIRST, "eof"),  # though it is cut: somebody has taken the error
    "late": (WAITS, None),  # a reset, unless our own end was gone before the peer wrote
    "late_slow": (WAITS, None),
    "floods": (WAITS, None),  # a send may take the reset, and the read after it returns 0
    "uploads": (DRAINS, None),
    "killed": (set(), "eof"),
    "agreed": (ALL_BUT_ABORT | {"abort"}, None),
    "agreed_peer_first": (ALL_BUT_ABORT | {"abort"}, None),
}
SHORT = ["--only", "unread,reads_all,half_close", "--policy", "plain,drain,raw_drain,raw_linger_shutdown"]


def lab(*args, code=0, **more):
    done = subprocess.run([LASTBYTE, "lab", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=PATIENCE, **more)
    assert done.returncode == code, (args, done)
    return done


def seen(*args, **more):
    return json.loads(lab(*args, "--json", "-", **more).stdout)


@functools.cache
def quick():
    """What one whole run of --quick saw; of a few cells only, where a sanitizer makes it slow."""
    return seen("--quick", *(SHORT if SANITIZED else []))


def named(table):
    return {row["name"] for row in quick()[table]}


def of_help():
    """The names that help lists, below each head."""
    said = lab_help().partition("\nPolicies,")[2]
    return [set(re.findall(r"^  (\w+) ", part, re.MULTILINE)) for part in said.split("\nScenarios:\n")]


def lab_help():
    return subprocess.run([LASTBYTE, "help", "lab"], stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout


@contextlib.contextmanager
def running(*args, **more):
    """A run that has begun to play, and a mark by which it and all that comes of it is known."""
    mark = f"LASTBYTE_LAB_TEST={uuid.uuid4()}"
    environment = dict(os.environ, **dict([mark.split("=")]))
    process = subprocess.Popen(
        [LASTBYTE, "lab", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment, preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)],
        **more)
    try:
        while not process.stdout.readline().startswith("link "):
            assert process.poll() is None, process.stderr.read()
        wait_for("players", lambda: len(processes(mark)) > 2)
        yield process, mark
    finally:
        process.kill()
        process.communicate()


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


def processes(mark):
    """The ids of those that have the mark in their environment. Networks without a name live no longer than these."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.joinpath("environ").read_bytes():
                found.add(int(path.name))
    return found


def all_names_and_links_are_there():
    policies, scenarios = of_help()
    assert named("policies") == policies and named("scenarios") == scenarios, (policies, scenarios)
    assert {"drain", "acked", "finish", "linger_finish", "linger", "plain", "abort", "raw_close", "nagle"} < policies
    assert [link["name"] for link in quick()["links"]] == ["delay"], quick()["links"]
    assert re.fullmatch(r"20 ms one way, .*", quick()["links"][0]["text"]) and quick()["links"][0]["delay_ms"] == 20
    if not SANITIZED:
        assert {cell["policy"] for cell in quick()["cells"]} == policies
        assert {cell["scenario"] for cell in quick()["cells"]} == scenarios - {"orphans_full"}  # which takes --kernel
        assert set(ARRIVES) | {"never_reads", "listener", "request", "orphans_full"} == scenarios
    assert quick()["kernel"] == " ".join((os.uname().release, os.uname().version))


def every_cell_is_played_and_says_all_of_it():
    keys = None
    for cell in quick()["cells"]:
        assert cell["id"] == "/".join((cell["link"], cell["policy"], cell["scenario"])), cell["id"]
        assert cell["runs"] in (2, 10) and cell["runs"] == cell["eofs"] + cell["resets"] + cell["waits"], cell
        assert cell["whole"] <= cell["runs"] and cell["sent_bytes"] <= cell["meant_bytes"], cell
        assert cell["peer_bytes"] <= cell["sent_bytes"], cell
        assert cell["calls"] and all(who in ("ours", "peer") for _, _, who, _ in cell["calls"]), cell
        assert list(cell) == (keys := keys or list(cell)), cell
    ids = [cell["id"] for cell in quick()["cells"]]
    assert quick()["failed"] == [] and len(ids) == len(set(ids)) > 0


def the_order_of_cells_is_that_of_the_tables():
    policies, scenarios = ([row["name"] for row in quick()[table]] for table in ("policies", "scenarios"))
    places = [(policies.index(cell["policy"]), scenarios.index(cell["scenario"])) for cell in quick()["cells"]]
    assert places == sorted(places)


def over_a_delay_everything_arrives_by_those_policies_alone_that_are_known_to_deliver():
    wrong = []
    for cell in quick()["cells"]:
        whole, end = ARRIVES.get(cell["scenario"], (None, None))
        if whole is None:
            continue
        arrives = cell["policy"] in whole
        if cell["whole"] != (cell["runs"] if arrives else 0):
            wrong.append((cell["id"], cell["whole"], cell["runs"], cell["peer_bytes"]))
        elif not arrives and end is not None and cell["peer_end"] != end:
            wrong.append((cell["id"], cell["peer_end"], end))
    assert not wrong, wrong


def no_outcome_claims_more_than_the_peer_had():
    wrong, judged = [], 0
    for cell in quick()["cells"]:
        outcome = cell["outcome"]
        if outcome is None:
            continue
        judged += 1
        if outcome["rung"] in ("acked", "ended") and cell["peer_bytes"] < cell["meant_bytes"]:
            wrong.append(cell["id"])
        if outcome["rung"] == "ended" and cell["peer_end"] == "reset":
            wrong.append(cell["id"])
    assert judged > 0 and not wrong, wrong


def only_an_own_policy_has_an_outcome_and_only_linger_blocks_without_being_asked_to_wait():
    for cell in quick()["cells"]:
        if cell["policy"].startswith("raw_") or cell["scenario"] == "request":
            assert cell["outcome"] is None, cell["id"]
        if cell["policy"] in ("plain", "finish", "raw_close", "raw_shutdown") and cell["scenario"] == "reads_all":
            assert cell["blocked_ms"] < 20, (cell["id"], cell["blocked_ms"])
        if cell["policy"] in ("drain", "raw_linger", "raw_linger_shutdown") and cell["scenario"] == "reads_all":
            assert cell["blocked_ms"] >= 40, (cell["id"], cell["blocked_ms"])


def packets_and_counters_agree_with_what_the_peer_saw():
    if not all(cell["captured"] for cell in quick()["cells"]):
        raise tap.Skip("packets cannot be captured here")
    for cell in quick()["cells"]:
        if cell["scenario"] == "unread" and cell["policy"] in ("plain", "raw_close"):
            assert cell["segments"]["rst"] > 0 and cell["counters"]["TcpExtTCPAbortOnClose"] == 1, cell
        if cell["scenario"] == "reads_all" and cell["policy"] in ("drain", "raw_drain"):
            assert cell["segments"]["fin"] > 0 == cell["segments"]["rst"] == cell["peer_segments"]["rst"], cell
        assert any(flags & 2 for _, _, _, flags, *_ in cell["arrows"]), cell["id"]


def two_runs_give_the_same_verdicts():
    again = seen("--quick", *(SHORT if SANITIZED else []))
    verdicts = [{claim["id"]: claim["verdict"] for claim in run["claims"]} for run in (quick(), again)]
    assert verdicts[0] == verdicts[1] and verdicts[0], verdicts
    assert len(verdicts[0]) == 12 or SANITIZED, verdicts[0]
    assert set(verdicts[0].values()) <= {"holds", "partly", "fails"}
    ids = {cell["id"] for cell in quick()["cells"]}
    for claim in quick()["claims"]:
        assert claim["because"] and claim["cells"] and set(claim["cells"]) <= ids, claim


def names_choose_cells_and_nothing_else():
    run = seen("--only", "unread", "--policy", "plain")
    assert [link["name"] for link in run["links"]] == ["lo", "veth", "delay"], run["links"]
    assert [cell["id"] for cell in run["cells"]] == [f"{link}/plain/unread" for link in ("lo", "veth", "delay")]
    assert all(cell["runs"] in (3, 20) for cell in run["cells"]), run["cells"]


def lines_say_what_the_object_says():
    with tempfile.TemporaryDirectory() as place:
        file, page = f"{place}/cells.json", f"{place}/report.html"
        said = lab("--quick", "--only", "unread,request", "--policy", "plain,drain,raw_close,nagle", "--json", file, "--html", page).stdout
        run = json.loads(Path(file).read_text())
        assert sorted(os.listdir(place)) == ["cells.json", "report.html"]
        assert "<html" in Path(page).read_text()
    for cell in run["cells"]:
        line = re.search(rf"^{cell['link']} +{cell['policy']} +{cell['scenario']} +(\d+) of (\d+)  (\w+) +([\d.]+) ms  (.*)", said, re.MULTILINE)
        assert line and line.groups()[:3] == (str(cell["peer_bytes"]), str(cell["meant_bytes"]), cell["peer_end"]), (cell, said)
        if not cell["outcome"]:
            assert "no outcome" in line[5], (cell, line[0])
        else:
            assert f"{cell['outcome']['rung']}, {cell['outcome']['how']} by {cell['outcome']['by']}" in line[5], (cell, line[0])
    for claim in run["claims"]:
        assert re.search(rf"^{claim['verdict']} +{claim['id']}  +{re.escape(claim['text'])}\n +{re.escape(claim['because'])}$", said, re.MULTILINE), said


def a_link_has_the_delay_and_the_losses_that_are_asked_for():
    run = seen("--quick", "--delay", "0.5", "--loss", "1.25%", "--only", "reads_all", "--policy", "plain")
    link = run["links"][0]
    assert (link["delay_ms"], link["loss_pct"]) == (0.5, 1.25), link
    assert link["text"].startswith("0.5 ms one way") and "1.25 %" in link["text"], link


def what_cannot_be_is_said_before_anything_is_played():
    for args, why in (
            (["--only", "unred"], "no scenario 'unred'; did you mean 'unread'"),
            (["--only", "unread,"], "no scenario ''"),
            (["--policy", "plian"], "no policy 'plian'; did you mean 'plain'"),
            (["--only", "request", "--policy", "plain"], "none of these meet"),
            (["--delay", "fast"], "--delay fast: that is a number of milliseconds"),
            (["--delay", "201"], "at most 200 ms"),
            (["--loss", "5.01"], "at most 5 per cent"),
            (["--loss", "1.5x"], "--loss 1.5x"),
            (["--only", "orphans_full"], "orphans_full takes --kernel"),
            (["--players", "25"], "--players: that is 1 to 24"),
            (["--kernel", "/nowhere/vmlinuz"], "--kernel: /nowhere/vmlinuz: No such file"),
            (["--kernel", __file__], "is not a kernel for x86"),
            (["--html", "/nowhere/x.html"], "/nowhere/x.html cannot be written: No such file"),
            (["--html", ""], "--html  cannot be written: No such file"),
            (["--json", "/"], "/ cannot be written: Is a directory"),
            (["--pcap", f"{__file__}/packets"], "cannot be made: Not a directory"),
            (["--pcap", __file__], "Not a directory"),
            (["unread"], "it takes options alone, and not 'unread'")):
        done = lab(*args, code=2)
        assert why in done.stderr and done.stdout == "", (args, done)
    done = lab("--only", "unred", code=2)
    assert "'lastbyte help lab' says more" in done.stderr, done


def what_cannot_be_written_is_an_exit_code():
    cell = ["--quick", "--only", "unread", "--policy", "plain"]
    assert "/dev/full could not be written: No space left" in lab(*cell, "--json", "/dev/full", code=1).stderr
    with open("/dev/full", "w") as full:
        done = subprocess.run([LASTBYTE, "lab", *cell], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1 and "standard output could not be written" in done.stderr, done


def packets_that_find_no_room_cost_nothing_else():
    cells = f"{LASTBYTE} lab --quick --only reads_all --policy plain,raw_close --json -"
    with tempfile.TemporaryDirectory() as place:
        run = seen("--quick", "--only", "reads_all", "--policy", "plain,raw_close", "--pcap", place)
        if not all(cell["captured"] for cell in run["cells"]):
            raise tap.Skip("packets cannot be captured here")
        pages = [-(-file.stat().st_size // 4096) for file in Path(place).iterdir()]
    # not enough to keep them until the end; or not for the second file, too, but for half of it
    for room, files in ((min(pages), 0), (sum(pages) + max(pages) + min(pages) // 2, 1)):
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(without(f"mount -t tmpfs -o size={room * 4}k none {place}", "sh", "-c",
                                          f"{cells} --pcap {place}/packets; echo $?; ls {place}/packets"),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
            run, code, *written = done.stdout.splitlines()
            assert len(json.loads(run)["cells"]) == 2 and code == "1", done
            assert re.search("/packets could not be written: No space left", done.stderr), done
            assert len(written) == files, (room, written)


def few_descriptors_are_the_reason_that_is_given():
    with tempfile.TemporaryDirectory() as place:
        done = lab("--quick", "--only", "reads_all", "--pcap", place, code=4,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
    assert done.stderr.endswith("it could not be run: Too many open files\n"), done


def a_cell_that_cannot_be_played_is_named_and_left_out():
    with running("--quick", "--only", "never_reads,reads_all", "--policy", "raw_close,raw_linger", "--json", "/dev/stderr") as (process, _):
        # all that there is to play has begun: one player is one too few
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            os.kill(int(children.read().split()[-1]), signal.SIGKILL)
        said = process.stderr.read().splitlines()
        assert process.wait(PATIENCE) == 4, said
    why = re.fullmatch(r"lastbyte lab: (\S+) could not be played: its process was killed by signal 9", said[0])
    run = json.loads(said[1])
    assert run["failed"] == [{"id": why[1], "why": "its process was killed by signal 9"}], run["failed"]
    assert len(run["cells"]) == 3 and why[1] not in [cell["id"] for cell in run["cells"]]


def check_nothing_is_left(mark, place, before):
    assert processes(mark) == set(), processes(mark)
    assert sorted(os.listdir(place)) == before, os.listdir(place)


def an_interrupted_run_leaves_nothing_and_says_so():
    for number in (signal.SIGINT, signal.SIGTERM):
        with tempfile.TemporaryDirectory() as place:
            Path(place, "old.json").write_text("old")
            with running("--json", f"{place}/old.json", "--html", f"{place}/new.html", "--pcap", f"{place}/packets") as (process, mark):
                process.stdout.readline()
                process.send_signal(number)
                _, said = process.communicate(timeout=PATIENCE)
                assert (process.returncode, said) == (128 + number, "lastbyte lab: interrupted; no file was written\n"), said
                check_nothing_is_left(mark, place, ["old.json"])
                assert Path(place, "old.json").read_text() == "old"


def a_killed_run_leaves_nothing():
    with tempfile.TemporaryDirectory() as place:
        with running("--json", f"{place}/new.json", "--html", f"{place}/new.html", "--pcap", place) as (process, mark):
            process.kill()
            process.wait()
            wait_for("all processes to be gone", lambda: processes(mark) == set())
            check_nothing_is_left(mark, place, [])


def as_nobody(*command):
    """The command, for a user without rights; or Skip."""
    if os.getuid() != 0:
        return list(command)
    found = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    if subprocess.run([*found[:4], "test", "-x", LASTBYTE], check=False).returncode != 0:
        raise tap.Skip("the command lies where nobody may run it")
    return found


def without(what, *command):
    """The command, in a user namespace where `what`, a line of shell, has been done; or Skip."""
    found = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{what} && exec "$@"', "sh", *command]
    if subprocess.run([*found[:-len(command)], "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise tap.Skip("no user namespaces here")
    return found


def run_as(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


CELL = (LASTBYTE, "lab", "--only", "unread", "--policy", "plain,drain", "--json", "-")


def a_user_without_rights_sees_the_same():
    run = run_as(as_nobody(*CELL))
    links = [link["name"] for link in run["links"] if link["played"]]
    if "lo" in links and run["links"][0]["text"] != "a loopback of its own":
        raise tap.Skip("users have no namespaces here")
    assert {"lo", "veth"} <= set(links), run["links"]
    for cell in run["cells"]:
        assert cell["peer_end"] == ("eof" if cell["policy"] == "drain" else "reset"), cell
    assert len(run["cells"]) == 2 * len(links)


def a_user_without_rights_who_is_killed_leaves_nothing():
    as_nobody()
    identity = dict(user=NOBODY, group=NOBODY, extra_groups=[]) if os.getuid() == 0 else {}
    with running("--only", "never_reads", **identity) as (process, mark):
        process.kill()
        process.wait()
        wait_for("all processes to be gone", lambda: processes(mark) == set())


def without_tun_the_other_links_are_played():
    run = run_as(without("mount --bind /dev/null /dev/net/tun", *CELL))
    assert [(link["name"], link["played"]) for link in run["links"]] == [("lo", True), ("veth", True), ("delay", False)], run["links"]
    assert "cannot be had" in run["links"][2]["text"] and len(run["cells"]) == 4, run["links"]
    run = run_as(without("mount --bind /dev/null /dev/net/tun", *CELL, "--quick"))
    assert [(link["name"], link["played"]) for link in run["links"]] == [("veth", True), ("delay", False)], run["links"]


def without_namespaces_the_machines_loopback_is_played_and_that_is_said():
    limits = " && ".join(f"echo 0 >/proc/sys/user/max_{kind}_namespaces" for kind in ("net", "user"))
    run = run_as(without(limits, *CELL))
    assert [link["played"] for link in run["links"]] == [True, False, False], run["links"]
    text = run["links"][0]["text"]
    assert text.startswith("the machine's own loopback, because") and "without packets" in text and "counters" in text, text
    assert [cell["id"] for cell in run["cells"]] == ["lo/drain/unread", "lo/plain/unread"]
    for cell in run["cells"]:
        assert (cell["captured"], cell["segments"], cell["counters"], cell["arrows"]) == (False, None, None, []), cell


def packets_lie_in_files_that_are_named_after_their_cells():
    with tempfile.TemporaryDirectory() as place:
        file = f"{place}/cells.json"
        lab("--only", "unread", "--policy", "plain,drain", "--pcap", f"{place}/packets", "--json", file)
        cells = json.loads(Path(file).read_text())["cells"]
        if not all(cell["captured"] for cell in cells):
            raise tap.Skip("packets cannot be captured here")
        names = [cell["id"].replace("/", "-") + ".pcap" for cell in cells]
        assert sorted(names) == sorted(os.listdir(f"{place}/packets"))
        for name in names:
            magic = Path(place, "packets", name).read_bytes()[:4]
            assert magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a"), (name, magic)


def a_terminal_sees_how_far_it_is():
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([LASTBYTE, "lab", "--quick", "--only", "never_reads", "--policy", "raw_linger"],
                              stdout=subprocess.DEVNULL, stderr=theirs, env=dict(os.environ, TERM="xterm")) as process:
            shown = os.read(ours, 4096).decode()
            assert process.wait(PATIENCE) == 0
        assert re.search(r"\[>? .*\] +0 of 1 cells", shown), shown
    finally:
        os.close(ours)
        os.close(theirs)


# In the place of QEMU: begins, and plays here what a guest would have to play there.
GUEST = """#!/bin/bash
while [ $# -gt 0 ]; do case $1 in kvm) exit 1;; -append) line=$2;; -serial) port=${2#file:};; esac; shift; done
echo >"$port"
"$LASTBYTE" lab ${line#* -- lab --guest} --json "$PLACE/guest.json" && cat "$PLACE/guest.json" >"$port"
"""


@contextlib.contextmanager
def another_kernel(guest=GUEST):
    """A file that looks like a kernel, and the environment in which QEMU is this script."""
    with tempfile.TemporaryDirectory() as place:
        image, qemu = Path(place, "vmlinuz"), Path(place, "qemu-system-x86_64")
        image.write_bytes(bytes(0x202) + b"HdrS" + bytes(8) + b"\x90\0" + bytes(0x80) + b"6.1.0-7 (a sample)\0" + bytes(64))
        qemu.write_text(guest)
        qemu.chmod(0o755)
        yield str(image), os.environ | {"PATH": f"{place}:{os.environ['PATH']}", "LASTBYTE": LASTBYTE, "PLACE": place}


def another_kernel_is_played_first_by_the_same_options_and_shown_beside_ours():
    chosen = ["--quick", "--only", "unread", "--policy", "plain,drain", "--delay", "5", "--loss", "0.5"]
    with another_kernel() as (image, env):
        with tempfile.NamedTemporaryFile() as object_, tempfile.NamedTemporaryFile() as page:
            said = lab(*chosen, "--kernel", image, "--json", object_.name, "--html", page.name, env=env).stdout
            both, shown = json.loads(Path(object_.name).read_text()), Path(page.name).read_text()
    assert list(both) == ["kernels"] and len(both["kernels"]) == 2, both
    for kernel in both["kernels"]:
        assert [cell["id"] for cell in kernel["cells"]] == ["delay/drain/unread", "delay/plain/unread"], kernel
        assert [(link["delay_ms"], link["loss_pct"]) for link in kernel["links"] if link["name"] == "delay"] == [(5, 0.5)], kernel
    assert '"kernels":[' in shown
    assert len(re.findall(r"^delay  plain ", said, re.M)) == 2, said


def what_changes_the_whole_machine_is_played_on_another_kernel_alone():
    sees = GUEST.replace('"$LASTBYTE" lab ${line', """[[ ${line#* -- lab --guest} == *--only?orphans_full* ]] || exit 1
    echo '{"kernel": "6.1 sample", "cells": [], "claims": []}' >"$port"; exit; "$LASTBYTE" lab ${line""")
    with another_kernel(sees) as (image, env):
        both = json.loads(lab("--quick", "--only", "orphans_full", "--kernel", image, "--json", "-", env=env).stdout)
    assert both["kernels"][0]["cells"] == [] and both["kernels"][1]["kernel"] == "6.1 sample", both


def without_a_guest_nothing_is_played_and_that_is_said():
    with another_kernel("#!/bin/sh\necho no such machine >&2\nexit 1\n") as (image, env):
        done = lab(*SHORT, "--kernel", image, env=env, code=4)
    assert f"nothing was played on {image}: QEMU failed: no such machine" in done.stderr, done
    assert "\ndelay " not in done.stdout, done


tap.run([
    all_names_and_links_are_there,
    every_cell_is_played_and_says_all_of_it,
    the_order_of_cells_is_that_of_the_tables,
    over_a_delay_everything_arrives_by_those_policies_alone_that_are_known_to_deliver,
    no_outcome_claims_more_than_the_peer_had,
    only_an_own_policy_has_an_outcome_and_only_linger_blocks_without_being_asked_to_wait,
    packets_and_counters_agree_with_what_the_peer_saw,
    two_runs_give_the_same_verdicts,
    names_choose_cells_and_nothing_else,
    lines_say_what_the_object_says,
    a_link_has_the_delay_and_the_losses_that_are_asked_for,
    what_cannot_be_is_said_before_anything_is_played,
    what_cannot_be_written_is_an_exit_code,
    packets_that_find_no_room_cost_nothing_else,
    few_descriptors_are_the_reason_that_is_given,
    a_cell_that_cannot_be_played_is_named_and_left_out,
    an_interrupted_run_leaves_nothing_and_says_so,
    a_killed_run_leaves_nothing,
    a_user_without_rights_sees_the_same,
    a_user_without_rights_who_is_killed_leaves_nothing,
    without_tun_the_other_links_are_played,
    without_namespaces_the_machines_loopback_is_played_and_that_is_said,
    packets_lie_in_files_that_are_named_after_their_cells,
    a_terminal_sees_how_far_it_is,
    another_kernel_is_played_first_by_the_same_options_and_shown_beside_ours,
    what_changes_the_whole_machine_is_played_on_another_kernel_alone,
    without_a_guest_nothing_is_played_and_that_is_said,
])
