"""In which order services are worked on: waves, each finished and gated before the next begins.

Only a wait that needs a verdict makes a new wave: `service_healthy` and `service_completed_successfully`.
Mere order of starting (`service_started`) is kept by Compose inside one call. A job runs outside Compose,
so for a job every service it waits for stands in an earlier wave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from events.kernel.errors import InternalError, error_code
from events.manifest import Service, WaitCondition

WAITS_IN_A_CIRCLE = error_code(
    "waits-in-a-circle",
    "Services of a Manifest wait for each other in a circle, which Compose should have refused.",
)

_VERDICTS: frozenset[WaitCondition] = frozenset({"service_healthy", "service_completed_successfully"})


def waves(services: Mapping[str, Service], chosen: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The chosen services in waves, each sorted by name; empty waves are left out.

    Levels are taken over all services, so that a chosen one keeps its place after another chosen one that
    it reaches only through a third. Raises InternalError `waits-in-a-circle`.
    """
    levels = _levels(services)
    grouped: dict[int, list[str]] = defaultdict(list)
    for name in sorted(chosen):
        grouped[levels.get(name, 0)].append(name)
    return tuple(tuple(grouped[level]) for level in sorted(grouped))


def _levels(services: Mapping[str, Service]) -> dict[str, int]:
    levels: dict[str, int] = {}
    for name in sorted(services):
        _level(name, services, levels=levels, path=())
    return levels


def _level(
    name: str, services: Mapping[str, Service], *, levels: dict[str, int], path: tuple[str, ...]
) -> int:
    if name in levels:
        return levels[name]
    if name in path:
        circle = " -> ".join([*path[path.index(name) :], name])
        raise InternalError(WAITS_IN_A_CIRCLE, f"services wait for each other: {circle}")
    service = services[name]
    level = 0
    for needed, condition in sorted(service.waits_for.items()):
        if needed not in services:
            continue  # it runs on another host or not at all: Compose has dropped the edge there
        below = _level(needed, services, levels=levels, path=(*path, name))
        barrier = condition in _VERDICTS or service.job is not None
        level = max(level, below + (1 if barrier else 0))
    levels[name] = level
    return level


def healthy_needs(services: Mapping[str, Service], names: Collection[str]) -> tuple[str, ...]:
    """The services, other than `names`, whose health one of `names` waits for."""
    needs = {
        needed
        for name in names
        for needed, condition in services[name].waits_for.items()
        if condition == "service_healthy" and needed in services
    }
    return tuple(sorted(needs - set(names)))
