"""What is deployed and what is refused: real Git, real keys, a simulated engine."""

from __future__ import annotations

import json

from tests.integration.controller.trust.scene import Scene
from tests.support.repos import git


def test_a_signed_commit_is_deployed_and_says_who_vouched_for_it(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"
    (observed,) = scene.observed()
    assert observed["signing_key"] == scene.alice.fingerprint
    assert scene.controller.context.actors.name_of(str(observed["signer"])) == "alice@example.org"
    assert all(b"alice@" not in event.data for event in scene.controller.log.read())


def test_an_unsigned_push_is_refused_once_and_what_was_good_stays(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    before = len(scene.controller.types)
    bad = scene.merge(None, web="web:2")
    assert scene.refused() == "commit-unsigned"
    assert scene.controller.types[before:] == ["RevisionRejected", "RenderFailed"]
    failure, revision = scene.controller.state.git.failure, scene.controller.state.git.failed_revision
    assert failure is not None
    assert (failure.code, revision) == ("commit-unsigned", bad)
    assert scene.refused() == "commit-unsigned"
    assert len(scene.controller.types) == before + 2
    assert scene.runs("web:1")


def test_a_refusal_names_the_rule_and_is_the_controllers_own(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(scene.mallory, web="web:2")
    assert scene.refused() == "signer-unknown"
    rejected = next(event for event in scene.controller.log.read() if event.type == "RevisionRejected")
    data = json.loads(rejected.data)
    assert (data["rule"], rejected.actor.kind) == ("signer-unknown", "controller")
    assert scene.mallory.fingerprint in data["detail"]


def test_a_signed_fix_on_top_of_a_refused_commit_is_deployed(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(None, web="web:2")
    scene.refused()
    scene.merge(scene.alice, web="web:3")
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:3")
    assert "HistoryRewritten" not in scene.controller.types


def test_going_back_to_what_was_accepted_ends_the_refusal_without_a_release(scene: Scene) -> None:
    good = scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(None, web="web:2")
    scene.refused()
    git("reset", "--quiet", "--hard", good, cwd=scene.repository.work)
    scene.repository.push("--force")
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
    assert scene.controller.state.git.failure is None
    assert len(scene.controller.state.releases) == 1


def test_a_first_commit_that_nobody_vouches_for_is_rejected_and_the_next_good_one_deployed(
    scene: Scene,
) -> None:
    scene.merge(None, web="web:1")
    assert scene.refused() == "commit-unsigned"
    assert scene.refused() == "commit-unsigned"
    assert scene.controller.types == ["RevisionRejected"]
    scene.merge(scene.alice, web="web:1")
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"


def test_nothing_of_a_refused_commit_is_read(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(None, web="web:2", project="project: [")
    assert scene.refused() == "commit-unsigned"


def test_every_counts_from_the_commit_accepted_last_and_not_from_a_refused_one(scene: Scene) -> None:
    scene.verify("every")
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    bad = scene.merge(None, web="web:2")
    assert scene.refused() == "commit-unsigned"
    scene.merge(scene.alice, web="web:3")
    assert scene.refused() == "commit-unsigned"
    rejected = [event for event in scene.controller.log.read() if event.type == "RevisionRejected"]
    assert len(rejected) == 2
    assert f"commit {bad[:12]}, which " in json.loads(rejected[-1].data)["detail"]
    assert scene.runs("web:1")
