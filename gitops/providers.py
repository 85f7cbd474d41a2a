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


def provider_findings(document: Document, project: StagecraftFile, providers: Providers) -> list[Finding]:
    """What the providers say of their sections."""
    sections: dict[str, ProviderSection | None] = {kind: getattr(project, kind) for kind in KINDS}
    return [
        document.finding(code, (kind, *key), message)
        for kind, section in sections.items()
        if section is not None
        for code, key, message in _judged(kind, section, providers)
    ]


def _judged(
    kind: str, section: ProviderSection, providers: Providers
) -> Iterator[tuple[FindingCode, KeyPath, str]]:
    chosen, known = section.provider, providers.ids(kind)
    if chosen not in known:
        yield FindingCode.PROVIDER_UNKNOWN, ("provider",), unknown(f"{kind} provider", chosen, known)
        return
    if not providers.ready(kind, chosen):
        message = f"the {kind} provider {chosen!r} is checked and does nothing yet"
        yield FindingCode.PROVIDER_NOT_READY, ("provider",), message
    for broken in providers.broken(kind, chosen, settings_of(section)):
        yield broken.code, place_of(section, broken.key), broken.message
