#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page about the claims, of what `lastbyte lab --json FILE` has seen: claims.py FILE DATE"""

import json
import sys

HEAD = """# Claims about ending TCP connections

What is commonly said, and what Linux {release} did on {date}. Made by `./dev claims`, which plays everything anew on the
kernel at hand; `lastbyte lab --html FILE` shows the packets of each cell. A claim *holds* if every run that bears on it
agrees, *partly* if some do and some do not, and *fails* if none does. A cell is a link, a policy (what our end does) and
a scenario (what happens meanwhile).
"""

ENDS = """
## What arrived

Our end writes {meant:,} bytes and ends, over the link `{link}` ({text}). What the peer's application got: all, or so
much. RST: its last read failed; EOF: it returned 0, though something was missing; open: it had seen no end.
Rows are scenarios, columns policies.
"""

REQUESTS = """
## A request in 7 parts

Until the answer to {meant:,} bytes was there, and how many segments with data these took.
"""

REPORT = """
## The report

`lastbyte lab --html FILE` makes a page of it that needs nothing else:

![The claims at the head of the report](lab-claims.png)

![The packets of one cell: close(2), and 1 KB from the peer unread](lab-packets.png)
"""


def row(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(head, rows):
    return [row(head), row("---" for _ in head), *(row(cells) for cells in rows)]


def explained(things):
    return [f"- `{thing['name']}`: {thing['text']}" for thing in things]


def named(ids):
    """delay/plain/unread, lo/plain/unread: said once, with both links."""
    links = {}
    for link, _, rest in (name.partition("/") for name in ids):
        links.setdefault(rest, []).append(link)
    return ", ".join(f"`{rest}` ({', '.join(of)})" for rest, of in links.items())


def claims(document):
    return table(("claim", "verdict", "why", "cells"),
                 ((f"{c['text']} `{c['id']}`", f"**{c['verdict']}**", c["because"], named(c["cells"])) for c in document["claims"]))


def arrived(cell):
    """What the peer got, in a few letters."""
    if cell["whole"] == cell["runs"]:
        got = "all" if cell["meant_bytes"] > 0 else ""
    elif cell["whole"] > 0:
        return f"all in {cell['whole']} of {cell['runs']}"
    else:
        got = f"{cell['peer_bytes'] // 1000:,} KB"
    end = {"eof": " EOF" if got != "all" else "", "reset": " RST", "waiting": " open"}[cell["peer_end"]]
    return (got + end).strip()


def matrix(document):
    """Of the link that shows most, which is the last one that was played."""
    cells = [c for c in document["cells"] if c["scenario"] != "request"]
    played = {c["link"] for c in cells}
    links = [link for link in document["links"] if link["name"] in played]
    if not links:
        return []
    link = links[-1]
    at = {(c["policy"], c["scenario"]): c for c in cells if c["link"] == link["name"]}
    meant = max(c["meant_bytes"] for c in at.values())
    lines = ENDS.format(meant=meant, link=link["name"], text=link["text"]).splitlines()
    shown = []
    for raw in (True, False):
        policies = [p for p in document["policies"] if p["name"].startswith("raw_") == raw]
        policies = [p for p in policies if any(p["name"] == policy for policy, _ in at)]
        scenarios = [s for s in document["scenarios"] if any((p["name"], s["name"]) in at for p in policies)]
        if policies:
            lines += ["", *table(("", *(p["name"].removeprefix("raw_") for p in policies)),
                                 ((f"`{s['name']}`", *(arrived(at[p["name"], s["name"]]) if (p["name"], s["name"]) in at
                                                       else "" for p in policies)) for s in scenarios))]
            lines += ["", "The system calls alone:" if raw else "`lb_close`:", "", *explained(policies)]
        shown += [s for s in scenarios if s not in shown]
    return [*lines, "", "The scenarios:", "", *explained(shown)]


def requests(document):
    cells = [c for c in document["cells"] if c["scenario"] == "request"]
    if not cells:
        return []
    links = [link["name"] for link in document["links"] if any(c["link"] == link["name"] for c in cells)]
    at = {(c["policy"], c["link"]): c for c in cells}
    ways = [p for p in document["policies"] if any(p["name"] == c["policy"] for c in cells)]

    def cell(way, link):
        c = at.get((way, link))
        segments = f", {c['segments']['data']}" if c and c["segments"] else ""
        return f"{c['blocked_ms']:.2f} ms{segments}" if c else ""

    return [*REQUESTS.format(meant=cells[0]["meant_bytes"]).splitlines(), "",
            *table(("", *links), ((w["text"], *(cell(w["name"], link) for link in links)) for w in ways))]


def page(document, date):
    head = HEAD.format(release=document["kernel"].split()[0], date=date)
    return "\n".join([head, *claims(document), *matrix(document), *requests(document), REPORT])


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(page(json.load(file), sys.argv[2]))
