"""A thousand hosts on which nothing is to be done: asked, planned and noted by one pass.

No machine that measures runs a thousand engines, so the answers are bytes as an engine's API sends them,
other ones for each host, and go through the parser that real answers go through. The log and `observed.db`
are real. And what `status` takes to show ten thousand containers that were seen.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from controller.home import Home
from events import labels
from events.blobs import MemoryBlobStore
from events.catalog.host import HostReached
from events.envelope import CONTROLLER
from events.kernel.canonical import digest_of
from events.kernel.clock import SystemClock
from events.kernel.ids import SystemIds
from events.manifest import Gate, HostManifest, ImagePin, Manifest, Service
from events.recorder import Recorder
from events.sqlite import SqliteEventLog
from events.streams import host_stream
from projections.converge.conflicts import COMPOSE_PROJECT, COMPOSE_SERVICE
from projections.converge.converger import Converger
from projections.converge.heal import Terms
from projections.engine.model import container_from_listing
from projections.engine.port import Container, Engine, EngineIdentity
from projections.observed import HostObservation, ObservedContainer, ObservedService, ObservedStore
from projections.transport.local import LocalTransport
from tests.benchmarks.figures import Figure, median, seconds
from tests.benchmarks.stage import Stage, timed_process
from tests.support.cli import COMMAND
from tests.support.long_log import fill

HOSTS, SERVICES = 1000, 50
PASS_SECONDS, MEMORY_MB = 5.0, 500.0
STATUS_HOSTS, STATUS_SECONDS = 200, 1.0  # of as many services: 10,000 containers
_MOST_SECONDS = 900.0
_LOG_EVENTS = 500
_PROJECT, _ENVIRONMENT = "shop", "prod"
_GATE = Gate(settle_seconds=2.0, deadline_seconds=60.0)


@dataclass(slots=True)
class AnsweringEngine:
    """The engine of one host: what its API would send, read by the product's own parser at each question."""

    host: int
    listing: bytes

    async def identity(self) -> EngineIdentity:
        """Who it is."""
        name = f"host-{self.host}"
        return EngineIdentity(machine=name, engine=name, engine_version="20.10", api_version="1.41")

    async def containers(self, compose_project: str | None = None) -> list[Container]:
        """Its listing, parsed."""
        del compose_project  # it has no other
        answers: Sequence[Mapping[str, Any]] = json.loads(self.listing)
        return sorted(map(container_from_listing, answers), key=lambda one: one.name)


class Fleet:
    """An environment that is deployed on all hosts and runs there as it should."""

    def __init__(self, folder: Path, *, hosts: int, services: int) -> None:
        """Everything in `folder`."""
        self._log = SqliteEventLog(folder / "events.db")
        self._observed = ObservedStore(folder / "observed.db")
        self._clock = SystemClock()
        self._manifest = _manifest(hosts, services)
        engines = {
            name: AnsweringEngine(host=number, listing=_listing(content, number, lineage=self._log.lineage))
            for number, (name, content) in enumerate(self._manifest.hosts.items())
        }
        self._recorder = Recorder(
            log=self._log, ids=SystemIds(self._clock), clock=self._clock, actor=CONTROLLER
        )
        self._converger = Converger(
            log=self._log,
            blobs=MemoryBlobStore(),
            engines=cast("Mapping[str, Engine]", engines),
            roots=dict.fromkeys(engines, folder),
            observed=self._observed,
            clock=self._clock,
            transports={name: LocalTransport(name) for name in engines},
        )
        for number, name in enumerate(engines):
            known = f"host-{number}"
            reached = HostReached(
                host=name, machine=known, engine=known, engine_version="20.10", api_version="1.41"
            )
            self._recorder.append(host_stream(name), reached)

    def look(self) -> float:
        """The seconds of a pass that has nothing to do."""
        head, began = self._log.head(), time.perf_counter()
        terms = Terms(closely=frozenset())
        mended = asyncio.run(
            self._converger.heal(self._manifest, release="rel-1", recorder=self._recorder, terms=terms)
        )
        took = time.perf_counter() - began
        assert not mended, "something was to be done"
        assert self._log.head() == head, "a pass without news appended to the log"
        return took

    def seen(self) -> int:
        """How many containers were noted as running as they should."""
        return sum(
            len(service.containers)
            for host in self._observed.load(f"{_PROJECT}/{_ENVIRONMENT}")
            for service in host.services
            if host.reachable and not service.drift
        )


def _manifest(hosts: int, services: int) -> Manifest:
    names = [f"service-{number:02}" for number in range(services)]
    return Manifest(
        project=_PROJECT,
        environment=_ENVIRONMENT,
        compose_project=f"{_PROJECT}-{_ENVIRONMENT}",
        hosts={f"host-{number:04}": _content(number, names) for number in range(hosts)},
    )


def _content(host: int, names: Sequence[str]) -> HostManifest:
    definitions: dict[str, Any] = {
        name: {
            "image": f"registry.example.org/{name}:1.4",
            "environment": {"HOST": f"host-{host}", "SERVICE": name, "LEVEL": "info"},
            "networks": {"default": None},
            "restart": "unless-stopped",
        }
        for name in names
    }
    return HostManifest(
        compose={"name": f"{_PROJECT}-{_ENVIRONMENT}", "services": definitions},
        services={
            name: Service(
                hash=digest_of([host, name]),
                role="app",
                image=ImagePin(
                    ref=f"registry.example.org/{name}:1.4", pin=digest_of(name), pin_kind="repo-digest"
                ),
                gate=_GATE,
            )
            for name in names
        },
    )


def _listing(content: HostManifest, host: int, *, lineage: str) -> bytes:
    """What the API of the host's engine sends for the containers of a Manifest."""
    project = f"{_PROJECT}-{_ENVIRONMENT}"
    return json.dumps(
        [
            {
                "Id": digest_of([host, name, "container"]).removeprefix("sha256:"),
                "Names": [f"/{project}-{name}-1"],
                "Image": service.image.pinned_text,
                "ImageID": digest_of([name, "image"]),
                "Command": "/bin/serve --port 8080",
                "Created": 1_700_000_000 + host,
                "Ports": [{"IP": "::", "PrivatePort": 8080, "PublicPort": 20_000 + at, "Type": "tcp"}],
                "Labels": {
                    COMPOSE_PROJECT: project,
                    COMPOSE_SERVICE: name,
                    "com.docker.compose.config-hash": digest_of([host, name, "c"]).removeprefix("sha256:"),
                    "com.docker.compose.container-number": "1",
                    "com.docker.compose.image": digest_of([name, "image"]),
                    "com.docker.compose.oneoff": "False",
                    "com.docker.compose.project.config_files": "-",
                    "com.docker.compose.project.working_dir": "/.stagecraft",
                    "com.docker.compose.version": "5.6.1",
                    labels.PROJECT: _PROJECT,
                    labels.ENVIRONMENT: _ENVIRONMENT,
                    labels.SERVICE: name,
                    labels.SERVICE_HASH: service.hash,
                    labels.LOG: lineage,
                },
                "State": "running",
                "Status": "Up 3 days (healthy)",
                "HostConfig": {"NetworkMode": f"{project}_default"},
                "NetworkSettings": {
                    "Networks": {
                        f"{project}_default": {"IPAddress": f"172.18.0.{at + 2}", "Gateway": "172.18.0.1"}
                    }
                },
                "Mounts": [
                    {"Type": "volume", "Name": f"{project}_{name}", "Destination": "/data", "RW": True}
                ],
            }
            for at, (name, service) in enumerate(content.services.items())
        ]
    ).encode()


def measure(stage: Stage) -> list[Figure]:
    """The pass and its memory, in a process of its own."""
    hosts, rounds = stage.count(full=HOSTS, quick=5), stage.count(full=3, quick=1)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.fleet", str(hosts), str(rounds)],
        check=True,
        capture_output=True,
        text=True,
        timeout=_MOST_SECONDS,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    took: list[float] = told["passes"]
    assert told["seen"] == hosts * SERVICES, "not all was noted"
    return [
        Figure(
            what=f"A pass over {hosts} hosts with {SERVICES} services each and nothing to do",
            value=median(took),
            target=PASS_SECONDS,
            unit=" s",
            detail=f"{rounds} passes; answers as an API sends them, parsed, planned and noted; "
            f"{seconds(median(took) / hosts)} a host",
        ),
        Figure(
            what="Memory of that pass",
            value=told["megabytes"],
            target=MEMORY_MB,
            unit=" MB",
            detail="the whole process, with what all engines answer",
        ),
        _status(stage),
    ]


def _status(stage: Stage) -> Figure:
    """`status` of one environment on many hosts, as last seen."""
    hosts, rounds = stage.count(full=STATUS_HOSTS, quick=3), stage.count(full=9, quick=2)
    with stage.place("fleet") as place:
        home = Home(place.folder / "home")
        home.create()
        log = SqliteEventLog(home.events_db)
        try:
            environment = fill(log, events=_LOG_EVENTS, environments=1, projects=1).environments[0]
        finally:
            log.close()
        observed = ObservedStore(home.observed_db)
        for number in range(hosts):
            observed.save(_seen_on(number, environment))
        place.cli.ok("status", "--env", environment)  # folds the log once
        command: list[str | Path] = [COMMAND, "status", "--env", environment, "--json"]
        took = [timed_process(command, environment=place.cli.environment) for _ in range(rounds)]
        shown = place.cli.ok("status", "--env", environment, "--json").stdout
    assert shown.count('"state": "running"') >= hosts * SERVICES, "not all containers are shown"
    return Figure(
        what=f"`status` of {hosts * SERVICES} containers on {hosts} hosts",
        value=median(took),
        target=STATUS_SECONDS,
        unit=" s",
        detail=f"{rounds} whole processes, as last seen",
    )


def _seen_on(number: int, environment: str) -> HostObservation:
    def container(at: int) -> ObservedContainer:
        digits = digest_of([number, at]).removeprefix("sha256:")
        return ObservedContainer(id=digits, state="running", health="healthy")

    services = [
        ObservedService(name=f"service-{at:02}", image=f"service-{at:02}:1.4", containers=(container(at),))
        for at in range(SERVICES)
    ]
    return HostObservation(
        environment=environment,
        host=f"host-{number:04}",
        reachable=True,
        services=tuple(services),
        at=SystemClock().now(),
    )


def main(hosts: int, rounds: int) -> None:
    """Measure in this process and print it as JSON."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-bench-") as folder:
        fleet = Fleet(Path(folder), hosts=hosts, services=SERVICES)
        passes = [fleet.look() for _ in range(rounds)]
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        told = {"passes": passes, "megabytes": megabytes, "seen": fleet.seen()}
    print(json.dumps(told))  # noqa: T201  # the one who started it reads this


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
