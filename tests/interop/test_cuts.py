#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_cuts.py LASTBYTE: client.py dies at each step of a delivery, and its next run learns from its journal and from the server
what became of it, or delivers it once."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import tap
import wire
from client import Journal
from serving import fresh, serving, verdict


def steps(client, made, how_far):
    """A delivery up to one of its steps; the connection lies there then."""
    if how_far == "greeted":
        return
    client.begin(made)
    client.flush()
    if how_far == "begun":
        return
    client.send(made, {"begin_ok": 0, "half": len(made.data) // 2}.get(how_far))
    client.flush()
    if how_far in ("begin_ok", "half", "all"):
        return
    client.commit(made)
    if how_far == "half a commit":
        client.machine.took(client.socket.send(client.machine.out[0][3][:20]), time.monotonic_ns())
    elif how_far != "commit unsent":
        client.flush()
        if how_far == "answered":
            client.until(lambda: made.verdict)


HALF, WHOLE = 4 << 20, 6 << 20
BEFORE = ("greeted", "begun", "begin_ok", "half", "all", "commit unsent", "half a commit")
BEHIND = ("commit", "answered")


def cut(server, how_far, reset):
    """The client dies there. Returns its journal as the next run finds it, and what was to be delivered."""
    journal = server.journal()
    client = server.connect(journal)
    made = fresh(client, f"{how_far} {reset} {server.journals}".encode(), os.urandom(200000))
    if how_far == "greeted":
        journal.begins(made)
    steps(client, made, how_far)
    client.cut(reset)
    doubtful = how_far in ("half a commit", "commit")
    told = "committed" if how_far == "answered" else "in_doubt" if doubtful else "not_committed" if made.exchange else None
    assert made.verdict == told, (how_far, made.verdict)
    return Journal(journal.path), made


def a_cut_connection_leaves_what_resolve_then_says():
    with serving() as server:
        there = []
        for how_far in BEFORE + BEHIND:
            for reset in (False, True):
                journal, made = cut(server, how_far, reset)
                left = list(journal.undecided(lambda _: made.data))
                assert [row.number for row in left] == ([] if how_far == "answered" else [1])
                client = server.connect(journal)
                client.resolve(made)
                if how_far in BEFORE:
                    assert verdict(made) == ("rolled_back", "FENCED"), (how_far, verdict(made))
                there += [made] if made.verdict == "committed" else []
                assert made.verdict == "committed" or how_far != "answered"
                told = verdict(made)
                client.deliver(made)
                assert verdict(made) == told, (how_far, told, verdict(made))
                client.settle()
                client.close()
        server.has(*there)


def after_a_cut_the_same_id_is_begun_again_and_committed_once():
    with serving() as server:
        there = []
        for how_far in BEFORE + BEHIND:
            for reset in (False, True):
                journal, made = cut(server, how_far, reset)
                client = server.connect(journal)
                for delivery in list(journal.undecided(lambda _: made.data)) or [made]:
                    while delivery.verdict != "committed":  # the server may not have noticed the cut, or be at work
                        client.deliver(delivery)
                        assert delivery.reason in (None, "BUSY"), (how_far, verdict(delivery))
                there.append(made)
                client.close()
        server.has(*there)


def half_synced(server, data):
    """The client of a delivery that is open, and whose first half is durable at the server; and the delivery."""
    client = server.connect()
    if not client.machine.features & wire.RESUME:
        client.close()
        raise tap.Skip("the server does not offer RESUME")
    made = fresh(client, b"large", data)
    client.begin(made)
    client.send(made, HALF)
    exchange = made.exchange
    assert exchange.resumable
    client.until(lambda: not exchange.syncing)
    if exchange.synced < HALF:
        client.machine.sync()
        client.until(lambda: not exchange.syncing)
    assert exchange.synced == HALF
    return client, made


def begun_at(client, made):
    """Begins the next attempt, as soon as the server knows that the one before has ended: the offset in BEGIN_OK."""
    while True:
        client.begin(made)
        client.until(lambda: made.exchange.state != "BEGUN")
        if made.exchange.state == "OPEN":
            return client.seen[-1][2]["offset"]
        assert verdict(made) == ("not_committed", "BUSY"), verdict(made)


def ends(client, made):
    client.send(made)
    client.commit(made)
    client.until(lambda: made.verdict)


def a_delivery_is_resumed_where_its_bytes_are_durable():
    for end in ("reset", "end of the stream", "a killed server"):
        with serving() as server:
            client, made = half_synced(server, os.urandom(WHOLE))
            if end == "a killed server":
                server.kill()
                server.start()
            client.cut(end == "reset")
            assert made.verdict == "not_committed"
            client = server.connect(Journal(client.journal.path))
            assert begun_at(client, made) == HALF
            ends(client, made)
            assert made.verdict == "committed"
            client.close()
            server.has(made)


def bytes_that_turn_out_to_be_wrong_are_not_resumed():
    with serving() as server:
        client, made = half_synced(server, bytes(WHOLE))
        client.cut(reset=True)
        made.data = os.urandom(WHOLE)
        client = server.connect(client.journal)
        assert begun_at(client, made) == HALF
        ends(client, made)
        assert verdict(made) == ("not_committed", "WRONG_DIGEST")
        assert begun_at(client, made) == 0
        ends(client, made)
        assert made.verdict == "committed"
        client.close()
        server.has(made)


def what_could_be_resumed_is_fenced_like_anything_else():
    with serving() as server:
        client, made = half_synced(server, os.urandom(WHOLE))
        client.cut(reset=True)
        client = server.connect(client.journal)
        client.resolve(made)
        assert verdict(made) == ("rolled_back", "FENCED")
        client.deliver(made)
        assert verdict(made) == ("rolled_back", "FENCED")
        client.close()
        server.has()


tap.run([
    a_cut_connection_leaves_what_resolve_then_says,
    after_a_cut_the_same_id_is_begun_again_and_committed_once,
    a_delivery_is_resumed_where_its_bytes_are_durable,
    bytes_that_turn_out_to_be_wrong_are_not_resumed,
    what_could_be_resumed_is_fenced_like_anything_else,
])
