"""The documents of a registry as far as a pin needs them: which platforms an image is for.

The digest of an index is the pin, so that each host pulls its own platform of the same image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
MAX_BYTES = 4 * 1024 * 1024  # what registries themselves allow a manifest to have

_UNKNOWN = "unknown/unknown"  # signatures and the like travel in an index under this platform
_ALIASES = {"x86_64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
_WITH_ARCHITECTURE = 2


class NotAManifestError(ValueError):
    """The bytes are no manifest that a host could pull."""


def parse_object(content: bytes) -> dict[str, Any]:
    """One JSON object. Raises NotAManifestError."""
    try:
        loaded: object = json.loads(content)
    except ValueError as error:
        raise NotAManifestError("it is not JSON") from error
    if not isinstance(loaded, dict):
        raise NotAManifestError("it is not a JSON object")
    return cast("dict[str, Any]", loaded)


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none when it is no list."""
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", one) for one in listed if isinstance(one, dict)]


def platforms_of_index(manifest: dict[str, Any]) -> tuple[str, ...] | None:
    """The platforms that an index has, sorted; None when it is a manifest of one image."""
    if not isinstance(manifest.get("manifests"), list):
        return None
    named = (_platform(entry.get("platform")) for entry in objects(manifest["manifests"]))
    return tuple(sorted({one for one in named if one is not None and one != _UNKNOWN}))


def config_digest(manifest: dict[str, Any]) -> str | None:
    """Where the configuration of one image is. Raises NotAManifestError for what is no image."""
    if manifest.get("schemaVersion") != _WITH_ARCHITECTURE:
        raise NotAManifestError("it is of a format that engines do not pull any more")
    config: object = manifest.get("config")
    if not isinstance(config, dict):
        raise NotAManifestError("it has no configuration")
    digest: object = cast("dict[str, Any]", config).get("digest")
    return digest if isinstance(digest, str) else None


def platform_of_config(config: dict[str, Any]) -> str | None:
    """What one image is for; None when it does not say."""
    return _platform(config)


def lacking(wanted: Iterable[str], have: Iterable[str]) -> list[str]:
    """Which of the `wanted` platforms are not there, sorted; a variant that is not asked for is no matter."""
    known = {_normal(one) for one in have}
    return sorted(one for one in wanted if not any(_suits(_normal(one), there) for there in known))


def _suits(wanted: tuple[str, ...], there: tuple[str, ...]) -> bool:
    same = wanted[:_WITH_ARCHITECTURE] == there[:_WITH_ARCHITECTURE]
    variants = wanted[_WITH_ARCHITECTURE:], there[_WITH_ARCHITECTURE:]
    return same and (not all(variants) or variants[0] == variants[1])


def _normal(platform: str) -> tuple[str, ...]:
    system, _, rest = platform.lower().partition("/")
    architecture, _, variant = rest.partition("/")
    named = (system, _ALIASES.get(architecture, architecture))
    return (*named, variant) if variant else named


def _platform(parts: object) -> str | None:
    if not isinstance(parts, dict):
        return None
    fields = cast("dict[str, Any]", parts)
    system, architecture = fields.get("os"), fields.get("architecture")
    if not system or not architecture:
        return None
    variant = fields.get("variant")
    return f"{system}/{architecture}" + (f"/{variant}" if variant else "")
