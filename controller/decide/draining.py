"""Taking a host or a service out of traffic and back, as a person asks: recorded before a gateway is told.

These are wishes about what is deployed, so they need neither Git nor a Release, and a hold or a suspend does
not forbid them. A drain stands until it is taken back: no Release ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from events.catalog.draining import TrafficDrained, TrafficUndrained
from events.kernel.errors import UserError, Where, error_code

if TYPE_CHECKING:
    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.draining import DrainKind, DrainMode
    from events.manifest import Manifest
    from events.routes import Routing

NO_GATEWAY = error_code(
    "no-gateway", "Nothing in what is deployed passes requests on, so there are none to hold back."
)
NAME_NOT_ROUTED = error_code(
    "name-not-routed", "The service, or what the host runs, gets no requests through a gateway."
)
DRAIN_NAME_UNKNOWN = error_code(
    "drain-name-unknown", "What is deployed in the environment has neither a service nor a host of that name."
)
DRAIN_NAME_AMBIGUOUS = error_code(
    "drain-name-ambiguous", "A service and a host of the environment have the same name; say which is meant."
)
NOT_DRAINED = error_code("not-drained", "Nothing of that name is drained in the environment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """A name that a person wants out of traffic, or back, in what is deployed."""

    name: str
    manifest: Manifest  # what is deployed
    kind: DrainKind | None = None  # None: whichever it is
    mode: DrainMode = "draining"
    reason: str = ""

    @property
    def environment(self) -> str:
        """`<project>/<name>`."""
        return f"{self.manifest.project}/{self.manifest.environment}"

    @property
    def where(self) -> Where:
        """For errors."""
        return Where(environment=self.environment)

    def routing(self) -> Routing:
        """Who passes requests on to what. Raises UserError `no-gateway`."""
        if self.manifest.routing is None:
            raise UserError(
                NO_GATEWAY,
                f"nothing passes requests on to the services of {self.environment}",
                where=self.where,
                why="what is deployed has no gateway with routes",
                next=f"declare `gateway` and `routes` in environments/{self.manifest.environment}.yml and "
                "deploy; to take a service down, stagecraft stop",
            )
        return self.manifest.routing


def routed_on(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """By routed service the hosts that have it, sorted."""
    routed = () if manifest.routing is None else manifest.routing.routed
    return {
        name: tuple(sorted(host for host, content in manifest.hosts.items() if name in content.services))
        for name in routed
    }


def decide_drain(state: EnvironmentState, draining: Draining) -> tuple[Event, ...]:
    """Have no new requests go there; nothing when it is so already.

    Raises UserError `no-gateway`, `drain-name-unknown`, `drain-name-ambiguous` or `name-not-routed`.
    """
    routing, kind = draining.routing(), _kind_of(draining)
    routed = routed_on(draining.manifest)
    reached = draining.name in routed if kind == "service" else _host_is_reached(draining.name, routed)
    if not reached:
        names = ", ".join(routing.routed)
        what = "no route" if kind == "service" else "no service with a route"
        raise UserError(
            NAME_NOT_ROUTED,
            f"{draining.name} has {what}",
            where=draining.where,
            why=f"services with routes: {names}",
            next=f"declare one in environments/{draining.manifest.environment}.yml",
        )
    standing = state.drains.get((kind, draining.name))
    if standing is not None and standing.mode == draining.mode:
        return ()
    return (TrafficDrained(kind=kind, name=draining.name, mode=draining.mode, reason=draining.reason),)


def decide_undrain(
    state: EnvironmentState, *, name: str, environment: str, kind: DrainKind | None = None, reason: str = ""
) -> tuple[Event, ...]:
    """Let requests go there again, also to what is not deployed any more.

    Raises UserError `not-drained` or `drain-name-ambiguous`.
    """
    found: list[DrainKind] = [one for one, drained in state.drains if drained == name and kind in {None, one}]
    if not found:
        standing = ", ".join(f"{one} {drained}" for one, drained in sorted(state.drains))
        raise UserError(
            NOT_DRAINED,
            f"{name} is not drained",
            where=Where(environment=environment),
            why=f"drained: {standing or 'nothing'}",
            next=f"stagecraft status --env {environment}",
        )
    if len(found) > 1:
        raise _ambiguous(name, environment, command="undrain")
    return (TrafficUndrained(kind=found[0], name=name, reason=reason),)


def _host_is_reached(host: str, routed: dict[str, tuple[str, ...]]) -> bool:
    return any(host in hosts for hosts in routed.values())


def _kind_of(draining: Draining) -> DrainKind:
    """Whether a service or a host is meant."""
    manifest, name = draining.manifest, draining.name
    services = {service for content in manifest.hosts.values() for service in content.services}
    found: list[DrainKind] = []
    if name in services and draining.kind != "host":
        found.append("service")
    if name in manifest.hosts and draining.kind != "service":
        found.append("host")
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(name, draining.environment, command="drain")
    known = {"service": services, "host": set(manifest.hosts)}
    wanted = [draining.kind] if draining.kind is not None else ["service", "host"]
    near = get_close_matches(name, sorted({one for kind in wanted for one in known[kind]}), n=1)
    raise UserError(
        DRAIN_NAME_UNKNOWN,
        f"{draining.environment} has no {' and no '.join(wanted)} {name!r}"
        + (f"; did you mean {near[0]!r}?" if near else ""),
        where=draining.where,
        why="; ".join(f"{kind}s: {', '.join(sorted(known[kind])) or 'none'}" for kind in wanted),
        next=f"stagecraft status --env {draining.environment}",
    )


def _ambiguous(name: str, environment: str, *, command: str) -> UserError:
    return UserError(
        DRAIN_NAME_AMBIGUOUS,
        f"{name} is a service and a host of {environment}",
        where=Where(environment=environment),
        next=f"stagecraft {command} {name} --kind service --env {environment}, or --kind host",
    )
