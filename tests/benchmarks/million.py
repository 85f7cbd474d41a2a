"""A log of a million events: how its views are made anew, and what the commands take that read it.

The rebuild is a process of its own, so that its memory is its own; the bound says that it does not hold the
log. The commands are whole processes, interpreter included, on views that are at the log's head. A plain
reading of all rows stands beside the rebuild as what a fold cannot do without.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from events.sqlite import SqliteEventLog
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Place, Stage, timed_process
from tests.support.cli import COMMAND
from tests.support.long_log import LongLog, fill

EVENTS = 1_000_000
ENVIRONMENTS = 100
COMMAND_SECONDS = 0.3
REBUILD_X = 12.0  # readings of all events
MEMORY_MB = 150.0
_PAGE = 5000
_REBUILD_SECONDS = 900.0
_MEGABYTE = 1_000_000
_KILOBYTE = 1024
_REBUILD = """
import sys, time
from pathlib import Path
from events.sqlite import SqliteEventLog
from projections.rebuild import rebuild
from projections.views.every import VIEWS
log = SqliteEventLog(Path(sys.argv[1]))
began = time.perf_counter()
rebuild(log, Path(sys.argv[2]), VIEWS)
took = time.perf_counter() - began
lines = Path("/proc/self/status").read_text().splitlines()
print(took, next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
"""


def measure(stage: Stage) -> list[Figure]:
    """Fill a log, make its views anew, ask the commands."""
    events = stage.count(full=EVENTS, quick=3000)
    with stage.place("million") as place:
        home = place.folder / "home"
        home.mkdir()
        log = SqliteEventLog(home / "events.db")
        try:
            began = time.perf_counter()
            long = fill(log, events=events, environments=stage.count(full=ENVIRONMENTS, quick=5))
            stage.tell(f"{events} events appended in {seconds(time.perf_counter() - began)}")
            reading = _reading(log)
        finally:
            log.close()
        rebuilt = _rebuilt(home, long, reading)
        return [*rebuilt, *_commands(stage, place, long)]


def _reading(log: SqliteEventLog) -> float:
    """The seconds of reading all events in pages."""
    began, after, head = time.perf_counter(), 0, log.head()
    while after < head:
        after = log.read(after=after, limit=_PAGE)[-1].position
    return time.perf_counter() - began


def _rebuilt(home: Path, long: LongLog, reading: float) -> list[Figure]:
    ended = subprocess.run(
        [sys.executable, "-c", _REBUILD, home / "events.db", home / "views.db"],
        check=True,
        capture_output=True,
        text=True,
        timeout=_REBUILD_SECONDS,
    )
    took, kilobytes = ended.stdout.split()
    return [
        Figure(
            what=f"All views made anew from {long.events} events, beside reading them",
            value=float(took) / reading,
            target=REBUILD_X,
            unit=" x",
            detail=f"{seconds(float(took))}; reading takes {seconds(reading)}; {long.releases} Releases",
        ),
        Figure(
            what=f"Memory of making all views anew from {long.events} events",
            value=int(kilobytes) * _KILOBYTE / _MEGABYTE,
            target=MEMORY_MB,
            unit=" MB",
            detail="peak of the process",
        ),
    ]


def _commands(stage: Stage, place: Place, long: LongLog) -> list[Figure]:
    rounds = stage.count(full=11, quick=2)
    environment = long.environments[0]
    asked = {
        "status": ["status", "--env", environment],
        "status of all": ["status"],
        "why SERVICE": ["why", "web", "--env", environment],
        "why RELEASE": ["why", long.newest_release],
        "why COMMIT": ["why", long.newest_revision],
        "releases list": ["releases", "list"],
        "status --at": ["status", "--env", environment, "--at", str(long.events // 2)],
        "releases list --at": ["releases", "list", "--at", str(long.events // 2)],
        "hosts show --at": ["hosts", "show", "local", "--at", str(long.events // 2)],
        "events list --type": [
            "events",
            "list",
            "--type",
            "ReleaseRolledBack",
            "--since",
            "1",
            "--limit",
            "9",
        ],
        "metrics": ["metrics", "--env", environment, "--weeks", "500"],
    }
    took: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):  # one of each in turn: a machine that is slow for seconds strikes them all alike
        for name, arguments in asked.items():
            command: list[str | Path] = [COMMAND, *arguments]
            took[name].append(timed_process(command, environment=place.cli.environment))
    return [
        Figure(
            what=f"`stagecraft {name}` on a log of {long.events} events",
            value=median(of_it),
            target=COMMAND_SECONDS,
            unit=" s",
            detail=f"{rounds} calls; {len(long.environments)} environments",
        )
        for name, of_it in took.items()
    ]
