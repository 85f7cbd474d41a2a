"""One document per host: the services whose role the host has, and the networks and volumes they use.

Across hosts Compose can neither start services in an order nor link them, so those entries are dropped with a
finding. A namespace or a volume that is taken from another service cannot be dropped without changing what
the service is: it is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from events.kernel.errors import UserError, Where, error_code
from gitops.findings import Finding, FindingCode

CROSS_HOST_NAMESPACE = error_code(
    "cross-host-namespace", "A service shares a namespace or volumes with one that is not on the same host."
)

_NAMESPACES = ("network_mode", "ipc", "pid")
_PREFIX = "service:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A document for each host, by its name, and what was left out."""

    documents: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]


def split(
    document: Mapping[str, Any],
    services: Mapping[str, dict[str, Any]],
    placement: Mapping[str, Sequence[str]],
) -> Split:
    """Distribute `services` by `placement`, `{service: hosts}`; networks and volumes come from `document`.

    Raises UserError `cross-host-namespace`.
    """
    documents: dict[str, dict[str, Any]] = {}
    findings: dict[str, Finding] = {}
    for host in sorted({host for hosts in placement.values() for host in hosts}):
        present = {name: service for name, service in services.items() if host in placement[name]}
        cut = {name: _cut(name, service, host, present, findings) for name, service in present.items()}
        documents[host] = {
            "name": document["name"],
            "services": cut,
            **_used(document, "networks", cut),
            **_used(document, "volumes", cut),
        }
    return Split(documents=documents, findings=tuple(findings[key] for key in sorted(findings)))


def networks_of(service: Mapping[str, Any]) -> list[str]:
    """The top-level networks a service is on."""
    return list(service.get("networks") or ())


def volumes_of(service: Mapping[str, Any]) -> list[str]:
    """The named volumes a service mounts."""
    mounts = service.get("volumes", ())
    return [mount["source"] for mount in mounts if mount.get("type") == "volume" and mount.get("source")]


def _cut(
    name: str,
    service: dict[str, Any],
    host: str,
    present: Mapping[str, Any],
    findings: dict[str, Finding],
) -> dict[str, Any]:
    """The service without what points to services that are not on `host`."""
    for key, other in _shared(service):
        if other not in present:
            raise UserError(
                CROSS_HOST_NAMESPACE,
                f"service {name!r} on host {host!r} shares {key} with {other!r}, which is not on that host",
                where=Where(host=host, service=name, key=f"services.{name}.{key}"),
                next=f"give {name} and {other} the same role",
            )
    kept = dict(service)
    for key, targets in _links(service):
        gone = [target for target in targets if target not in present]
        if not gone:
            continue
        message = (
            f"{name} on {host}: {', '.join(sorted(gone))} run elsewhere, so Compose cannot order or link them"
        )
        key_path = f"services.{name}.{key}"
        findings[f"{key_path} {host}"] = Finding(
            code=FindingCode.DEPENDENCY_DROPPED, message=message, key=key_path
        )
        kept[key] = _without(service[key], set(gone))
    return {key: value for key, value in kept.items() if key not in {"depends_on", "links"} or value}


def _shared(service: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys by which a service lives inside another, with that other's name."""
    found = [
        (key, mode.removeprefix(_PREFIX))
        for key in _NAMESPACES
        if isinstance(mode := service.get(key), str) and mode.startswith(_PREFIX)
    ]
    sources = (str(source) for source in service.get("volumes_from", ()))
    return found + [
        ("volumes_from", source.split(":")[0]) for source in sources if not source.startswith("container:")
    ]


def _links(service: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Keys that name other services, with the names."""
    links = [str(link).split(":")[0] for link in service.get("links", ())]
    return [("depends_on", list(service.get("depends_on", {}))), ("links", links)]


def _without(value: Any, gone: set[str]) -> Any:  # noqa: ANN401  # depends_on is a mapping, links is a list
    if isinstance(value, dict):
        waits = cast("dict[str, Any]", value)
        return {name: how for name, how in waits.items() if name not in gone}
    return [link for link in value if str(link).split(":")[0] not in gone]


def _used(document: Mapping[str, Any], section: str, services: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `section` that some service uses; no key at all when there are none."""
    names_of = networks_of if section == "networks" else volumes_of
    names = sorted({name for service in services.values() for name in names_of(service)})
    defined: dict[str, Any] = document.get(section, {})
    used = {name: _plain(defined[name]) for name in names if name in defined}
    return {section: used} if used else {}


def _plain(definition: dict[str, Any] | None) -> dict[str, Any]:
    """A definition without extension keys."""
    return {key: value for key, value in (definition or {}).items() if not key.startswith("x-")}
