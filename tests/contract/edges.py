"""The gateways behind the port, each with what the suite needs around it.

That is the environment's folder, which the suite may look into and write to, and a way to end the gateway and
to start it again. The suite is `test_edges` and asks through the port; what a gateway does with requests is
`tests/integration/edge`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from events import labels
from events.routes import Gateway, Route
from projections.edge.caddy import CaddyEdge
from projections.edge.folder import FOLDER
from projections.edge.port import Backends, Edge, Page, Place, Server
from projections.edge.simulated import SimulatedEdges
from projections.edge.traefik import TraefikEdge
from projections.engine.port import App
from projections.engine.simulated import SimulatedEngine
from projections.transport.local import LocalTransport
from projections.transport.port import Transport
from tests.contract.hosts import reached
from tests.support.caddy import caddy_process
from tests.support.host_ssh import ssh_host
from tests.support.processes import wait_until
from tests.support.time import FakeClock
from tests.support.traefik import GATEWAY, place, process_place, traefik_process

KEY = b"k" * 32
PATIENCE = 20.0  # for what takes less than a second on a machine that has nothing else to do
IN_VAIN = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A gateway under test and the world around it."""

    edge: Edge
    again: Callable[[], Edge]  # the same as another process finds it
    folder: Path  # the environment's
    stop: Callable[[], None]
    start: Callable[[], None]
    can_pass_bytes: bool = True
    can_count: bool = True
    can_be_stopped_by_files: bool = True  # of others in its folder
    cannot_read: Callable[[str], None] = field(default=lambda _name: None)
    """Returns once the gateway has met a foreign file that it cannot read, or is told here that it has.

    One that reads its folder just then may have seen that file before its content was there, or not at all,
    and ours after the next change: that change counts.
    """

    @property
    def routes(self) -> Path:
        """The folder of route files."""
        return self.folder / FOLDER


def backends(service: str, *servers: str, routes: tuple[Route, ...] = (), **more: object) -> Backends:
    """What a gateway is told of a service whose containers are named by two digits each."""
    return Backends.model_validate(
        {
            "name": f"shop-prod-{service}",
            "service": service,
            "routes": routes or (Route(host=f"{service}.localhost", service=service, port=8080),),
            "servers": [server(digits) for digits in servers],
            **more,
        }
    )


def server(digits: str, *, weight: int = 1, ports: tuple[int, ...] = (8080,)) -> Server:
    """A container that nobody has to reach."""
    container = digits * 32
    addresses = {port: f"{container[:12]}:{port}" for port in ports}
    return Server(host="h1", container=container, addresses=addresses, weight=weight)


def page(*servers: str, path: str = "/down.html") -> Page:
    """A page whose containers are named by two digits each."""
    return Page(port=9000, path=path, servers=tuple(server(one, ports=(9000,)) for one in servers))


@contextlib.contextmanager
def simulated(folder: Path) -> Generator[Adapter]:
    """A gateway that is played, in a simulated engine."""
    clock = FakeClock()
    engine, edges = SimulatedEngine(clock=clock), SimulatedEdges()
    gateway = Gateway(service="gateway", admin_port=8099, entry_points={"web": 80})
    with engine.turn() as world:
        world.images["traefik"] = "sha256:0"
    definition = {"image": "traefik", "labels": {labels.SERVICE: "gateway"}}
    app = App(compose_project="shop-prod", document={"services": {"gateway": definition}})
    asyncio.run(engine.up(app, ["gateway"]))
    (container,) = engine.world.containers
    here = Place(
        project="shop",
        environment="prod",
        host="h1",
        folder=folder,
        transport=LocalTransport("h1"),
        engine=engine,
        containers=engine.containers,
        clock=clock,
    )

    def again() -> Edge:
        made = edges.at(here, gateway)
        assert made is not None
        return made

    yield Adapter(
        edge=again(),
        again=again,
        folder=folder,
        stop=lambda: asyncio.run(engine.stop(container)),
        start=lambda: asyncio.run(engine.start(container)),
        cannot_read=edges.world.gateway("h1").bad_files.append,
    )


@contextlib.contextmanager
def traefik(folder: Path) -> Generator[Adapter]:
    """A real Traefik on this machine."""
    with _real(folder, LocalTransport("h1")) as adapter:
        yield adapter


@contextlib.contextmanager
def traefik_over_ssh(folder: Path) -> Generator[Adapter]:
    """The same, told and asked through an SSH server."""
    with (
        ssh_host(folder / "sshd") as host,
        reached(host.settings) as transport,
        _real(folder / "environment", transport) as adapter,
    ):
        yield adapter


@contextlib.contextmanager
def caddy(folder: Path) -> Generator[Adapter]:
    """A real Caddy on this machine."""
    with caddy_process(folder) as process:
        here = process_place(
            process.folder,
            admin=process.admin,
            runs=lambda: process.process is not None,
            transport=LocalTransport("h1"),
        )

        def again() -> Edge:
            return CaddyEdge(here, process.gateway)

        yield Adapter(
            edge=again(),
            again=again,
            folder=folder,
            stop=process.stop,
            start=process.start,
            can_pass_bytes=False,
            can_count=False,
            can_be_stopped_by_files=False,
        )


@contextlib.contextmanager
def _real(folder: Path, transport: Transport) -> Generator[Adapter]:
    with traefik_process(folder) as process:
        here = place(process, transport)

        def again() -> Edge:
            return TraefikEdge(here, GATEWAY, binding_key=KEY)

        def cannot_read(name: str) -> None:
            wait_until(
                f"Traefik to name {name}", lambda: f"/{name}: " in process.log.read_text(), seconds=PATIENCE
            )

        yield Adapter(
            edge=again(),
            again=again,
            folder=folder,
            stop=process.stop,
            start=process.start,
            cannot_read=cannot_read,
        )
