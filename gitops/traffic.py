"""How the requests of a routed service move: `rollout.traffic` and `probe`, resolved for one service.

The service's own words go over the environment's, key by key. What speaks of a service that no gateway passes
requests on to comes to nothing, and that is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from events.routes import RequestProbe, Route, Traffic
from gitops.config.faults import KeyPath
from gitops.config.load import Configuration
from gitops.config.rollout import ProbeSection, TrafficSection
from gitops.config.services import ServiceSection
from gitops.findings import Finding, FindingCode

CANARY_STEPS = (10, 50)
DRAIN_SECONDS = 60.0
_ALL = 100  # percent
_OF_REQUESTS = ("steps", "watch_seconds", "drain_seconds")


def traffic_of(configuration: Configuration, section: ServiceSection, routes: Collection[Route]) -> Traffic:
    """What is said for one service that has these `routes`."""
    rollout = configuration.environment.rollout
    said = _said(None if rollout is None else rollout.traffic) | _said(_own(section))
    canary = said.get("strategy") == "canary" and (rollout is None or rollout.enabled)
    steps = said.get("steps", CANARY_STEPS) if canary else ()
    asks = any(route.protocol != "tcp" for route in routes)
    probe = _probe(configuration.environment.probe, section.probe) if asks else None
    return Traffic(
        drain_seconds=float(said.get("drain_seconds", DRAIN_SECONDS)),
        watch_seconds=float(said.get("watch_seconds", 0)),
        steps=tuple(step for step in steps if step < _ALL),
        probe=probe,
    )


def traffic_findings(
    configuration: Configuration, sections: Mapping[str, ServiceSection], routed: Collection[str]
) -> Iterator[Finding]:
    """What an environment says of requests that no gateway passes on.

    What the project says of a service is for all environments, so it is told of where others are routed.
    """
    environment = configuration.environment
    if not routed:
        traffic = None if environment.rollout is None else environment.rollout.traffic
        for key in sorted(_said(traffic).keys() & set(_OF_REQUESTS)):
            yield _in_environment(configuration, ("rollout", "traffic", key))
        if environment.probe is not None:
            yield _in_environment(configuration, ("probe",))
    for name, section in sorted(sections.items()):
        if name in routed or (not routed and name not in environment.services):
            continue
        keys: list[KeyPath] = [
            ("rollout", "traffic", key) for key in sorted(_said(_own(section)).keys() & set(_OF_REQUESTS))
        ]
        keys += [("probe",)] if section.probe is not None else []
        for place in keys:
            yield _of_service(configuration, name, place)


def _own(section: ServiceSection) -> TrafficSection | None:
    return None if section.rollout is None else section.rollout.traffic


def _said(section: TrafficSection | None) -> dict[str, Any]:
    """The keys that have a value."""
    found = {} if section is None else section.model_dump()
    return {key: value for key, value in found.items() if value is not None}


def _probe(base: ProbeSection | None, over: ProbeSection | None) -> RequestProbe | None:
    """`base` with what `over` says; None: neither is there."""
    if base is None and over is None:
        return None
    said = {} if over is None else {name: getattr(over, name) for name in over.model_fields_set}
    return RequestProbe.model_validate({**(base or ProbeSection()).model_dump(), **said})


def _in_environment(configuration: Configuration, key: KeyPath) -> Finding:
    message = "no gateway passes requests on, so it changes nothing"
    return configuration.environment_fault(key, message, FindingCode.GATEWAY_SETTING).finding


def _of_service(configuration: Configuration, name: str, key: KeyPath) -> Finding:
    message = f"no gateway passes requests on to {name}, so it changes nothing"
    full = ("services", name, *key)
    over = configuration.environment.services.get(name)
    if over is not None and key[0] in over.model_fields_set:
        return configuration.environment_fault(full, message, FindingCode.GATEWAY_SETTING).finding
    return configuration.project_document.fault(full, message, FindingCode.GATEWAY_SETTING).finding
