#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench.py BUILD [NAME]: measures the command beside others. Each function below that is marked `bench` is one.

Everything lies in /dev/shm, so that the disk does not count. Runs of the contenders alternate, and what is
compared is their ratio: the figures themselves drift with the machine.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import stray as web_servers

BUILD = Path(sys.argv[1]).resolve()
LASTBYTE = BUILD / "lastbyte"
PLAIN = BUILD / "bench" / "plain"
WEB = BUILD / "bench" / "web"
MEASURE = BUILD / "bench" / "measure"
MESSAGE = BUILD / "bench" / "message"
CLOSER = BUILD / "bench" / "closer"
CONNECT = BUILD / "bench" / "connect"
SINK = BUILD / "bench" / "sink"
RECORDS = BUILD / "bench" / "records"
COMMITS = BUILD / "bench" / "commits"
COUNT_COPIES = BUILD / "bench" / "count_copies.so"
RUNS = 5
MIB = 1 << 20

BENCHES = {}


def bench(function):
    BENCHES[function.__name__] = function
    return function


@contextlib.contextmanager
def scratch():
    """An empty directory in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="lastbyte-bench.") as folder:
        yield Path(folder)


def random_file(path, size):
    with open("/dev/urandom", "rb") as source, open(path, "wb") as out:
        piece = source.read(16 * MIB)
        for at in range(0, size, len(piece)):
            out.write(at.to_bytes(8, "big") + piece[8:])
        out.truncate(size)
    return path


class Program:
    """A command under way, whose CPU time and memory are known once it has ended."""

    def __init__(self, folder, *command, **more):
        self.name = str(command[0])
        handle, self.figures_path = tempfile.mkstemp(dir=folder)
        os.close(handle)
        self.process = subprocess.Popen([MEASURE, self.figures_path, *command], **more)

    def end(self, statuses=(0,)):
        """Waits for it."""
        status = self.process.wait(timeout=600)
        if status not in statuses:
            raise RuntimeError(f"{self.name} exited with {status}")
        self.figures = json.loads(Path(self.figures_path).read_text())
        return self.figures

    def stop(self, statuses=(0,)):
        self.process.send_signal(signal.SIGTERM)
        return self.end(statuses)


@contextlib.contextmanager
def serving(folder, inbox, *options, before=(), **more):
    """A server of ours: yields its address and the program, and stops it."""
    with open(folder / "server.log", "w+") as log:
        program = Program(folder, *before, LASTBYTE, "serve", "--listen", "127.0.0.1:0", "--into", f"dir:{inbox}",
                          *options, stdout=subprocess.DEVNULL, stderr=log, **more)
        while not (found := re.search(r"listening on (\S+),", (folder / "server.log").read_text())):
            if program.process.poll() is not None:
                raise RuntimeError((folder / "server.log").read_text())
            time.sleep(0.01)
        try:
            yield found.group(1), program
        finally:
            program.stop()


def send(folder, file, address):
    return Program(folder, LASTBYTE, "send", "--quiet", "--state", folder / "state", file, address,
                   stdout=subprocess.DEVNULL)


# The contenders: each moves `file` to `folder` and returns the seconds it took and the CPU seconds of both ends.

def by_plain(how):
    def run(folder, file):
        receiver = Program(folder, PLAIN, "receive", folder / "out", stdout=subprocess.PIPE, text=True)
        port = receiver.process.stdout.readline().strip()
        began = time.monotonic()
        sender = Program(folder, PLAIN, how, file, port)
        cpu = sender.end()["cpu"] + receiver.end()["cpu"]
        return time.monotonic() - began, cpu
    return run


def by_lastbyte(*options):
    def run(folder, file):
        with serving(folder, folder / "inbox", *options) as (address, server):
            began = time.monotonic()
            sender = send(folder, file, address)
            cpu = sender.end()["cpu"]
            took = time.monotonic() - began
        return took, cpu + server.figures["cpu"]
    return run


def by_rsync(folder, file):
    (folder / "rsyncd.conf").write_text(
        f"port = 0\nuse chroot = no\n[in]\npath = {folder / 'module'}\nread only = no\n"
        + ("uid = 0\ngid = 0\n" if os.getuid() == 0 else ""))
    (folder / "module").mkdir()
    port = free_port()
    daemon = Program(folder, "rsync", "--daemon", "--no-detach", "--address", "127.0.0.1", "--port", str(port),
                     "--config", folder / "rsyncd.conf")
    await_listener(port)
    began = time.monotonic()
    sender = Program(folder, "rsync", "--whole-file", "--inplace", file, f"rsync://127.0.0.1:{port}/in/")
    cpu = sender.end()["cpu"]
    took = time.monotonic() - began
    return took, cpu + daemon.stop(statuses=(0, 20))["cpu"]


def by_nc(folder, file):
    port = free_port()
    with open(folder / "out", "wb") as out, open(file, "rb") as source:
        receiver = Program(folder, "nc", "-N", "-l", "127.0.0.1", str(port), stdin=subprocess.DEVNULL, stdout=out)
        await_listener(port)
        began = time.monotonic()
        sender = Program(folder, "nc", "-N", "127.0.0.1", str(port), stdin=source, stdout=subprocess.DEVNULL)
        cpu = sender.end()["cpu"] + receiver.end()["cpu"]
        return time.monotonic() - began, cpu


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def await_listener(port):
    """Until something listens there, found in the kernel's table: a connection would count as the first client."""
    wanted = f":{port:04X} 00000000:0000 0A"
    while wanted not in Path("/proc/net/tcp").read_text():
        time.sleep(0.01)


def compare(contenders, file, runs=RUNS):
    """Alternating runs; seconds and CPU seconds of each contender."""
    figures = {name: [] for name in contenders}
    for run in range(runs + 1):
        for name, contender in contenders.items():
            with scratch() as folder:
                result = contender(folder, file)
            if run > 0:  # the first one warms up
                figures[name].append(result)
            print(f"\r\x1b[Krun {run} of {runs}: {name} {result[0]:.2f} s", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr)
    return figures


def table(figures, size, base):
    print(f"{'':22}{'median':>9}{'fastest':>9}{'slowest':>9}{'GB/s':>7}{'speed':>8}{'CPU s':>8}{'CPU':>8}")
    base_time = statistics.median(t for t, _ in figures[base])
    base_cpu = statistics.median(c for _, c in figures[base])
    for name, results in figures.items():
        times, cpu = [t for t, _ in results], statistics.median(c for _, c in results)
        middle = statistics.median(times)
        print(f"{name:22}{middle:8.2f}s{min(times):8.2f}s{max(times):8.2f}s{size / middle / 1e9:7.2f}"
              f"{base_time / middle:8.2f}{cpu:8.2f}{cpu / base_cpu:8.2f}")
    print(f"speed and CPU: against {base} = 1")


@bench
def speed():
    """One delivery of 4 GiB, digest, ledger and receipt included, against what moves bytes and proves nothing. It
    can be resumed, with SYNC every 16 MiB, unless the server keeps no parts."""
    contenders = {"plain loop": by_plain("send"), "plain with sendfile": by_plain("sendfile"), "lastbyte": by_lastbyte("--keep-parts", "0s"),
                  "lastbyte with SYNC": by_lastbyte()}
    for name, program, contender in ("rsync daemon", "rsync", by_rsync), ("nc", "nc", by_nc):
        if shutil.which(program):
            contenders[name] = contender
    size = 4096 * MIB
    with scratch() as folder:
        figures = compare(contenders, random_file(folder / "file", size), RUNS)
    table(figures, size, "plain loop")


@bench
def memory():
    """The most memory that each end has resident, for deliveries of two sizes."""
    for size in 64 * MIB, 4096 * MIB:
        with scratch() as folder:
            file = random_file(folder / "file", size)
            with serving(folder, folder / "inbox") as (address, server):
                sender = send(folder, file, address).end()
            print(f"{size // MIB:5} MiB: send {sender['resident_kib'] / 1024:.1f} MiB, "
                  f"serve {server.figures['resident_kib'] / 1024:.1f} MiB")


@bench
def copies():
    """What the server copies in user space while it receives 64 MiB."""
    size = 64 * MIB
    with scratch() as folder:
        file = random_file(folder / "file", size)
        counts = folder / "counts"
        environment = dict(os.environ, LD_PRELOAD=str(COUNT_COPIES), COUNT_COPIES=str(counts))
        # measure is preloaded too, and writes a line of its own
        with serving(folder, folder / "inbox", env=environment) as (address, _):
            send(folder, file, address).end()
        copied = max((json.loads(line) for line in counts.read_text().splitlines()), key=lambda c: c["calls"])
        print(f"through memcpy and memmove: {copied['bytes']} bytes in {copied['calls']} calls, "
              f"{100 * copied['bytes'] / size:.3f} % of the {size} received")
        if not shutil.which("valgrind"):
            return
        out = folder / "callgrind.out"
        grind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}"]
        with serving(folder, folder / "inbox2", before=grind) as (address, _):
            send(folder, file, address).end()
        text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", out], check=True, capture_output=True, text=True).stdout
        spent = {}
        for count, what in re.findall(r"^\s*([\d,]+) \([\d. ]+%\)\s+(.*)$", text, re.MULTILINE):
            spent[what] = spent.get(what, 0) + int(count.replace(",", ""))
        total = next(n for what, n in spent.items() if "PROGRAM TOTALS" in what)
        moving = sum(n for what, n in spent.items() if re.search(r"\b_*mem(p?cpy|move)", what))
        hashing = sum(n for what, n in spent.items() if re.search("xxh", what, re.IGNORECASE))
        print(f"instructions under callgrind: {total} in all, {hashing} in the digest, {moving} in memcpy and memmove")


@bench
def stray():
    """A slow reader from which something comes late: how much of its response each web server lets it have."""
    with scratch() as folder:
        web_servers.stray(folder, WEB, rate=128 << 10, stray_at=9)


@bench
def stray_slow():
    """The same with a slower reader, past every time-out of lingering."""
    with scratch() as folder:
        web_servers.stray(folder, WEB, rate=40 << 10, stray_at=40)


@bench
def lingering():
    """What ending a connection costs a web server, and what one costs that lingers."""
    with scratch() as folder:
        web_servers.lingering(folder, WEB)


@bench
def message():
    """A request of 120 + 3000 bytes in 7 parts: segments, and the time until an answer of one byte is there."""
    subprocess.run([MESSAGE], check=True)


def middle(figures, digits=2):
    return f"{statistics.median(figures):.{digits}f} ({min(figures):.{digits}f} to {max(figures):.{digits}f})"


@bench
def closer():
    """What it costs to end connections in the background, beside close(2); what many of them cost; what a flood does."""
    def measure(command, number, before=()):
        run = subprocess.run([*before, CLOSER, command, str(number)], check=True, capture_output=True, text=True)
        return json.loads(run.stdout), run.stderr

    runs = [measure("cpu", 10000)[0] for _ in range(RUNS)]
    print(f"CPU for each ending, batches of 10,000: close(2) {middle([r['close_us'] for r in runs])} us, "
          f"closer {middle([r['closer_us'] for r in runs])} us, ratio {middle([r['closer_us'] / r['close_us'] for r in runs])}")
    linger, _ = measure("linger", 1 << 20)
    print(f"lingering at once: {linger['sockets']} (RLIMIT_NOFILE - 1000, or what memory allows), {linger['bytes']:.1f} bytes "
          f"of user memory for each; in 2 s without an event {linger['idle_steps']} steps and {linger['idle_cpu_ms']:.2f} ms of CPU")
    few, many = [[measure("simulate", n)[0] for _ in range(RUNS)] for n in (1000, 1000000)]
    print(f"tables and timers alone, simulated sockets: {middle([r['cpu_ns'] for r in few], 0)} ns of CPU for each of 1,000, "
          f"{middle([r['cpu_ns'] for r in many], 0)} ns and {many[0]['bytes']:.1f} bytes for each of 1,000,000")
    if shutil.which("valgrind"):
        grind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        spent = {n: int(re.search(r"refs:\s+([\d,]+)", measure("simulate", n, grind)[1])[1].replace(",", "")) / n for n in (1000, 1000000)}
        print(f"instructions for each: {spent[1000]:.0f} of 1,000, {spent[1000000]:.0f} of 1,000,000, ratio {spent[1000000] / spent[1000]:.2f}")
    floods = [measure("flood", 10 ** 10)[0] for _ in range(3)]
    print(f"99th percentile of an ending, peers that close at once: {middle([r['alone_ms'] for r in floods], 1)} ms alone, "
          f"{middle([r['beside_ms'] for r in floods], 1)} ms beside a flood of 10 GB that is read, "
          f"ratio {middle([r['beside_ms'] / r['alone_ms'] for r in floods])}; by default {floods[0]['capped'] / 1e6:.1f} MB of it are taken")


@contextlib.contextmanager
def listening(folder, *command):
    """A server that prints its port and ends with SIGTERM: yields the port and the program."""
    program = Program(folder, *command, stdout=subprocess.PIPE, text=True)
    try:
        yield program.process.stdout.readline().strip(), program
    finally:
        program.stop()


@contextlib.contextmanager
def nginx_that_answers(folder):
    """nginx with one worker, which answers with a few bytes out of its configuration and closes."""
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_timeout 0;\n"
        + "".join(f"{kind}_temp_path {folder}/t;\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{'x' * 100}'; }} }} }}\n")
    program = Program(folder, "nginx", "-c", folder / "nginx.conf", "-e", folder / "log")
    await_listener(port)
    try:
        yield port, program
    finally:
        program.stop()


@bench
def connect():
    """CPU of a server for each short connection with 1 KiB, beside servers that do the least that can be done."""
    number, at_once = 20000, 64
    contenders = {"bare": [CONNECT, "bare"], "twice": [CONNECT, "twice"], "lastbyte": [SINK, "null"], "ahead": [SINK, "null"]}
    spent = {name: [] for name in [*contenders, *(["http"] if shutil.which("nginx") else [])]}
    for run in range(RUNS + 1):
        for name in spent:
            with scratch() as folder:
                started = listening(folder, *contenders[name]) if name in contenders else nginx_that_answers(folder)
                with started as (port, server):
                    subprocess.run([CONNECT, name, str(port), str(number), str(at_once)], check=True)
            if run > 0:
                spent[name].append(server.figures["cpu"] / number * 1e6)
    names = {"bare": "bare, one exchange", "twice": "bare, two exchanges", "lastbyte": "lastbyte, no sink",
             "ahead": "the same, said ahead", "http": "nginx"}
    for name, figures in spent.items():
        ratios = [mine / base for mine, base in zip(figures, spent["bare"])]
        print(f"{names[name]:22}{middle(figures, 1):>24} us of the server's CPU for each connection, ratio {middle(ratios)}")


def records_by(folder, kind, number):
    """Seconds from the first record until the last was counted, and CPU seconds of both ends."""
    receiver = Program(folder, *([RECORDS, "receive"] if kind == "plain" else [SINK, "count"]),
                       stdout=subprocess.PIPE, text=True)
    port = receiver.process.stdout.readline().strip()
    environment = dict(os.environ, XDG_STATE_HOME=str(folder))
    began = time.monotonic()
    cpu = Program(folder, RECORDS, kind, port, str(number), env=environment).end()["cpu"]
    if kind == "plain":
        counted = receiver.process.stdout.readline()
        took = time.monotonic() - began
        cpu += receiver.end()["cpu"]
    else:
        took = time.monotonic() - began
        cpu += receiver.stop()["cpu"]
        counted = receiver.process.stdout.readline()
    if int(counted) != number:
        raise RuntimeError(f"{counted} records of {number} came")
    return took, cpu


def records_of_others(name):
    def run(folder, number):
        program = Program(folder, BUILD / "bench" / name, str(number), stdout=subprocess.PIPE, text=True)
        took = float(program.process.stdout.readline())
        return took, program.end()["cpu"]
    return run


@bench
def records():
    """Records of 100 bytes: inside one delivery to a sink that counts them, and by others that carry messages."""
    contenders = {"plain, 64 KiB writes": (lambda folder, n: records_by(folder, "plain", n), 20000000),
                  "lastbyte": (lambda folder, n: records_by(folder, "lastbyte", n), 20000000)}
    for name, program, number in ("ZeroMQ push/pull", "records_zmq", 2000000), ("librelp", "records_relp", 100000):
        if (BUILD / "bench" / program).exists():
            contenders[name] = records_of_others(program), number
    figures = {name: [] for name in contenders}
    for run in range(RUNS + 1):
        for name, (contender, number) in contenders.items():
            with scratch() as folder:
                took, cpu = contender(folder, number)
            if run > 0:
                figures[name].append((number / took / 1e6, cpu / number * 1e6))
    for name, results in figures.items():
        speed = [mine / base for (mine, _), (base, _) in zip(results, figures["plain, 64 KiB writes"])]
        print(f"{name:22}{middle([rate for rate, _ in results]):>24} million a second, speed {middle(speed, 3)}, "
              f"{middle([cpu for _, cpu in results], 3)} us of CPU each")


def unprivileged():
    """What runs a command as nobody, where we are root: PostgreSQL refuses to."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


@contextlib.contextmanager
def postgres(folder):
    """A cluster of its own with its default durability: yields what pgbench needs to reach it."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[-1]
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
    quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*unprivileged(), binaries / "initdb", "-D", "cluster", "-U", "bench", "-A", "trust"], **quiet)
    server = subprocess.Popen([*unprivileged(), binaries / "postgres", "-D", "cluster", "-k", folder, "-h", ""],
                              cwd=folder, stderr=subprocess.DEVNULL)
    reach = ["-h", str(folder), "-U", "bench", "postgres"]
    try:
        while subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False).returncode != 0:
            time.sleep(0.1)
        subprocess.run([binaries / "psql", "-q", *reach, "-c", "CREATE TABLE rows (id BIGSERIAL PRIMARY KEY, content BYTEA)"], **quiet)
        yield binaries / "pgbench", reach
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


@bench
def commits():
    """Durable deliveries of 100 bytes into sqlite:, by 64 clients, beside rows of PostgreSQL and fdatasync on the same disk."""
    clients, seconds, number = 64, 5, 200000
    figures = {"lastbyte": [], "PostgreSQL": [], "fdatasync": []}
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lastbyte-bench.") as place, \
            tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lastbyte-bench.") as cluster, \
            postgres(Path(cluster)) as (pgbench, reach):
        folder, script = Path(place), Path(cluster) / "insert.sql"
        script.write_text(f"INSERT INTO rows (content) VALUES ('{'c' * 100}');\n")
        for run in range(RUNS + 1):
            # Neither server writes a line of log for each commit.
            server = Program(folder, SINK, f"sqlite:{folder / f'ledger{run}'}", stdout=subprocess.PIPE, text=True)
            address = "127.0.0.1:" + server.process.stdout.readline().strip()
            done, took = subprocess.run([COMMITS, "lastbyte", address, folder / f"state{run}", str(clients), str(number)],
                                        check=True, capture_output=True, text=True).stdout.split()
            server.stop()
            told = subprocess.run([pgbench, "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", script, *reach],
                                  check=True, capture_output=True, text=True).stdout
            synced, syncing = subprocess.run([COMMITS, "fdatasync", folder / "file", str(seconds)],
                                             check=True, capture_output=True, text=True).stdout.split()
            if run > 0:
                figures["lastbyte"].append(int(done) / float(took))
                figures["PostgreSQL"].append(float(re.search(r"tps = ([\d.]+)", told)[1]))
                figures["fdatasync"].append(int(synced) / float(syncing))
    for name, results in figures.items():
        ratios = [mine / other for mine, other in zip(figures["lastbyte"], results)]
        print(f"{name:22}{middle(results, 0):>24} a second; lastbyte's are {middle(ratios)} times as many")


def cloud_kernel():
    """The image of this Debian's cloud kernel, unpacked but not installed, with the list of its modules."""
    place = BUILD / "kernel"
    place.mkdir(exist_ok=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], check=True, capture_output=True, text=True)
    package = re.search(r"Depends: (linux-image-\S+)", depends.stdout)[1]
    version = package.removeprefix("linux-image-")
    image = place / "boot" / f"vmlinuz-{version}"
    if not image.exists():
        subprocess.run(["apt-get", "download", package], cwd=place, check=True, stdout=subprocess.DEVNULL)
        for file in place.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, place], check=True)
            file.unlink()
    modules = next(found for found in (place, place / "usr") if (found / "lib/modules" / version).exists())
    subprocess.run(["/sbin/depmod", "-b", modules, version], check=True)
    return image


def ends_as(cell):
    """What of a cell does not depend on time: whether all arrives (always, sometimes, never), and which ends come."""
    return [0 if cell["whole"] == 0 else 2 if cell["whole"] == cell["runs"] else 1,
            *(cell[how] > 0 for how in ("eofs", "resets", "waits"))]


@bench
def lab():
    """The lab on this kernel and on Debian's cloud kernel in QEMU: verdicts, and cells that do not end alike."""
    with scratch() as folder:
        seen, began = folder / "seen.json", time.monotonic()
        image = cloud_kernel()
        subprocess.run([LASTBYTE, "lab", "--quick", "--kernel", image, "--json", seen], check=True, stdout=subprocess.DEVNULL)
        kernels = json.loads(seen.read_text())["kernels"]
    for kernel in kernels:
        print(f"Linux {kernel['kernel']}: {len(kernel['cells'])} cells, {len(kernel['failed'])} not played")
    ours, other = ({claim["id"]: claim["verdict"] for claim in kernel["claims"]} for kernel in kernels)
    for claim in ours | other:
        print(f"  {claim:<23} {ours.get(claim)}, {other.get(claim)}")
    ours, other = ({cell["id"]: cell for cell in kernel["cells"]} for kernel in kernels)
    for cell in ours.keys() & other.keys():
        if ends_as(ours[cell]) != ends_as(other[cell]):
            print(f"  {cell}: " + ", but ".join(
                "{whole} of {runs} whole, {eofs} eof, {resets} reset, {waits} waiting".format(**found[cell])
                for found in (ours, other)))
    print(f"both took {time.monotonic() - began:.0f} s")


def main():
    chosen = sys.argv[2:] or list(BENCHES)
    for name in chosen:
        if name not in BENCHES:
            sys.exit(f"there is no bench '{name}', only: {', '.join(BENCHES)}")
    for name in chosen:
        print(f"== {name}: {BENCHES[name].__doc__}", flush=True)
        BENCHES[name]()
        print(flush=True)


main()
