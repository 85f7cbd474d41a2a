"""Why a service would be replaced: the fields that differ, without a value that could be a secret.

Images are shown as written, because they are what people change; of environment variables and labels only
the names are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from events.labels import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from events.manifest import HostManifest

_BY_KEY = ("environment", "labels")


def describe_change(service: str, *, old: HostManifest, new: HostManifest) -> str:
    """One line that names what differs, such as `image web:1 -> web:2; environment ~PORT +DEBUG`."""
    parts = list(_image(service, old=old, new=new))
    before, after = _definition(old, service), _definition(new, service)
    for key in sorted({*before, *after} - {"image"}):
        if before.get(key) == after.get(key):
            continue
        if key in _BY_KEY:
            parts.append(f"{key} {_names(_mapping(before.get(key)), _mapping(after.get(key)))}")
        else:
            parts.append(key)
    return "; ".join(parts) or "a network or volume it uses"


def _image(service: str, *, old: HostManifest, new: HostManifest) -> Iterable[str]:
    before, after = old.services[service].image, new.services[service].image
    if before.ref != after.ref:
        yield f"image {before.ref} -> {after.ref}"
    elif before.pin != after.pin:
        yield f"image {after.ref} means other bytes now"


def _definition(host: HostManifest, service: str) -> dict[str, Any]:
    """The service as Compose has it, without our own labels and what a replacement does not depend on."""
    definition = {
        key: value
        for key, value in host.compose["services"][service].items()
        if key not in ("depends_on", "profiles")
    }
    own = {
        key: value for key, value in _mapping(definition.get("labels")).items() if not key.startswith(PREFIX)
    }
    return {**definition, "labels": own}


def _mapping(value: Mapping[str, Any] | None) -> dict[str, Any]:
    """A mapping of the rendered document, where an empty one may be null."""
    return dict(value or {})


def _names(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    added = [f"+{name}" for name in sorted(set(after) - set(before))]
    changed = [f"~{name}" for name in sorted(set(after) & set(before)) if after[name] != before[name]]
    removed = [f"-{name}" for name in sorted(set(before) - set(after))]
    return " ".join([*added, *changed, *removed])
