"""Images that only this machine's engine has, brought to hosts that lack them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from events.kernel.errors import OutsideError
from events.manifest import ImagePin, Manifest
from projections.converge.carry import carry
from projections.engine.errors import engine_refused, engine_unreachable
from projections.engine.simulated import SimulatedEngine
from tests.support.time import FakeClock
from tests.unit.projections.converge.hosts_scene import APPS, HostsScene, apps
from tests.unit.projections.converge.scene import image_id

WANTED = image_id("web:2")


class Broken:
    """An engine whose archives end, or are not taken, with an error."""

    def __init__(self, error: OutsideError) -> None:
        self._error = error

    async def save(self, image: str, take: Callable[[bytes], bool]) -> None:
        del image
        await asyncio.to_thread(take, b"half of")
        raise self._error

    async def load(self, archive: Iterable[bytes]) -> None:
        await asyncio.to_thread(lambda: next(iter(archive), None))
        raise self._error


@pytest.fixture
def scene(tmp_path: Path) -> HostsScene:
    """Three hosts that lack an image, which this machine has."""
    made = HostsScene(root=tmp_path)
    made.engines["local"] = SimulatedEngine(clock=made.clock)
    made.engines["local"].world.images["web:2"] = WANTED
    for host in APPS:
        del made.engines[host].world.images["web:2"]
    return made


def engine(clock: FakeClock, *, has: str | None = None) -> SimulatedEngine:
    made = SimulatedEngine(clock=clock)
    if has is not None:
        made.world.images["web:2"] = has
    return made


def test_a_host_gets_an_image_that_only_this_machine_has(scene: HostsScene) -> None:
    verdict = scene.release(apps("2"))
    assert verdict.status == "completed"
    for host in APPS:
        calls = [name for name, _ in scene.engines[host].calls]
        later = [
            name for name in ("predict", "up") if name in calls
        ]  # one dry run does for hosts that are alike
        assert all(calls.index("load") < calls.index(name) for name in later)
        assert "up" in later
        assert WANTED in scene.engines[host].world.images.values()


def test_what_no_registry_gives_a_host_comes_from_here_too(scene: HostsScene) -> None:
    pin = ImagePin(ref="web:2", pin="sha256:" + "5" * 64, pin_kind="repo-digest")
    scene.engines["local"].world.repo_digests[WANTED] = [pin.pinned_text]
    verdict = scene.release(pinned(apps("2"), pin))
    assert verdict.status == "completed"
    containers = [one for host in APPS for one in scene.engines[host].world.containers.values()]
    assert [one.image for one in containers] == [WANTED] * 3


def pinned(manifest: Manifest, pin: ImagePin) -> Manifest:
    data = manifest.model_dump(mode="json")
    for content in data["hosts"].values():
        content["compose"]["services"]["web"]["image"] = pin.pinned_text
        content["services"]["web"]["image"] = pin.model_dump(mode="json")
    return Manifest.model_validate(data)


def test_an_image_that_nobody_has_fails_before_anything_is_touched(scene: HostsScene) -> None:
    scene.engines["local"].world.images.clear()
    verdict = scene.release(apps("2"))
    assert verdict.failure is not None
    assert (verdict.failure.code, scene.done) == ("image-not-found", [])


def test_this_machines_silence_says_nothing_about_the_hosts(scene: HostsScene) -> None:
    scene.engines["local"].world.reachable = False
    verdict = scene.release(apps("2"), on_unreachable="skip")
    assert verdict.failure is not None
    assert verdict.failure.code == "image-not-found"


def test_a_source_that_breaks_off_is_what_failed() -> None:
    clock = FakeClock()
    source = Broken(engine_unreachable("here", "gone"))
    with pytest.raises(OutsideError, match="could not be brought") as caught:
        asyncio.run(carry(WANTED, source=source, target=engine(clock).stock))
    assert (caught.value.code, "gone" in caught.value.why) == ("image-not-carried", True)


def test_a_target_that_refuses_is_what_failed() -> None:
    source = engine(FakeClock(), has=WANTED).stock
    with pytest.raises(OutsideError, match="load the images") as caught:
        asyncio.run(carry(WANTED, source=source, target=Broken(engine_refused("load the images", "full"))))
    assert caught.value.code == "engine-refused"
