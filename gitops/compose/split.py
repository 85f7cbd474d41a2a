"""One document per host: the services whose role the host has, and the networks and volumes they use.

Across hosts Compose can neither start services in an order nor link them, so those entries are dropped with a
finding; where the other host's address is known, its services keep their names by `extra_hosts`. A namespace
or a volume that is taken from another service cannot be dropped without changing what the service is: it is
refused by name (`gitops.compose.sharing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from events.kernel.errors import UserError, Where, error_code
from gitops.compose.links import link_names, links_of, shared_with, without_links
from gitops.compose.sharing import networks_of, sharing_findings, volumes_of
from gitops.findings import Finding, FindingCode

CROSS_HOST_NAMESPACE = error_code(
    "cross-host-namespace", "A service shares a namespace or volumes with one that is not on the same host."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A document for each host, by its name, and what was left out."""

    documents: dict[str, dict[str, Any]]
    findings: tuple[Finding, ...]


def split(
    document: Mapping[str, Any],
    services: Mapping[str, dict[str, Any]],
    placement: Mapping[str, Sequence[str]],
    *,
    addresses: Mapping[str, str] | None = None,
) -> Split:
    """Distribute `services` by `placement`, `{service: hosts}`; networks and volumes come from `document`.

    `addresses` are what hosts are called by others, as far as that is known. Raises UserError
    `cross-host-namespace` or `cross-host-volume`.
    """
    cutting = _Cutting(services=services, placement=placement, addresses=addresses or {})
    documents: dict[str, dict[str, Any]] = {}
    for host in sorted({host for hosts in placement.values() for host in hosts}):
        present = {name: service for name, service in services.items() if host in placement[name]}
        cut = {name: cutting.cut(name, host, present) for name in present}
        documents[host] = {
            "name": document["name"],
            "services": cut,
            **_used(document, "networks", cut),
            **_used(document, "volumes", cut),
        }
    found = [*cutting.findings, *sharing_findings(document, services, placement)]
    found.sort(key=lambda one: (one.key or "", one.code, one.message))
    return Split(documents=documents, findings=tuple(found))


@dataclass(slots=True, kw_only=True)
class _Cutting:
    """Takes services out of their project, one host after another."""

    services: Mapping[str, dict[str, Any]]
    placement: Mapping[str, Sequence[str]]
    addresses: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list[Finding])

    def cut(self, name: str, host: str, present: Mapping[str, Any]) -> dict[str, Any]:
        """The service without what points to services that are not on `host`."""
        service = self.services[name]
        for key, other in shared_with(service):
            if other not in present:
                raise UserError(
                    CROSS_HOST_NAMESPACE,
                    f"service {name!r} on host {host!r} shares {key} with {other!r}, "
                    "which is not on that host",
                    where=Where(host=host, service=name, key=f"services.{name}.{key}"),
                    next=f"give {name} and {other} the same role",
                )
        kept = dict(service)
        named: dict[str, str] = {}
        for key, targets in links_of(service):
            gone = sorted({target for target in targets if target not in present})
            if not gone:
                continue
            self.findings.append(
                Finding(
                    code=FindingCode.DEPENDENCY_DROPPED,
                    message=f"{name} on {host}: " + "; ".join(self._told(service, one) for one in gone),
                    key=f"services.{name}.{key}",
                )
            )
            for target in gone:
                named |= dict.fromkeys(link_names(service, target), target)
            without_links(kept, key, set(gone))
        extra = self._extra_hosts(service, named)
        return {**kept, "extra_hosts": extra} if extra else kept

    def _told(self, service: Mapping[str, Any], other: str) -> str:
        """What becomes of a dependency that runs elsewhere."""
        hosts = ", ".join(sorted(self.placement.get(other, ())))
        said = f"{other} runs on {hosts or 'no host'}, so Compose cannot order or link them"
        waits: Mapping[str, Mapping[str, Any]] = service.get("depends_on") or {}
        how = waits.get(other, {})
        if how.get("condition") == "service_completed_successfully":
            said += ", and it does not wait until that job has ended"
        if how.get("restart") is True:
            said += ", nor is it restarted with it"
        definition = self.services.get(other, {})
        if not definition.get("ports") and definition.get("network_mode") != "host":
            said += f"; {other} publishes no port that other hosts could reach"
        return said

    def _extra_hosts(self, service: Mapping[str, Any], named: Mapping[str, str]) -> list[str]:
        """The service's own `extra_hosts`, and a line for each of `named` whose one host has an address."""
        if str(service.get("network_mode") or "").startswith(("service:", "container:")):
            return []
        own = [str(line) for line in service.get("extra_hosts") or ()]
        taken = {line.partition("=")[0] for line in own}
        found: list[str] = []
        for alias, target in sorted(named.items()):
            hosts = self.placement.get(target, ())
            address = self.addresses.get(hosts[0]) if len(hosts) == 1 else None
            if alias not in taken and address is not None and _is_address(address):
                found.append(f"{alias}={address}")
        return [*own, *found] if found else []


def _is_address(text: str) -> bool:
    """Whether `text` is an IP address, the only thing that `extra_hosts` takes."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
