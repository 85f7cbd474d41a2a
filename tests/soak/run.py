"""A soak from its start to its result: the script until the time is over, the last push, the checks."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.app import ENVIRONMENTS
from tests.soak.hands import perform
from tests.soak.report import Result
from tests.soak.script import script
from tests.soak.stage import Stage, stage
from tests.soak.verdict import (
    calm_down,
    event_types,
    faults_afterwards,
    faults_while_it_runs,
    status_of_all,
    verdicts,
)


def _never() -> bool:
    return False


def soak(
    folder: Path,
    *,
    seed: int,
    seconds: float,
    tell: Callable[[str], None],
    enough: Callable[[], bool] = _never,
) -> Result:
    """Run it; what should not be is in the result's `faults`, and `folder` has what was said and recorded.

    When `enough()` turns true it comes to its end early, checks and all.
    """
    with stage(folder, tell=tell) as ready:
        began = time.monotonic()
        _play(ready, seed=seed, seconds=seconds, enough=enough)
        played = time.monotonic() - began
        calm = _end(ready)
        log = folder / "home" / "events.db"
        return Result(
            seed=seed,
            seconds=played,
            done=ready.done,
            verdicts=verdicts(log),
            codes=ready.codes,
            events=event_types(log),
            healed=ready.healed,
            samples=ready.keeper.samples,
            lives=ready.keeper.lives,
            calm_seconds=calm,
            faults=ready.faults,
        )


def _play(ready: Stage, *, seed: int, seconds: float, enough: Callable[[], bool]) -> None:
    """Do the script's steps until the time is over."""
    deadline = time.monotonic() + seconds
    for step in script(seed):
        time.sleep(min(step.pause_seconds, max(0.0, deadline - time.monotonic())))
        if time.monotonic() >= deadline or enough():
            return
        ready.tell(f"{step.number}: {step.action}")
        perform(ready, step)
        ready.watch_daemon()
        ready.reap()


def _end(ready: Stage) -> float | None:
    """Resume, push the last version, wait for quiet and look at everything; answers how long that took."""
    ready.tell("the end: resume, and the last push")
    ready.finish_commands()
    ready.watch_daemon()
    for name in ENVIRONMENTS:
        if ready.cli.run("status", "--env", name, "--json").json().get("hold") is not None:
            resumed = ready.cli.run("resume", "--env", name, "--reason", "the end", seconds=180)
            if resumed.code not in {0, 1}:  # 1: the hold ended by itself meanwhile
                ready.faults.append(f"resume of {name} ended with {resumed.code}: {resumed.stderr}")
    ready.app.final()
    calm: float | None = None
    try:
        calm = calm_down(ready)
    except TimeoutError as error:
        ready.faults.append("\n".join([str(error), *status_of_all(ready)]))
    ready.faults += faults_while_it_runs(ready)
    try:
        if (code := ready.keeper.end(signal.SIGTERM)) != 0:
            ready.faults.append(f"the daemon ended with {code}")
    except subprocess.TimeoutExpired:
        ready.faults.append("the daemon does not end")
        return calm
    ready.faults += faults_afterwards(ready)
    return calm
