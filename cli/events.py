"""`stagecraft events`."""

from __future__ import annotations

from cli.settings import group

app = group("Stub.")
