# SPDX-License-Identifier: MIT
"""Makes up documents as `lastbyte lab` writes them, for the tests of the page: the right shape, and plausible at best."""

import json
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MEANT = 1_000_000
LINKS = {"lo": ("loopback", 0, 9), "veth": ("a pair of veth devices", 0, 21), "delay": ("20 ms one way", 20, 20_000)}
LIBRARY = {
    "drain": "FIN, then reads and discards until the peer has ended too",
    "acked": "FIN, then reads and discards until the FIN is acked",
    "finish": "shutdown(SHUT_WR) and close(2), at once",
    "linger_finish": "as finish, but close(2) waits for the ack of the FIN",
    "linger": "SO_LINGER, then close(2)",
    "plain": "close(2)",
    "abort": "RST",
}
RAW = {
    "raw_close": "close",
    "raw_linger": "SO_LINGER, close",
    "raw_shutdown": "shutdown WR, close",
    "raw_linger_shutdown": "SO_LINGER, shutdown WR, close",
    "raw_drain_once": "read once what is there, SO_LINGER, shutdown WR, close",
    "raw_outq": "shutdown WR, wait until SIOCOUTQ is 0, close",
    "raw_acked": "shutdown WR, drain until our FIN is acked, close",
    "raw_drain": "shutdown WR, drain to EOF, close",
    "raw_shut_rdwr": "shutdown RDWR, close",
}
SENDS = {
    "nagle": "two writes, 120 and 3000 bytes",
    "nodelay": "TCP_NODELAY, a write for each part",
    "cork": "TCP_CORK, a write for each part, uncork",
    "cork_held": "as cork, uncorked 100 ms later",
    "cork_kept": "as cork, never uncorked until the answer is there",
    "msg_more": "MSG_MORE on all parts but the last",
    "writev": "one writev",
    "lb_cork": "a scope of LB_CORKED",
    "lb_message": "lb_send_message",
}
SCENARIOS = {
    "reads_all": "the peer reads all, and closes",
    "unread": "1 KB from the peer lies unread at our end",
    "unread_slow": "the same, and the peer reads slowly",
    "late": "1 KB from the peer arrives once we have ended",
    "late_slow": "the same, and the peer reads slowly",
    "slow": "the peer reads slowly",
    "never_reads": "the peer never reads",
    "never_closes": "the peer reads all, and never closes",
    "floods": "the peer sends for ever",
    "uploads": "the peer sends 8 MB before it reads",
    "nonblock": "our socket is O_NONBLOCK",
    "exit": "our process exits instead of closing",
    "fork": "another process holds our socket",
    "killed": "our process is killed meanwhile",
    "ends_first": "the peer half-closes at once, then reads all",
    "interrupted": "a signal strikes while the ending blocks",
    "false_eof": "the peer asks SO_ERROR before it reads on",
    "agreed": "CLOSE and CLOSE_OK, then both close, we first",
    "agreed_peer_first": "CLOSE and CLOSE_OK, then both close, the peer first",
    "half_close": "the peer reads to EOF, then sends 100,000 bytes and closes",
    "listener": "a listener is closed with the connection not accepted",
    "request": "a request of 3120 bytes in 7 parts, and its answer",
}
TROUBLE = {"unread", "unread_slow", "late", "late_slow", "floods", "uploads", "false_eof"}
CAREFUL = {"drain", "acked", "raw_acked", "raw_drain", "raw_outq"}


def whole(policy, scenario):
    if policy == "abort" or scenario in ("never_reads", "listener"):
        return False
    if scenario not in TROUBLE or policy in CAREFUL:
        return not (policy == "raw_outq" and scenario == "uploads")
    return policy == "raw_drain_once" and scenario.startswith("unread")


def packets(link, good):
    """What passes on the link: the handshake, before time begins; a burst of ten segments; the rest and the end, or a reset."""
    way = LINKS[link][2]
    size = 1448 if link != "lo" else 32_741
    drawn = [[-3 * way, -2 * way, "ours", SYN, 0, 0, 0, 64240, 1, -2 * way],
             [-2 * way, -way, "peer", SYN | ACK, 0, 1, 0, 65160, 1, -way], [-way, 0, "ours", ACK, 1, 1, 0, 64256, 1, 0]]
    drawn.append([0, way, "peer", PSH | ACK, 1, 1, 1024, 64256, 1, way])
    drawn.append([way + 40, 2 * way + 40, "ours", PSH | ACK, 1, 1025, size, 64256, 1, None])
    drawn.append([way + 55, 2 * way + 55, "ours", ACK, 1 + size, 1025, 9 * size, 64256, 9, 2 * way + 190])
    acks = 2 * way + 120
    drawn.append([acks, acks + way, "peer", ACK, 1025, 1 + 10 * size, 0, 92160, 5, acks + way + 60])
    if not good:
        drawn.append([way + 300, 2 * way + 300, "ours", RST | ACK, 1 + 10 * size, 1025, 0, 0, 1, None])
        return drawn, 10 * size
    left = MEANT - 10 * size
    start = acks + way + 25
    last = start + 6 * way + 1500
    drawn.append([start, start + way, "ours", PSH | ACK, 1 + 10 * size, 1025, left, 64256, left // size + 1, last])
    drawn.append([last - way + 30, None if link == "delay" else last + 30, "ours", FIN | ACK, MEANT + 1, 1025, 0, 64256, 1, None])
    if link == "delay":
        drawn.append([last + 200_000, last + 220_000, "ours", FIN | ACK, MEANT + 1, 1025, 0, 64256, 1, None])
        last += 220_000
    drawn.append([last + 80, last + 80 + way, "peer", ACK, 1025, MEANT + 2, 0, 3145728, 1, None])
    drawn.append([last + 150_000, last + 150_000 + way, "peer", FIN | ACK, 1025, MEANT + 2, 0, 3145728, 1, None])
    end = last + 150_000 + way + 20
    drawn.append([end, end + way, "ours", ACK, MEANT + 2, 1026, 0, 64256, 1, None])
    return sorted(drawn, key=lambda arrow: arrow[0]), MEANT


def count(arrows, who):
    of = [arrow for arrow in arrows if arrow[2] == who]
    return {
        "data": sum(arrow[8] for arrow in of if arrow[6]),
        "fin": sum(arrow[8] for arrow in of if arrow[3] & FIN),
        "rst": sum(arrow[8] for arrow in of if arrow[3] & RST),
    }


def outcome(good, got):
    if good:
        return {"rung": "ended", "how": "fin", "by": "peer", "phase": "drain", "error": None, "accepted": MEANT,
                "acked": MEANT, "lost": 0, "discarded": 1024, "took_ms": 81.4,
                "text": "ended: the peer has all 1000000 bytes and sent FIN after them; 1024 bytes discarded"}
    return {"rung": "accepted", "how": "rst", "by": "self", "phase": "closed", "error": "ECONNRESET", "accepted": MEANT,
            "acked": got, "lost": None, "discarded": 1024, "took_ms": 0.031,
            "text": "accepted: 1024 bytes lay unread, so that the kernel reset the connection"}


def cell(link, policy, scenario, works):
    good = works(policy, scenario)
    arrows, got = packets(link, good)
    end = max(arrow[1] or arrow[0] for arrow in arrows)
    begun = arrows[4][0] - 60
    blocked = end - begun - 60 if policy in CAREFUL else 31
    calls = [[begun, 55, "ours", "write(fd, 1000000) = 1000000"]]
    calls += [[begun + 60, 12, "ours", "shutdown(fd, SHUT_WR) = 0"]] if "shut" in policy or policy in CAREFUL else []
    calls.append([begun + 75, blocked, "ours", f"{'close(fd)' if policy in RAW else f'lb_close(fd, {policy})'} = 0"])
    calls += [[10, end - 400 if good else arrows[-1][1] - 10, "peer", f"read(fd, 1048576) = {got}"]]
    calls += [[end, 3, "peer", "read(fd, 1048576) = " + ("0" if good else "ECONNRESET")],
              [end + 10, None if scenario == "never_closes" else 9, "peer", "close(fd) = 0"]]
    runs = 20 if scenario in TROUBLE else 3
    raced = scenario == "unread" and policy == "raw_linger_shutdown" and link != "delay"
    wholes = 14 if raced else runs * good
    return {
        "id": f"{link}/{policy}/{scenario}", "link": link, "policy": policy, "scenario": scenario,
        "runs": runs, "whole": wholes, "eofs": wholes, "resets": runs - wholes, "waits": 0,
        "meant_bytes": MEANT, "sent_bytes": MEANT, "peer_bytes": got, "back_bytes": 1024 if good else 0,
        "peer_end": ("waiting" if scenario == "never_closes" else "eof") if good else "reset",
        "blocked_ms": blocked / 1000, "captured": True, "missed": 0,
        "segments": count(arrows, "ours"), "peer_segments": count(arrows, "peer"),
        "counters": {"TcpOutSegs": 700 if good else 12} | ({} if good else {"TcpExtTCPAbortOnClose": 1, "TcpOutRsts": 1}),
        "outcome": outcome(good, got) if policy in LIBRARY else None, "calls": calls, "arrows": arrows,
    }


def request(link, way):
    made = cell(link, way, "request", lambda *_: True)
    delay = LINKS[link][2]
    sent = [0, 2 * delay + 10] if way == "nagle" else [0]
    arrows = [[at, at + delay, "ours", PSH | ACK, 1, 1, 3120 // len(sent), 64256, 3, at + delay + 9] for at in sent]
    answer = sent[-1] + delay + 15
    arrows.append([answer, answer + delay, "peer", PSH | ACK, 1, 3121, 1, 65536, 1, None])
    made |= {"meant_bytes": 3120, "sent_bytes": 3120, "peer_bytes": 3120, "back_bytes": 1, "outcome": None,
             "blocked_ms": (answer + delay) / 1000, "arrows": arrows, "segments": count(arrows, "ours"),
             "peer_segments": count(arrows, "peer"),
             "calls": [[0, 11, "ours", "write(fd, 3120) = 3120"], [answer - 5, 4, "peer", "write(fd, 1) = 1"]]}
    return made


CLAIMS = [
    ("unread-resets", "Unread data makes close(2) send RST and discard unsent data.", "holds",
     "Every close of a connection with unread data sent RST, and the peer got 1 % of the bytes.", ["plain/unread", "raw_close/unread"]),
    ("error-not-eof", "That may be an error and not an EOF for the peer.", "partly",
     "The peer read ECONNRESET, but a peer that had asked SO_ERROR before read an EOF.", ["raw_close/unread", "raw_close/false_eof"]),
    ("linger-close-blocks", "With SO_LINGER, close(2) blocks until all is sent or the time is over.", "holds",
     "It blocked until the FIN was acked.", ["raw_linger/slow", "raw_linger/never_reads"]),
    ("linger-shutdown-blocks", "With SO_LINGER, shutdown(2) blocks until all is sent or the time is over.", "fails",
     "It returned within 0.01 ms with 500 KB in the queue.", ["raw_linger_shutdown/slow"]),
    ("linger-finish-fin", "SO_LINGER, shutdown(2) and close(2) send FIN and not RST even with unread data.", "partly",
     "A race: 14 of 20 whole on loopback, none over 20 ms.",
     [f"raw_linger_shutdown/{name}" for name in ("unread", "unread_slow", "late", "late_slow", "floods", "uploads", "reads_all")]),
    ("drain-proves", "shutdown(2), then reading to 0, proves that the peer got all, saw EOF and closed.", "holds",
     "In every cell where the drain read 0 the peer had all bytes.", ["raw_drain/unread", "drain/unread", "drain/late_slow"]),
]


def document(kernel="6.18.0-sample #1 SMP PREEMPT_DYNAMIC", works=whole):
    closing = LIBRARY | RAW
    cells = [cell(link, policy, scenario, works) for link in LINKS for policy in closing for scenario in SCENARIOS
             if scenario != "request" and (scenario != "listener" or policy == "raw_close")]
    cells += [request(link, way) for link in LINKS for way in SENDS]
    named = lambda texts: [{"name": name, "text": text} for name, text in texts.items()]
    return {
        "kernel": kernel,
        "links": [{"name": name, "text": text, "played": True, "delay_ms": delay, "loss_pct": 0} for name, (text, delay, _) in LINKS.items()],
        "policies": named(closing | SENDS), "scenarios": named(SCENARIOS), "cells": cells, "failed": [],
        "claims": [{"id": id, "text": text, "verdict": verdict, "because": because,
                    "cells": [f"{link}/{name}" for name in names for link in ("delay", "lo")]}
                   for id, text, verdict, because, names in CLAIMS],
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout)
