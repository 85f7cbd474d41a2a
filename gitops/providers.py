"""The port to the providers, and what they say of a project's provider sections.

Settings of a provider are opaque in this room. Whoever knows the providers hands in a `Providers`, which
answers for each section whether its provider exists, works yet, and takes the settings as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from gitops.config.document import Document
from gitops.config.faults import KeyPath, unknown
from gitops.config.models import StagecraftFile
from gitops.config.providers import KINDS, ProviderSection, place_of, settings_of
from gitops.config.schema import Broken
from gitops.config.unused import UNUSED_MESSAGE, leaf_keys
from gitops.findings import Finding, FindingCode


class Providers(Protocol):
    """The providers that there are."""

    def ids(self, kind: str) -> Sequence[str]:
        """The names of one kind, sorted."""
        ...

    def ready(self, kind: str, provider: str) -> bool:
        """Whether a known provider does its work yet."""
        ...

    def broken(self, kind: str, provider: str, settings: Mapping[str, Any]) -> Sequence[Broken]:
        """The rules that the settings of a known provider break; keys start inside the settings."""
        ...

    def used(self, kind: str, provider: str, settings: Mapping[str, Any]) -> Sequence[KeyPath]:
        """The settings of a known provider that something reads, by their keys inside the settings."""
        ...

    def host_name(self, provider: str, settings: Mapping[str, Any], host: str) -> str | None:
        """What hosts call `host` by, in a known provider of the network; None when it does not say.

        The answer follows from the settings alone: nothing is asked over a network, so a render that uses it
        is the same everywhere.
        """
        ...


def provider_findings(document: Document, project: StagecraftFile, providers: Providers) -> list[Finding]:
    """What the providers say of their sections."""
    sections: dict[str, ProviderSection | None] = {kind: getattr(project, kind) for kind in KINDS}
    judged = [
        document.finding(code, (kind, *key), message)
        for kind, section in sections.items()
        if section is not None
        for code, key, message in _judged(kind, section, providers)
    ]
    unused = unused_settings(document, project, providers)
    return [*judged, *(document.finding(FindingCode.UNUSED_KEY, key, UNUSED_MESSAGE) for key in unused)]


def unused_settings(document: Document, project: StagecraftFile, providers: Providers) -> list[KeyPath]:
    """The settings of providers, among the sections that are read, that nothing reads yet.

    The other sections are marked as a whole in the schema.
    """
    section = project.network
    if section is None or section.provider not in providers.ids("network"):
        return []
    read = providers.used("network", section.provider, settings_of(section))
    used = {("network", *place_of(section, key)) for key in read} | {("network", "provider")}
    return [key for key in leaf_keys(document.data["network"], ("network",)) if key not in used]


def _judged(
    kind: str, section: ProviderSection, providers: Providers
) -> Iterator[tuple[FindingCode, KeyPath, str]]:
    chosen, known = section.provider, providers.ids(kind)
    if chosen not in known:
        yield FindingCode.PROVIDER_UNKNOWN, ("provider",), unknown(f"{kind} provider", chosen, known)
        return
    if not providers.ready(kind, chosen):
        named = bool(providers.used(kind, chosen, settings_of(section)))
        done = "names hosts and does nothing else yet" if named else "is checked and does nothing yet"
        message = f"the {kind} provider {chosen!r} {done}"
        yield FindingCode.PROVIDER_NOT_READY, ("provider",), message
    for broken in providers.broken(kind, chosen, settings_of(section)):
        yield broken.code, place_of(section, broken.key), broken.message
