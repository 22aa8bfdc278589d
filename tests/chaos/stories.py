# SPDX-License-Identifier: MIT
"""What clients do during a round, each on a thread of its own and with a state directory of its own. See STORIES."""
import contextlib
import functools
import os
import shutil
import struct
import threading
from random import Random

POINTS = ("client_recorded", "journal_written", "journal_synced", "client_commit", "client_commit_sent", "client_decided",
          "client_verdict", "send_told")


class Client(threading.Thread):
    """One of them: tells its story again and again until the faults are over."""

    def __init__(self, world, label, story, seed):
        super().__init__(daemon=True)
        self.world, self.books, self.label, self.story, self.draw = world, world.books, label, story, Random(seed)
        self.state = world.place.under(f"state-{label}")
        if world.disk.can_fill() and self.draw.random() < 0.2:
            self.state = os.path.join(world.disk.path, f"state-{label}")
        os.makedirs(self.state)
        self.states, self.count, self.restored = [self.state], 0, False

    def run(self):
        try:
            while True:
                self.story(self)
                if self.world.calm.is_set():
                    break
        except Exception as why:
            self.books.trouble(f"{self.story.__name__}: {why!r}")

    def new(self, least=0):
        """The name of a new file, of any length that the server takes."""
        self.count += 1
        length = max(least, int(2 ** self.draw.uniform(0, self.world.inbox.largest)) - 1)
        return self.note(f"{self.label}-{self.count}", self.draw.randbytes(length))

    def note(self, name, content):
        """What is going to be sent under this name."""
        with open(self.path(name), "wb") as file:
            file.write(content)
        self.books.names.add(name)
        if self.restored:
            self.books.old.add(name)
        return name

    def new_records(self, option):
        """The name of an input that holds records, their names, and what is in it."""
        self.count += 1
        records = [self.draw.randbytes(int(2 ** self.draw.uniform(0, 12)) - 1).replace(b"\n", b"")
                   for _ in range(self.draw.randrange(1, 100))]
        name = f"{self.label}-{self.count}"
        self.books.inputs.add(name)
        names = [self.note(f"{name}.{n:012}", record) for n, record in enumerate(records, 1)]
        if option == "--lines":
            return name, names, b"\n".join([*records, b""])
        return name, names, b"".join(struct.pack(">I", len(record)) + record for record in records)

    def path(self, name):
        return os.path.join(self.books.sources, name)

    def content(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def send(self, *options, names, **more):
        paths = () if names is None else map(self.path, names)
        return self.world.run("send", "--json", "--quiet", *options, *paths, names=names, state=self.state, **more)

    def pipe(self, name, *options, meanwhile=None, **more):
        content = None if meanwhile else self.content(name)
        return self.world.run("send", "--json", "--quiet", *options, "--name", name, "-", names=[name], content=content,
                              state=self.state, meanwhile=meanwhile, **more)

    def go_on(self, *options, **more):
        return self.send("--continue", *options, names=None, **more)

    def resolve(self, identity):
        return self.world.run("resolve", "--json", identity, names=[None], state=self.state)

    def point(self):
        """In one of four runs, where the client kills itself."""
        return self.draw.choice(POINTS) if self.draw.random() < 0.25 else None

    def afterwards(self, answer, names):
        """What a user does next: nothing, the same again, also after a kill, --continue, or a question."""
        told = {thing["name"]: thing for thing in answer.objects}
        doubt = [thing["id"] for thing in answer.objects if thing["verdict"] == "in_doubt"]
        again = [name for name in names if name not in told or told[name]["verdict"] in ("in_doubt", "not_committed")]
        choice = self.draw.randrange(4)
        if choice == 1 and again and answer.code != 2:
            self.send(names=again)
        elif choice == 2:
            self.go_on()
        elif choice == 3 and doubt:
            self.resolve(self.draw.choice(doubt))


def files_patiently(client):
    """Some files with --retry, read again from where the server has them."""
    names = [client.new() for _ in range(client.draw.randrange(1, 4))]
    answer = client.send("--retry", "--replay", client.draw.choice(("64K", "1M", "16M")), names=names, patient=True,
                         point=client.point())
    client.afterwards(answer, names)


def pipe_patiently(client):
    """A pipe with --retry: what is not durable is kept."""
    client.pipe(client.new(), "--retry", "--replay", client.draw.choice(("64K", "1M")), patient=True, point=client.point())


def plainly(client):
    """Files, and whatever comes of it."""
    names = [client.new() for _ in range(client.draw.randrange(1, 3))]
    client.afterwards(client.send(names=names, point=client.point()), names)


def stubbornly(client):
    """A file, the same again until it is there."""
    names = [client.new()]
    for _ in range(20):
        if client.send(names=names).code not in (3, 4):
            break


def hurriedly(client):
    """With --retry, and a deadline that passes."""
    options = ("--retry", "--deadline", f"{int(2 ** client.draw.uniform(4, 10))}ms")
    if client.draw.random() < 0.5:
        client.pipe(client.new(), *options, "--replay", "64K")
    else:
        names = [client.new()]
        client.afterwards(client.send(*options, names=names), names)


def together(client):
    """Several at once with one state directory."""
    jobs = []
    for _ in range(3):
        draw = client.draw.random()
        if draw < 0.5:
            jobs.append(functools.partial(client.send, "--retry", names=[client.new()], patient=True))
        elif draw < 0.75:
            jobs.append(functools.partial(client.pipe, client.new()))
        else:
            jobs.append(records(client))
    threads = [threading.Thread(target=guarded, args=(client, job), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.go_on()


def guarded(client, job):
    try:
        job()
    except Exception as why:
        client.books.trouble(f"together: {why!r}")


def records(client):
    """A run that is to send each line, or each record, of a pipe as a delivery of its own."""
    option = client.draw.choice(("--lines", "--records"))
    name, names, content = client.new_records(option)
    words, patient = ((), False) if client.draw.random() < 0.3 else (("--retry",), True)
    return functools.partial(client.world.run, "send", "--json", "--quiet", option, *words, "--name", name, "-", names=names,
                             content=content, state=client.state, point=client.point(), patient=patient and not client.restored,
                             stops=True)


def record_by_record(client):
    """Records of a pipe. What earlier ones have left open may be so far back that it has to be settled first."""
    answer = records(client)()
    if any(thing.get("reason") == "settle_first" for thing in answer.objects):
        client.go_on("--retry")


def file_by_records(client):
    """Each line, or each record, of a file a delivery of its own, the same again until all are told to be there: then it
    would be anew."""
    option = client.draw.choice(("--lines", "--records"))
    name, names, content = client.new_records(option)
    path = client.world.place.file(f"{option[2:]}-{name}", content)
    words = ("--retry",) if client.draw.random() < 0.5 else ()
    client.books.again.update(names)
    for _ in range(20):
        answer = client.world.run("send", "--json", "--quiet", option, *words, "--name", name, path, names=None,
                                  state=client.state, point=client.point())
        if answer.code in (0, 1) or all(client.books.last.get(name) == "committed" for name in names):
            break
    if answer.code == 0:
        missing = [name for name in names if not client.books.inbox.find(name)]
        client.books.check(not missing, f"exit 0, and not there: {missing}: {answer!r}")


def fenced(client):
    """A pipe that somebody asks about before it ends, which settles it."""
    name = client.new(least=200_000)
    content = client.content(name)

    def write(process):
        for part in (content[:100_000], content[100_000:]):
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(part)
                process.stdin.flush()
            identity = begun(client, name, process)
            if identity:
                client.resolve(identity)

    client.pipe(name, "--retry", "--replay", "1M", meanwhile=write)


def begun(client, name, process):
    """The id of a delivery, from the client's journal; None if it has ended without."""
    while process.poll() is None and not client.world.calm.wait(0.01):
        identity = open_id(client, name)
        if identity:
            return identity
    return None


def open_id(client, name):
    """The id under which the client's journal has it open, or None."""
    with contextlib.suppress(FileNotFoundError), open(os.path.join(client.state, "journal"), encoding="utf-8") as journal:
        header, *lines = journal.read().splitlines() or [""]
        for words in map(str.split, lines):
            if words[:1] == ["open"] and words[5:6] == [name]:
                return f"{header.split()[2]}:{words[1]}"
    return None


def under_its_id(client):
    """What may have come is sent under its id by somebody with another journal; then something else is."""
    name = client.new()
    answer = client.send(names=[name], point=client.point())
    identity = answer.objects[0]["id"] if answer.objects else open_id(client, name)
    if not identity:
        return
    elsewhere = client.world.place.under(f"elsewhere-{client.label}")
    if elsewhere not in client.states:
        client.states.append(elsewhere)

    def send(name, **more):
        return client.world.run("send", "--json", "--quiet", "--retry", "--id", identity, client.path(name), names=[name],
                                state=elsewhere, **more)

    if send(name, point=client.point()).code == 0:
        send(client.new())


def with_an_old_journal(client):
    """The state directory is lost, and what comes back is an old copy of it."""
    client.send("--retry", names=[client.new()])
    last, old = client.state, client.world.place.under(f"old-{client.label}-{client.count}")  # where there is room for it
    shutil.copytree(last, old)
    lost = [client.new() for _ in range(client.draw.randrange(1, 3))]
    client.books.old.update(lost)
    client.send(names=lost)
    client.state, client.states = old, [old, *client.states[1:], last]
    client.restored = True
    client.send("--retry", names=[client.new() for _ in range(client.draw.randrange(1, 4))])
    if client.draw.random() < 0.5:
        record_by_record(client)


def beside_an_outsider(client):
    """Somebody else takes the name: before it is sent, or while it is."""
    names = [client.new(least=2)]
    content = client.content(names[0])

    def write(process):
        for part in (content[:len(content) // 2], content[len(content) // 2:]):
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(part)
                process.stdin.flush()
            if begun(client, names[0], process) and client.world.inbox.squat(names[0]):
                client.world.did["name taken by an outsider"] += 1

    if client.draw.random() < 0.3 and client.world.inbox.squat(names[0]):
        client.send("--retry", names=names)
    else:
        client.pipe(names[0], "--retry", meanwhile=write)


def long_ago(client):
    """What is asked about again after others were settled may be forgotten by then."""
    answer = client.send("--retry", names=[client.new()], patient=True)
    for _ in range(3):
        client.send("--retry", names=[client.new(), client.new()], patient=True)
    for thing in answer.objects:
        if thing["id"]:  # it had got so far
            client.resolve(thing["id"])


STORIES = (files_patiently, pipe_patiently, plainly, stubbornly, hurriedly, together, record_by_record,
           file_by_records, fenced, under_its_id, with_an_old_journal, beside_an_outsider, long_ago)
