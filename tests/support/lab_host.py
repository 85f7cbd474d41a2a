"""One host of a lab: an engine and an SSH server of its own behind an address of its own.

It is a process in namespaces of its own (tests/lab/host.sh), and what runs on the host runs in them: its
processes, its files and its network are nobody else's, and all of it ends with that first process. To follow
children, mounts and sockets one by one was dropped, because a killed engine leaves some of each. The kernel
knows which processes are the host's, so none is kept track of here: a fault finds them by their names.

Users: root, `deploy` (group docker), `operator` (sudo without a password, where this machine has sudo) and
`guest` (neither). All of them let the lab's key in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from docker.client import DockerClient

from tests.support.disks import Disk
from tests.support.engine import EngineUnavailableError, socket_answers
from tests.support.lab_host_files import CONTAINERD, make_host_key, sshd_config
from tests.support.lab_machine import PATH, remove_cgroups, run
from tests.support.lab_network import LabNetwork, end
from tests.support.processes import wait_until

START_SECONDS = 90.0
SSH_PORT = 22
_END_SECONDS = 40.0
_ANSWER_SECONDS = 30
_ENTER_SECONDS = 60
_LOG_LINES = 20
_SSHD = "/usr/sbin/sshd"
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--wd=/")
_DATE = '#!/bin/sh\nexec /usr/bin/date --date "$(/usr/bin/date +@%s.%N) {seconds:+d} seconds" "$@"\n'


@dataclass(slots=True, kw_only=True)
class LabHost:
    """One host that its test may treat as badly as it likes."""

    name: str
    address: IPv4Address
    folder: Path  # what the lab keeps of it here: what it was given, logs
    network: LabNetwork
    cgroup: str  # of all containers
    first: subprocess.Popen[bytes]
    pid: int  # of its first process, as we see it

    @property
    def root(self) -> Path:
        """Its file system as seen from here; an absolute link leads out of it: `/run`, not `/var/run`."""
        return Path(f"/proc/{self.pid}/root")

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

    @property
    def disk(self) -> Disk:
        """Its disk, to be filled; the engine's data are on it too."""
        return Disk(self.root / "tmp")

    def path(self, path: str) -> Path:
        """A path of the host as seen from here; see `root`."""
        return self.root / path.lstrip("/")

    def client(self) -> DockerClient:
        """A new client of its engine, past SSH and the network; the caller closes it."""
        return DockerClient(base_url=self.engine_url, timeout=_ANSWER_SECONDS)

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command printed that root ran on the host, past SSH. Raises CommandFailedError."""
        return run(*self._inside(), *command, stdin=stdin)

    def logins(self) -> int:
        """How often its SSH server let somebody in."""
        return self.log("sshd").count("Accepted publickey")

    def log(self, name: str) -> str:
        """What `sshd`, `dockerd` or `containerd` said."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # Faults of the network

    def cut(self) -> None:
        """Nothing reaches it and nothing comes from it, and nobody is told."""
        self.network.cut(self.name)

    def slow(self, milliseconds: float) -> None:
        """Each frame takes so long, in each direction."""
        self.network.slow(self.name, milliseconds=milliseconds)

    def heal(self) -> None:
        """End what `cut`, `slow`, `freeze_engine`, `freeze_ssh` and `fill` did; what was ended is started."""
        self.network.heal(self.name)
        self.thaw()
        self.make_room()
        if not self.processes("sshd"):
            self.start_ssh()
        if not self.processes("dockerd"):
            self.start_engine()
        self.wait_until_ready()

    def forward_port(self, port: int) -> None:
        """Lead connections to this port of its loopback to the same one of whoever started the lab."""
        there = f"{self.network.gateway}:{port}"
        self.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet")
        to_it = ("-p", "tcp", "-d", "127.0.0.1", "--dport", str(port))
        self.run("iptables", "-t", "nat", "-I", "OUTPUT", *to_it, "-j", "DNAT", "--to-destination", there)
        from_it = ("-p", "tcp", "-d", str(self.network.gateway), "--dport", str(port))
        self.run("iptables", "-t", "nat", "-I", "POSTROUTING", *from_it, "-j", "MASQUERADE")

    # Faults of the engine

    def begin_engine(self) -> None:
        """Start it, and its containerd if that is not there; see `wait_until_ready`."""
        if not self.processes("containerd"):
            self.path(CONTAINERD).unlink(missing_ok=True)
            self._begin("containerd", "containerd")
        waiting = f"until [ -S {CONTAINERD} ]; do sleep 0.05; done; exec dockerd"
        self._begin("dockerd", "bash", "-c", waiting)

    def start_engine(self) -> None:
        """Start it and return when it answers. Raises EngineUnavailableError with its last lines."""
        self.begin_engine()
        self.wait_until_ready()

    def kill_engine(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, by SIGKILL as in a crash; containers and their containerd stay, as on a server."""
        self._signal("dockerd", signal.SIGCONT)
        self._signal("dockerd", number)
        self._wait_for_end("dockerd")

    def freeze_engine(self) -> None:
        """Let it hang: connections are taken and nothing is answered."""
        self._signal("dockerd", signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all that is frozen go on."""
        for name in ("dockerd", "sshd"):
            self._signal(name, signal.SIGCONT)

    # Faults of SSH

    def begin_ssh(self) -> None:
        """Start the SSH server; see `wait_until_ready`."""
        self._begin("sshd", _SSHD, "-D", "-e")

    def start_ssh(self) -> None:
        """Start the SSH server and return when it answers."""
        self.begin_ssh()
        wait_until(f"sshd of {self.name}", self._listens, seconds=START_SECONDS)

    def stop_ssh(self) -> None:
        """End the server and each of its connections, as with a killed process."""
        self._signal("sshd", signal.SIGKILL)
        self._wait_for_end("sshd")

    def freeze_ssh(self) -> None:
        """Let it hang: connections are taken and nothing is said, on none of them; see `thaw`."""
        self._signal("sshd", signal.SIGSTOP)

    def set_sftp(self, *, yes: bool) -> None:
        """Whether the server has the sftp subsystem; connections are cut."""
        self.path("/etc/ssh/sshd_config").write_text(sshd_config(sftp=yes))
        self.stop_ssh()
        self.start_ssh()

    def new_host_key(self) -> None:
        """Show another key from now on, as a machine that was made anew does; connections are cut."""
        make_host_key(self.path("/etc/ssh"))
        self.stop_ssh()
        self.start_ssh()

    # Other faults

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Leave so much room on its disk."""
        self.disk.fill()
        if leave_bytes:
            ballast = self.root / "tmp/ballast"
            os.truncate(ballast, max(0, ballast.stat().st_size - leave_bytes))

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

    # Its life

    def wait_until_ready(self) -> None:
        """Return when engine and SSH server answer. Raises EngineUnavailableError with last lines."""
        try:
            wait_until(
                f"the engine of {self.name}",
                lambda: socket_answers(self.engine_socket),
                seconds=START_SECONDS,
            )
            wait_until(f"sshd of {self.name}", self._listens, seconds=START_SECONDS)
        except TimeoutError as error:
            lines = "\n".join(self.log("dockerd").splitlines()[-_LOG_LINES:])
            raise EngineUnavailableError(f"{error}; the engine's last lines:\n{lines}") from error

    def processes(self, name: str = "") -> set[int]:
        """Its processes that have this name, or all of them, by their ids as we see them."""
        found: set[int] = set()
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with contextlib.suppress(OSError):
                    ours = (path / "ns/pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink()
                    if ours and name in {"", (path / "comm").read_text().strip()}:
                        found.add(int(path.name))
        return found

    def remove(self) -> None:
        """End it, whatever state it is in."""
        end(self.first)
        remove_cgroups(self.cgroup)

    def _signal(self, name: str, number: signal.Signals) -> None:
        for pid in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait_for_end(self, name: str) -> None:
        wait_until(
            f"the end of {name} on {self.name}", lambda: not self.processes(name), seconds=_END_SECONDS
        )

    def _listens(self) -> bool:
        """Whether somebody on the host listens at the port of SSH; the wire does not matter."""
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1].endswith(f":{SSH_PORT:04X}") and line.split()[3] == "0A" for line in lines)

    def _begin(self, log: str, *command: str) -> None:
        """Start what outlives the command that starts it, as a child of the host's first process."""
        with (self.folder / f"{log}.log").open("ab") as sink:
            subprocess.run(
                [*self._inside(), "setsid", "--fork", *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                timeout=_ENTER_SECONDS,
                env={"PATH": PATH},
            )

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self.pid}", *_NAMESPACES, "--")
