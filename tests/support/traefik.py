"""A real Traefik of the test's own, as a process on loopback, that watches an environment's route folder.

To the product it is a container like any other: `place` shows it one, by what a simulated engine would say,
whose admin port is published where the process listens and whose log is the process's. How an engine does
that is another test's (`tests/integration/edge/test_gateway_container.py`).
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from events import labels
from events.kernel.clock import SystemClock
from events.routes import Gateway
from projections.edge.folder import FOLDER
from projections.edge.port import Place
from projections.engine.port import Container, PublishedPort
from projections.engine.simulated import SimulatedEngine
from projections.transport.port import Transport
from tests.support.processes import free_port, wait_until

PROGRAM = Path(sysconfig.get_path("scripts")) / "traefik"
ADMIN_PORT = 8099  # in the container that the process plays
START_SECONDS = 60.0
LOG = "gateway.log"
ENTRANCES = ("web", "websecure", "raw", "stagecraft")
GATEWAY = Gateway(service="gateway", admin_port=ADMIN_PORT, entry_points={"web": 80, "raw": 90})


@dataclass(slots=True)
class TraefikProcess:
    """The process, or none when it was ended."""

    folder: Path  # the environment's
    ports: Mapping[str, int]  # by entry point
    process: subprocess.Popen[bytes] | None = None
    flags: Sequence[str] = field(default=())

    @property
    def routes(self) -> Path:
        """The folder that it watches."""
        return self.folder / FOLDER

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / LOG

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.routes.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(PROGRAM), *self._flags()], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_until("Traefik", lambda: self.ask("/") is not None, seconds=START_SECONDS)

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(
        self, path: str, *, host: str = "", entrance: str = "web", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str, Mapping[str, str]] | None:
        """Status, body and headers of the answer to a GET; None: nobody takes the connection."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[entrance]}{path}")
        for name, value in {**({"Host": host} if host else {}), **(headers or {})}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # http, to this machine
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), dict(error.headers)
        except urllib.error.URLError:
            return None

    def _flags(self) -> list[str]:
        entrances = [f"--entrypoints.{name}.address=127.0.0.1:{port}" for name, port in self.ports.items()]
        return [
            f"--providers.file.directory={self.routes}",
            "--providers.file.watch=true",
            "--providers.providersThrottleDuration=100ms",
            "--api=true",
            "--metrics.prometheus=true",
            "--metrics.prometheus.manualrouting=true",
            *entrances,
            *self.flags,
        ]


class _ProcessEngine(SimulatedEngine):
    """An engine whose containers' log is a file."""

    def __init__(self, log: Path) -> None:
        super().__init__(clock=SystemClock())
        self._file = log

    @override
    async def logs(self, container_id: str, *, tail: int, since: float | None = None) -> tuple[str, ...]:
        del container_id, since
        return tuple(self._file.read_text().splitlines()[-tail:]) if self._file.exists() else ()


@contextlib.contextmanager
def traefik_process(folder: Path, *, started: bool = True) -> Generator[TraefikProcess]:
    """A Traefik whose environment's folder is `folder`; it is gone after the block."""
    made = TraefikProcess(folder, {name: free_port() for name in ENTRANCES})
    try:
        if started:
            made.start()
        yield made
    finally:
        made.stop()


def place(gateway: TraefikProcess, transport: Transport) -> Place:
    """Where the process runs, as the product sees it."""
    return process_place(
        gateway.folder,
        admin=gateway.ports["stagecraft"],
        runs=lambda: gateway.process is not None,
        transport=transport,
    )


def process_place(folder: Path, *, admin: int, runs: Callable[[], bool], transport: Transport) -> Place:
    """An environment in whose folder a process keeps its log, and that shows it as a gateway's container."""
    published = PublishedPort(address="127.0.0.1", port=admin, protocol="tcp", target=ADMIN_PORT)

    async def containers() -> list[Container]:
        return [
            Container(
                id="9a" * 32,
                name="shop-prod-gateway-1",
                image="gateway",
                image_id="sha256:0",
                state="running" if runs() else "exited",
                health="none",
                labels={labels.SERVICE: GATEWAY.service},
                ports=(published,),
                networks=("shop-prod_default",),
            )
        ]

    return Place(
        project="shop",
        environment="prod",
        host="h1",
        folder=folder,
        transport=transport,
        engine=_ProcessEngine(folder / LOG),
        containers=containers,
        clock=SystemClock(),
    )
