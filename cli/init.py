"""`stagecraft init`."""

from __future__ import annotations

from cli.settings import Settings, with_settings


@with_settings("dry_run")
def init(settings: Settings) -> None:
    """Stub."""
