"""A lab for people, `make lab-up`: several hosts that stay until `make lab-down`.

    python -m tests.lab.up [--hosts N] [--state FOLDER]

It prints the hosts as JSON, with the path of a `controller.yml` that reaches them. The lab is kept by a
process in the background, which holds a lock in the folder and ends everything when it ends, whatever ends
it; a second lab in the same folder is refused. The folder has what this process said (`log`).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from tests.support.engine import EngineUnavailableError
from tests.support.lab_host import LabHost
from tests.support.lab_hosts import Lab, lab
from tests.support.lab_machine import remove_cgroups
from tests.support.processes import wait_until

STATE = Path(__file__).parents[2] / ".lab"
_START_SECONDS = 240.0
_CONNECT_SECONDS = 10
_LOG_LINES = 20


def main() -> int:
    """Print the lab that was started; exit code 1 when there can be none."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.up", description="Several hosts on this machine."
    )
    parser.add_argument("--hosts", type=int, default=3, choices=range(1, 33), metavar="N")
    parser.add_argument("--state", type=Path, default=STATE, metavar="FOLDER")
    parser.add_argument("--stay", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    state: Path = asked.state.absolute()
    if asked.stay:
        return _stay(state, hosts=asked.hosts)
    state.mkdir(parents=True, exist_ok=True)
    if keeper(state) is not None:
        _complain(f"a lab is up already: see {state / 'lab.json'}, or end it with `make lab-down`")
        return 1
    sweep(state)
    return _start(state, hosts=asked.hosts)


def keeper(state: Path) -> int | None:
    """The process that keeps the lab of this folder, None when there is none."""
    try:
        lock = os.open(state / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(lock, 32, 0) or b"0") or None
    finally:
        os.close(lock)
    return None


def sweep(state: Path) -> None:
    """Take away what a keeper left that was killed outright: files and cgroups; its hosts ended with it."""
    known = state / "lab.json"
    if known.exists():
        folder = Path(json.loads(known.read_text())["controller"]).parent
        shutil.rmtree(folder, ignore_errors=True)
        remove_cgroups(f"{folder.name}-*")
        known.unlink()


def described(made: Lab, *, controller: Path) -> dict[str, Any]:
    """What a person or a program needs to know of a lab."""
    return {
        "hosts": {host.name: _settings(host) for host in made.hosts.values()},
        "identity_file": str(made.identity_file),
        "known_hosts": str(made.known_hosts),
        "registry": made.registry.address,
        "git": made.git.url(made.repository.origin),
        "controller": str(controller),
    }


def controller_settings(made: Lab) -> dict[str, Any]:
    """The part of a `controller.yml` that reaches the hosts."""
    return {
        "network": {
            "provider": "static",
            "static": {"hosts": {host.name: _settings(host) for host in made.hosts.values()}},
        },
        "ssh": {
            "identity_files": [str(made.identity_file)],
            "known_hosts": str(made.known_hosts),
            "host_keys": "strict",
            "connect_seconds": _CONNECT_SECONDS,
        },
    }


def _settings(host: LabHost) -> dict[str, Any]:
    return {
        "address": str(host.address),
        "port": 22,
        "user": "root",
        "engine_socket": "/var/run/docker.sock",
        "root": "/var/lib/stagecraft",
    }


def _start(state: Path, *, hosts: int) -> int:
    """Start what stays, and print what it made."""
    said = state / "log"
    with said.open("wb") as log:
        staying = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.up", "--stay", "--hosts", str(hosts), "--state", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    made = state / "lab.json"

    def decided() -> bool:
        return made.exists() or staying.poll() is not None

    try:
        wait_until("the lab", decided, seconds=_START_SECONDS)
    except BaseException:
        staying.terminate()
        raise
    if not made.exists():
        _complain("\n".join(said.read_text(errors="replace").splitlines()[-_LOG_LINES:]))
        return 1
    print(made.read_text(), end="")  # noqa: T201  # a program of its own
    return 0


def _stay(state: Path, *, hosts: int) -> int:
    """Keep the lab until SIGTERM or SIGINT."""
    ended = threading.Event()
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        with lab(hosts=hosts) as made:
            controller = made.folder / "controller.yml"
            controller.write_text(yaml.safe_dump(controller_settings(made), sort_keys=False))
            answer = json.dumps(described(made, controller=controller), indent=2)
            part = state / "lab.json.part"
            part.write_text(f"{answer}\n")
            part.rename(state / "lab.json")
            ended.wait()
    except KeyboardInterrupt:
        return 0
    except EngineUnavailableError as error:
        _complain(str(error))
        return 1
    finally:
        (state / "lab.json").unlink(missing_ok=True)
    return 0


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # a program of its own


if __name__ == "__main__":
    sys.exit(main())
