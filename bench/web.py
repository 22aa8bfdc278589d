# SPDX-License-Identifier: MIT
"""The web servers that are compared with ours: the configuration of each, as a careful administrator would write
it (sendfile, the default time-outs of lingering), on ports of loopback, in the foreground and without privileges.
"""

import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

MIB = 1 << 20
LARGE, SMALL = 2 * MIB, 1024  # bytes of the two files that each serves

NGINX = """\
daemon off; worker_processes 1; pid {own}/pid; error_log {own}/log;
events {{ worker_connections 4096; }}
http {{
	access_log off; sendfile on; tcp_nopush on; keepalive_timeout 65; lingering_close {lingering};
	client_body_temp_path {own}/t; proxy_temp_path {own}/t; fastcgi_temp_path {own}/t; uwsgi_temp_path {own}/t;
	scgi_temp_path {own}/t;
	server {{ listen 127.0.0.1:{port} backlog=4096; root {files}; }}
}}
"""

LIGHTTPD = """\
server.port = {port}
server.bind = "127.0.0.1"
server.listen-backlog = 4096
server.document-root = "{files}"
server.errorlog = "{own}/log"
server.network-backend = "sendfile"
server.max-fds = 8192
server.max-connections = 4096
"""

APACHE = """\
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
ServerName localhost
ServerRoot {own}
DefaultRuntimeDir {own}
PidFile {own}/pid
ErrorLog {own}/log
Mutex pthread
Listen 127.0.0.1:{port}
ListenBacklog 4096
DocumentRoot {files}
EnableSendfile On
KeepAlive On
"""

HAPROXY = """\
global
	maxconn 4096
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend web
	bind 127.0.0.1:{port} backlog 4096
	default_backend files
backend files
	server nginx 127.0.0.1:{backend}
"""

FOREIGN = {  # name: program, its arguments, configuration, and what the configuration needs
    "nginx, lingering off": ("nginx", "-e {own}/log -c {conf}", NGINX, {"lingering": "off"}),
    "nginx, lingering on": ("nginx", "-e {own}/log -c {conf}", NGINX, {"lingering": "on"}),
    "nginx, lingering always": ("nginx", "-e {own}/log -c {conf}", NGINX, {"lingering": "always"}),
    "lighttpd": ("lighttpd", "-D -f {conf}", LIGHTTPD, {}),
    "Apache (event)": ("apache2", "-D FOREGROUND -f {conf}", APACHE, {"modules": "/usr/lib/apache2/modules"}),
    "HAProxy, before nginx": ("haproxy", "-db -f {conf}", HAPROXY, {}),
}

OURS = {"close": "plain", "shutdown, close": "finish", "lb_close": "drain", "lb_closer": "closer"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """One that runs: where it listens, and what its processes use."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def processes(self):
        """The process ids of it and of its children."""
        tree = [self.process.pid]
        for pid in tree:  # none of them starts processes from another thread
            tree += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return tree

    def cpu(self):
        """Seconds that they have used, to the nanosecond: those of /proc are ticks."""
        seconds = 0
        for pid in self.processes():
            clock = ctypes.c_int()
            if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)) == 0:
                seconds += time.clock_gettime(clock.value)
        return seconds

    def memory(self):
        """Bytes of user memory that they hold, what is shared divided among those who share it."""
        kib = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
        return kib * 1024

    def sockets(self):
        """How many they hold. nginx holds on to the file as well while it lingers."""
        count = 0
        for pid in self.processes():
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    count += os.readlink(descriptor).startswith("socket:")
        return count


def await_answer(server, name):
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(f"{name} exited with {server.process.returncode}")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port)):
            return
        time.sleep(0.01)


def start(folder, name, backend):
    own = folder / name.replace(" ", "-")
    own.mkdir()
    program, arguments, text, more = FOREIGN[name]
    port = free_port()
    words = dict(more, own=own, files=folder / "files", conf=own / "conf", port=port, backend=backend)
    words["conf"].write_text(text.format(**words))
    command = [shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"), *arguments.format(**words).split()]
    user = {}
    if os.getuid() == 0:
        os.chown(own, 33, 33)  # www-data, on every Debian
        user = dict(user=33, group=33, extra_groups=[])
    with open(own / "output", "w") as output:
        return Server(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **user), port)


def start_ours(folder, program, policy):
    process = subprocess.Popen([program, policy, folder / "files"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return Server(process, int(process.stdout.readline()))


@contextlib.contextmanager
def servers(folder, program):
    """All of them, by name; stopped at the end."""
    folder.chmod(0o755)
    (folder / "files").mkdir()
    (folder / "files" / "large").write_bytes(os.urandom(LARGE))
    (folder / "files" / "small").write_bytes(os.urandom(SMALL))
    running = {}
    try:
        for name, (needed, *_) in FOREIGN.items():
            if shutil.which(needed, path=os.environ["PATH"] + ":/usr/sbin"):
                backend = running["nginx, lingering on"].port if "nginx, lingering on" in running else 0
                running[name] = start(folder, name, backend)
                await_answer(running[name], name)
        for name, policy in OURS.items():
            running[name] = start_ours(folder, program, policy)
        yield running
    finally:
        for server in running.values():
            server.process.terminate()
        for server in running.values():
            try:
                server.process.wait(10)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
