"""What Caddy is told of routes: its configuration with ours in it, and those of others as they are. Pure.

Our routes stand at the top of each server that listens on an entry point, the closest first, because Caddy
takes the first that fits; each has an `@id` that says whose it is. A server that is not there yet is made.
Bytes (tcp) Caddy cannot pass on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from events.kernel.errors import UserError, Where
from events.routes import Gateway, Route
from projections.edge.port import ROUTE_REFUSED, Backends, Page
from projections.edge.traefik_files import written

Section = dict[str, Any]

_OURS = "stagecraft:"
_IDLE, _TRY, _PAUSE = "1s", "4s", "100ms"
_STREAMS = "24h"  # a change of the configuration ends no stream; the container's own end does
_UNAVAILABLE = 503
_NOBODY: Section = {"handler": "static_response", "status_code": _UNAVAILABLE}


def refuse(backends: Backends, gateway: Gateway) -> None:
    """Raise UserError `route-refused` for what Caddy cannot do, or what no gateway is told."""
    written(backends)
    for route in backends.routes:
        if route.protocol == "tcp":
            raise _refused(backends, "Caddy passes on HTTP alone")
        if route.entrance not in gateway.entry_points:
            raise _refused(backends, f"the gateway has no entry point {route.entrance}")


def told_of(config: Mapping[str, Any], all_told: Iterable[Backends], gateway: Gateway) -> Section:
    """A configuration in which ours are these and no others."""
    made: Section = copy.deepcopy(dict(config))
    servers: Section = made.setdefault("apps", {}).setdefault("http", {}).setdefault("servers", {})
    for server in servers.values():
        server["routes"] = [one for one in server.get("routes") or () if not _is_ours(one)]
    for entrance, port in sorted(gateway.entry_points.items()):
        ours = [
            (_distance(route), _route(backends, number))
            for backends in all_told
            for number, route in enumerate(backends.routes)
            if route.entrance == entrance
        ]
        if ours:
            server = _server(servers, entrance, port)
            ordered = sorted(ours, key=lambda one: (one[0], one[1]["@id"]))
            server["routes"] = [*(one for _, one in ordered), *server["routes"]]
    return made


def known(config: Mapping[str, Any], name: str) -> list[Section]:
    """The routes of a `Backends.name` in a configuration, by their ids."""
    found = [
        one
        for server in config.get("apps", {}).get("http", {}).get("servers", {}).values()
        for one in server.get("routes") or ()
        if _is_ours(one) and str(one["@id"]).partition(":")[2].partition(":")[2] == name
    ]
    return sorted(found, key=lambda one: str(one["@id"]))


def wanted(backends: Backends) -> list[Section]:
    """What it is to know of a service, likewise."""
    made = [_route(backends, number) for number in range(len(backends.routes))]
    return sorted(made, key=lambda one: str(one["@id"]))


def _is_ours(route: Mapping[str, Any]) -> bool:
    return str(route.get("@id", "")).startswith(_OURS)


def _server(servers: Section, entrance: str, port: int) -> Section:
    """The one that listens there; the rest of its address is its own affair."""
    for server in servers.values():
        if any(str(one).rpartition(":")[2] == str(port) for one in server.get("listen") or ()):
            return server  # type: ignore[no-any-return]  # JSON
    made: Section = {"listen": [f":{port}"], "routes": []}
    if entrance == "web":
        made["automatic_https"] = {"disable": True}
    servers[f"stagecraft-{entrance}"] = made
    return made


def _distance(route: Route) -> tuple[int, int]:
    """How far a route is from naming one request."""
    host = 2 if route.host == "*" else 1 if route.host.startswith("*.") else 0
    return host, -len(route.path)


def _route(backends: Backends, number: int) -> Section:
    route = backends.routes[number]
    match: Section = {}
    if route.host != "*":
        match["host"] = [route.host]
    if route.path != "/":
        match["path"] = [f"{route.path}*"]
    return {
        "@id": f"{_OURS}r{number}:{backends.name}",
        **({"match": [match]} if match else {}),
        "handle": [_proxy(backends, route)],
        "terminal": True,
    }


def _proxy(backends: Backends, route: Route) -> Section:
    serving = [one for one in backends.servers if one.weight > 0]
    if not serving:
        return dict(_NOBODY) if backends.page is None else _page(backends.page)
    transport: Section = {"protocol": "http", "keep_alive": {"idle_timeout": _IDLE}}
    if route.protocol == "h2c":
        transport["versions"] = ["h2c", "2"]
    if route.protocol == "https":
        transport["tls"] = {"insecure_skip_verify": True}  # no certificate names a container by its id
    policy: Section = {"policy": "round_robin"}
    if any(one.weight != 1 for one in serving):
        policy = {"policy": "weighted_round_robin", "weights": [one.weight for one in serving]}
    if route.sticky:
        policy = {"policy": "cookie", "name": f"stagecraft-{route.port}"}
    balancing: Section = {"selection_policy": policy}
    if backends.retries:
        balancing |= {"try_duration": _TRY, "try_interval": _PAUSE}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": one.addresses[route.port]} for one in serving],
        "transport": transport,
        "load_balancing": balancing,
        "stream_close_delay": _STREAMS,
    }


def _page(page: Page) -> Section:
    """A page in place of the service, with the status of its absence; nobody serves it: nothing but that."""
    if not page.servers:
        return dict(_NOBODY)
    answer = {"handle": [{"handler": "copy_response", "status_code": _UNAVAILABLE}]}
    asked: Section = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": one.addresses[page.port]} for one in page.servers],
        "transport": {"protocol": "http", "keep_alive": {"idle_timeout": _IDLE}},
        "rewrite": {"method": "GET", "uri": f"{page.path}?"},
        "handle_response": [{"routes": [answer]}],
    }
    return {
        "handler": "subroute",
        "routes": [{"handle": [asked]}],
        "errors": {"routes": [{"handle": [dict(_NOBODY)]}]},
    }


def _refused(backends: Backends, why: str) -> UserError:
    return UserError(
        ROUTE_REFUSED,
        f"a route of {backends.service} is not told to this gateway",
        where=Where(service=backends.service),
        why=why,
        next="correct the route in the environment's descriptor, or use Traefik as the gateway",
    )
