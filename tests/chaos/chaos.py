# SPDX-License-Identifier: MIT
"""
chaos.py COMMAND TESTING FOLDER [--minutes M] [--seed S] [--rounds N] [--story NAME] [--inbox KIND] [--bug NAME]

Rounds of chaos, as many as fit into the time, or N: real servers and clients on a real disk, killed, stopped, cut off
and out of space, until all is healed and settled; then the books have to balance. Round i is drawn from seed S + i alone.
The disk is in FOLDER. --story has all clients tell that one, --inbox has all rounds go there. With --bug a planted bug
is in force, and has to be found.
Prints TAP; fails also when too little has happened.
"""
import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "net"))
from books import Books  # noqa: E402
from inbox import INBOXES, Files  # noqa: E402
from libnet import PATIENCE, Place  # noqa: E402
from stories import STORIES, Client, beside_an_outsider, long_ago  # noqa: E402
from world import Disk, World  # noqa: E402

# What a run must have done; where no file system could be mounted, the last two are left out.
WANTED = ("said committed", "said in_doubt", "said not_committed", "said rolled_back", "server: SIGKILL", "server: SIGTERM",
          "server: SIGSTOP", "server at a fault point", "client: SIGKILL", "client: SIGTERM", "client: SIGSTOP",
          "client at a fault point", "link: rst", "link: fin", "link: silence", "link: late", "taken from dir",
          "taken from sqlite", "name taken by an outsider", "because fenced", "said forgotten")
WANTED_OF_DISK = ("disk: full", "because disk_full")


def apart():
    """Begins again in namespaces of its own: what is mounted, and who runs, goes with this process."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    for more in ([], ["--user", "--map-root-user"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*words, *more, "true"], capture_output=True).returncode == 0:
                os.execvpe(words[0], [*words, *more, sys.executable, *sys.argv], {**os.environ, "LASTBYTE_APART": "1"})


def settle(world, books, clients):
    """
    Everything that is open is finished, or asked about; then nothing is, and each client can send as ever. That also
    tells the server which numbers are settled, so that it keeps nothing more of them.
    """
    for client in clients:
        for state in reversed(client.states):
            client.state = state
            for _ in range(5):
                if client.go_on("--retry").code in (0, 1):
                    break
            answer = client.go_on()
            books.check(answer.code == 0 and not answer.objects, f"still open: {answer!r}")
        answer = client.send(names=[client.new()])
        books.check(answer.code == 0 or client.restored, f"nothing is wrong any more: {answer!r}")
    for identity in books.undecided():
        clients[0].resolve(identity)
    for part in world.place.parts():  # of clients that have lost their journal
        identity, name = part.split(os.sep)[-2:]
        if name in books.old:
            clients[0].resolve(identity.replace("-", ":"))


def play(folder, disk, seed, options, did):
    """One round. Returns what is wrong."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=folder) as path, contextlib.ExitStack() as stack:
        disk.clear()
        place = Place(path, stack)
        known = [story for story in STORIES if options.story in (None, story.__name__)]
        first = known[seed % len(known)]
        where = options.inbox or (Files.__name__ if first is beside_an_outsider else None)
        kind = rng.choice([kind for kind in INBOXES if where in (None, kind.__name__)])
        inbox = kind(disk.path, path)
        place.inbox = inbox.path
        books = Books(place, inbox, first is long_ago or rng.random() < 0.2, did)
        world = World(place, disk, books, did, rng, seed, options.bug)
        stories = [first] + [rng.choice(known) for _ in range(rng.randrange(1, 4))]
        clients = [Client(world, f"c{n}", story, rng.random()) for n, story in enumerate(stories)]
        reader = threading.Thread(target=world.read, daemon=True)
        if world.reading:
            reader.start()
        for client in clients:
            client.start()
        world.tend(lambda: any(client.is_alive() for client in clients))
        if world.reading:
            reader.join(PATIENCE)
        with contextlib.suppress(subprocess.TimeoutExpired):  # that is booked as well
            settle(world, books, clients)
        for keeper in world.keepers:
            keeper.stop()
            keeper.start()  # what it finds at a start is in order as well
            keeper.stop()
        books.close([event for keeper in world.keepers for event in keeper.logged])
        return books.troubles and [*books.troubles, "What the runs said that had to do with it:", *books.history()]


def rounds(options, folder, disk, did):
    """Plays them, up to the first one that goes wrong. Returns how many, and what is wrong with the last one."""
    end = time.monotonic() + 60 * options.minutes
    wanted = set(WANTED) | (set(WANTED_OF_DISK) if disk.can_fill() else set())
    number = 0
    while True:
        seed = options.seed + number
        print(f"# round {number + 1}, seed {seed}", flush=True)
        troubles = play(folder, disk, seed, options, did)
        number += 1
        over = number >= options.rounds if options.rounds else time.monotonic() >= end
        # a busy machine needs longer until everything has happened, and gets five times the time
        missing = [] if options.rounds else sorted(what for what in wanted if not did[what])
        if over and missing and not options.bug and time.monotonic() < end + 240 * options.minutes:
            over = False
        if troubles or over:
            return number, troubles, missing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("testing")
    parser.add_argument("folder")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--story", choices=[story.__name__ for story in STORIES])
    parser.add_argument("--inbox", choices=[kind.__name__ for kind in INBOXES])
    parser.add_argument("--bug")
    options = parser.parse_args()
    did = collections.Counter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=options.folder) as folder:
        disk = Disk(folder)
        print(f"1..{1 if options.bug or options.rounds else 2}")
        print(f"# the inbox is on: {disk.kind}")
        try:
            number, troubles, missing = rounds(options, folder, disk, did)
        finally:
            if disk.can_fill():
                subprocess.run(["umount", "-l", disk.path], check=False)
    for what, times in sorted(did.items()):
        print(f"# {times:6} {what}")
    for trouble in troubles:
        print("\n".join("# " + line for line in trouble.splitlines()))
    if options.bug:
        ok = bool(troubles)
        print(f"{'ok' if ok else 'not ok'} 1 - {options.bug} is found, here after {number} rounds from seed {options.seed}")
        sys.exit(not ok)
    ok = not troubles
    print(f"{'ok' if ok else 'not ok'} 1 - the books balance after each of {number} rounds from seed {options.seed} on")
    if not options.rounds:
        print(f"{'not ok' if missing else 'ok'} 2 - all kinds of faults and verdicts were there"
              f"{', but not: ' + ', '.join(missing) if missing else ''}")
    sys.exit(not ok or bool(missing))


if __name__ == "__main__":
    if "LASTBYTE_APART" not in os.environ:
        apart()
    main()
