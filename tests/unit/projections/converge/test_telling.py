"""What somebody who watches a Release is told: a line for each phase on a host, and one at the end."""

from __future__ import annotations

import re

from tests.unit.projections.converge.scene import Scene, Spec, manifest_of
from tests.unit.projections.converge.test_release import make_bad

SECONDS = re.compile(r"\d+\.\d s")


def phases(scene: Scene) -> list[str]:
    """The lines with seconds, the numbers taken out."""
    return [SECONDS.sub("N s", line) for line in scene.told if SECONDS.search(line)]


def test_each_phase_on_a_host_is_one_line_with_seconds(scene: Scene) -> None:
    release = scene.deploy(manifest_of(web=Spec(), db=Spec(image="db:1"))).release
    assert phases(scene) == [
        "hello/prod: rollout   local  N s  created db web",
        "hello/prod: finalize  local  N s  verified",
        f"hello/prod: {release} completed after N s",
    ]


def test_the_seconds_are_those_of_the_phase(scene: Scene) -> None:
    scene.deploy(manifest_of(web=Spec()))
    (rollout,) = [line for line in scene.told if "rollout " in line]
    found = SECONDS.search(rollout)
    assert found is not None
    assert float(found[0].split()[0]) >= 2.0  # the settle time


def test_a_release_that_goes_back_says_so(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    make_bad(scene)
    scene.told.clear()
    release = scene.deploy(manifest_of(web=Spec(image="web:2"), db=Spec(image="db:1")), first).release
    assert phases(scene) == [
        f"hello/prod: {release} brought the former version back after N s",
        f"hello/prod: {release} rolled back after N s",
    ]


def test_what_was_removed_is_counted_and_nothing_to_do_says_so(scene: Scene) -> None:
    first = manifest_of(web=Spec(), db=Spec(image="db:1"))
    scene.deploy(first)
    scene.told.clear()
    scene.deploy(manifest_of(web=Spec()), first)
    assert phases(scene)[:2] == [
        "hello/prod: rollout   local  N s  no-op",
        "hello/prod: finalize  local  N s  removed 1",
    ]
