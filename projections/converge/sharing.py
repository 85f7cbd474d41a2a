"""Which services need the container of another one by its id, and so go where that one goes.

Compose resolves `network_mode: service:NAME` and the like to an id when it makes a container. A new container
of NAME leaves the others in a namespace that has ended, so they are replaced with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

SHARES_WITH = "shares with"  # begins the reason of such a replacement; the other service follows
_SHARED_NAMESPACES = ("network_mode", "ipc", "pid")


def shared_with(definition: Mapping[str, Any]) -> tuple[str, ...]:
    """The services whose container this one needs by id: shared namespaces and `volumes_from`, sorted."""
    modes = (str(definition.get(key) or "") for key in _SHARED_NAMESPACES)
    found = {mode.removeprefix("service:") for mode in modes if mode.startswith("service:")}
    for source in definition.get("volumes_from") or ():
        if not str(source).startswith("container:"):
            found.add(str(source).partition(":")[0])
    return tuple(sorted(found))


def with_providers(definitions: Mapping[str, Mapping[str, Any]], services: Collection[str]) -> list[str]:
    """The services and those whose containers they share: Compose must resolve these to ids."""
    names, waiting = set[str](), list(services)
    while waiting:
        name = waiting.pop()
        if name not in names and name in definitions:
            names.add(name)
            waiting.extend(shared_with(definitions[name]))
    return sorted(names)
