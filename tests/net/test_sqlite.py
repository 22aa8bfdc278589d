# SPDX-License-Identifier: MIT
"""`serve --into sqlite:PATH`: deliveries as rows, who may take them, and several servers on one ledger."""
import os
import re
import sqlite3
from libnet import Answer, call, digest, run, same, test
from libretry import LARGE, begun_and_killed


class Rows:
    """A server into a database, and what lies in it."""

    def __init__(self, place):
        self.place, self.path = place, place.under("rows.db")

    def serve(self, *options, **more):
        return self.place.serve(*options, into=f"sqlite:{self.path}", **more)

    def ask(self, sql, *values):
        database = sqlite3.connect(self.path, timeout=10)
        try:
            with database:
                return database.execute(sql, values).fetchall()
        finally:
            database.close()

    def there(self):
        return self.ask("SELECT name, content FROM deliveries ORDER BY sequence")


def many(place, count, prefix="line", size=20):
    """A file of so many different lines."""
    return place.file(prefix, b"".join(b"%s %06d %s\n" % (prefix.encode(), n, b"x" * size) for n in range(count)))


@test("a delivery is a row, with the columns that are documented")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    same(server.events[0]["into"], f"sqlite:{rows.path}")
    content = os.urandom(5000)
    sent = place.send("--json", "--name", "x", place.file("x", content), server.address).exits(0).objects[0]
    same(rows.ask("SELECT sequence, id, name, content, length, digest FROM deliveries"),
         [(1, sent["id"], "x", content, 5000, digest(content))])
    same(place.send("--name", "empty", place.file("empty", b""), server.address).exits(0).code, 0)
    same(rows.ask("SELECT content, length FROM deliveries WHERE name = 'empty'"), [(b"", 0)])


@test("ledger lists it by its path, with and without the kind before it")
def _(place):
    rows = Rows(place)
    server = rows.serve("--keep-receipts", "7")
    sent = place.send(place.file("x"), server.address).exits(0)
    for path in (rows.path, f"sqlite:{rows.path}"):
        objects = call("ledger", "--json", path).exits(0).objects
        same(objects[0], {"event": "ledger", "ledger": server.ledger, "keep_receipts": 7})
        same([(row["verdict"], row["id"], row["name"]) for row in objects[1:]], [("committed", sent.id, "x")])


@test("what is no place is told, with the two kinds that there are")
def _(place):
    for into in ("inbox", "dir:", "sqlite:", "postgres:x"):
        answer = call("serve", "--into", into).exits(2)
        assert "dir:PATH" in answer.err and "sqlite:PATH" in answer.err, answer
    for option, value in (("--keep-parts", "24h"), ("--keep-parts", "0s"), ("--parts-max", "1M")):
        answer = call("serve", "--into", f"sqlite:{place.under('x')}", option, value).exits(2)
        assert "dir:PATH" in answer.err, answer
    assert "64 MiB" in call("serve", "--into", f"sqlite:{place.under('x')}", "--max-delivery", "65M").exits(2).err


@test("the ledger of a directory is not one for rows, nor the other way round")
def _(place):
    place.serve("--drain-timeout", "1s").end()
    answer = call("serve", "--listen", "127.0.0.1:0", "--into", f"sqlite:{place.inbox}/.lastbyte/ledger.db").exits(2)
    assert "dir:" in answer.err, answer
    rows = Rows(place)
    rows.serve().end()
    os.replace(rows.path, os.path.join(place.inbox, ".lastbyte", "ledger.db"))
    answer = call("serve", "--listen", "127.0.0.1:0", "--into", f"dir:{place.inbox}").exits(2)
    assert "sqlite:" in answer.err, answer


@test("a row that was taken away does not come back, whoever asks again")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    sent = place.send(place.file("x"), server.address).exits(0)
    rows.ask("DELETE FROM deliveries")
    place.resolve(sent.id, server.address).exits(0)
    server.end()
    server = rows.serve()
    same(place.resolve(sent.id, server.address).exits(0).code, 0)
    same(rows.there(), [])
    place.send("--name", "y", place.file("y", b"next"), server.address).exits(0)
    same(rows.ask("SELECT sequence, name FROM deliveries"), [(2, "y")])


@test("what is larger than --max-delivery is refused, at BEGIN or when it turns out; 1 MiB without it")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    place.send(place.file("fits", b"x" * (1 << 20)), server.address).exits(0)
    assert "too_large" in repr(place.send("--json", place.file("large", b"x" * ((1 << 20) + 1)), server.address).exits(1))
    place.send("--json", "--name", "pipe", "-", server.address, content=b"x" * (2 << 20)).exits(1)
    server.end()
    server = rows.serve("--max-delivery", "3M")
    place.send("--name", "pipe", "-", server.address, content=b"x" * (2 << 20)).exits(0)
    same([name for name, _ in rows.there()], ["fits", "pipe"])


@test("what was said to be committed is there after the server is killed, once, and nothing that was not sent")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    path = many(place, 600)
    sender = place.start("send", "--lines", "--name", "l", path, server.address)
    while rows.ask("SELECT count(*) FROM deliveries")[0][0] < 100:
        pass
    server.kill()
    answer = Answer(sender)
    server = rows.serve()
    there = rows.there()
    lines = open(path, "rb").read().splitlines()
    same([content for _, content in there], lines[:len(there)])
    said = re.findall(r"^committed (\S+) (l\.\d+) ", answer.out, re.M)
    same([name for _, name in said], [name for name, _ in there][:len(said)])
    assert len(said) >= 1, answer
    place.resolve(said[-1][0], server.address).exits(0)


@test("a delivery that a trigger of somebody else's does not let in is refused alone, with the trigger's words")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    rows.ask("CREATE TRIGGER mine AFTER INSERT ON deliveries WHEN new.name = 'l.000000000700' BEGIN"
             " SELECT RAISE(ROLLBACK, 'not this one'); END")
    answer = place.send("--lines", "--name", "l", many(place, 1000), server.address)
    same(answer.code, 1)
    assert "not this one" in answer.err, answer
    there = {name for name, _ in rows.there()}
    same("l.000000000700" in there, False)
    same(set(re.findall(r"^committed \S+ (l\.\d+) ", answer.out, re.M)), there)
    assert len(there) >= 699, there
    server.end()
    same([event["reason"] for event in server.events if event.get("verdict") not in (None, "committed")], ["rejected"])


@test("somebody who writes for too long gets deliveries refused as busy, and they come later")
def _(place):
    rows = Rows(place)
    server = rows.serve()
    holder = sqlite3.connect(rows.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer = place.send("--json", place.file("x"), server.address).exits(4)
    same(answer.objects[0]["reason"], "busy")
    holder.execute("ROLLBACK")
    holder.close()
    place.send(place.file("x"), server.address).exits(0)
    same(len(rows.there()), 1)


@test("two servers on one path have one ledger: what one has committed the other one answers for")
def _(place):
    rows = Rows(place)
    one, two = rows.serve(), rows.serve()
    same(one.ledger, two.ledger)
    sent = place.send(place.file("x"), one.address).exits(0)
    place.resolve(sent.id, two.address).exits(0)
    fenced = "0123456789abcdef0123456789abcdef:7"
    place.resolve(fenced, two.address).exits(1)
    place.resolve(fenced, one.address).exits(1)
    rows.ask("DELETE FROM deliveries")
    place.resolve(sent.id, two.address).exits(0)
    two.kill()
    place.resolve(sent.id, one.address).exits(0)


@test("two servers start at once on a path that does not exist yet, and have one ledger")
def _(place):
    rows = Rows(place)
    servers = [rows.serve(ready=False) for _ in range(4)]
    same(len({server.event(lambda event: event["event"] == "listening")["ledger"] for server in servers}), 1)


@test("two servers commit at the same time, one of them is killed, and nothing is lost or there twice")
def _(place):
    rows = Rows(place)
    servers = [rows.serve(), rows.serve()]
    paths = [many(place, 200, f"part{n}") for n in range(4)]
    senders = [place.start("send", "--lines", "--name", f"n{n}", "--retry", "--deadline", "90s", path,
                           servers[n % 2].address, state=place.under(f"state{n}"))
               for n, path in enumerate(paths)]
    while rows.ask("SELECT count(*) FROM deliveries")[0][0] < 100:
        pass
    address = servers[1].address
    servers[1].kill()
    rows.serve(listen=address)
    answers = [Answer(sender) for sender in senders]
    found = {name: content for name, content in rows.there()}
    same(len(found), len(rows.there()), "names")
    for n, (answer, path) in enumerate(zip(answers, paths)):
        lines = open(path, "rb").read().splitlines()
        said = re.findall(rf"^committed \S+ (n{n}\.\d+) ", answer.out, re.M)
        there = sorted(name for name in found if name.startswith(f"n{n}."))
        assert set(said) <= set(there), (answer, there)
        same([found[name] for name in there], lines[:len(there)])
        if n % 2 == 0:
            answer.exits(0)
            same(len(there), len(lines))
    same(rows.ask("PRAGMA integrity_check"), [("ok",)])


@test("numbers too far ahead of one that is open elsewhere are told; when that is settled, the lines go on")
def _(place):
    rows = Rows(place)
    server, other = rows.serve(), place.serve(inbox=place.under("other"))
    _, elsewhere = begun_and_killed(place, other, LARGE, "--name", "y", "-")
    lines = ("--lines", "--name", "x", many(place, 1200), server.address)
    for code in (4, 3):
        err = place.send(*lines).exits(code).err
        assert "settle older ones first" in err and "resolve" not in err, err
        same(err.count(f"what is open settles: lastbyte send --state {place.state} --continue\n"), 1, err)
    place.send("--continue", elsewhere.address).exits(1)
    place.send(*lines).exits(0)
    same(sorted(name for name, _ in rows.there()), [f"x.{n:012}" for n in range(1, 1201)])


@test("--continue settles the lowest number first, wherever it is open: those that it was in the way of go on")
def _(place):
    rows = Rows(place)
    server, other = rows.serve(), place.serve(inbox=place.under("other"))
    older, elsewhere = begun_and_killed(place, other, LARGE, "--name", "y", "-")
    while (before := place.proxy(server.address)).address > elsewhere.address:
        continue  # it comes first by its address, and last by its numbers
    place.send("--lines", "--name", "x", many(place, 1200), before.address).exits(4)
    done = place.send("--continue").exits(1)
    assert "settle" not in done.err and older in done.err, done.err
    same(place.send("--continue").exits(0).err, "")


run()
