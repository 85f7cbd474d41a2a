"""What changes later, in tags, keys and rules, and what that takes back: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.branch_preview import preview_branch
from events.kernel.errors import OutsideError, UserError
from tests.integration.controller.trust.scene import Scene
from tests.support.repos import git


def test_a_tag_that_comes_later_lets_the_same_commit_pass(scene: Scene) -> None:
    scene.verify("tag")
    scene.merge(None, web="web:1")
    assert scene.refused() == "tag-missing"
    scene.tag()
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"
    scene.merge(None, web="web:2")
    assert scene.refused() == "tag-missing"
    scene.tag("v2")
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"
    assert scene.runs("web:2")


def test_a_tag_that_is_moved_away_takes_nothing_back(scene: Scene) -> None:
    scene.verify("tag")
    scene.merge(None, web="web:1")
    scene.tag()
    scene.controller.look()
    before = scene.controller.types
    git("push", "--quiet", "origin", ":refs/tags/v1", cwd=scene.repository.work)
    (outcome,) = scene.controller.look()
    assert (outcome.status, scene.controller.types) == ("in-sync", before)


def test_a_key_that_is_taken_out_later_takes_nothing_back(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.signers.write_text(scene.mallory.line())
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
    scene.merge(scene.alice, web="web:2")
    assert scene.refused() == "signer-unknown"


def test_a_signer_who_is_entered_later_lets_the_same_commit_pass(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(scene.mallory, web="web:2")
    scene.refused()
    scene.signers.write_text(scene.alice.line() + scene.mallory.line())
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"
    assert scene.runs("web:2")


def test_a_tip_that_was_seen_unverified_is_verified_when_that_is_turned_on(scene: Scene) -> None:
    scene.verify("none")
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.verify("head")
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
    assert [one["signing_key"] for one in scene.observed()] == [None, scene.alice.fingerprint]
    before = scene.controller.types
    scene.controller.look()
    assert scene.controller.types == before


def test_an_unsigned_tip_that_is_deployed_stays_so_when_verification_is_turned_on(scene: Scene) -> None:
    scene.verify("none")
    scene.merge(None, web="web:1")
    scene.controller.look()
    scene.verify("head")
    assert scene.refused() == "commit-unsigned"
    assert scene.refused() == "commit-unsigned"
    assert scene.controller.types.count("RevisionRejected") == 1
    assert scene.runs("web:1")
    assert scene.controller.state.deployed is not None
    scene.verify("none")
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
    assert scene.controller.state.git.failure is None


def test_keys_that_cannot_be_read_are_no_fault_of_the_commit(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    before = scene.controller.types
    scene.merge(scene.alice, web="web:2")
    scene.signers.rename(scene.signers.with_name("away"))
    assert scene.refused() == "verification-unusable"
    assert scene.controller.types == before
    scene.signers.with_name("away").rename(scene.signers)
    (outcome,) = scene.controller.look()
    assert outcome.status == "completed"


def test_a_program_that_is_gone_is_no_fault_of_the_commit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene.merge(scene.alice, web="web:1")
    place = tmp_path / "bin"
    place.mkdir()
    (place / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(OutsideError) as caught:
        scene.controller.look()
    assert caught.value.code == "process-not-started"
    assert scene.controller.types == []


def test_a_preview_refuses_what_a_look_would(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(None, web="web:2")
    with pytest.raises(UserError) as caught:
        _ = asyncio.run(_preview(scene))
    assert caught.value.code == "commit-unsigned"
    scene.merge(scene.alice, web="web:3")
    assert len(asyncio.run(_preview(scene))) == 1


async def _preview(scene: Scene) -> list[object]:
    return [
        *await preview_branch(
            scene.controller.context.home,
            scene.controller.place(),
            config_path="stagecraft.yml",
            policy={},
        )
    ]
