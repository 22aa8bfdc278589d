# SPDX-License-Identifier: MIT
"""What processes, and the connections between them, are doing at a moment, for whoever has to find out why they do not go on."""
import contextlib
import os
import shutil
import subprocess
import sys
import traceback


def said_by(*words):
    """What a tool says, or why it says nothing."""
    if not shutil.which(words[0]):
        return f"there is no {words[0]}"
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
    except subprocess.TimeoutExpired:
        return f"{words[0]} does not end"
    return done.stdout.decode(errors="replace")


def of_process(pid):
    """Its threads: their states, where each waits in the kernel, and their stacks."""
    lines = []
    with contextlib.suppress(OSError):
        for task in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
            with open(f"/proc/{pid}/task/{task}/wchan", encoding="ascii") as wchan, \
                    open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as stat:
                lines.append(f"thread {task}: {stat.read().rpartition(')')[2].split()[0]} in {wchan.read()}")
    stacks = said_by("gdb", "-batch", "-nx", "-p", str(pid), "-ex", "thread apply all bt")
    return "\n".join([*lines, *(line for line in stacks.splitlines() if line.startswith(("Thread", "#")))])


def of_connections(ports):
    """Of all that have one of these ports: queues, timers and what TCP knows."""
    rows = said_by("ss", "-tniopH").replace("\n\t", " ").splitlines()
    return "\n".join(row for row in rows if any(f":{port} " in row for port in ports))


def of_threads():
    """Where those of this process are, each in one line."""
    stacks = ([frame for frame, _ in traceback.walk_stack(frame)] for frame in sys._current_frames().values())
    return "\n".join(" < ".join(f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in stack
                                if os.path.dirname(frame.f_code.co_filename).endswith(("chaos", "net"))) for stack in stacks)
