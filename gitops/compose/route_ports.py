"""What a service needs so that a gateway reaches it: a network in common, or a port of its host.

A gateway dials a container on its own host by name, in a network that both are on. On every other host it
dials that host's address, so there the routed port is published on a port that the engine chooses: two
versions of a service can have one at the same time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from events.kernel.addresses import is_loopback
from gitops.compose.sharing import networks_of

LOOPBACK = "127.0.0.1"
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # read in documents, never bound to


def unreachable(
    name: str, service: Mapping[str, Any], *, gateway: str, by: Mapping[str, Any], together: bool
) -> str | None:
    """Why `gateway`, defined `by`, cannot reach a service; `together`: some host has both. None: it can."""
    mode = str(service.get("network_mode") or "")
    if mode:
        return f"{name} has network_mode: {mode}, so it has no name and no port that a gateway could dial"
    if not networks_of(service):
        return f"{name} is on no network"
    if together and not set(networks_of(service)) & set(networks_of(by)):
        mine, other = (", ".join(sorted(networks_of(one))) or "none" for one in (service, by))
        return f"{name} (networks: {mine}) shares no network with the gateway {gateway} (networks: {other})"
    return None


def publish_routed(
    documents: Mapping[str, dict[str, Any]],
    ports: Mapping[str, Collection[int]],
    gateways: Collection[str],
) -> None:
    """Publish ports of each host's services where a gateway on another host has to reach them.

    `ports` are, by service, those that gateways dial.
    """
    for host, document in documents.items():
        if not set(gateways) - {host}:
            continue
        services: dict[str, dict[str, Any]] = document["services"]
        for name in sorted(ports.keys() & services.keys()):
            services[name] = with_ports(services[name], ports[name])


def with_ports(service: dict[str, Any], ports: Iterable[int]) -> dict[str, Any]:
    """The service with each port published on one that the engine chooses, unless others reach it already.

    One that the project publishes on some address of the host is left at that: it keeps the port from others.
    """
    own: list[dict[str, Any]] = list(service.get("ports") or ())
    open_ones = {
        int(one["target"])
        for one in own
        if (one.get("protocol") or "tcp") == "tcp" and not is_loopback(str(one.get("host_ip") or ""))
    }
    added = [
        {"mode": "ingress", "target": port, "protocol": "tcp"}
        for port in sorted(ports)
        if port not in open_ones
    ]
    return {**service, "ports": [*own, *added]} if added else service


def with_admin_port(service: dict[str, Any], port: int) -> None:
    """Publish a port of the gateway for the controller alone, on one that the engine chooses."""
    own: list[dict[str, Any]] = list(service.get("ports") or ())
    near = _EVERYWHERE | {LOOPBACK}
    if any(int(one["target"]) == port and str(one.get("host_ip") or "") in near for one in own):
        return
    ours = {"mode": "ingress", "host_ip": LOOPBACK, "target": port, "protocol": "tcp"}
    service["ports"] = [*own, ours]
