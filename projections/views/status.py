"""Status: what the log says of an environment joined with what its hosts answered, as a pure function.

*Sync* compares desired, deployed and running. It is unknown while a host that should run something is not
reachable or was never seen, and while the newest commit does not render, or waits for its images: then
nobody can say what differs.
*Health* is the worst of all containers (`health.py`). A host that does not answer is unknown, never missing:
what it ran may still run. A suspended environment is at best suspended.

The clock is the caller's: `as_of` is the time of reading, ages are counted from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from events.kernel.clock import format_utc, parse_utc
from projections.views.environments import Environment, Placed
from projections.views.health import DOWN, Health, service_health, worst

if TYPE_CHECKING:
    from projections.observed import HostObservation, ObservedService, SourceFailure
    from projections.parking import Lag

Sync = Literal["in-sync", "out-of-sync", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the engine last showed it."""

    id: str  # 64 hex digits
    state: str
    health: str
    version: str = ""  # hash of the definition that it was made from; empty: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """A service on one host."""

    name: str
    image: str
    containers: tuple[Container, ...]
    drift: tuple[str, ...]  # in words how it differs from the Manifest
    health: Health
    stopped: dict[str, Any] | None = None  # a person stopped it: reason, since, actor


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A host and what it last answered."""

    name: str
    reachable: bool | None  # None: never seen, or nobody can tell whether it is this host
    reason: str
    services: tuple[ServiceStatus, ...]
    health: Health = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A service that runs in several versions at once."""

    service: str
    versions: dict[str, tuple[str, ...]]  # the hosts of each, sorted, by the hash of its definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One environment at a glance."""

    environment: Environment
    sync: Sync
    health: Health
    as_of: datetime
    hosts: tuple[HostStatus, ...]
    git_seconds: float | None  # since Git was last looked at; None: never
    host_seconds: float | None  # since the host that was silent longest answered; None: one never did
    git_failure: SourceFailure | None = None  # Git does not answer now
    lag: Lag | None = None  # None: what the log says is shown up to its head
    mixed: tuple[Mixture, ...] = ()  # sorted by service; of hosts that answer alone

    def as_json(self) -> dict[str, Any]:
        """The object of `status --json`; its keys are a published contract."""
        known = self.environment
        return {
            "project": known.project,
            "environment": known.name,
            "sync": self.sync,
            "health": self.health,
            **facts_json(known),
            "refused": refused(known),
            "hold": known.hold,
            "suspended": known.suspended,
            "breaker": known.breaker,
            "orphaned": known.orphaned,
            "unpruned": known.unpruned,
            "drained": list(known.drained),
            "watch": known.watch,
            "destroying": known.destroying,
            "destroyed": known.destroyed,
            "as_of": format_utc(self.as_of),
            "hosts": [_host_json(host) for host in self.hosts],
            "mixed": [
                {"service": one.service, "versions": {key: list(on) for key, on in one.versions.items()}}
                for one in self.mixed
            ],
            "freshness": {
                "git_seconds": self.git_seconds,
                "host_seconds": self.host_seconds,
                "git_error": None if self.git_failure is None else self.git_failure.error,
                "git_failing_since": None if self.git_failure is None else format_utc(self.git_failure.since),
            },
            **({"placed": known.placed} if known.placed else {}),
            **({} if known.deployed.traffic is None else {"traffic": known.deployed.traffic}),
            **({} if self.lag is None else {"lag": self.lag.as_json()}),
        }


def join(
    environment: Environment,
    observations: Sequence[HostObservation],
    *,
    now: datetime,
    git_looked_at: datetime | None = None,
    git_failure: SourceFailure | None = None,
) -> Status:
    """The status of `environment`; `observations` are all that is known of its hosts.

    A look at Git that finds nothing new leaves no trace in the log: who knows of one gives its time. It
    counts unless the log spoke of a commit later.
    """
    hosts = tuple(_hosts(environment, observations))
    return Status(
        environment=environment,
        sync=_sync(environment, hosts),
        health=_health(environment, hosts),
        as_of=now,
        hosts=hosts,
        git_seconds=_age(_later(git_looked_at, _parsed_time(environment.revision_at)), now),
        host_seconds=_oldest_age(environment, observations, now),
        git_failure=git_failure,
        mixed=_mixed(hosts),
    )


def _hosts(environment: Environment, observations: Sequence[HostObservation]) -> Iterable[HostStatus]:
    """Every host that should run something or that was looked at, sorted by name."""
    seen = {one.host: one for one in observations}
    for name in sorted({*environment.services, *seen}):
        one = seen.get(name)
        if one is None:
            yield HostStatus(name=name, reachable=None, reason="never looked at", services=())
        else:
            services = tuple(_service(environment, name, service) for service in one.services)
            host = HostStatus(name=name, reachable=one.reachable, reason=one.reason, services=services)
            yield replace(host, health=_host_health(environment, host))


def _mixed(hosts: Iterable[HostStatus]) -> tuple[Mixture, ...]:
    """The services of which hosts that answer run several versions, on one of them or on several."""
    found: dict[str, dict[str, set[str]]] = {}
    for host in hosts:
        for service in host.services if host.reachable else ():
            for one in service.containers:
                if one.version and one.state not in DOWN:
                    found.setdefault(service.name, {}).setdefault(one.version, set()).add(host.name)
    return tuple(
        Mixture(service=name, versions={key: tuple(sorted(on)) for key, on in sorted(versions.items())})
        for name, versions in sorted(found.items())
        if len(versions) > 1
    )


def _service(environment: Environment, host: str, service: ObservedService) -> ServiceStatus:
    containers = tuple(
        Container(id=one.id, state=one.state, health=one.health, version=one.version)
        for one in service.containers
    )
    finished = (host, service.name) in environment.finished_jobs
    stopped = environment.stopped.get((host, service.name))
    return ServiceStatus(
        name=service.name,
        image=service.image,
        containers=containers,
        drift=tuple(service.drift),
        health=service_health(service.containers, finished=finished, rests=stopped is not None),
        stopped=stopped,
    )


def _sync(environment: Environment, hosts: Sequence[HostStatus]) -> Sync:
    not_rendered = environment.render_failure is not None or environment.awaiting is not None
    if not_rendered or any(host.reachable is not True for host in hosts):
        return "unknown"
    if environment.destroyed is not None:
        return "out-of-sync" if any(host.services for host in hosts) else "in-sync"
    if environment.desired.digest is None and environment.deployed.digest is None:
        return "unknown"
    drifted = any(service.drift for host in hosts for service in host.services)
    differs = environment.desired.digest != environment.deployed.digest
    return "out-of-sync" if drifted or differs or environment.placed else "in-sync"


def _health(environment: Environment, hosts: Sequence[HostStatus]) -> Health:
    found: list[Health] = [host.health for host in hosts]
    if environment.suspended is not None:
        found.append("suspended")
    if environment.deployed == Placed(release=None, digest=None) and not _anything_seen(hosts):
        return "missing"
    return worst(found)


def _anything_seen(hosts: Sequence[HostStatus]) -> bool:
    return any(host.services or host.reachable is False for host in hosts)


def _host_health(environment: Environment, host: HostStatus) -> Health:
    if host.reachable is not True:
        return "unknown"
    shown = {service.name for service in host.services}
    wanted = environment.services.get(host.name, {})
    absent = [
        name
        for name in wanted
        if name not in shown
        and (host.name, name) not in environment.finished_jobs
        and (host.name, name) not in environment.stopped
    ]
    missing: list[Health] = ["missing"] * bool(absent)
    return worst([*missing, *(service.health for service in host.services)])


def _parsed_time(text: str | None) -> datetime | None:
    return None if text is None else parse_utc(text)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _age(moment: datetime | None, now: datetime) -> float | None:
    """Seconds since `moment`, never negative: clocks of two processes may differ by a little."""
    return None if moment is None else round(max(0.0, (now - moment).total_seconds()), 3)


def _oldest_age(
    environment: Environment, observations: Sequence[HostObservation], now: datetime
) -> float | None:
    """The age of the oldest answer; None when a host that should run something never answered."""
    seen = {one.host: one.at for one in observations}
    moments = [seen.get(name) for name in {*environment.services, *seen}]
    ages = [_age(moment, now) for moment in moments]
    known = [age for age in ages if age is not None]
    return max(known) if known and len(known) == len(ages) else None


def refused(environment: Environment) -> dict[str, Any] | None:
    """Why the newest commit of the branch is not what is desired; None: it is, or its turn comes."""
    failure = environment.render_failure
    if failure is None:
        return None
    return {key: failure[key] for key in ("revision", "rule", "code", "message", "where", "why", "next")}


def facts_json(environment: Environment) -> dict[str, Any]:
    """What Git shows, what is desired and what is deployed: keys of `status --json`, now or then."""
    desired, deployed = environment.desired, environment.deployed
    return {
        "git": {"revision": environment.revision},
        "desired": {"release": desired.release, "digest": desired.digest},
        "deployed": {
            "release": deployed.release,
            "digest": deployed.digest,
            "revision": deployed.revision,
        },
    }


def _host_json(host: HostStatus) -> dict[str, Any]:
    return {
        "name": host.name,
        "reachable": host.reachable,
        "reason": host.reason,
        "health": host.health,
        "services": [
            {
                "name": service.name,
                "image": service.image,
                "containers": [
                    {"id": one.id, "state": one.state, "health": one.health, "version": one.version}
                    for one in service.containers
                ],
                "drift": list(service.drift),
                "health": service.health,
                **({} if service.stopped is None else {"stopped": service.stopped}),
            }
            for service in host.services
        ],
    }
