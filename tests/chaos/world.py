# SPDX-License-Identifier: MIT
"""
The world of a round: a small disk, servers that are started again whenever they are gone, a link that cuts and falls
silent, the clients that run, and the storm of faults that comes over them.
"""
import contextlib
import functools
import heapq
import itertools
import os
import random
import select
import shutil
import signal
import subprocess
import threading
import time
import picture
from libnet import COMMAND, PATIENCE, TESTING, Answer, Proxy, Server, cut, until

SIZE = 192 << 20  # bytes of the small disk: some rounds' worth


class Disk:
    """
    A file system of its own, so that it can be full: an image on the disk of `folder`, else memory, else none. Its blocks
    are as large as a page: where they are smaller, a full disk kills whoever has a database open, by SIGBUS.
    """

    def __init__(self, folder):
        self.path, image = os.path.join(folder, "disk"), os.path.join(folder, "image")
        self.filler, self.kind = os.path.join(self.path, "filler"), "that of the build folder, which cannot be full"
        os.mkdir(self.path)
        if "LASTBYTE_APART" not in os.environ:
            return
        with open(image, "wb") as file:
            file.truncate(SIZE)
        for kind, commands in (
                ("ext4 in a loop device on the disk of the build folder",
                 (["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", image], ["mount", "-o", "loop", image, self.path])),
                ("tmpfs", (["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "chaos", self.path],))):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                for command in commands:
                    subprocess.run(command, check=True, capture_output=True,
                                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
                self.kind = kind
                return

    def can_fill(self):
        return self.path != os.path.dirname(self.path) and os.path.ismount(self.path)

    def fill(self, leave):
        """Until about `leave` bytes are free."""
        with open(self.filler, "ab") as file:
            while True:
                state = os.statvfs(self.path)
                step = (state.f_bavail * state.f_frsize - leave) // 2 // 4096 * 4096
                if step <= 0:
                    return
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                    continue
                return

    def heal(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.filler)

    def clear(self):
        for name in os.listdir(self.path):
            shutil.rmtree(os.path.join(self.path, name), ignore_errors=True)


class Link(Proxy):
    """
    Each connection goes to any of the servers, and may be cut, in both ways, or fall silent, after so many bytes of
    either direction as are drawn.
    """

    def __init__(self, targets, draw, badness, did):
        self.draw, self.badness, self.did, self.calm = draw, badness, did, threading.Event()
        super().__init__(targets)

    def aim(self):
        return self.draw.choice(self.target)

    def limit(self, direction):
        if self.calm.is_set() or self.draw.random() >= self.badness:
            return None
        return int(2 ** self.draw.uniform(0, 22 if direction == "up" else 11))

    def reached(self, direction, source, sink):
        how = self.draw.choice(("rst", "fin", "silence", "late" if direction == "up" else "rst"))
        if self.calm.is_set():
            return True
        self.did[f"link: {how}"] += 1
        if how == "late":
            return self.be_late(source, sink)
        if how == "silence":
            self.calm.wait(self.draw.uniform(0.05, 1.5))
            if self.draw.random() < 0.5:
                return True
        for end in (source, sink):
            cut(end, "rst" if how == "rst" else "fin")
        return False

    def be_late(self, source, sink):
        """The client is cut off, and what it had sent comes when it may have tried again at another server."""
        last = b""
        while select.select([source], [], [], 0.05)[0]:
            more = source.recv(65536)
            last += more
            if not more:
                break
        cut(source, "rst")
        self.calm.wait(self.draw.uniform(0, 0.5))
        sink.sendall(last)
        self.calm.wait(self.draw.uniform(0, 0.5))
        cut(sink, "fin")
        return False

    def heal(self):
        """From now on nothing is cut; what was cut in one direction only, or is silent, ends."""
        self.calm.set()
        self.do_cut("rst")


class Keeper:
    """Keeps a server running on one port, and what the servers said."""

    def __init__(self, world, options):
        self.world, self.options, self.told, self.logged = world, options, [], []
        self.address = "127.%d.%d.%d:0" % tuple(random.SystemRandom().randrange(1, 255) for _ in range(3))
        self.server, self.back = None, None
        self.start()
        assert self.server, "no server to begin with"

    def start(self, point=None):
        env = {**self.world.env, **({"LASTBYTE_FAULT": point} if point else {})}
        inbox = self.world.books.inbox
        server = Server(self.world.place, self.options, into=f"{inbox.kind}:{inbox.path}", listen=self.address,
                        binary=TESTING if env else COMMAND, env=env, ready=False)
        self.point, self.told = point, []
        # it may be waiting for one that is stopped and has the ledger
        until("a server listens, or ends", lambda: self.world.due() or server.events)
        event = server.events[0]
        if event["event"] != "listening":
            code = server.wait()
            self.world.books.check(self.world.full or point and code == -signal.SIGKILL,
                                   f"no server any more: exit {code}: {server.errors.decode()}")
            return
        self.address = f"{event['address']}:{event['port']}"
        self.server = server

    def watch(self):
        """Whether one runs. What it was that ended, it has to have a reason."""
        if self.server and self.server.process.poll() is not None:
            self.over()
        return self.server is not None

    def over(self):
        server, self.server = self.server, None
        code = server.wait()
        self.logged += [event for event in server.events if event["event"] == "delivery"]
        killed = code == -signal.SIGKILL and signal.SIGKILL in self.told
        died = code == -signal.SIGKILL and self.point and not killed
        stopped = code == 0 and signal.SIGTERM in self.told or code == 128 + signal.SIGTERM and self.told.count(signal.SIGTERM) > 1
        self.world.did["server at a fault point"] += bool(died)
        self.world.did["server gave up"] += code == 4
        self.world.books.check(killed or died or stopped or code == 4 and self.world.full, f"the server ended with {code}: {server.errors.decode()}")

    def signal(self, number):
        if number != signal.SIGSTOP:
            self.told.append(number)
        self.server.signal(number)

    def revive(self):
        """If it is gone, it comes back after a while."""
        if self.watch():
            return
        now = time.monotonic()
        self.back = self.back or now + self.world.link.draw.uniform(0, 0.3)
        if now >= self.back:
            self.back = None
            self.start()

    def heal(self):
        """A server without a fault that is still at work in it."""
        if self.watch() and self.point:
            self.signal(signal.SIGKILL)
        if self.watch() and self.told:
            self.over()
        if not self.watch():
            self.start()

    def stop(self):
        """In order."""
        if self.watch():
            self.signal(signal.SIGTERM)
            self.over()


class World:
    """A round. `rng` draws the plan alone, so that the same seed draws the same one."""

    def __init__(self, place, disk, books, did, rng, first, bug):
        self.place, self.disk, self.books, self.inbox, self.did = place, disk, books, books.inbox, did
        self.env = {"LASTBYTE_BUG": bug} if bug else {}
        self.full, self.calm, self.reading = False, threading.Event(), rng.random() < 0.5
        self.running, self.lock, self.order, self.agenda = {}, threading.Lock(), itertools.count(), []
        keeping = rng.choice(((), (), (), ("--keep-parts", "0s"), ("--parts-max", "1M"))) if self.inbox.kind == "dir" else ()
        self.keeps = not keeping and self.inbox.kind == "dir"
        options = ("--idle-timeout", rng.choice(("1s", "3s", "60s")), "--drain-timeout",
                   rng.choice(("0s", "300ms", "5s")), "--keep-receipts", 2 if books.forgetful else 1_000_000, *keeping)
        self.keepers = [Keeper(self, options) for _ in range(self.inbox.servers)]
        self.link = Link([keeper.address for keeper in self.keepers], random.Random(rng.random()), rng.choice((0, 0.4, 0.8)), did)
        place.stack.callback(self.link.close)
        faults = self.faults()
        chosen = [faults[first % len(faults)]] + [rng.choice(faults) for _ in range(rng.randrange(2, 7))]
        self.plan = [(rng.uniform(0.1, 2.0), act, random.Random(rng.random())) for act in chosen]

    def run(self, *args, names, content=None, state, meanwhile=None, point=None, patient=False, stops=False):
        """
        A command, from its start to its end, through the link; books what it says. names: of its deliveries, None:
        whatever is open; meanwhile(process): is called, and writes its input; point: where it kills itself; patient:
        it goes on until all of them are committed; stops: after one that is not committed it begins no more.
        """
        env = {**self.env, **({"LASTBYTE_FAULT": point} if point else {})}
        stdin = subprocess.DEVNULL if content is None and not meanwhile else subprocess.PIPE
        process = self.place.start(*args, self.link.address, state=state, env=env, binary=TESTING if env else COMMAND, stdin=stdin)
        hit = {signal.SIGKILL} if point else set()
        with self.lock:
            self.running[process] = hit
        pictures = []
        early = threading.Timer(PATIENCE / 2, lambda: pictures.append(self.picture(process)))
        early.start()
        try:
            if meanwhile:
                meanwhile(process)
            answer = Answer(process, content)
        except subprocess.TimeoutExpired:
            pictures.append(self.picture(process))
            self.books.trouble("\n".join([f"it does not end: {args}, after half of the time and all of it:", *pictures]))
            raise
        finally:
            early.cancel()
            with self.lock:
                del self.running[process]
        self.did["client at a fault point"] += bool(point) and answer.code == -signal.SIGKILL
        self.books.heard(answer, names, hit, " ".join(map(str, args)), self.full, stops)
        if patient and not hit and not self.full:
            excused = {"settle_first", *(("lost", "broken") if content is not None and not self.keeps else ())}
            reasons = {thing.get("reason") for thing in answer.objects if thing["verdict"] != "committed"}
            self.books.check(reasons <= excused, f"it gave up: {args}: {answer!r}")
        return answer

    def picture(self, process):
        """What this client, the servers and the link between them are doing."""
        servers = [keeper.server for keeper in self.keepers if keeper.server]
        ports = [address.rpartition(":")[2] for address in (self.link.address, *(keeper.address for keeper in self.keepers))]
        lines = ["the client:", picture.of_process(process.pid)]
        for server in servers:
            lines += [f"a server, pid {server.process.pid}:", picture.of_process(server.process.pid), "which said last:",
                      *map(str, server.events[-5:])]
        return "\n".join([*lines, f"connections (clients come to {self.link.address}):", picture.of_connections(ports),
                          "the link:", picture.of_threads()])

    # The faults. Each returns False if there was nothing for it to hit.

    def signal_client(self, number, draw):
        with self.lock:
            alive = [process for process in self.running if process.poll() is None]
            if not alive:
                return False
            process = draw.choice(alive)
            self.running[process].add(number)
            process.send_signal(number)
        self.did[f"client: {number.name}"] += 1
        if number == signal.SIGSTOP:
            self.later(draw.uniform(0.05, 1.0), lambda: process.send_signal(signal.SIGCONT))
        return True

    def signal_server(self, number, draw):
        """Returns whose server it was."""
        keeper = draw.choice(self.keepers)
        if not keeper.watch():
            return None
        self.did[f"server: {number.name}"] += 1
        keeper.signal(number)
        if number == signal.SIGSTOP:
            process = keeper.server.process
            self.later(draw.uniform(0.05, 1.0), lambda: process.send_signal(signal.SIGCONT))
        return keeper

    def arm_server(self, draw):
        """The next server kills itself at a fault point."""
        keeper = self.signal_server(signal.SIGKILL, draw)
        if not keeper:
            return False
        keeper.over()
        keeper.start(draw.choice(self.inbox.points))
        return True

    def overtake(self, draw):
        """A server stops with what it has got, and its clients try again: at the other one, if there is one."""
        return self.signal_server(signal.SIGSTOP, draw) and self.cut_all("rst", draw)

    def fill_disk(self, draw):
        if not self.disk.can_fill():
            return True
        self.full = True
        self.disk.fill(draw.choice((0, 20_000, 300_000, 2_000_000)))
        self.did["disk: full"] += 1
        self.later(draw.uniform(0.1, 1.5), self.disk.heal)
        return True

    def cut_all(self, how, _):
        self.link.do_cut(how)
        self.did[f"all links: {how}"] += 1
        return True

    def faults(self):
        """All of them: as many rounds in a row begin with another one each."""
        acts = [(self.signal_server, signal.SIGKILL), (self.signal_client, signal.SIGKILL), (self.fill_disk,),
                (self.arm_server,), (self.overtake,), (self.signal_client, signal.SIGSTOP), (self.signal_server, signal.SIGSTOP),
                (self.signal_server, signal.SIGTERM), (self.signal_client, signal.SIGTERM), (self.cut_all, "rst"),
                (self.cut_all, "fin")]
        return [functools.partial(*act) for act in acts]

    def later(self, seconds, act):
        """What ends a fault."""
        heapq.heappush(self.agenda, (time.monotonic() + seconds, next(self.order), act))

    def tend(self, busy):
        """The storm, until none of its faults is left, or nobody is busy; then all is healed, and who is busy ends."""
        start, plan = time.monotonic(), sorted(self.plan, key=lambda entry: entry[0])
        while self.agenda or plan and busy():
            self.due()
            for keeper in self.keepers:
                keeper.revive()
            if plan and busy() and start + plan[0][0] <= time.monotonic() and plan[0][1](plan[0][2]):
                plan.pop(0)
            time.sleep(0.005)
        self.heal()
        while busy():
            for keeper in self.keepers:
                keeper.revive()
            time.sleep(0.005)

    def due(self):
        """Ends the faults whose time is over."""
        while self.agenda and self.agenda[0][0] <= time.monotonic():
            heapq.heappop(self.agenda)[2]()

    def heal(self):
        """All faults are over, and those that are still at work in a server end with it."""
        self.disk.heal()
        for keeper in self.keepers:
            keeper.heal()
        self.calm.set()
        self.link.heal()

    def read(self):
        """Takes away what comes, as the reader of an inbox does, so that a second one would not be refused."""
        while not self.calm.wait(0.02):
            self.did[f"taken from {self.inbox.kind}"] += self.inbox.take()
