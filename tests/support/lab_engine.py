"""An engine of a test's own, for tests that restart, freeze or kill an engine.

It is a second dockerd in a network namespace of its own, with its own folders, socket and cgroup, so that
nothing that is done to it reaches the engine of the machine or the machine's firewall. The namespace is
entered with nsenter; `ip netns exec` was dropped because it mounts /sys anew, without the cgroups that
dockerd needs. Its containerd is a process of its own that stays when dockerd ends, as on a server: one that
dockerd starts for itself dies with a killed dockerd and leaves sockets on which the next one hangs.
The address of a container is reachable from inside the namespace only: see `fetch`.

Whatever happened to it, the end removes all of it: a frozen engine is thawed, one that does not stop is
killed, what an engine that was killed left behind (its containerd, the shims, their containers, mounts,
cgroups) goes by the names of the folders, which no other engine has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from docker.client import DockerClient

from tests.support.engine import EngineUnavailableError, release_mounts, socket_answers
from tests.support.lab_machine import (
    ENGINE_PROGRAMS,
    PATH,
    remove_cgroups,
    require_programs,
    run,
    with_descendants,
)
from tests.support.processes import wait_until

START_SECONDS = 60.0
STOP_SECONDS = 40.0
_SHUTDOWN_SECONDS = 5  # what a stopping engine gives its containers before it kills them
_FETCH_SECONDS = 5
_NAMESPACES = Path("/run/netns")
_STRAYS = (Path("/run/docker"), Path("/run/containerd"))  # an engine makes them whatever its exec-root is
_ANSWER_SECONDS = 10


@dataclass(slots=True)
class LabEngine:
    """One engine that its test may treat as badly as it likes."""

    folder: Path
    name: str = field(default_factory=lambda: f"lab-{uuid4().hex[:8]}")
    process: subprocess.Popen[bytes] | None = None  # None: it is stopped
    containerd: subprocess.Popen[bytes] | None = None  # stays up while the engine is restarted
    frozen: bool = False

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "docker.sock"

    @property
    def url(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket}"

    def client(self) -> DockerClient:
        """A new client; the caller closes it. The engine must answer."""
        return DockerClient(base_url=self.url, timeout=_ANSWER_SECONDS)

    def start(self) -> None:
        """Start it and return when it answers. Raises EngineUnavailableError with its last lines."""
        process = self.process = self._spawn(*self._inside(), *self._command(), log="log")
        try:
            wait_until(
                "the lab engine's answer",
                lambda: process.poll() is not None or socket_answers(self.socket),
                seconds=START_SECONDS,
            )
        except TimeoutError as error:
            raise EngineUnavailableError(f"{error}; its last lines:\n{self.last_lines()}") from error
        if process.poll() is not None:
            raise EngineUnavailableError(f"the lab engine ended; its last lines:\n{self.last_lines()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, with SIGTERM in order (its containers are stopped), with SIGKILL as in a crash."""
        process = self.process
        if process is None:
            return
        self.thaw()
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
        self.process = None

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it in that way and start it again."""
        self.stop(number)
        self.start()

    def freeze(self) -> None:
        """Let it hang: connections are taken and nothing is answered."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        if self.process is not None and self.frozen:
            self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def fetch(self, address: str, *, port: int, path: str = "/") -> str:
        """What a server in a container answers to a GET, or why nothing does."""
        url = f"http://{address}:{port}{path}"
        done = subprocess.run(
            [*self._inside(), "busybox", "wget", "-q", "-O", "-", url],
            check=False,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            env={"PATH": PATH},
        )
        return done.stdout.strip() if done.returncode == 0 else f"no answer: {done.stderr.strip()}"

    def last_lines(self, count: int = 20) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-count:])

    def prepare(self) -> None:
        """Make its namespace and its settings, and start its containerd."""
        run("ip", "netns", "add", self.name)
        run(*self._inside(), "ip", "link", "set", "lo", "up")
        (self.folder / "daemon.json").write_text(json.dumps({}))
        (self.folder / "containerd.toml").write_text(
            "version = 2\n"
            f"root = '{self.folder / 'containerd' / 'root'}'\n"
            f"state = '{self.folder / 'containerd' / 'state'}'\n"
            "disabled_plugins = ['io.containerd.grpc.v1.cri']\n"
            f"[grpc]\naddress = '{self._containerd_socket}'\n"
        )
        self.containerd = self._spawn(
            *self._inside(),
            "containerd",
            "--config",
            str(self.folder / "containerd.toml"),
            log="containerd.log",
        )
        wait_until("the lab engine's containerd", self._containerd_socket.exists, seconds=START_SECONDS)

    def remove(self) -> None:
        """Take away every trace, whatever state it is in."""
        self.thaw()
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self._kill_containers()
        self.stop()
        if self.containerd is not None:
            self.containerd.kill()
            self.containerd.wait(STOP_SECONDS)
        for pid in with_descendants(_processes_of(self.folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            wait_until("the end of the lab engine's processes", lambda: not _processes_of(self.folder))
        release_mounts(self.folder)
        shutil.rmtree(self.folder)
        remove_cgroups(self.name)
        if (_NAMESPACES / self.name).exists():
            run("ip", "netns", "delete", self.name)

    def _kill_containers(self) -> None:
        """So that stopping need not wait for their grace."""
        with contextlib.closing(self.client()) as client:
            for container in client.containers.list(ignore_removed=True):
                container.remove(force=True)

    def _spawn(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        with (self.folder / log).open("ab") as sink:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={"PATH": PATH},
                start_new_session=True,  # Ctrl-C stops the tests first, and they stop the engine
            )

    @property
    def _containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    def _inside(self) -> tuple[str, ...]:
        return ("nsenter", f"--net={_NAMESPACES / self.name}", "--")

    def _command(self) -> tuple[str, ...]:
        return (
            "dockerd",
            f"--host={self.url}",
            f"--containerd={self._containerd_socket}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'pid'}",
            f"--config-file={self.folder / 'daemon.json'}",
            f"--cgroup-parent=/{self.name}",
            f"--shutdown-timeout={_SHUTDOWN_SECONDS}",
        )


@contextlib.contextmanager
def lab_engine() -> Generator[LabEngine]:
    """A running engine of one's own, gone without a trace afterwards. Raises EngineUnavailableError.

    SIGTERM must raise in the caller's main thread for the end to be reached, as tests/conftest.py has it.
    """
    require_programs("a lab engine", ENGINE_PROGRAMS)
    strays = [path for path in _STRAYS if not path.exists()]
    engine = LabEngine(Path(tempfile.mkdtemp(prefix="sc-lab-")))
    try:
        engine.prepare()
        engine.start()
        yield engine
    finally:
        engine.remove()
        for path in strays:
            shutil.rmtree(path, ignore_errors=True)


def _processes_of(folder: Path) -> set[int]:
    """The processes that were started with a path under `folder`: containerd, its shims, proxies."""
    found: set[int] = set()
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{folder}/".encode() in (path / "cmdline").read_bytes():
                    found.add(int(path.name))
    return found
