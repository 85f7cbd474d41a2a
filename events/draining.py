"""What gets no new requests in an environment, as persons asked: hosts, and services.

Pure: the folds of decisions and of views share it, and whoever tells gateways where requests go asks it.
It stands until a person ends it or the environment is taken away; no Release ends it. A name that is in no
Manifest any more does no harm and may come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DrainKind = Literal["service", "host"]
DrainMode = Literal["draining", "maintenance"]
DrainedName = tuple[DrainKind, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """All that gets no new requests."""

    hosts: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hosts or self.services)

    def leaves_out(self, host: str, service: str) -> bool:
        """Whether no gateway passes requests of the service on to its containers on that host."""
        return host in self.hosts or service in self.services

    def answering(self, service: str, hosts: Iterable[str]) -> tuple[str, ...]:
        """Those of a service's `hosts` that get its requests, sorted; none: gateways answer 503."""
        return tuple(host for host in sorted(hosts) if not self.leaves_out(host, service))


def drained_of(names: Iterable[DrainedName]) -> Drained:
    """What is drained, by kind and name."""
    found = list(names)
    return Drained(
        hosts=frozenset(name for kind, name in found if kind == "host"),
        services=frozenset(name for kind, name in found if kind == "service"),
    )
