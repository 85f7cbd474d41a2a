"""How a service of a rendered document leads to others: what it waits for, calls by name, or lives inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

_NAMESPACES = ("network_mode", "ipc", "pid")
_PREFIX = "service:"


def shared_with(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys by which a service lives inside another, with that other's name."""
    found = [
        (key, mode.removeprefix(_PREFIX))
        for key in _NAMESPACES
        if isinstance(mode := service.get(key), str) and mode.startswith(_PREFIX)
    ]
    sources = (str(source) for source in service.get("volumes_from") or ())
    return found + [
        ("volumes_from", source.split(":")[0]) for source in sources if not source.startswith("container:")
    ]


def links_of(service: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Keys that name other services without which it can be made, with the names."""
    links = [_linked(link) for link in service.get("links") or ()]
    return [("depends_on", list(service.get("depends_on") or {})), ("links", links)]


def link_names(service: Mapping[str, Any], other: str) -> list[str]:
    """The names by which a service's `depends_on` and `links` let it call `other`, its own first."""
    aliases = [str(link).partition(":")[2] for link in service.get("links") or () if _linked(link) == other]
    return list(dict.fromkeys([other, *(alias for alias in aliases if alias)]))


def without_links(service: dict[str, Any], key: str, gone: Collection[str]) -> None:
    """Take `gone` out of one of the keys of `links_of`; a key that holds nothing then goes too."""
    value = service[key]
    left: Any
    if isinstance(value, dict):
        waits = cast("dict[str, Any]", value)
        left = {name: how for name, how in waits.items() if name not in gone}
    else:
        left = [link for link in value if _linked(link) not in gone]
    if left:
        service[key] = left
    else:
        del service[key]


def _linked(link: object) -> str:
    return str(link).partition(":")[0]
