# SPDX-License-Identifier: MIT
"""The programs in README.md, and what the first one must say of peers that end in different ways."""

import re
import socket
import struct
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORDS = b"last words\n"


def source(index=0):
    """The text of one of the C programs in README.md."""
    return re.findall(r"^```c\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[index]


def talk(program, peer, environment=None):
    """Runs the program against a server whose connection is given to `peer`; its exit status and output."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        errors = []

        def serve():
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(30)
                    peer(connection)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        run = subprocess.run([program, str(listener.getsockname()[1])], capture_output=True, text=True, timeout=60, env=environment)
        thread.join(60)
        assert not errors, errors
        return run.returncode, run.stdout


def reads_all(connection):
    """A peer as it should be: reads to the end, then ends."""
    text = b""
    while piece := connection.recv(100):
        text += piece
    assert text == WORDS, text


def resets(connection):
    """A peer that gives up before it has read anything, though all of it has come."""
    assert connection.recv(100, socket.MSG_PEEK | socket.MSG_WAITALL) == WORDS
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def check(program, environment=None):
    status, output = talk(program, reads_all, environment)
    assert status == 0, (status, output)
    assert "; ended: accepted 11, acked 11, lost 0" in output, output
    status, output = talk(program, resets, environment)
    assert status == 1, (status, output)
    assert "rst by peer" in output, output
