# SPDX-License-Identifier: MIT
"""`lastbyte send --lines` and `--records`: each record is there once, under its number, or is said not to be."""
import os
import re
import signal
import struct
import subprocess
from libnet import Answer, run, same, test, until
from libretry import restart, waits

MANY = [b"line %d " % n + b"x" * (n % 50) for n in range(1, 301)]


def name(n, of="x"):
    return f"{of}.{n:012}"


def numbers(text):
    """Of the records that lines of output are about."""
    return [int(number) for number in re.findall(r"^\w+ \S+ x\.(\d{12})\b", text, re.M)]


def prefixed(records):
    return b"".join(struct.pack(">I", len(record)) + record for record in records)


def check(place, records, missing=(), of="x"):
    """Exactly these are there, each whole and once."""
    expected = {name(n, of): record for n, record in enumerate(records, 1) if n not in missing}
    same(place.visible(), sorted(expected))
    for file, record in expected.items():
        same(place.read(file), record, file)
    same(sorted(row["name"] for row in place.committed()), sorted(expected))


def check_some(place, answer, records):
    """Some were committed: those of which there is a receipt, and at most some more that are in doubt."""
    told = set(numbers(answer.out))
    doubt = {int(number) for number in re.findall(r"^in_doubt \S+ x\.(\d{12})", answer.err, re.M)}
    there = {int(file[2:]) for file in place.visible()}
    assert told <= there <= told | doubt, (sorted(told), sorted(there), answer)
    same(len(told), len(numbers(answer.out)), "receipts, one for each")
    for n in there:
        same(place.read(name(n)), records[n - 1], n)
    same(sorted(row["name"] for row in place.committed()), place.visible())
    said = re.search(r"^lastbyte send: (\d+) records were committed; it stopped because of record (\d+), which was not, or is in doubt$", answer.err, re.M)
    assert said, answer
    same(int(said[1]), len(told))
    same(int(said[2]), min(set(range(1, len(records) + 2)) - told))


@test("each line is a delivery of its own, empty ones too, and a last one without a newline")
def _(place):
    server = place.serve()
    records = [b"one", b"", b"\0\xff\r", b"last"]
    done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(records)), server.address).exits(0)
    same(sorted(numbers(done.out)), [1, 2, 3, 4])
    same(done.err, "")
    check(place, records)


@test("each record that follows its length is one, through a pipe, and an object for each")
def _(place):
    server = place.serve()
    records = [b"", b"a\nb", os.urandom(300_000), b"\0" * 5]
    done = place.send("--records", "--name", "x", "--json", "-", server.address, content=prefixed(records)).exits(0)
    same(sorted((thing["name"], thing["verdict"], thing["bytes"]) for thing in done.objects),
         [(name(n), "committed", len(record)) for n, record in enumerate(records, 1)])
    check(place, records)


@test("nothing at all is no record; a newline alone is an empty one")
def _(place):
    server = place.serve()
    for option in ("--lines", "--records"):
        same(place.send(option, "--name", "x", place.file("f", b""), server.address).exits(0).out, "")
    same(place.visible(), [])
    place.send("--lines", "--name", "x", place.file("f", b"\n"), server.address).exits(0)
    check(place, [b""])


@test("an input that ends within a record: what comes before it is delivered, and it is said")
def _(place):
    server = place.serve()
    for n, torn in enumerate((b"\0", b"\0\0\0\3", b"\0\0\0\3ab")):
        done = place.send("--records", "--name", "x%d" % n, "-", server.address, content=prefixed([b"one", b"two"]) + torn).exits(4)
        assert f"{name(3, 'x%d' % n)}: " in done.err and "ends within this record" in done.err, done
        assert "2 records were committed; it stopped because of record 3, which was not, or is in doubt" in done.err, done
    same(len(place.visible()), 6)


@test("a record that is too long is not sent, nor what comes behind it")
def _(place):
    server = place.serve()
    for option, content in (("--lines", b"a\n" + b"b" * 1001 + b"\nc\n"), ("--records", prefixed([b"a", b"b" * 1001, b"c"]))):
        done = place.send(option, "--name", option, "--replay", "1000", "-", server.address, content=content).exits(4)
        assert "longer than --replay" in done.err, done
        same("by the 4 bytes before it" in done.err, option == "--records")
        assert "1 records were committed; it stopped because of record 2, which was not, or is in doubt" in done.err, done
    same(place.visible(), [name(1, "--lines"), name(1, "--records")])


@test("a record that is refused is told, and the others are delivered")
def _(place):
    server = place.serve("--max-delivery", "40")
    place.send("--name", name(3), place.file("other", b"other"), server.address).exits(0)
    done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(MANY[:40])), server.address).exits(1)
    large = {n for n, record in enumerate(MANY[:40], 1) if len(record) > 40}
    assert len(large) > 3, large
    same(set(numbers(done.err)), large | {3})
    same(set(numbers(done.out)), set(range(1, 41)) - large - {3})
    same(place.read(name(3)), b"other")
    assert "records were committed" not in done.err, done


@test("a line of a pipe is sent when it is there, and its receipt is printed then")
def _(place):
    server = place.serve()
    process = place.start("send", "--lines", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    for n, line in enumerate((b"one", b"two", b"three"), 1):
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        assert name(n).encode() in process.stdout.readline()
        same(place.read(name(n)), line)
    process.stdin.write(b"half")
    done = Answer(process, b" a line").exits(0)
    same(numbers(done.out), [4])
    check(place, [b"one", b"two", b"three", b"half a line"])


@test("a signal while it waits: what is committed stays so, and where it ended is said")
def _(place):
    server = place.serve()
    process = place.start("send", "--lines", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    process.stdin.write(b"one\nhalf")
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    same(process.wait(60), 1)
    assert b"1 records were committed; it stopped because of record 2, which was not, or is in doubt" in process.stderr.read()
    check(place, [b"one"])


@test("a signal while verdicts are awaited: without them the records are in doubt, and committed only once")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, down=100, how="hold")
    process = place.start("send", "--lines", "--name", "x", "-", proxy.address, stdin=subprocess.PIPE)
    process.stdin.write(b"one\ntwo\nhalf")
    process.stdin.flush()
    until("they are committed", lambda: len(place.visible()) == 2)
    process.send_signal(signal.SIGINT)
    same(process.wait(60), 3)
    said = process.stderr.read().decode()
    same([line.split()[0] for line in said.splitlines() if re.match(r"\w+ \S+ x\.", line)], ["rolled_back", "in_doubt", "in_doubt"])
    assert "0 records were committed; it stopped because of record 1, which was not, or is in doubt" in said, said
    check(place, [b"one", b"two"])


@test("a cut link without --retry: what is committed was told, and from where on it is not")
def _(place):
    path = place.file("f", b"\n".join(MANY))
    for n, limits in enumerate((dict(up=6000), dict(down=6000), dict(up=4001, how="fin"), dict(down=4001, how="fin"), dict(up=1), dict(down=1))):
        inbox = place.inbox = place.under(f"inbox-{n}")
        server = place.serve(inbox=inbox)
        answer = place.send("--lines", "--name", "x", path, place.proxy(server.address, **limits).address)
        assert answer.code in (3, 4), answer
        server.signal()
        server.wait()
        check_some(place, answer, MANY)


@test("with --retry every record comes, once, over links that are cut and servers that are killed")
def _(place):
    server = place.serve()
    proxy = place.proxy(server.address, up=9000)
    process = place.start("send", "--lines", "--name", "x", "--retry", place.file("f", b"\n".join(MANY)), proxy.address)
    until("some are there", lambda: len(place.visible()) >= 100)
    proxy.do_cut("rst")
    until("more are there", lambda: len(place.visible()) >= 150)
    server.kill()
    restart(place, server)
    done = Answer(process).exits(0)
    same(sorted(numbers(done.out)), list(range(1, 301)))
    check(place, MANY)


@test("no server: nothing is committed, and it is said")
def _(place):
    server = place.serve()
    server.kill()
    done = place.send("--lines", "--name", "x", place.file("f", b"a\nb\n"), server.address).exits(4)
    assert "0 records were committed; it stopped because of record 1, which was not, or is in doubt" in done.err, done


@test("what makes no sense with --lines and --records is a usage error")
def _(place):
    path = place.file("f")
    for words in (("--lines", path), ("--lines", "--records", "--name", "x", path), ("--lines", "--name", "x", path, path),
                  ("--records", "--name", "x" * 243, path), ("--lines", "--name", "a/b", path),
                  ("--lines", "--name", "x", "--id", "0" * 32 + ":1", path), ("--lines", "--continue")):
        place.send(*words, "127.0.0.1:1").exits(2)


@test("a state directory that cannot be opened: nothing is sent, and it is said")
def _(place):
    path = place.file("f")
    done = place.send("--lines", "--name", "x", path, "127.0.0.1:1", state=os.path.join(path, "state")).exits(2)
    assert "names another state directory" in done.err, done


run()
