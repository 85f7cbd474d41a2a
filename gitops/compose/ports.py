"""Ports of a host that several containers of one Manifest want: found before anything is recorded.

The engine would find out when the second of them starts, after the first took the port. Only a port with one
number is compared: of a range the engine takes whichever is free. Jobs publish none, whatever they say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from events.kernel.errors import UserError, Where, error_code

PORT_CONFLICT = error_code(
    "port-conflict", "Several containers that are to run on one host want the same port of it."
)

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # what an empty address means, each for its family


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """A port that one container wants."""

    service: str
    address: str  # empty: all addresses of both families
    number: str
    protocol: str

    def overlaps(self, other: _Claim) -> bool:
        """Whether only one of the two can have it."""
        if (self.number, self.protocol) != (other.number, other.protocol):
            return False
        if self.address == other.address or not (self.address and other.address):
            return True
        one, two = ip_address(self.address), ip_address(other.address)
        return one.version == two.version and bool({self.address, other.address} & set(_WILDCARDS))

    def __str__(self) -> str:
        host = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{host}{self.number}/{self.protocol}"


def refuse_port_conflicts(documents: Mapping[str, Mapping[str, Any]], jobs: Collection[str]) -> None:
    """Look at the document of each host. Raises UserError `port-conflict`."""
    for host, document in sorted(documents.items()):
        claims: list[_Claim] = []
        for name, service in sorted(document["services"].items()):
            for claim in () if name in jobs else _claims(name, service):
                holder = next((one for one in claims if one.overlaps(claim)), None)
                if holder is not None:
                    raise _conflict(host, holder, claim)
                claims.append(claim)


def _claims(name: str, service: Mapping[str, Any]) -> Iterator[_Claim]:
    """The ports of all containers of a service."""
    for _ in range(min(_replicas(service), 2)):  # the second one shows what all further ones would
        for port in service.get("ports") or ():
            number = str(port.get("published") or "")
            if number.isdecimal():
                yield _Claim(
                    service=name,
                    address=str(port.get("host_ip") or ""),
                    number=number,
                    protocol=str(port.get("protocol") or "tcp"),
                )


def _replicas(service: Mapping[str, Any]) -> int:
    deploy: Mapping[str, Any] = service.get("deploy") or {}
    if deploy.get("mode") == "global":
        return 1
    counts = (service.get("scale"), deploy.get("replicas"))
    return next((int(count) for count in counts if count is not None), 1)


def _conflict(host: str, holder: _Claim, claim: _Claim) -> UserError:
    same = holder.service == claim.service
    who = f"two containers of {claim.service}" if same else f"{holder.service} and {claim.service}"
    return UserError(
        PORT_CONFLICT,
        f"{who} want port {claim} of the same host",
        where=Where(host=host, service=claim.service, key=f"services.{claim.service}.ports"),
        why="" if str(holder) == str(claim) else f"{holder.service} wants {holder}, which is the same port",
        next="publish another port for one of them, or a range for several replicas",
    )
