"""Killed at points that are drawn anew each time, on the real engine: the next process brings all to its end.

The rounds build on one another, as a team's changes do: a merge, a merge that fails, a revert, a rollback,
each with its process killed somewhere. `STAGECRAFT_CRASH_SEED` replays what a run has drawn.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget, find_target
from controller.decide.state import EnvironmentState
from events.kernel.clock import Clock, SystemClock
from projections.engine.docker import DockerEngine
from tests.crash.player import KILLED, Act, Fate, Run, Stage, act_keep, act_look, act_rollback, play
from tests.crash.promises import check_fence, check_lock, check_log, end_of
from tests.crash.same_views import check_views, fold_views
from tests.crash.stories import reverted
from tests.crash.tape import LocalEngine, Tape, is_change, points, taped
from tests.support.cleanup import EngineProject
from tests.support.images import TestImages
from tests.support.repos import Repository

SEED = os.environ.get("STAGECRAFT_CRASH_SEED")  # now: a test has no variables of the caller's
KILLS = 20
MOST_ROUNDS = 2 * KILLS
_LONGEST_INSIDE_SECONDS = 0.4  # about what Compose takes for one service
_FILE = """services:
  web:
    image: {web}
    stop_grace_period: 1s
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
  worker:
    image: {worker}
    stop_grace_period: 1s
  migrate:
    image: {job}
"""
_PROJECT = "project: {{name: {name}}}\nenvironments: {{prod: {{gate: {{settle: 300ms, deadline: 15s}}}}}}\n"


def real(stage: Stage, clock: Clock, tape: Tape) -> LocalEngine:
    """The machine's engine, with a point around each call."""
    return taped(DockerEngine(None, stage.home.run, clock=clock), tape)


@dataclass(slots=True)
class Team:
    """What the rounds do to the project, and what they expect."""

    stage: Stage
    images: TestImages
    project: EngineProject
    draw: random.Random
    tell: Callable[[str], None]  # seen while the test runs, and when it passes
    version: int = 0
    kills: list[str] = field(default_factory=list[str])
    changes: dict[str, int] = field(default_factory=dict[str, int])  # points of an act that nobody disturbed

    @property
    def state(self) -> EnvironmentState:
        return end_of(self.stage).state

    def play(self, act: Act, fate: Fate | None = None) -> Run:
        """One process; the next one is a later generation."""
        run = play(self.stage, act, fate or Fate(), engine=real, clock=SystemClock())
        self.stage = self.stage.later()
        return run

    def merge(self, *, good: bool = True) -> None:
        """A new version of everything, good or ending at once."""
        self.version += 1
        name = f"v{self.version}"
        web = self.images.web(name) if good else self.images.crashing(name, line=f"no database for {name}")
        text = _FILE.format(web=web, worker=self.images.web(name, name="worker"), job=self.images.job(name))
        project = _PROJECT.format(name=self.project.name)
        self.stage.repository.commit({"stagecraft.yml": project, "compose.yaml": text}, name)

    def round(self, kind: str) -> None:
        """One change with its process killed somewhere, and the process after it."""
        before = self.state
        act, again, digest = self._begun(kind, before)
        number = self.draw.randrange(self.changes.get(kind, 24))
        inside = self.draw.uniform(0, _LONGEST_INSIDE_SECONDS) if self.draw.random() < 1 / 3 else 0.0
        self.tell(f"{kind}: killed at change {number}" + (f" + {inside:.3f} s" if inside else ""))
        run = self.play(act, Fate(kill_at_change=number, kill_after_seconds=inside))
        if run.code == KILLED:
            self.kills.append(points(run.tape)[-1])
        else:
            run.expect()
            self.changes[kind] = sum(map(is_change, points(run.tape)))
        fold_views(self.stage)
        self.play(again).expect()
        if len(self.state.releases) == len(before.releases):
            self.play(act).expect()  # it died before it had asked for anything
        self.check(kind, before, digest)

    def _begun(self, kind: str, before: EnvironmentState) -> tuple[Act, Act, str | None]:
        """The act, the one after a crash, and the Manifest that is deployed then, when that is known."""
        if kind == "rollback":
            target = find_target(before, RollbackTarget(to_previous=True))
            return act_rollback, act_keep, target.digest
        if kind == "revert":
            release = before.deployed_release
            assert release is not None
            assert release.previous is not None
            reverted(self.stage)
            return act_look, act_look, before.releases[release.previous].digest
        self.merge(good=kind == "merge")
        return act_look, act_look, before.deployed_digest if kind == "failing" else None

    def check(self, kind: str, before: EnvironmentState, digest: str | None) -> None:
        """All promises."""
        end = end_of(self.stage)
        state, newest = end.state, list(end.state.releases.values())[-1]
        assert len(state.releases) == len(before.releases) + 1
        assert newest.status == ("rolled_back" if kind == "failing" else "completed")
        assert state.deployed_digest == (digest or newest.digest)
        check_log(self.stage, end)
        check_lock(self.stage)
        check_fence(self.stage)
        check_views(self.stage)
        assert state.deployed_digest is not None
        render = state.render_of(state.deployed_digest)
        assert render is not None
        found = [one for one in self.project.containers() if one.status != "removing"]
        services = Counter(one.labels["stagecraft.service"] for one in found)
        assert services == {"web": 1, "worker": 1}
        assert {one.name for one in found} == {f"{self.project.name}-prod-{one}-1" for one in services}
        assert {one.status for one in found} == {"running"}
        wanted = render.services["local"]
        assert all(
            one.labels["stagecraft.service-hash"] == wanted[one.labels["stagecraft.service"]] for one in found
        )


@pytest.mark.slow
def test_killed_anywhere_on_the_real_engine_it_ends_the_same(
    engine_project: EngineProject, images: TestImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = SEED or str(random.SystemRandom().randrange(2**32))

    def tell(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}")

    tell(f"replay with STAGECRAFT_CRASH_SEED={seed}")
    folder = tmp_path / "stage"
    folder.mkdir()
    stage = Stage(
        folder=folder, repository=Repository.create(tmp_path / "repository"), project=engine_project.name
    )
    draw = random.Random(seed)  # noqa: S311  # to be replayed
    team = Team(stage, images, engine_project, draw, tell)
    for _ in range(2):
        team.merge()
        team.play(act_look).expect()
    before, last = "merge", "merge"
    for _ in range(MOST_ROUNDS):
        possible = ["merge", "merge", "failing"]
        if last == "merge":
            possible.append("rollback")
            if before in {"merge", "revert"}:  # else the revert would lead to what failed or was taken back
                possible.append("revert")
        before, last = last, team.draw.choice(possible)
        team.round(last)
        if len(team.kills) >= KILLS:
            break
    assert len(team.kills) >= KILLS, f"only {len(team.kills)} processes were killed in {MOST_ROUNDS} rounds"
