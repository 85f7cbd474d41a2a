"""The providers that there are, by kind and name, with the settings that each takes.

A provider that is listed here before it works is checked like any other and reported as not ready, so that
a project can be written down once. One without a model takes whatever it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from controller.providers.network import MeshNames, NetworkNames, StaticNames
from controller.providers.settings import (
    EncoreSettings,
    EnvFileSettings,
    GenericBackendSettings,
    GenericFrontendSettings,
    HeadscaleSettings,
    StaticSettings,
    TailscaleSettings,
)
from gitops.config.faults import KeyPath
from gitops.config.schema import Broken, broken_rules
from gitops.place import HostPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One provider."""

    settings: type[BaseModel] | None = None
    names: NetworkNames | None = None  # of a network: what it calls hosts
    ready: bool = False


class ProviderTable:
    """A fixed table of providers; the adapter of `gitops.providers.Providers`."""

    def __init__(self, entries: Mapping[str, Mapping[str, Entry]]) -> None:
        self._entries = entries

    def ids(self, kind: str) -> Sequence[str]:
        """The names of one kind, sorted."""
        return sorted(self._entries.get(kind, {}))

    def ready(self, kind: str, provider: str) -> bool:
        """Whether a known provider does its work yet."""
        return self._entries[kind][provider].ready

    def broken(self, kind: str, provider: str, settings: Mapping[str, Any]) -> Sequence[Broken]:
        """The rules that the settings of a known provider break."""
        model = self._entries[kind][provider].settings
        if model is None:
            return []
        try:
            model.model_validate(settings)
        except ValidationError as error:
            return broken_rules(model, settings, error)
        return []

    def used(self, kind: str, provider: str, settings: Mapping[str, Any]) -> Sequence[KeyPath]:
        """The settings of a known provider that something reads."""
        names = self._entries[kind][provider].names
        return [] if names is None else names.used(settings)

    def host_name(self, provider: str, settings: Mapping[str, Any], host: str) -> str | None:
        """What other hosts call `host` by."""
        names = self._entries["network"][provider].names
        return None if names is None else names.host_name(settings, host)

    def places(self, provider: str, settings: Mapping[str, Any]) -> Mapping[str, HostPlace]:
        """Where SSH reaches hosts, by host."""
        entry = self._entries["network"].get(provider, Entry())
        return {} if entry.names is None else entry.names.places(settings)


PROVIDERS: Final = ProviderTable(
    {
        "backend": {
            "encore-ts": Entry(settings=EncoreSettings),
            "generic": Entry(settings=GenericBackendSettings),
        },
        "frontend": {
            "generic": Entry(settings=GenericFrontendSettings),
            "generic-dev-command": Entry(settings=GenericFrontendSettings),
        },
        "network": {
            "headscale": Entry(settings=HeadscaleSettings, names=MeshNames(HeadscaleSettings)),
            "static": Entry(settings=StaticSettings, names=StaticNames(), ready=True),
            "tailscale": Entry(settings=TailscaleSettings, names=MeshNames(TailscaleSettings)),
        },
        "cloud": {"digitalocean": Entry(), "local": Entry()},
        "ci": {"github": Entry()},
        "secrets": {"encore": Entry(), "envfile": Entry(settings=EnvFileSettings)},
    }
)
