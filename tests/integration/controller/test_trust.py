"""A controller that trusts signed commits alone: real Git, real keys, a simulated engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from controller.branch_preview import preview_branch
from controller.daemon import Daemon
from controller.repositories import BranchRules
from controller.source import Source
from events.kernel.errors import OutsideError, UserError
from gitops.config.controller import ControllerFile
from gitops.source.trust import Mode, Verification
from tests.support.controllers import SimulatedController
from tests.support.git_calls import counted_git
from tests.support.repos import Repository, git
from tests.support.signing import SshPerson


@dataclass(slots=True)
class Scene:
    """A controller, a repository, and two people: alice may deploy, mallory may not."""

    controller: SimulatedController
    repository: Repository
    alice: SshPerson
    mallory: SshPerson
    signers: Path

    def verify(self, mode: Mode) -> None:
        """What the operator wants from now on."""
        wanted = Verification(mode=mode, signers=None if mode == "none" else self.signers)
        self.controller.verification = wanted

    def merge(self, person: SshPerson | None, *, web: str, project: str | None = None) -> str:
        """A commit that somebody signs, or nobody."""
        git("config", "commit.gpgSign", "false" if person is None else "true", cwd=self.repository.work)
        if person is not None:
            person.configure(self.repository.work)
        given = {} if project is None else {"project": project}
        return self.controller.merge(web=web, **given)

    def tag(self, name: str = "v1") -> None:
        """Alice signs a tag at the head and pushes it."""
        self.alice.configure(self.repository.work)
        git("tag", "--force", "--sign", name, "--message", name, cwd=self.repository.work)
        git("push", "--quiet", "--force", "origin", f"refs/tags/{name}", cwd=self.repository.work)

    def refused(self) -> str:
        """The rule by which a look refuses the tip."""
        with pytest.raises(UserError) as caught:
            self.controller.look()
        return caught.value.code

    def observed(self) -> list[dict[str, object]]:
        """What the `RevisionObserved` events say, oldest first."""
        return [
            json.loads(event.data) for event in self.controller.log.read() if event.type == "RevisionObserved"
        ]

    def runs(self, web: str) -> bool:
        """Whether the web service runs that image."""
        world = self.controller.engine.world
        return world.named("shop-prod-web-1").image == world.images[web]


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Scene:
    alice = SshPerson.create(tmp_path / "keys", "alice")
    mallory = SshPerson.create(tmp_path / "keys", "mallory")
    signers = tmp_path / "signers"
    signers.write_text(alice.line())
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    made = Scene(controller, repository, alice, mallory, signers)
    made.verify("head")
    return made


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


def _daemon(scene: Scene) -> Daemon:
    context = scene.controller.context
    source = Source(context=context, place=scene.controller.place(), config_path="stagecraft.yml")
    return Daemon(
        context=context,
        sources=[source],
        settings=ControllerFile(),
        say=scene.controller.said.append,
        whisper=lambda _: None,
    )


@pytest.mark.parametrize("kind", ["refused", "unusable"])
def test_a_pass_leaves_the_reason_of_a_refusal_in_place(scene: Scene, kind: str) -> None:
    scene.merge(scene.alice, web="web:1")

    async def story() -> None:
        daemon = _daemon(scene)
        await daemon.look()
        await daemon.keeper.queues.finished()
        if kind == "refused":
            scene.merge(None, web="web:2")
        else:
            scene.merge(scene.alice, web="web:2", project="project: [")
        await daemon.look()
        before = scene.controller.types
        daemon.keeper.queues.wake("shop/prod", "pass")
        await daemon.keeper.queues.finished()
        assert scene.controller.types == before
        assert scene.controller.state.git.failure is not None
        scene.controller.engine.world.containers.clear()
        daemon.keeper.queues.wake("shop/prod", "engine")
        await daemon.keeper.queues.finished()
        assert scene.controller.types[-1] == "DriftHealed"
        assert scene.controller.state.git.failure is not None
        scene.merge(scene.alice, web="web:3", project="project: {name: shop}\nenvironments: {prod: {}}\n")
        await daemon.look()
        await daemon.keeper.queues.finished()

    asyncio.run(story())
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:3")


def test_what_was_accepted_and_held_back_waits_while_the_tip_is_refused(scene: Scene) -> None:
    scene.merge(scene.alice, web="web:1")

    async def story() -> None:
        daemon = _daemon(scene)
        await daemon.look()
        await daemon.keeper.queues.finished()
        await asyncio.to_thread(scene.controller.hold)
        accepted = scene.merge(scene.alice, web="web:2")
        await daemon.look()
        await daemon.keeper.queues.finished()
        scene.merge(None, web="web:3")
        await daemon.look()
        await asyncio.to_thread(scene.controller.resume)
        daemon.keeper.queues.wake("shop/prod", "pass")
        await daemon.keeper.queues.finished()
        assert scene.runs("web:1")
        failure = scene.controller.state.git.failure
        assert failure is not None
        assert failure.code == "commit-unsigned"
        git("push", "--quiet", "--force", "origin", f"{accepted}:main", cwd=scene.repository.work)
        await daemon.look()
        await daemon.keeper.queues.finished()

    asyncio.run(story())
    assert scene.controller.state.git.failure is None
    assert scene.runs("web:2")


def test_a_look_at_an_accepted_tip_asks_no_keys(scene: Scene, tmp_path: Path) -> None:
    scene.merge(scene.alice, web="web:1")
    scene.controller.look()
    nowhere = tmp_path / "nowhere"
    scene.controller.verification = replace(scene.controller.verification, signers=nowhere)
    (outcome,) = scene.controller.look()
    assert outcome.status == "in-sync"


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
