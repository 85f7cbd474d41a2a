"""A Release over several hosts, killed and cut off at each single call of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from events.manifest import Manifest
from projections.converge.work import ReleaseWork
from tests.support.mortal import Killed
from tests.unit.projections.converge.hosts_scene import APPS, HostsScene, shop
from tests.unit.projections.converge.scene import STREAM

HOSTS = (*APPS, "data", "edge")
FEW = 5  # points that each run takes, evenly spread; those marked slow take all
FIRST, SECOND = shop("1"), shop("2")


@dataclass(frozen=True)
class Story:
    """What is said of the hosts, and on which of them the new version fails."""

    name: str
    max_parallel: int = 1
    max_failures: int = 0
    bad: str = ""

    def begun(self, folder: Path) -> HostsScene:
        scene = HostsScene(root=folder)
        assert scene.release(FIRST, max_parallel=9).status == "completed"
        if self.bad:
            scene.bad(self.bad)
        return scene


STORIES = (
    Story("well"),
    Story("well-side-by-side", max_parallel=3),
    Story("failing", bad="app2"),
    Story("failing-side-by-side", max_parallel=3, bad="app2"),
    Story("failing-and-tolerated", max_failures=1, bad="app1"),
)


def at_each_call(scene: HostsScene, happens: Callable[[int, str], None]) -> None:
    """`happens` is called with the number and the host of each call, and at moments inside of some."""
    number = [0]

    def noting(host: str) -> Callable[[str, str], None]:
        def before(call: str, argument: str) -> None:
            del call, argument
            number[0] += 1
            happens(number[0], host)

        return before

    for host in HOSTS:
        scene.engines[host].before = noting(host)


def calls_of(story: Story, folder: Path) -> int:
    """How many points a run has that nobody disturbs."""
    scene, seen = story.begun(folder), [0]
    at_each_call(scene, lambda number, _: seen.__setitem__(0, number))
    scene.run(work_of(scene, story))
    return seen[0]


def work_of(scene: HostsScene, story: Story) -> ReleaseWork:
    conduct = scene.conduct(max_parallel=story.max_parallel, max_failures=story.max_failures)
    return scene.work(SECOND, FIRST, hosts=conduct)


def wanted(scene: HostsScene) -> Manifest:
    """What is deployed after the newest verdict."""
    return SECOND if scene.types(STREAM).count("ReleaseCompleted") > 1 else FIRST


def settled(scene: HostsScene, story: Story) -> None:
    """After repair and a few heals every host runs what is deployed, and a further heal changes nothing."""
    scene.find(*HOSTS)
    for host in HOSTS:
        scene.engines[host].world.lives.clear()
    manifest = wanted(scene)
    scene.mend(manifest)
    before = len(scene.log.read())
    assert not scene.mend(manifest)
    assert len(scene.log.read()) == before
    version = "2" if manifest == SECOND else "1"
    assert scene.images() == [f"web:{version}"] * 3, story.name
    assert (scene.image("data", "db"), scene.image("edge", "gate")) == (f"db:{version}", f"gate:{version}")


def killed_at(story: Story, point: int, folder: Path) -> None:
    scene = story.begun(folder)
    work = work_of(scene, story)

    def die(number: int, host: str) -> None:
        del host
        if number >= point:
            raise Killed

    at_each_call(scene, die)
    try:
        scene.run(work)
    except Killed:
        scene.find(*HOSTS)
        started = "ReleaseStarted" in scene.types(STREAM)[2:]
        scene.run(scene.again(work) if started else work)
    ends = [
        one
        for one in scene.types(STREAM)
        if one in {"ReleaseCompleted", "ReleaseRolledBack", "ReleaseFailed"}
    ]
    assert len(ends) == 2, "one verdict each"
    assert ends[1] == ("ReleaseRolledBack" if story.bad and not story.max_failures else "ReleaseCompleted")
    settled(scene, story)


def lost_at(story: Story, point: int, folder: Path) -> None:
    scene = story.begun(folder)

    def lose(number: int, host: str) -> None:
        if number == point:
            scene.engines[host].world.reachable = False

    at_each_call(scene, lose)
    verdict = scene.run(work_of(scene, story))
    silent = {host for host in HOSTS if not scene.engines[host].world.reachable}
    for host in HOSTS:
        said = scene.verdicts[host]
        assert (said.status == "unknown") <= (host in silent)
        assert said.digest is None or host in silent or running(scene, host) == said.digest, (host, said)
    assert verdict.status in {"completed", "rolled_back", "failed"}
    if silent:
        with pytest.raises(OutsideError):
            scene.mend(wanted(scene))
    settled(scene, story)


def running(scene: HostsScene, host: str) -> str:
    service = {"data": "db", "edge": "gate"}.get(host, "web")
    return {"1": FIRST.digest, "2": SECOND.digest, "": ""}[
        (scene.image(host, service) or "").rpartition(":")[2]
    ]


@pytest.mark.parametrize("strikes", [killed_at, lost_at], ids=["killed", "lost"])
@pytest.mark.parametrize("story", STORIES, ids=lambda one: one.name)
def test_struck_at_some_calls_it_ends_well(
    story: Story, strikes: Callable[[Story, int, Path], None], tmp_path: Path
) -> None:
    count = calls_of(story, tmp_path / "clean")
    for point in range(1, count + 1, max(1, count // FEW)):
        strikes(story, point, tmp_path / str(point))


@pytest.mark.slow
@pytest.mark.parametrize("strikes", [killed_at, lost_at], ids=["killed", "lost"])
@pytest.mark.parametrize("story", STORIES, ids=lambda one: one.name)
def test_struck_at_every_call_it_ends_well(
    story: Story, strikes: Callable[[Story, int, Path], None], tmp_path: Path
) -> None:
    for point in range(1, calls_of(story, tmp_path / "clean") + 1):
        strikes(story, point, tmp_path / str(point))
