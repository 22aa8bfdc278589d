# SPDX-License-Identifier: MIT
"""What the tests of --retry share: servers that come back, streams taken apart, and what has to be there in the end."""
import contextlib
import os
import socket
import struct
import subprocess
import threading
from libnet import Answer, connect, digest, same, until
from libwire import frames

CONTENT = os.urandom(1_500_000)
LARGE = os.urandom(1 << 20) * 32  # more than lies in the buffers between a client and who does not read
BRIEF = 2000  # bytes that are less than any of the content: greetings, BEGIN, COMMIT, CLOSE


def restart(place, server, *options):
    """A server on the port and the inbox of one that is no more."""
    return place.serve(*options, listen=server.address)


def check(place, answer, content=CONTENT, name="x"):
    """Committed, whole, and once."""
    answer.exits(0)
    same(place.visible(), [name])
    same(place.read(name), content)
    rows = place.committed()
    same([(row["name"], row["bytes"], row["digest"]) for row in rows], [(name, len(content), digest(content))])
    assert answer.id in (None, rows[0]["id"]), answer
    return answer


def answer_at(place, server):
    """The bytes that a server has said when BEGIN_OK has been."""
    probe = place.proxy(server.address)
    place.send(place.file("probe/p", b""), probe.address, state=place.under("prober")).exits(0)
    os.unlink(os.path.join(place.inbox, "p"))
    return next(end for end, kind, _, _ in frames(probe.down) if kind == "BEGIN_OK")


def kinds(stream):
    return [kind for _, kind, _, _ in frames(stream)]


def of(stream, kind):
    return [(name, payload) for _, name, _, payload in frames(stream) if name == kind]


def offsets_of(stream):
    """What SYNCED said."""
    return [struct.unpack(">Q", payload)[0] for _, payload in of(stream, "SYNCED")]


def begun_and_killed(place, server, content, *words, name="x"):
    """A send that is killed when some of it is durable. Returns its id, and the proxy."""
    proxy = place.proxy(server.address)
    path = place.file(name, content)
    with open(path, "rb") as file:
        if words:  # a pipe, which is never all written
            process = place.start("send", "--retry", "--replay", "1M", *words, proxy.address, stdin=subprocess.PIPE)
            process.stdin.write(content[:8_000_000])
            process.stdin.flush()
        else:
            proxy.limits["up"], proxy.how = 12_000_000, "hold"  # the first SYNC passes
            process = place.start("send", "--replay", "1M", path, proxy.address)
    def there():
        assert process.poll() is None, f"it has ended: {Answer(process)!r}"
        return [at for at in offsets_of(proxy.down) if at >= 1_000_000]

    until("some of it is durable", there)
    process.kill()
    process.wait()
    proxy.do_cut("rst")
    proxy.release()
    begin = of(proxy.up, "BEGIN")[0][1]
    return begin[:16].hex() + ":%d" % struct.unpack_from(">Q", begin, 16), proxy


class Unable(threading.Thread):
    """Before a server: takes RESUME out of every HELLO, so that its sink is one that cannot resume."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.listener = target, socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = connect(self.target)
                hello = bytearray()
                while len(hello) < 48:
                    data = client.recv(48 - len(hello))
                    if not data:
                        break
                    hello += data
                hello[24:28] = bytes(4)
                server.sendall(hello)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def carry(source, sink):
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def waits(process):
    """Reads standard error up to the line about the first wait."""
    line = process.stderr.readline()
    assert line.startswith(b"waiting ") and not line.startswith(b"waiting 0.0 "), line
    return line.decode()
