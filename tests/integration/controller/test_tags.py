"""Tags that are watched by a range of versions: real Git, a simulated engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller.branch_preview import preview_branch
from controller.repositories import BranchRules, WatchedBranch
from controller.source import Source, SourceLook
from events.kernel.errors import UserError
from gitops.source.trust import Verification
from gitops.source.versions import parse_range
from tests.support.controllers import SimulatedController
from tests.support.git_calls import counted_git
from tests.support.repos import Repository, git
from tests.support.signing import SshPerson

LISTED = BranchRules(entry="repositories[0]")
ALLOWED = replace(LISTED, allow_rewrite=True)


@dataclass(slots=True)
class _Scene:
    controller: SimulatedController
    rules: BranchRules = LISTED

    @property
    def repository(self) -> Repository:
        return self.controller.repository

    def commit(self, image: str) -> str:
        return self.controller.merge(web=image)

    def tag(self, name: str, *options: str, commit: str = "HEAD") -> None:
        """Tag a commit, anew if need be, and push the tag."""
        git("tag", "--force", *options, name, commit, cwd=self.repository.work)
        git("push", "--quiet", "--force", "origin", f"refs/tags/{name}", cwd=self.repository.work)

    def untag(self, name: str) -> None:
        """Take a tag away at the host."""
        git("push", "--quiet", "--delete", "origin", f"refs/tags/{name}", cwd=self.repository.work)

    def release(self, image: str, *names: str) -> str:
        """A commit with this image and these tags."""
        revision = self.commit(image)
        for name in names:
            self.tag(name)
        return revision

    def place(self, versions: str = "1.x") -> WatchedBranch:
        """As the operator's list has it, alone."""
        place = replace(self.controller.place(rules=self.rules), branch="", tags=parse_range(versions))
        return replace(place, rules=replace(place.rules, rivals={place.key: ()}))

    def look(self, versions: str = "1.x") -> list[str]:
        """Look once; the outcomes."""
        return [one.status for one in self.controller.look_at(self.place(versions))]

    def refused(self, versions: str = "1.x") -> UserError:
        """Look, and answer why what is there was not taken."""
        with pytest.raises(UserError) as raised:
            self.look(versions)
        return raised.value

    def runs(self, image: str) -> bool:
        """Whether what runs is made of this image."""
        world = self.controller.engine.world
        return world.named("shop-prod-web-1").image == world.images[image]

    def events(self, kind: str) -> list[dict[str, object]]:
        return [json.loads(one.data) for one in self.controller.log.read(type_name=kind)]


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> _Scene:
    """`v1.0.0` is deployed."""
    made = _Scene(SimulatedController(repository=repository, folder=tmp_path / "home"))
    made.release("web:1.0", "v1.0.0")
    assert made.look() == ["completed"]
    return made


def test_the_newest_version_is_deployed_and_named_and_a_branch_that_moves_on_is_not(scene: _Scene) -> None:
    revision = scene.release("web:1.10", "v1.10.0", "latest", "v1")
    scene.tag("v1.9.0", commit="HEAD~1")
    scene.commit("web:untagged")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1.10")
    newest = scene.events("RevisionObserved")[-1]
    assert (newest["tag"], newest["revision"], newest["ref"]) == ("v1.10.0", revision, "refs/tags/1.x")
    before = scene.controller.types
    assert scene.look() == ["in-sync"]
    assert scene.controller.types == before


def test_a_version_beyond_the_range_and_a_pre_release_wait(scene: _Scene) -> None:
    scene.release("web:2.0", "v2.0.0", "v1.1.0-rc.1")
    assert scene.look() == ["in-sync"]
    assert scene.runs("web:1.0")
    assert scene.look(">=1.0.0-0 <2") == ["completed"]
    assert scene.runs("web:2.0")


def test_a_newer_version_need_not_descend_from_the_older_one(scene: _Scene) -> None:
    scene.release("web:1.1", "v1.1.0")
    scene.look()
    git("reset", "--quiet", "--hard", "v1.0.0", cwd=scene.repository.work)
    scene.controller.engine.world.images["web:1.2"] = "sha256:" + "2" * 64
    scene.repository.commit({"compose.yaml": "services: {web: {image: 'web:1.2'}}\n"}, push=False)
    scene.tag("v1.2.0", "--annotate", "--message", "v1.2.0")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1.2")
    assert scene.events("HistoryRewritten") == []


def test_a_tag_that_moves_is_refused_once_and_what_is_deployed_stays(scene: _Scene) -> None:
    before = len(scene.controller.types)
    scene.release("web:evil", "v1.0.0")
    error = scene.refused()
    assert error.code == "tag-moved"
    assert "repositories[0].allow_rewrite" in error.next
    assert scene.controller.types[before:] == [
        "HistoryRewritten",
        "RevisionObserved",
        "RevisionRejected",
        "RenderFailed",
    ]
    assert scene.refused().code == "tag-moved"
    assert len(scene.controller.types) == before + 4
    assert scene.events("RevisionRejected")[0]["tag"] == "v1.0.0"
    assert scene.runs("web:1.0")
    failure = scene.controller.state.git.failure
    assert failure is not None
    assert failure.code == "tag-moved"


def test_a_tag_that_is_put_back_or_followed_by_a_newer_one_is_taken_again(scene: _Scene) -> None:
    scene.release("web:evil", "v1.0.0")
    scene.refused()
    scene.tag("v1.0.0", commit="HEAD~1")
    assert scene.look() == ["in-sync"]
    assert scene.controller.state.git.failure is None
    scene.tag("v1.0.0")
    scene.refused()
    scene.release("web:1.0.1", "v1.0.1")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1.0.1")


def test_a_tag_may_move_where_the_operator_allows_it(scene: _Scene) -> None:
    scene.release("web:again", "v1.0.0")
    scene.refused()
    scene.rules = ALLOWED
    assert scene.look() == ["completed"]
    assert scene.runs("web:again")
    assert len(scene.events("HistoryRewritten")) == 1
    scene.rules = BranchRules()
    assert scene.look() == ["in-sync"]


def test_a_tag_that_moved_is_known_by_a_range_that_was_changed(scene: _Scene) -> None:
    scene.release("web:evil", "v1.0.0")
    assert scene.refused(">=1.0 <3").code == "tag-moved"
    assert scene.runs("web:1.0")


@pytest.mark.parametrize("name", ["1.0.0", "v1.0.0+build.2"])
def test_another_name_for_the_version_that_runs_brings_no_other_commit(scene: _Scene, name: str) -> None:
    scene.untag("v1.0.0")
    scene.release("web:evil", name)
    assert scene.refused().code == "tag-moved"
    assert scene.runs("web:1.0")


def test_a_version_is_not_taken_back_by_taking_its_tag_away(scene: _Scene) -> None:
    scene.release("web:1.1", "v1.1.0")
    scene.look()
    before = len(scene.controller.types)
    scene.untag("v1.1.0")
    error = scene.refused()
    assert (error.code, "stagecraft rollback" in error.next) == ("tag-gone", True)
    assert scene.refused().code == "tag-gone"
    assert scene.controller.types[before:] == ["RevisionObserved", "RevisionRejected", "RenderFailed"]
    assert scene.runs("web:1.1")
    scene.rules = ALLOWED
    assert scene.refused().code == "tag-gone"
    scene.controller.rollback()
    assert scene.runs("web:1.0")
    scene.release("web:1.2", "v1.2.0")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1.2")


def test_the_older_tag_of_the_same_commit_takes_nothing_back(scene: _Scene) -> None:
    scene.tag("v1.1.0")
    assert scene.look() == ["in-sync"]
    assert scene.events("RevisionObserved")[-1]["tag"] == "v1.1.0"
    scene.untag("v1.1.0")
    assert scene.look() == ["in-sync"]
    assert scene.events("RevisionRejected") == []


def test_without_any_version_what_is_deployed_stays(scene: _Scene) -> None:
    scene.untag("v1.0.0")
    before = scene.controller.types
    assert scene.refused().code == "version-missing"
    assert scene.controller.types == before
    assert scene.runs("web:1.0")


def test_a_change_that_reverts_an_older_one_is_a_revert_by_tag_too(scene: _Scene) -> None:
    scene.release("web:1.1", "v1.1.0")
    scene.look()
    scene.repository.revert()
    scene.tag("v1.2.0")
    assert scene.look() == ["completed"]
    assert scene.runs("web:1.0")
    assert scene.controller.types.count("RevertDetected") == 1


def test_a_version_has_to_be_vouched_for_by_its_own_tag(scene: _Scene, tmp_path: Path) -> None:
    alice = SshPerson.create(tmp_path / "keys", "alice")
    alice.configure(scene.repository.work)
    signers = tmp_path / "signers"
    signers.write_text(alice.line())
    scene.controller.verification = Verification(mode="tag", signers=signers)
    scene.commit("web:1.1")
    scene.tag("v1.1.0", "--sign", "--message", "v1.1.0")
    assert scene.look() == ["completed"]
    assert scene.events("RevisionObserved")[-1]["signing_key"] == alice.fingerprint
    scene.tag("v1.2.0", commit="v1.1.0^{commit}")  # by anybody, at a commit that another tag vouches for
    assert scene.refused().code == "tag-missing"
    scene.tag("v1.2.0", "--annotate", "--message", "v1.2.0", commit="v1.1.0^{commit}")
    assert scene.refused().code == "tag-missing"
    scene.tag("v1.2.0", "--sign", "--message", "v1.2.0", commit="v1.1.0^{commit}")
    assert scene.look() == ["in-sync"]
    assert scene.events("RevisionObserved")[-1]["tag"] == "v1.2.0"
    assert scene.runs("web:1.1")


def test_a_look_at_tags_that_have_not_changed_is_one_git_process(
    scene: _Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Callable[[], list[str]] = counted_git(tmp_path, monkeypatch)
    source = Source(context=scene.controller.context, place=scene.place(), config_path="stagecraft.yml")
    assert asyncio.run(source.look()) == SourceLook(status="seen", changed=True)
    calls()
    before = scene.controller.log.head()
    assert asyncio.run(source.look()) == SourceLook(status="seen")
    (call,) = calls()
    assert "ls-remote --quiet --tags" in call
    assert scene.controller.log.head() == before


def test_a_dry_run_shows_the_newest_version(scene: _Scene) -> None:
    scene.release("web:1.3", "v1.3.0")
    scene.commit("web:untagged")
    context = scene.controller.context
    preview = preview_branch(context.home, scene.place(), config_path="stagecraft.yml", policy={})
    assert [one.revision for one in asyncio.run(preview)] == [scene.repository.head("HEAD~1")]
