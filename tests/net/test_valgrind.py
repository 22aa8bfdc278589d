# SPDX-License-Identifier: MIT
"""A delivery with both ends under valgrind: no use of memory that is not theirs, and none kept."""
import os
import shutil
from libnet import COMMAND, Answer, Skip, run, same, test

SIZE = 32 << 20


def watched(place, role):
    """The command as a script that runs it under valgrind, and the file that its report goes to."""
    report = place.under(f"{role}.report")
    script = place.under(f"{role}.sh")
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\nexec valgrind --quiet --log-file={report} --error-exitcode=99 --leak-check=full '
                   f'--show-leak-kinds=all --errors-for-leak-kinds=all {COMMAND} "$@"\n')
    os.chmod(script, 0o755)
    return script, report


@test("valgrind finds nothing wrong and nothing left at either end of a delivery")
def _(place):
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    serve, serve_report = watched(place, "serve")
    send, send_report = watched(place, "send")
    content = os.urandom(1 << 20) * (SIZE >> 20)
    server = place.serve(binary=serve)
    Answer(place.start("send", place.file("file", content), server.address, binary=send)).exits(0)
    same(place.read("file") == content, True, "the content is what was sent")
    server.signal()
    same(server.wait(), 0, "serve exits with")
    for report in send_report, serve_report:
        with open(report) as file:
            same(file.read(), "", "valgrind's report")


run()
