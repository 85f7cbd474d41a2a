"""An image reference taken apart: which registry, which repository in it, which tag or digest.

The rules are the engine's own, so that what is looked up here is what a host pulls: the first part is a
registry when it has a dot or a port or is `localhost`, all else belongs to the public one.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from events.kernel.addresses import is_loopback

PUBLIC = "docker.io"
_PUBLIC_API = "index.docker.io"
_PUBLIC_CREDENTIALS = "https://index.docker.io/v1/"  # the name that `docker login` gives it
_PUBLIC_NAMES = (PUBLIC, _PUBLIC_API)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """One reference."""

    registry: str  # `docker.io`, `registry.example:5000`
    repository: str  # `library/nginx`
    reference: str  # tag or digest

    @property
    def api_host(self) -> str:
        """Host and port that answer for the registry."""
        return _PUBLIC_API if self.registry == PUBLIC else self.registry

    @property
    def credentials_key(self) -> str:
        """The registry's name in Docker's configuration and for credential helpers."""
        return _PUBLIC_CREDENTIALS if self.registry == PUBLIC else self.registry


def image_name(ref: str) -> ImageName:
    """`ref`, which is written as a reference, taken apart; without tag and digest it means `latest`."""
    name, at, digest = ref.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    path = f"{head}{slash}{last}"
    first, slash, rest = path.partition("/")
    if not slash or not _is_host(first):
        first, rest = PUBLIC, path
    registry = PUBLIC if first in _PUBLIC_NAMES else first.lower()
    if registry == PUBLIC and "/" not in rest:
        rest = f"library/{rest}"
    return ImageName(registry=registry, repository=rest, reference=digest if at else tag or "latest")


def host_of(address: str) -> str:
    """The host of `host:port` or `[address]:port`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0]


def is_on_this_machine(address: str) -> bool:
    """Whether `host:port` is, by its name alone; nothing is looked up."""
    host = host_of(address)
    return host == "localhost" or is_loopback(host)


def is_no_registry(address: str) -> bool:
    """Whether no registry can be there: an address of the link alone, as cloud metadata has, or of many."""
    try:
        ip = ip_address(host_of(address))
    except ValueError:
        return False
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified


def _is_host(part: str) -> bool:
    return "." in part or ":" in part or part == "localhost"
