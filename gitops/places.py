"""Where a commit says that hosts are: the addresses that SSH reaches them by.

A repository may say that and nothing else of a host, and whether its word counts is not decided here: which
hosts it may name at all is `controller.yml`'s decision, and what that file says of a host goes over it. No
address is part of a Manifest, so a host may move without a deploy, and a rollback goes to where hosts are
now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gitops.config.faults import ConfigInvalidError
from gitops.config.load import project_at
from gitops.config.providers import place_of, settings_of
from gitops.config.schema import Broken
from gitops.place import HostPlace
from gitops.source.tree import Tree

_KIND = "network"


class Places(Protocol):
    """Who reads the settings of network providers, of `gitops.providers.Providers`."""

    def ids(self, kind: str) -> Sequence[str]:
        """The names of one kind."""
        ...

    def ready(self, kind: str, provider: str) -> bool:
        """Whether a known provider does its work yet."""
        ...

    def broken(self, kind: str, provider: str, settings: Mapping[str, Any]) -> Sequence[Broken]:
        """The rules that the settings of a known provider break."""
        ...

    def places(self, provider: str, settings: Mapping[str, Any]) -> Mapping[str, HostPlace]:
        """Where SSH reaches hosts, by host; nothing for a provider that is not known, or does not say."""
        ...


def places_in(tree: Tree, config_path: str, providers: Places) -> Mapping[str, HostPlace]:
    """The places of hosts that the project's `network` gives.

    Raises UserError `config-not-found`, and `config-invalid` also for settings that break the rules of a
    provider that works: half of them would send a Release elsewhere.
    """
    document, project = project_at(tree, config_path)
    section = project.network
    if section is None or section.provider not in providers.ids(_KIND):
        return {}
    chosen, settings = section.provider, settings_of(section)
    broken = providers.broken(_KIND, chosen, settings) if providers.ready(_KIND, chosen) else ()
    if broken:
        raise ConfigInvalidError(
            [document.fault((_KIND, *place_of(section, one.key)), one.message, one.code) for one in broken]
        )
    return providers.places(chosen, settings)
