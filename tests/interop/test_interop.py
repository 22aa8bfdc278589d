#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_interop.py LASTBYTE: client.py, which shares nothing with the server but docs/protocol.md, delivers to it; and what
lies in the inbox and in the ledger is what the client was told."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import tap
import wire
from client import Delivery
from serving import fresh, loses, serving, verdict


def an_empty_one_a_small_one_and_five_megabytes_are_delivered():
    with serving() as server:
        client = server.connect()
        sizes = {"empty": 0, "small": 11, "one byte more than a DATA": wire.MAX_DATA + 1, "large": 5 << 20, "größe.txt": 1}
        made = [fresh(client, name.encode(), os.urandom(size)) for name, size in sizes.items()]
        for delivery in made:
            client.deliver(delivery)
            assert delivery.verdict == "committed" and not delivery.receipt["placed"]
            assert abs(delivery.receipt["at"] - time.time_ns()) < 3600 * 10**9
        client.close()
        server.has(*made)


def many_are_begun_before_the_first_has_its_answer():
    for eager in (False, True):
        with serving() as server:
            client = server.connect(eager=eager, features=0)
            made = [fresh(client, b"%d" % n, os.urandom(n * 977 % 200000)) for n in range(100)]
            client.deliver(*made)
            client.close()
            assert all(delivery.verdict == "committed" for delivery in made)
            server.has(*made)


def a_client_that_knows_the_ledger_says_all_behind_hello():
    with serving() as server:
        earlier = server.connect()
        journal, ledger = earlier.journal, earlier.machine.ledger
        earlier.close()
        made = []
        for known, outcome in (ledger, ("committed", None)), (bytes(15) + b"1", ("in_doubt", "ANOTHER_LEDGER")):
            client = server.connect(journal, eager=True, ahead=True, features=0)
            made.append(journal.new(known, b"ahead", os.urandom(1024)))
            client.begin(made[-1])
            client.send(made[-1])
            client.commit(made[-1])
            assert client.machine.phase == "HELLO" and not client.seen
            client.close()
            assert verdict(made[-1]) == outcome, verdict(made[-1])
            assert [event[0] for event in client.seen][::len(client.seen) - 1] == ["HELLO_OK", "CLOSE_OK"], client.seen
        server.has(made[0])


def what_is_rolled_back_leaves_nothing_and_may_be_begun_again():
    with serving() as server:
        client = server.connect()
        made = fresh(client, b"once more", os.urandom(300000))
        for part in (0, 100000, 300000):
            client.begin(made)
            client.send(made, part)
            client.rollback(made)
            assert verdict(made) == ("rolled_back", 0) and not server.lies_there()
        client.begin(made)
        client.rollback(made)  # before BEGIN has its answer
        assert made.verdict == "rolled_back"
        client.deliver(made)
        assert made.verdict == "committed" and made.attempt == 5
        client.close()
        server.has(made)


def what_is_refused_leaves_nothing_and_the_connection_goes_on():
    with serving("--max-delivery", "1000") as server:
        client = server.connect()
        assert client.machine.limit == 1000

        def refused(reason, name=b"x", data=b"hello_world", **commit):
            made = fresh(client, name, data)
            client.begin(made)
            client.send(made)
            client.commit(made, **commit)
            client.until(lambda: made.verdict)
            assert made.reason == reason and made.verdict == dict(wire.REASONS.values())[reason], (verdict(made), reason)
            assert not server.lies_there()

        refused("WRONG_DIGEST", digest=wire.digest(b"hello_wurld"))
        refused("WRONG_LENGTH", total=12)
        refused("WRONG_LENGTH", total=10)
        bad = (b"", b".", b"..", b"a/b", b"a\0b", b"\xff", b"\xc2\x80", b"\xed\xa0\x80", b"\xc0\xaf", b".lastbyte", b".lastbytes")
        for name in bad:
            refused("BAD_NAME", name=name)
        refused("TOO_LARGE", data=bytes(1001))
        machine, grows = client.machine, fresh(client, b"grows")
        exchange = machine.begin(grows.client, grows.number, grows.ledger, 1, grows.name)  # the length is not said
        client.until(lambda: exchange.state == "OPEN")
        machine.data(bytes(1000))
        machine.data(bytes(1))
        client.until(lambda: not machine.exchanges)
        assert client.seen[-1][2]["reason"] == 3
        made = fresh(client, b"x")
        client.deliver(made)
        assert verdict(made) == ("committed", None)
        second = fresh(client, b"x")
        client.deliver(second)
        assert verdict(second) == ("refused", "NAME_EXISTS")
        client.close()
        server.has(made)


def an_id_commits_once_whatever_is_begun_again_under_it():
    with serving() as server:
        client = server.connect()
        made = fresh(client, b"once")
        client.deliver(made)
        receipt = made.receipt
        client.deliver(made)
        assert made.verdict == "committed" and made.receipt == receipt and made.attempt == 2
        assert [kind for kind, *_ in client.seen].count("BEGIN_OK") == 1, "BEGIN was not answered with the receipt"
        for name, data in ((b"twice", made.data), (b"once", b"longer than the first"), (b"once", b"hello_wurld")):
            other = Delivery(made.client, made.number, made.ledger, name, data, attempt=2)
            other.doubt = set()
            client.deliver(other)
            assert verdict(other) == ("refused", "DIFFERENT"), (name, data, verdict(other))
        client.close()
        server.has(made)


def a_later_attempt_takes_over_and_an_earlier_one_is_refused():
    with serving() as server:
        journal = server.journal()
        first, second = server.connect(journal), server.connect(journal)
        made = fresh(first, b"contended", os.urandom(100000))
        made.attempt = 4
        first.begin(made)
        first.send(made, 50000)
        late = Delivery(made.client, made.number, made.ledger, made.name, made.data)
        late.attempt = 3
        for _ in (4, 5):
            second.deliver(late)
            assert verdict(late) == ("not_committed", "BUSY")
        second.deliver(late)
        assert late.attempt == 6 and late.verdict == "committed"
        first.until(lambda: made.verdict)
        assert verdict(made) == ("not_committed", "SUPERSEDED")
        first.close()
        second.close()
        server.has(late)


def what_was_never_seen_is_fenced_and_never_commits():
    with serving() as server:
        client, other = server.connect(), server.connect()
        made, never, opened = fresh(client, b"made"), fresh(client, b"never"), fresh(client, b"opened")
        client.deliver(made)
        other.resolve(made, never)
        assert made.verdict == "committed" and made.receipt["name"] == b"made" and verdict(never) == ("rolled_back", "FENCED")
        client.deliver(never)
        assert verdict(never) == ("rolled_back", "FENCED")
        client.begin(opened)
        client.send(opened)
        other.resolve(opened)
        assert verdict(opened) == ("rolled_back", "FENCED")
        opened.verdict = None
        client.commit(opened)
        client.until(lambda: opened.verdict)
        assert verdict(opened) == ("rolled_back", "FENCED")
        client.close()
        other.close()
        server.has(made)


def what_is_settled_is_never_begun_again_and_room_is_made_for_other_numbers():
    with serving() as server:
        client = server.connect()
        made, never = fresh(client, b"made"), fresh(client, b"never")
        client.deliver(made)
        far = [Delivery(made.client, number, made.ledger, b"far", b"far") for number in (1024, 1025, 1026)]
        client.deliver(far[1])
        assert verdict(far[1]) == ("not_committed", "SETTLE_FIRST")
        client.deliver(far[0])
        assert verdict(far[0]) == ("committed", None)
        client.settle()  # 3 is the lowest: 1 is committed, and 2 was not begun
        client.deliver(never)
        assert verdict(never) == ("rolled_back", "SETTLED")
        client.resolve(never, made)
        assert verdict(never) == ("rolled_back", "SETTLED") and made.verdict == "committed"
        far[1].name = b"farther"
        client.deliver(far[1])
        assert verdict(far[1]) == ("committed", None)
        client.machine.settled(made.client, 2)  # lower than before: ignored
        client.deliver(far[2])
        assert verdict(far[2]) == ("refused", "NAME_EXISTS")
        client.close()
        server.has(made, far[0], far[1])


def another_ledger_begins_nothing_and_fences_nothing():
    with serving() as server:
        client = server.connect()
        made, asked = fresh(client, b"made"), fresh(client, b"asked")
        ledger, made.ledger = made.ledger, bytes(15) + b"\1"
        client.deliver(made)
        assert made.reason == "ANOTHER_LEDGER"
        client.resolve(asked, ledger=bytes(15) + b"\1")
        assert (asked.verdict, asked.reason) == (None, "ANOTHER_LEDGER")
        made.ledger = ledger
        client.deliver(made, asked)
        assert made.verdict == asked.verdict == "committed"
        client.resolve(made, ledger=bytes(16))
        assert made.verdict == "committed"
        client.close()
        server.has(made, asked)


def ping_is_answered_in_order_and_keeps_a_quiet_connection():
    with serving("--idle-timeout", "3s") as server:
        client = server.connect()
        pongs = []
        take = client.machine._take

        def watched(kind, handle, values, exchange):
            pongs.extend([values["bytes"]] if kind == "PONG" else [])
            return take(kind, handle, values, exchange)

        client.machine._take = watched
        client.until(lambda: len(pongs) == 4)  # one in each second
        assert pongs == [bytes(7) + bytes([n]) for n in (1, 2, 3, 4)], pongs
        made = fresh(client, b"made")
        client.deliver(made)
        assert made.verdict == "committed"
        client.close()


def a_silent_client_is_given_up():
    with serving() as server:
        client = server.connect(idle=100)
        made = fresh(client, b"silent")
        client.begin(made)
        client.send(made, 5)
        client.flush()
        client.machine.tick = lambda now: []  # no PING from here on
        why = loses(lambda: client.until(lambda: False))
        assert "ERROR" in why and "'failure': 9" in why, why
        assert verdict(made)[0] == "not_committed"
        server.has()


def a_server_that_is_stopped_finishes_what_was_begun():
    with serving("--drain-timeout", "60s") as server:
        client = server.connect()
        made, late = fresh(client, b"made"), fresh(client, b"late")
        client.begin(made)
        client.send(made, 5)
        server.process.terminate()
        client.until(lambda: client.machine.going_away)
        assert ("GOING_AWAY", 1, {}) in client.seen
        client.send(made)
        client.commit(made)
        client.begin(late)
        client.until(lambda: made.verdict and late.verdict)
        assert made.verdict == "committed" and verdict(late) == ("not_committed", "GOING_AWAY")
        client.close()
        assert server.process.wait() == 0
        server.has(made)


def a_server_that_cannot_wait_says_so_and_nothing_is_committed():
    with serving("--drain-timeout", "100ms") as server:
        client = server.connect()
        made = fresh(client, b"made")
        client.begin(made)
        client.send(made, 5)
        server.process.terminate()
        why = loses(lambda: client.until(lambda: False))
        assert "'failure': 11" in why and made.verdict == "not_committed", why
        assert server.process.wait() == 0
        server.has()


def close_waits_for_every_answer_and_rolls_back_what_is_open():
    with serving() as server:
        client = server.connect()
        made = [fresh(client, b"%d" % n, os.urandom(50000)) for n in range(8)]
        for delivery in made[:-1]:
            client.begin(delivery)
            client.send(delivery)
            client.commit(delivery)
        client.begin(made[-1])
        client.send(made[-1], 100)
        client.close()
        assert [delivery.verdict for delivery in made] == ["committed"] * 7 + ["rolled_back"]
        assert client.seen[-1][0] == "CLOSE_OK"
        server.has(*made[:-1])


tap.run([
    an_empty_one_a_small_one_and_five_megabytes_are_delivered,
    many_are_begun_before_the_first_has_its_answer,
    a_client_that_knows_the_ledger_says_all_behind_hello,
    what_is_rolled_back_leaves_nothing_and_may_be_begun_again,
    what_is_refused_leaves_nothing_and_the_connection_goes_on,
    an_id_commits_once_whatever_is_begun_again_under_it,
    a_later_attempt_takes_over_and_an_earlier_one_is_refused,
    what_was_never_seen_is_fenced_and_never_commits,
    what_is_settled_is_never_begun_again_and_room_is_made_for_other_numbers,
    another_ledger_begins_nothing_and_fences_nothing,
    ping_is_answered_in_order_and_keeps_a_quiet_connection,
    a_silent_client_is_given_up,
    a_server_that_is_stopped_finishes_what_was_begun,
    a_server_that_cannot_wait_says_so_and_nothing_is_committed,
    close_waits_for_every_answer_and_rolls_back_what_is_open,
])
