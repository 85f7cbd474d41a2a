"""What Traefik says that it does: its answers against what it was told, and its counters. Pure.

A service of Traefik's says `UP` of a server the moment it is configured, so nothing is read from that. What
counts is that it has exactly the routers and services of the file, with these rules and servers, and is able
to use each of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

from projections.edge.port import Backends, Counters
from projections.edge.traefik_files import PAGE, Section, configuration, owner

Kind = Literal["http", "tcp"]
Thing = Literal["routers", "services"]
QUESTIONS: tuple[tuple[Kind, Thing], ...] = (
    ("http", "services"),
    ("http", "routers"),
    ("tcp", "services"),
    ("tcp", "routers"),
)
PER_PAGE = 1000  # what is searched for is in the names of others too

_AT_FILE = "@file"
_COUNTED = re.compile(
    r"traefik_service_requests_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.e+]+)", re.MULTILINE
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_FAILED = 500


def question(kind: Kind, thing: Thing, name: str, page: int) -> str:
    """The path that answers what it knows of a `Backends.name`, and of names that contain it."""
    return f"/api/{kind}/{thing}?search={quote(name, safe='')}&per_page={PER_PAGE}&page={page}"


def wanted_of(backends: Backends, kind: Kind, thing: Thing) -> Mapping[str, Section]:
    """What it is to know, by name."""
    return _part(_part(configuration(backends), kind), thing)


def owned(answer: Sequence[Section], name: str) -> list[Section]:
    """Those of an answer's entries that are a service's own."""
    return [one for one in answer if owner(str(one.get("name") or "")) == name]


def difference(wanted: Mapping[str, Section], known: Sequence[Section], thing: Thing) -> str | None:
    """What it does not do as told, in words; None: it does all of it and nothing else."""
    found = {str(one["name"]).removesuffix(_AT_FILE): one for one in known}
    for name in sorted({*wanted, *found}):
        if name not in found:
            return f"it does not know {name}"
        if name not in wanted:
            return f"it still knows {name}"
        view = _router if thing == "routers" else _service
        words = _off(found[name]) or _unlike(view(wanted[name]), view(found[name]))
        if words is not None:
            return f"{name}: {words}"
    return None


def counted(metrics: str, backends: Backends) -> Counters:
    """A service's requests, from what is meant for Prometheus."""
    requests = failed = 0
    for found in _COUNTED.finditer(metrics):
        labels: dict[str, str] = dict(_LABEL.findall(found["labels"]))
        service = labels.get("service", "")
        if owner(service) != backends.name or service.startswith(PAGE):  # a page's visitors count once
            continue
        count = int(float(found["count"]))
        requests += count
        if labels.get("code", "").isdecimal() and int(labels["code"]) >= _FAILED:
            failed += count
    return Counters(requests=requests, failed=failed)


def _router(router: Section) -> dict[str, object]:
    """What counts of a router, whoever wrote it."""
    return {
        "rule": router.get("rule"),
        "service": _bare(router.get("service")),
        "entry points": sorted(_list(router, "entryPoints")),
        "middlewares": [_bare(one) for one in _list(router, "middlewares")],
        "TLS": "tls" in router,
        "certificates from": _part(router, "tls").get("certResolver", ""),
    }


def _service(service: Section) -> dict[str, object]:
    """What counts of a service."""
    balancer = _part(service, "loadBalancer")
    return {
        "weights": _weights(_part(service, "weighted")),
        "servers": _servers(balancer),
        "cookie": _part(_part(balancer, "sticky"), "cookie").get("name", ""),
    }


def _weights(weighted: Section) -> list[tuple[str, int]]:
    return sorted((_bare(one["name"]), int(one.get("weight", 1))) for one in _list(weighted, "services"))


def _servers(balancer: Section) -> list[tuple[str, int]]:
    return sorted(
        (str(one.get("url") or one.get("address")), int(one.get("weight", 1)))
        for one in _list(balancer, "servers")
    )


def _off(found: Section) -> str | None:
    """Its own words for why it cannot use something."""
    if found.get("status") == "enabled":
        return None
    return "; ".join(map(str, _list(found, "error"))) or f"its status is {found.get('status')}"


def _unlike(wanted: dict[str, object], found: dict[str, object]) -> str | None:
    for what, value in wanted.items():
        if value != found[what]:
            return f"{what}: {found[what]} instead of {value}"
    return None


def _bare(name: object) -> str:
    return str(name or "").removesuffix(_AT_FILE)


def _part(of: Section, key: str) -> Section:
    """The object under a key, empty when there is none."""
    value = of.get(key)
    return cast("Section", value) if isinstance(value, dict) else {}


def _list(of: Section, key: str) -> Sequence[Any]:
    """The list under a key, empty when there is none."""
    value = of.get(key)
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()
