# SPDX-License-Identifier: MIT
"""A connection that is cut after any frame of a delivery, one byte before or after it: in each direction, by
RST or FIN. Whatever the moment, the exit code tells the truth."""
import os
from libnet import run, same, test, truth, until
from libwire import boundaries, cuts, record

CONTENT = os.urandom(5000)


def cut_everywhere(place, direction, how):
    server = place.serve()
    stream = record(place, server, CONTENT)[direction]
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


for DIRECTION, WORDS in (("up", "to"), ("down", "from")):
    for HOW in ("rst", "fin"):
        test(f"cut by {HOW.upper()} after N bytes {WORDS} the server: the exit code is true")(
            lambda place, direction=DIRECTION, how=HOW: cut_everywhere(place, direction, how))


@test("a cut after COMMIT and before its answer leaves the delivery in doubt, and says how to ask")
def _(place):
    server = place.serve()
    answered = record(place, server, CONTENT)["down"]
    proxy = place.proxy(server.address, down=boundaries(answered)[-3])
    answer = place.send(place.file("x", CONTENT), proxy.address).exits(3)
    assert f"lastbyte resolve --state {place.state} {answer.id} {proxy.address}" in answer.err, answer
    truth(place, answer, "x", CONTENT, server.address)


run()
