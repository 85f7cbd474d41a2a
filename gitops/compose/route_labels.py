"""Labels of a service in Traefik's usual form, as routes.

    traefik.enable: "true"
    traefik.http.routers.web.rule: Host(`shop.example.org`)
    traefik.http.services.web.loadbalancer.server.port: "8000"

A service is understood as a whole or not at all: a middleware that were left out could be the one that asks
for a password. What is understood becomes routes, and the labels go, so that no gateway passes the service on
twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from events.references import all_references
from events.routes import Protocol, Route
from gitops.compose.route_rules import RuleUnclearError, places_of
from gitops.config.scalars import EntryPointName, Port, RouteHost, RoutePath
from gitops.entrances import Entrances
from gitops.source.paths import shown

PREFIX = "traefik."
_ENABLE, _NETWORK = "traefik.enable", "traefik.docker.network"
_OPTION = re.compile(
    r"traefik\.(?P<kind>http|tcp)\.(?P<what>routers|services)\.(?P<name>[a-z0-9_-]+)\.(?P<option>.+)"
)
_TRUE = frozenset({"true", "1", "t", "yes", "on"})
_FALSE = frozenset({"false", "0", "f", "no", "off"})
_SCHEMES: dict[str, Protocol] = {"http": "http", "https": "https", "h2c": "h2c"}
_PORT, _SCHEME = "loadbalancer.server.port", "loadbalancer.server.scheme"
_STICKY = ("loadbalancer.sticky", "loadbalancer.sticky.cookie")
_ROUTER_OPTIONS = {
    "http": frozenset({"rule", "entrypoints", "service", "tls", "tls.certresolver"}),
    "tcp": frozenset({"rule", "entrypoints", "service", "tls", "tls.certresolver"}),
}
_SERVICE_OPTIONS = {
    "http": frozenset({_PORT, _SCHEME, "loadbalancer.passhostheader", *_STICKY}),
    "tcp": frozenset({_PORT}),
}
_HOST, _PATH = TypeAdapter[str](RouteHost), TypeAdapter[str](RoutePath)
_RESOLVER = TypeAdapter[str](EntryPointName)


class LabelsUnclearError(ValueError):
    """Labels that no route can stand for; the message names the first and says why."""


@dataclass(slots=True, kw_only=True)
class _Named:
    """The options of one router or service, by their names."""

    kind: str
    name: str
    options: dict[str, str] = field(default_factory=dict[str, str])


def has_labels(labels: Mapping[str, str]) -> bool:
    """Whether anything in them is for Traefik."""
    return any(name.lower().startswith(PREFIX) for name in labels)


def without_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those that are not for Traefik."""
    return {name: value for name, value in labels.items() if not name.lower().startswith(PREFIX)}


def routes_of_labels(service: str, labels: Mapping[str, str], entrances: Entrances) -> tuple[Route, ...]:
    """The routes of a service; none where its labels ask for none.

    Raises LabelsUnclearError.
    """
    ours = {name.lower(): value for name, value in labels.items() if name.lower().startswith(PREFIX)}
    if not _asks(ours, entrances):
        return ()
    routers, services = _sorted_out(ours)
    if not routers:
        raise LabelsUnclearError("no router has a rule, so the gateway makes one up")
    found = [
        route
        for router in routers.values()
        for route in _routes(service, router, _server(router, services), entrances)
    ]
    return tuple(dict.fromkeys(found))


def _asks(labels: Mapping[str, str], entrances: Entrances) -> bool:
    """Whether the service is to be passed on to."""
    said = labels.get(_ENABLE)
    if said is None:
        return entrances.labels_count and bool(labels)
    return _truth(_ENABLE, said)


def _sorted_out(
    labels: Mapping[str, str],
) -> tuple[dict[tuple[str, str], _Named], dict[tuple[str, str], _Named]]:
    """Routers and services by kind and name. Raises LabelsUnclearError for every other label."""
    found: dict[str, dict[tuple[str, str], _Named]] = {"routers": {}, "services": {}}
    for label, value in sorted(labels.items()):
        if label in (_ENABLE, _NETWORK):
            continue
        match = _OPTION.fullmatch(label)
        known = _ROUTER_OPTIONS if match and match["what"] == "routers" else _SERVICE_OPTIONS
        if match is None or match["option"] not in known[match["kind"]]:
            raise LabelsUnclearError(f"{shown(label)} has no place in a route")
        if any(all_references(value)):
            raise LabelsUnclearError(f"{shown(label)} has a variable that only a host knows")
        key = (match["kind"], match["name"])
        one = found[match["what"]].setdefault(key, _Named(kind=match["kind"], name=match["name"]))
        one.options[match["option"]] = value.replace("$$", "$").strip()
    return found["routers"], found["services"]


def _server(router: _Named, services: Mapping[tuple[str, str], _Named]) -> _Named:
    """The service of a router, as Traefik finds it."""
    named = router.options.get("service")
    own = [one for one in services.values() if one.kind == router.kind]
    if named is not None:
        found = [one for one in own if one.name == named.lower()]
    else:
        found = own if len(own) == 1 else []
    if len(found) != 1 or _PORT not in found[0].options:
        what = f"the service {shown(named)}" if named is not None else "its service"
        raise LabelsUnclearError(f"{what} of the router {router.name} has no port that is told")
    return found[0]


def _routes(service: str, router: _Named, server: _Named, entrances: Entrances) -> Iterator[Route]:
    rule = router.options.get("rule", "")
    at = f"{PREFIX}{router.kind}.routers.{router.name}"
    is_tcp = router.kind == "tcp"
    try:
        places = places_of(
            rule, hosts="HostSNI" if is_tcp else "Host", paths=None if is_tcp else "PathPrefix"
        )
    except RuleUnclearError as error:
        raise LabelsUnclearError(f"the rule of {at}: {error}") from None
    asked = _asked_tls(router, at)
    named = [one.strip() for one in router.options.get("entrypoints", "").split(",") if one.strip()]
    for entrance in named or entrances.usual:
        if entrance not in entrances.ports:
            raise LabelsUnclearError(f"{at}.entrypoints: the gateway has no {shown(entrance)}")
        tls = asked or (not is_tcp and entrance in entrances.tls)
        resolver = router.options.get("tls.certresolver") or entrances.resolvers.get(entrance)
        for place in places:
            host = _valid(_HOST, place.host or "*", f"the rule of {at}").lower()
            if "*" in (place.host or "") and (not is_tcp or host != "*"):
                raise LabelsUnclearError(f"the rule of {at}: a '*' means nothing in a name there")
            if is_tcp and host != "*" and not tls:
                raise LabelsUnclearError(f"the rule of {at}: without TLS nobody says a name")
            yield Route(
                host=host,
                path=_valid(_PATH, place.path or "/", f"the rule of {at}"),
                service=service,
                port=_port(server),
                tls=tls,
                protocol="tcp" if is_tcp else _protocol(server),
                entry_point=entrance,
                sticky=_sticky(server),
                resolver=_valid(_RESOLVER, resolver, f"{at}.tls.certresolver") if tls and resolver else None,
            )


def _asked_tls(router: _Named, at: str) -> bool:
    said = router.options.get("tls")
    if said is not None and not _truth(f"{at}.tls", said):
        return False
    return said is not None or "tls.certresolver" in router.options


def _port(server: _Named) -> int:
    text = server.options[_PORT]
    at = f"{PREFIX}{server.kind}.services.{server.name}.{_PORT}"
    try:
        return TypeAdapter[int](Port).validate_python(int(text) if text.isdecimal() else text)
    except ValidationError:
        raise LabelsUnclearError(f"{at} is no port") from None


def _protocol(server: _Named) -> Protocol:
    said = server.options.get(_SCHEME, "http")
    if said not in _SCHEMES:
        raise LabelsUnclearError(f"{PREFIX}http.services.{server.name}.{_SCHEME} is not known")
    at = f"{PREFIX}http.services.{server.name}.loadbalancer.passhostheader"
    if not _truth(at, server.options.get("loadbalancer.passhostheader", "true")):
        raise LabelsUnclearError(f"{at} has no place in a route")
    return _SCHEMES[said]


def _sticky(server: _Named) -> bool:
    said = [(name, server.options[name]) for name in _STICKY if name in server.options]
    return any(_truth(f"{PREFIX}http.services.{server.name}.{name}", value) for name, value in said)


def _truth(label: str, value: str) -> bool:
    text = value.strip().lower()
    if text not in _TRUE | _FALSE:
        raise LabelsUnclearError(f"{shown(label)} is neither true nor false")
    return text in _TRUE


def _valid(rule: TypeAdapter[str], text: str, at: str) -> str:
    try:
        return rule.validate_python(text)
    except ValidationError:
        raise LabelsUnclearError(f"{at}: {shown(text)!r} cannot stand in a route") from None
