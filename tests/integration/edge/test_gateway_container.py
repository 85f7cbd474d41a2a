"""A real Traefik in a container: the engine says where it is, the kernel who is connected through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from events import labels
from events.kernel.clock import SystemClock
from events.kernel.errors import OutsideError
from events.routes import Gateway, Route
from projections.edge.folder import FOLDER
from projections.edge.gateways import GatewayEdges
from projections.edge.port import GATEWAY_SILENT, Backends, Drain, Edge, Place, Server
from projections.engine.docker import DockerEngine
from projections.engine.port import App, Container
from projections.transport.local import LocalTransport
from tests.contract.hosts import reached
from tests.support.cleanup import EngineProject
from tests.support.host_ssh import ssh_host
from tests.support.images import TestImages
from tests.support.traefik import ADMIN_PORT, PROGRAM

GATEWAY = Gateway(service="gateway", admin_port=ADMIN_PORT, entry_points={"web": 80, "raw": 90})
PATIENCE = 30.0
FLAGS = [
    "--providers.file.directory=/dynamic",
    "--providers.file.watch=true",
    "--providers.providersThrottleDuration=100ms",
    "--api=true",
    "--metrics.prometheus=true",
    "--metrics.prometheus.manualrouting=true",
    "--entrypoints.web.address=:80",
    "--entrypoints.raw.address=:90",
    f"--entrypoints.stagecraft.address=:{ADMIN_PORT}",
]
ROUTES = (
    Route(host="web.localhost", service="web", port=8080),
    Route(host="*", service="web", port=8080, protocol="tcp", entry_point="raw"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An environment with a gateway, two containers that may serve, and one that uses them itself."""

    place: Place
    engine: DockerEngine
    client: DockerClient
    edges: GatewayEdges

    @property
    def edge(self) -> Edge:
        made = self.edges.at(self.place, GATEWAY)
        assert made is not None
        return made

    async def named(self, service: str) -> Container:
        return next(one for one in await self.place.containers() if one.service == service)

    async def port(self, target: int) -> int:
        return next(one.port for one in (await self.named("gateway")).ports if one.target == target)

    async def serve(self, service: str) -> None:
        """Tell the gateway that this one alone answers, and wait until it does so."""
        container = (await self.named(service)).id
        server = Server(host="h1", container=container, addresses={8080: f"{container[:12]}:8080"})
        told = Backends(name="shop-prod-web", service="web", routes=ROUTES, servers=(server,))
        await self.edge.tell(told)
        await self.edge.confirm(told, seconds=PATIENCE)

    async def drain(self, service: str, *, place: Place | None = None, elsewhere: bool = False) -> Drain:
        container = (await self.named(service)).id
        return await self.edges.drain(
            place or self.place, GATEWAY, container, ports=[8080], elsewhere=elsewhere
        )

    async def answer(self) -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{await self.port(80)}/")
        request.add_header("Host", "web.localhost")

        def ask() -> str:
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # to this machine
                text: str = response.read().decode()
                return text.strip()

        return await asyncio.to_thread(ask)

    async def until_left(self, drain: Drain, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while await drain.left() != count:  # noqa: ASYNC110  # a kernel tells nobody
                await asyncio.sleep(0.05)


@pytest.fixture
def scene(
    tmp_path: Path, engine: DockerClient, engine_project: EngineProject, images: TestImages
) -> Generator[Scene]:
    project = f"{engine_project.name}-prod"
    (tmp_path / FOLDER).mkdir(parents=True)

    def service(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # a Compose document
        return {"image": images.web(name=name), "labels": {labels.SERVICE: name}, **more}

    def bind(source: Path, target: str) -> dict[str, Any]:
        return {"type": "bind", "source": str(source), "target": target, "read_only": True}

    here = {"host_ip": "127.0.0.1", "protocol": "tcp", "mode": "ingress"}
    document = {
        "services": {
            "one": service("one"),
            "two": service("two"),
            "gateway": service(
                "gateway",
                command=["/traefik", *FLAGS],
                volumes=[bind(PROGRAM, "/traefik"), bind(tmp_path / FOLDER, "/dynamic")],
                ports=[{**here, "target": target} for target in (80, 90, ADMIN_PORT)],
            ),
        }
    }
    with contextlib.closing(DockerEngine(None, tmp_path / "run")) as real:
        asyncio.run(real.up(App(compose_project=project, document=document), ["one", "two", "gateway"]))
        place = Place(
            project="shop",
            environment="prod",
            host="h1",
            folder=tmp_path,
            transport=LocalTransport("h1"),
            engine=real,
            containers=lambda: real.containers(project),
            clock=SystemClock(),
        )
        yield Scene(place=place, engine=real, client=engine, edges=GatewayEdges(b"k" * 32))


@contextlib.contextmanager
def connected(address: str, port: int) -> Generator[socket.socket]:
    with socket.create_connection((address, port), timeout=10) as made:
        yield made


def test_requests_move_and_the_old_container_is_watched_until_it_is_free(
    scene: Scene, tmp_path: Path
) -> None:
    async def run(far: Place) -> None:
        await scene.serve("one")
        assert await scene.answer() == "one v1"
        old = await scene.drain("one")
        detail = await scene.engine.inspect((await scene.named("one")).id)
        assert detail is not None
        own = detail.attachments[0].address
        with connected("127.0.0.1", await scene.port(90)), connected(own, 8080):  # the second is not ours
            await scene.serve("two")
            assert await scene.answer() == "two v1"
            await scene.until_left(old, 1)  # a connection that was idle is gone
            assert await (await scene.drain("one", place=far)).left() == 1
            assert await (await scene.drain("one", elsewhere=True)).left() == 2
            await scene.until_left(await scene.drain("two"), 0)
        await scene.until_left(old, 0)
        await scene.engine.stop(detail.container.id)
        assert await old.left() == 0
        assert await (await scene.drain("one", place=far)).left() == 0
        await scene.engine.remove(detail.container.id)
        assert await old.left() == 0

    with ssh_host(tmp_path / "sshd") as host, reached(host.settings) as transport:
        asyncio.run(run(replace(scene.place, transport=transport)))


def test_its_admin_port_is_found_again_after_a_restart_and_asks_for_a_password(scene: Scene) -> None:
    async def run() -> None:
        await scene.serve("one")
        gateway = (await scene.named("gateway")).id
        before = await scene.port(ADMIN_PORT)
        await scene.engine.stop(gateway)
        assert not await scene.edge.runs()
        with socket.socket() as held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", before))  # so that the engine has to take another one
            held.listen()
            await scene.engine.start(gateway)
        assert await scene.port(ADMIN_PORT) != before
        await scene.serve("two")
        assert await scene.answer() == "two v1"
        script = f"wget -S -O - http://gateway:{ADMIN_PORT}/api/http/services 2>&1"
        one = scene.client.containers.get((await scene.named("one")).id)
        output = one.exec_run(["/bin/sh", "-c", script]).output
        assert isinstance(output, bytes)
        said = output.decode()
        assert "401" in said, said
        assert "http://" not in said.replace(f"http://gateway:{ADMIN_PORT}", "")

    asyncio.run(run())


def test_another_home_or_one_without_a_key_cannot_ask_it(scene: Scene) -> None:
    async def run() -> None:
        await scene.serve("one")
        told = (await scene.edge.told()).backends["web"]
        keyless = GatewayEdges(b"").at(scene.place, GATEWAY)
        assert keyless is not None
        with pytest.raises(OutsideError) as caught:
            await keyless.confirm(told, seconds=0.1)
        assert caught.value.code == GATEWAY_SILENT
        assert "key" in caught.value.why

    asyncio.run(run())
