"""Branches behind real servers, over SSH and HTTP: deployed from, kept while those fail, taken up again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from controller.api.hooks import Door
from controller.api.secrets import hook_secrets
from controller.api.server import listen
from controller.daemon import Daemon
from controller.listed import listed_branches
from controller.source import Source
from events.kernel.clock import SystemClock
from gitops.config.controller import load_controller_file
from tests.integration.gitops.githost import GitHost, Trouble, serving
from tests.support.controllers import SimulatedController
from tests.support.git_ssh import SshGitHost, ssh_git_host
from tests.support.repos import Repository
from tests.support.stories import tell_beside, until

TOKEN = "t0ken-0f-a-r0bot-that-nobody-sees"  # noqa: S105  # of a server that lives for one test
POLL = "poll: {interval: 200ms, jitter: 10ms, longest: 400ms, stale_after: 10m}\n"


@dataclass(kw_only=True)
class Scene:
    controller: SimulatedController
    folder: Path
    said: list[str] = field(default_factory=list[str])

    def daemon(self, entry: str, *, settings: str = POLL) -> Daemon:
        """A daemon that watches one branch."""
        path = self.folder / "controller.yml"
        path.write_text(f"{settings}repositories: [{{{entry}}}]\n")
        file = load_controller_file(path, required=True)
        context = self.controller.context
        (place,) = listed_branches(context.home, file, path=path)
        return Daemon(
            context=context,
            sources=[Source(context=context, place=place, config_path="stagecraft.yml")],
            settings=file,
            say=self.said.append,
            whisper=lambda _text: None,
        )

    def runs(self, image: str) -> bool:
        """Whether what is deployed is made of this image, and runs."""
        world = self.controller.engine.world
        return any(one.image == world.images[image] for one in world.containers.values())

    def failing(self) -> str:
        """What `status` says of Git: the words of the last failure, empty while it answers."""
        failure = self.controller.context.observed.source_failure("shop/prod")
        return "" if failure is None else failure.error


@pytest.fixture
def scene(repository: Repository, tmp_path: Path) -> Scene:
    controller = SimulatedController(repository=repository, folder=tmp_path / "home")
    controller.context = replace(controller.context, clock=SystemClock())
    controller.merge(web="web:1")
    return Scene(controller=controller, folder=tmp_path)


@pytest.fixture
def ssh(tmp_path: Path) -> Generator[SshGitHost]:
    with ssh_git_host(tmp_path / "sshd") as host:
        yield host


def test_a_branch_over_ssh_is_deployed_from_and_a_changed_host_key_is_told_and_never_trusted(
    scene: Scene, ssh: SshGitHost
) -> None:
    controller = scene.controller
    daemon = scene.daemon(ssh.entry(controller.repository.origin))

    async def story() -> None:
        await until(lambda: scene.runs("web:1"))
        controller.merge(web="web:2")
        await until(lambda: scene.runs("web:2"))
        ssh.change_key()
        await until(lambda: "git-host-key-refused" in scene.failing())
        controller.merge(web="web:3")
        asked = _lines(ssh.folder / "sshd.log")
        await until(lambda: _lines(ssh.folder / "sshd.log") > asked + 3)  # it goes on asking, in vain
        assert scene.runs("web:2")
        ssh.knows()
        await until(lambda: scene.runs("web:3"))

    tell_beside(daemon, story)
    (told,) = [line for line in scene.said if "git-host-key-refused" in line]
    assert "another host key than the known one" in told
    assert "the repository answers again" in scene.said


def _lines(file: Path) -> int:
    return len(file.read_text(errors="replace").splitlines())


def test_a_branch_over_http_is_deployed_from_with_a_token_that_nobody_sees(scene: Scene) -> None:
    """It is in no arguments, not in the log, in nothing that is said, and goes to one server alone."""
    controller = scene.controller
    host = GitHost(root=controller.repository.origin.parent, user="robot", word=TOKEN)
    other = GitHost(root=host.root)
    seen = list[str]()

    def deployed(image: str) -> Callable[[], bool]:
        def holds() -> bool:
            seen.append(_processes())
            return scene.runs(image)

        return holds

    with serving(host) as port, serving(other) as away:
        daemon = scene.daemon(f"url: 'http://robot:{TOKEN}@127.0.0.1:{port}/origin.git'")

        async def story() -> None:
            await until(deployed("web:1"))
            controller.merge(web="web:2")
            await until(deployed("web:2"))
            host.word = "an0ther-w0rd"
            await until(lambda: "git-login-refused" in scene.failing())
            host.word, host.redirect = TOKEN, f"http://localhost:{away}"
            await until(lambda: bool(other.requests))
            host.redirect = None
            controller.merge(web="web:3")
            await until(deployed("web:3"))

        tell_beside(daemon, story)
    assert any("ls-remote" in processes for processes in seen)
    assert any("Basic" in given for given in host.authorizations)
    assert other.authorizations == {""}
    everything = [*seen, *scene.said, *controller.said, scene.failing()]
    everything += [event.data.decode() for event in controller.log.read()]
    assert not [text for text in everything if TOKEN in text]


def _processes() -> str:
    """The arguments of all processes of this machine."""
    found = list[str]()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            found.append((process / "cmdline").read_text(errors="replace").replace("\0", " "))
    return "\n".join(found)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(cut=True), id="cut"),
        pytest.param(Trouble(cut=True, in_packs=True), id="cut in a pack"),
        pytest.param(Trouble(status=500), id="500"),
        pytest.param(Trouble(lie=("what it has", "d" * 40)), id="a commit that it does not have"),
    ],
)
def test_what_runs_is_kept_and_healed_while_a_server_is_in_trouble_and_the_news_are_taken_afterwards(
    scene: Scene, trouble: Trouble
) -> None:
    controller = scene.controller
    host = GitHost(root=controller.repository.origin.parent)
    with serving(host) as port:
        daemon = scene.daemon(f"url: 'http://127.0.0.1:{port}/origin.git'")

        async def story() -> None:
            await until(lambda: scene.runs("web:1") and "ReleaseCompleted" in controller.types)
            host.trouble = trouble
            if trouble.lie is None:
                controller.merge(web="web:2")
            else:
                host.trouble = Trouble(lie=(controller.repository.head(), trouble.lie[1]))
            await until(lambda: "git-unreachable" in scene.failing())
            controller.engine.world.containers.clear()
            daemon.keeper.wake_all("test")
            await until(lambda: scene.runs("web:1"))
            host.trouble = Trouble()
            if trouble.lie is not None:
                controller.merge(web="web:2")
            await until(lambda: scene.runs("web:2") and not scene.failing())

        tell_beside(daemon, story)
    assert scene.said.count("the repository answers again") == 1


def test_a_server_that_is_asked_too_often_is_left_alone_for_the_longest_interval(scene: Scene) -> None:
    host = GitHost(root=scene.controller.repository.origin.parent)
    settings = "poll: {interval: 200ms, jitter: 10ms, longest: 1h, stale_after: 10m}\n"
    with serving(host) as port:
        daemon = scene.daemon(f"url: 'http://127.0.0.1:{port}/origin.git'", settings=settings)

        async def story() -> None:
            await until(lambda: scene.runs("web:1"))
            host.trouble = Trouble(status=429, headers=(("Retry-After", "120"),))
            await until(lambda: "git-asked-too-often" in scene.failing())
            (watch,) = daemon.watches
            due = watch.schedule.next_run(watch.job)
            assert due is not None
            assert due > watch.context.clock.now() + timedelta(minutes=30)
            asked = len(host.requests)
            daemon.want_look("webhook")  # whoever knows of something new may ask all the same
            await until(lambda: len(host.requests) > asked)
            host.trouble = Trouble()
            daemon.want_look("webhook")
            await until(lambda: not scene.failing())

        tell_beside(daemon, story)


def test_deliveries_that_come_while_a_server_is_silent_are_one_look_afterwards(scene: Scene) -> None:
    host = GitHost(root=scene.controller.repository.origin.parent)
    settings = "poll: {interval: 1h, longest: 1h}\n"
    hooks = "webhooks: {generic: {secret_env: SECRET}}"
    with serving(host) as port, listen("127.0.0.1:0") as listening:
        daemon = scene.daemon(f"url: 'http://127.0.0.1:{port}/origin.git', {hooks}", settings=settings)
        secrets = hook_secrets([source.place for source in daemon.sources], {"SECRET": "between us"})
        daemon.door = Door(listening=listening, secrets=secrets)

        def questions() -> int:
            return sum("/info/refs" in path for path in host.requests)

        async def story() -> None:
            await until(lambda: scene.runs("web:1"))
            host.requests.clear()
            host.trouble = Trouble(silent=True)
            daemon.want_look("test")
            await until(lambda: questions() == 1)
            assert set(await asyncio.to_thread(_delivered, scene.said)) == {202}
            host.trouble = Trouble()
            host.closing.set()
            await until(lambda: questions() == 2 and not scene.failing())
            await asyncio.to_thread(_delivered, scene.said, 1)
            await until(lambda: questions() == 3)  # so there was no other in between

        tell_beside(daemon, story)


def _delivered(said: list[str], times: int = 25) -> list[int]:
    """Post to the address that the daemon said; answers the statuses."""
    url = next(line.rpartition(" ")[2] for line in said if "/hooks/" in line)
    signature = hmac.new(b"between us", b"{}", hashlib.sha256).hexdigest()
    headers = {"X-Stagecraft-Signature": f"sha256={signature}"}
    with httpx.Client(trust_env=False, timeout=30, headers=headers) as client:
        return [client.post(url, content=b"{}").status_code for _ in range(times)]
