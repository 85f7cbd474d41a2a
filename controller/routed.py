"""What differs between two Manifests in what their gateways pass on, and how requests move by a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from events.manifest import Manifest
    from events.rollout import Strategy
    from events.routes import Route, Traffic

BEGINS = "it is told of routes from now on, and replaced once for that"
NO_GATEWAY = "ordered replace, no gateway passes requests on"


def routes_changed(
    service: str, *, old: Manifest | None, new: Manifest | None
) -> tuple[list[str], list[str], list[str]]:
    """The routes of a service that were added, changed and removed, as `host/path`, sorted."""
    before, after = _routes(old, service), _routes(new, service)
    return (
        sorted(after.keys() - before.keys()),
        sorted(name for name in after.keys() & before.keys() if before[name] != after[name]),
        sorted(before.keys() - after.keys()),
    )


def traffic_differs(service: str, *, old: Manifest | None, new: Manifest | None) -> bool:
    """Whether the requests of a service that is routed in both move in another way."""
    was, now = _traffic(old).get(service), _traffic(new).get(service)
    return was is not None and now is not None and was != now


def telling(old: Manifest | None, new: Manifest) -> Iterable[str]:
    """A line for each service whose routes a deploy changes; no container is touched for that."""
    services = {name for one in (old, new) if one is not None and one.routing for name in one.routing.routed}
    for service in sorted(services):
        added, changed, removed = routes_changed(service, old=old, new=new)
        signed = [*(f"+{one}" for one in added), *(f"~{one}" for one in changed)]
        signed += [f"-{one}" for one in removed]
        if signed:
            yield f"routes of {service}: {', '.join(signed)}; the gateway is told, no container changes"


def way_of_requests(wanted: Manifest, service: str, strategy: Strategy | None) -> str:
    """What becomes of the requests of a service that is replaced; empty for what is not."""
    routing = wanted.routing
    if strategy is None:
        return ""
    if routing is not None and service == routing.gateway.service:
        return f"nobody comes through the gateway {service} meanwhile" if strategy == "stop-first" else ""
    if routing is None or service not in routing.routed:
        return NO_GATEWAY if strategy == "start-first" else ""
    gateway, traffic = routing.gateway.service, routing.traffic[service]
    if strategy == "stop-first":
        return f"gateway {gateway} tries again while nobody answers, for 3 s"
    steps = "".join(f"{step} %, " for step in traffic.steps)
    shares = f"{steps}100 % of them, " if steps else ""
    return f"requests move by gateway {gateway}, {shares}open ones have {traffic.drain_seconds:g} s to end"


def _routes(manifest: Manifest | None, service: str) -> dict[str, list[Route]]:
    """By name; two that only differ by their entry point have one name."""
    found: dict[str, list[Route]] = {}
    for route in () if manifest is None or manifest.routing is None else manifest.routing.of(service):
        found.setdefault(f"{route.host}{route.path}", []).append(route)
    return found


def _traffic(manifest: Manifest | None) -> Mapping[str, Traffic]:
    return {} if manifest is None or manifest.routing is None else manifest.routing.traffic
