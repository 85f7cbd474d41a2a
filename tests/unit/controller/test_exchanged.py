"""What the log knows of the last exchanges, as far as a plan tells of it."""

from __future__ import annotations

from pathlib import Path

from controller.changes import Outage
from controller.exchanged import last_exchanges
from projections.converge.foresight import Known, foretell
from projections.converge.strategy import OF_THE_IMAGE
from tests.unit.projections.converge.scene import HOST, IN_PLACE, Scene, Spec, manifest_of


def test_the_length_is_that_of_the_newest_exchange_in_place(tmp_path: Path) -> None:
    scene = Scene(root=tmp_path)
    scene.have("web:1", "web:2", "web:3", "db:1")
    before = manifest_of(web=Spec(more=IN_PLACE), db=Spec(image="db:1"))
    releases = [scene.deploy(before).release]
    assert last_exchanges(scene.log, releases=releases).in_place_seconds == {}
    for number, seconds in ((2, 4.0), (3, 1.5)):
        after = manifest_of(web=Spec(image=f"web:{number}", more=IN_PLACE), db=Spec(image="db:1"))

        def take(name: str, _argument: str, seconds: float = seconds) -> None:
            if name == "up":
                scene.clock.advance(seconds)

        scene.engine.before = take
        releases.append(scene.deploy(after, before).release)
        before = after
    assert last_exchanges(scene.log, releases=releases).in_place_seconds == {(HOST, "web"): 1.5}
    assert last_exchanges(scene.log, releases=[]).in_place_seconds == {}


def test_a_volume_of_the_image_is_known_since_its_containers_came_and_foretold(tmp_path: Path) -> None:
    scene = Scene(root=tmp_path)
    scene.have("web:1", "web:2")

    def declare(name: str, _argument: str) -> None:
        if name == "up-done":
            scene.engine.world.named("hello-prod-web-1").volumes = ("a" * 64,)

    scene.engine.before = declare
    first, second = manifest_of(web=Spec()), manifest_of(web=Spec(image="web:2"))
    release = scene.deploy(first).release
    found = last_exchanges(scene.log, releases=[release])
    assert found.image_volumes == {(HOST, "web")}
    (operation,) = foretell(second, first, Known(image_volumes=found.image_volumes))[HOST].operations
    assert (operation.beside, operation.because) == (False, (OF_THE_IMAGE,))
    scene.engine.calls.clear()
    scene.deploy(second, first)
    assert scene.engine.count("up_beside") == 0


def test_an_outage_says_how_long_in_one_line() -> None:
    outage = Outage(host=HOST, service="web", causes=("network of the host",), at_most_seconds=120.0)
    assert outage.length == "until its gate passes, at most 120 s"
    known = Outage(host=HOST, service="web", causes=(), at_most_seconds=0.5, expected_seconds=1.44)
    assert known.length == "about 1.4 s as the last time, until its gate passes, at most 0.5 s"
