# SPDX-License-Identifier: MIT
"""A connection that is cut after any frame of a delivery, one byte before or after it: in each direction, by
RST or FIN. Whatever the moment, the exit code tells the truth."""
import copy
import os
from libnet import run, same, test, truth, until
from libwire import boundaries

CONTENT = os.urandom(5000)
CUTS = 0


def record(place, server):
    """The bytes of an undisturbed delivery, up and down."""
    proxy = place.proxy(server.address)
    path = place.file("sent/recorded", CONTENT)
    place.send(path, proxy.address, state=place.under("recorder")).exits(0)
    return {"up": bytes(proxy.up), "down": bytes(proxy.down)}


def cuts(stream):
    """Every boundary and its neighbours that lie in the stream; its whole length means after the last byte."""
    points = {end + by for end in boundaries(stream) for by in (-1, 0, 1)}
    return sorted(point for point in points if 0 <= point <= len(stream))


def cut_everywhere(place, direction, how):
    server = place.serve()
    stream = record(place, server)[direction]
    codes = {}
    for point in cuts(stream):
        name = f"{direction}-{how}-{point}"
        path = place.file(f"sent/{name}", CONTENT)
        proxy = place.proxy(server.address, how=how, **{direction: point})
        answer = place.send("--deadline", "20s", path, proxy.address)
        proxy.close()
        codes.setdefault(answer.code, []).append(point)
        try:
            truth(place, answer, name, CONTENT, server.address)
        except AssertionError as error:
            raise AssertionError(f"cut {direction} after {point} bytes of {len(stream)}: {error}") from error
    assert 0 in codes and 4 in codes, f"the cuts must have reached both ends of a delivery: {codes}"
    until("no part is left", lambda: not place.parts())
    same(server.process.poll(), None, "the server serves on")


def cut_and_sent_again(place, direction):
    """After a cut at any boundary the same command, run again, gets it there: once."""
    server = place.serve()
    stream = record(place, server)[direction]
    for point in boundaries(stream):
        name = f"{direction}-{point}"
        path = place.file(f"sent/{name}", CONTENT)
        proxy = place.proxy(server.address, **{direction: point})
        first = place.send("--deadline", "20s", path, proxy.address)
        again = place.send(path, proxy.address)
        proxy.close()
        same(again.code, 1 if first.code == 0 else 0, f"cut {direction} after {point} bytes: {first!r}\n{again!r}")
        same(place.read(name), CONTENT)
        same(len([row for row in place.committed() if row["name"] == name]), 1, f"after {point} bytes")
    same(len(place.parts()), 0, "parts that are left")


def cut_between_two(place, direction):
    """Two files over one connection: each verdict is true, wherever the cut is."""
    server = place.serve()
    probe = place.proxy(server.address)
    paths = [place.file(f"sent/probe-{name}", CONTENT) for name in "ab"]
    place.send(*paths, probe.address, state=place.under("recorder")).exits(0)
    for point in cuts(bytes(getattr(probe, direction))):
        names = [f"{direction}-{point}-{name}" for name in "ab"]
        paths = [place.file(f"sent/{name}", CONTENT) for name in names]
        proxy = place.proxy(server.address, **{direction: point})
        answer = place.send("--json", "--deadline", "20s", *paths, proxy.address)
        proxy.close()
        codes = {"committed": 0, "not_committed": 4, "in_doubt": 3}
        for name, result in zip(names, answer.objects, strict=True):
            same(result["name"], name)
            one = copy.copy(answer)
            one.code, one.objects = codes[result["verdict"]], [result]
            truth(place, one, name, CONTENT, server.address)
        worst = max((codes[result["verdict"]] for result in answer.objects), key=[0, 4, 1, 5, 3].index)
        same(answer.code, worst, "the most serious one")


def resolve_cut(place, direction):
    """resolve says nothing that it was not told: 3 until the answer is there."""
    server = place.serve()
    sent = place.send(place.file("x", CONTENT), server.address).exits(0)
    probe = place.proxy(server.address)
    place.resolve(sent.id, probe.address).exits(0)
    stream = bytes(getattr(probe, direction))
    for identity, code in ((sent.id, 0), (sent.id.split(":")[0] + ":1000", 1)):
        codes = []
        for point in cuts(stream):
            proxy = place.proxy(server.address, **{direction: point})
            answer = place.resolve("--deadline", "20s", identity, proxy.address)
            proxy.close()
            assert answer.code in (3, code), f"cut {direction} after {point} bytes: {answer!r}"
            codes.append(answer.code)
        same(codes, sorted(codes, reverse=True), "the answer comes once")
        same({3, code}, set(codes))
    same(place.visible(), ["x"])


for DIRECTION, WORDS in (("up", "to"), ("down", "from")):
    for HOW in ("rst", "fin"):
        test(f"cut by {HOW.upper()} after N bytes {WORDS} the server: the exit code is true")(
            lambda place, direction=DIRECTION, how=HOW: cut_everywhere(place, direction, how))
    test(f"cut after N bytes {WORDS} the server, and run again: there once")(
        lambda place, direction=DIRECTION: cut_and_sent_again(place, direction))
    test(f"two files, cut after N bytes {WORDS} the server: each verdict is true")(
        lambda place, direction=DIRECTION: cut_between_two(place, direction))
    test(f"resolve, cut after N bytes {WORDS} the server: an answer or none, never a guess")(
        lambda place, direction=DIRECTION: resolve_cut(place, direction))


@test("a cut after COMMIT and before its answer leaves the delivery in doubt, and says how to ask")
def _(place):
    server = place.serve()
    answered = record(place, server)["down"]
    proxy = place.proxy(server.address, down=boundaries(answered)[-3])
    answer = place.send(place.file("x", CONTENT), proxy.address).exits(3)
    assert f"lastbyte resolve --state {place.state} {answer.id} {proxy.address}" in answer.err, answer
    truth(place, answer, "x", CONTENT, server.address)


run()
