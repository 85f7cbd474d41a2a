"""What a lab takes from this machine and gives back: programs, command lines, processes, cgroups."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.support.engine import EngineUnavailableError
from tests.support.processes import wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENGINE_PROGRAMS = {"dockerd": "docker.io", "ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux"}
_COMMAND_SECONDS = 30
_CGROUPS = Path("/sys/fs/cgroup")


class CommandFailedError(Exception):
    """A command of the lab itself failed; the message has its words."""


def require_programs(what: str, programs: Mapping[str, str]) -> None:
    """See to it that `what` can be had here: by root, with the programs, each named with its package.

    Raises EngineUnavailableError.
    """
    if os.geteuid() != 0:
        raise EngineUnavailableError(f"{what} needs root: namespaces and dockerd do")
    for program, package in programs.items():
        if shutil.which(program, path=PATH) is None:
            raise EngineUnavailableError(f"{what} needs {program} (Debian: {package})")


def run(*command: str, stdin: str = "") -> str:
    """What a command printed. Raises CommandFailedError."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=_COMMAND_SECONDS,
        env={"PATH": PATH},
    )
    if done.returncode != 0:
        raise CommandFailedError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def parents() -> dict[int, int]:
    """The parent of each process."""
    found: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def with_descendants(pids: set[int]) -> set[int]:
    """These and all that they started; a shim's containers do not name its engine."""
    known = parents()
    found = set(pids)
    while more := {pid for pid, parent in known.items() if parent in found and pid not in found}:
        found |= more
    return found


def remove_cgroups(name: str) -> None:
    """Remove a cgroup in every hierarchy, innermost first; a process that just ended may hold one."""
    for root in (*_CGROUPS.glob(f"*/{name}"), *_CGROUPS.glob(name)):
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(TimeoutError):
                wait_until(f"{folder} to be empty", partial(_removed, Path(folder)), seconds=5)


def _removed(folder: Path) -> bool:
    """Whether the cgroup is gone; the kernel refuses while it has a process."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
