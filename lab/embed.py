# SPDX-License-Identifier: MIT
"""embed.py OUTPUT PAGE STYLE SCRIPT...: the report's page as two C strings, up to where the document belongs, and from there.

Style and scripts become part of the page, and their digests part of its policy (CSP 3, section 8.4), so that nothing but
these ever runs in it.
"""

import base64
import hashlib
import sys
from pathlib import Path


def source(text):
    """A value for the policy that allows exactly this."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def put(page, place, text):
    assert page.count(place) == 1, f"the page has {place} {page.count(place)} times"
    return page.replace(place, text)


def literal(text):
    """A line of C for each line of text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(f'\t"{line}\\n"' for line in escaped.removesuffix("\n").split("\n"))


def main(output, page, style, *scripts):
    page, style, *scripts = [Path(name).read_text(encoding="utf-8") for name in (page, style, *scripts)]
    script = "".join(scripts)
    assert "</style" not in style and "</script" not in script and "<!--" not in script
    page = put(page, "STYLE-HASH", source(style))
    page = put(page, "SCRIPT-HASH", source(script))
    page = put(page, "<style></style>", f"<style>{style}</style>")
    page = put(page, "<script></script>", f"<script>{script}</script>")
    before, after = page.split("DOCUMENT")
    strings = [f"const char lab_report_{name}[] =\n{literal(text)};\n" for name, text in (("before", before), ("after", after))]
    Path(output).write_text('#include "lab/report.h"\n\n' + "\n".join(strings), encoding="utf-8")


main(*sys.argv[1:])
