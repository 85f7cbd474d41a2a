"""`routes` of an environment as the gateway is to have them: each one checked against what there is.

A declared route that cannot be kept is refused where it stands, because somebody counts on it. One that comes
from labels is left to whoever reads labels, with a finding, because it was none of ours before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from events.routes import Maintenance, Route
from gitops.compose.route_labels import LabelsUnclearError, has_labels, routes_of_labels, without_labels
from gitops.compose.route_ports import unreachable
from gitops.config.faults import Fault, KeyPath, allowed, unknown
from gitops.config.load import Configuration
from gitops.config.rollout import MaintenanceSection, RouteSection
from gitops.entrances import Entrances
from gitops.findings import Finding, FindingCode
from gitops.settings import ServiceSettings, external_services

_Place = tuple[str, str, str, bool]  # entry point, host, path, whether bytes pass


@dataclass(slots=True, kw_only=True)
class RouteMaker:
    """The routes of one environment; services lose the labels that became some."""

    configuration: Configuration
    gateway: str
    entrances: Entrances
    services: Mapping[str, dict[str, Any]]
    settings: Mapping[str, ServiceSettings]
    routes: list[Route] = field(default_factory=list[Route])
    faults: list[Fault] = field(default_factory=list[Fault])
    findings: list[Finding] = field(default_factory=list[Finding])
    maintenance: Maintenance | None = None
    _holders: dict[_Place, str] = field(default_factory=dict[_Place, str])  # services
    _whole: dict[str, str] = field(default_factory=dict[str, str])  # entry points that a service has whole

    def sorted(self) -> tuple[Route, ...]:
        """All of them, as a Manifest has them."""
        return tuple(
            sorted(
                self.routes,
                key=lambda one: (one.service, one.host, one.path, one.entrance, one.model_dump_json()),
            )
        )

    def declare(self, sections: Iterable[RouteSection]) -> None:
        """Take what the environment says."""
        for position, section in enumerate(sections):
            key: KeyPath = ("routes", position)
            if section.service in external_services(self.configuration):
                self._find(
                    (*key, "service"), f"{section.service} runs outside, so nothing is passed on to it"
                )
                continue
            fault = next(self._faults_of(section, key), None)
            if fault is not None:
                self.faults.append(fault)
                continue
            route = self._route(section)
            if clash := self._clash(route):
                self.faults.append(self._fault(key, clash))
                continue
            self._take(route)

    def show(self, section: MaintenanceSection | None) -> None:
        """Take what the environment says of the page for services that are drained."""
        if section is None:
            return
        name, key = section.service, ("maintenance", "service")
        if name in external_services(self.configuration):
            self._find(key, f"{name} runs outside, so its page is not shown")
        elif name not in self.services:
            message = unknown("service", name, self.services)
            self.faults.append(self._fault(key, message, FindingCode.SERVICE_UNKNOWN))
        elif reason := self._impossible(name):
            self.faults.append(self._fault(key, reason))
        else:
            self.maintenance = Maintenance(service=name, port=section.port, path=section.path)

    def read_labels(self, unclear: str = "") -> None:
        """Take what labels say, and the labels away; `unclear` is why none can be understood."""
        for name, service in sorted(self.services.items()):
            labels: dict[str, str] = service.get("labels") or {}
            if name == self.gateway or not has_labels(labels):
                continue
            try:
                found = self._labelled(name, labels, unclear)
            except LabelsUnclearError as error:
                self._leave(name, str(error))
                continue
            for route in found:
                self._take(route)
            if found:
                service["labels"] = without_labels(labels)

    def _labelled(self, name: str, labels: Mapping[str, str], unclear: str) -> tuple[Route, ...]:
        """The routes of one service's labels that are not declared, too. Raises LabelsUnclearError."""
        found = routes_of_labels(name, labels, self.entrances)
        reason = (unclear or self._impossible(name)) if found else None
        if reason:
            raise LabelsUnclearError(reason)
        for route in found:
            clash = None if self._holders.get(_place(route)) == name else self._clash(route)
            if clash:
                raise LabelsUnclearError(clash)
        return found

    def _clash(self, route: Route) -> str | None:
        """Why a route cannot stand beside those that there are."""
        where = f"{route.host}{route.path} on {route.entrance}"
        holder = self._holders.get(_place(route))
        if holder is not None:
            return f"{where} is there twice" if holder == route.service else f"{where} goes to {holder} too"
        held_whole = self._whole.get(route.entrance)
        if held_whole is not None and not route.tls:
            return f"{held_whole} takes all that comes to {route.entrance}"
        if _takes_all(route) and any(one.entrance == route.entrance and not one.tls for one in self.routes):
            return f"others are passed on from {route.entrance}, and {route.service} would take them all"
        return None

    def _take(self, route: Route) -> None:
        if _place(route) in self._holders:
            return
        self._holders[_place(route)] = route.service
        if _takes_all(route):
            self._whole[route.entrance] = route.service
        self.routes.append(route)

    def _faults_of(self, section: RouteSection, key: KeyPath) -> Iterator[Fault]:
        """What is wrong with a declared route, what matters most first."""
        name, named = section.service, section.entry_point
        if name not in self.services:
            message = unknown("service", name, self.services)
            yield self._fault((*key, "service"), message, FindingCode.SERVICE_UNKNOWN)
            return
        if reason := self._impossible(name):
            yield self._fault((*key, "service"), reason)
        entrance = named or ("websecure" if section.tls else "web")
        if entrance not in self.entrances.ports:
            known = allowed(self.entrances.ports)
            message = f"the gateway {self.gateway} has no entry point {entrance!r} ({known})"
            yield self._fault((*key, "entry_point") if named else key, message)
        if section.protocol != "tcp":
            return
        if section.host.startswith("*."):
            yield self._fault((*key, "host"), "with `protocol: tcp` it is one name, or '*'")
        elif section.host != "*" and not section.tls:
            message = "without `tls` nobody says which host they mean: give host: '*', or tls: true"
            yield self._fault((*key, "host"), message)
        for meaningless in [one for one in ("path", "sticky") if getattr(section, one) not in ("/", False)]:
            yield self._fault((*key, meaningless), "it means nothing with `protocol: tcp`")

    def _impossible(self, name: str) -> str | None:
        """Why no request can be passed on to a service."""
        if name == self.gateway:
            return f"{name} is the gateway itself"
        if self.settings[name].job is not None:
            return f"{name} is a job"
        together = bool(set(self.settings[name].hosts) & set(self.settings[self.gateway].hosts))
        service, by = self.services[name], self.services[self.gateway]
        return unreachable(name, service, gateway=self.gateway, by=by, together=together)

    def _route(self, section: RouteSection) -> Route:
        entrance = section.entry_point or ("websecure" if section.tls else "web")
        tls = section.tls or (section.protocol != "tcp" and entrance in self.entrances.tls)
        return Route(
            host=section.host.lower(),
            path=section.path,
            service=section.service,
            port=section.port,
            tls=tls,
            protocol=section.protocol,
            entry_point=section.entry_point,
            sticky=section.sticky,
            resolver=self.entrances.resolvers.get(entrance) if tls else None,
        )

    def _leave(self, name: str, why: str) -> None:
        self.findings.append(
            Finding(
                code=FindingCode.ROUTE_LEFT,
                message=f"{name} keeps its labels for Traefik, and its requests are not moved: {why}",
                key=f"services.{name}.labels",
            )
        )

    def _find(self, key: KeyPath, message: str) -> None:
        fault = self.configuration.environment_fault(key, message, FindingCode.GATEWAY_SETTING)
        self.findings.append(fault.finding)

    def _fault(self, key: KeyPath, message: str, code: FindingCode = FindingCode.VALUE_INVALID) -> Fault:
        return self.configuration.environment_fault(key, message, code)


def _takes_all(route: Route) -> bool:
    """Whether a gateway passes on every byte that comes by that way without looking at it."""
    return route.protocol == "tcp" and route.host == "*" and not route.tls


def _place(route: Route) -> _Place:
    return (route.entrance, route.host, route.path, route.protocol == "tcp")
