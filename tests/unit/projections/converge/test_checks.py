"""What is found out before the first container is touched."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from events.kernel.errors import OutsideError, StagecraftError, UserError
from events.manifest import ImagePin, Job, Manifest, kept_image_name
from projections.converge.checks import check, check_prediction, predict, prepare
from projections.converge.plan import Question, plan
from projections.engine.port import App
from tests.support.time import FakeClock
from tests.unit.projections.converge.scene import (
    COMPOSE_PROJECT,
    HOST,
    Scene,
    Spec,
    identity_labels,
    image_id,
    manifest_of,
)

PORT = {"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]}
DIGEST = "sha256:" + "d" * 64


def ready(scene: Scene, manifest: Manifest) -> App:
    """Plan, prepare and check as a Release does."""

    async def run() -> App:
        question = Question(host=HOST, owner=scene.site.owner, compose_project=COMPOSE_PROJECT)
        found = await scene.engine.containers(COMPOSE_PROJECT)
        made = plan(manifest.hosts[HOST], found, question)
        app = await prepare(scene.site, manifest, made)
        await check(scene.site, app, made)
        await check_prediction(scene.site, await predict(scene.site, app, made))
        return app

    return asyncio.run(run())


def refused(scene: Scene, manifest: Manifest) -> StagecraftError:
    with pytest.raises(StagecraftError) as raised:
        ready(scene, manifest)
    assert not [
        name
        for name, _ in scene.engine.calls
        if name in {"up", "up_beside", "run_job", "remove", "stop", "start"}
    ]
    return raised.value


def with_digest(ref: str = "web:9") -> Manifest:
    """A service that is pinned by the digest of a registry."""
    made = manifest_of(web=Spec())
    pin = ImagePin(ref=ref, pin=DIGEST, pin_kind="repo-digest")
    content = made.hosts[HOST]
    content.compose["services"]["web"]["image"] = pin.pinned_text
    service = content.services["web"].model_copy(update={"image": pin})
    host = content.model_copy(update={"services": {"web": service}})
    return made.model_copy(update={"hosts": {HOST: host}})


KEPT = kept_image_name(
    ImagePin(ref="web:9", pin=DIGEST, pin_kind="repo-digest"), project="hello", service="web"
)


def test_image_that_is_there_gets_our_tag_and_is_not_pulled(scene: Scene) -> None:
    ready(scene, manifest_of(web=Spec()))
    kept = f"stagecraft.local/hello/web:{image_id('web:1').removeprefix('sha256:')[:16]}"
    assert scene.engine.world.images[kept] == image_id("web:1")
    assert scene.engine.count("pull") == 0


def test_tag_that_is_right_is_not_given_again_and_one_that_moved_is(scene: Scene) -> None:
    ready(scene, manifest_of(web=Spec()))
    ready(scene, manifest_of(web=Spec()))
    assert scene.engine.count("tag") == 1
    kept = next(name for name in scene.engine.world.images if name.startswith("stagecraft.local"))
    scene.engine.world.images[kept] = image_id("db:1")
    ready(scene, manifest_of(web=Spec()))
    assert scene.engine.world.images[kept] == image_id("web:1")


def test_image_by_id_that_is_gone_is_an_outside_failure(scene: Scene) -> None:
    error = refused(scene, manifest_of(web=Spec(image="gone:1")))
    assert isinstance(error, OutsideError)
    assert error.code == "image-not-found"
    assert (error.where.service, error.where.host) == ("web", HOST)
    assert image_id("gone:1") in error.why


def test_image_by_digest_is_pulled_by_its_pin_and_kept(scene: Scene) -> None:
    scene.engine.world.registry[f"web:9@{DIGEST}"] = "sha256:pulled"
    app = ready(scene, with_digest())
    assert ("pull", f"web:9@{DIGEST}") in scene.engine.calls
    assert scene.engine.world.images[KEPT] == "sha256:pulled"
    assert app.document["services"]["web"]["image"] == f"web:9@{DIGEST}"
    assert any("pull" in line for line in scene.told)


def test_image_by_digest_that_only_our_tag_keeps_is_used_by_id(scene: Scene) -> None:
    scene.engine.world.images[KEPT] = "sha256:kept"
    app = ready(scene, with_digest())
    assert app.document["services"]["web"]["image"] == "sha256:kept"
    assert scene.engine.count("pull") == 0


def test_image_that_no_registry_has_is_refused_with_its_place(scene: Scene) -> None:
    error = refused(scene, with_digest())
    assert (error.code, error.where.service) == ("image-not-found", "web")


def test_unchanged_services_need_no_image(scene: Scene) -> None:
    manifest = manifest_of(web=Spec())
    scene.deploy(manifest)
    scene.engine.world.images.clear()
    scene.engine.calls.clear()
    ready(scene, manifest)
    assert {name for name, _ in scene.engine.calls} == {"containers"}


def test_jobs_need_their_image_too(scene: Scene) -> None:
    assert refused(scene, manifest_of(m=Spec(image="gone:1", job=Job()))).where.service == "m"


def test_port_of_another_container_is_taken(scene: Scene) -> None:
    other = manifest_of(x=Spec(more=PORT))
    scene.deploy(other)
    for one in scene.engine.world.containers.values():
        one.labels = {"com.docker.compose.project": "elsewhere"}
        one.name = "somebody"
    scene.engine.calls.clear()
    error = refused(scene, manifest_of(web=Spec(more=PORT)))
    assert isinstance(error, OutsideError)
    assert (error.code, error.where.service) == ("port-taken", "web")
    assert "somebody" in error.why


def test_port_of_a_container_that_is_replaced_is_free(scene: Scene) -> None:
    scene.deploy(manifest_of(web=Spec(more=PORT)))
    ready(scene, manifest_of(web=Spec(image="web:2", more=PORT)))


def test_port_of_our_container_that_stays_is_taken(scene: Scene) -> None:
    first = manifest_of(web=Spec(more=PORT))
    scene.deploy(first)
    scene.engine.calls.clear()
    error = refused(scene, manifest_of(web=Spec(more=PORT), b=Spec(more=PORT)))
    assert (error.code, error.where.service) == ("port-taken", "b")


def test_port_for_a_container_that_is_only_started_is_checked(scene: Scene) -> None:
    manifest = manifest_of(web=Spec(more=PORT))
    scene.deploy(manifest)
    scene.engine.world.named("hello-prod-web-1").stopped = "exited"
    other = scene.engine.add("somebody", image="db:1")
    scene.engine.world.containers[other].ports = scene.engine.world.named("hello-prod-web-1").ports
    scene.engine.calls.clear()
    error = refused_without_start(scene, manifest)
    assert error.code == "port-taken"


@contextlib.contextmanager
def listening() -> Generator[tuple[dict[str, Any], socket.socket]]:
    """A process that holds a port of this machine, and the definition of a service that wants it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        wish = {"target": 80, "published": port, "host_ip": "127.0.0.1", "protocol": "tcp"}
        yield {"ports": [wish]}, held


class MeanwhileClock(FakeClock):
    """Somebody else does something a second after `in_a_second` was called."""

    def __init__(self) -> None:
        super().__init__()
        self._due: tuple[float, Callable[[], object]] | None = None

    def in_a_second(self, action: Callable[[], object]) -> None:
        """Let it happen then."""
        self._due = (self.monotonic() + 1, action)

    async def sleep(self, seconds: float) -> None:
        """Move on, and do what is due."""
        await super().sleep(seconds)
        if self._due is not None and self.monotonic() >= self._due[0]:
            self._due[1]()
            self._due = None


def test_port_that_a_process_keeps_is_taken_after_a_while(tmp_path: Path) -> None:
    scene = Scene(root=tmp_path, ports_are_here=True)
    scene.have("web:1")
    with listening() as (more, _held):
        error = refused(scene, manifest_of(web=Spec(more=more)))
    assert error.code == "port-taken"
    assert "another process" in error.why
    assert sum(scene.clock.slept) == pytest.approx(5)


@pytest.mark.parametrize("held", ["tcp", "udp"])
def test_port_that_the_engine_keeps_for_no_container_is_told_with_what_frees_it(
    tmp_path: Path, held: str
) -> None:
    scene = Scene(root=tmp_path, ports_are_here=True)
    scene.have("web:1")
    with listening() as (more, _held):
        words = ["-proto", held, "-host-ip", "0.0.0.0", "-host-port", more["ports"][0]["published"]]  # noqa: S104
        as_helper = ["/usr/bin/docker-proxy", "-c", "read _", "helper", *words, "-container-port", "80"]
        with subprocess.Popen(as_helper, executable="/bin/sh", stdin=subprocess.PIPE):
            error = refused(scene, manifest_of(web=Spec(more=more)))
    assert error.code == "port-taken"
    assert ("docker-proxy of the engine" in error.why) == (held == "tcp")
    assert ("systemctl restart docker" in error.next) == (held == "tcp")


def test_port_that_is_let_go_meanwhile_is_free(tmp_path: Path) -> None:
    clock = MeanwhileClock()
    scene = Scene(root=tmp_path, clock=clock, ports_are_here=True)
    scene.have("web:1")
    with listening() as (more, held):
        clock.in_a_second(held.close)
        ready(scene, manifest_of(web=Spec(more=more)))
    assert 1 <= sum(clock.slept) < 5


def test_port_of_our_container_that_the_engine_is_starting_is_free(tmp_path: Path) -> None:
    clock = MeanwhileClock()
    scene = Scene(root=tmp_path, clock=clock, ports_are_here=True)
    scene.have("web:1")
    with listening() as (more, held):
        address: tuple[str, int] = held.getsockname()
    manifest = manifest_of(web=Spec(more=more))
    scene.deploy(manifest)
    web = scene.engine.world.named("hello-prod-web-1")
    web.stopped = "exited"
    before = clock.monotonic()
    with socket.create_server(address):  # the engine has taken the port already
        clock.in_a_second(lambda: setattr(web, "stopped", None))
        ready(scene, manifest)
    assert 1 <= clock.monotonic() - before < 5


def refused_without_start(scene: Scene, manifest: Manifest) -> StagecraftError:
    with pytest.raises(StagecraftError) as raised:
        ready(scene, manifest)
    assert scene.engine.count("start") == scene.engine.count("predict") == 0
    return raised.value


def test_name_held_anywhere_on_the_engine_is_a_conflict(scene: Scene) -> None:
    scene.engine.add("hello-prod-web-1", found={})
    error = refused(scene, manifest_of(web=Spec()))
    assert isinstance(error, UserError)
    assert error.code == "container-not-ours"


def test_other_environments_in_their_own_project_are_no_conflict(scene: Scene) -> None:
    scene.engine.add("hello-test-web-1", found=identity_labels("hello", "test", "web"))
    ready(scene, manifest_of(web=Spec()))


def test_composes_question_for_a_volumes_data_is_the_repositorys_fault(scene: Scene) -> None:
    scene.engine.world.volume_question = (
        "Volume hello-prod_data exists but doesn't match. Recreate (data will be lost)?"
    )
    error = refused(scene, manifest_of(web=Spec()))
    assert isinstance(error, UserError)
    assert error.code == "volume-would-be-deleted"
    assert "data will be lost" in error.why


def test_document_that_compose_refuses_is_passed_on_with_its_host(scene: Scene) -> None:
    def refuse(call: str, _argument: str) -> None:
        if call == "predict":
            raise UserError("compose-refused", "no")

    scene.engine.before = refuse
    assert refused(scene, manifest_of(web=Spec())).where.host == HOST
