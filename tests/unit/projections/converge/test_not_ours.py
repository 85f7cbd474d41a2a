"""Whatever a Release comes to, containers of others are as they were."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from events import labels
from projections.converge.conflicts import COMPOSE_PROJECT, COMPOSE_SERVICE
from projections.engine.simulated_world import Life
from tests.unit.projections.converge.scene import COMPOSE_PROJECT as APP
from tests.unit.projections.converge.scene import (
    ENVIRONMENT,
    LINEAGE,
    PROJECT,
    Scene,
    Spec,
    image_id,
    manifest_of,
)

FOREIGN = st.fixed_dictionaries(
    {},
    optional={
        labels.PROJECT: st.sampled_from([PROJECT, "other"]),
        labels.ENVIRONMENT: st.sampled_from([ENVIRONMENT, "test"]),
        labels.SERVICE: st.sampled_from(["web", "db", "gone"]),
        labels.SERVICE_HASH: st.just("h1"),
        labels.LOG: st.sampled_from([LINEAGE, "lineage-2"]),
        COMPOSE_PROJECT: st.sampled_from([APP, "elsewhere"]),
        COMPOSE_SERVICE: st.sampled_from(["web", "db", "strange"]),
    },
)
NAMES = st.sampled_from([f"{APP}-web-1", f"{'a' * 12}_{APP}-db-1", "one", "two", "three"])


@settings(max_examples=60, deadline=None)
@given(
    others=st.dictionaries(NAMES, FOREIGN, max_size=3),
    before=st.booleans(),
    fails=st.booleans(),
    stopped=st.booleans(),
)
def test_no_release_and_no_healing_touches_what_is_not_ours(
    others: dict[str, dict[str, str]], *, before: bool, fails: bool, stopped: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(root=Path(folder))
        scene.have("web:1", "web:2", "db:1")
        first = manifest_of(web=Spec(), db=Spec(image="db:1"), gone=Spec(image="db:1"))
        if before:
            scene.deploy(first)
        if fails:
            scene.engine.world.lives[image_id("web:2")] = Life(exits_after=0.1, exit_code=1)
        owner = scene.site.owner
        foreign: dict[str, str | None] = {}
        for name, found in others.items():
            if any(one.name == name for one in scene.engine.world.containers.values()):
                continue
            made = scene.engine.world.containers[scene.engine.add(name, found=found)]
            made.stopped = "exited" if stopped else None
            if not all(label in found for label in labels.IDENTITY) or (
                (found[labels.PROJECT], found[labels.ENVIRONMENT], found[labels.LOG])
                != (owner.project, owner.environment, owner.log)
            ):
                foreign[made.id] = made.stopped
        second = manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1"))
        verdict = scene.deploy(second, first if before else None)
        if verdict.status == "completed":
            scene.heal(second)
        assert {one: scene.engine.world.containers[one].stopped for one in foreign} == foreign
