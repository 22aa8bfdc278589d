# SPDX-License-Identifier: MIT
"""What follows a cut, wherever it was: the same command again, the next file, the question what became of it."""
import copy
import os
from libnet import run, same, test, truth, until
from libwire import boundaries, cuts, record

CONTENT = os.urandom(5000)


def cut_and_sent_again(place, direction):
    """After a cut at any boundary the same command, run again, gets it there: once."""
    server = place.serve()
    stream = record(place, server, CONTENT)[direction]
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
    until("no part is left", lambda: not place.parts())


def cut_between_two(place, direction):
    """Two files over one connection: each verdict is true, wherever the cut is."""
    server = place.serve()
    stream = record(place, server, CONTENT, CONTENT)[direction]
    for point in cuts(stream):
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
    test(f"cut after N bytes {WORDS} the server, and run again: there once")(
        lambda place, direction=DIRECTION: cut_and_sent_again(place, direction))
    test(f"two files, cut after N bytes {WORDS} the server: each verdict is true")(
        lambda place, direction=DIRECTION: cut_between_two(place, direction))
    test(f"resolve, cut after N bytes {WORDS} the server: an answer or none, never a guess")(
        lambda place, direction=DIRECTION: resolve_cut(place, direction))


run()
