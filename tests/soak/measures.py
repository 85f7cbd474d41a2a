"""What a daemon's process uses, read from /proc, and what a soak may find too much."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024
MOST_RSS_BYTES = 200 * MEGABYTE
MOST_GROWTH_BYTES = 40 * MEGABYTE  # of one life, once it is warm
MOST_FDS = 256
MOST_THREADS = 64
MOST_CHILDREN = 32
WARM_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A daemon at one moment."""

    pid: int
    age_seconds: float
    rss_bytes: int
    fds: int
    threads: int
    children: int


def sample(pid: int, *, age_seconds: float) -> Sample | None:
    """How the process is doing; None when it is gone."""
    process = Path("/proc") / str(pid)
    with contextlib.suppress(OSError):
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
        )
        if "VmRSS" not in status:
            return None
        return Sample(
            pid=pid,
            age_seconds=age_seconds,
            rss_bytes=int(status["VmRSS"].split()[0]) * 1024,
            fds=len(os.listdir(process / "fd")),  # noqa: PTH208  # names only; they come and go meanwhile
            threads=int(status["Threads"]),
            children=_children(pid),
        )
    return None


def excesses(samples: Sequence[Sample]) -> list[str]:
    """What was too much, in words; none is as it should be."""
    bounds = (
        ("resident memory", max(one.rss_bytes for one in samples), MOST_RSS_BYTES),
        ("growth of memory in one life", growth_bytes(samples), MOST_GROWTH_BYTES),
        ("open files", max(one.fds for one in samples), MOST_FDS),
        ("threads", max(one.threads for one in samples), MOST_THREADS),
        ("children", max(one.children for one in samples), MOST_CHILDREN),
    )
    return [f"the daemon's {what}: {found}, more than {most}" for what, found, most in bounds if found > most]


def growth_bytes(samples: Sequence[Sample]) -> int:
    """The most that resident memory grew in one life between its first warm sample and its last."""
    lives: dict[int, list[Sample]] = {}
    for one in samples:
        if one.age_seconds >= WARM_SECONDS:
            lives.setdefault(one.pid, []).append(one)
    return max((life[-1].rss_bytes - life[0].rss_bytes for life in lives.values()), default=0)


def _children(pid: int) -> int:
    """How many processes have it as their parent; those that ended and were not waited for count too."""
    found = 0
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                found += int((path / "stat").read_text().rpartition(")")[2].split()[1]) == pid
    return found


def processes_naming(text: str) -> list[str]:
    """The command lines of all processes, this one aside, in which `text` stands."""
    found: list[str] = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if text in words:
                    found.append(words)
    return found
