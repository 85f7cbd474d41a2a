"""The real Docker engine that tests run against.

The engine behind the default socket is used when it answers, whoever started it. Otherwise root starts one
for the session, on that same socket (the product's default must be what is tested) but with folders of its
own, and takes it away with every trace: processes, mounts, folders, firewall rules and the bridge. When
neither is possible the tests fail and say what is missing; they are never skipped, because a run without an
engine proves nothing about this product.

A developer who runs tests often keeps one up beside them: `python -m tests.support.engine`, until Ctrl-C.
With a command behind it, it keeps one up while that command runs: so does `make demo`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from pathlib import Path

from docker.client import DockerClient

from tests.support.firewall import NetworkState
from tests.support.processes import wait_until

SOCKET = Path("/var/run/docker.sock")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
ANSWER_SECONDS = 10
_RUN = Path("/run")
_STRAYS = (_RUN / "docker", _RUN / "containerd")  # an engine makes them whatever its exec-root is
_COMPANIONS = {
    "iptables": "iptables",
    "ip": "iproute2",
}  # programs that an engine's networks need, by package
_LOG_LINES = 20


class EngineUnavailableError(Exception):
    """No engine answers and none can be started here; the message says why."""


def connect() -> DockerClient:
    """A client of the engine at the default socket, which must answer."""
    return DockerClient(base_url=f"unix://{SOCKET}", timeout=ANSWER_SECONDS)


def answers() -> bool:
    """Whether an engine is behind the default socket."""
    return socket_answers(SOCKET)


def socket_answers(path: Path) -> bool:
    """Whether an engine is behind a socket.

    Asked by hand, because the SDK's client leaks its socket when its first question is not answered.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(str(path))
            probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            return b" 200 " in probe.recv(64)
        except OSError:
            return False


@contextlib.contextmanager
def running_engine() -> Generator[None]:
    """An engine answers at the default socket for the time of the block. Raises EngineUnavailableError."""
    with contextlib.ExitStack() as stack:
        with _start_lock():
            if not answers():
                stack.enter_context(_started_engine(_dockerd()))
        yield


@contextlib.contextmanager
def _start_lock() -> Generator[None]:
    """Held while an engine is looked for and started: two sessions at once must not start two.

    The lock is on the folder /run itself, so that no lock file stays behind.
    """
    folder = os.open(_RUN, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _dockerd() -> str:
    """The engine's program, when this process may start it."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    dockerd = shutil.which("dockerd", path=path)
    if dockerd is None:
        raise EngineUnavailableError(
            f"no Docker engine answers at {SOCKET} and there is no dockerd to start one: "
            "install Docker (Debian: apt-get install docker.io iptables), or run `make test`, which does"
        )
    for program, package in _COMPANIONS.items():
        if shutil.which(program, path=path) is None:
            raise EngineUnavailableError(
                f"no Docker engine answers at {SOCKET} and starting one needs {program}: "
                f"install it (Debian: apt-get install {package}), or run `make test`, which does"
            )
    if os.geteuid() != 0:
        raise EngineUnavailableError(
            f"no Docker engine answers at {SOCKET} and only root can start one: "
            "start it (systemctl start docker) and see to it that you may use it (group docker)"
        )
    return dockerd


@contextlib.contextmanager
def _started_engine(dockerd: str) -> Generator[None]:
    """An engine with folders of its own, gone without a trace afterwards."""
    network = NetworkState.remember()
    strays = [path for path in _STRAYS if not path.exists()]
    folder = Path(tempfile.mkdtemp(prefix="stagecraft-engine-"))
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [dockerd, *_options(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                start_new_session=True,  # Ctrl-C stops the tests first, and they stop the engine
            )
        try:
            _wait_for(process, folder / "log")
            yield
        finally:
            _stop(process)
    finally:
        release_mounts(folder)
        for path in (folder, *strays):
            shutil.rmtree(path, ignore_errors=path != folder)
        network.restore()


def _options(folder: Path) -> list[str]:
    return [
        f"--host=unix://{SOCKET}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        f"--config-file={_empty_configuration(folder)}",
    ]


def _empty_configuration(folder: Path) -> Path:
    """Stands in for the machine's own, whose settings may contradict our options."""
    path = folder / "daemon.json"
    path.write_text("{}")
    return path


def _wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the engine answers. Raises EngineUnavailableError with its last lines when it does not."""
    try:
        wait_until(
            "the engine's first answer",
            lambda: process.poll() is not None or answers(),
            seconds=START_SECONDS,
        )
    except TimeoutError as error:
        raise EngineUnavailableError(f"{error}; its last lines:\n{_last_lines(log)}") from error
    if process.poll() is not None:
        raise EngineUnavailableError(
            f"dockerd ended with exit code {process.returncode}; its last lines:\n{_last_lines(log)}"
        )


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    SOCKET.unlink(missing_ok=True)


def release_mounts(folder: Path) -> None:
    """Unmount what an engine that was killed left under its folder, innermost first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True, capture_output=True)


def main(argv: Sequence[str]) -> int:
    """Keep an engine up while the command that `argv` names runs, or without one until SIGINT or SIGTERM.

    Answers the command's exit code; 2 when there can be no engine. `--answers` only asks for one: 0 or 1.
    """
    if list(argv) == ["--answers"]:
        return 0 if answers() else 1
    try:
        with running_engine():
            return _run(argv) if argv else _wait()
    except EngineUnavailableError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2


def _wait() -> int:
    stopped = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print(f"an engine answers at {SOCKET}; Ctrl-C ends it if it was started here", flush=True)  # noqa: T201
    stopped.wait()
    return 0


def _run(argv: Sequence[str]) -> int:
    """The command ends first, whatever the signal: Ctrl-C reaches it from the terminal, SIGTERM from here."""
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    with subprocess.Popen(argv) as process:
        signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number))
        code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
