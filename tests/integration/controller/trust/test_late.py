"""Commits that were taken while nobody verified, and are refused since."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from controller.repositories import BranchRules
from controller.source import Source
from events.kernel.errors import UserError
from tests.integration.controller.trust.scene import Scene
from tests.support.git_calls import counted_git
from tests.support.repos import git


def _late(scene: Scene) -> str:
    """`web:1` by alice and then `web:2` by nobody were deployed, and then verification was turned on."""
    scene.verify("none")
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    late = scene.merge(None, web="web:2")
    scene.controller.look()
    scene.verify("head")
    assert scene.refused() == "commit-unsigned"
    return late


def test_what_is_refused_later_can_be_signed_and_pushed_again(scene: Scene) -> None:
    _late(scene)
    scene.alice.configure(scene.repository.work)
    git("commit", "--quiet", "--amend", "--no-edit", "--gpg-sign", cwd=scene.repository.work)
    scene.repository.push("--force")
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:2")


def test_every_takes_what_is_refused_later_not_for_accepted(scene: Scene) -> None:
    late = _late(scene)
    scene.verify("every")
    scene.merge(scene.alice, web="web:3")
    assert scene.refused() == "commit-unsigned"
    rejected = [event for event in scene.controller.log.read() if event.type == "RevisionRejected"]
    assert f"commit {late[:12]}, which " in json.loads(rejected[-1].data)["detail"]
    assert scene.runs("web:2")


def test_what_is_refused_later_gives_no_environment_to_another_branch(scene: Scene) -> None:
    scene.verify("none")
    scene.merge(None, web="web:1")
    scene.controller.look()
    scene.verify("head")
    assert scene.refused() == "commit-unsigned"
    scene.repository.branch("next")
    scene.merge(scene.alice, web="web:next")
    assert scene.controller.look(branch="next") == []
    assert scene.runs("web:1")


def test_a_refusal_tells_no_environment_of_another_branch(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.repository.branch("next")
    scene.merge(scene.alice, web="web:next")
    assert scene.controller.look(branch="next") == []
    scene.merge(None, web="web:next2")
    before = len(scene.controller.types)
    with pytest.raises(UserError) as caught:
        scene.controller.look(branch="next")
    assert caught.value.code == "commit-unsigned"
    assert scene.controller.types[before:] == ["RevisionRejected"]
    assert scene.controller.state.git.failure is None


def test_who_wrote_a_commit_that_nobody_vouches_for_is_not_entered_anywhere(scene: Scene) -> None:
    git("config", "user.name", "Mallory Unproved", cwd=scene.repository.work)
    scene.merge(None, web="web:1")
    assert scene.refused() == "commit-unsigned"
    actors = {event.actor for event in scene.controller.log.read()}
    assert [actor.kind for actor in actors] == ["controller"]


def test_a_verified_commit_that_is_taken_later_is_not_asked_about_again(scene: Scene, tmp_path: Path) -> None:
    good = scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    scene.merge(scene.alice, web="web:2")
    scene.controller.look()
    git("reset", "--quiet", "--hard", good, cwd=scene.repository.work)
    git("push", "--quiet", "--force", "origin", f"{good}:main", cwd=scene.repository.work)
    scene.merge(scene.alice, web="web:3")
    assert scene.refused() == "history-rewritten"
    nowhere = replace(scene.controller.verification, signers=tmp_path / "nowhere")
    scene.controller.verification = nowhere
    scene.controller.look(rules=BranchRules(allow_rewrite=True))
    assert scene.runs("web:3")
    assert scene.observed()[-1]["signing_key"] == scene.alice.fingerprint
    before = scene.controller.types
    scene.controller.look()
    assert scene.controller.types == before


def test_a_rewrite_that_nobody_vouches_for_is_refused_for_that(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.merge(scene.alice, web="web:2")
    scene.controller.look()
    git("reset", "--quiet", "--hard", "HEAD~1", cwd=scene.repository.work)
    git("push", "--quiet", "--force", "origin", "HEAD:main", cwd=scene.repository.work)
    scene.merge(None, web="web:3")
    assert scene.refused() == "commit-unsigned"
    assert "HistoryRewritten" not in scene.controller.types


def test_a_verified_branch_that_has_not_moved_costs_one_question_and_a_refused_one_is_asked_for_tags(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.verify("tag")
    scene.merge(None, web="web:1")
    scene.tag()
    source = Source(
        context=scene.controller.context, place=scene.controller.place(), config_path="stagecraft.yml"
    )
    calls = counted_git(tmp_path, monkeypatch)

    async def story() -> None:
        assert (await source.look()).status == "seen"
        calls()
        assert (await source.look()).status == "seen"
        (call,) = calls()
        assert "--heads" in call
        scene.merge(None, web="web:2")
        assert (await source.look()).status == "unusable"
        calls()
        assert (await source.look()).status == "unusable"
        assert any("ls-remote --quiet --tags" in call for call in calls())
        scene.tag("v2")
        found = await source.look()
        assert (found.status, found.changed) == ("seen", True)

    asyncio.run(story())
