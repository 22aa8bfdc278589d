# SPDX-License-Identifier: MIT
"""Memory, which must not depend on the size of what is delivered."""
import os
from libnet import SANITIZED, Skip, run, same, test, until

LIMIT = 32 << 10  # KiB
SIZE = 300 << 20


def peak(process):
    """KiB that a running process has had resident at most, or None once it is gone."""
    try:
        with open(f"/proc/{process.pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


@test("send and serve stay under 32 MiB each while 300 MB are delivered")
def _(place):
    if SANITIZED:
        raise Skip("a sanitizer's own memory is larger")
    server = place.serve()
    path = place.under("large")
    with open(path, "wb") as file:
        file.truncate(SIZE)
    process = place.start("send", path, server.address)
    peaks = []
    until("it is delivered", lambda: (peaks.append(peak(process)), process.poll() is not None)[1])
    same(process.returncode, 0)
    same(os.path.getsize(os.path.join(place.inbox, "large")), SIZE)
    sender, receiver = max(filter(None, peaks)), peak(server.process)
    assert sender < LIMIT and receiver < LIMIT, f"send {sender} KiB, serve {receiver} KiB"


run()
