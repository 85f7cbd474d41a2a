"""What Compose's dry run goes by, of one engine: its version, and the networks and volumes of a document.

Compose makes a network or a volume anew where the label with its digest is not that of the document, and
compares nothing else of it. Containers it looks at as well; those their observer has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from events.kernel.canonical import canonical_json
from projections.engine.api import Answer, DockerApi
from projections.engine.port import App
from projections.engine.stock import COMPOSE_PROJECT_LABEL

_OF_ENGINE = ("Version", "ApiVersion", "Os", "Arch")
_OF_NETWORK = ("Name", "Driver", "Scope", "Labels", "Options", "Internal", "Attachable", "EnableIPv6")
_OF_VOLUME = ("Name", "Driver", "Scope", "Labels", "Options")


def grounds_of(api: DockerApi, app: App) -> tuple[str, ...]:
    """See `Engine.grounds`. Blocking."""
    found = [_facts(api.version(), _OF_ENGINE)]
    networks = named_in(app, "networks")
    found += [_facts(one, _OF_NETWORK) for one in api.networks(filters={}) if _concerns(one, app, networks)]
    if volumes := named_in(app, "volumes"):
        listed: list[Answer] = api.volumes(filters={}).get("Volumes") or []
        found += [_facts(one, _OF_VOLUME) for one in listed if _concerns(one, app, volumes)]
    return tuple(sorted(found))


def named_in(app: App, kind: str) -> frozenset[str]:
    """The engine's names of the networks or volumes that a document has."""
    listed = cast("Mapping[str, Mapping[str, Any] | None]", app.document.get(kind) or {})
    return frozenset(
        str((one or {}).get("name") or f"{app.compose_project}_{key}") for key, one in listed.items()
    )


def _concerns(one: Answer, app: App, names: Collection[str]) -> bool:
    labels: Mapping[str, str] = one.get("Labels") or {}
    return one.get("Name") in names or labels.get(COMPOSE_PROJECT_LABEL) == app.compose_project


def _facts(one: Answer, keys: Collection[str]) -> str:
    return canonical_json({key: one.get(key) for key in keys}).decode()
