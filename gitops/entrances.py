"""How requests come into a gateway: its entry points, and what they do for whoever comes by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ADMIN_ENTRANCE = "stagecraft"
ADMIN_PORT = 8099
"""In the gateway's container, for the controller alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrances:
    """The entry points of one gateway, by name."""

    ports: Mapping[str, int]  # in its container
    tls: frozenset[str] = frozenset()  # those that end TLS for every request
    resolvers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Who gets certificates for what comes in there, as the gateway calls it; absent: nobody."""
    usual: tuple[str, ...]  # those of a router that names none, sorted
    labels_count: bool = False  # a service needs no `traefik.enable` to be passed on to


def our_entrances(resolver: str | None) -> Entrances:
    """Those of a gateway whose settings are ours; `resolver` gets its certificates, None: files have them."""
    return Entrances(
        ports={"web": 80, "websecure": 443},
        tls=frozenset({"websecure"}),
        resolvers={} if resolver is None else {"websecure": resolver},
        usual=("web", "websecure"),
    )
