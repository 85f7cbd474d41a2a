"""From telling a real Traefik of other servers until it says that it does as told, alone and beside many."""

from __future__ import annotations

import asyncio
from pathlib import Path

from events.routes import Route
from projections.edge.port import Backends, Server
from projections.edge.traefik import TraefikEdge
from projections.edge.traefik_files import file_name, written
from projections.transport.local import LocalTransport
from tests.benchmarks.figures import Figure, p95
from tests.benchmarks.stage import Stage
from tests.support.traefik import GATEWAY, place, traefik_process

MANY = 1_000
ALONE_SECONDS, BESIDE_SECONDS = 0.5, 2.0
_PATIENCE_SECONDS = 30.0


def measure(stage: Stage) -> list[Figure]:
    """With one route, and with so many that Traefik has something to read."""
    many = stage.count(full=MANY, quick=20)
    return [
        _confirmed(stage, stage.folder / "routes-one", routes=1, target=ALONE_SECONDS),
        _confirmed(stage, stage.folder / "routes-many", routes=many, target=BESIDE_SECONDS),
    ]


def _confirmed(stage: Stage, folder: Path, *, routes: int, target: float) -> Figure:
    changes = stage.count(full=40, quick=2)
    with traefik_process(folder, started=False) as gateway:
        gateway.routes.mkdir(parents=True)
        for number in range(routes):
            one = _backends(f"web{number}", container=0)
            (gateway.routes / file_name(one.service)).write_bytes(written(one))
        gateway.start()
        edge = TraefikEdge(place(gateway, LocalTransport("local")), GATEWAY, binding_key=b"k" * 32)
        took = asyncio.run(_changes(edge, changes))
    return p95(
        f"A route written until Traefik confirms it, {routes} in all",
        took,
        target=target,
        samples="changes",
    )


async def _changes(edge: TraefikEdge, count: int) -> list[float]:
    """The seconds of each, with writing the file; the servers are others each time."""
    took: list[float] = []
    for number in range(count + 1):
        wanted = _backends("web0", container=number + 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await edge.tell(wanted)
        await edge.confirm(wanted, seconds=_PATIENCE_SECONDS)
        took.append(loop.time() - began)
    return took[1:]  # before the first one it was started


def _backends(service: str, *, container: int) -> Backends:
    name = f"{container:064x}"
    return Backends(
        name=f"shop-prod-{service}",
        service=service,
        routes=(Route(host=f"{service}.test", service=service, port=8080),),
        servers=(Server(host="local", container=name, addresses={8080: f"{name[-12:]}:8080"}),),
    )
