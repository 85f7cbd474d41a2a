"""The gateway of an environment: which service it is, what it is given, and what it passes on.

A gateway whose settings are ours can be told of every route. One that brings settings of its own is asked
whether it can be (`gitops.gateway_flags`): where routes are declared and it cannot, that is refused, because
nobody would move their requests; where only labels speak of routes they stay what they were, with a finding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from events.kernel.errors import InternalError, UserError, Where, error_code
from events.routes import Gateway, Routing
from gitops.compose.files import Collector
from gitops.compose.route_labels import has_labels
from gitops.compose.route_ports import with_admin_port
from gitops.compose.traefik import DYNAMIC_FOLDER, RESOLVER
from gitops.config.faults import ConfigInvalidError, unknown
from gitops.config.load import Configuration
from gitops.config.services import ServiceSection
from gitops.entrances import ADMIN_PORT, our_entrances
from gitops.findings import Finding, FindingCode
from gitops.gateway_caddy import is_caddy, judged_caddy
from gitops.gateway_files import GatewayFiles
from gitops.gateway_flags import Judged, has_settings, held_by_itself, judged
from gitops.routes import RouteMaker
from gitops.settings import ServiceSettings, service_sections
from gitops.traffic import traffic_findings, traffic_of

GATEWAY_UNFIT = error_code(
    "gateway-unfit", "The gateway's own settings do not let it be told of the routes, or not confirm them."
)

ROLE = "gateway"
_IMAGE = re.compile(r"traefik(?:[:@].*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipped:
    """What a gateway passes on, and what comes to nothing."""

    routing: Routing | None
    hosts: tuple[str, ...] = ()  # where it runs
    findings: tuple[Finding, ...] = ()


def equip_gateway(
    configuration: Configuration,
    collector: Collector,
    *,
    services: Mapping[str, dict[str, Any]],
    settings: Mapping[str, ServiceSettings],
    values: Mapping[str, str],
) -> Equipped:
    """Give the gateway among `services` its files, and the others their routes.

    Services lose the labels that became routes. Raises UserError `config-invalid` for a `gateway` that is no
    service and for routes that cannot be kept, `gateway-unfit`, and as `Collector` does.
    """
    files = GatewayFiles(configuration=configuration, collector=collector, values=values)
    work = _Gateway(configuration=configuration, files=files, services=services, settings=settings)
    routing = work.equip()
    routed = () if routing is None else routing.routed
    sections = service_sections(configuration)
    found = [*files.findings, *work.findings, *traffic_findings(configuration, sections, routed)]
    hosts = () if routing is None else settings[routing.gateway.service].hosts
    return Equipped(routing=routing, hosts=hosts, findings=tuple(found))


@dataclass(slots=True, kw_only=True)
class _Gateway:
    """The work on one environment's gateway."""

    configuration: Configuration
    files: GatewayFiles
    services: Mapping[str, dict[str, Any]]
    settings: Mapping[str, ServiceSettings]
    findings: list[Finding] = field(default_factory=list[Finding])

    def equip(self) -> Routing | None:
        """Do all of it; None: nothing is passed on, nor can be."""
        routing = self._equip()
        if routing is None and self.configuration.environment.maintenance is not None:
            self.files.find(("maintenance",), "no gateway passes requests on, so nobody gets the page")
        return routing

    def _equip(self) -> Routing | None:
        environment = self.configuration.environment
        section = environment.traefik
        name = self._choose()
        if name is None:
            self.files.no_gateway()
            return None
        fit = self._fit(name)
        made = self._routes(name, fit)
        if fit.kind == "caddy":
            if section is not None:
                self.files.find(("traefik",), f"{name} runs Caddy, so it comes to nothing")
            self.files.no_gateway()
            return self._routing(name, fit, made) if made.routes else None
        own = has_settings(self.services[name])
        passes_on = fit.fits and bool(made.routes or (section is not None and not own))
        nothing_given = section is None and not passes_on
        if nothing_given and environment.gateway is not None:
            self.files.find(("gateway",), "the environment has no `traefik`, so nothing is given to it")
        if section is not None and (held := held_by_itself(self.services[name], DYNAMIC_FOLDER)):
            message = f"the gateway mounts a folder of its own there: {held} is left to it"
            self.files.find(("traefik",), message)
            nothing_given = True
        if nothing_given:
            self.files.no_gateway()
            return None
        self.files.equip(self.services[name], section, routes_at=fit.directory if passes_on else None)
        return self._routing(name, fit, made) if passes_on else None

    def _routes(self, name: str, fit: Judged) -> RouteMaker:
        """What it is to pass on. Raises UserError `config-invalid` and `gateway-unfit`."""
        declared = self.configuration.environment.routes
        made = RouteMaker(
            configuration=self.configuration,
            gateway=name,
            entrances=fit.entrances,
            services=self.services,
            settings=self.settings,
        )
        if fit.fits:
            made.declare(declared)
            made.show(self.configuration.environment.maintenance)
            if made.faults:
                raise ConfigInvalidError(made.faults)
            if fit.kind == "traefik":
                made.read_labels(fit.labels_unclear)
        elif declared:
            raise _unfit(name, fit)
        elif fit.kind == "traefik" and self._labelled(name):
            self._note_unfit(name, fit)
        self.findings += made.findings
        return made

    def _choose(self) -> str | None:
        """The service that is the gateway."""
        environment = self.configuration.environment
        named, services = environment.gateway, self.services
        if named is not None and named not in services and named not in environment.modes:
            message = unknown("service", named, services)
            raise ConfigInvalidError(
                [self.configuration.environment_fault(("gateway",), message, FindingCode.SERVICE_UNKNOWN)]
            )
        candidates = [name for name in sorted(services) if self._is_gateway(name)]
        if named is not None:
            candidates = [named] if named in services else []
        if len(candidates) == 1:
            return candidates[0]
        why = f"{', '.join(candidates)} could be meant" if candidates else "none runs here"
        message = f"no single service is the gateway ({why}); name it with `gateway`"
        if environment.routes:
            raise ConfigInvalidError([self.configuration.environment_fault(("routes",), message)])
        if environment.traefik is not None:
            self.files.find(("traefik",), message)
        elif named is not None:
            self.files.find(("gateway",), "the environment has no `traefik`, so nothing is given to it")
        return None

    def _is_gateway(self, name: str) -> bool:
        image = str(self.services[name]["image"]).rpartition("/")[2]
        return self.settings[name].role == ROLE and _IMAGE.fullmatch(image) is not None

    def _fit(self, name: str) -> Judged:
        """What the gateway can be told, by its own settings or by ours."""
        service = self.services[name]
        if is_caddy(service):
            fit = judged_caddy(service)
        elif has_settings(service):
            fit = judged(service)
        else:
            section = self.configuration.environment.traefik
            acme = section is not None and section.mode == "acme"
            fit = Judged(
                entrances=our_entrances(RESOLVER if acme else None),
                directory=DYNAMIC_FOLDER,
                admin_port=ADMIN_PORT,
            )
            if held := held_by_itself(service, DYNAMIC_FOLDER):
                fit = replace(fit, why=f"it mounts {held} itself, where route files would be")
        if fit.fits and service.get("network_mode"):
            mode = service["network_mode"]
            fit = replace(
                fit, why=f"it has network_mode: {mode}, where nobody keeps its API to the controller"
            )
        return fit

    def _labelled(self, gateway: str) -> Collection[str]:
        """The services with labels for Traefik."""
        return [
            name
            for name, service in sorted(self.services.items())
            if name != gateway and has_labels(service.get("labels") or {})
        ]

    def _note_unfit(self, name: str, fit: Judged) -> None:
        lacking = f"; its command lacks {' '.join(fit.missing)}" if fit.missing else ""
        self.findings.append(
            Finding(
                code=FindingCode.ROUTE_LEFT,
                message=f"requests of {', '.join(self._labelled(name))} are not moved by the gateway {name}: "
                f"{fit.why}{lacking}",
                key=f"services.{name}.command",
            )
        )

    def _routing(self, name: str, fit: Judged, made: RouteMaker) -> Routing:
        if fit.admin_port is None:
            raise InternalError(GATEWAY_UNFIT, f"{name} fits without a port for its API")
        with_admin_port(self.services[name], fit.admin_port)
        for note in fit.notes:
            self.findings.append(
                Finding(code=FindingCode.GATEWAY_SETTING, message=note, key=f"services.{name}.command")
            )
        sections = service_sections(self.configuration)
        routes = made.sorted()
        routing = Routing(
            gateway=Gateway(
                service=name,
                kind=fit.kind,
                admin_port=fit.admin_port,
                authenticated=fit.authenticated,
                entry_points=dict(sorted(fit.entrances.ports.items())),
            ),
            routes=routes,
            maintenance=made.maintenance,
        )
        traffic = {
            one: traffic_of(self.configuration, sections.get(one, ServiceSection()), routing.of(one))
            for one in routing.routed
        }
        return routing.model_copy(update={"traffic": traffic})


def _unfit(name: str, fit: Judged) -> UserError:
    return UserError(
        GATEWAY_UNFIT,
        f"the gateway {name!r} does not take the routes that are declared",
        where=Where(service=name, key=f"services.{name}.command"),
        why=fit.why,
        next=f"add to its command: {' '.join(fit.missing)}"
        if fit.missing
        else "take its own settings away, and it gets ours; or take `routes` away",
    )
