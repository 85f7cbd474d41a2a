"""From Git to the log: a push that is noticed, what a branch at rest asks, and a long history.

Pushes here change nothing of any environment, so what is measured is the watching. The daemon of the
first is the installed command; the others run in this process with an engine that is simulated, because no
machine that measures runs two hundred environments.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

from controller.daemon import Daemon
from controller.home import Home
from controller.listed import listed_branches
from controller.look import look
from controller.source import Source
from events.catalog import decode
from events.catalog.revision import RevisionObserved
from events.kernel.clock import SystemClock
from events.sqlite import SqliteEventLog
from gitops.config.controller import load_controller_file
from tests.benchmarks.figures import Figure, p95
from tests.benchmarks.stage import Place, Stage
from tests.support.controllers import SimulatedController
from tests.support.daemons import running_daemon

PUSH_TARGET = 0.5  # seconds
QUESTIONS_TARGET = 1.0  # processes of Git for one poll
HISTORY_TARGET = 30.0  # seconds
ENVIRONMENTS = 200
COMMITS = 10_000
_LOOK_SECONDS = 0.002
_DEADLINE_SECONDS = 60.0
_SETTINGS = """\
listen: 127.0.0.1:0
poll: {{interval: {interval}, jitter: 10ms}}
repositories:
  - {{url: {url}, watch: {watch}{more}}}
"""


def measure(stage: Stage) -> list[Figure]:
    """The three, one after the other."""
    with stage.place("noticed") as place:
        figures = [_pushes(stage, place)]
    with stage.place("rest") as place:
        figures.append(_questions(stage, place))
    with stage.place("history") as place:
        figures.append(_history(stage, place))
    return figures


def _pushes(stage: Stage, place: Place) -> Figure:
    """A push to a repository on this machine until its commit stands in the log."""
    took: list[float] = []
    file = settings_file(place, interval="1h", watch="auto")
    place.repository.commit({"stagecraft.yml": "project: {name: shop}\nenvironments: {}\n"})
    with running_daemon(place.cli, "--controller", str(file)) as daemon:
        with contextlib.closing(SqliteEventLog(home_of(place).events_db)) as log:
            until(partial(_seen, log, place.repository.head()))
            for number in range(stage.count(full=40, quick=2)):
                revision = place.repository.commit({"NOTES": str(number)})
                began = time.perf_counter()
                until(partial(_seen, log, revision))
                took.append(time.perf_counter() - began)
        assert daemon.end() == 0
    what = "Push to a repository on this machine until its commit is in the log"
    return p95(what, took, target=PUSH_TARGET, samples="pushes")


def _questions(stage: Stage, place: Place) -> Figure:
    """How many processes of Git a poll takes while the branch does not move."""
    environments = stage.count(full=ENVIRONMENTS, quick=3)
    controller = SimulatedController(repository=place.repository, folder=place.folder / "home")
    controller.context = replace(controller.context, clock=SystemClock())
    names = "".join(f"  env{number:03}: {{}}\n" for number in range(environments))
    controller.merge(project=f"project: {{name: shop}}\nenvironments:\n{names}", web="app:1")
    file = settings_file(place, interval="500ms", watch="false")
    polls: list[str] = []
    settings = load_controller_file(file, required=True)
    daemon = Daemon(
        context=controller.context,
        sources=[
            Source(context=controller.context, place=branch, config_path="stagecraft.yml")
            for branch in listed_branches(controller.context.home, settings, path=file)
        ],
        settings=settings,
        say=lambda _text: None,
        whisper=lambda text: polls.append(text) if text.endswith("poll") else None,
    )

    async def rest(calls: Callable[[], list[str]]) -> tuple[int, int]:
        stopping = asyncio.Event()
        running = asyncio.create_task(daemon.run(stopping))
        try:
            await _deployed(controller, environments)
            await daemon.keeper.queues.finished()
            await asyncio.sleep(1.0)  # a look under way ends
            before, first = len(calls()), len(polls)
            await asyncio.sleep(stage.count(full=20, quick=2))
            return len(calls()) - before, len(polls) - first
        finally:
            stopping.set()
            await running

    with _counted_git(place.folder) as calls:
        asked, due = asyncio.run(rest(calls))
    return Figure(
        what=f"Processes of Git for each poll of a branch with {environments} environments and no news",
        value=asked / due,
        target=QUESTIONS_TARGET,
        unit="",
        detail=f"{asked} for {due} polls",
    )


async def _deployed(controller: SimulatedController, environments: int) -> None:
    async with asyncio.timeout(600):
        while True:
            if controller.types.count("ReleaseCompleted") == environments:
                return
            await asyncio.sleep(0.05)


def _history(stage: Stage, place: Place) -> Figure:
    """The first look at a repository with a long history: fetched, rendered for all, deployed."""
    commits, environments = stage.count(full=COMMITS, quick=20), stage.count(full=50, quick=2)
    controller = SimulatedController(repository=place.repository, folder=place.folder / "home")
    _import(place.repository.work, commits)
    names = "".join(f"  env{number:02}: {{}}\n" for number in range(environments))
    controller.merge(project=f"project: {{name: shop}}\nenvironments:\n{names}", web="app:1")
    began = time.perf_counter()
    outcomes = asyncio.run(look(controller.context, controller.place(), config_path="stagecraft.yml"))
    took = time.perf_counter() - began
    assert [one.status for one in outcomes] == ["completed"] * environments
    return Figure(
        what=f"First look at a repository of {commits} commits with {environments} environments",
        value=took,
        target=HISTORY_TARGET,
        unit=" s",
        detail="fetched, rendered and deployed for each, simulated engine",
    )


def _import(work: Path, commits: int) -> None:
    """Make that many commits of one file, the fast way."""
    lines = list[str]()
    for number in range(commits):
        content = f"note {number}\n"
        lines += [
            "commit refs/heads/main",
            f"committer A Developer <developer@example.org> {1_700_000_000 + number} +0000",
            "data 6\nchange",
            f"M 100644 inline NOTES\ndata {len(content)}\n{content}",
        ]
    command = ["git", "fast-import", "--quiet", "--force"]
    subprocess.run(command, cwd=work, input="\n".join(lines).encode(), check=True, timeout=300)
    subprocess.run(["git", "reset", "--quiet", "--hard", "main"], cwd=work, check=True, timeout=60)


def settings_file(place: Place, *, interval: str, watch: str, more: str = "") -> Path:
    file = place.folder / "controller.yml"
    text = _SETTINGS.format(interval=interval, url=place.repository.origin, watch=watch, more=more)
    file.write_text(text)
    return file


def home_of(place: Place) -> Home:
    return Home(place.folder / "home")


def _seen(log: SqliteEventLog, revision: str) -> bool:
    found = log.read(type_name=RevisionObserved.__name__)
    return any(
        isinstance(event := decode(one), RevisionObserved) and event.revision == revision for one in found
    )


@contextlib.contextmanager
def _counted_git(folder: Path) -> Generator[Callable[[], list[str]]]:
    """Put a program called git first that notes each call; gives what answers all calls so far."""
    real, log = shutil.which("git"), folder / "git.log"
    program = folder / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {real} "$@"\n')
    program.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{path}"
    try:
        yield lambda: log.read_text().splitlines() if log.exists() else []
    finally:
        os.environ["PATH"] = path


def until(holds: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + _DEADLINE_SECONDS
    while not holds():
        assert time.perf_counter() < deadline, "it did not come about"
        time.sleep(_LOOK_SECONDS)
