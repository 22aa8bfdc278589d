# SPDX-License-Identifier: MIT
"""test_report.py REPORT SCREENSHOTS: the lab's page, as REPORT makes it of a document, in a browser; keeps pictures of it."""

import copy
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import sample
import tap
from browser import Browser

CELL = "delay/raw_linger_shutdown/unread"
HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>'\"&amp;\u2028"
PHONE = {"width": 390, "height": 800}
SHOWN = "return [...document.querySelectorAll('.matrix a')].map(a => decodeURIComponent(a.hash.slice(1)))"
TITLE = "return !document.getElementById('cell').hidden && document.getElementById('cell-title').textContent"

browser = document = place = shots = None


def by_id(id, of=None):
    return next(cell for cell in (of or document)["cells"] if cell["id"] == id)


def page(name, content):
    """Makes the page of a document; the lab's own writer does."""
    file = place / f"{name}.html"
    with open(file, "wb") as out:
        subprocess.run([sys.argv[1]], input=json.dumps(content).encode(), stdout=out, check=True)
    return file


def opened(hash="", content=None, **how):
    browser.open(page("page", content or document), hash, **how)


def opens_and_asks_for_nothing():
    opened()
    assert "Linux 6.18.0-sample" in browser.driver.title and browser.one("h1").text.endswith("Linux 6.18.0-sample")
    assert len(browser.all("table.claims tbody tr")) == len(document["claims"])
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    policy = browser.one("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    browser.shoot(shots / "overview-light.png")
    opened(scheme="dark")
    browser.shoot(shots / "overview-dark.png")


def forbids_itself_what_is_not_its_own():
    """So that the case before this one proves something: the policy is in force."""
    opened()
    browser.run("const image = new Image(); image.src = 'https://example.invalid/x'; document.body.append(image);"
                "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);")
    browser.until("return window.ran === undefined")
    complaints = browser.complaints()
    assert len(complaints) == 2 and all("Content Security Policy" in complaint for complaint in complaints), complaints


def claims_say_their_verdict_in_words():
    opened()
    for row, claim in zip(browser.all("table.claims tbody tr"), document["claims"]):
        assert claim["verdict"] in row.text and claim["text"] in row.text and claim["because"] in row.text
        browser.run("arguments[0].querySelectorAll('details').forEach(more => more.open = true)", row)
        assert [link.text for link in row.find_elements("css selector", "a")] == claim["cells"]


def a_claim_leads_to_its_diagram():
    opened()
    id = document["claims"][0]["cells"][0]
    browser.one(f"table.claims a[href='#{id}']").click()
    title = browser.until(TITLE)
    assert all(part in title for part in id.split("/"))
    assert len(browser.all("svg.ladder .arrow")) == len(by_id(id)["arrows"])
    assert document["claims"][0]["text"] in browser.one("#cell").text
    assert browser.one("svg.ladder .time").text == "−60.00 ms", "the handshake comes before time begins"


def a_claim_leads_to_its_diagram_by_keyboard():
    opened()
    id = document["claims"][0]["cells"][0]
    for _ in range(20):
        browser.press("TAB")
        if browser.focus().get_attribute("hash") == f"#{id}":
            break
    browser.press("ENTER")
    browser.until(TITLE)
    for _ in range(20):
        browser.press("TAB")
        if browser.focus().get_attribute("role") == "option":
            break
    seen = []
    for _ in range(len(by_id(id)["arrows"]) + len(by_id(id)["calls"])):
        seen.append(browser.focus().get_attribute("aria-label"))
        assert seen[-1].startswith(browser.one(".details dt").text + ", "), "the panel shows what has the focus"
        assert browser.run("return getComputedStyle(document.activeElement.querySelector('text')).textDecorationLine") == "underline"
        browser.press("ARROW_DOWN")
    assert len(set(seen)) == len(seen) and any("RST" in name for name in seen)
    browser.one("#all").click()
    browser.until("return !document.getElementById('overview').hidden")
    assert browser.focus().get_attribute("hash") == f"#{id}", "the focus is where it was"


def every_arrow_and_call_is_drawn():
    """Of all cells: what is drawn is counted against the document, by kind."""
    opened()
    drawn = browser.run("""return Object.fromEntries(ids.map(id => {
        showCell(id);
        const count = what => document.querySelectorAll(`svg.ladder ${what}`).length;
        return [id, [count(".arrow"), count(".call"), count(".arrow.rst"), count(".arrow.fin"), count(".lost .cross")]];
    }))""")
    assert len(drawn) == len(document["cells"])
    for cell in document["cells"]:
        arrows = cell["arrows"]
        wanted = [len(arrows), len(cell["calls"]), sum(arrow[3] & sample.RST != 0 for arrow in arrows),
                  sum(arrow[3] & sample.FIN != 0 for arrow in arrows), sum(arrow[1] is None for arrow in arrows)]
        assert drawn[cell["id"]] == wanted, (cell["id"], drawn[cell["id"]], wanted)


def says_when_not_every_segment_is_drawn():
    content = copy.deepcopy(document)
    by_id(CELL, content)["segments"]["data"] += 1
    by_id(CELL, content)["missed"] = 2
    opened(f"#{CELL}", content)
    assert "not every one is drawn" in browser.one("#cell .note").text and "missed 2 segments" in browser.one("#cell .note").text
    opened(f"#{CELL}")
    assert browser.all(".note") == []


def a_reset_is_red_and_a_fin_is_thick():
    for scheme in ("light", "dark"):
        opened(f"#{CELL}", scheme=scheme)
        red, green, blue = browser.run("""return getComputedStyle(document.querySelector(".ladder .rst line:not(.reach)")).stroke
            .match(/\\d+/g).map(Number)""")
        assert red > 180 and green < 140 and blue < 140, (red, green, blue)
        browser.shoot(shots / f"cell-{scheme}.png")
    opened("#delay/drain/unread")
    widths = browser.run("""return [".fin", ".ack:not(.many)"].map(kind =>
        parseFloat(getComputedStyle(document.querySelector(`.ladder ${kind} line:not(.reach)`)).strokeWidth))""")
    assert widths[0] > widths[1]
    browser.shoot(shots / "cell-whole.png")


def matching(link, words="", kind=None, lost=False, reset=False):
    """What the filters are to show, by the document alone."""
    texts = {item["name"]: item["text"] for item in document["policies"] + document["scenarios"]}
    kinds = {"library": sample.LIBRARY, "raw": sample.RAW, "sends": sample.SENDS, None: texts}

    def text(cell):
        outcome = cell["outcome"] or {}
        said = [outcome.get(key) or "" for key in ("rung", "how", "by", "phase", "error", "text")]
        return " ".join([cell["policy"], texts[cell["policy"]], cell["scenario"], texts[cell["scenario"]], cell["peer_end"]] + said).lower()

    return sorted(cell["id"] for cell in document["cells"]
                  if (cell["scenario"] == "request" or cell["link"] == link) and all(word in text(cell) for word in words.split())
                  and cell["policy"] in kinds[kind] and (not lost or cell["whole"] < cell["runs"]) and (not reset or cell["resets"] > 0))


def shows(expected):
    assert sorted(browser.run(SHOWN)) == expected, (len(browser.run(SHOWN)), len(expected))
    assert browser.one("#count").text.startswith(f"Showing {len(expected)} of ")


def filters_show_what_matches():
    opened()
    shows(matching("delay"))
    for link in ("lo", "veth", "delay"):
        browser.run("arguments[0].click()", browser.one(f"input[value='{link}']"))
        shows(matching(link))
    browser.one("input[name='lost']").click()
    shows(matching("delay", lost=True))
    browser.one("input[name='reset']").click()
    shows(matching("delay", lost=True, reset=True))
    browser.run("arguments[0].focus()", browser.one("select[name='kind']"))
    for kind in ("library", "raw", "sends"):
        browser.press("ARROW_DOWN")
        shows(matching("delay", kind=kind, lost=True, reset=True))


def search_finds_policies_scenarios_and_outcomes():
    opened()
    browser.press("/")
    assert browser.focus().get_attribute("name") == "words" and browser.focus().get_attribute("value") == ""
    for words in ("siocoutq", "never_closes", "econnreset", "discarded unread", "half-closes", "nothing has this"):
        browser.run("document.activeElement.select()")
        browser.press(words)
        shows(matching("delay", words))
        assert (words == "nothing has this") == (matching("delay", words) == [])


def heat_tells_what_arrived():
    opened()
    for id, text in (("delay/raw_close/unread", "1 %\nRST"), ("delay/drain/unread", "100 %\nEOF"), ("delay/drain/never_closes", "100 %\nopen")):
        assert browser.one(f".matrix a[href='#{id}']").text == text
    browser.run("arguments[0].click()", browser.one("input[value='lo']"))
    assert "14/20" in browser.one(".matrix a[href='#lo/raw_linger_shutdown/unread']").text
    assert len(browser.all(".matrix tbody th[scope='row']")) == len(document["policies"])


def what_was_not_seen_is_said():
    content = copy.deepcopy(document)
    content["cells"] = [cell for cell in content["cells"] if cell["link"] == "lo"]
    for cell in content["cells"]:
        cell |= {"captured": False, "segments": None, "peer_segments": None, "arrows": []}
    by_id("lo/plain/unread", content)["peer_end"] = "eof"
    content["failed"] = [{"id": "lo/plain/gone", "why": "no such thing"}]
    opened(content=content)
    assert "Not played over veth and delay." in browser.one("#missing").text and "1 cell could not be played" in browser.one("#missing").text
    assert browser.one(".matrix a[href='#lo/plain/unread']").text.endswith("EOF !"), "an EOF of a stream that was cut"
    assert browser.one(".matrix a[href='#lo/writev/request']").text.endswith("not captured")
    opened("#lo/plain/unread", content)
    assert "no capture" in browser.one("#cell .note").text and "as if that were everything" in browser.one(".facts").text
    assert len(browser.all(".ladder .call")) == len(by_id("lo/plain/unread")["calls"])


def arrow_keys_walk_the_matrix():
    opened()
    browser.run("document.querySelector('.matrix a').focus()")
    walked = []
    for key in ("ARROW_RIGHT", "ARROW_DOWN", "ARROW_LEFT", "ARROW_UP"):
        browser.press(key)
        walked.append(browser.focus().get_attribute("hash"))
    assert walked == ["#delay/drain/unread", "#delay/acked/unread", "#delay/acked/reads_all", "#delay/drain/reads_all"]
    assert "drain · reads_all" in browser.one("#tip").text
    browser.press("ESCAPE")
    assert not browser.one("#tip").is_displayed()
    browser.press("ENTER")
    assert "drain" in browser.until(TITLE)


def an_address_leads_to_its_cell_and_back():
    opened(f"#{CELL}")
    assert "raw_linger_shutdown" in browser.until(TITLE)
    browser.one("a.step[aria-label^='Next']").click()
    following = document["cells"][[cell["id"] for cell in document["cells"]].index(CELL) + 1]
    browser.until(f"{TITLE}.includes(arguments[0])", following["scenario"])
    browser.driver.back()
    browser.until(f"{TITLE}.includes('unread')")
    opened()
    browser.run(f"const link = document.querySelector('.matrix a[href=\"#{CELL}\"]'); link.scrollIntoView(); link.click()")
    browser.until(TITLE)
    browser.driver.back()
    browser.until("return document.getElementById('cell').hidden")
    assert browser.run("return scrollY") > 0 and browser.focus().get_attribute("hash") == f"#{CELL}"
    opened("#delay/no/such")
    assert "no cell delay/no/such" in browser.one("#notice").text


def is_light_or_dark_as_the_reader_likes():
    back = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 60)"
    for scheme in ("light", "dark"):
        opened(scheme=scheme)
        assert browser.run(back) == (scheme == "dark")
        browser.one("#theme").click()
        assert browser.run(back) == (scheme == "light")


def every_text_has_contrast():
    for scheme in ("light", "dark"):
        for hash in ("", f"#{CELL}", "#delay/drain/unread"):
            opened(hash, scheme=scheme)
            found = browser.contrasts()
            assert found["looked"] > 40 and found["poor"] == [], (scheme, hash, found)


def fits_a_phone():
    for hash, name in (("", "overview"), (f"#{CELL}", "cell")):
        opened(hash, **PHONE)
        assert browser.run("return document.documentElement.scrollWidth") <= PHONE["width"]
        browser.shoot(shots / f"{name}-phone.png")
    opened(**PHONE)
    left, below = browser.run("""const scroll = document.querySelector('.scroll');
        scroll.scrollLeft = 300;
        return ['th', 'td'].map(tag => document.querySelector(`.matrix tbody ${tag}`).getBoundingClientRect().x - scroll.getBoundingClientRect().x)""")
    assert 0 <= left < 4 and below < 0, "the names of the rows stay, the rest scrolls"


def whatever_tab_reaches_has_a_name():
    for hash, least in (("", 25), (f"#{CELL}", 7)):
        opened(hash)
        browser.run("document.querySelectorAll('details').forEach(more => more.open = true); document.querySelector('.skip').focus()")
        names = [browser.focus().accessible_name]
        for _ in range(200):
            browser.press("TAB")
            if browser.focus().tag_name == "body":
                break
            names.append(browser.focus().accessible_name)
        assert least <= len(names) < 200 and all(names), names


def hostile_strings_are_text():
    content = copy.deepcopy(document)
    id = f"delay/plain/{HOSTILE}"
    cell = by_id("delay/plain/unread", content)
    cell |= {"scenario": HOSTILE, "id": id, "counters": {HOSTILE: 1}}
    cell["outcome"]["text"] = HOSTILE
    cell["calls"][0][3] = HOSTILE
    content["kernel"] = HOSTILE
    content["scenarios"].append({"name": HOSTILE, "text": HOSTILE})
    content["claims"][0] |= {"text": HOSTILE, "because": HOSTILE, "cells": [id]}
    opened(content=content)
    assert HOSTILE in browser.run("return document.querySelector('.claims th[scope=row]').textContent")
    browser.run("document.querySelector('.claims a').click()")
    assert HOSTILE in browser.until(TITLE)
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert browser.run("return document.querySelector('.facts').textContent.split(arguments[0]).length", HOSTILE) == 3


def two_kernels_stand_side_by_side():
    other = sample.document("Debian's 6.1", lambda policy, scenario: sample.whole(policy, scenario) or policy == "raw_linger_shutdown")
    other["claims"][0]["verdict"] = "fails"
    merged = {"kernels": [document, other]}
    opened(content=merged)
    row = browser.one("table.claims tbody tr").text
    assert "holds" in row and "fails" in row
    browser.one("input[name='differs']").click()
    differing = sorted(cell["id"] for cell in document["cells"] if cell["link"] == "delay" and cell["whole"] != by_id(cell["id"], other)["whole"])
    assert sorted(browser.run(SHOWN)) == differing and differing
    opened(f"#{CELL}", merged)
    assert [head.text for head in browser.all(".facts thead th")] == ["Linux 6.18.0-sample", "Debian's 6.1"]
    assert [len(figure.find_elements("css selector", ".arrow")) for figure in browser.all("figure")] \
        == [len(by_id(CELL)["arrows"]), len(by_id(CELL, other)["arrows"])]
    browser.shoot(shots / "cell-two-kernels.png")


def prints_on_white_and_stands_still_where_asked_to():
    opened(scheme="dark")
    browser.media({"prefers-color-scheme": "dark"}, "print")
    assert not browser.one(".filters").is_displayed() and browser.one(".claims").is_displayed()
    assert browser.run("return getComputedStyle(document.querySelector('h1')).color.match(/\\d+/g).every(part => part < 60)")
    opened()
    browser.media({"prefers-reduced-motion": "reduce"})
    assert browser.run("return getComputedStyle(document.querySelector('.matrix a')).transitionDuration") == "0s"


def what_is_no_document_is_refused():
    run = subprocess.run([sys.argv[1]], input=b"[1]", capture_output=True)
    assert run.returncode == 1 and run.stdout == b"" and b"Invalid argument" in run.stderr


def quietly(case):
    """No case may leave a complaint in the console: of the page's errors, or of what its own policy forbids it."""
    @functools.wraps(case)
    def run():
        case()
        complaints = browser.complaints()
        assert complaints == [], complaints
    return run


def skipping(case, why):
    @functools.wraps(case)
    def run():
        raise why
    return run


CASES = [
    opens_and_asks_for_nothing, forbids_itself_what_is_not_its_own, claims_say_their_verdict_in_words, a_claim_leads_to_its_diagram,
    a_claim_leads_to_its_diagram_by_keyboard, every_arrow_and_call_is_drawn, says_when_not_every_segment_is_drawn,
    a_reset_is_red_and_a_fin_is_thick, filters_show_what_matches, search_finds_policies_scenarios_and_outcomes,
    heat_tells_what_arrived, what_was_not_seen_is_said, arrow_keys_walk_the_matrix, an_address_leads_to_its_cell_and_back,
    is_light_or_dark_as_the_reader_likes, every_text_has_contrast, fits_a_phone, whatever_tab_reaches_has_a_name,
    hostile_strings_are_text, two_kernels_stand_side_by_side, prints_on_white_and_stands_still_where_asked_to,
    what_is_no_document_is_refused,
]

if __name__ == "__main__":
    document = sample.document()
    shots = Path(sys.argv[2])
    shots.mkdir(exist_ok=True)
    try:
        with Browser() as browser, tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            tap.run([quietly(case) for case in CASES])
    except tap.Skip as why:
        tap.run([skipping(case, why) for case in CASES])
