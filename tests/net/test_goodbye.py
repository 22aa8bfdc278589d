# SPDX-License-Identifier: MIT
"""
lb_farewell against real servers, as they are in Debian: Redis, SMTP, PostgreSQL. Each is started here, by a user without
rights and on a free port; those that the packages may start are left alone.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
from libnet import PATIENCE, Skip, run, same, stop, test, until

GOODBYE = os.path.abspath(sys.argv[3])
ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody").pw_uid
AS_NOBODY = {"user": NOBODY, "group": pwd.getpwuid(NOBODY).pw_gid, "extra_groups": []} if ROOT else {}


def program(name, *patterns):
    """Where the server is, as Debian installs it."""
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern))]
    if not found:
        raise Skip(f"{name} is not installed")
    return found[-1]


def home(place):
    """A directory for the server's own."""
    os.chmod(place.path, 0o711)
    path = place.under("server")
    os.mkdir(path)
    if ROOT:
        os.chown(path, NOBODY, -1)
    return path


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A process that listens on a port of its own."""

    def __init__(self, place, command, directory):
        for _ in range(10):  # somebody may take the port before it does
            self.port = free_port()
            self.log = open(place.under("log"), "ab")
            place.stack.callback(self.log.close)
            self.process = subprocess.Popen([word.replace("PORT", str(self.port)) for word in command], cwd=directory,
                                            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **AS_NOBODY)
            place.stack.callback(self.end)
            if until("it listens, or has ended", lambda: self.listens() or self.process.poll() is not None) is True \
                    and self.process.poll() is None:
                return
        with open(place.under("log"), errors="replace") as log:
            raise AssertionError(log.read())

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                stop(self.process)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(PATIENCE)
        return connection


def goodbye(connection, words, answer=b"", reply=None, ms=PATIENCE * 1000):
    """What came before the answer, and how it ended. The connection is the other program's from here on."""
    command = [GOODBYE, str(connection.fileno()), str(ms), words.hex(), answer.hex(), *([reply] if reply else [])]
    process = subprocess.Popen(command, pass_fds=[connection.fileno()], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    connection.close()
    try:
        out, err = process.communicate(timeout=2 * PATIENCE)
    finally:
        stop(process)
    same(process.returncode, 0, err)
    return out, err.decode().split()


def ended(outcome, sentence, verdict="unproven", discarded="0"):
    same(outcome, [*sentence.split(), verdict, discarded])


def expect(connection, text):
    got = b""
    while len(got) < len(text):
        piece = connection.recv(len(text) - len(got))
        assert piece, got
        got += piece
    same(got, text)


def redis(place):
    command = [program("redis-server", "/usr/bin/redis-server"), "--port", "PORT", "--bind", "127.0.0.1", "--save", ""]
    return Server(place, command, home(place))


@test("Redis: QUIT is answered, and a reply that was still to come is handed on")
def _(place):
    server = redis(place)
    with server.connect() as client:
        client.sendall(b"PING\r\n")
        out, outcome = goodbye(client, b"QUIT\r\n", b"+OK\r\n")
        same(out, b"+PONG\r\n")
        ended(outcome, "ended close_ok self done")
    with server.connect() as client:
        client.sendall(b"*1\r\n$4\r\nPING\r\n" * 100000)
        out, outcome = goodbye(client, b"QUIT\r\n", b"+OK\r\n")
        same(out, b"+PONG\r\n" * 100000)
        ended(outcome, "ended close_ok self done")


@test("Redis: a server that does not know the words has not answered")
def _(place):
    with redis(place).connect() as client:
        out, outcome = goodbye(client, b"NONE\r\n", b"+OK\r\n", ms=1000)
        assert out.startswith(b"-ERR"), out
        ended(outcome, "acked timeout self close_sent")


@test("Redis: a server that is stopped is silent, and one that is killed resets")
def _(place):
    server = redis(place)
    with server.connect() as client, server.connect() as other:
        for connection in client, other:
            connection.sendall(b"PING\r\n")
            expect(connection, b"+PONG\r\n")
        server.process.send_signal(signal.SIGSTOP)
        out, outcome = goodbye(client, b"QUIT\r\n", b"+OK\r\n", ms=300)
        same(out, b"")
        ended(outcome, "acked timeout self close_sent")
        other.sendall(b"PING\r\n")  # what it has not read makes its end a reset
        server.process.kill()
        server.process.wait()
        out, outcome = goodbye(other, b"QUIT\r\n", b"+OK\r\n")
        same([out, outcome[1:4]], [b"", ["rst", "peer", "data"]])


def smtp(place):
    command = [program("aiosmtpd", "/usr/bin/aiosmtpd"), "-n", "-c", "aiosmtpd.handlers.Sink", "-l", "127.0.0.1:PORT"]
    return Server(place, command, home(place))


def session(server):
    """After a mail that the server has taken."""
    client = server.connect()
    lines = client.makefile("rb")
    for say, code in ((b"", b"220"), (b"HELO localhost\r\n", b"250"), (b"MAIL FROM:<a@localhost>\r\n", b"250"),
                      (b"RCPT TO:<b@localhost>\r\n", b"250"), (b"DATA\r\n", b"354"),
                      (b"Subject: x\r\n\r\n221 is no answer here\r\n.\r\n", b"250")):
        client.sendall(say)
        line = lines.readline()
        assert line.startswith(code), line
    lines.close()
    return client


@test("SMTP: QUIT is answered with 221, told by its first bytes or as a whole")
def _(place):
    server = smtp(place)
    with session(server) as client:
        out, outcome = goodbye(client, b"QUIT\r\n", b"221 ")
        same(out, b"")
        same(outcome[:5], "ended close_ok self done unproven".split())
        assert int(outcome[5]) > 0, outcome
    with session(server) as client:
        out, outcome = goodbye(client, b"QUIT\r\n", reply="221")
        same(out, b"")
        ended(outcome, "ended close_ok self done")


@test("SMTP: a reply of another code is a protocol error")
def _(place):
    with session(smtp(place)) as client:
        _, outcome = goodbye(client, b"NOOP\r\n", reply="221")
        ended(outcome, "acked protocol_error peer close_sent")


class Postgres(Server):
    """A cluster of its own, for this test alone."""

    def __init__(self, place):
        binaries = os.path.dirname(program("PostgreSQL", "/usr/lib/postgresql/*/bin/postgres"))
        directory = home(place)
        made = subprocess.run([f"{binaries}/initdb", "-D", "cluster", "-U", "lastbyte", "-A", "trust", "--no-sync",
                               "--no-locale", "-E", "UTF8"], cwd=directory, capture_output=True, text=True, **AS_NOBODY)
        same(made.returncode, 0, made.stdout + made.stderr)
        super().__init__(place, [f"{binaries}/postgres", "-D", "cluster", "-p", "PORT", "-c", "fsync=off",
                                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="], directory)
        until("it lets sessions in", self.is_ready)

    def login(self):
        """The protocol's start-up, https://www.postgresql.org/docs/current/protocol-message-formats.html"""
        client = self.connect()
        parameters = b"user\0lastbyte\0database\0postgres\0\0"
        client.sendall(struct.pack(">II", 8 + len(parameters), 3 << 16) + parameters)
        return client, self.replies(client)

    def is_ready(self):
        client, replies = self.login()
        client.close()
        return replies[-1][0] == b"Z"

    @staticmethod
    def replies(client):
        """Messages up to ReadyForQuery, or to the end."""
        messages = []
        with client.makefile("rb") as stream:
            while not messages or messages[-1][0] != b"Z":
                kind = stream.read(1)
                if not kind:
                    return messages
                messages.append((kind, stream.read(struct.unpack(">I", stream.read(4))[0] - 4)))
        return messages

    def query(self, client, text):
        client.sendall(b"Q" + struct.pack(">I", 5 + len(text)) + text.encode() + b"\0")
        replies = self.replies(client)
        assert all(kind != b"E" for kind, _ in replies), replies
        return [body[6:] for kind, body in replies if kind == b"D"]  # of one column, as text

    def ask(self, text):
        client, _ = self.login()
        with client:
            return self.query(client, text)


TERMINATE = b"X\0\0\0\4"


@test("PostgreSQL: Terminate has no answer but the server's end; what was committed is there, what was not is not")
def _(place):
    server = Postgres(place)
    server.ask("CREATE TABLE words (word text)")
    client, _ = server.login()
    server.query(client, "BEGIN; INSERT INTO words VALUES ('committed'); COMMIT")
    out, outcome = goodbye(client, TERMINATE)
    same(out, b"")
    ended(outcome, "ended fin peer done")
    client, _ = server.login()
    server.query(client, "BEGIN; INSERT INTO words VALUES ('open')")
    out, outcome = goodbye(client, TERMINATE)
    ended(outcome, "ended fin peer done")
    same(server.ask("SELECT word FROM words"), [b"committed"])


@test("PostgreSQL: a session that the server has ended by itself was not ended by Terminate")
def _(place):
    server = Postgres(place)
    client, _ = server.login()
    pid = server.query(client, "SELECT pg_backend_pid()")[0].decode()
    server.ask(f"SELECT pg_terminate_backend({pid})")
    until("its backend is gone", lambda: server.ask(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}") == [])
    until("its end has come", lambda: client.recv(1000, socket.MSG_PEEK).endswith(b"\0"))
    out, outcome = goodbye(client, TERMINATE)
    assert out.startswith(b"E"), out
    # Terminate meets a socket that is closed there: a RST may answer it, before or after we look
    assert outcome[0] != "ended" and outcome[1] in ("fin", "rst") and outcome[2:4] == ["peer", "close_sent"], outcome


run()
