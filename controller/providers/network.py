"""What network providers say of hosts from their settings alone.

`static` answers with the address that the project lists, which is also where its host is reached. A mesh
(`tailscale`, `headscale`) names each of its hosts by a rule, `<host>.<domain>`; joining hosts to it and
asking it who is there is not done yet. Settings that break the provider's rules answer nothing, because
nobody may have checked them before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from controller.providers.settings import HeadscaleSettings, StaticSettings, TailscaleSettings
from gitops.config.faults import KeyPath
from gitops.place import DEFAULT_PORT, HostPlace

_Settings = TypeVar("_Settings", bound=BaseModel)


class NetworkNames(Protocol):
    """The names of hosts in one kind of network."""

    def host_name(self, settings: Mapping[str, Any], host: str) -> str | None:
        """What other hosts call `host` by, None when the settings do not say."""
        ...

    def used(self, settings: Mapping[str, Any]) -> Sequence[KeyPath]:
        """The settings that names come from."""
        ...

    def places(self, settings: Mapping[str, Any]) -> Mapping[str, HostPlace]:
        """Where SSH reaches hosts, by host, as far as the settings say."""
        ...


class StaticNames:
    """Hosts that are listed with their addresses."""

    def host_name(self, settings: Mapping[str, Any], host: str) -> str | None:
        """The address of a host that is listed with one."""
        given = _valid(StaticSettings, settings)
        listed = None if given is None else given.hosts.get(host)
        return None if listed is None else listed.address

    def used(self, settings: Mapping[str, Any]) -> Sequence[KeyPath]:
        """The addresses, and the ports beside them."""
        given = _valid(StaticSettings, settings)
        listed = {} if given is None else given.hosts
        return [("hosts", name, key) for name in listed for key in ("address", "port")]

    def places(self, settings: Mapping[str, Any]) -> Mapping[str, HostPlace]:
        """Those of the hosts that are listed with an address."""
        given = _valid(StaticSettings, settings)
        listed = {} if given is None else given.hosts
        return {
            name: HostPlace(one.address, one.port or DEFAULT_PORT)
            for name, one in sorted(listed.items())
            if one.address is not None
        }


class MeshNames:
    """Hosts of a mesh, which are called by their own names in its domain."""

    def __init__(self, settings: type[TailscaleSettings | HeadscaleSettings]) -> None:
        self._settings = settings

    def host_name(self, settings: Mapping[str, Any], host: str) -> str | None:
        """`<host>.<domain>`."""
        given = _valid(self._settings, settings)
        return None if given is None else f"{host}.{given.tailnet_domain}"

    def used(self, settings: Mapping[str, Any]) -> Sequence[KeyPath]:  # noqa: ARG002  # the protocol's
        """The domain."""
        return [("tailnet_domain",)]

    def places(self, settings: Mapping[str, Any]) -> Mapping[str, HostPlace]:  # noqa: ARG002  # as above
        """None yet: whether a host has joined is not asked."""
        return {}


def _valid(model: type[_Settings], settings: Mapping[str, Any]) -> _Settings | None:
    try:
        return model.model_validate(settings)
    except ValidationError:
        return None
