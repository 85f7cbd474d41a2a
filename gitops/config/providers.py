"""Provider sections, whose own settings are the provider's alone.

    network:
      provider: tailscale        # who does it
      tailscale: {...}           # what it takes, opaque here

The settings may also stand below `providers.<id>`, and `dev` below the section: `settings_of` puts them
together and `place_of` leads back. Which providers there are and what each takes is not known here
(`gitops.providers`), so the schema of a section never changes with a provider.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from gitops.config.faults import KeyPath
from gitops.config.scalars import Name
from gitops.config.section import Emptied, Gathering

KINDS = ("backend", "ci", "cloud", "frontend", "network", "secrets")
_INLINE = "[settings]"


class ProviderSection(Gathering):
    """Who does a job, and the settings that this provider takes."""

    GATHERED: ClassVar[dict[str, str | None]] = {_INLINE: None}

    provider: Name = Field(description="Name of the provider.")
    providers: dict[Name, Emptied[dict[str, Any]]] = Field(
        default={}, description="Settings by provider; those of the chosen one count."
    )
    inline: dict[Name, Emptied[dict[str, Any]]] = Field(
        default={}, alias="[settings]", description="Settings of the chosen provider, under its name."
    )

    @classmethod
    def group_of(cls, name: str, value: object, data: dict[str, Any]) -> str | None:  # noqa: ARG003
        """Settings stand under the name of the chosen provider."""
        return _INLINE if name == data.get("provider") else None


class DevelopedSection(ProviderSection):
    """A provider section with settings for the developer's machine."""

    dev: dict[str, Any] | None = Field(
        default=None, description="Settings of the chosen provider for the developer's machine."
    )


def settings_of(section: ProviderSection) -> dict[str, Any]:
    """The settings of the chosen provider, from all places where they may stand; the nearest wins."""
    chosen = section.provider
    settings = {**section.providers.get(chosen, {}), **section.inline.get(chosen, {})}
    if isinstance(section, DevelopedSection) and section.dev is not None:
        settings["dev"] = section.dev
    return settings


def place_of(section: ProviderSection, key: KeyPath) -> KeyPath:
    """Where `key` of the settings stands, from the section."""
    chosen = section.provider
    if key[:1] == ("dev",) and isinstance(section, DevelopedSection) and section.dev is not None:
        return key
    inline, listed = section.inline.get(chosen), section.providers.get(chosen)
    if inline is None and listed is not None:
        return ("providers", chosen, *key)
    if listed is not None and key and key[0] in listed and key[0] not in (inline or {}):
        return ("providers", chosen, *key)
    return (chosen, *key) if inline is not None else key
