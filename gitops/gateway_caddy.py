"""Caddy as the gateway: its admin API is all that it needs, where the controller reaches it.

Caddy gets no settings and no files from us. It keeps its admin API to its own loopback unless a variable says
otherwise, and nobody outside its container reaches that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gitops.entrances import Entrances
from gitops.gateway_flags import Judged

ADMIN_VARIABLE = "CADDY_ADMIN"
_IMAGE = re.compile(r"caddy(?:[:@].*)?", re.DOTALL)
_EVERYWHERE = re.compile(r"(?:0\.0\.0\.0|\[::\])?:(?P<port>\d{1,5})")


def is_caddy(service: Mapping[str, Any]) -> bool:
    """Whether a service runs Caddy, by the name of its image."""
    return _IMAGE.fullmatch(str(service["image"]).rpartition("/")[2]) is not None


def judged_caddy(service: Mapping[str, Any]) -> Judged:
    """Whether it can be told, and on which port."""
    given: Mapping[str, Any] = service.get("environment") or {}
    match = _EVERYWHERE.fullmatch(str(given.get(ADMIN_VARIABLE) or ""))
    reached = match is not None
    return Judged(
        kind="caddy",
        entrances=Entrances(
            ports={"web": 80, "websecure": 443}, tls=frozenset({"websecure"}), usual=("web", "websecure")
        ),
        admin_port=int(match["port"]) if match is not None else None,
        authenticated=False,
        why="" if reached else f"its admin API is not reached; set {ADMIN_VARIABLE}: 0.0.0.0:2019 for it",
    )
