"""What services of several hosts seem to share and do not: named volumes, folders of state, networks.

Each host makes its own. A volume whose data another service writes on another host would be there and empty,
so it is refused by name; storage that is reached over the network is the same everywhere and passes. A
network is only told of: services on one host still reach each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from events.kernel.errors import UserError, Where, error_code
from events.manifest import STATE_PREFIX
from gitops.findings import Finding, FindingCode

CROSS_HOST_VOLUME = error_code(
    "cross-host-volume", "Services share a volume or a folder of state and are not on the same hosts."
)

_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3")

_Users = dict[str, set[str]]  # {storage: services}


def networks_of(service: Mapping[str, Any]) -> list[str]:
    """The top-level networks a service is on."""
    return list(service.get("networks") or ())


def volumes_of(service: Mapping[str, Any]) -> list[str]:
    """The named volumes a service mounts."""
    mounts = service.get("volumes", ())
    return [mount["source"] for mount in mounts if mount.get("type") == "volume" and mount.get("source")]


def sharing_findings(
    document: Mapping[str, Any],
    services: Mapping[str, Mapping[str, Any]],
    placement: Mapping[str, Sequence[str]],
) -> list[Finding]:
    """What is not shared although it looks so. Raises UserError `cross-host-volume`."""
    found: list[Finding] = []
    users: _Users = {}
    for name, service in sorted(services.items()):
        for storage in {*volumes_of(service), *_folders_of(service)}:
            users.setdefault(storage, set()).add(name)
    for storage, names in sorted(users.items()):
        if not _is_everywhere(_section(document, "volumes").get(storage)):
            found += _storage(storage, names, placement)
    return [*found, *_networks(document, services, placement)]


def _storage(storage: str, names: set[str], placement: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    what = storage.removeprefix(STATE_PREFIX).replace("$$", "$")
    key = f"volumes.{what}" if what == storage else None
    places = {name: set(placement[name]) for name in sorted(names)}
    hosts = sorted({host for on in places.values() for host in on})
    if len({frozenset(on) for on in places.values()}) > 1:
        told = ", ".join(f"{name} on {', '.join(sorted(on))}" for name, on in places.items())
        raise UserError(
            CROSS_HOST_VOLUME,
            f"{what!r} is shared by services of different hosts: {told}",
            where=Where(key=key or f"services.{min(names)}.volumes"),
            why="each host would have a volume of its own, with other data",
            next=f"give {' and '.join(sorted(names))} the same role, or use storage that all hosts reach",
        )
    if len(hosts) > 1:
        yield Finding(
            code=FindingCode.VOLUME_PER_HOST,
            message=f"{what}: {', '.join(hosts)} each have their own, with other data",
            key=key or f"services.{min(names)}.volumes",
        )


def _folders_of(service: Mapping[str, Any]) -> list[str]:
    """The folders of state that a service mounts."""
    sources = (str(mount.get("source") or "") for mount in service.get("volumes") or ())
    return [source for source in sources if source.startswith(STATE_PREFIX)]


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Mapping[str, Any] | None]:
    found: Mapping[str, Mapping[str, Any] | None] | None = document.get(name)
    return found or {}


def _is_everywhere(definition: Mapping[str, Any] | None) -> bool:
    """Whether a volume's data is not on one host alone, as far as the document says."""
    given = definition or {}
    options: Mapping[str, Any] = given.get("driver_opts") or {}
    return given.get("driver", "local") != "local" or options.get("type") in _NETWORK_FILE_SYSTEMS


def _networks(
    document: Mapping[str, Any],
    services: Mapping[str, Mapping[str, Any]],
    placement: Mapping[str, Sequence[str]],
) -> Iterator[Finding]:
    """Networks with different services on different hosts."""
    members: dict[str, dict[str, set[str]]] = {}
    for name, service in services.items():
        for network in networks_of(service):
            for host in placement[name]:
                members.setdefault(network, {}).setdefault(host, set()).add(name)
    for network, by_host in sorted(members.items()):
        definition = _section(document, "networks").get(network) or {}
        everyone = {name for names in by_host.values() for name in names}
        if definition.get("driver") == "overlay" or all(names == everyone for names in by_host.values()):
            continue
        yield Finding(
            code=FindingCode.NETWORK_PER_HOST,
            message=f"{network}: {', '.join(sorted(by_host))} each have their own; services do not reach "
            "those of another host by name",
            key=f"networks.{network}",
        )
