# SPDX-License-Identifier: MIT
"""
Where the deliveries of a round go: files of a directory, or rows of a database. What lies there, who takes it away
meanwhile, and outsiders who take a name. Knows nothing of what should be there.
"""
import collections
import contextlib
import itertools
import os
import sqlite3
import threading
import time
from libnet import PATIENCE


class Inbox:
    """Lies on the small disk. `sources` has what was sent, by its name; `taken` is where a reader keeps what it takes."""

    outsiders = frozenset()  # names that an outsider has taken

    def __init__(self, path, taken, sources):
        self.path, self.taken, self.sources = path, taken, sources
        os.mkdir(taken)
        os.mkdir(sources)
        self.kept = collections.defaultdict(dict)  # by name: where the reader keeps it, by its place in the inbox
        self.lock = threading.Lock()

    def is_whole(self, name, content):
        with open(os.path.join(self.sources, name), "rb") as file:
            return file.read() == content

    def keep(self, name, place, content):
        """Of what is kept already, from a row that could not be deleted then, there is no second copy."""
        path = os.path.join(self.taken, f"{name}#{place}")
        with open(path, "wb") as file:
            file.write(content)
        self.kept[name][place] = path

    def find(self, name):
        """All that is there of a name, or was taken: where, and whether it is what was sent."""
        with self.lock:
            found = dict(self.present(name))
            for place, path in self.kept[name].items():
                with open(path, "rb") as file:
                    found[place] = file.read()
        return {place: self.is_whole(name, content) for place, content in found.items()}

    def squat(self, name):
        """An outsider takes a name, where deliveries have it for themselves. Returns whether it did."""
        return False


class Files(Inbox):
    """A directory: a delivery is a file, and has the name for itself."""

    kind, servers = "dir", 1
    largest = 22  # of a delivery, as a power of two
    points = ("commit_received", "commit_begun", "part_synced", "parts_synced", "row_committed", "renamed", "inbox_synced",
              "commit_done", "sync_part_synced", "sync_row_put")

    def __init__(self, disk, folder):
        super().__init__(*(os.path.join(disk, name) for name in ("inbox", "taken")), os.path.join(folder, "sources"))
        self.outsiders, self.number = set(), itertools.count()
        self.outsider = os.path.join(self.taken, "outsider")
        with open(self.outsider, "wb") as file:
            file.write(b"an outsider's")

    def visible(self):
        return [] if not os.path.isdir(self.path) else [name for name in os.listdir(self.path) if name[0] != "."]

    def present(self, name):
        """Where an outsider has its name, it lies under one that begins with it."""
        names = [name]
        if name in self.outsiders:
            names = [there for there in self.visible() if there.startswith(name + "~")]
        for there in names:
            with contextlib.suppress(FileNotFoundError), open(os.path.join(self.path, there), "rb") as file:
                yield there, file.read()

    def names(self):
        with self.lock:
            there = {name.partition("~")[0] for name in self.visible() if name not in self.outsiders}
            return there | {name for name, kept in self.kept.items() if kept}

    def take(self):
        """What is an outsider's stays."""
        count = 0
        for there in self.visible():
            with self.lock:
                name = there.partition("~")[0]
                if there not in self.outsiders:
                    place = str(next(self.number))
                    path = os.path.join(self.taken, f"{there}#{place}")
                    os.rename(os.path.join(self.path, there), path)
                    self.kept[name][place] = path
                    count += 1
        return count

    def squat(self, name):
        with self.lock, contextlib.suppress(OSError):  # it exists, or the disk is full
            os.link(self.outsider, os.path.join(self.path, name))
            self.outsiders.add(name)
            return True
        return False

    def spoiled(self):
        """What is an outsider's is what it was."""
        return [name for name in self.outsiders if not os.path.samefile(self.outsider, os.path.join(self.path, name))]


class Rows(Inbox):
    """A database: a delivery is a row, which a reader deletes once it has what is in it."""

    kind, servers, largest, points = "sqlite", 1, 20, ("commit_received", "commit_done")

    def __init__(self, disk, folder):
        os.mkdir(os.path.join(disk, "inbox"))
        super().__init__(os.path.join(disk, "inbox", "rows.db"), *(os.path.join(folder, name) for name in ("taken", "sources")))

    def open(self):
        return sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)

    def ask(self, sql, *values):
        """Reads. Where a full disk does not let it, it waits."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with contextlib.closing(self.open()) as database:
                    return database.execute(sql, values).fetchall()
            except sqlite3.OperationalError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def present(self, name):
        rows = self.ask("SELECT sequence, content, length FROM deliveries WHERE name = ?", name)
        assert all(len(content) == length for _, content, length in rows), f"{name}: not its length"
        return [(f"row {sequence}", content) for sequence, content, _ in rows]

    def names(self):
        with self.lock:
            return {name for name, in self.ask("SELECT name FROM deliveries")} | {name for name, kept in self.kept.items() if kept}

    def take(self):
        """Rows that could not be deleted are kept already when they are read again."""

        def work(database):
            database.execute("BEGIN IMMEDIATE")
            rows = database.execute("SELECT sequence, name, content FROM deliveries ORDER BY sequence LIMIT 20").fetchall()
            for sequence, name, content in rows:
                self.keep(name, f"row {sequence}", content)
            database.execute("DELETE FROM deliveries WHERE sequence <= ?", (rows[-1][0] if rows else 0,))
            database.execute("COMMIT")
            return len(rows)

        with self.lock, contextlib.suppress(sqlite3.OperationalError):  # the disk is full: some other time
            with contextlib.closing(self.open()) as database:
                return work(database)
        return 0

    def spoiled(self):
        """SQLite finds nothing wrong, and no sequence was there for two."""
        rows = {(f"row {sequence}", name) for sequence, name in self.ask("SELECT sequence, name FROM deliveries")}
        rows |= {(place, name) for name, kept in self.kept.items() for place in kept}
        places = collections.Counter(place for place, _ in rows)
        said = [text for text, in self.ask("PRAGMA integrity_check") if text != "ok"]
        return said + [place for place, times in places.items() if times > 1]


class Shared(Rows):
    """A database that two servers have at the same time, each with a life of its own."""

    servers = 2


INBOXES = (Files, Rows, Shared)
