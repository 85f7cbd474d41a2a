"""Stopping, starting and restarting one service, as a person asks: what is recorded before anything is done.

These are wishes about what is deployed, so they need neither Git nor a Release, and a hold, a suspend or a
rest of healing does not forbid them. A stopped service stays down until it is started or until a Release
brings another version of it; a Release that leaves it alone leaves it down, and so does a rollback.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from controller.decide.rollback import NOTHING_DEPLOYED
from events.catalog.running import ServiceRestarted, ServiceStarted, ServiceStopped
from events.kernel.errors import UserError, Where, error_code
from projections.converge.sharing import shared_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.decide.state import EnvironmentState
    from events.catalog import Event
    from events.manifest import Manifest, Service

SERVICE_NOT_DEPLOYED = error_code(
    "service-not-deployed", "What is deployed in the environment has no service of that name."
)
SERVICE_IS_JOB = error_code(
    "service-is-a-job",
    "The service is a job, which runs to its end in a Release and is not stopped or started.",
)
SERVICE_STOPPED = error_code("service-stopped", "A person stopped the service, so it is not restarted.")
SERVICE_LIVED_IN = error_code(
    "service-lived-in", "Another service lives in the namespaces of this one, and one of the two is stopped."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A service of what is deployed, and what a person says of it."""

    service: str
    manifest: Manifest  # what is deployed
    reason: str = ""

    @property
    def environment(self) -> str:
        """`<project>/<name>`."""
        return f"{self.manifest.project}/{self.manifest.environment}"

    def by_host(self) -> dict[str, Service]:
        """The service on each of its hosts.

        Raises UserError `service-not-deployed`, with the nearest name, or `service-is-a-job`.
        """
        found = {
            host: content.services[self.service]
            for host, content in sorted(self.manifest.hosts.items())
            if self.service in content.services
        }
        if not found:
            known = sorted({name for content in self.manifest.hosts.values() for name in content.services})
            near = get_close_matches(self.service, known, n=1)
            raise UserError(
                SERVICE_NOT_DEPLOYED,
                f"{self.environment} has no service {self.service!r}"
                + (f"; did you mean {near[0]!r}?" if near else ""),
                where=Where(environment=self.environment),
                why=f"deployed services: {', '.join(known) or 'none'}",
                next=f"stagecraft status --env {self.environment}",
            )
        if any(one.job is not None for one in found.values()):
            raise UserError(
                SERVICE_IS_JOB,
                f"{self.service} is a job: it runs to its end in a Release",
                where=self.where,
                next=f"stagecraft why {self.service} --env {self.environment}",
            )
        return found

    @property
    def where(self) -> Where:
        """For errors."""
        return Where(environment=self.environment, service=self.service)

    def definitions(self, host: str) -> Mapping[str, Mapping[str, Any]]:
        """The definitions of all services of a host."""
        found: Mapping[str, Mapping[str, Any]] = self.manifest.hosts[host].compose.get("services", {})
        return found


def deployed_digest(state: EnvironmentState) -> str:
    """The Manifest that is deployed. Raises UserError `nothing-deployed`."""
    if state.deployed_digest is None:
        raise UserError(NOTHING_DEPLOYED, "nothing is deployed here", next="stagecraft deploy")
    return state.deployed_digest


def decide_stop(state: EnvironmentState, named: Named) -> tuple[Event, ...]:
    """Have a service down until it is started; nothing when it is stopped already.

    Raises what `Named.by_host` raises and UserError `service-lived-in`.
    """
    found = named.by_host()
    for host in found:
        definitions = named.definitions(host)
        living = [name for name in sorted(definitions) if named.service in shared_with(definitions[name])]
        awake = [name for name in living if not _rests(state, named, host, name)]
        if awake:
            raise UserError(
                SERVICE_LIVED_IN,
                f"{awake[0]} lives in the namespaces of {named.service} and would lose them",
                where=named.where,
                next=f"stagecraft stop {awake[0]} --env {named.environment}, then this one",
            )
    hashes = {host: service.hash for host, service in found.items()}
    if all(_rests(state, named, host, named.service) for host in found):
        return ()
    return (ServiceStopped(service=named.service, hashes=hashes, reason=named.reason),)


def decide_start(state: EnvironmentState, named: Named) -> tuple[Event, ...]:
    """Have a service up again; nothing is recorded when nobody had stopped it.

    Raises what `Named.by_host` raises and UserError `service-lived-in`.
    """
    for host in named.by_host():
        for home in shared_with(named.definitions(host)[named.service]):
            if _rests(state, named, host, home):
                raise UserError(
                    SERVICE_LIVED_IN,
                    f"{named.service} lives in the namespaces of {home}, which is stopped",
                    where=named.where,
                    next=f"stagecraft start {home} --env {named.environment}, then this one",
                )
    if all(service != named.service for _, service in state.stopped):
        return ()
    return (ServiceStarted(service=named.service, reason=named.reason),)


def decide_restart(state: EnvironmentState, named: Named) -> tuple[Event, ...]:
    """Restart a service that is up. Raises what `Named.by_host` raises and UserError `service-stopped`."""
    hosts = tuple(named.by_host())
    if any(_rests(state, named, host, named.service) for host in hosts):
        raise UserError(
            SERVICE_STOPPED,
            f"{named.service} was stopped on purpose",
            where=named.where,
            next=f"stagecraft start {named.service} --env {named.environment}",
        )
    return (ServiceRestarted(service=named.service, hosts=hosts, reason=named.reason),)


def _rests(state: EnvironmentState, named: Named, host: str, name: str) -> bool:
    service = named.manifest.hosts[host].services.get(name)
    return service is not None and state.stopped_hashes.get((host, name)) == service.hash
