"""A stage with several hosts: an engine of its own each, none of them this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from events.catalog.environment import HostsConduct
from events.catalog.release import (
    HostLeftOut,
    HostVerdict,
    ReleaseCompleted,
    ReleaseFailed,
    ReleaseRolledBack,
)
from events.manifest import Manifest
from events.streams import host_stream
from projections.converge.converger import Converger
from projections.converge.site import Equipment
from projections.converge.work import ReleaseWork, Verdict
from projections.engine.simulated import SimulatedEngine
from projections.engine.simulated_world import IDENTITY, Life, World
from tests.support.transports import ElsewhereTransport
from tests.unit.projections.converge.scene import (
    COMPOSE_PROJECT,
    ENVIRONMENT,
    PROJECT,
    STREAM,
    Scene,
    Spec,
    host_manifest,
    image_id,
)

APPS = ("app1", "app2", "app3")
IMAGES = ("web:1", "web:2", "db:1", "db:2", "gate:1", "gate:2", "job:1", "job:2")
CRASHES = Life(exits_after=0.5, exit_code=3, log=("cannot open the database",))
CHANGING = frozenset({"up", "up_beside", "run_job", "start", "stop", "remove", "rename", "signal"})

Content = Mapping[str, Mapping[str, Spec]]  # by host and service


def over(contents: Content) -> Manifest:
    """A Manifest of several hosts."""
    return Manifest(
        project=PROJECT,
        environment=ENVIRONMENT,
        compose_project=COMPOSE_PROJECT,
        hosts={host: host_manifest(specs) for host, specs in contents.items()},
    )


def apps(version: str = "1", *hosts: str) -> Manifest:
    """One service `web` of the role `app` on each of three hosts, or on these."""
    return over({host: {"web": Spec(image=f"web:{version}")} for host in hosts or APPS})


def shop(version: str = "1") -> Manifest:
    """A gateway on one host, three of the app, a database on one."""
    contents: dict[str, dict[str, Spec]] = {host: {"web": Spec(image=f"web:{version}")} for host in APPS}
    contents["edge"] = {"gate": Spec(image=f"gate:{version}", role="gateway")}
    contents["data"] = {"db": Spec(image=f"db:{version}", role="db")}
    return over(contents)


@dataclass
class HostsScene(Scene):
    """As `Scene`, over several hosts."""

    engines: dict[str, SimulatedEngine] = field(default_factory=dict[str, SimulatedEngine])
    done: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # host and changing call
    process: Converger | None = None  # one that lives from Release to Release; None: a new one each time

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        for host in (*APPS, "data", "edge"):
            world = World()
            world.identity = replace(IDENTITY, engine=f"engine-of-{host}", machine=f"machine-of-{host}")
            world.images |= {ref: image_id(ref) for ref in IMAGES}
            self.engines[host] = SimulatedEngine(clock=self.clock, world=world)
            self.engines[host].before = self._noting(host)

    def _noting(self, host: str) -> Callable[[str, str], None]:
        def note(call: str, argument: str) -> None:
            del argument
            if call in CHANGING:
                self.done.append((host, call))

        return note

    @property
    @override
    def equipment(self) -> Equipment:
        return replace(
            super().equipment,
            engines=dict(self.engines),
            stocks={host: engine.stock for host, engine in self.engines.items()},
            roots={host: self.root / host for host in self.engines},
            transports={host: ElsewhereTransport(host) for host in self.engines},
            addresses={host: f"{host}.example" for host in self.engines},
        )

    @property
    @override
    def converger(self) -> Converger:
        return self.process or self.converger_with(
            transports=self.equipment.transports,
            addresses=self.equipment.addresses,
            carriers={host: engine.stock for host, engine in self.engines.items()},
        )

    def release(
        self,
        manifest: Manifest,
        previous: Manifest | None = None,
        *,
        more: Mapping[str, Any] | None = None,
        **hosts: Any,  # noqa: ANN401  # fields of `HostsConduct`
    ) -> Verdict:
        """A deploy; `hosts` are what the descriptor says of them, `more` further fields of the work."""
        self.done.clear()
        return self.deploy(manifest, previous, hosts=self.conduct(**hosts), **(more or {}))

    def conduct(self, **hosts: Any) -> HostsConduct:  # noqa: ANN401  # its fields
        """What the descriptor says of the hosts."""
        return HostsConduct.model_validate(hosts)

    def again(self, work: ReleaseWork) -> ReleaseWork:
        """The work of a Release that a run before began."""
        return replace(work, started=True)

    def bad(self, *hosts: str, ref: str = "web:2", life: Life = CRASHES) -> None:
        """An image does not run on these hosts."""
        for host in hosts:
            self.engines[host].world.lives[image_id(ref)] = life

    def lose(self, host: str, *, at: str = "", after: int = 0) -> None:
        """A host answers no more: now, or when a call of that name is made for the `after`-th time more."""
        engine, left, noting = self.engines[host], [after], self._noting(host)
        if not at:
            engine.world.reachable = False
            return

        def before(call: str, argument: str) -> None:
            noting(call, argument)
            if call == at:
                left[0] -= 1
                if left[0] < 0:
                    engine.world.reachable = False

        engine.before = before

    def find(self, *hosts: str) -> None:
        """They answer again."""
        for host in hosts:
            self.engines[host].world.reachable = True
            self.engines[host].before = self._noting(host)

    def image(self, host: str, service: str = "web") -> str | None:
        """What a service runs on a host, by the image's name; None: it does not."""
        running = [
            one.image
            for one in self.engines[host].world.containers.values()
            if one.labels.get("com.docker.compose.service") == service
            and self.engines[host].world.moment(one, self.clock.monotonic()).state == "running"
        ]
        names = {image_id(ref): ref for ref in IMAGES}
        assert len(running) < 2, running
        return names[running[0]] if running else None

    def images(self, *hosts: str) -> list[str | None]:
        """What `web` runs on hosts."""
        return [self.image(host) for host in hosts or APPS]

    @property
    def order(self) -> list[str]:
        """The hosts in the order in which they were brought something up."""
        return list(dict.fromkeys(host for host, call in self.done if call in {"up", "up_beside", "run_job"}))

    @property
    def verdicts(self) -> dict[str, HostVerdict]:
        """Of the newest Release that ended."""
        ends = [
            event
            for event in self.events(STREAM)
            if isinstance(event, ReleaseCompleted | ReleaseFailed | ReleaseRolledBack)
        ]
        return ends[-1].hosts

    @property
    def statuses(self) -> dict[str, str]:
        return {host: one.status for host, one in self.verdicts.items()}

    def left_out(self, release: str) -> dict[str, str]:
        return {one.host: one.status for one in self.of_release(release) if isinstance(one, HostLeftOut)}

    def of_host(self, host: str) -> list[str]:
        return self.types(host_stream(host))

    def mend(self, manifest: Manifest) -> bool:
        return asyncio.run(self.converger.heal(manifest, release="rel-1", recorder=self.recorder()))
