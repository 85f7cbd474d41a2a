"""A machine of a lab with nothing on it: namespaces, files, processes and a wire.

It is a process in namespaces of its own (tests/lab/host.sh), and what runs on it runs in them: its processes,
its files and its network are nobody else's, and all of it ends with that first process. To follow children,
mounts and sockets one by one was dropped, because a killed engine leaves some of each. The kernel knows which
processes are the machine's, so none is kept track of here: they are found by their names.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.support.disks import Disk
from tests.support.lab_machine import PATH, parents, remove_cgroups, run
from tests.support.lab_network import LabNetwork, end, first_process
from tests.support.processes import wait_until

COMPOSE = Path(sys.executable).parent / "docker-compose"  # what `docker compose` runs there
_END_SECONDS = 40.0
_SPAWN_SECONDS = 60
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc")
_NEW_NAMESPACES = (*_NAMESPACES, "--fork", "--kill-child")
_ENTRY = Path(__file__).parents[1] / "lab" / "host.sh"
_LISTENS = "0A"  # the state in /proc/net/tcp


@dataclass(slots=True, kw_only=True)
class LabBox:
    """One machine."""

    name: str
    address: IPv4Address
    folder: Path  # what the lab keeps of it here: what it was given, logs
    network: LabNetwork
    cgroup: str  # of all its containers
    first: subprocess.Popen[bytes] | None = None  # None: it has not begun
    pid: int = 0  # of its first process, as we see it

    @property
    def root(self) -> Path:
        """Its file system as seen from here; an absolute link leads out of it: `/run`, not `/var/run`."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def disk(self) -> Disk:
        """Its disk, to be filled; the engine's data are on it too."""
        return Disk(self.root / "tmp")

    def path(self, path: str) -> Path:
        """A path of the machine as seen from here; see `root`."""
        return self.root / path.lstrip("/")

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command printed that root ran there, past SSH. Raises CommandFailedError."""
        return run(*self._inside(), *command, stdin=stdin)

    def log(self, name: str) -> str:
        """What was said by what was spawned under this name."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, name: str = "") -> set[int]:
        """Its processes that have this name, or all of them, by their ids as we see them.

        Those of containers are not among them.
        """
        found: set[int] = set()
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with contextlib.suppress(OSError):
                    ours = (path / "ns/pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink()
                    if ours and name in {"", (path / "comm").read_text().strip()}:
                        found.add(int(path.name))
        return found

    def listens(self, port: int) -> bool:
        """Whether somebody there listens at a port over IPv4; the wire does not matter."""
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]
        ends = [(line.split()[1], line.split()[3]) for line in lines]
        return any(local.endswith(f":{port:04X}") and state == _LISTENS for local, state in ends)

    def begin(self, *, disk_bytes: int) -> None:
        """Give it namespaces, a disk and a wire. Raises CommandFailedError."""
        entry = [str(_ENTRY), self.name, str(self.folder), str(disk_bytes), str(COMPOSE)]
        self.first = first_process(["unshare", *_NEW_NAMESPACES, "--", *entry])
        self.pid = next(pid for pid, parent in parents().items() if parent == self.first.pid)
        self.network.plug(self.name, self.address, pid=self.pid)

    def remove(self) -> None:
        """End it, whatever state it is in."""
        if self.first is not None:
            end(self.first)
        remove_cgroups(self.cgroup)

    def spawn(self, log: str, *command: str) -> None:
        """Start what outlives the command that starts it, as a child of the first process."""
        with (self.folder / f"{log}.log").open("ab") as sink:
            subprocess.run(
                [*self._inside(), "setsid", "--fork", *command],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                timeout=_SPAWN_SECONDS,
                env={"PATH": PATH},
            )

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a name."""
        for pid in self.processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End all processes of a name, frozen ones too, and return when they are gone."""
        self.send_signal(name, number)
        self.send_signal(name, signal.SIGCONT)
        wait_until(f"{name} to end on {self.name}", lambda: not self.processes(name), seconds=_END_SECONDS)

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self.pid}", *_NAMESPACES, "--wd=/", "--")
