"""`plan` names beforehand every container that a deploy then exchanges, and no other."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from controller.made_with import stale_services
from controller.preview import Baseline, Preview, preview
from events.manifest import ImagePin, Manifest
from gitops.manifest import complete
from projections.converge.plan import JobKey
from projections.converge.release import Converger
from projections.engine.simulated_world import Life
from tests.unit.controller.apps import IMAGES, JOB_IMAGES, App, Part, apps, draft_of
from tests.unit.projections.converge.scene import HOST, Scene, image_id

KEY = b"k" * 32
ALL_IMAGES = (*IMAGES, *JOB_IMAGES)
PINS = {ref: ImagePin(ref=ref, pin=image_id(ref), pin_kind="image-id") for ref in ALL_IMAGES}
Ids = Mapping[str, frozenset[str]]


class Story:
    """One environment through several deploys, each foretold."""

    def __init__(self, root: Path) -> None:
        self.scene = Scene(root=root)
        self.scene.have(*ALL_IMAGES)
        self.scene.engine.world.lives.update({image_id(ref): Life(exits_after=0.1) for ref in JOB_IMAGES})
        self.env = root / "platform.env"
        self.deployed: Manifest | None = None
        self.jobs: frozenset[JobKey] = frozenset()
        self.releases: list[str] = []

    def foretold(self, app: App) -> tuple[Preview, Manifest]:
        """What `plan` says of an edit, with the env file of the host as it is now."""
        self.env.write_text(f"TOKEN={app.env}\n")
        made = draft_of(app, blobs=self.scene.blobs, env_path=str(self.env))
        wanted = complete(made, PINS)
        stale = stale_services(self.scene.log, wanted, releases=self.releases, key=KEY)
        baseline = Baseline(manifest=self.deployed, jobs=self.jobs, stale=stale)
        return preview(made, pins=PINS, revision="c1", against=baseline), wanted

    def deploy(self, wanted: Manifest) -> None:
        """Deploy it; it completes."""
        scene = self.scene
        equipment = scene.equipment
        converger = Converger(
            log=scene.log,
            blobs=scene.blobs,
            engines=equipment.engines,
            roots=equipment.roots,
            observed=scene.observed,
            clock=scene.clock,
            binding_key=KEY,
        )
        work = scene.work(wanted, self.deployed)
        verdict = asyncio.run(converger.run_release(work, recorder=scene.recorder()))
        assert verdict.status == "completed", verdict
        self.deployed = wanted
        self.releases.append(work.release)
        self.jobs = scene.work(wanted, wanted).succeeded_jobs

    def ids(self) -> dict[str, frozenset[str]]:
        """The containers by service, runs of jobs left out."""
        found: dict[str, set[str]] = {}
        for one in self.scene.engine.world.containers.values():
            if not one.one_off:
                found.setdefault(one.labels["com.docker.compose.service"], set()).add(one.id)
        return {name: frozenset(ids) for name, ids in found.items()}

    def ran(self) -> list[str]:
        """The runs of jobs so far."""
        return [name for call, name in self.scene.engine.calls if call == "run_job"]


def happened(before: Ids, after: Ids) -> dict[str, str]:
    """What became of the containers of each service, by their ids alone."""
    found: dict[str, str] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name, frozenset()), after.get(name, frozenset())
        if old == new:
            continue
        if not old - new:
            found[name] = "create"
        elif not new - old:
            found[name] = "remove"
        else:
            found[name] = "replace" if not old & new else "replace some"
    return found


def check(story: Story, app: App) -> Preview:
    """Foretell, deploy, compare."""
    shown, wanted = story.foretold(app)
    before, ran = story.ids(), len(story.ran())
    note("\n".join(f"{one.action} {one.service}: {one.reason}" for one in shown.changes))
    story.deploy(wanted)
    told = {one.service: one.action for one in shown.changes if one.action not in ("keep", "run")}
    assert happened(before, story.ids()) == told
    assert sorted(story.ran()[ran:]) == sorted(one.service for one in shown.changes if one.action == "run")
    assert [(one.host, one.service) for one in shown.outages] == [
        (HOST, name) for name, action in sorted(told.items()) if action == "replace"
    ]
    again, _ = story.foretold(app)
    assert not again.has_changes
    return shown


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=30)
@given(st.data())
def test_a_plan_names_what_a_deploy_exchanges_and_nothing_else(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        app: App | None = None
        for _ in range(4):
            app = data.draw(apps(app))
            check(story, app)
