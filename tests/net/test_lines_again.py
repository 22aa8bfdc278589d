# SPDX-License-Identifier: MIT
"""`lastbyte send --lines` after a run that ended early: it goes on there, and every line comes once."""
import os
import pathlib
import re
import signal
import subprocess
from libnet import TESTING, Answer, digest, run, same, test, until, until_stopped
from libwire import frames

LINES = [b"line %d " % n + b"x" * (n % 50) for n in range(1, 151)]


def name(n):
    return f"x.{n:012}"


def take(place, taken):
    """Somebody uses what has come, so that no name stands in the way of a second copy of it."""
    for file in place.visible():
        taken.setdefault(file, []).append(place.read(file))
        os.unlink(os.path.join(place.inbox, file))


def check(place, taken, lines=LINES):
    """Each was there, once, as the ledger says, too."""
    take(place, taken)
    same(taken, {name(n): [line] for n, line in enumerate(lines, 1)})
    same(sorted(row["name"] for row in place.committed()), sorted(taken))
    same((place.send("--continue").exits(0).out), "")


def start(place, server, address=None, **more):
    return place.start("send", "--lines", "--name", "x", place.file("f", b"\n".join(LINES)), address or server.address, **more)


def killed(place, server, receipts):
    """A run that is killed when it has printed so many."""
    process = start(place, server)
    for _ in range(receipts):
        process.stdout.readline()
    process.kill()
    process.wait()


@test("killed at each step of the client's, it goes on there")
def _(place):
    for fault in ("journal_written", "journal_synced", "client_decided"):
        inbox = place.inbox = place.under(f"inbox-{fault}")
        server, taken = place.serve(inbox=inbox), {}
        process = start(place, server, env={"LASTBYTE_FAULT": fault}, binary=TESTING)
        same(Answer(process).code, -9)
        server.signal()  # so that it has done what it was at
        server.wait()
        take(place, taken)
        server = place.serve(inbox=inbox, listen=server.address)
        Answer(start(place, server)).exits(0)
        check(place, taken)


@test("killed again and again, somewhere")
def _(place):
    server, taken = place.serve(), {}
    for receipts in (1, 0, 63, 7, 0, 1):
        killed(place, server, receipts)
        take(place, taken)
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("after a link that broke without --retry, too, and the receipts of both runs are all of them")
def _(place):
    server, taken = place.serve(), {}
    proxy = place.proxy(server.address, up=5000)
    first = Answer(start(place, server, proxy.address))
    assert first.code in (3, 4), first
    take(place, taken)
    second = Answer(start(place, server, proxy.address)).exits(0)
    names = re.findall(r"^committed \S+ (\S+)", first.out + second.out, re.M)
    same(sorted(set(names)), [name(n) for n in range(1, 151)])
    check(place, taken)


@test("at another address of the same ledger it goes on, too; with no connection there, the lines are in doubt")
def _(place):
    server, taken = place.serve(), {}
    process = start(place, server, place.proxy(server.address).address)
    for _ in range(70):
        process.stdout.readline()
    process.kill()
    process.wait()
    take(place, taken)
    gone = place.proxy(server.address)
    gone.leave()
    assert "0 records were committed" in Answer(start(place, server, gone.address)).exits(3).err
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("at another ledger, they are deliveries of their own; at the address of the first one nothing is sent to another one")
def _(place):
    server, taken = place.serve(), {}
    proxy, inbox = place.proxy(server.address), place.under("other")
    other = place.serve(inbox=inbox)
    process = start(place, server, proxy.address)
    process.stdout.readline()
    process.kill()
    process.wait()
    proxy.target = other.address
    assert "another ledger" in Answer(start(place, server, proxy.address)).exits(3).err
    same(place.ledger(inbox), [])
    same(Answer(start(place, server, other.address)).exits(0).out.count("committed"), 150)
    take(place, taken)
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("a line that was added is sent with the rest")
def _(place):
    server, taken = place.serve(), {}
    killed(place, server, 5)
    path = place.file("f", b"\n".join(LINES + [b"one more", b""]))
    place.send("--lines", "--name", "x", path, server.address).exits(0)
    check(place, taken, LINES + [b"one more"])


@test("a file whose beginning has changed is refused, and nothing of it is sent; as it was, it goes on")
def _(place):
    server, taken = place.serve(), {}
    killed(place, server, 130)
    changed = [b"LINE" + LINES[0][4:]] + LINES[1:]
    done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(changed)), server.address).exits(1)
    assert "what comes before it is not what an earlier run has read" in done.err, done
    same(done.out, "")
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("a line that is committed, and is another one now, is noticed")
def _(place):
    server, taken = place.serve(), {}
    killed(place, server, 3)
    changed = [LINES[0], b"another", *LINES[2:]]
    done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(changed)), server.address).exits(1)
    assert f"{name(2)}: " in done.err and "another record in its place" in done.err, done
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("another name, or another kind of record, is another input")
def _(place):
    server = place.serve()
    killed(place, server, 3)
    path = place.file("f", b"\n".join(LINES))
    same(place.send("--lines", "--name", "y", path, server.address).exits(0).out.count("committed"), 150)
    assert "longer than" in place.send("--records", "--name", "x", path, server.address).exits(4).err


@test("--continue tells what became of each number, and closes them")
def _(place):
    server = place.serve()
    killed(place, server, 100)
    done = place.send("--continue")
    same(done.code, 1 if "rolled_back" in done.err else 0)
    told = dict(re.findall(r"^(?:committed|rolled_back) \S+ (x\.\d+)[ :](.*)", done.out + done.err, re.M))
    rows = {row["name"] for row in place.committed()}
    assert set(re.findall(r"^committed \S+ (\S+)", done.out, re.M)) <= rows, done
    assert not rows & set(re.findall(r"^rolled_back \S+ (\S+):", done.err, re.M)), done
    numbers = sorted(told)
    same(numbers, [name(n) for n in range(int(numbers[0][2:]), int(numbers[0][2:]) + len(numbers))])
    assert numbers[-1] <= name(len(LINES)), numbers
    same(place.send("--continue").exits(0).out, "")


def killed_pipe(place, server, lines, receipts):
    """A run that is killed when it has printed so many, while its pipe has no more."""
    process = place.start("send", "--lines", "--name", "x", "-", server.address, stdin=subprocess.PIPE)
    process.stdin.write(b"".join(line + b"\n" for line in lines))
    process.stdin.flush()
    for _ in range(receipts):
        process.stdout.readline()
    process.kill()
    process.wait()


@test("--continue after a pipe: the numbers behind the last line that is committed are told together, and what that means")
def _(place):
    server = place.serve()
    killed_pipe(place, server, LINES[:70], 70)
    done = place.send("--continue").exits(1)
    same(re.findall(r"^committed \S+ (\S+)", done.out, re.M)[-6:], [name(n) for n in range(65, 71)])
    same(len(done.err.splitlines()), 1)
    assert re.match(rf"rolled_back \S+:71 {name(71)}: .*: it and the 57 numbers behind it are not committed; "
                    "whether there were records for them is not known", done.err), done
    same(place.send("--continue").exits(0).out, "")


@test("--continue after a pipe: a line that is not committed, and comes before one that is, is told on its own; as JSON each is")
def _(place):
    server = place.serve("--max-delivery", "100")
    lines = [b"one", b"x" * 101, b"x" * 101, b"four"]
    killed_pipe(place, server, lines, 2)
    err = place.send("--continue").exits(1).err.splitlines()
    same([re.match(r"rolled_back \S+:(\d+) (\S+):", line).groups() for line in err],
         [(str(n), name(n)) for n in (2, 3, 5)])
    assert "it and the 59 numbers behind it" in err[2] and "behind it" not in err[0] + err[1], err
    for file in place.visible():
        os.unlink(os.path.join(place.inbox, file))
    killed_pipe(place, server, lines, 2)
    objects = place.send("--continue", "--json").exits(1).objects
    same([(one["name"], one["verdict"]) for one in objects],
         [(name(n), "committed" if n in (1, 4) else "rolled_back") for n in range(1, 65)])


def told_and_killed(place):
    """A run of three lines that is killed when it has told all of them. Behind a proxy, and how long an answer to RESOLVE is."""
    server, content = place.serve(), b"one\ntwo\n333\n"
    probe = place.proxy(server.address)
    prober = place.under("prober")
    done = place.send("--lines", "--name", "p", place.file("g", content), probe.address, state=prober).exits(0)
    at = [end for end, kind, _, _ in frames(probe.down) if kind == "COMMITTED"][-1]
    before = len(probe.down)
    place.resolve(done.id, probe.address, state=prober).exits(0)
    asked = [end for end, kind, _, _ in frames(probe.down[before:]) if kind in ("HELLO_OK", "RESOLVED")]
    proxy = place.proxy(server.address, down=at, how="hold")
    process = place.start("send", "--lines", "--name", "x", place.file("f", content), proxy.address)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    proxy.do_cut("rst")
    proxy.release()
    return proxy, asked[0], asked[1] - asked[0]


def three(place, done):
    """It has told that they are there, and nothing else."""
    same(re.findall(r"^committed \S+ (\S+)", done.exits(0).out, re.M), [name(n) for n in (1, 2, 3)])
    same(done.err, "")
    same(sorted(row["name"] for row in place.committed() if row["name"][0] == "x"), [name(n) for n in (1, 2, 3)])


@test("--continue says nothing of numbers that lie behind the end of the file")
def _(place):
    told_and_killed(place)
    three(place, place.send("--continue"))
    same(place.send("--continue").exits(0).out, "")


@test("all is there, and then the link breaks: that is said, and the exit code is 0")
def _(place):
    proxy, greeting, answer = told_and_killed(place)
    proxy.limits["down"], proxy.how = greeting + 3 * answer, "rst"
    for _ in range(2):  # what could not be closed is told again
        take(place, {})
        three(place, place.send("--lines", "--name", "x", place.under("f"), proxy.address))
    same(place.send("--continue").exits(0).out, "")


@test("what is added to a file while it is sent is for the next run")
def _(place):
    server, content = place.serve(), b"one\ntwo\n"
    probe = place.proxy(server.address)
    place.send("--lines", "--name", "p", place.file("g", content), probe.address, state=place.under("prober")).exits(0)
    proxy = place.proxy(server.address, down=frames(probe.down)[0][0], how="hold")
    process = place.start("send", "--lines", "--name", "x", place.file("f", content), proxy.address)
    until("all was read", lambda: "COMMIT" in [kind for _, kind, _, _ in frames(proxy.up)])
    place.file("f", content + b"333\n")
    process.kill()
    process.wait()
    proxy.do_cut("rst")
    proxy.release()
    take(place, {})
    place.send("--lines", "--name", "x", place.under("f"), proxy.address).exits(0)
    same(sorted(row["name"] for row in place.committed() if row["name"][0] == "x"), [name(n) for n in (1, 2, 3)])


@test("no server: what was open is in doubt, and stays open")
def _(place):
    server, taken = place.serve(), {}
    killed(place, server, 10)
    server.kill()
    assert "0 records were committed" in Answer(start(place, server)).exits(3).err
    server = place.serve(listen=server.address)
    Answer(start(place, server)).exits(0)
    check(place, taken)


@test("where a line cannot be delivered, run after run, none of the others is delivered twice")
def _(place):
    server, taken, lines = place.serve(), {}, LINES[:20]
    holder = place.start("send", "--name", name(1), "-", server.address, stdin=subprocess.PIPE, state=place.under("other"))
    holder.stdin.write(b"part")
    holder.stdin.flush()
    until("it has begun", lambda: len(place.parts()) == 1)
    for _ in range(4):
        done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(lines)), server.address).exits(4)
        assert f"{name(1)}: " in done.err, done
        assert "records were committed; it stopped because of record 1, which was not" in done.err, done
        take(place, taken)
    holder.kill()
    holder.wait()
    until("it has ended", lambda: len(place.parts()) == 0)
    place.send("--lines", "--name", "x", place.file("f", b"\n".join(lines)), server.address).exits(0)
    check(place, taken, lines)


@test("a line that is committed, and of which no number is open any more, is noticed when it is another one now, or gone")
def _(place):
    server, taken, lines = place.serve(), {}, LINES[:12]
    holder = place.start("send", "--name", name(1), "-", server.address, stdin=subprocess.PIPE, state=place.under("other"))
    holder.stdin.write(b"part")
    holder.stdin.flush()
    until("it has begun", lambda: len(place.parts()) == 1)
    for _ in range(2):
        place.send("--lines", "--name", "x", place.file("f", b"\n".join(lines)), server.address).exits(4)
        take(place, taken)
    holder.kill()
    holder.wait()
    until("it has ended", lambda: len(place.parts()) == 0)
    for changed in ([lines[0], b"another", *lines[2:]], lines[:1]):
        done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(changed)), server.address).exits(1)
        assert f"{name(1)}: " in done.err and "a record behind it is not what an earlier run has delivered" in done.err, done
    place.send("--lines", "--name", "x", place.file("f", b"\n".join(lines)), server.address).exits(0)
    check(place, taken, lines)


@test("what an earlier version has left, whose notes have no digest of what they skip, is gone on with")
def _(place):
    server, taken, lines, text = place.serve(), {}, LINES[:12], b""
    holder = place.start("send", "--name", name(1), "-", server.address, stdin=subprocess.PIPE, state=place.under("other"))
    holder.stdin.write(b"part")
    holder.stdin.flush()
    until("it has begun", lambda: len(place.parts()) == 1)
    path, journal = place.file("f", b"\n".join(lines)), pathlib.Path(place.state, "journal")
    for _ in range(2):
        place.send("--lines", "--name", "x", path, server.address).exits(4)
        take(place, taken)
    for line in journal.read_bytes().splitlines():
        fields = line.split(b" ")
        if fields[0] == b"range":
            note = fields[8].split(b"%20")
            fields[8] = b"%20".join(note[:3] + [b"xxh128:" + note[3], note[4]] + note[6:])
            fields[9] = digest(b" ".join(fields[:9]) + b" ")[7:23].encode()
        text += b" ".join(fields) + b"\n"
    same(note[6], b"fe0f")
    journal.write_bytes(text)
    holder.kill()
    holder.wait()
    until("it has ended", lambda: len(place.parts()) == 0)
    place.send("--lines", "--name", "x", path, server.address).exits(0)
    check(place, taken, lines)


@test("more open lines than can be gone on with: it says what to do, and that settles them")
def _(place):
    server, taken, lines = place.serve(), {}, [b"%d" % n for n in range(1, 1001)]
    holder = place.start("send", "--name", name(1), "-", server.address, stdin=subprocess.PIPE, state=place.under("other"))
    holder.stdin.write(b"part")
    holder.stdin.flush()
    until("it has begun", lambda: len(place.parts()) == 1)
    codes = [4]
    while codes[-1] == 4 and len(codes) < 400:
        done = place.send("--lines", "--name", "x", place.file("f", b"\n".join(lines)), server.address)
        codes.append(done.code)
        take(place, taken)
    same(codes[-1], 3)
    assert "have left more open than can be gone on with; lastbyte send --continue tells" in done.err, done
    same(done.out, "")
    told = place.send("--continue").exits(1)
    assert f" {name(1)}: " in told.err, told
    same(place.send("--continue").exits(0).out, "")
    same({len(copies) for copies in taken.values()}, {1})


@test("a line that was refused to an earlier run is told by the next one, which did not deliver everything either")
def _(place):
    server, taken = place.serve("--max-delivery", "100"), {}
    lines = [b"line %d" % n for n in range(1, 401)]
    lines[4] = lines[6] = b"x" * 101
    path = place.file("f", b"\n".join(lines))
    for receipts in (250, 70):
        process = place.start("send", "--lines", "--name", "x", path, server.address)
        for _ in range(receipts):
            process.stdout.readline()
        process.kill()
        process.wait()
    done = place.send("--lines", "--name", "x", path, server.address).exits(1)
    assert re.search(rf"^refused - {name(5)}: .*an earlier run", done.err, re.M), done
    same(len(place.visible()), 398)


@test("lines that are committed, and come after more that are not than there are numbers in one go, are not delivered twice")
def _(place):
    server, taken = place.serve("--max-delivery", "100"), {}
    lines = [b"x" * 101] * 64 + [b"%d" % n for n in range(65, 81)]
    path = place.file("f", b"\n".join(lines))
    probe, proxy = place.proxy(server.address), place.proxy(server.address)
    place.resolve("0" * 32 + ":1", probe.address, state=place.under("prober")).exits(1)
    asked = [end for end, kind, _, _ in frames(probe.up) if kind in ("HELLO", "RESOLVE")]
    same(place.send("--lines", "--name", "x", path, server.address, binary=TESTING, env={"LASTBYTE_FAULT": "lines_decided"}).code, -9)
    take(place, taken)
    proxy.limits["up"], proxy.how = asked[0] + 129 * (asked[1] - asked[0]), "hold"  # and SETTLED
    process = place.start("send", "--lines", "--name", "x", path, proxy.address)
    journal = pathlib.Path(place.state, "journal")
    until("what was asked about is closed", lambda: b"\ndone " in journal.read_bytes())
    process.kill()
    process.wait()
    proxy.do_cut("rst")
    proxy.release()
    done = place.send("--lines", "--name", "x", path, server.address).exits(1)
    same(done.err.count("larger than the server takes"), 64)
    take(place, taken)
    same(taken, {name(n): [b"%d" % n] for n in range(65, 81)})


@test("while another run is at it, it is left to that")
def _(place):
    server, taken = place.serve(), {}
    proxy = place.proxy(server.address, down=500, how="hold")
    process = start(place, server, proxy.address)
    until("it has begun", lambda: len(place.visible()) > 0)
    done = Answer(start(place, server, proxy.address)).exits(4)
    assert "another process" in done.err, done
    same(done.out, "")
    proxy.release()
    Answer(process).exits(0)
    check(place, taken)


@test("two runs that have found nothing open: the one that has begun first delivers all, and the other one nothing")
def _(place):
    server, taken = place.serve(), {}
    proxy = place.proxy(server.address, down=500, how="hold")
    late = start(place, server, binary=TESTING, env={"LASTBYTE_STOP": "lines_found"})
    until_stopped(late)
    process = start(place, server, proxy.address)
    until("it has begun", lambda: len(place.visible()) > 0)
    late.send_signal(signal.SIGCONT)
    done = Answer(late).exits(4)
    assert "another process delivers this file" in done.err, done
    same(done.out, "")
    proxy.release()
    Answer(process).exits(0)
    check(place, taken)


@test("the same when the other one has numbers, too, and looks only when the first one has come further")
def _(place):
    server, taken, lines = place.serve(), {}, [b"%d" % n for n in range(1, 901)]
    words = ("send", "--lines", "--name", "x", place.file("f", b"\n".join(lines)))
    proxy, journal = place.proxy(server.address, down=500, how="hold"), pathlib.Path(place.state, "journal")
    late = place.start(*words, server.address, binary=TESTING, env={"LASTBYTE_STOP": "lines_found lines_begun"})
    until_stopped(late)
    process = place.start(*words, proxy.address)
    until("it has begun", lambda: len(place.visible()) > 0)
    late.send_signal(signal.SIGCONT)
    until("the other one has numbers", lambda: journal.read_bytes().count(b"\nrange ") == 2)
    until_stopped(late)
    proxy.release()
    until("it has come further", lambda: len(place.visible()) > 200)  # all it cannot deliver: nobody reads what it prints
    late.send_signal(signal.SIGCONT)
    assert "another process delivers this file" in Answer(late).exits(4).err
    Answer(process).exits(0)
    check(place, taken, lines)


@test("a run that has found the same numbers open, and comes to ask when another one has done all, sends nothing")
def _(place):
    server, taken = place.serve(), {}
    killed(place, server, 100)
    slow = start(place, server, binary=TESTING, env={"LASTBYTE_STOP": "lines_found"})
    until_stopped(slow)
    Answer(start(place, server)).exits(0)
    take(place, taken)
    slow.send_signal(signal.SIGCONT)
    assert "another process delivers this file" in Answer(slow).exits(4).err
    check(place, taken)


run()
