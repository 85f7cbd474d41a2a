"""A look at a real repository, rendered by the real Compose, deployed to a simulated engine."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from controller.decide.rollback import RollbackTarget
from controller.source import Source
from events.kernel.errors import OutsideError, UserError
from projections.engine.simulated_world import Life
from tests.support.controllers import SimulatedController
from tests.support.repos import Repository


@pytest.fixture
def controller(repository: Repository, tmp_path: Path) -> SimulatedController:
    return SimulatedController(repository=repository, folder=tmp_path / "home")


def test_the_trail_of_a_container_leads_back_to_the_commit(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    events = {event.id: event for event in controller.log.read()}
    (replaced,) = [event for event in events.values() if event.type == "ServiceReplaced"]
    trail = list[str]()
    event = replaced
    while event.causation is not None:
        event = events[event.causation]
        trail.append(event.type)
    assert trail[-1] == "RevisionObserved"
    assert "DeployRequested" in trail
    assert {one.correlation for one in events.values() if one.stream != "host/local"} == {
        replaced.correlation
    }


def test_who_merged_is_in_the_log_as_a_pseudonym_alone(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    observed = next(event for event in controller.log.read() if event.type == "RevisionObserved")
    assert observed.actor.kind == "git"
    assert controller.context.actors.name_of(observed.actor.id) == "Test Person"
    assert all(b"Test Person" not in event.data for event in controller.log.read())
    assert all(b"person@example.org" not in event.data for event in controller.log.read())


def test_an_unaffected_environment_gets_no_event(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    before = len(controller.types)
    controller.repository.commit({"README.md": "hello"})
    (outcome,) = controller.look()
    assert outcome.status == "in-sync"
    assert controller.types[before:] == ["RevisionObserved"]


def test_a_broken_project_file_is_rejected_once_and_marks_the_environment(
    controller: SimulatedController,
) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.merge(project="project: [", web="web:2")
    with pytest.raises(UserError):
        controller.look()
    before = controller.types
    with pytest.raises(UserError):
        controller.look()
    assert controller.types == before
    assert before[-3:] == ["RevisionObserved", "RevisionRejected", "RenderFailed"]
    controller.merge(web="web:1")
    controller.look()
    assert controller.state.git.failure is None


def test_a_broken_project_file_at_the_first_look_is_rejected(controller: SimulatedController) -> None:
    controller.merge(project="project: {name: shop}\n", web="web:1")
    with pytest.raises(UserError):
        controller.look()
    assert controller.types == ["RevisionObserved", "RevisionRejected"]


def test_a_missing_image_is_looked_for_again_and_said_once(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.merge(web="127.0.0.1:9/web:2")
    del controller.engine.world.images["127.0.0.1:9/web:2"]
    controller.engine.before = _refusing_registry
    (outcome,) = controller.look()
    assert outcome.status == "render-failed"
    assert outcome.failure is not None
    assert outcome.failure.cause == "outside"
    before = controller.types
    (again,) = controller.look()
    assert again.status == "render-failed"
    assert controller.types == before
    controller.engine.before = None
    controller.engine.world.images["127.0.0.1:9/web:2"] = f"sha256:{'a' * 64}"
    (fixed,) = controller.look()
    assert fixed.status == "completed"


def _refusing_registry(call: str, argument: str) -> None:
    if call == "registry_digest":
        raise OutsideError("registry-unreachable", f"no answer for {argument}")


def test_an_unreachable_engine_leaves_the_release_for_the_next_look(controller: SimulatedController) -> None:
    controller.merge(web="web:1")

    def vanish(call: str, _argument: str) -> None:
        if call == "up":
            controller.engine.world.reachable = False

    controller.engine.before = vanish
    (outcome,) = controller.look()
    assert outcome.status == "failed"
    assert outcome.failure is not None
    assert outcome.failure.cause == "outside"
    assert controller.state.active is not None
    controller.engine.before, controller.engine.world.reachable = None, True
    (again,) = controller.look()
    assert again.status == "in-sync"
    assert controller.state.deployed_digest is not None
    assert len(controller.state.releases) == 1


def test_a_failure_is_held_and_a_retry_after_an_outside_one_is_due_later(
    controller: SimulatedController,
) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.merge(web="web:2")
    controller.engine.world.lives[_id(controller, "web:2")] = Life(exits_after=0.1, exit_code=3)
    (outcome,) = controller.look()
    assert outcome.status == "rolled_back"
    (idle,) = controller.look()
    assert idle.status == "in-sync"
    assert controller.state.hold is not None


def test_a_merge_under_a_hold_is_deferred(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.hold()
    controller.merge(web="web:2")
    (outcome,) = controller.look()
    assert (outcome.status, outcome.detail) == ("deferred", "held: calm")
    controller.resume()
    (after,) = controller.look()
    assert after.status == "completed"


def test_a_hold_of_a_person_outlasts_the_failure_of_a_release_that_was_under_way(
    controller: SimulatedController,
) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.merge(web="web:2")
    controller.engine.world.lives[_id(controller, "web:2")] = Life(exits_after=0.1, exit_code=3)

    def vanish(call: str, _argument: str) -> None:
        if call == "up_beside":
            controller.engine.world.reachable = False

    controller.engine.before = vanish
    controller.look()
    controller.hold()
    controller.engine.before, controller.engine.world.reachable = None, True
    (outcome,) = controller.look()
    assert outcome.status == "rolled_back"
    hold = controller.state.hold
    assert hold is not None
    assert (hold.clears, len(hold.bad)) == ("manual", 1)
    controller.merge(web="web:3")
    (after,) = controller.look()
    assert after.status == "deferred"


def test_a_person_deploys_ahead_of_the_branch_and_is_held(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.engine.world.images["web:2"] = f"sha256:{'b' * 64}"
    controller.repository.commit({"compose.yaml": "services: {web: {image: 'web:2'}}\n"}, push=False)
    assert controller.deploy().status == "completed"
    before = controller.types
    controller.look()
    assert controller.types == before
    assert controller.state.hold is not None


def test_a_version_that_is_given_is_not_mistaken_for_a_known_tree(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    assert controller.deploy(version="one").status == "completed"
    assert controller.deploy(version="two").status == "completed"
    versions = [release.version for release in controller.state.releases.values()]
    assert versions == ["one", "two"]
    assert controller.types.count("ManifestRendered") == 2


def test_a_rollback_by_version_runs_the_recorded_manifest(controller: SimulatedController) -> None:
    first = controller.merge(web="web:1")
    controller.look()
    controller.merge(web="web:2")
    controller.look()
    verdict = controller.rollback(RollbackTarget(to_version=first[:8]))
    assert verdict.status == "completed"
    assert controller.types.count("ManifestRendered") == 2


def test_environments_are_looked_at_by_name(controller: SimulatedController) -> None:
    project = "project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n"
    controller.merge(project=project, web="web:1")
    assert [one.environment for one in controller.look("staging")] == ["shop/staging"]
    with pytest.raises(UserError):
        controller.look("nowhere")


def test_a_container_that_vanished_comes_back(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    controller.engine.world.containers.clear()
    (outcome,) = controller.look()
    assert (outcome.status, outcome.detail) == ("in-sync", "healed")


def test_the_same_text_keeps_its_pin_after_the_tag_moved(controller: SimulatedController) -> None:
    controller.merge(web="web:1", worker="worker:1")
    controller.look()
    pinned = controller.state.pins["web:1"]
    controller.engine.world.images["web:1"] = f"sha256:{'c' * 64}"
    controller.engine.world.images["worker:2"] = f"sha256:{'d' * 64}"
    controller.repository.commit(
        {"compose.yaml": "services: {web: {image: 'web:1'}, worker: {image: 'worker:2'}}\n"}
    )
    (outcome,) = controller.look()
    assert outcome.status == "completed"
    assert controller.state.pins["web:1"] == pinned


def _id(controller: SimulatedController, image: str) -> str:
    return controller.engine.world.images[image]


def test_a_look_that_finds_nothing_leaves_its_time_and_no_event(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    before = controller.types
    controller.clock.advance(60)
    controller.look()
    assert controller.types == before
    assert controller.context.observed.looked_at("shop/prod") == controller.clock.now()


def test_a_damaged_mirror_is_made_anew_and_nothing_else_happens(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    controller.look()
    before = controller.log.head()
    (mirror,) = controller.context.home.mirrors.iterdir()
    for file in (mirror / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_bytes(file.read_bytes()[:-20])
    (outcome,) = controller.look()
    assert outcome.status == "in-sync"
    assert controller.log.head() == before
    assert [line for line in controller.said if "is made anew" in line]
    (outcome,) = controller.look()
    assert len([line for line in controller.said if "is made anew" in line]) == 1


def test_the_branchs_own_source_heals_its_mirror_too(controller: SimulatedController) -> None:
    controller.merge(web="web:1")
    source = Source(context=controller.context, place=controller.place(), config_path="stagecraft.yml")
    assert asyncio.run(source.look()).status == "seen"
    (mirror,) = controller.context.home.mirrors.iterdir()
    shutil.rmtree(mirror / "objects")
    (mirror / "objects").mkdir()
    assert asyncio.run(source.look(thorough=True)).status == "seen"
    assert source.latest is not None
    assert source.latest.tree.read("compose.yaml", max_bytes=1000)
