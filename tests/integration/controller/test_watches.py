"""Several branches watched at once: real Git, a simulated engine, one loop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from controller.api.hooks import Door
from controller.api.secrets import hook_secrets
from controller.api.server import listen
from controller.daemon import CONTROLLER_RUNNING, Daemon
from controller.listed import listed_branches
from controller.source import Source
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from gitops.config.controller import load_controller_file
from tests.support.controllers import SimulatedController
from tests.support.git_calls import counted_git
from tests.support.repos import Repository, git
from tests.support.stories import tell, tell_beside, until

BOTH = "project: {name: shop}\nenvironments: {prod: {}, staging: {}}\n"
POLL = "poll: {interval: 200ms, jitter: 10ms, longest: 400ms, stale_after: 10m}\n"


@dataclass(slots=True)
class _Scene:
    controller: SimulatedController
    folder: Path
    said: list[str] = field(default_factory=list[str])
    whispered: list[str] = field(default_factory=list[str])

    def daemon(self, *entries: str, settings: str = "") -> Daemon:
        """A daemon for a `controller.yml` with these entries."""
        path = self.folder / "controller.yml"
        path.write_text(settings + "repositories:\n" + "".join(f"  - {{{one}}}\n" for one in entries))
        file = load_controller_file(path, required=True)
        context = self.controller.context
        return Daemon(
            context=context,
            sources=[
                Source(context=context, place=place, config_path="stagecraft.yml")
                for place in listed_branches(context.home, file, path=path)
            ],
            settings=file,
            say=self.said.append,
            whisper=self.whispered.append,
        )

    @property
    def url(self) -> str:
        return f"url: {self.controller.repository.origin}"

    def runs(self, environment: str, image: str) -> bool:
        """Whether what runs there is made of this image."""
        world = self.controller.engine.world
        wanted = world.images[image]
        return any(
            one.name == f"shop-{environment}-web-1" and one.image == wanted
            for one in world.containers.values()
        )


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> _Scene:
    """`main` and `next`, which declare the same environments and differ in their images."""
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    controller.context = replace(controller.context, clock=SystemClock())
    controller.merge(project=BOTH, web="web:main")
    repository.branch("next")
    controller.merge(project=BOTH, web="web:next")
    return _Scene(controller, tmp_path)


@pytest.fixture
def git_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What git was asked by anybody since the last time, one line a process."""
    return counted_git(tmp_path, monkeypatch)


def test_each_branch_deploys_its_own_environments(scene: _Scene) -> None:
    daemon = scene.daemon(
        f"{scene.url}, environments: [prod]", f"{scene.url}, branch: next, environments: [staging]"
    )

    async def story() -> None:
        await daemon.look()
        await daemon.keeper.queues.finished()

    tell(story)
    assert scene.runs("prod", "web:main")
    assert scene.runs("staging", "web:next")
    assert sorted(daemon.keeper.titles()) == ["shop/prod", "shop/staging"]
    assert len({source.place.watched.mirror for source in daemon.sources}) == 1


def test_an_environment_that_both_declare_is_worked_on_for_one_of_them(scene: _Scene) -> None:
    daemon = scene.daemon(scene.url, f"{scene.url}, branch: next")

    async def story() -> None:
        await daemon.look()
        await daemon.keeper.queues.finished()
        scene.controller.merge(project=BOTH, web="web:later")
        await daemon.look()
        await daemon.keeper.queues.finished()

    tell(story)
    assert scene.runs("prod", "web:main")
    assert daemon.keeper.titles() == ["shop/prod", "shop/staging"]
    assert scene.controller.types.count("EnvironmentLeftOut") == 2


def test_a_repository_that_hangs_delays_no_other(scene: _Scene, tmp_path: Path) -> None:
    silent = tmp_path / "silent.git"
    git("clone", "--quiet", "--bare", str(scene.controller.repository.origin), str(silent), cwd=tmp_path)
    (silent / "HEAD").unlink()
    os.mkfifo(silent / "HEAD")  # whoever opens it waits
    daemon = scene.daemon(f"url: {silent}", f"{scene.url}, environments: [prod]", settings=POLL)

    async def story() -> None:
        await until(lambda: scene.runs("prod", "web:main"))
        scene.controller.repository.switch("main")
        scene.controller.merge(project=BOTH, web="web:2")
        await until(lambda: scene.runs("prod", "web:2"))
        assert not daemon.sources[0].looked

    tell_beside(daemon, story)


def test_one_that_fails_is_asked_less_often_and_the_others_as_before(scene: _Scene, tmp_path: Path) -> None:
    daemon = scene.daemon(f"url: {tmp_path / 'away.git'}", scene.url, settings=POLL)
    polls = {str(watch.key): f"{watch.key}: look at the branch: poll" for watch in daemon.watches}

    async def story() -> None:
        good = polls[str(daemon.watches[1].key)]
        await until(lambda: scene.whispered.count(good) >= 6)
        bad = polls[str(daemon.watches[0].key)]
        assert scene.whispered.count(bad) < scene.whispered.count(good)

    tell_beside(daemon, story)
    failures = [line for line in scene.said if "no Git repository at" in line]
    assert len(failures) == 1
    assert failures[0].startswith("main of ")


def test_a_branch_that_has_not_moved_costs_one_git_process_with_two_hundred_environments(
    scene: _Scene, git_calls: Callable[[], list[str]]
) -> None:
    environments = ", ".join(f"e{number}: {{}}" for number in range(200))
    scene.controller.repository.switch("main")
    scene.controller.merge(
        project=f"project: {{name: shop}}\nenvironments: {{{environments}}}\n", web="web:1"
    )
    (source,) = scene.daemon(scene.url).sources

    async def story() -> None:
        found = await source.look()
        assert (found.status, found.changed, len(source.titles())) == ("seen", True, 200)
        git_calls()
        before = scene.controller.log.head()
        found = await source.look()
        assert (found.status, found.changed) == ("seen", False)
        (call,) = git_calls()
        assert "ls-remote" in call
        assert scene.controller.log.head() == before
        assert scene.controller.context.observed.answers()

    tell(story)


def test_a_pass_sees_that_the_mirror_lost_the_commit(
    scene: _Scene, git_calls: Callable[[], list[str]]
) -> None:
    (source,) = scene.daemon(scene.url).sources

    async def story() -> None:
        await source.look()
        for found in scene.controller.context.home.mirrors.glob("*/objects/*/*"):
            found.unlink()
        git_calls()
        await source.look()
        assert not any("fetch" in one for one in git_calls())
        await source.look(thorough=True)
        assert any("fetch" in one for one in git_calls())

    tell(story)


def test_a_refused_commit_leaves_the_reason_standing_through_passes(scene: _Scene) -> None:
    repository = scene.controller.repository
    repository.switch("main")
    daemon = scene.daemon(f"{scene.url}, environments: [prod]")

    async def passes() -> None:
        await daemon.look()
        daemon.keeper.wake_all("pass")
        await daemon.keeper.queues.finished()

    async def story() -> None:
        await passes()
        good = repository.head()
        git("commit", "--quiet", "--amend", "--message", "other", cwd=repository.work)
        repository.push("--force")
        await passes()
        before = scene.controller.types
        scene.controller.engine.world.containers.clear()
        await passes()
        assert scene.runs("prod", "web:main"), "what is deployed is healed"
        new = scene.controller.types[len(before) :]
        assert "DeploySkipped" not in new
        failure = scene.controller.state.git.failure
        assert failure is not None
        assert failure.code == "history-rewritten"
        git("push", "--quiet", "--force", "origin", f"{good}:main", cwd=repository.work)
        await daemon.look()
        await daemon.keeper.queues.finished()
        assert scene.controller.state.git.failure is None

    tell(story)


def test_two_daemons_share_no_repository(scene: _Scene) -> None:
    first = scene.daemon(f"{scene.url}, environments: [prod]")
    second = scene.daemon(f"{scene.url}, branch: next, environments: [staging]")

    async def story() -> None:
        await until(lambda: any("start" in line for line in scene.whispered))
        with pytest.raises(OutsideError) as refused:
            await second.run(asyncio.Event())
        assert refused.value.code == CONTROLLER_RUNNING

    tell_beside(first, story)


def test_the_interval_of_an_entry_is_its_own(scene: _Scene) -> None:
    daemon = scene.daemon(f"{scene.url}, interval_seconds: 7", f"{scene.url}, branch: next")
    slow, usual = daemon.watches
    assert (slow.freshness.settings.interval, usual.freshness.settings.interval) == (7, 30)


def test_many_branches_of_one_repository_are_all_seen_at_the_first_look(scene: _Scene) -> None:
    names = [f"team/{number}" for number in range(8)]
    for name in names:
        git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}", cwd=scene.controller.repository.work)
    daemon = scene.daemon(*(f"{scene.url}, branch: {name}, environments: [prod]" for name in names))

    async def story() -> None:
        for source in daemon.sources:  # so that no fetch keeps the looks apart
            await source.place.watched.mirror.fetch(source.place.branch)
        for found in await asyncio.gather(*(source.look() for source in daemon.sources)):
            assert (found.status, found.changed) == ("seen", True)

    tell(story)
    assert scene.controller.types.count("RevisionObserved") == len(names)
    assert daemon.keeper.titles() == ["shop/prod"]


def test_a_repository_that_is_not_to_be_followed_is_polled_alone(scene: _Scene) -> None:
    daemon = scene.daemon(f"{scene.url}, watch: false", settings=POLL)

    async def story() -> None:
        await until(lambda: scene.runs("prod", "web:main"))
        scene.controller.repository.switch("main")
        scene.controller.merge(project=BOTH, web="web:2")
        await until(lambda: scene.runs("prod", "web:2"))

    tell_beside(daemon, story)
    assert not any("refs changed" in line for line in scene.whispered)


def test_a_tag_is_noticed_at_once_and_deployed_where_tags_are_watched(scene: _Scene) -> None:
    """Nothing else could: the next poll is an hour away."""
    repository = scene.controller.repository
    tags = "tags: '>=1.2 <2', environments: [prod], interval_seconds: 3600"
    daemon = scene.daemon(f"{scene.url}, {tags}", f"{scene.url}, branch: next, environments: [staging]")

    def tag(name: str) -> None:
        git("push", "--quiet", "origin", f"HEAD:refs/tags/{name}", cwd=repository.work)

    async def story() -> None:
        await until(lambda: scene.runs("staging", "web:next"))
        assert not scene.runs("prod", "web:next")
        await asyncio.to_thread(tag, "v1.2.0")
        await until(lambda: scene.runs("prod", "web:next"))
        await asyncio.to_thread(_pushed, scene, "web:2")
        await asyncio.to_thread(tag, "v2.0.0")
        await asyncio.to_thread(tag, "v1.3.0")
        await until(lambda: scene.runs("prod", "web:2"))

    tell_beside(daemon, story)
    assert any("tags >=1.2 <2 is at v1.3.0 (" in line for line in scene.said)
    assert len({source.place.watched.mirror for source in daemon.sources}) == 1


def test_a_signed_webhook_has_its_branches_looked_at_and_no_other(scene: _Scene) -> None:
    """Nothing else could: the files are not followed, and the next poll is an hour away."""
    never = "watch: false, interval_seconds: 3600"
    hooks = "webhooks: {github: {secret_env: SECRET}}"
    daemon = scene.daemon(f"{scene.url}, branch: main, environments: [prod], {never}, {hooks}")
    secrets = hook_secrets([source.place for source in daemon.sources], {"SECRET": "between us"})
    (slug,) = secrets

    async def story() -> None:
        await until(lambda: scene.runs("prod", "web:main"))
        pushed = await asyncio.to_thread(_pushed, scene, "web:pushed")
        refused = await asyncio.to_thread(_delivered, scene.said, b"another")
        looked = len(scene.whispered)
        assert await asyncio.to_thread(_delivered, scene.said, b"between us") == 202
        await until(lambda: scene.runs("prod", "web:pushed"))
        assert refused == 401
        assert any("github webhook" in line for line in scene.whispered[looked:])
        assert scene.controller.state.git.revision == pushed

    with listen("127.0.0.1:0") as listening:
        daemon.door = Door(listening=listening, secrets=secrets)
        tell_beside(daemon, story)
    assert any(f"/hooks/github/{slug}" in line for line in scene.said)


def _pushed(scene: _Scene, image: str) -> str:
    scene.controller.repository.switch("main")
    return scene.controller.merge(project=BOTH, web=image)


def _delivered(said: list[str], secret: bytes) -> int:
    """Post to the address that the daemon said, and answer the status."""
    url = next(line.rpartition(" ")[2] for line in said if "/hooks/" in line)
    body = b'{"ref": "refs/heads/other", "after": "0000000000000000000000000000000000000000"}'
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}"}
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=30).status_code
