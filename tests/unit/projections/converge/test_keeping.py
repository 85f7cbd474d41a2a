"""What is kept of a container that failed a Release, and that nothing hangs on it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from events.catalog.release import PhaseFailed
from events.catalog.service import JobFailed, ServiceWithdrawn
from events.kernel.redact import MASK, REDACT
from events.manifest import Job
from projections.converge.converger import Converger
from projections.converge.keeping import CHANGES
from projections.converge.work import ReleaseWork, Verdict
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.simulated_world import Life
from projections.kept import KeptContainer, KeptContainers
from tests.unit.projections.converge.scene import HOST, IN_PLACE, STREAM, Scene, Spec, image_id, manifest_of

LOG = tuple(f"line {number}" for number in range(50))
BAD = Life(exits_after=0.5, exit_code=3, log=LOG, changes=("A /tmp/core", "C /tmp"))


class Keeping:
    """The scene with a place for what is kept."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.kept = KeptContainers(scene.root / "kept")
        scene.have("web:1", "web:2", "job:1")
        scene.engine.world.lives[image_id("web:2")] = BAD

    @property
    def converger(self) -> Converger:
        equipment = self.scene.equipment
        return Converger(
            log=equipment.log,
            blobs=equipment.blobs,
            engines=equipment.engines,
            roots=equipment.roots,
            observed=equipment.observed,
            clock=equipment.clock,
            progress=equipment.progress,
            kept=self.kept,
        )

    def fails(self, spec: Spec, *, first: Spec | None = None) -> Verdict:
        """Deploy a web on top of one that runs."""
        before = manifest_of(web=first or Spec(more=spec.more))
        assert self.deploy(self.scene.work(before)).status == "completed"
        return self.deploy(self.scene.work(manifest_of(web=spec), before))

    def deploy(self, work: ReleaseWork) -> Verdict:
        return asyncio.run(self.converger.run_release(work, recorder=self.scene.recorder()))

    def only(self, verdict: Verdict) -> KeptContainer:
        (one,) = self.kept.of_release(verdict.release)
        return one


@pytest.fixture
def keeping(scene: Scene) -> Keeping:
    return Keeping(scene)


@pytest.mark.parametrize("more", [{}, IN_PLACE], ids=["side-by-side", "in-place"])
def test_what_failed_can_be_read_when_it_is_long_gone(keeping: Keeping, more: dict[str, object]) -> None:
    verdict = keeping.fails(Spec(image="web:2", more={**more, "environment": {"PASSWORD": "sesame-open"}}))
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    one = keeping.only(verdict)
    assert verdict.failure.kept.endswith(f"{verdict.release}.{HOST}.web.{one.container[:12]}.json")
    assert one.container == verdict.failure.container
    assert one.container not in keeping.scene.engine.world.containers
    assert (one.log, one.exit_code, one.code) == (LOG, 3, "container-exited")
    assert one.changes == ("A /tmp/core", "C /tmp")
    assert one.made_with["environment"] == {"PASSWORD": MASK}
    assert "sesame" not in json.dumps(one.as_json(), default=list)
    (phase,) = [e for e in keeping.scene.of_release(verdict.release) if isinstance(e, PhaseFailed)]
    assert phase.failure.kept == verdict.failure.kept


def test_a_container_that_is_withdrawn_says_where_it_is_kept(keeping: Keeping) -> None:
    verdict = keeping.fails(Spec(image="web:2"))
    (gone,) = [e for e in keeping.scene.of_release(verdict.release) if isinstance(e, ServiceWithdrawn)]
    assert gone.failure.kept == f"kept/{_place(keeping, verdict)}"


def test_a_job_that_failed_is_kept_like_any_other(keeping: Keeping) -> None:
    scene = keeping.scene
    scene.engine.world.lives[image_id("job:1")] = Life(exits_after=0.1, exit_code=4, log=("no table",))
    verdict = keeping.deploy(scene.work(manifest_of(migrate=Spec(image="job:1", job=Job()))))
    assert keeping.only(verdict).log == ("no table",)
    (failed,) = [event for event in scene.events(STREAM) if isinstance(event, JobFailed)]
    assert failed.failure.kept == f"kept/{_place(keeping, verdict)}"


def test_secrets_that_are_known_by_value_are_masked_anywhere(keeping: Keeping) -> None:
    REDACT.learn("sesame-open")
    keeping.scene.engine.world.lives[image_id("web:2")] = Life(
        exits_after=0.5, exit_code=3, log=("key is sesame-open",), changes=("A /tmp/sesame-open",)
    )
    verdict = keeping.fails(Spec(image="web:2", more={"command": ["run", "--key=sesame-open"]}))
    (file,) = keeping.kept.root.glob("*/*/*.json")
    assert "sesame" not in file.read_text()
    assert keeping.only(verdict).made_with["command"] == ["run", "--key=***"]


def test_an_engine_that_takes_too_long_over_the_files_says_nothing_of_the_host(keeping: Keeping) -> None:
    def before(name: str, _argument: str) -> None:
        if name == "changes":
            raise engine_unreachable("somewhere", "it takes its time")

    keeping.scene.engine.before = before
    one = keeping.only(keeping.fails(Spec(image="web:2")))
    assert one.changes == ("unknown: the Docker engine at somewhere does not answer",)
    assert one.log == LOG


def test_of_many_changes_the_first_are_kept_and_the_rest_counted(keeping: Keeping) -> None:
    paths = tuple(f"A /data/{number:04}" for number in range(CHANGES + 7))
    keeping.scene.engine.world.lives[image_id("web:2")] = Life(exits_after=0.5, exit_code=3, changes=paths)
    one = keeping.only(keeping.fails(Spec(image="web:2")))
    assert one.changes == (*paths[:CHANGES], "and 7 more")


@pytest.mark.parametrize("call", ["makeup", "logs"])
def test_an_engine_that_refuses_to_tell_changes_no_verdict(keeping: Keeping, call: str) -> None:
    failing = False

    def before(name: str, _argument: str) -> None:
        nonlocal failing
        failing = failing or name == "changes"
        if name == call and failing:
            raise engine_refused("tell", "no such thing")

    keeping.scene.engine.before = before
    verdict = keeping.fails(Spec(image="web:2"))
    assert verdict.status == "rolled_back"
    assert verdict.failure is not None
    assert verdict.failure.kept == ""
    assert any("nothing of the failed container is kept" in line for line in keeping.scene.told)


def test_an_engine_that_is_lost_meanwhile_gives_no_verdict(keeping: Keeping) -> None:
    asked = False

    def before(name: str, _argument: str) -> None:
        nonlocal asked
        asked = asked or name == "changes"
        if asked:
            raise engine_unreachable("somewhere", "it fell silent")

    keeping.scene.engine.before = before
    with pytest.raises(Exception, match="does not answer"):
        keeping.fails(Spec(image="web:2"))
    assert "ReleaseRolledBack" not in keeping.scene.types(STREAM)


def test_a_place_that_cannot_be_written_changes_no_verdict(keeping: Keeping) -> None:
    keeping.kept.root.write_text("a file")
    assert keeping.fails(Spec(image="web:2")).status == "rolled_back"
    assert any("nothing of the failed container is kept" in line for line in keeping.scene.told)


def test_none_is_kept_where_none_is_wanted(keeping: Keeping) -> None:
    keeping.kept = KeptContainers(keeping.kept.root, count=0)
    assert keeping.fails(Spec(image="web:2")).status == "rolled_back"
    assert keeping.scene.engine.count("changes") == 0
    assert not keeping.kept.root.exists()


def test_a_pass_lets_go_what_is_too_old(keeping: Keeping) -> None:
    scene = keeping.scene
    verdict = keeping.fails(Spec(image="web:2"))
    assert keeping.only(verdict).release == verdict.release
    heal = keeping.converger.heal(manifest_of(web=Spec()), release="rel-1", recorder=scene.recorder())
    scene.clock.advance(8 * 24 * 3600)
    asyncio.run(heal)
    assert list(keeping.kept.of_release(verdict.release)) == []


def test_heals_that_fail_keep_nothing(keeping: Keeping) -> None:
    """A loop of them would push out what a Release left."""
    scene = keeping.scene
    manifest = manifest_of(web=Spec())
    keeping.deploy(scene.work(manifest))
    scene.engine.world.lives[image_id("web:1")] = BAD
    (web,) = scene.engine.world.ids("web")
    del scene.engine.world.containers[web]
    with pytest.raises(Exception, match="exit code 3"):
        asyncio.run(keeping.converger.heal(manifest, release="rel-1", recorder=scene.recorder()))
    assert not keeping.kept.root.exists()


def _place(keeping: Keeping, verdict: Verdict) -> Path:
    (file,) = keeping.kept.root.glob(f"*/*/{verdict.release}.*.json")
    return file.relative_to(keeping.kept.root)
