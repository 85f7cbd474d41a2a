"""`stagecraft status`."""

from __future__ import annotations

from cli.settings import Settings, with_settings


@with_settings("env")
def status(settings: Settings) -> None:
    """Stub."""
    settings.console.line(repr(settings))
