"""One host of a lab: an engine and an SSH server of its own behind an address of its own.

Users: root, `deploy` (group docker), `operator` (sudo without a password, where this machine has sudo) and
`guest` (neither). All of them let the lab's key in.

Each fault is what it is called, to programs that know nothing of it; `heal` ends all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient

from tests.support.engine import EngineUnavailableError, socket_answers
from tests.support.lab_box import LabBox
from tests.support.lab_host_files import CONTAINERD, make_host_key, sshd_config
from tests.support.lab_machine import PATH
from tests.support.processes import wait_until

START_SECONDS = 90.0
SSH_PORT = 22
_ANSWER_SECONDS = 30
_LOG_LINES = 20
_FILL_TRIES = 20
_ENGINE_PROGRAMS = ("docker", "dockerd", "containerd")
_SSHD = "/usr/sbin/sshd"
_DATE = '#!/bin/sh\nexec /usr/bin/date --date "@$(($(/usr/bin/date +%s) {seconds:+d}))" "$@"\n'


@dataclass(slots=True, kw_only=True)
class LabHost(LabBox):
    """One host that its test may treat as badly as it likes."""

    @property
    def engine_socket(self) -> Path:
        """Its engine's socket as seen from here."""
        return self.root / "run/docker.sock"

    @property
    def engine_url(self) -> str:
        """For DOCKER_HOST of a process on this machine."""
        return f"unix://{self.engine_socket}"

    @property
    def public_key(self) -> str:
        """The key that its SSH server shows, in one line."""
        key = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(key.split()[:2])

    def client(self) -> DockerClient:
        """A new client of its engine, past SSH and the network; the caller closes it."""
        return DockerClient(base_url=self.engine_url, timeout=_ANSWER_SECONDS)

    def logins(self) -> int:
        """How often its SSH server let somebody in."""
        return self.log("sshd").count("Accepted publickey")

    def wait_until_ready(self) -> None:
        """Return when engine and SSH server answer. Raises EngineUnavailableError with last lines."""
        try:
            wait_until(f"the engine of {self.name}", self._engine_answers, seconds=START_SECONDS)
            wait_until(f"sshd of {self.name}", lambda: self.listens(SSH_PORT), seconds=START_SECONDS)
        except TimeoutError as error:
            lines = "\n".join(self.log("dockerd").splitlines()[-_LOG_LINES:])
            raise EngineUnavailableError(f"{error}; the engine's last lines:\n{lines}") from error

    def heal(self) -> None:
        """Take every fault away and return when the host answers; a new host key stays."""
        self.network.heal(self.name)
        self.thaw()
        self.make_room()
        self.clock_off(0)
        if not self.processes("sshd"):
            self.begin_ssh()
        if not self.processes("dockerd"):
            self.install_engine()
        self.wait_until_ready()
        wait_until(f"{self.name} to be reached", self._is_reached, seconds=START_SECONDS)

    # The network

    def cut(self) -> None:
        """Nothing reaches it and nothing comes from it, and nobody is told."""
        self.network.cut(self.name)

    def slow(self, milliseconds: float) -> None:
        """Each frame takes so long, in each direction."""
        self.network.slow(self.name, milliseconds=milliseconds)

    def forward_port(self, port: int) -> None:
        """Lead connections to this port of its loopback to the same one of whoever started the lab."""
        there = f"{self.network.gateway}:{port}"
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
        to_it = ("-p", "tcp", "-d", "127.0.0.1", "--dport", str(port))
        self.run("iptables", "-t", "nat", "-I", "OUTPUT", *to_it, "-j", "DNAT", "--to-destination", there)
        from_it = ("-p", "tcp", "-d", str(self.network.gateway), "--dport", str(port))
        self.run("iptables", "-t", "nat", "-I", "POSTROUTING", *from_it, "-j", "MASQUERADE")

    # The engine

    def begin_engine(self) -> None:
        """Start it, and its containerd if that is not there; see `wait_until_ready`."""
        if not self.processes("containerd"):
            self.path(CONTAINERD).unlink(missing_ok=True)
            self.spawn("containerd", "containerd")
        waiting = f"until [ -S {CONTAINERD} ]; do sleep 0.05; done; exec dockerd"
        self.spawn("dockerd", "bash", "-c", waiting)

    def start_engine(self) -> None:
        """Start it and return when it answers. Raises EngineUnavailableError with its last lines."""
        self.begin_engine()
        self.wait_until_ready()

    def kill_engine(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, by SIGKILL as in a crash; containers and their containerd stay, as on a server."""
        self.end("dockerd", number)

    def freeze_engine(self) -> None:
        """Let it hang: connections are taken and nothing is answered."""
        self.send_signal("dockerd", signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all that is frozen go on."""
        for name in ("dockerd", "sshd"):
            self.send_signal(name, signal.SIGCONT)

    def uninstall_engine(self) -> None:
        """End the engine and take its programs away, as on a host that never had one."""
        for name in ("dockerd", "containerd"):
            self.end(name)
        for program in _engine_programs():
            self.path(str(program)).unlink(missing_ok=True)
        self.engine_socket.unlink(missing_ok=True)

    def install_engine(self) -> None:
        """Put back what `uninstall_engine` took, and start it."""
        for program in _engine_programs():
            if not os.path.lexists(self.path(str(program))):
                shutil.copy2(program, self.path(str(program)), follow_symlinks=False)
        self.start_engine()

    # The SSH server

    def begin_ssh(self) -> None:
        """Start it; see `wait_until_ready`."""
        self.spawn("sshd", _SSHD, "-D", "-e")

    def start_ssh(self) -> None:
        """Start it and return when it answers."""
        self.begin_ssh()
        wait_until(f"sshd of {self.name}", lambda: self.listens(SSH_PORT), seconds=START_SECONDS)

    def stop_ssh(self) -> None:
        """End it and each of its connections, as with a killed process."""
        self.end("sshd")

    def freeze_ssh(self) -> None:
        """Let it hang: connections are taken and nothing is said, on none of them; see `thaw`."""
        self.send_signal("sshd", signal.SIGSTOP)

    def set_sftp(self, *, yes: bool) -> None:
        """Whether it has the sftp subsystem; connections are cut."""
        self.path("/etc/ssh/sshd_config").write_text(sshd_config(sftp=yes))
        self.stop_ssh()
        self.start_ssh()

    def new_host_key(self) -> None:
        """Show another key from now on, as a machine that was made anew does; connections are cut."""
        make_host_key(self.path("/etc/ssh"))
        self.stop_ssh()
        self.start_ssh()

    # Disk and clock

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Leave so much room on its disk, whatever others write to it meanwhile."""
        self.make_room()
        ballast = os.open(self.disk.ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for _ in range(_FILL_TRIES):
                room = os.statvfs(self.disk.folder)
                size = room.f_bavail * room.f_bsize - leave_bytes
                try:
                    if size > 0:
                        os.posix_fallocate(ballast, 0, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                else:
                    return
            raise OSError(errno.ENOSPC, "others were faster each time", str(self.disk.ballast))
        finally:
            os.close(ballast)

    def make_room(self) -> None:
        """Take away what `fill` wrote."""
        self.disk.make_room()

    def clock_off(self, seconds: int) -> None:
        """Let `date` there be wrong by so much; 0 ends it.

        There is one clock to a kernel: the engine's own times and those of files stay right.
        """
        program = self.path("/usr/local/bin/date")
        if seconds:
            program.write_text(_DATE.format(seconds=seconds))
            program.chmod(0o755)
        else:
            program.unlink(missing_ok=True)

    def _engine_answers(self) -> bool:
        return socket_answers(self.engine_socket)

    def _is_reached(self) -> bool:
        """Whether the SSH server answers over the wire; what was asked while it was cut may be lost still."""
        place = (str(self.address), SSH_PORT)
        with contextlib.suppress(OSError), socket.create_connection(place, timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
        return False


def _engine_programs() -> list[Path]:
    """All places of this machine that have them."""
    found = [Path(folder) / program for folder in PATH.split(":") for program in _ENGINE_PROGRAMS]
    return [path for path in found if path.exists() and not path.parent.is_symlink()]
